package channels

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/store"
)

// receive takes charge of what a source hands over: a message, or a batch of
// them that came as one.
func (c *channel) receive(ctx context.Context, m *message.Message) (message.Reply, error) {
	batcher, ok := c.config.Parser.(parsers.Batcher)
	if !ok || m.Damage != nil {
		return c.receiveOne(ctx, m)
	}
	if m.Stream == nil {
		if !batcher.Batch(m.Raw) {
			return c.receiveOne(ctx, m)
		}
		return c.receiveBatch(ctx, batcher, m, bytes.NewReader(m.Raw))
	}
	head := make([]byte, 1<<10)
	n, _ := io.ReadFull(m.Stream, head) // an error comes again
	whole := io.MultiReader(bytes.NewReader(head[:n]), m.Stream)
	if batcher.Batch(head[:n]) {
		return c.receiveBatch(ctx, batcher, m, whole)
	}
	m.Stream = whole
	return c.receiveOne(ctx, m)
}

// errAgain is why a batch is not answered: its sender is to send it again.
var errAgain = fmt.Errorf("%w: a message of the batch was not written", store.ErrUnavailable)

// receiveBatch takes charge of the messages of a batch, in their order. When one
// cannot be recorded nothing is answered: the sender sends the batch again, and
// of what was recorded copies come.
func (c *channel) receiveBatch(ctx context.Context, batcher parsers.Batcher, m *message.Message, content io.Reader) (message.Reply, error) {
	reply := message.Reply{Answer: message.Answer{Code: message.Accepted}}
	var err error
	reply.Raw, err = batcher.AnswerBatch(content, c.config.Limits.Size, c.stamp, func(raw []byte) ([]byte, bool, error) {
		part := &message.Message{Peer: m.Peer, Senders: m.Senders, Received: m.Received, Raw: raw}
		if len(raw) > store.MaxChunk {
			part.Raw, part.Stream = nil, bytes.NewReader(raw)
		}
		one, err := c.receiveOne(ctx, part)
		if err != nil {
			return nil, false, err
		}
		if one.Answer.Again {
			return nil, false, errAgain // later ones of the same key may not go before it
		}
		if one.Answer.Code != message.Accepted {
			reply.Answer.Code = message.Erroneous
		}
		return one.Raw, one.Answer.Code == message.Accepted, nil
	})
	if err != nil {
		return message.Reply{}, wrap("batch", err)
	}
	c.line.options.Metrics.event(c.config.Name, "batch", 1)
	return reply, nil
}

// stamp is what the next answer carries of this moment.
func (c *channel) stamp() parsers.Stamp {
	now := c.now()
	return parsers.Stamp{Time: now.Format("20060102150405.000-0700"), Control: control(now), Channel: c.config.Name}
}

// outcomeOfWhole waits for the outcome of a message, or of the one whose last part
// it was: its acknowledgement names the first part.
func (c *channel) outcomeOfWhole(ctx context.Context, head []byte, entry store.Entry) ([]byte, message.Answer, error) {
	answer, err := c.outcome(ctx, entry)
	joiner, joins := c.config.Parser.(parsers.Joiner)
	keyer, scans := c.config.Parser.(parsers.Keyer)
	if err != nil || answer.Code != message.Accepted || !joins || !scans {
		return head, answer, err
	}
	_, before, _ := joiner.Part(head)
	if before == "" {
		return head, answer, nil
	}
	parts, err := c.before(ctx, joiner, &message.Message{Seq: entry.Seq}, head, before)
	if err != nil || len(parts) == 1 {
		return head, answer, err
	}
	h, err := keyer.Scan(parts[0], nil)
	if err != nil {
		return head, answer, err
	}
	list, err := c.line.options.Store.List(ctx, store.Filter{Channel: c.id, Control: h.Control, Sender: h.Sender, Limit: 1})
	if err != nil || len(list) == 0 || list[0].Seq <= entry.Seq {
		return head, answer, err
	}
	answer, err = c.outcome(ctx, store.Entry{Seq: list[0].Seq, ID: list[0].ID, Copy: true})
	return parts[0], answer, err
}

// later makes the second answer to a message of which the first was positive,
// where its sender asks for two. Of a message in parts it follows the last.
func (c *channel) later(head []byte, entry store.Entry) func(context.Context) []byte {
	replier, ok := c.config.Parser.(parsers.LateReplier)
	if !ok || c.config.Acknowledge != "" || !replier.Awaits(head) {
		return nil
	}
	return func(ctx context.Context) []byte {
		head, answer, err := c.outcomeOfWhole(ctx, head, entry)
		if err != nil {
			c.line.options.Metrics.event(c.config.Name, "application-unanswered", 1)
			c.log.Warn("no application acknowledgement: the outcome is not known in time", "message", entry.ID, "error", err.Error())
			return nil
		}
		return replier.Applied(head, answer, c.stamp())
	}
}
