// Package relational holds what the databases share: the SQL of the journal
// and of the FHIR records, written once for both dialects.
package relational

import "context"

// A Tx is an open transaction, or a connection for reading, of either database.
// SQL is written with ? for arguments; the PostgreSQL side numbers them. It is
// used by one goroutine.
type Tx interface {
	// Exec runs a statement and returns how many rows it touched.
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
	// Query runs a statement that returns rows (SELECT, or … RETURNING).
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	// Dialect tells the databases apart in the few places that must know.
	Dialect() Dialect
}

// Rows are those of a query; Close after use.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// A Dialect is one database's way of saying things.
type Dialect uint8

// The dialects.
const (
	SQLite Dialect = iota
	PostgreSQL
)
