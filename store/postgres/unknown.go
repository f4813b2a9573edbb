package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

// A connection that is lost while a transaction is being committed leaves it
// unknown whether it was. Then what it wrote is read back by its key before
// anybody is answered or anything is repeated. Rows are read with a lock: the
// server may still be at the commit, and is waited for.

// errUnknown: the transaction was committed or not.
var errUnknown = errors.New("the connection was lost during the commit")

// transact runs f in a transaction. errUnknown: f has ended well, and it is not
// known whether it was committed; after any other error it was not.
func (s *Store) transact(ctx context.Context, f func(pgx.Tx) error) error {
	p, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = p.Rollback(ctx) }() // does nothing after a commit
	if err := f(p); err != nil {
		return err
	}
	err = p.Commit(ctx)
	if err == nil || refused(err) {
		return err
	}
	return errors.Join(errUnknown, err)
}

// refused reports whether the server has said that it did not commit. What the
// driver says of a connection that was lost tells nothing: also after the server
// was asked it may say that it is safe to try again.
func refused(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.SeverityUnlocalized == "ERROR" // others end the connection, perhaps after the commit
	}
	return errors.Is(err, pgx.ErrTxCommitRollback)
}

const (
	// askFor is how long it is tried to find out what became of a commit.
	askFor = 10 * time.Second
	// askEach is the pause between two tries.
	askEach = 100 * time.Millisecond
)

// asking bounds the time in which it is tried to find out what became of a commit,
// whatever became of who asked for it.
func asking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), askFor)
}

// ask reads until the database answers or ctx ends. After that nothing is known
// still, and whoever called repeats what is safe to repeat.
func (s *Store) ask(ctx context.Context, read func(context.Context) error) error {
	for {
		err := read(ctx)
		if err == nil || !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", store.ErrUnavailable, errUnknown)
		case <-time.After(askEach):
		}
	}
}

// askTx is ask over a lent connection.
func (s *Store) askTx(ctx context.Context, read func(context.Context, relational.Tx) error) error {
	return s.ask(ctx, func(ctx context.Context) error {
		return s.lend(ctx, func(t relational.Tx) error { return read(ctx, t) })
	})
}

// errNotCommitted is the answer where the transaction is known to be undone.
var errNotCommitted = fmt.Errorf("%w: the connection to the database was lost before the commit", store.ErrUnavailable)

// found turns what was read back into the answer of the call.
func found(written bool, err error) error {
	if err == nil && !written {
		err = errNotCommitted
	}
	return err
}

// finished answers an outcome whose commit is not known.
func (s *Store) finished(ctx context.Context, o *outcome) error {
	var written bool
	err := s.askTx(ctx, func(ctx context.Context, t relational.Tx) (err error) {
		written, err = o.finished.Written(ctx, t)
		return err
	})
	return found(written, err)
}

// answered answers a T3 or T4 whose commit is not known.
func (s *Store) answered(ctx context.Context, a *answer) {
	var written bool
	claimed := message.Delivery{}
	err := s.askTx(ctx, func(ctx context.Context, t relational.Tx) (err error) {
		if err := relational.Fence(ctx, t, a.lease.unit, a.lease.owner, a.lease.epoch); err != nil {
			return err
		}
		if a.answered != nil {
			if written, err = a.answered.Written(ctx, t, a.lease.unit); err != nil || !written || a.claim == 0 {
				return err
			}
		}
		claimed, err = relational.Claimed(ctx, t, a.lease.unit, a.claim, a.now)
		if a.answered == nil {
			written = claimed.N != 0
		}
		return err
	})
	if a.err = found(written, err); a.err == nil {
		a.claimed = claimed
	}
}

// operated answers a T6 whose commit is not known.
func (s *Store) operated(ctx context.Context, o store.Order, now time.Time) error {
	ctx, cancel := asking(ctx)
	defer cancel()
	var written bool
	err := s.askTx(ctx, func(ctx context.Context, t relational.Tx) (err error) {
		written, err = relational.Operated(ctx, t, o, now)
		return err
	})
	return found(written, err)
}

// wrote answers an API write whose commit is not known, by the versions that it
// would have made. One that creates has no row to wait for: it is looked for
// several times.
func (s *Store) wrote(ctx context.Context, out []store.Resource) error {
	ctx, cancel := asking(ctx)
	defer cancel()
	written := false
	for try := 0; try < 10 && !written; try++ {
		if try > 0 {
			select {
			case <-time.After(askEach):
			case <-ctx.Done():
			}
		}
		err := s.ask(ctx, func(ctx context.Context) (err error) {
			written, err = s.haveVersions(ctx, out)
			return err
		})
		if err != nil {
			return err
		}
	}
	return found(written, nil)
}

// haveVersions reports whether the versions of some resources are there.
func (s *Store) haveVersions(ctx context.Context, out []store.Resource) (bool, error) {
	for i := range out {
		got, err := s.ReadVersion(ctx, out[i].Type, out[i].ID, out[i].Version)
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && (!bytes.Equal(got.Content, out[i].Content) || got.Parts != out[i].Parts):
			return false, nil
		case err != nil && !errors.Is(err, store.ErrDeleted):
			return false, err
		}
	}
	return true, nil
}
