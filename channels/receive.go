package channels

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// receiveOne takes charge of one message: T1 and what `ack:` claims. A nil error
// means that the reply may go out; an error that nothing may be claimed.
func (c *channel) receiveOne(ctx context.Context, m *message.Message) (message.Reply, error) {
	if err := c.paced(ctx); err != nil {
		return message.Reply{}, err
	}
	began := time.Now()
	killpoint.Hit("after_read")
	now := c.line.options.Now()
	if m.Received.IsZero() {
		m.Received = now
	}
	m.ID, m.Channel, m.RoutesVersion = message.NewID(now), c.id, c.version
	head, in, err := c.read(ctx, m)
	if err != nil {
		return c.unavailable(head, err)
	}
	in.Recorded = func(entry *store.Entry) { c.handOver(m, entry) }
	goesOn := m.Header.Part != ""
	turn, err := c.count(ctx, m, head)
	if err != nil {
		return c.unavailable(head, err)
	}
	if turn != nil && turn.link {
		turn.end() // nothing is to be recorded of it
		return c.reply(head, message.Answer{Code: message.Accepted, Expected: turn.expected()}), nil
	}
	entry, err := c.line.options.Store.Record(ctx, in)
	if turn != nil {
		turn.recorded(&entry, err)
	}
	if err != nil {
		return c.unavailable(head, wrap("record", err))
	}
	c.recorded(&entry)
	answer := entry.Answer
	switch {
	case entry.State == message.Refused:
	case c.config.Ack == routes.AckStored:
		if entry.Copy {
			// As the first was: it is stored, whatever has become of it since.
			answer = message.Answer{Code: message.Accepted}
		}
		answer.Stored = answer.Code == message.Accepted
	case c.config.Reply != nil:
		reply, err := c.replied(ctx, m, head, &entry)
		c.line.options.Metrics.intake(c.config.Name, time.Since(began))
		return reply, err
	default:
		if answer, err = c.outcome(ctx, entry); err != nil {
			return message.Reply{}, err
		}
	}
	killpoint.Hit("after_commit_before_ack")
	c.line.options.Metrics.intake(c.config.Name, time.Since(began))
	if turn != nil {
		answer.Expected = turn.expected()
	}
	reply := c.reply(head, answer)
	if answer.Code == message.Accepted && !goesOn {
		reply.Later = c.later(head, entry)
	}
	return reply, nil
}

// paced waits where messages come faster than `limits: { rate }` lets them.
func (c *channel) paced(ctx context.Context) error {
	if c.pace != nil {
		if err := c.pace.Wait(ctx); err != nil {
			return wrap("rate", err)
		}
	}
	return nil
}

// handOver gives a message that was just recorded to the owner of the channel.
func (c *channel) handOver(m *message.Message, entry *store.Entry) {
	if c.fresh != nil {
		c.fresh.add(entry)
	}
	if m.Size <= store.MaxChunk {
		c.recent.put(c.id, m) // from then on m is its owner's
	}
}

// read finds the header of m and makes the intake of it. head is the content,
// or the beginning of a large one.
func (c *channel) read(ctx context.Context, m *message.Message) (head []byte, in store.Intake, err error) {
	in.Message = m
	head = m.Raw
	var fault error
	scan := func(head []byte, rest io.Reader) {
		keyer, ok := c.config.Parser.(parsers.Keyer)
		if !ok {
			m.Header.Hash = sha256.Sum256(head)
			m.Header.Key = "channel"
			return
		}
		m.Header, fault = keyer.Scan(head, rest)
	}
	switch {
	case m.Stream != nil:
		if head, in.Chunks, err = c.spool(ctx, m, scan); err != nil {
			return head, in, err
		}
		m.Stream = nil
	default:
		m.Size = int64(len(m.Raw))
		scan(m.Raw, nil)
	}
	c.settle(m, fault, &in)
	return head, in, nil
}

