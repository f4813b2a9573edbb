package channels

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

const slow = `{ first: 1h, max: 1h }`

// deliveryOf finds the delivery of a control id.
func (h *hall) deliveryOf(unit, control string) message.Delivery {
	h.t.Helper()
	list, err := h.store.Deliveries(h.t.Context(), store.DeliveryFilter{Unit: unit, Limit: 10_000})
	must(h.t, err)
	for _, d := range list {
		if d.Control == control {
			return d
		}
	}
	return message.Delivery{} // it was not made yet
}

// operate decides as an operator and tells the line.
func (h *hall) operate(o store.Order) {
	h.t.Helper()
	o.Who, o.Why = "ann", "a test"
	must(h.t, h.store.Operate(h.t.Context(), o))
	unit := o.Unit
	if o.Delivery != "" {
		d, err := h.store.FindDelivery(h.t.Context(), o.Delivery)
		must(h.t, err)
		unit = d.Unit
	}
	h.line.Poke(unit)
}

// TestWhatAnOperatorParksDelaysNobody parks and drops heads of keys that wait
// for their next attempt: their followers do not wait for that.
func TestWhatAnOperatorParksDelaysNobody(t *testing.T) {
	for _, action := range []string{store.ActPark, store.ActDropDelivery} {
		t.Run(action, func(t *testing.T) {
			h := newHall(t)
			h.start(lab(", retry: { busy: " + slow + " }"))
			p := h.peer("out")
			p.does(func(a arrival) error {
				if a.control == "M1" || a.control == "M3" {
					return fails(message.Busy)
				}
				return nil
			})
			h.giveAll(4, "A", "B") // M1 M3 of A, M2 M4 of B
			h.eventually("the head of A is put off", func() bool {
				q := h.queues()["lab/out"]
				return q.Delivered == 2 && q.Waiting == 2 && h.deliveryOf("lab/out", "M1").Attempts == 1
			})
			h.operate(store.Order{Action: action, Delivery: h.deliveryOf("lab/out", "M1").ID})
			h.eventually("its follower is tried", func() bool { return slices.Contains(controls(p.list()), "M3") })
		})
	}
}

// TestAnOperatorNeedNotWait retries a delivery that waits for its next attempt.
func TestAnOperatorNeedNotWait(t *testing.T) {
	h := newHall(t)
	h.start(lab(", retry: { busy: " + slow + " }"))
	p := h.peer("out")
	p.does(func(a arrival) error {
		if a.attempt == 1 {
			return fails(message.Busy)
		}
		return nil
	})
	h.giveAll(2, "A")
	h.eventually("it is put off", func() bool {
		d := h.deliveryOf("lab/out", "M1")
		return d.State == message.Waiting && d.Attempts == 1
	})
	p.does(nil)
	h.operate(store.Order{Action: store.ActRetry, Delivery: h.deliveryOf("lab/out", "M1").ID})
	h.drained("lab/out", 2)
}

