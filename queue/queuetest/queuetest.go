// Package queuetest is the conformance suite of queues: what the contract in
// package queue promises, tried on one implementation.
package queuetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-health/plexus/queue"
)

// patience bounds every wait of the suite; a healthy queue needs a fraction.
const patience = 30 * time.Second

// Run tries the promises that need no exact time. open returns an empty queue;
// it is called once for each test.
func Run(t *testing.T, open func(t *testing.T) queue.Queue) {
	tests := map[string]func(*testing.T, queue.Queue){
		"a unit that is pushed is taken":                taken,
		"a unit pushed before Run is taken":             pushedBefore,
		"the zero time ends a unit until the next":      zeroEnds,
		"a returned time brings the unit again":         comesAgain,
		"one unit is never in two calls":                neverTwice,
		"a push during take brings the unit again":      pushDuringTake,
		"Run returns after the last take":               runWaits,
		"Run may be called again and keeps what it had": runAgain,
		"a slow unit holds up no other":                 slowUnit,
		"nothing is forgotten under load":               load,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// RunTimed tries due times to the nanosecond, in a bubble of fake time. It is
// for queues that wait inside this process and nowhere else.
func RunTimed(t *testing.T, open func(t *testing.T) queue.Queue) {
	tests := map[string]func(*testing.T, queue.Queue){
		"a unit comes when it is due and not before": dueTime,
		"a push replaces the time pushed before":     pushReplaces,
		"a push during take does not delay its time": earlierOfTwo,
		"units come in the order of their times":     dueOrder,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, open(t)) })
		})
	}
}

// A running is a Run in the background.
type running struct {
	t    *testing.T
	stop context.CancelFunc
	done chan error
	once sync.Once
}

func start(t *testing.T, q queue.Queue, take func(context.Context, string) time.Time) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- q.Run(ctx, take) }()
	t.Cleanup(r.end)
	return r
}

// end ends Run and waits for it.
func (r *running) end() {
	r.once.Do(func() {
		r.stop()
		select {
		case err := <-r.done:
			if err != nil {
				r.t.Errorf("Run ended with %v, want nil", err)
			}
		case <-time.After(patience):
			r.t.Error("Run did not end")
		}
	})
}

func push(t *testing.T, q queue.Queue, unit string, due time.Time) {
	t.Helper()
	if err := q.Push(context.Background(), unit, due); err != nil {
		t.Fatalf("Push(%q): %v", unit, err)
	}
}

func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("not reached")
	}
}

func taken(t *testing.T, q queue.Queue) {
	units := make(chan string, 1)
	start(t, q, func(_ context.Context, unit string) time.Time { units <- unit; return time.Time{} })
	push(t, q, "channel/lab", time.Now())
	if got := receive(t, units, "the unit"); got != "channel/lab" {
		t.Errorf("took %q, want channel/lab", got)
	}
}

func pushedBefore(t *testing.T, q queue.Queue) {
	push(t, q, "channel/lab", time.Now().Add(-time.Hour))
	units := make(chan string, 1)
	start(t, q, func(_ context.Context, unit string) time.Time { units <- unit; return time.Time{} })
	receive(t, units, "the unit")
}

func zeroEnds(t *testing.T, q queue.Queue) {
	units := make(chan string, 100)
	start(t, q, func(_ context.Context, unit string) time.Time { units <- unit; return time.Time{} })
	push(t, q, "a", time.Now())
	receive(t, units, "a")
	// b after a: had a been left in, it would have come before.
	push(t, q, "b", time.Now())
	if got := receive(t, units, "b"); got != "b" {
		t.Errorf("took %q after its end, want b", got)
	}
	push(t, q, "a", time.Now())
	if got := receive(t, units, "a"); got != "a" {
		t.Errorf("took %q, want a after a new push", got)
	}
}

func comesAgain(t *testing.T, q queue.Queue) {
	units := make(chan string, 3)
	var calls atomic.Int32
	start(t, q, func(_ context.Context, unit string) time.Time {
		units <- unit
		if calls.Add(1) < 3 {
			return time.Now()
		}
		return time.Time{}
	})
	push(t, q, "a", time.Now())
	for range 3 {
		receive(t, units, "the unit")
	}
}

