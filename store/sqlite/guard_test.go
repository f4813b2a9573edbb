package sqlite

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
	"github.com/plexus-health/plexus/store/storetest"
)

// pages bounds the size of the database, as a full disk does.
func pages(t *testing.T, s *Store, more int64) {
	t.Helper()
	err := s.writer.do(t.Context(), &op{small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		var n int64
		if err := s.writer.conn.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&n); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `PRAGMA max_page_count = `+strconv.FormatInt(n+more, 10))
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// together runs operations as one batch and returns their answers.
func together(t *testing.T, s *Store, ops ...*op) []error {
	t.Helper()
	held, gate := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = s.writer.do(context.Background(), &op{small: func(context.Context, relational.Tx, *relational.Ledger) error {
			close(held)
			<-gate
			return nil
		}})
	})
	<-held // the writer is busy: what comes now is gathered next
	for _, o := range ops {
		o.done = make(chan struct{})
		s.writer.smalls <- o
	}
	close(gate)
	errs := make([]error, len(ops))
	for i, o := range ops {
		select {
		case <-o.done:
			errs[i] = o.err
		case <-s.writer.failed:
			errs[i] = errFailed
		}
	}
	all.Wait()
	return errs
}

func unitOp(unit string) *op {
	return &op{small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		_, err := tx.Exec(ctx, `INSERT INTO units (unit, name) VALUES (?, ?)`, unit, unit)
		return err
	}}
}

func large(ctx context.Context, tx relational.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO setting (name, value) VALUES ('large', zeroblob(1000000))`)
	return err
}

func countUnits(t *testing.T, s *Store) int {
	t.Helper()
	units, err := s.Units(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(units)
}

// A disk that fills up in the middle of a batch undoes all of it, also what an
// operation wrote under a savepoint: nothing of it is there, nobody is told
// that it is, and the store goes on when there is room.
func TestAFullDiskUndoesTheWholeBatch(t *testing.T) {
	for name, whole := range map[string]bool{"in a savepoint": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			pages(t, s, 20)
			errs := together(t, s, unitOp("one"), unitOp("two"), &op{whole: whole, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
				return large(ctx, tx)
			}}, unitOp("three"))
			for i, err := range errs {
				if !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("operation %d was answered %v, want that the store is not available", i, err)
				}
			}
			if n := countUnits(t, s); n != 0 {
				t.Errorf("%d units of an undone batch are there", n)
			}
			pages(t, s, 100_000)
			if _, err := s.Record(t.Context(), storetest.Intake("c", "1", "x")); err != nil {
				t.Errorf("with room again: %v", err)
			}
		})
	}
}

// An operation that does not notice that the transaction was undone under it
// must not have the rest of the batch committed piece by piece.
func TestAnUnnoticedUndoEndsTheStore(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	pages(t, s, 20)
	errs := together(t, s, unitOp("one"), &op{small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		if err := large(ctx, tx); err == nil {
			t.Error("there was room")
		}
		_, err := tx.Exec(ctx, `INSERT INTO units (unit, name) VALUES ('half', 'half')`)
		if err == nil {
			t.Error("a statement after the undo was committed by itself")
		}
		return nil
	}}, unitOp("two"))
	for i, err := range errs {
		if err == nil {
			t.Errorf("operation %d was acknowledged", i)
		}
	}
	<-s.Failed()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := countUnits(t, open(t, folder)); n != 0 {
		t.Errorf("%d units are there after the restart", n)
	}
}
