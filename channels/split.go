package channels

import (
	"context"
	"errors"
	"fmt"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// `split:` and `each:` take a message apart before it is mapped: each part is
// the message with one group, and the header. Parts are made anew whenever the
// message is processed, in the order of the message and with the same numbers;
// all that comes of them is in the message's one T2.

const (
	// mostParts and mostBytes bound what is made of one message.
	mostParts = 10_000
	mostBytes = store.MaxChunk << 6
	// mostNotes bounds the lines of the trace that say the same of each part.
	mostNotes = 50
)

// divide are the parts of a message by a path: the message itself where it has
// one place only, none where it has none.
func (c *channel) divide(work *message.Message, by message.Path) ([]*message.Message, error) {
	divider, ok := c.config.Parser.(parsers.Divider)
	if !ok {
		return nil, fmt.Errorf("format %s cannot be taken apart", c.config.Parse)
	}
	var parts []*message.Message
	size := 0
	err := divider.Divide(work.Doc, by, func(doc message.Document) error {
		if doc == work.Doc {
			parts = append(parts, work)
			return nil
		}
		part := *work
		part.Doc, part.Raw, part.Body = doc, doc.Encode(nil), nil
		if size += len(part.Raw); len(parts) == mostParts || size > mostBytes {
			return &message.Failure{Kind: message.Malformed, Err: fmt.Errorf("it has more than %d parts, or they are more than %d MB together", mostParts, mostBytes>>20)}
		}
		parts = append(parts, &part)
		return nil
	})
	return parts, err
}

// parts are what the channel's map and routes see: the message, or its parts.
func (c *channel) parts(work *message.Message, v *verdictOf) ([]*message.Message, error) {
	if c.config.Split == nil {
		return []*message.Message{work}, nil
	}
	parts, err := c.divide(work, c.config.Split)
	if err == nil && len(parts) > 1 {
		v.note("split", fmt.Sprintf("%d parts by %s", len(parts), c.config.Split), "")
	}
	return parts, err
}

// mapsWhole reports whether a route wants what the channel's map makes of the
// message as it is; those with `each:` map its parts.
func (c *channel) mapsWhole() bool {
	for _, r := range c.config.Routes {
		if r.Each == nil && !r.Retired {
			return true
		}
	}
	return false
}

// each gives the parts of a message by a route's `each:` to it. It reports
// whether the route wanted any.
func (c *channel) each(ctx context.Context, r *routes.Route, work *message.Message, v *verdictOf) (took bool, err error) {
	parts, err := c.divide(work, r.Each)
	if err != nil {
		return false, place("each", err)
	}
	unwanted := 0
	for n, part := range parts {
		env := expression.Env{Message: part, Root: part.Doc.Root()}
		if r.When != nil {
			pass, err := r.When.Bool(env, env.Root)
			if err != nil {
				return false, place(fmt.Sprintf("part %d: when", n+1), err)
			}
			if !pass {
				unwanted++
				continue
			}
		}
		out := []*message.Message{part}
		if !r.Original {
			if out, err = apply(ctx, c.config.Map, out, v); err != nil {
				return false, place(fmt.Sprintf("part %d: map", n+1), err)
			}
		}
		took = true
		if err := c.send(ctx, r, env, part, out, v); err != nil {
			return false, place(fmt.Sprintf("part %d", n+1), err)
		}
	}
	switch {
	case len(parts) == 0:
		v.note("not routed", "each: there is no "+r.Each.String(), r.Name)
	case unwanted > 0:
		v.note("not routed", fmt.Sprintf("when: %s: %d of %d parts", r.When, unwanted, len(parts)), r.Name)
	}
	return took, nil
}

// renamed is a part under a control id of its own.
func (c *channel) renamed(m *message.Message, control string) (message.Document, error) {
	divider, ok := c.config.Parser.(parsers.Divider)
	if !ok {
		return m.Doc, nil
	}
	return divider.Rename(m.Doc, control)
}

// number is the number of the next part that a route gets of the message.
func (v *verdictOf) number(route string) int {
	if v.numbers == nil {
		v.numbers = map[string]int{}
	}
	n := v.numbers[route]
	v.numbers[route]++
	return n
}

// grow bounds what one T2 writes.
func (v *verdictOf) grow(n int) error {
	if v.size += n; v.size > mostBytes {
		return &message.Failure{Kind: message.Malformed, Err: fmt.Errorf("what is made of it is larger than %d MB together", mostBytes>>20)}
	}
	return nil
}

// noteOnce notes what is the same for each part of a message a few times only.
func (v *verdictOf) noteOnce(n int, step, text, ref string) {
	if n < mostNotes {
		v.note(step, text, ref)
	}
}

var errEmpty = errors.New("what is to be sent is empty")