// settle decides between stored and refused.
func (c *channel) settle(m *message.Message, fault error, in *store.Intake) {
	m.State, m.Answer = message.Stored, message.Answer{Code: message.Accepted}
	if fault == nil && !speaks(m) {
		fault = &message.Failure{
			Kind: message.Malformed, Where: "MSH-4", Code: 207, Err: errors.New("the certificate of the peer is not one for this sender"),
		}
	}
	if m.Damage != nil {
		fault = m.Damage
		// Its bytes may be those of the whole message, of which only the end of
		// the frame was missing: that one is no copy of this.
		m.Header.Hash = sha256.Sum256(append(m.Header.Hash[:], "damaged"...))
	}
	if fault != nil {
		problem := message.Explain(fault)
		m.State, m.Reason = message.Refused, fault.Error()
		m.Answer = message.Answer{Code: verdict(problem.Code), Problems: []message.Problem{problem}}
	}
	if c.config.Ack != routes.AckStored && m.State == message.Stored {
		m.Answer = message.Answer{} // nothing is claimed before T2
	}
	switch c.config.Order {
	case routes.OrderChannel:
		m.Header.Key, m.Header.Key2 = "channel", ""
	case routes.OrderNone:
		m.Header.Key, m.Header.Key2 = "message:"+m.ID, ""
	}
	if m.Header.Part != "" {
		m.Header.Key2 = m.Header.Part // the next part finds it so
	}
	switch c.config.Duplicates {
	case routes.DuplicatesNew:
		// Every arrival is a message of its own.
		m.Header.Hash = sha256.Sum256(append(m.Header.Hash[:], m.ID...))
	case routes.DuplicatesRefuse:
		in.RefuseClash = true
		in.Clashed.Reason = "MSH-10: the control id was used before with other content"
		in.Clashed.Answer = message.Answer{Code: message.Erroneous, Problems: []message.Problem{{
			Where: "MSH-10", Code: 205, Text: "the control id was used before with other content",
		}}}
	}
}

// speaks reports whether the peer may send for the sender of a message.
func speaks(m *message.Message) bool {
	if m.Senders == nil {
		return true
	}
	_, facility, _ := strings.Cut(m.Header.Sender, "|")
	namespace, _, _ := strings.Cut(facility, "^")
	return slices.ContainsFunc(m.Senders, func(s string) bool {
		return s == m.Header.Sender || s == facility || s == namespace
	})
}

// verdict is the code of a refusal by HL7 table 0357: message type, event,
// processing id and version are rejected, the rest are errors (2.8.3.1).
func verdict(code int) message.AnswerCode {
	if code >= 200 && code <= 203 {
		return message.Rejected
	}
	return message.Erroneous
}

// spool writes the content of a large message in chunks before T1 refers to
// them; at most two chunks are in memory.
func (c *channel) spool(ctx context.Context, m *message.Message, scan func([]byte, io.Reader)) (head []byte, id string, err error) {
	id = m.ID
	head = make([]byte, store.MaxChunk)
	n, err := io.ReadFull(m.Stream, head)
	head = head[:n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		// It was not large after all.
		m.Raw, m.Size = head, int64(n)
		scan(head, nil)
		return head, "", nil
	}
	if err != nil {
		return head, "", wrap("read", err)
	}
	w := &chunks{ctx: ctx, journal: c.line.options.Store, id: id}
	if err := w.put(head); err != nil {
		return head, "", wrap("chunk", err)
	}
	rest := io.TeeReader(m.Stream, w)
	scan(head, rest)
	if _, err := io.Copy(io.Discard, rest); err != nil {
		return head, "", wrap("read", err)
	}
	if err := w.flush(); err != nil {
		return head, "", wrap("chunk", err)
	}
	m.Size = w.size
	killpoint.Hit("after_chunks")
	return head, id, nil
}

// chunks writes what it is given in parts of MaxChunk.
type chunks struct {
	ctx     context.Context //nolint:containedctx // io.Writer has no context
	journal store.Journal
	id      string
	n       int
	size    int64
	part    bytes.Buffer
}

func (w *chunks) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		room := store.MaxChunk - w.part.Len()
		take := min(room, len(p))
		w.part.Write(p[:take])
		written += take
		p = p[take:]
		if w.part.Len() == store.MaxChunk {
			if err := w.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (w *chunks) flush() error {
	if w.part.Len() == 0 {
		return nil
	}
	err := w.put(w.part.Bytes())
	w.part.Reset()
	return err
}

func (w *chunks) put(data []byte) error {
	w.size += int64(len(data))
	w.n++
	return w.journal.Chunk(w.ctx, w.id, w.n-1, data)
}

// recorded counts a message and tells the owner of the channel.
func (c *channel) recorded(entry *store.Entry) {
	metrics := c.line.options.Metrics
	metrics.received(c.config.Name)
	switch {
	case entry.Copy:
		metrics.event(c.config.Name, "copy", 1)
	case entry.State == message.Refused:
		metrics.event(c.config.Name, "refused", 1)
		c.log.Warn("message refused", "message", entry.ID, "reason", entry.Reason)
	}
	if entry.Clash && !entry.Copy {
		metrics.event(c.config.Name, "clash", 1)
		c.log.Warn("control id was used before with other content", "message", entry.ID)
	}
	if entry.Copy || entry.State != message.Stored {
		return
	}
	c.line.pokeNow(c.id, true)
}

// unavailable answers a message that could not be recorded for a fault of
// ours. Where the store says that nothing was written and the fault may pass,
// the sender is told to send again; otherwise nothing is said.
func (c *channel) unavailable(head []byte, err error) (message.Reply, error) {
	if failure, ok := errors.AsType[*message.Failure](err); !ok || failure.Kind != message.Malformed {
		c.line.options.Metrics.event(c.config.Name, "unavailable", 1)
	}
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return message.Reply{}, err
	}
	c.log.Error("message not taken, the sender is to send it again", "error", err.Error())
	return c.reply(head, message.Answer{Code: message.Erroneous, Again: true, Problems: []message.Problem{{
		Code: 207, Text: "storage is not available now, send again later",
	}}}), nil
}

