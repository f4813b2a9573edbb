package channels

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/storetest"
)

// TestWhatIsKept takes content away when the time of its channel has come, of
// nothing else, and by no clock that was set far ahead by mistake.
func TestWhatIsKept(t *testing.T) {
	h := newHall(t)
	h.keepEach = 5 * time.Millisecond
	var ahead atomic.Int64
	h.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	p := h.peer("out")
	held := make(chan struct{})
	p.does(func(a arrival) error {
		if a.patient == "SLOW" {
			<-held
		}
		return nil
	})
	t.Cleanup(func() {
		select {
		case <-held:
		default:
			close(held)
		}
	})
	config := ""
	for name, keep := range map[string]string{"short": "1ms", "long": "90d"} {
		config += fmt.Sprintf(`  - name: %s
    source: { hand: { name: %s } }
    parse: hl7v2
    keep: %s
    routes: [ { name: out, to: { hand: { connections: 4 } } } ]
`, name, name, keep)
	}
	h.start(config)
	hand := func(source, control, patient string) message.Reply {
		t.Helper()
		return h.handTo(source, &message.Message{Raw: []byte(order(control, patient)), Peer: "test"})
	}
	give := func(source, control, patient string) int64 {
		t.Helper()
		hand(source, control, patient)
		rows, err := h.store.List(t.Context(), store.Filter{Control: control})
		if err != nil || len(rows) != 1 {
			t.Fatalf("%s is recorded as %v %v", control, rows, err)
		}
		return rows[0].Seq
	}
	gone := func(seq int64) bool {
		m, err := h.store.Load(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		return !m.Pruned.IsZero()
	}
	open := give("short", "S1", "SLOW")
	first, long := give("short", "S2", "A"), give("long", "L1", "A")
	h.eventually("what has ended is taken away", func() bool { return gone(first) })
	ahead.Store(int64(10 * 365 * 24 * time.Hour))
	second := give("short", "S3", "B")
	h.eventually("the jump is noticed", func() bool { return strings.Contains(h.logged(), "the clock has gone far ahead") })
	ahead.Store(0)
	third := give("short", "S4", "C")
	h.eventually("messages go by the right time again", func() bool { return gone(third) })
	if gone(second) {
		t.Error("what says that it was recorded in ten years was taken away")
	}
	if gone(long) {
		t.Error("a clock ten years ahead took away what is kept for 90 days")
	}
	if gone(open) {
		t.Error("a message that is being sent lost its content")
	}
	close(held)
	h.eventually("and when it has ended it goes too", func() bool { return gone(open) })
	if again := hand("short", "S2", "A"); again.Answer.Code != message.Accepted {
		t.Errorf("a copy was answered %+v", again.Answer)
	}
	rows, err := h.store.List(t.Context(), store.Filter{Control: "S2"})
	if err != nil || len(rows) != 1 {
		t.Errorf("a copy of what is not kept any more was taken as new: %v %v", rows, err)
	}
}

// TestKeepClock is the time that is believed when the clock is set.
func TestKeepClock(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const hour, day, year = time.Hour, 24 * time.Hour, 365 * 24 * time.Hour
	type step struct {
		at, wall time.Duration // since the start: by the clock that nobody sets, and by the other
		want     time.Duration
		held     bool
	}
	for name, c := range map[string]struct {
		known time.Duration // when a message came last
		steps []step
	}{
		"runs":                   {0, []step{{hour, hour, hour, false}, {30 * day, 30 * day, 30 * day, false}}},
		"an hour more in summer": {0, []step{{hour, 2 * hour, 2 * hour, false}, {2 * hour, 3 * hour, 3 * hour, false}}},
		"an hour less in winter": {0, []step{{hour, 0, 0, false}, {2 * hour, hour, hour, false}}},
		"ten years ahead, and back": {0, []step{
			{hour, 10*year + hour, hour, true}, {2 * hour, 10*year + 2*hour, 2 * hour, true}, {3 * hour, 3 * hour, 3 * hour, false}, {4 * hour, 4 * hour, 4 * hour, false},
		}},
		"a year ahead for good": {0, []step{
			{hour, year, hour, true}, {20 * hour, year + 19*hour, 20 * hour, true}, {26 * hour, year + 25*hour, year + 25*hour, false}, {27 * hour, year + 26*hour, year + 26*hour, false},
		}},
		"ahead by more and more":     {0, []step{{hour, year, hour, true}, {20 * hour, 2 * year, 20 * hour, true}, {26 * hour, 2*year + 6*hour, 26 * hour, true}, {45 * hour, 2*year + 25*hour, 2*year + 25*hour, false}}},
		"back, and right again":      {0, []step{{hour, -year, -year, false}, {2 * hour, 2 * hour, -year + hour, true}, {27 * hour, 27 * hour, 27 * hour, false}}},
		"wrong at the start":         {-10 * year, []step{{hour, hour, -10*year + 7*day + hour, true}, {26 * hour, 26 * hour, 26 * hour, false}}},
		"idle for days at the start": {-6 * day, []step{{hour, hour, hour, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			var clock clock
			clock.begin(start, start.Add(c.known), 0)
			for i, s := range c.steps {
				got, held := clock.read(start.Add(s.wall), s.at)
				if got.Sub(start) != s.want || held != s.held {
					t.Errorf("step %d: %v, held %v; want %v, %v", i, got.Sub(start), held, s.want, s.held)
				}
			}
		})
	}
}

// TestKeeperGoesFromBlockToBlock has more messages than are looked at at once.
func TestKeeperGoesFromBlockToBlock(t *testing.T) {
	h := newHall(t)
	h.keepEach = 24 * time.Hour // the passes are the test's
	var ahead atomic.Int64
	h.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	h.start(lab(""))
	lease, err := h.store.TakeOver(t.Context(), "gone", 0)
	if err != nil {
		t.Fatal(err)
	}
	const n = keepBlock + 60
	parked := map[int64]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for i := w; i < n; i += 16 {
				in := storetest.Intake("gone", fmt.Sprint(i), fmt.Sprint(i))
				e, err := h.store.Record(t.Context(), in)
				if err != nil {
					t.Error(err)
					return
				}
				o := store.Outcome{Seq: e.Seq, State: message.Filtered}
				if e.Seq == 5 || e.Seq == keepBlock+5 { // one in each block
					o.State = message.Parked
					mu.Lock()
					parked[e.Seq] = e.ID
					mu.Unlock()
				}
				if err := lease.Finish(t.Context(), o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	h.eventually("the first pass is over", h.line.clock.isSet)
	k := &keeper{line: h.line}
	pass := func(after time.Duration) (left int) {
		t.Helper()
		ahead.Add(int64(after))
		h.line.clock.begin(h.now().Round(0), h.now().Round(0), time.Since(started))
		if err := k.pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := h.store.List(t.Context(), store.Filter{Channel: "gone", Limit: n + 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rows {
			if m.Pruned.IsZero() {
				left++
			}
		}
		return left
	}
	if left := pass(0); left != n {
		t.Errorf("%d of %d are left before their time", left, n)
	}
	if left := pass(91 * 24 * time.Hour); left != len(parked) {
		t.Errorf("%d are left, want the %d that are parked", left, len(parked))
	}
	if err := h.store.Operate(t.Context(), store.Order{Action: store.ActDrop, Message: parked[5], Who: "ann", Why: "w"}); err != nil {
		t.Fatal(err)
	}
	if left := pass(91 * 24 * time.Hour); left != 1 {
		t.Errorf("%d are left, want the one that is parked still", left)
	}
	if left := pass(time.Hour); left != 1 || k.first != 1 {
		t.Errorf("%d are left and %d blocks are done with, want 1 and 1", left, k.first)
	}
}
