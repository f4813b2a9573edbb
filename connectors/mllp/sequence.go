package mllp

import (
	"bytes"
	"context"
	"strconv"
	"sync"

	"github.com/plexus-health/plexus/message"
)

// A sequence counts the messages to one receiver (HL7 v2.5.1, 2.10.1): MSH-13 is
// the number of a message, MSA-4 the one that the receiver expects next. The
// receiver keeps the count: it is asked, by a message of number 0 without content,
// before the first message and whenever an answer was lost. So a message whose
// answer was lost is known to have arrived, or not to have.
type sequence struct {
	mu    sync.Mutex // held for the whole of a send
	next  int64
	known bool
	// open is a delivery whose answer was lost, and the number it had; arrived are
	// those of which the receiver has said since that it has them.
	open    string
	number  int64
	arrived map[string]bool
}

// arrivedMost bounds the deliveries that are known to have arrived and were not
// asked for again.
const arrivedMost = 1000

// numbered is Send where messages are counted.
func (d *Destination) numbered(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	if _, _, end := Control(delivery.Payload); end == 0 {
		return d.transmit(ctx, delivery) // a batch: its messages have their own numbers
	}
	s := &d.sequence
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		if reply, err := d.link(ctx, delivery); err != nil {
			return reply, err
		}
	}
	if s.arrived[delivery.ID] {
		delete(s.arrived, delivery.ID)
		d.env.Count("sequence-arrived", 1)
		return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
	}
	return d.count(ctx, delivery, s.next)
}

// count sends a message under a number and takes from the answer which is next.
func (d *Destination) count(ctx context.Context, delivery *message.Delivery, n int64) (message.Reply, error) {
	s := &d.sequence
	one := *delivery
	one.Payload = withField(delivery.Payload, 13, strconv.FormatInt(n, 10))
	reply, err := d.transmit(ctx, &one)
	kind := message.KindOf(err)
	switch expected, said := expectedNext(reply.Raw); {
	case err != nil && kind == message.Down: // no byte left
	case err != nil && (kind == message.Unknown || kind == message.Unreadable):
		s.known, s.open, s.number = false, delivery.ID, n
	case said && expected > 0:
		s.next = expected
		if err != nil && expected != n && expected != n+1 {
			s.known = false // the counts differ: the next message asks
		}
	case err == nil:
		if s.next = n + 1; !said {
			d.env.Count("sequence-missing", 1)
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
	if s.open != "" && said && expected == s.number+1 {
		if len(s.arrived) >= arrivedMost || s.arrived == nil {
			s.arrived = map[string]bool{}
		}
		s.arrived[s.open] = true
	}
	s.next, s.known, s.open = expected, true, ""
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
