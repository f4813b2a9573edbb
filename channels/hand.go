package channels

import (
	"context"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// takesLong is when a message that is being processed may be one that ends the
// process.
const takesLong = time.Second

// A hand holds a message that is being processed. Its crash is counted in advance
// when it is large, and when it takes long: a message that ends every engine that
// has it in hand must not be begun for ever.
type hand struct {
	c       *channel
	lease   store.Lease
	m       *message.Message
	timer   *time.Timer // nil: counted already, or not to be
	done    chan struct{}
	counted bool
}

// begin takes a message in hand.
func (c *channel) begin(ctx context.Context, lease store.Lease, m *message.Message) (*hand, error) {
	h := &hand{c: c, lease: lease, m: m}
	if m.Crashes >= poisonous {
		return h, nil // it is only parked
	}
	if m.Body != nil {
		h.counted = true
		return h, lease.Began(ctx, m.Seq)
	}
	h.done = make(chan struct{})
	h.timer = time.AfterFunc(takesLong, func() {
		defer close(h.done)
		if err := lease.Began(context.WithoutCancel(ctx), m.Seq); err != nil {
			c.log.Warn("that a message takes long could not be noted", "message", m.ID, "error", err.Error())
			return
		}
		h.counted = true
	})
	return h, nil
}

// end takes it out of hand. What is put off has crashed nothing.
func (h *hand) end(ctx context.Context, err error) {
	if h.timer != nil && !h.timer.Stop() {
		<-h.done
	}
	if err == nil || !h.counted {
		return
	}
	if err := h.lease.Spared(context.WithoutCancel(ctx), h.m.Seq); err != nil {
		h.c.log.Warn("a crash that was none stays counted", "message", h.m.ID, "error", err.Error())
	}
}

// stop starts nothing new. What is in hand may take a while longer.
func (d *desk) stop() {
	d.stopping = true
	if d.cutOff == nil {
		d.cutOff = time.AfterFunc(cutAfter, d.cut)
	}
}
