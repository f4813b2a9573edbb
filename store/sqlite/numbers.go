package sqlite

import (
	"context"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

var _ store.Numbers = (*lease)(nil)

// Number writes which number a delivery has.
func (l *lease) Number(ctx context.Context, n, number int64) error {
	return l.fenced(ctx, func(tx relational.Tx) error { return relational.Number(ctx, tx, l.unit, n, number) })
}

// Numbered is the number of a delivery.
func (l *lease) Numbered(ctx context.Context, n int64) (number int64, err error) {
	err = l.fenced(ctx, func(tx relational.Tx) (err error) {
		number, err = relational.Numbered(ctx, tx, l.unit, n)
		return err
	})
	return number, err
}

// fenced runs do in a transaction that begins with the fence.
func (l *lease) fenced(ctx context.Context, do func(tx relational.Tx) error) error {
	return l.store.writer.do(ctx, &op{whole: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		if err := relational.Fence(ctx, tx, l.unit, l.store.owner, l.epoch); err != nil {
			return err
		}
		return do(tx)
	}})
}
