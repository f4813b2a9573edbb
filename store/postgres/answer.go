package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

// An answer is a T3 or T4 that waits for its commit.
type answer struct {
	lease    *lease
	answered *relational.Answered // nil: nothing was sent before
	claim    int64                // 0: nothing is claimed
	now      time.Time
	claimed  message.Delivery
	err      error
	done     chan struct{}
}

// answerer groups claims and answers over one connection.
func (s *Store) answerer(ctx context.Context, shard int) {
	for {
		batch := take(ctx, s.closing, s.answers, 64)
		if len(batch) == 0 {
			return
		}
		s.answer(context.WithoutCancel(ctx), batch, shard)
		for _, a := range batch {
			close(a.done)
		}
	}
}

// answer commits a group; when that fails for one of them, each by itself.
func (s *Store) answer(ctx context.Context, batch []*answer, shard int) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := s.answerTogether(ctx, batch, shard)
	switch {
	case err == nil:
	case len(batch) == 1 || errors.Is(err, store.ErrUnavailable):
		for _, a := range batch {
			a.failed(err)
		}
	default:
		for _, a := range batch {
			if err := s.answerTogether(ctx, []*answer{a}, shard); err != nil {
				a.failed(err)
			}
		}
	}
	ctx, ended := asking(ctx)
	defer ended()
	for _, a := range batch {
		if errors.Is(a.err, errUnknown) {
			s.answered(ctx, a)
		}
	}
}

// failed gives an answer the error of its transaction. One that wrote nothing
// keeps its own, whatever became of the others.
func (a *answer) failed(err error) {
	if a.err == nil || !errors.Is(err, errUnknown) {
		a.err = err
	}
	a.claimed = message.Delivery{}
}

func (s *Store) answerTogether(ctx context.Context, batch []*answer, shard int) error {
	err := s.transact(ctx, func(p pgx.Tx) error {
		t, led := &tx{p}, &relational.Ledger{}
		fenced := map[*lease]error{}
		for _, a := range batch {
			a.err, a.claimed = nil, message.Delivery{}
			fence, known := fenced[a.lease]
			if !known {
				fence = a.lease.fence(ctx, t)
				fenced[a.lease] = fence
			}
			if err := a.own(fence); err != nil || a.err != nil {
				if err != nil {
					return err
				}
				continue
			}
			if err := a.own(a.write(ctx, p, led)); err != nil {
				return err
			}
		}
		return led.Write(ctx, t, s.shard(shard))
	})
	return plain(err)
}

// fence is that of T3 and T4. Whoever has found barriers in the unit takes it for
// itself the next time.
func (l *lease) fence(ctx context.Context, t *tx) error {
	barred, err := relational.FenceBarred(ctx, t, l.unit, l.owner, l.epoch, l.barred.Load())
	if err == nil {
		l.barred.Store(barred)
	}
	return err
}

// own keeps what is the answer's own error; others concern the transaction.
func (a *answer) own(err error) error {
	for _, own := range []error{store.ErrFenced, store.ErrNotSending, store.ErrNotWaiting} {
		if errors.Is(err, own) {
			a.err = err
			return nil
		}
	}
	return err
}

// write is T4 and T3 of one delivery each.
func (a *answer) write(ctx context.Context, p pgx.Tx, led *relational.Ledger) error {
	t := &tx{p}
	if a.answered != nil {
		if err := a.answered.Settle(ctx, t, a.lease.unit, led); err != nil {
			return err // ErrNotSending comes before anything was written
		}
		if a.lease.barred.Load() && a.answered.Closes() {
			if err := relational.Barriers(ctx, t, a.lease.unit); err != nil {
				return err
			}
		}
	}
	if a.claim == 0 {
		return nil
	}
	var err error
	a.claimed, err = relational.Claim(ctx, t, a.lease.unit, a.claim, a.now, led)
	if a.answered != nil && errors.Is(err, store.ErrNotWaiting) {
		return nil
	}
	return err
}

// hand hands a claim or answer over and waits for its commit.
func (l *lease) hand(ctx context.Context, a *answer) (message.Delivery, error) {
	a.lease, a.now, a.done = l, l.store.options.Now(), make(chan struct{})
	select {
	case <-l.store.closing:
		return message.Delivery{}, errClosed
	default:
	}
	select {
	case l.store.answers <- a:
	case <-ctx.Done():
		return message.Delivery{}, ctx.Err()
	case <-l.store.closing:
		return message.Delivery{}, errClosed
	}
	select {
	case <-a.done:
		return a.claimed, a.err
	case <-l.store.ended:
		return message.Delivery{}, errClosed
	}
}

// Valid reports whether the last beat of this engine is young enough.
func (l *lease) Valid() bool {
	return l.owner == *l.store.owner.Load() && int64(bootTime()) < l.store.until.Load()
}

// Claim is T3.
func (l *lease) Claim(ctx context.Context, n int64) (message.Delivery, error) {
	return l.hand(ctx, &answer{claim: n})
}

// Answer is T4, and T3 of next.
func (l *lease) Answer(ctx context.Context, a store.Answer, next int64) (message.Delivery, error) {
	killpoint.Hit("before_answer")
	d, err := l.hand(ctx, &answer{answered: relational.AnsweredOf(&a, l.store.options.Now()), claim: next})
	if err == nil {
		relational.Started(l.store.trigger, nil, a.Intakes)
	}
	return d, err
}
