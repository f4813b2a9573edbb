package channels

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/plexus-health/plexus/channels/schedule"
	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// deliver sends one delivery after the other over one connection, from item
// on: claim (T3), send, answer (T4) with the claim of the next. It returns when
// there is nothing more for this connection.
func (d *dispatch) deliver(ctx context.Context, item schedule.Item) {
	defer d.senderEnded()
	for more := true; more; {
		taken, err := d.lease.Claim(ctx, item.Seq)
		switch {
		case errors.Is(err, store.ErrNotWaiting): // an operator was first
			item, more = d.skip(item)
			continue
		case err != nil:
			d.lost(item, err)
			return
		}
		killpoint.Hit("after_claim")
		item, more = d.chain(ctx, item, taken)
	}
}

// chain sends what was claimed, and what each answer claims after it. It
// returns what is to be claimed by itself, if anything.
func (d *dispatch) chain(ctx context.Context, item schedule.Item, taken message.Delivery) (schedule.Item, bool) {
	for {
		a := d.send(ctx, item, &taken)
		next, some, kept, follower := d.settle(item, &a)
		claimed, err := d.answer(ctx, a, next.Seq)
		if err != nil {
			d.lost(item, err)
			return item, false
		}
		killpoint.Hit("after_answer")
		d.committed(item, a, kept, follower)
		switch {
		case !some:
			return item, false
		case claimed.N == 0: // an operator was first
			return d.skip(next)
		}
		killpoint.Hit("after_claim")
		item, taken = next, claimed
	}
}

// send is one attempt of one delivery.
func (d *dispatch) send(ctx context.Context, item schedule.Item, del *message.Delivery) store.Answer {
	r := d.r
	began := time.Now()
	free, err := r.content(ctx, del)
	if err != nil {
		// A fault of ours: no byte left.
		r.log.Error("the payload cannot be read, trying again", "delivery", del.ID, "error", err.Error())
		return store.Answer{
			N: del.N, Message: del.Message, Run: del.Run, State: message.Waiting, Class: message.Unavailable,
			Reason: "its payload could not be read", MaybeSent: del.MaybeSent, Unsent: true, Due: r.c.line.options.Now().Add(time.Second),
		}
	}
	defer free()
	ctx, inTime, a := r.inTime(ctx, del)
	defer inTime()
	if a != nil {
		r.noted(item, del, a, time.Since(began))
		return *a
	}
	reply, err := d.transmit(ctx, del)
	killpoint.Hit("after_send_before_answer")
	judged := r.judgeSend(del, reply, err, r.c.line.options.Now())
	if judged.State == message.Delivered {
		r.answerGoesOn(ctx, &judged, del)
	}
	r.noted(item, del, &judged, time.Since(began))
	return judged
}

// transmit sends within the time the destination has for it.
func (r *route) transmit(ctx context.Context, del *message.Delivery) (reply message.Reply, err error) {
	return r.within(ctx, del, func(ctx context.Context, to connectors.Destination) (message.Reply, error) { return to.Send(ctx, del) })
}

// within runs a send in the time the destination has for it.
func (r *route) within(ctx context.Context, del *message.Delivery, send func(context.Context, connectors.Destination) (message.Reply, error)) (reply message.Reply, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			r.c.line.options.Metrics.event(r.c.config.Name, "panic", 1)
			r.log.Error("panic while it was sent", "delivery", del.ID, "where", frames(debug.Stack()))
			err = &message.Failure{Kind: message.Unknown, Err: errors.New("internal fault while it was sent")}
		}
	}()
	destination, err := r.destination()
	if err != nil {
		return reply, &message.Failure{Kind: message.Down, Err: fmt.Errorf("the destination cannot be opened: %w", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, r.limits.Timeout+time.Second)
	defer cancel()
	return send(ctx, destination)
}

// content fills in the payload of a delivery that sends a message as it was
// received. A large one is in memory alone of its route: a peer that reads slowly
// holds up nobody else.
func (r *route) content(ctx context.Context, del *message.Delivery) (free func(), err error) {
	if !del.Original {
		return func() {}, nil
	}
	if m := r.c.line.outgoing.take(r.unit, del.Message); m != nil {
		del.Payload = m.Raw
		return func() {}, nil
	}
	m, err := r.c.line.options.Store.Load(ctx, del.Message)
	if err != nil {
		return nil, wrap("load", err)
	}
	raw, free, err := content(ctx, m, r.large)
	if err != nil {
		return nil, err
	}
	del.Payload = raw
	return free, nil
}

// noted counts and logs what became of a send, and tells the breaker.
func (r *route) noted(item schedule.Item, del *message.Delivery, a *store.Answer, took time.Duration) {
	metrics := r.c.line.options.Metrics
	result := string(a.Class)
	if result == "" {
		result = "accepted"
	}
	metrics.sent(r.c.config.Name, r.config.Name, result, took)
	down := a.Class == message.Down || (a.Class == message.Busy && a.State == message.Waiting && r.breaker.tooBusy(item.Key))
	switch {
	case down:
		until := a.Due
		if a.Class == message.Down {
			until = r.c.line.options.Now().Add(pause(r.config.Retry[string(message.Down)], r.breaker.count()+1))
			if a.State == message.Waiting && a.Hold == "" {
				a.Due = until
			}
		}
		if r.breaker.down(until) {
			r.log.Warn("peer lost, its deliveries wait", "class", string(a.Class), "error", a.Reason)
		}
	case a.Class == message.Unknown || a.Class == message.Unavailable || a.Class == message.Busy:
	case r.breaker.answered(r.limits.Connections):
		r.log.Info("peer found again")
	}
	switch {
	case a.Hold != "":
		r.log.Error("route is held", "delivery", del.ID, "attempt", del.Attempts, "reason", a.Reason)
	case a.State == message.ParkedDelivery:
		r.log.Warn("delivery parked", "delivery", del.ID, "attempt", del.Attempts, "class", string(a.Class), "reason", a.Reason)
	case a.State != message.Delivered && !down:
		r.log.Debug("delivery not taken", "delivery", del.ID, "attempt", del.Attempts, "class", string(a.Class), "state", string(a.State))
	}
}

// answer is T4. A fault of the store that may pass is waited out as long as the
// lease holds: what the peer said must not be lost while it can be written.
func (d *dispatch) answer(ctx context.Context, a store.Answer, next int64) (message.Delivery, error) {
	doubtful := false
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		claimed, err := d.lease.Answer(context.WithoutCancel(ctx), a, next)
		switch {
		case err == nil:
			return claimed, nil
		case doubtful && errors.Is(err, store.ErrNotSending):
			// An attempt before was committed after all; what it claimed as next
			// is sending now, and comes back with the next take-over.
			if next != 0 {
				return message.Delivery{}, fmt.Errorf("answer: %w", errDoubt)
			}
			return message.Delivery{}, nil
		case !d.lease.Valid() || !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrConflict):
			return message.Delivery{}, wrap("answer", err)
		}
		doubtful = doubtful || errors.Is(err, store.ErrUnavailable) // a conflict was rolled back

		select {
		case <-d.r.c.line.options.Store.Failed():
			return message.Delivery{}, wrap("answer", err)
		case <-time.After(wait):
		}
	}
}

var errDoubt = errors.New("it is not known what was claimed")
