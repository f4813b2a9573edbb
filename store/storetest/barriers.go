package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// barriers keep deliveries of a new rule of order behind those of the old one.
func barriers(y *yard) {
	const unit = "barriers/a"
	if _, err := y.Unit(y.Context(), unit, ""); err != nil {
		y.Fatal(err)
	}
	rule := func(r string) {
		y.Helper()
		must(y.T, y.lease.Rules(y.Context(), map[string]string{unit: r}))
	}
	want := func(n int64) {
		y.Helper()
		if got, err := y.Barrier(y.Context(), unit); err != nil || got != n {
			y.Errorf("the barrier is %d (%v), want %d", got, err, n)
		}
	}
	rule("by patient")
	_, first := y.deliver("a", unit)
	want(0)
	rule("by patient")
	want(0)
	rule("by channel")
	want(first[0].N)
	_, second := y.deliver("b", unit)
	want(first[0].N)
	rule("none")
	_, third := y.deliver("c", unit)
	want(first[0].N)
	l := y.take(unit)
	send := func(d message.Delivery) {
		y.Helper()
		y.claim(l, d)
		want(d.N) // also while it is being sent
		_, err := l.Answer(y.Context(), answerOf(d, message.Delivered), 0)
		must(y.T, err)
	}
	send(first[0])
	want(second[0].N)
	send(second[0])
	want(0)
	rule("by key")
	want(third[0].N)
	must(y.T, y.Operate(y.Context(), store.Order{Action: store.ActPark, Delivery: third[0].ID, Who: "ann", Why: "a test"}))
	want(0)
	rule("by patient")
	want(0)
	y.Run("a lease that was replaced notes no rule", func(t *testing.T) {
		old := y.lease
		y.lease = y.take("barriers")
		if err := old.Rules(t.Context(), map[string]string{unit: "another"}); !errors.Is(err, store.ErrFenced) {
			t.Errorf("got %v", err)
		}
		list, err := y.Units(t.Context())
		must(t, err)
		for _, u := range list {
			if u.ID == unit && u.Rule != "by patient" {
				t.Errorf("the rule is %q", u.Rule)
			}
		}
	})
}

// A fence is a barrier in front of one delivery of a unit.
type fence struct {
	*yard
	unit  string
	lease store.Lease // of the unit
	old   message.Delivery
}

// newFence makes a delivery by an old rule of order, and a barrier.
func newFence(y *yard, t *testing.T, unit string) *fence {
	t.Helper()
	mine := *y
	mine.T = t
	f := &fence{yard: &mine, unit: unit}
	_, err := y.Unit(t.Context(), unit, "")
	must(t, err)
	must(t, y.lease.Rules(t.Context(), map[string]string{unit: "old"}))
	_, list := f.deliver("k", unit)
	y.n = mine.n
	f.old = list[0]
	must(t, y.lease.Rules(t.Context(), map[string]string{unit: "new"}))
	f.lease = f.take(unit)
	f.want(f.old.N, "before anything ends")
	return f
}

func (f *fence) want(n int64, when string) {
	f.Helper()
	if got, err := f.Barrier(f.Context(), f.unit); err != nil || got != n {
		f.Errorf("%s the barrier is %d (%v), want %d", when, got, err, n)
	}
}

// answer claims the old delivery and answers it.
func (f *fence) answer(a store.Answer) {
	f.Helper()
	f.claim(f.lease, f.old)
	_, err := f.lease.Answer(f.Context(), a, 0)
	must(f.T, err)
}

func (f *fence) order(action, to string) {
	f.Helper()
	must(f.T, f.Operate(f.Context(), store.Order{Action: action, Delivery: f.old.ID, To: to, Late: true, Who: "ann", Why: "a test"}))
}

