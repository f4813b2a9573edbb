package channels

import (
	"context"
	"errors"
	"io"
	"maps"
	"strconv"
	"sync"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/store"
)

// counted is how far senders have counted their messages (HL7 v2.5.1, 2.10.1).
// The journal is the truth: each message recorded stands there with its number,
// before it is acknowledged. What is kept here is read from it.
type counted struct {
	mu      sync.Mutex
	senders map[string]*numbers
}

// numbers are those of one sender. Its messages take turns; other senders do
// not wait for them.
type numbers struct {
	turn  sync.Mutex
	last  int64 // -1: any may come next
	known bool
	users int // who has a turn or waits for one, under the lock of counted
}

// of returns the numbers of a sender, locked.
func (c *counted) of(sender string) *numbers {
	c.mu.Lock()
	n := c.senders[sender]
	if n == nil {
		if len(c.senders) >= sendersMost {
			maps.DeleteFunc(c.senders, func(_ string, n *numbers) bool { return n.users == 0 }) // the journal has them
		}
		if c.senders == nil {
			c.senders = map[string]*numbers{}
		}
		n = &numbers{}
		c.senders[sender] = n
	}
	n.users++
	c.mu.Unlock()
	n.turn.Lock()
	return n
}

// release ends the turn.
func (c *counted) release(n *numbers) {
	n.turn.Unlock()
	c.mu.Lock()
	n.users--
	c.mu.Unlock()
}

// sendersMost bounds the senders whose numbers are kept in memory.
const sendersMost = 10_000

// uncounted is what is known of a sender of which nothing was recorded, or who
// said so.
const uncounted int64 = -1

// A count is the turn of one numbered message; its sender's numbers are locked
// meanwhile.
type count struct {
	*numbers
	c      *channel
	sender string
	n      int64
	stands int64 // the last number as this turn has left it
	link   bool  // it is about the numbers alone
	off    bool  // it is not the next
}

// count begins the turn of a message; nil where messages are not numbered. end
// must be called.
func (c *channel) count(ctx context.Context, m *message.Message, head []byte) (*count, error) {
	sequencer, ok := c.config.Parser.(parsers.Sequencer)
	if !ok || m.Damage != nil {
		return nil, nil //nolint:nilnil // there is no turn, and no fault
	}
	n, empty, numbered := sequencer.Sequence(head)
	if !numbered {
		return nil, nil //nolint:nilnil // as above
	}
	t := &count{numbers: c.counted.of(m.Header.Sender), c: c, sender: m.Header.Sender, n: n, link: empty && n < 1 && speaks(m)}
	if !t.known || n > 0 && t.last != uncounted && n != t.last+1 {
		// Not known yet, or another engine has counted on meanwhile.
		if err := t.read(ctx, sequencer); err != nil {
			t.end()
			return nil, err
		}
	}
	switch {
	case t.link && n == uncounted:
		t.keep(uncounted)
	case t.link:
	case !speaks(m):
		t.off = true // refused for that already
	case n < 1 || t.last != uncounted && n != t.last+1:
		t.off = true
		m.State, m.Reason = message.Refused, "MSH-13: the sequence number is not the one expected"
		m.Answer = message.Answer{Code: message.Erroneous, Problems: []message.Problem{{
			Where: "MSH-13", Code: 207, Text: "the sequence number is not the one expected",
		}}}
	}
	return t, nil
}

// read finds the last number of the sender in the journal.
func (t *count) read(ctx context.Context, sequencer parsers.Sequencer) error {
	before := int64(0)
	for range 10 {
		list, err := t.c.line.options.Store.List(ctx, store.Filter{Channel: t.c.id, Sender: t.sender, Before: before, Limit: 100})
		if err != nil {
			return wrap("sequence", err)
		}
		for _, m := range list {
			before = m.Seq
			if m.State == message.Refused {
				continue
			}
			if m, err = t.c.line.options.Store.Load(ctx, m.Seq); err != nil {
				return wrap("sequence", err)
			}
			if !m.Pruned.IsZero() {
				t.keep(uncounted) // its number went with its content
				return nil
			}
			head, err := headOf(ctx, m)
			if err != nil {
				return wrap("sequence", err)
			}
			if n, _, numbered := sequencer.Sequence(head); numbered && n > 0 {
				t.keep(n)
				return nil
			}
		}
		if len(list) < 100 {
			break
		}
	}
	t.keep(uncounted)
	return nil
}

// headOf is the beginning of a message of which only the header is wanted.
func headOf(ctx context.Context, m *message.Message) ([]byte, error) {
	if m.Body == nil {
		return m.Raw, nil
	}
	body, err := m.Body(ctx)
	if err != nil {
		return nil, err
	}
	head, err := io.ReadAll(io.LimitReader(body, 64<<10))
	return head, errors.Join(err, body.Close())
}

func (t *count) keep(n int64) { t.last, t.known = n, true }

// recorded takes what became of the message, and ends the turn. A fault of ours
// leaves the numbers as they were.
func (t *count) recorded(entry *store.Entry, err error) {
	if err == nil && !t.off && entry.State != message.Refused {
		t.keep(t.n)
	}
	t.end()
}

func (t *count) end() {
	t.stands = t.last
	t.c.counted.release(t.numbers)
}

// expected is MSA-4, after the turn.
func (t *count) expected() string {
	if t.stands == uncounted {
		return "-1"
	}
	return strconv.FormatInt(t.stands+1, 10)
}
