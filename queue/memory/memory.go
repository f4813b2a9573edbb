// Package memory is the queue of a single engine: tickets in a heap by their
// time, forgotten when the process ends.
package memory

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/plexus-health/plexus/queue"
)

// A Queue holds one ticket for each unit. Its zero value is ready for use.
type Queue struct {
	// Units bounds the number of different units. 0: 100,000.
	Units int

	mu      sync.Mutex
	tickets map[string]*ticket
	due     dues          // tickets that wait, by time
	changed chan struct{} // closed and replaced when the earliest time may have changed
}

var _ queue.Queue = (*Queue)(nil)

// ErrFull says that the queue holds as many units as it may.
var ErrFull = errors.New("the queue holds as many units as it may")

// A ticket is one unit that has work.
type ticket struct {
	unit  string
	due   time.Time
	place int // in the heap; -1: not there

	taken  bool
	again  bool // pushed while it was taken
	pushed time.Time
}

// Push says that unit has work at due; it replaces what was pushed before. It
// fails with ErrFull, or when ctx has ended.
func (q *Queue) Push(ctx context.Context, unit string, due time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tickets[unit]
	if t == nil {
		limit := q.Units
		if limit <= 0 {
			limit = 100_000
		}
		if len(q.tickets) >= limit {
			return ErrFull
		}
		if q.tickets == nil {
			q.tickets = map[string]*ticket{}
		}
		t = &ticket{unit: unit, place: -1}
		q.tickets[unit] = t
	}
	if t.taken {
		t.again, t.pushed = true, due
		return nil
	}
	q.schedule(t, due)
	return nil
}

// schedule puts a ticket into the heap, or moves it there.
func (q *Queue) schedule(t *ticket, due time.Time) {
	t.due = due
	if t.place < 0 {
		heap.Push(&q.due, t)
	} else {
		heap.Fix(&q.due, t.place)
	}
	if t.place == 0 {
		q.wake()
	}
}

// wake tells whoever waits to look again.
func (q *Queue) wake() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// Run hands units to take, each in its own goroutine, until ctx ends, and
// returns nil after the last call of take has returned.
func (q *Queue) Run(ctx context.Context, take func(ctx context.Context, unit string) time.Time) error {
	var takes sync.WaitGroup
	defer takes.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		t, wait, changed := q.next(time.Now())
		if t != nil {
			takes.Go(func() { q.taking(ctx, t, take) })
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
	}
	return nil
}

// next takes the ticket that is due, or says how long none will be and what
// tells of a change before.
func (q *Queue) next(now time.Time) (*ticket, time.Duration, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wait := time.Hour
	if len(q.due) > 0 {
		if wait = q.due[0].due.Sub(now); wait <= 0 {
			t := heap.Pop(&q.due).(*ticket) //nolint:forcetypeassert // it holds nothing else
			t.taken = true
			return t, 0, nil
		}
	}
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return nil, wait, q.changed
}

// taking is one call of take and what follows of it.
func (q *Queue) taking(ctx context.Context, t *ticket, take func(context.Context, string) time.Time) {
	var due time.Time
	defer func() { // also when take panics: the ticket must not stay taken
		q.mu.Lock()
		defer q.mu.Unlock()
		t.taken = false
		switch {
		case t.again:
			t.again = false
			if !due.IsZero() && due.Before(t.pushed) {
				t.pushed = due
			}
			q.schedule(t, t.pushed)
		case !due.IsZero():
			q.schedule(t, due)
		default:
			delete(q.tickets, t.unit)
		}
	}()
	due = take(ctx, t.unit)
}

// dues is a heap of tickets by their time.
type dues []*ticket

func (d dues) Len() int           { return len(d) }
func (d dues) Less(i, j int) bool { return d[i].due.Before(d[j].due) }

func (d dues) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push is of container/heap.
func (d *dues) Push(x any) {
	t := x.(*ticket) //nolint:forcetypeassert // it is given nothing else
	t.place = len(*d)
	*d = append(*d, t)
}

// Pop is of container/heap.
func (d *dues) Pop() any {
	last := len(*d) - 1
	t := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	t.place = -1
	return t
}
