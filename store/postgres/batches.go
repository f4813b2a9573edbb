package postgres

import (
	"context"
	"time"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

var _ store.Bundler = (*lease)(nil)

// fenced runs a transaction of the unit's owner.
func (l *lease) fenced(ctx context.Context, f func(t *tx, led *relational.Ledger) error) error {
	return l.store.inTx(ctx, func(t *tx, led *relational.Ledger) error {
		if err := relational.Fence(ctx, t, l.unit, l.owner, l.epoch); err != nil {
			return err
		}
		return f(t, led)
	})
}

// Bundle is T3 of a new file.
func (l *lease) Bundle(ctx context.Context, b store.Batch, at time.Time) (out store.Batch, err error) {
	err = l.fenced(ctx, func(t *tx, led *relational.Ledger) (err error) {
		out, err = relational.Bundle(ctx, t, l.unit, b, at, l.store.options.Now(), led)
		return err
	})
	return out, err
}

// Resend is T3 of a file that is sent again.
func (l *lease) Resend(ctx context.Context, n int64) (b store.Batch, err error) {
	err = l.fenced(ctx, func(t *tx, led *relational.Ledger) (err error) {
		b, err = relational.Resend(ctx, t, l.unit, n, l.store.options.Now(), led)
		return err
	})
	return b, err
}

// AnswerBatch is T4 of a file.
func (l *lease) AnswerBatch(ctx context.Context, n int64, answers []store.Answer) error {
	killpoint.Hit("before_answer")
	err := l.store.inTx(ctx, func(t *tx, led *relational.Ledger) error {
		if err := relational.Alone(ctx, t, l.unit); err != nil {
			return err
		}
		if err := relational.Fence(ctx, t, l.unit, l.owner, l.epoch); err != nil {
			return err
		}
		return relational.SettleBatch(ctx, t, l.unit, n, relational.AnsweredAll(answers, l.store.options.Now()), led)
	})
	if err == nil {
		for i := range answers {
			relational.Started(l.store.trigger, nil, answers[i].Intakes)
		}
	}
	return err
}
