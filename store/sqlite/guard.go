package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
)

// A guard watches what SQLite does with the writer's transaction by itself. A
// full disk, a fault of reading or writing and a lack of memory can undo the
// whole transaction in the middle of a batch; what is run after that would be
// committed statement by statement. Only the writer's goroutine looks at it: the
// hooks run inside of its own calls.
type guard struct {
	undone bool // the transaction was undone since it began
	asked  bool // a commit was asked for: no other is let happen
}

// errUndone: nothing of the batch is in the database.
var errUndone = errors.New("the database has undone the transaction by itself")

// watch sets the guard over a connection.
func (g *guard) watch(conn *sql.Conn) error {
	return conn.Raw(func(c any) error {
		hooks, ok := c.(interface {
			RegisterCommitHook(callback driver.CommitHookFn)
			RegisterRollbackHook(callback driver.RollbackHookFn)
		})
		if !ok {
			return fmt.Errorf("%T tells nothing of commits", c)
		}
		hooks.RegisterCommitHook(func() int32 {
			if g.asked && !g.undone {
				return 0
			}
			return 1 // undone in place of being committed
		})
		hooks.RegisterRollbackHook(func() { g.undone = true })
		return nil
	})
}

// because returns cause as what undid the batch, if it was undone.
func (g *guard) because(cause error) error {
	if !g.undone {
		return nil
	}
	return errors.Join(errUndone, cause)
}

// begin begins a transaction of the writer.
func (w *writer) begin(ctx context.Context) error {
	if _, err := w.tx.Exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	w.guard.undone = false
	return nil
}

// end commits it, unless SQLite has undone it.
func (w *writer) end(ctx context.Context) error {
	if err := w.guard.because(nil); err != nil {
		return err
	}
	w.guard.asked = true
	_, err := w.tx.Exec(ctx, `COMMIT`)
	w.guard.asked = false
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// back undoes it; SQLite may have done so by itself.
func (w *writer) back(ctx context.Context) { _, _ = w.conn.ExecContext(ctx, `ROLLBACK`) }

// alone runs what nobody waits for in a transaction of its own.
func (w *writer) alone(ctx context.Context, f func() error) error {
	if err := w.begin(ctx); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = w.end(ctx)
	}
	if err != nil {
		w.back(ctx)
	}
	return err
}
