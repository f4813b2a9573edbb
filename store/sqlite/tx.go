package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/plexus-health/plexus/store/relational"
)

// Statements are prepared once for each connection, and so many are kept:
// multi-row statements have a few fixed sizes, searches are of many shapes.
const (
	preparedWrite = 500
	preparedRead  = 100
)

// statements runs SQL over one connection with statements that are prepared
// once.
type statements struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	most     int
}

var _ relational.Tx = (*statements)(nil)

func newStatements(conn *sql.Conn, most int) *statements {
	return &statements{conn: conn, prepared: map[string]*sql.Stmt{}, most: most}
}

// Dialect is SQLite.
func (*statements) Dialect() relational.Dialect { return relational.SQLite }

func (t *statements) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := t.prepared[query]; s != nil {
		return s, nil
	}
	if len(t.prepared) >= t.most {
		for text, s := range t.prepared {
			delete(t.prepared, text)
			if err := s.Close(); err != nil {
				return nil, err
			}
			if len(t.prepared) <= t.most/2 {
				break
			}
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
func (t *statements) Exec(ctx context.Context, query string, args ...any) (int64, error) {
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
func (t *statements) Query(ctx context.Context, query string, args ...any) (relational.Rows, error) {
	s, err := t.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...) //nolint:sqlclosecheck,rowserrcheck // the caller reads and closes
}

// close gives the connection back.
func (t *statements) close() error {
	var err error
	for _, s := range t.prepared {
		err = errors.Join(err, s.Close())
	}
	clear(t.prepared)
	return errors.Join(err, t.conn.Close())
}