func neverTwice(t *testing.T, q queue.Queue) {
	const units, pushes = 5, 200
	var inside [units]atomic.Int32
	finished := make(chan struct{}, 10*units*pushes)
	start(t, q, func(_ context.Context, unit string) time.Time {
		var n int
		if _, err := fmt.Sscan(unit, &n); err != nil {
			t.Error(err)
			return time.Time{}
		}
		if inside[n].Add(1) != 1 {
			t.Errorf("unit %s is in two calls of take", unit)
		}
		for range 100 {
			_ = rand.Uint32() // hold it for a moment
		}
		inside[n].Add(-1)
		finished <- struct{}{}
		return time.Time{}
	})
	var pushers sync.WaitGroup
	for p := range 4 {
		random := rand.New(rand.NewPCG(1, uint64(p)))
		pushers.Go(func() {
			for range pushes {
				if err := q.Push(context.Background(), fmt.Sprint(random.IntN(units)), time.Now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	pushers.Wait()
	receive(t, finished, "a unit")
}

func pushDuringTake(t *testing.T, q queue.Queue) {
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	start(t, q, func(context.Context, string) time.Time {
		entered <- struct{}{}
		<-leave
		return time.Time{}
	})
	push(t, q, "a", time.Now())
	receive(t, entered, "the unit")
	push(t, q, "a", time.Now())
	select {
	case <-entered:
		t.Error("the unit came again while it was taken")
	default:
	}
	close(leave)
	receive(t, entered, "the unit after a push during take")
}

func runWaits(t *testing.T, q queue.Queue) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var left atomic.Bool
	r := start(t, q, func(context.Context, string) time.Time {
		close(entered)
		<-leave
		left.Store(true)
		return time.Time{}
	})
	push(t, q, "a", time.Now())
	receive(t, entered, "the unit")
	r.stop()
	select {
	case <-r.done:
		t.Fatal("Run returned while take was at work")
	default:
	}
	close(leave)
	r.end()
	if !left.Load() {
		t.Error("Run returned before take")
	}
}

func runAgain(t *testing.T, q queue.Queue) {
	entered := make(chan string, 10)
	take := func(_ context.Context, unit string) time.Time { entered <- unit; return time.Time{} }
	first := start(t, q, take)
	push(t, q, "a", time.Now())
	receive(t, entered, "a")
	first.end()
	push(t, q, "b", time.Now())
	start(t, q, take)
	if got := receive(t, entered, "b"); got != "b" {
		t.Errorf("took %q, want b", got)
	}
}

func slowUnit(t *testing.T, q queue.Queue) {
	leave, units := make(chan struct{}), make(chan string, 10)
	start(t, q, func(_ context.Context, unit string) time.Time {
		units <- unit
		if unit == "slow" {
			<-leave
		}
		return time.Time{}
	})
	defer close(leave)
	push(t, q, "slow", time.Now())
	receive(t, units, "slow")
	for i := range 5 {
		unit := fmt.Sprint("quick", i)
		push(t, q, unit, time.Now())
		if got := receive(t, units, unit); got != unit {
			t.Errorf("took %q, want %q", got, unit)
		}
	}
}

// load pushes work and checks the one promise that matters: whatever was
// there when it was pushed is seen by a take that begins after the push.
func load(t *testing.T, q queue.Queue) {
	const units, pushes = 20, 2_000
	var open [units]atomic.Int64
	left := make(chan struct{})
	var done atomic.Int64
	start(t, q, func(_ context.Context, unit string) time.Time {
		var n int
		if _, err := fmt.Sscan(unit, &n); err != nil {
			t.Error(err)
			return time.Time{}
		}
		if work := open[n].Swap(0); work > 0 && done.Add(work) == pushes {
			close(left)
		}
		return time.Time{}
	})
	random := rand.New(rand.NewPCG(2, 3))
	for range pushes {
		n := random.IntN(units)
		open[n].Add(1)
		push(t, q, fmt.Sprint(n), time.Now())
	}
	receive(t, left, "the last piece of work")
}

func dueTime(t *testing.T, q queue.Queue) {
	at := make(chan time.Time, 1)
	r := start(t, q, func(context.Context, string) time.Time { at <- time.Now(); return time.Time{} })
	defer r.end()
	for _, wait := range []time.Duration{time.Nanosecond, time.Second, 3 * time.Hour, 50 * time.Hour} {
		want := time.Now().Add(wait)
		push(t, q, "a", want)
		if got := <-at; !got.Equal(want) {
			t.Errorf("came %v after its time", got.Sub(want))
		}
	}
}

func pushReplaces(t *testing.T, q queue.Queue) {
	at := make(chan time.Time, 1)
	r := start(t, q, func(context.Context, string) time.Time { at <- time.Now(); return time.Time{} })
	defer r.end()
	for name, times := range map[string][2]time.Duration{
		"earlier": {time.Hour, time.Minute}, "later": {time.Minute, time.Hour},
	} {
		began := time.Now()
		push(t, q, name, began.Add(times[0]))
		synctest.Wait()
		push(t, q, name, began.Add(times[1]))
		if got := (<-at).Sub(began); got != times[1] {
			t.Errorf("%s: came after %v, want %v", name, got, times[1])
		}
		select {
		case <-at:
			t.Errorf("%s: came twice", name)
		case <-time.After(2 * time.Hour):
		}
	}
}

func earlierOfTwo(t *testing.T, q queue.Queue) {
	entered, leave := make(chan time.Time), make(chan struct{})
	r := start(t, q, func(context.Context, string) time.Time {
		entered <- time.Now()
		<-leave
		return time.Now().Add(time.Hour)
	})
	defer r.end()
	began := time.Now()
	push(t, q, "a", began)
	<-entered
	push(t, q, "a", began.Add(time.Minute))
	leave <- struct{}{}
	if got := (<-entered).Sub(began); got != time.Minute {
		t.Errorf("came again after %v, want the minute that was pushed during take", got)
	}
	leave <- struct{}{}
	if got := (<-entered).Sub(began); got != time.Hour+time.Minute {
		t.Errorf("came again after %v, want the hour that take returned", got)
	}
	close(leave)
}

func dueOrder(t *testing.T, q queue.Queue) {
	units := make(chan int, 100)
	r := start(t, q, func(_ context.Context, unit string) time.Time {
		var n int
		if _, err := fmt.Sscan(unit, &n); err != nil {
			t.Error(err)
		}
		units <- n
		return time.Time{}
	})
	defer r.end()
	began := time.Now()
	for _, n := range rand.New(rand.NewPCG(4, 5)).Perm(50) {
		push(t, q, fmt.Sprint(n), began.Add(time.Duration(n)*time.Second))
	}
	for want := range 50 {
		if got := <-units; got != want {
			t.Fatalf("unit %d came in place of %d", got, want)
		}
	}
}
