package channels

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
)

// TestClockJumps sets the clock of a running line ahead and back while a peer is
// busy: nothing is given up for its age, nothing waits for years, order holds.
func TestClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, jumps := range map[string][]time.Duration{
		"an hour ahead":               {time.Hour},
		"an hour back":                {-time.Hour},
		"ten years ahead":             {10 * year},
		"ten years ahead, then right": {10 * year, 0},
		"ten years back, then right":  {-10 * year, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			var jump atomic.Int64
			var busy atomic.Bool
			busy.Store(true)
			h.now = func() time.Time { return time.Now().Round(0).Add(time.Duration(jump.Load())) }
			p := h.peer("out")
			p.does(func(arrival) error {
				if busy.Load() {
					return fails(message.Busy)
				}
				return nil
			})
			h.start(lab(", retry: { busy: { first: 1ms, max: 20ms, for: 24h, then: park } }"))
			tries := func() int { return len(p.list()) }
			h.giveAll(4, "A", "B")
			h.eventually("the peer is busy", func() bool { return tries() >= 2 })
			for _, d := range jumps {
				jump.Store(int64(d))
				h.giveAll(2, "A", "B")
				before := tries()
				h.eventually("it is tried again under the new time", func() bool { return tries() > before+2 })
			}
			if q := h.queues()["lab/out"]; q.Parked != 0 {
				t.Errorf("the clock gave %d deliveries up", q.Parked)
			}
			busy.Store(false)
			n := 4 + 2*len(jumps)
			h.drained("lab/out", int64(n))
			for i, patient := range []string{"A", "B"} {
				var want []string
				for m := 1 + i; m <= n; m += 2 {
					want = append(want, fmt.Sprint("M", m))
				}
				if got := slices.Compact(only(p.list(), patient)); !slices.Equal(got, want) {
					t.Errorf("of patient %s arrived %v, want %v", patient, got, want)
				}
			}
		})
	}
}

// TestDueOf is when a delivery may be tried whose times were written by a clock
// that is not to be believed.
func TestDueOf(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	const year = 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		row  message.Delivery
		want time.Time
	}{
		"not put off":              {message.Delivery{}, time.Time{}},
		"made a moment ago":        {message.Delivery{Due: at(-time.Second)}, at(-time.Second)},
		"made by a clock ahead":    {message.Delivery{Due: at(year)}, now},
		"put off":                  {message.Delivery{Due: at(time.Minute), Answered: at(-time.Minute), Started: at(-2 * time.Minute)}, at(time.Minute)},
		"put off by a clock ahead": {message.Delivery{Due: at(year + time.Minute), Answered: at(year), Started: at(year - time.Second)}, at(time.Minute)},
		"taken over, with grace":   {message.Delivery{Due: at(30 * time.Second), Started: at(-10 * time.Second)}, at(30 * time.Second)},
		"tried before, taken over": {message.Delivery{Due: at(30 * time.Second), Started: at(-10 * time.Second), Answered: at(-time.Hour)}, at(30 * time.Second)},
	} {
		if got := dueOf(&c.row, now); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
