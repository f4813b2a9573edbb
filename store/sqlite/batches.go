package sqlite

import (
	"context"
	"time"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

var _ store.Bundler = (*lease)(nil)

// Bundle is T3 of a new file.
func (l *lease) Bundle(ctx context.Context, b store.Batch, at time.Time) (out store.Batch, err error) {
	now := l.store.options.Now()
	err = l.store.writer.do(ctx, &op{lease: l, whole: true, bytes: len(b.Payload) + 100*len(b.Deliveries), small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) (err error) {
		out, err = relational.Bundle(ctx, tx, l.unit, b, at, now, led)
		return err
	}})
	return out, err
}

// Resend is T3 of a file that is sent again.
func (l *lease) Resend(ctx context.Context, n int64) (b store.Batch, err error) {
	now := l.store.options.Now()
	err = l.store.writer.do(ctx, &op{lease: l, whole: true, small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) (err error) {
		b, err = relational.Resend(ctx, tx, l.unit, n, now, led)
		return err
	}})
	return b, err
}

// AnswerBatch is T4 of a file.
func (l *lease) AnswerBatch(ctx context.Context, n int64, answers []store.Answer) error {
	now := l.store.options.Now()
	size := 0
	for i := range answers {
		size += len(answers[i].Raw) + weight(nil, nil, answers[i].Intakes)
	}
	killpoint.Hit("before_answer")
	err := l.store.writer.do(ctx, &op{lease: l, whole: true, bytes: size, small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) error {
		return relational.SettleBatch(ctx, tx, l.unit, n, relational.AnsweredAll(answers, now), led)
	}})
	if err == nil {
		for i := range answers {
			relational.Started(l.store.trigger, nil, answers[i].Intakes)
		}
	}
	return err
}
