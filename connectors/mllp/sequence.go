package mllp

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
)

// A sequence counts the messages to one receiver (HL7 v2.5.1, 2.10.1): MSH-13 is
// the number of a message, MSA-4 the one that the receiver expects next. The
// receiver keeps the count: it is asked, by a message of number 0 without content,
// before the first message and whenever an answer was lost. Which delivery had a
// number last is kept before a byte of it leaves: so a message whose answer was
// lost is known to have arrived, or goes out again under its number.
type sequence struct {
	mu    sync.Mutex // held for the whole of a send
	next  int64
	known bool
	said  bool // next is the receiver's word
	// given are the numbers of deliveries that nobody else keeps.
	given map[string]int64
}

// givenMost bounds the deliveries of which it is not known whether they arrived,
// and which were not asked for again.
const givenMost = 1000

// Counts reports whether messages are numbered.
func (d *Destination) Counts() bool { return d.options.Sequence }

// numbered is Send where messages are counted.
func (d *Destination) numbered(ctx context.Context, delivery *message.Delivery, had int64, keep func(context.Context, int64) error) (message.Reply, error) {
	if _, _, end := Control(delivery.Payload); end == 0 {
		return d.transmit(ctx, delivery) // a batch: its messages have their own numbers
	}
	s := &d.sequence
	s.mu.Lock()
	defer s.mu.Unlock()
	if keep == nil {
		had = s.given[delivery.ID]
		keep = func(_ context.Context, n int64) error {
			s.give(delivery.ID, n)
			return nil
		}
	}
	if !s.known {
		if reply, err := d.link(ctx, delivery); err != nil {
			return reply, err
		}
	}
	n := s.next
	switch {
	case had > 0 && s.said && s.next > had: // it has counted that one
		s.give(delivery.ID, 0)
		d.env.Count("sequence-arrived", 1)
		return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
	case had > 0 && !s.said:
		n = had
	}
	if n != had {
		if err := keep(ctx, n); err != nil {
			return message.Reply{}, &message.Failure{Kind: message.Down, Err: fmt.Errorf("its number cannot be kept: %w", err)}
		}
	}
	killpoint.Hit("number_kept")
	return d.count(ctx, delivery, n, keep)
}

// give notes which delivery has a number: who had it before, or a higher one, has
// none any more. 0: it has none.
func (s *sequence) give(id string, n int64) {
	maps.DeleteFunc(s.given, func(other string, number int64) bool { return other == id || n > 0 && number >= n })
	if n == 0 {
		return
	}
	if s.given == nil || len(s.given) >= givenMost {
		s.given = map[string]int64{}
	}
	s.given[id] = n
}

// count sends a message under a number and takes from the answer which is next.
func (d *Destination) count(ctx context.Context, delivery *message.Delivery, n int64, keep func(context.Context, int64) error) (message.Reply, error) {
	s := &d.sequence
	one := *delivery
	one.Payload = withField(delivery.Payload, 13, strconv.FormatInt(n, 10))
	reply, err := d.transmit(ctx, &one)
	switch kind := message.KindOf(err); {
	case err != nil && kind == message.Down: // no byte left
		return reply, err
	case err != nil && (kind == message.Unknown || kind == message.Unreadable):
		s.known = false
		return reply, err
	}
	switch expected, said := expectedNext(reply.Raw); {
	case said && expected > 0:
		s.next, s.said = expected, true
		if err != nil && expected != n && expected != n+1 {
			s.known = false // the counts differ: the next message asks
		}
	case err == nil:
		if s.next = n + 1; !said {
			s.said = false
			d.env.Count("sequence-missing", 1)
		}
	}
	s.give(delivery.ID, 0)
	if err != nil {
		// What the receiver says of its count must not be taken for this attempt's
		// answer, which was a refusal.
		if fault := keep(ctx, 0); fault != nil {
			d.env.Log.Warn("the number of a refused delivery is kept on", "delivery", delivery.ID, "error", fault.Error())
		}
	}
	return reply, err
}

// link asks the receiver which number it expects.
func (d *Destination) link(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	s := &d.sequence
	one := message.Delivery{Control: "0" + delivery.Control, Payload: linkStart(delivery.Payload, "0"+delivery.Control)}
	reply, err := d.transmit(ctx, &one)
	expected, said := expectedNext(reply.Raw)
	switch {
	case err != nil:
		return reply, err
	case !said:
		d.env.Count("sequence-missing", 1)
		expected = max(s.next, 1)
	case expected < 1:
		expected = 1 // any will do
	}
	s.next, s.known, s.said = expected, true, said
	return reply, nil
}

// linkStart is the header of a message with the number 0, a control id of its own
// and nothing behind MSH-13.
func linkStart(raw []byte, control string) []byte {
	head := raw
	if n := bytes.IndexAny(raw, "\r\n"); n >= 0 {
		head = raw[:n]
	}
	fields := bytes.Split(head, raw[3:4])
	head = bytes.Join(fields[:min(len(fields), 12)], raw[3:4])
	return append(WithControl(withField(head, 13, "0"), control), '\r')
}

// withField returns a copy of raw with another field n of MSH.
func withField(raw []byte, n int, value string) []byte {
	end := len(raw)
	if at := bytes.IndexAny(raw, "\r\n"); at >= 0 {
		end = at
	}
	fields := bytes.Split(raw[:end:end], raw[3:4])
	for len(fields) < n {
		fields = append(fields, nil)
	}
	fields[n-1] = []byte(value)
	return append(bytes.Join(fields, raw[3:4]), raw[end:]...)
}

// expectedNext is MSA-4.
func expectedNext(reply []byte) (n int64, said bool) {
	for line := range bytes.FieldsFuncSeq(reply, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if len(line) < 4 || string(line[:3]) != "MSA" {
			continue
		}
		n, err := strconv.ParseInt(fieldOf(bytes.SplitN(line, line[3:4], 6), 4), 10, 64)
		return n, err == nil
	}
	return 0, false
}