// TestTheFailureRouteFindsOlderOnes diverts an older delivery to a route that
// waits for a younger one.
func TestTheFailureRouteFindsOlderOnes(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes:
      - { name: out, to: { hand: { connections: 4 } }, retry: { refused: { next: { route: fallback } } } }
      - { name: fallback, to: { hand: { name: second } }, retry: { busy: ` + slow + ` } }
`)
	p, second := h.peer("out"), h.peer("second")
	gate := make(chan struct{})
	var once sync.Once
	open := func() { once.Do(func() { close(gate) }) }
	t.Cleanup(open)
	p.does(func(a arrival) error {
		if a.control == "M1" {
			<-gate
		}
		return fails(message.RefusedSend)
	})
	second.does(func(a arrival) error {
		if a.control == "M2" {
			return fails(message.Busy)
		}
		return nil
	})
	h.giveAll(2, "A", "B")
	h.eventually("the younger waits in the failure route", func() bool {
		d := h.queues()["lab/fallback"]
		return d.Waiting == 1 && len(second.list()) == 1
	})
	open()
	h.eventually("the older is delivered there", func() bool { return h.queues()["lab/fallback"].Delivered == 1 })
}

// A slowStore makes commits of answers wait, as a database does that is away
// for a moment.
type slowStore struct {
	store.Store
	gate     func(a store.Answer)
	finished func(o store.Outcome) // after the commit; may be nil
}

func (s slowStore) TakeOver(ctx context.Context, unit string, grace time.Duration) (store.Lease, error) {
	l, err := s.Store.TakeOver(ctx, unit, grace)
	if err != nil {
		return nil, err
	}
	return slowLease{l, s}, nil
}

type slowLease struct {
	store.Lease
	slow slowStore
}

func (l slowLease) Finish(ctx context.Context, o store.Outcome) error {
	err := l.Lease.Finish(ctx, o)
	if err == nil && l.slow.finished != nil {
		l.slow.finished(o)
	}
	return err
}

func (l slowLease) Answer(ctx context.Context, a store.Answer, next int64) (message.Delivery, error) {
	l.slow.gate(a)
	return l.Lease.Answer(ctx, a, next)
}

// TestAnAnswerThatIsWrittenLate lets the time of the next attempt pass before
// the answer that put it off is written: the delivery is still the head of its
// key then.
func TestAnAnswerThatIsWrittenLate(t *testing.T) {
	h := newHall(t)
	gate := make(chan struct{})
	var once sync.Once
	open := func() { once.Do(func() { close(gate) }) }
	t.Cleanup(open)
	reached := make(chan struct{}, 1)
	h.wrap = func(s store.Store) store.Store {
		return slowStore{Store: s, gate: func(a store.Answer) {
			if a.State == message.Waiting {
				select {
				case reached <- struct{}{}:
				default:
				}
				<-gate
			}
		}}
	}
	h.start(lab(", retry: { busy: " + fast + " }"))
	p := h.peer("out")
	p.does(func(a arrival) error {
		if a.control == "M1" && a.attempt == 1 {
			return fails(message.Busy)
		}
		return nil
	})
	h.giveAll(2, "A")
	h.giveAll(1, "B")
	<-reached
	h.eventually("another key goes on, and the time passes", func() bool { return h.queues()["lab/out"].Delivered == 1 })
	h.giveAll(20, "B")
	h.eventually("another key goes on", func() bool { return h.queues()["lab/out"].Delivered >= 21 })
	for _, a := range p.list() {
		if a.control == "M2" {
			t.Error("the follower was sent before the answer of the head was written")
		}
	}
	open()
	h.drained("lab/out", 23)
	if got := h.peer("out").list(); !slices.Equal(only(got, "A"), []string{"M1", "M1", "M2"}) {
		t.Errorf("of patient A arrived %v", only(got, "A"))
	}
}

// only are the control ids of a patient that arrived, in order.
func only(list []arrival, patient string) []string {
	var out []string
	for _, a := range list {
		if a.patient == patient {
			out = append(out, a.control)
		}
	}
	return out
}

// TestAMergeIsKnownWithItsDelivery lets a route read the delivery of a merge
// before the channel has told that keys were merged.
func TestAMergeIsKnownWithItsDelivery(t *testing.T) {
	h := newHall(t)
	var mu sync.Mutex
	held := true
	p := h.peer("out")
	p.does(func(a arrival) error {
		mu.Lock()
		defer mu.Unlock()
		if held && a.patient == "OLD" {
			return fails(message.Busy)
		}
		return nil
	})
	h.wrap = func(s store.Store) store.Store {
		return slowStore{Store: s, gate: func(store.Answer) {}, finished: func(o store.Outcome) {
			if o.Alias == "" {
				return
			}
			h.line.Poke("lab/out")
			h.give(order("M9", "OTHER")) // its arrival shows that the route has read
			h.eventually("the route has read", func() bool { return slices.Contains(controls(p.list()), "M9") })
		}}
	}
	h.start(lab(", retry: { busy: " + fast + " }"))
	h.giveAll(2, "OLD")
	h.eventually("both wait", func() bool { return h.queues()["lab/out"].Open() == 2 && len(p.list()) > 0 })
	h.give(merge("X", "NEW", "OLD"))
	h.eventually("the merge waits", func() bool { return h.queues()["lab/out"].Delivered >= 1 })
	for _, a := range p.list() {
		if a.patient == "NEW" {
			t.Fatalf("the merge arrived before what waits for the old patient: %v", controls(p.list()))
		}
	}
	mu.Lock()
	held = false
	mu.Unlock()
	h.drained("lab/out", 4)
}