// reply builds the bytes of an answer.
func (c *channel) reply(head []byte, answer message.Answer) message.Reply {
	reply := message.Reply{Answer: answer}
	replier, ok := c.config.Parser.(parsers.Replier)
	if !ok {
		return reply
	}
	if apart, ok := replier.(parsers.ApartReplier); ok && c.config.Acknowledge != "" {
		reply.Raw = apart.ReplyAccept(head, answer, c.stamp())
		return reply
	}
	reply.Raw = replier.Reply(head, answer, c.stamp())
	return reply
}

// control is a control id for what we send: at most 20 characters, the limit
// of MSH-10 up to HL7 v2.6.
func control(now time.Time) string {
	id := message.NewID(now)
	return "P" + strconv.FormatInt(now.UnixMilli(), 36) + id[len(id)-8:]
}

// outcome waits for what `ack:` claims, whichever engine has the message.
func (c *channel) outcome(ctx context.Context, entry store.Entry) (message.Answer, error) {
	answer, err := c.processed(ctx, entry)
	if err != nil || answer.Code != message.Accepted || c.config.Ack != routes.AckDelivered {
		return answer, err
	}
	return c.delivered(ctx, entry)
}

// delivered waits until every delivery of a message has ended.
func (c *channel) delivered(ctx context.Context, entry store.Entry) (message.Answer, error) {
	ch := c.line.progress.join(entry.Seq)
	defer c.line.progress.leave(entry.Seq, ch)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := c.line.options.Store.Deliveries(ctx, store.DeliveryFilter{Message: entry.Seq, Limit: 10_000})
		if err == nil {
			if answer, ended := endOf(list); ended {
				return answer, nil
			}
		}
		select {
		case <-ch:
		case <-tick.C:
		case <-ctx.Done():
			return message.Answer{}, errStopped
		case <-c.line.options.Store.Failed():
			return message.Answer{}, store.ErrUnavailable
		}
	}
}

// endOf is the answer to a sender who waits for the deliveries of its message,
// once all of the last run have ended or one has parked.
func endOf(list []message.Delivery) (answer message.Answer, ended bool) {
	run := 0
	for i := range list {
		run = max(run, list[i].Run)
	}
	open := false
	for i := range list {
		d := &list[i]
		switch {
		case d.Run != run:
		case d.State == message.ParkedDelivery || d.State == message.DroppedDelivery:
			return message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Code: 207, Text: "kept, but a destination did not take it"}}}, true
		case d.State == message.Waiting || d.State == message.Sending:
			open = true
		}
	}
	return message.Answer{Code: message.Accepted}, !open
}

// processed waits for T2 of a message, whichever engine has it.
func (c *channel) processed(ctx context.Context, entry store.Entry) (message.Answer, error) {
	ch := c.line.wait.join(entry.Seq)
	defer c.line.wait.leave(entry.Seq, ch)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	first := true
	for {
		if !first || entry.Copy {
			m, err := c.line.options.Store.Find(ctx, entry.ID)
			if err == nil && m.State != message.Stored {
				return answerOf(outcome{state: m.State, reason: m.Reason, answer: m.Answer}), nil
			}
		}
		first = false
		select {
		case o := <-ch:
			return answerOf(o), nil
		case <-ctx.Done():
			return message.Answer{}, errStopped
		case <-c.line.options.Store.Failed():
			return message.Answer{}, store.ErrUnavailable
		case <-tick.C:
		}
	}
}

// answerOf is what a sender who waited for the outcome is told: a message that
// parks is answered negatively and kept.
func answerOf(o outcome) message.Answer {
	switch o.state {
	case message.Done, message.Filtered:
		return message.Answer{Code: message.Accepted}
	case message.Refused:
		return o.answer
	case message.Parked:
		if o.answer.Code == message.Erroneous && len(o.answer.Problems) > 0 {
			return o.answer
		}
	}
	return message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Code: 207, Text: o.reason}}}
}
