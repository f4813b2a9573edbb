package channels

import (
	"context"
	"fmt"
	"io"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// apartHead is how much of a large message its acknowledgement is made from.
const apartHead = 64 << 10

// acknowledge makes the application acknowledgement of a message a message of the
// channel that sends it, written in the transaction that ends this one. What an
// operator processes again has had it, parts have that of the whole.
func (c *channel) acknowledge(ctx context.Context, m *message.Message, v *verdictOf) error {
	replier, ok := c.config.Parser.(parsers.ApartReplier)
	if !ok || c.config.Acknowledge == "" || m.Run > 0 || v.part {
		return nil
	}
	head, err := beginningOf(ctx, m)
	if err != nil {
		return err
	}
	raw := replier.ReplyApart(head, v.Answer, c.stamp())
	if raw == nil {
		return nil
	}
	in, err := c.line.feed(c.config.Acknowledge, raw, origin{
		via: through(m.Via, c.id), sender: "acknowledge:" + c.config.Name, control: fmt.Sprint(m.Seq), key: m.Header.Key,
	})
	if err != nil {
		return err
	}
	v.Intakes = append(v.Intakes, in)
	v.note("acknowledged", "", "channel:"+c.config.Acknowledge+" "+in.Message.ID)
	return nil
}

// beginningOf is the content of a message, of a large one its beginning.
func beginningOf(ctx context.Context, m *message.Message) ([]byte, error) {
	if m.Body == nil {
		return m.Raw, nil
	}
	body, err := m.Body(ctx)
	if err != nil {
		return nil, wrap("body", err)
	}
	head, err := io.ReadAll(io.LimitReader(body, apartHead))
	if closing := body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, wrap("body", err)
	}
	return head, nil
}
