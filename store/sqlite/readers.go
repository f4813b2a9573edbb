package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/plexus-health/plexus/store/relational"
)

// readFor bounds one use of a reading connection: a read that lasts keeps the
// log from being moved.
const readFor = 30 * time.Second

// A lending is the connections that read, each with the statements it has
// prepared: half the price of a small query is its preparation.
type lending struct {
	db   *sql.DB
	free chan *statements
}

// openReaders opens n connections that can only read.
func openReaders(ctx context.Context, dsn string, n int) (*lending, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	l := &lending{db: db, free: make(chan *statements, n)}
	for range n {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reader: %w", err), l.close())
		}
		l.free <- newStatements(conn, preparedRead)
	}
	return l, nil
}

// lend lends a reading connection, for at most half a minute.
func (l *lending) lend(ctx context.Context, f func(relational.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, readFor)
	defer cancel()
	select {
	case r := <-l.free:
		err := f(r)
		if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
			return errors.Join(err, l.renew(r))
		}
		l.free <- r
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// renew puts a new connection in the place of one that is of no use any more.
func (l *lending) renew(r *statements) error {
	_ = r.close() // it is broken
	conn, err := l.db.Conn(context.Background())
	if err != nil {
		l.free <- r // the next who gets it tries again
		return err
	}
	l.free <- newStatements(conn, preparedRead)
	return nil
}

// close closes the connections that nobody uses, and the pool.
func (l *lending) close() error {
	var err error
	for range len(l.free) {
		err = errors.Join(err, (<-l.free).close())
	}
	return errors.Join(err, l.db.Close())
}
