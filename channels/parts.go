package channels

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/store"
)

// partsMost bounds the parts of one message.
const partsMost = 1000

// joins takes what is one part of a message. Each part is recorded and answered
// by itself; with the last of them the whole becomes a message of this channel,
// in the same transaction. It reports whether the verdict was made.
func (c *channel) joins(ctx context.Context, m *message.Message, raw []byte, v *verdictOf) (bool, error) {
	joiner, ok := c.config.Parser.(parsers.Joiner)
	if !ok {
		return false, nil
	}
	name, before, alone := joiner.Part(raw)
	switch {
	case name != "":
		v.note("part", "the message goes on in another part", "")
		return true, nil
	case before == "":
		return false, nil
	}
	parts, err := c.before(ctx, joiner, m, raw, before)
	if err != nil {
		return false, err
	}
	if len(parts) == 1 {
		if alone {
			v.note("warning", "MSH-14 names no part of a message that came before", "MSH-14")
			return false, nil
		}
		return false, &message.Failure{Kind: message.Malformed, Where: "MSH-14", Err: errors.New("the part of the message before this one is not here")}
	}
	whole, err := joiner.Join(parts)
	if err != nil {
		return false, err
	}
	in, err := c.whole(m, whole)
	if err != nil {
		return false, err
	}
	v.Intakes = append(v.Intakes, in)
	v.note("joined", fmt.Sprintf("%d parts are one message now", len(parts)), "channel:"+c.config.Name+" "+in.Message.ID)
	return true, nil
}

// before collects the parts before the last one; the first is found when it names
// none before it. Only the last comes back where one is missing.
func (c *channel) before(ctx context.Context, joiner parsers.Joiner, m *message.Message, raw []byte, name string) ([][]byte, error) {
	parts, size, below := [][]byte{raw}, int64(len(raw)), m.Seq
	for name != "" {
		list, err := c.line.options.Store.List(ctx, store.Filter{Channel: c.id, Key2: name, Before: below, Limit: partsMost})
		if err != nil {
			return nil, wrap("parts", err)
		}
		list = slices.DeleteFunc(list, func(m *message.Message) bool { return m.State == message.Refused })
		if len(list) == 0 {
			if len(parts) > 1 {
				return nil, &message.Failure{Kind: message.Malformed, Where: "MSH-14", Err: errors.New("a part of the message before this one is not here")}
			}
			return parts, nil
		}
		part, err := c.line.options.Store.Load(ctx, list[0].Seq)
		if err != nil {
			return nil, wrap("parts", err)
		}
		size += part.Size
		if size > c.config.Limits.Size || len(parts) == partsMost {
			return nil, &message.Failure{Kind: message.Malformed, Err: fmt.Errorf("the message has more than %d parts, or is larger than the channel takes", partsMost)}
		}
		if part.Body != nil {
			if part.Raw, err = wholeOf(ctx, part); err != nil {
				return nil, err
			}
		}
		parts, below = append(parts, part.Raw), part.Seq
		_, name, _ = joiner.Part(part.Raw)
	}
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts, nil
}

// whole makes the intake of a message that came in parts: as if the sender had
// sent it so, under the control id of the first part.
func (c *channel) whole(m *message.Message, raw []byte) (store.Intake, error) {
	in, err := c.line.feed(c.config.Name, raw, origin{via: m.Via, sender: m.Peer, key: m.Header.Key})
	if err != nil {
		return in, err
	}
	if keyer, ok := c.config.Parser.(parsers.Keyer); ok {
		// What is wrong with it has parked it already.
		said, _ := keyer.Scan(raw, nil)
		in.Message.Header.Sender, in.Message.Header.Control, in.Message.Header.Hash = said.Sender, said.Control, said.Hash
	}
	in.Message.Received = m.Received
	return in, nil
}
