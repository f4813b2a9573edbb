package sqlite

import (
	"context"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

var _ store.Numbers = (*lease)(nil)

// Number writes which number a delivery has.
func (l *lease) Number(ctx context.Context, n, number int64) error {
	return l.small(ctx, func(ctx context.Context, tx relational.Tx) error {
		return relational.Number(ctx, tx, l.unit, n, number)
	})
}

// Numbered is the number of a delivery.
func (l *lease) Numbered(ctx context.Context, n int64) (number int64, err error) {
	err = l.small(ctx, func(ctx context.Context, tx relational.Tx) (err error) {
		number, err = relational.Numbered(ctx, tx, l.unit, n)
		return err
	})
	return number, err
}
