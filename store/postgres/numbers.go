package postgres

import (
	"context"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

var _ store.Numbers = (*lease)(nil)

// Number writes which number a delivery has. A commit of which it is not known
// whether it happened is an error: nothing is sent under the number then.
func (l *lease) Number(ctx context.Context, n, number int64) error {
	return l.fenced(ctx, func(t *tx, _ *relational.Ledger) error { return relational.Number(ctx, t, l.unit, n, number) })
}

// Numbered is the number of a delivery.
func (l *lease) Numbered(ctx context.Context, n int64) (number int64, err error) {
	err = l.fenced(ctx, func(t *tx, _ *relational.Ledger) (err error) {
		number, err = relational.Numbered(ctx, t, l.unit, n)
		return err
	})
	return number, err
}
