package channels

import (
	"context"
	"errors"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// A change of order or key is a barrier: deliveries that were made by the old
// rule are closed before one that was made by the new rule starts. The owner of
// the channel notes the rule before it makes the first delivery by it, when no
// message is in hand any more that was processed under the old configuration;
// the owner of the route asks for the barrier after it has read deliveries and
// before it starts them. So it knows the barrier of everything it has read.

// Rule is what makes the keys of a route's deliveries, as a text that changes
// when they do.
func Rule(c *routes.Channel, r *routes.Route) string {
	key := ""
	switch {
	case r.Key != nil:
		key = r.Key.String()
	case r.Order == "" && c.Key != nil:
		key = c.Key.String()
	}
	if key != "" {
		return "key: " + key
	}
	order := r.Order
	if order == "" {
		order = c.Order
	}
	if order == routes.OrderPatient && c.Key == nil && c.Order != routes.OrderPatient {
		return "order: patient of channel " + string(c.Order)
	}
	return "order: " + string(order)
}

// ruled notes the rules of the channel's routes, once under each lease.
func (c *channel) ruled(ctx context.Context, lease store.Lease) error {
	if c.ruledAt.Load() == lease.Epoch() {
		return nil
	}
	rules := map[string]string{}
	for _, r := range c.routes {
		rules[r.unit] = Rule(c.config, r.config)
	}
	if err := lease.Rules(ctx, rules); err != nil {
		if errors.Is(err, store.ErrFenced) {
			c.line.drop(c.id)
		}
		return wrap("rules of order", err)
	}
	c.ruledAt.Store(lease.Epoch())
	return nil
}

// A barrier is what the dispatch of a route knows of one. Only the dispatch's
// own goroutine looks at it.
type barrier struct {
	n      int64
	behind bool // deliveries behind it were read, and left where they are
}

// lift begins to read anew when the barrier is another than the one that
// deliveries were left behind.
func (d *dispatch) lift(ctx context.Context) error {
	if !d.barrier.behind {
		return nil
	}
	n, err := d.r.c.line.options.Store.Barrier(ctx, d.r.unit)
	if err != nil {
		return err
	}
	if n != d.barrier.n || d.nothing() {
		d.barrier = barrier{}
		d.pos, d.n = 0, 0
	}
	return nil
}

// before leaves out those of the rows just read that are behind a barrier.
func (d *dispatch) before(ctx context.Context, rows []message.Delivery) ([]message.Delivery, error) {
	if len(rows) == 0 {
		return rows, nil
	}
	n, err := d.r.c.line.options.Store.Barrier(ctx, d.r.unit)
	if err != nil || n == 0 {
		return rows, err
	}
	kept := make([]message.Delivery, 0, len(rows))
	for i := range rows {
		if rows[i].N <= n {
			kept = append(kept, rows[i])
		} else {
			d.barrier = barrier{n: n, behind: true}
		}
	}
	return kept, nil
}

// nothing reports whether nothing is in hand.
func (d *dispatch) nothing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sched.Len() == 0 && d.senders == 0
}