// barrierEnds takes a barrier away in each way in which a delivery closes, and in
// none in which it does not. Nobody looks in between: what closes the delivery
// takes the barrier away, so that it does not come back when an operator sends
// an old delivery again.
func barrierEnds(y *yard) {
	for name, c := range map[string]struct {
		end func(*fence)
		// stays: the delivery is open; again: an operator may send it again.
		stays, again bool
	}{
		"delivered": {end: func(f *fence) { f.answer(answerOf(f.old, message.Delivered)) }},
		"parked":    {end: func(f *fence) { f.answer(answerOf(f.old, message.ParkedDelivery)) }, again: true},
		"diverted": {end: func(f *fence) {
			a := answerOf(f.old, message.Diverted)
			a.Next = &message.Delivery{ID: message.NewID(time.Now()), Unit: f.unit + " failed", Key: "k", Control: "next", Payload: []byte("p")}
			f.answer(a)
		}},
		"dropped by an operator": {end: func(f *fence) { f.order(store.ActDropDelivery, "") }},
		"parked by an operator":  {end: func(f *fence) { f.order(store.ActPark, "") }, again: true},
		"moved away": {end: func(f *fence) {
			_, err := f.Unit(f.Context(), f.unit+" elsewhere", "")
			must(f.T, err)
			f.order(store.ActMove, f.unit+" elsewhere")
		}},
		"delivered in a file": {end: func(f *fence) {
			b, err := f.lease.Bundle(f.Context(), store.Batch{
				ID: message.NewID(time.Now()), Number: 1, Control: "F", Payload: []byte("file"), Deliveries: []message.Delivery{f.old},
			}, time.Now())
			must(f.T, err)
			must(f.T, f.lease.AnswerBatch(f.Context(), b.N, []store.Answer{answerOf(f.old, message.Delivered)}))
		}},
		"put off":    {end: func(f *fence) { f.answer(answerOf(f.old, message.Waiting)) }, stays: true},
		"tried now":  {end: func(f *fence) { f.order(store.ActRetry, "") }, stays: true},
		"taken over": {end: func(f *fence) { f.claim(f.lease, f.old); f.lease = f.take(f.unit) }, stays: true},
		"stopped":    {end: func(f *fence) { a := answerOf(f.old, message.Waiting); a.Hold = "stop"; f.answer(a) }, stays: true},
		"delivered, by next": {end: func(f *fence) {
			// Closed by an answer that claims a younger one.
			_, younger := f.deliver("other", f.unit)
			f.claim(f.lease, f.old)
			_, err := f.lease.Answer(f.Context(), answerOf(f.old, message.Delivered), younger[0].N)
			must(f.T, err)
		}},
	} {
		y.Run(name, func(t *testing.T) {
			f := newFence(y, t, "ends/"+name)
			c.end(f)
			switch {
			case c.stays:
				f.want(f.old.N, "while it is open")
			case c.again:
				f.order(store.ActRetry, "")
				f.want(0, "when it is sent again")
			default:
				f.want(0, "when it has ended")
			}
			y.n = f.n
		})
	}
	y.Run("a barrier stays until the last before it has ended", func(t *testing.T) {
		f := newFence(y, t, "ends/last")
		_, younger := f.deliver("k", f.unit)
		must(t, y.lease.Rules(t.Context(), map[string]string{f.unit: "newest"}))
		f.claim(f.lease, younger[0])
		_, err := f.lease.Answer(t.Context(), answerOf(younger[0], message.Delivered), 0)
		must(t, err)
		f.want(f.old.N, "while an older one is open")
		f.answer(answerOf(f.old, message.Delivered))
		f.want(0, "when both have ended")
		y.n = f.n
	})
}

// barrierRace closes the last deliveries before a barrier side by side: none may
// take another's for open and leave the barrier where it is.
func barrierRace(y *yard) {
	const unit = "race/a"
	_, err := y.Unit(y.Context(), unit, "")
	must(y.T, err)
	l := y.take(unit)
	for round := range 8 {
		must(y.T, y.lease.Rules(y.Context(), map[string]string{unit: fmt.Sprint("rule ", round)}))
		var list []message.Delivery
		for i := range 6 {
			_, made := y.deliver(fmt.Sprint("k", i), unit)
			list = append(list, made...)
		}
		must(y.T, y.lease.Rules(y.Context(), map[string]string{unit: fmt.Sprint("rule after ", round)}))
		for _, d := range list[:4] {
			y.claim(l, d)
		}
		var all sync.WaitGroup
		for i, d := range list {
			all.Go(func() {
				ctx := context.WithoutCancel(y.Context())
				var err error
				if i < 4 {
					_, err = l.Answer(ctx, answerOf(d, message.Delivered), 0)
					for errors.Is(err, store.ErrConflict) { // as the line does
						_, err = l.Answer(ctx, answerOf(d, message.Delivered), 0)
					}
				} else {
					err = y.Operate(ctx, store.Order{Action: store.ActPark, Delivery: d.ID, Who: "ann", Why: "a test"})
				}
				if err != nil {
					y.Errorf("delivery %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if n, err := y.Barrier(y.Context(), unit); err != nil || n != 0 {
			y.Fatalf("round %d: the barrier is %d (%v) and nothing is open before it", round, n, err)
		}
	}
}
