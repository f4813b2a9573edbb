// Package memory is a queue inside one process. It forgets everything when the
// process ends, which the polls of the owners make good.
package memory

import (
	"context"
	"sync"
	"time"

	"github.com/plexus-health/plexus/queue"
)

// A Queue hands units out within the process. The zero value is ready.
type Queue struct {
	mu    sync.Mutex
	units map[string]*unit
	wake  chan struct{}
}

type unit struct {
	due     time.Time
	pending bool // to be handed out at due
	taken   bool
}

var _ queue.Queue = (*Queue)(nil)

// Push says that unit has work at due; the zero time means now.
func (q *Queue) Push(_ context.Context, name string, due time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.init()
	u := q.units[name]
	if u == nil {
		u = &unit{}
		q.units[name] = u
	}
	u.due, u.pending = due, true
	q.poke()
	return nil
}

func (q *Queue) init() {
	if q.units == nil {
		q.units, q.wake = map[string]*unit{}, make(chan struct{}, 1)
	}
}

func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Run hands units to take until ctx ends, each in a goroutine of its own.
func (q *Queue) Run(ctx context.Context, take func(context.Context, string) time.Time) error {
	q.mu.Lock()
	q.init()
	wake := q.wake
	q.mu.Unlock()
	var taking sync.WaitGroup
	defer taking.Wait()
	for {
		names, next := q.ready(time.Now())
		for _, name := range names {
			taking.Go(func() { q.done(name, take(ctx, name)) })
		}
		var due <-chan time.Time
		var timer *time.Timer
		if !next.IsZero() {
			timer = time.NewTimer(time.Until(next))
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-wake:
		case <-due:
		}
		if timer != nil {
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// ready marks the units that are due as taken and says when the next will be.
func (q *Queue) ready(now time.Time) (names []string, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, u := range q.units {
		switch {
		case u.taken || !u.pending:
		case !u.due.After(now):
			u.taken, u.pending = true, false
			names = append(names, name)
		case next.IsZero() || u.due.Before(next):
			next = u.due
		}
	}
	return names, next
}

// done puts a unit back: it comes again when it was pushed meanwhile or take
// named a time.
func (q *Queue) done(name string, again time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.units[name]
	u.taken = false
	switch {
	case u.pending:
	case again.IsZero():
		delete(q.units, name)
		return
	default:
		u.due, u.pending = again, true
	}
	q.poke()
}
