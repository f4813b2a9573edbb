package jetstream

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A running is one call of Run.
type running struct {
	q     *Queue
	take  func(ctx context.Context, unit string) time.Time
	takes sync.WaitGroup
}

// Run hands units to take, each in its own goroutine, until ctx ends, and
// returns nil after the last call of take has returned. Tickets come from the
// stream; what the stream fails to bring is handed out from here.
func (q *Queue) Run(ctx context.Context, take func(ctx context.Context, unit string) time.Time) error {
	r := &running{q: q, take: take}
	var parts sync.WaitGroup
	parts.Go(func() { r.receive(ctx) })
	parts.Go(func() { r.hand(ctx) })
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beats sync.WaitGroup
	beats.Go(func() { r.beat(beating) })
	parts.Wait()
	r.takes.Wait()
	stop() // not before: a ticket is held as long as its call lasts
	beats.Wait()
	return nil
}

// receive takes tickets from the stream, and mends the way to it as often as
// it breaks.
func (r *running) receive(ctx context.Context) {
	q := r.q
	for failures := 0; ctx.Err() == nil; {
		consumer, err := q.ready(ctx)
		if err == nil {
			failures = 0
			q.mended()
			err = r.tickets(ctx, consumer)
		}
		if ctx.Err() != nil {
			return
		}
		q.fail(err)
		if failures++; failures >= 2 && q.options.URL == "" {
			q.renew(ctx, err)
			failures = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryEach):
		}
		select { // what failed meanwhile is tried now
		case <-q.kick:
		default:
		}
	}
}

// tickets reads from one consumer until it fails or ctx ends.
func (r *running) tickets(ctx context.Context, consumer jetstream.Consumer) error {
	messages, err := consumer.Messages(jetstream.PullMaxMessages(256), jetstream.PullExpiry(30*time.Second),
		jetstream.PullHeartbeat(2*time.Second))
	if err != nil {
		return err
	}
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-reading.Done():
		case <-r.q.kick:
			stop(r.q.Failing())
		}
	})
	for {
		var m jetstream.Msg
		if m, err = messages.Next(jetstream.NextContext(reading)); err != nil {
			break
		}
		r.arrived(ctx, m)
	}
	if cause := context.Cause(reading); cause != nil && ctx.Err() == nil {
		err = cause
	}
	stop(nil)
	watcher.Wait()
	messages.Drain()
	for { // what was sent to this engine goes to the next
		m, left := messages.Next(jetstream.NextMaxWait(answerWait))
		if left != nil {
			break
		}
		_ = m.Nak() // it comes again after AckWait as well
	}
	messages.Stop()
	return err
}

// arrived decides what becomes of a message of the stream.
func (r *running) arrived(ctx context.Context, m jetstream.Msg) {
	q := r.q
	name, ok := q.unitOf(m.Subject())
	meta, err := m.Metadata()
	if !ok || err != nil {
		_ = m.Ack() // a probe, or nothing of ours
		return
	}
	_, due, _ := readPayload(m.Data()) // unreadable: now
	t := &ticket{msg: m, seq: meta.Sequence.Stream}
	q.mu.Lock()
	u, err := q.unit(name)
	if err != nil {
		q.mu.Unlock()
		_ = m.NakWithDelay(q.options.AckWait) // there may be room then, here or elsewhere
		return
	}
	if t.seq == u.back && u.backDue.After(due) {
		due = u.backDue
	}
	if wait := time.Until(due); wait > 0 {
		q.forget(u)
		q.mu.Unlock()
		_ = m.NakWithDelay(wait) // the server keeps the time
		return
	}
	var old *ticket
	switch {
	case !u.taken:
		r.start(ctx, u, t)
	case u.ticket != nil && u.ticket.seq == t.seq:
		u.ticket = t // handed out again while it is worked: a heartbeat was lost
	default:
		old, u.newer = u.newer, t
	}
	q.mu.Unlock()
	if old != nil && old.seq < t.seq {
		_ = old.msg.Ack() // replaced: the stream has it no more
	}
}

// start begins a call of take. The queue is locked.
func (r *running) start(ctx context.Context, u *unit, t *ticket) {
	u.taken, u.ticket, u.at = true, t, time.Time{}
	r.takes.Go(func() { r.taking(ctx, u) })
}

// taking is one call of take and what follows of it.
func (r *running) taking(ctx context.Context, u *unit) {
	due := time.Now().Add(r.q.options.Patience) // if take panics
	defer func() { r.settle(ctx, u, due) }()
	due = r.take(ctx, u.name)
}

// settle ends a call of take: the ticket is done with, or given back until it
// is due; a ticket that came meanwhile is next.
func (r *running) settle(ctx context.Context, u *unit, due time.Time) {
	q := r.q
	q.mu.Lock()
	t, newer := u.ticket, u.newer
	u.taken, u.ticket, u.newer = false, nil, nil
	switch {
	case due.IsZero():
		u.back = 0
	case t == nil && (q.failing != nil || q.options.URL == ""):
		if u.at.IsZero() || due.Before(u.at) {
			q.look(u, due)
		}
	case t != nil:
		u.back, u.backDue = t.seq, due
	}
	if !u.at.IsZero() {
		q.wake() // it was passed over while it was taken
	}
	again := newer != nil && ctx.Err() == nil
	if again {
		r.start(ctx, u, newer)
	} else {
		q.forget(u)
	}
	q.mu.Unlock()
	if newer != nil && !again {
		_ = newer.msg.Nak() // for the next engine, or the next Run
	}
	if t == nil {
		return
	}
	var err error
	if due.IsZero() {
		err = t.msg.Ack() // of the old one only, if it was replaced meanwhile
	} else {
		err = t.msg.NakWithDelay(max(time.Until(due), time.Millisecond))
	}
	if err != nil && !due.IsZero() { // the stream was not told: it is kept here as well
		q.mu.Lock()
		if u, full := q.unit(u.name); full == nil && (u.at.IsZero() || due.Before(u.at)) {
			q.look(u, due)
		}
		q.mu.Unlock()
	}
}

// forget drops what is known of a unit when that is nothing of use. The queue
// is locked.
func (q *Queue) forget(u *unit) {
	if !u.taken && u.at.IsZero() && u.back == 0 {
		delete(q.units, u.name)
	}
}

// hand takes units that the stream did not bring in time.
func (r *running) hand(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait, changed := r.handDue(ctx, time.Now())
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
	}
}

// handDue takes what is due, and says how long nothing will be and what tells
// of a change before.
func (r *running) handDue(ctx context.Context, now time.Time) (time.Duration, <-chan struct{}) {
	q := r.q
	q.mu.Lock()
	defer q.mu.Unlock()
	first := now.Add(time.Hour)
	for _, u := range q.units {
		switch {
		case u.taken || u.at.IsZero():
		case !u.at.After(now):
			r.start(ctx, u, nil)
		case u.at.Before(first):
			first = u.at
		}
	}
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return first.Sub(now), q.changed
}

// beat tells the stream, until ctx ends, that the tickets in hand are worked on.
func (r *running) beat(ctx context.Context) {
	tick := time.NewTicker(r.q.options.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var held []*ticket
		r.q.mu.Lock()
		for _, u := range r.q.units {
			for _, t := range []*ticket{u.ticket, u.newer} {
				if t != nil {
					held = append(held, t)
				}
			}
		}
		r.q.mu.Unlock()
		for _, t := range held {
			_ = t.msg.InProgress() // a beat that is lost costs one look
		}
	}
}
