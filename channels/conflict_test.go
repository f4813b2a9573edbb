package channels

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A contrary store refuses every outcome of the first message, until it relents.
type contrary struct {
	store.Store
	calls   atomic.Int64
	relents atomic.Bool
	seq     atomic.Int64
}

func (s *contrary) TakeOver(ctx context.Context, unit string, grace time.Duration) (store.Lease, error) {
	l, err := s.Store.TakeOver(ctx, unit, grace)
	if err != nil {
		return nil, err
	}
	return contraryLease{l, s}, nil
}

type contraryLease struct {
	store.Lease
	s *contrary
}

func (l contraryLease) Finish(ctx context.Context, o store.Outcome) error {
	l.s.seq.CompareAndSwap(0, o.Seq) // the first that comes
	if l.s.seq.Load() == o.Seq && !l.s.relents.Load() {
		l.s.calls.Add(1)
		return store.ErrConflict
	}
	return l.Lease.Finish(ctx, o)
}

// TestAConflictThatDoesNotPass holds up its own key only, is tried a bounded
// number of times before it is put off, and ends when it passes.
func TestAConflictThatDoesNotPass(t *testing.T) {
	h := newHall(t)
	s := &contrary{}
	h.wrap = func(between store.Store) store.Store {
		s.Store = between
		return s
	}
	h.start(lab(""))
	h.giveAll(1, "A")
	putOff := func() int64 { return int64(strings.Count(h.logged(), "message stays stored and is tried again")) }
	h.eventually("it is put off", func() bool { return putOff() >= 1 })
	calls := s.calls.Load()
	if most := conflicts * (putOff() + 1); calls < conflicts || calls > most {
		t.Errorf("%d attempts, want %d to %d", calls, conflicts, most)
	}
	h.giveAll(3, "B")
	h.eventually("another key goes on", func() bool { return h.queues()["lab/out"].Delivered == 3 })
	s.relents.Store(true)
	h.drained("lab/out", 4)
	m, err := h.store.Load(t.Context(), s.seq.Load())
	if err != nil || m.State != message.Done {
		t.Errorf("it is %v %v", m.State, err)
	}
}

func TestConflictPausesGrow(t *testing.T) {
	for attempt := conflictsAtOnce; attempt < conflicts; attempt++ {
		if p := conflictPause(attempt); p <= 0 || p > 250*time.Millisecond {
			t.Errorf("pause after attempt %d is %v", attempt, p)
		}
	}
}
