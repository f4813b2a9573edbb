package postgres

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/plexus-health/plexus/store/relational"
)

// A querier is a transaction or a connection.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// A tx runs the shared SQL.
type tx struct{ q querier }

var (
	_ relational.Tx   = (*tx)(nil)
	_ relational.Pipe = (*tx)(nil)
)

// numbered keeps the statements with their arguments numbered: there are a few
// hundred.
var numbered sync.Map

func number(sql string) string {
	if text, ok := numbered.Load(sql); ok {
		s, _ := text.(string)
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range sql {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	text := b.String()
	if len(sql) < 4096 || n > 100 { // searches are many and differ; writes are few and long
		numbered.Store(sql, text)
	}
	return text
}

// Dialect is PostgreSQL.
func (*tx) Dialect() relational.Dialect { return relational.PostgreSQL }

// Exec runs a statement.
func (t *tx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := t.q.Exec(ctx, number(sql), args...)
	return tag.RowsAffected(), err
}

// Query runs a query.
func (t *tx) Query(ctx context.Context, sql string, args ...any) (relational.Rows, error) {
	r, err := t.q.Query(ctx, number(sql), args...)
	if err != nil {
		return nil, err
	}
	return rows{r}, nil
}

// Pipe sends several statements in one round trip.
func (t *tx) Pipe(ctx context.Context, list []relational.Statement) error {
	if len(list) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	for _, s := range list {
		b.Queue(number(s.SQL), s.Args...)
	}
	return t.q.SendBatch(ctx, b).Close() // the first error of any of them
}

type rows struct{ pgx.Rows }

// Close ends the reading; what is left is skipped.
func (r rows) Close() error {
	r.Rows.Close()
	return r.Err()
}
