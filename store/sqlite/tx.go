package sqlite

import (
	"context"
	"database/sql"

	"github.com/plexus-health/plexus/store/relational"
)

// readTx reads over one connection.
type readTx struct{ conn *sql.Conn }

var _ relational.Tx = readTx{}

// Dialect is SQLite.
func (readTx) Dialect() relational.Dialect { return relational.SQLite }

// Exec runs a statement.
func (t readTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.conn.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Query runs a query.
func (t readTx) Query(ctx context.Context, query string, args ...any) (relational.Rows, error) {
	return t.conn.QueryContext(ctx, query, args...) //nolint:sqlclosecheck,rowserrcheck // the caller reads and closes
}

// writeTx writes over the writer's connection with statements that are
// prepared once.
type writeTx struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

var _ relational.Tx = (*writeTx)(nil)

// Dialect is SQLite.
func (*writeTx) Dialect() relational.Dialect { return relational.SQLite }

// maxPrepared bounds the statements kept; multi-row statements have a few
// fixed sizes.
const maxPrepared = 500

func (t *writeTx) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := t.prepared[query]; s != nil {
		return s, nil
	}
	if len(t.prepared) >= maxPrepared {
		for text, s := range t.prepared {
			if err := s.Close(); err != nil {
				return nil, err
			}
			delete(t.prepared, text)
		}
	}
	s, err := t.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	t.prepared[query] = s
	return s, nil
}

// Exec runs a statement.
func (t *writeTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := t.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Query runs a query.
func (t *writeTx) Query(ctx context.Context, query string, args ...any) (relational.Rows, error) {
	s, err := t.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...) //nolint:sqlclosecheck,rowserrcheck // the caller reads and closes
}
