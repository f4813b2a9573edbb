package relational

import (
	"context"

	"github.com/plexus-health/plexus/store"
)

// Number writes which number a delivery of a unit has, under the fence. Rows of
// deliveries that have ended go; a parked one may be sent again.
func Number(ctx context.Context, tx Tx, unit string, n, number int64) error {
	var sending int
	found, err := one(ctx, tx, `SELECT 1 FROM deliveries WHERE n = ? AND unit = ? AND state = 'sending'`, []any{n, unit}, &sending)
	if err != nil {
		return err
	}
	if !found {
		return store.ErrNotSending
	}
	from := number
	if from == 0 {
		from = 1<<63 - 1
	}
	if _, err := tx.Exec(ctx, `DELETE FROM numbers WHERE unit = ? AND (number >= ? OR delivery = ? OR NOT EXISTS (
SELECT 1 FROM deliveries WHERE deliveries.n = numbers.delivery AND deliveries.state IN ('waiting', 'sending', 'parked')))`, unit, from, n); err != nil {
		return err
	}
	if number == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, `INSERT INTO numbers (unit, number, delivery) VALUES (?, ?, ?)`, unit, number, n)
	return err
}

// Numbered is the number of a delivery, 0 where it has none.
func Numbered(ctx context.Context, tx Tx, unit string, n int64) (number int64, err error) {
	_, err = one(ctx, tx, `SELECT number FROM numbers WHERE unit = ? AND delivery = ?`, []any{unit, n}, &number)
	return number, err
}
