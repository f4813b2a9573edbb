package channels

import (
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
)

func TestGivenUpByAgeAndAttempts(t *testing.T) {
	h := newHall(t)
	h.start(lab(", retry: { busy: { first: 1ms, max: 2ms, attempts: 3 }, down: { first: 1ms, max: 2ms, for: 1ms, then: stop } }"))
	p := h.peer("out")
	p.does(func(a arrival) error { return fails(message.Busy) })
	h.giveAll(1, "A")
	h.eventually("it parks", func() bool { return h.queues()["lab/out"].Parked == 1 })
	if n := len(p.list()); n != 3 {
		t.Errorf("sent %d times, want 3", n)
	}
	p.does(func(a arrival) error { return fails(message.Down) })
	h.giveAll(1, "B")
	h.eventually("the route is held", func() bool { return h.queues()["lab/out"].Held != "" })
}

func TestBackOffGrowsUpToItsLimit(t *testing.T) {
	policy := routes.Retry{First: time.Second, Max: 5 * time.Minute, Factor: 2}
	for n := 1; n <= 40; n++ {
		for range 50 {
			got := pause(policy, n)
			limit := time.Second << min(n-1, 10)
			limit = min(limit, 5*time.Minute)
			if got <= 0 || got > limit {
				t.Fatalf("pause %d is %s, want at most %s and more than nothing", n, got, limit)
			}
		}
	}
}
