package channels

import (
	"fmt"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// counted is how many messages of the channel lab are in a state.
func (h *hall) counted(state message.State) (n int64) {
	h.t.Helper()
	counts, err := h.store.Ledger(h.t.Context())
	must(h.t, err)
	for _, c := range counts {
		if c.Channel == "lab" && c.State == state {
			n += c.N
		}
	}
	return n
}

// giveMany hands over n messages at once by several, whose control ids and
// patients are those that name says.
func (h *hall) giveMany(n int, name func(i int) (control, patient string)) {
	var givers sync.WaitGroup
	for g := range 16 {
		givers.Go(func() {
			for i := g; i < n; i += 16 {
				h.give(order(name(i)))
			}
		})
	}
	givers.Wait()
}

// TestManyThatStopHoldOnlyTheirKeys parks more messages that hold their keys than
// an owner knows at once: those of other patients go on, and what is decided about
// one that parked is done.
func TestManyThatStopHoldOnlyTheirKeys(t *testing.T) {
	h := newHall(t)
	h.start(strictLab(true))
	const many = window + 100
	h.giveMany(many, func(i int) (string, string) { return fmt.Sprint("B", i), fmt.Sprint("P", i) })
	h.eventually("all have parked", func() bool { return h.counted(message.Parked) == many })
	h.giveMany(50, func(i int) (string, string) { return fmt.Sprint("M", i), fmt.Sprint("Q", i) })
	h.eventually("others go on", func() bool { return h.counted(message.Done) == 50 })
	list, err := h.store.List(t.Context(), store.Filter{Control: "B7"})
	must(t, err)
	h.give(order("M-7", "P7"))
	must(t, h.store.Operate(t.Context(), store.Order{Action: store.ActDrop, Message: list[0].ID, Who: "ann", Why: "a test"}))
	h.line.Poke("lab")
	h.eventually("what waited for it goes on", func() bool { return h.counted(message.Done) == 51 })
}

// TestWhatWaitsForMessagesThatStopIsNotInTheWay lets many messages wait for a few
// that parked and hold their keys: those of other patients go on.
func TestWhatWaitsForMessagesThatStopIsNotInTheWay(t *testing.T) {
	h := newHall(t)
	h.start(strictLab(true))
	const held = window/perKey + 8
	h.giveMany(held, func(i int) (string, string) { return fmt.Sprint("B", i), fmt.Sprint("P", i) })
	h.eventually("all have parked", func() bool { return h.counted(message.Parked) == held })
	const many = held * (perKey + 2)
	h.giveMany(many, func(i int) (string, string) { return fmt.Sprint("M", i), fmt.Sprint("P", i%held) })
	h.giveMany(50, func(i int) (string, string) { return fmt.Sprint("N", i), fmt.Sprint("Q", i) })
	h.eventually("others go on", func() bool { return h.counted(message.Done) == 50 })
	must(t, h.line.Apply(h.load(strictLab(false))))
	list, err := h.store.List(t.Context(), store.Filter{State: message.Parked, Limit: held})
	must(t, err)
	for _, m := range list {
		must(t, h.store.Operate(t.Context(), store.Order{Action: store.ActReprocess, Message: m.ID, Who: "ann", Why: "a test"}))
	}
	h.line.Poke("lab")
	h.eventually("all have ended", func() bool { return h.counted(message.Done) == 50+held+many })
}
