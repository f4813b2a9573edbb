package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of PostgreSQL
	_ "modernc.org/sqlite"             // the driver of SQLite

	"github.com/plexus-health/plexus/connectors/mllp"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Raw runs the statements that calls of the FHIR API come down to, written by
// hand, over the tables an engine has left: what the API could reach if HTTP,
// JSON, validation and the search language cost nothing.
type Raw struct {
	db       *sql.DB
	postgres bool
	numbers  map[string]int64 // of resource types and search parameters
}

// OpenRaw opens the store of an engine that has ended: the database of a
// cluster, or the file in the engine's folder.
func OpenRaw(ctx context.Context, folder, database string) (*Raw, error) {
	r := &Raw{postgres: database != "", numbers: map[string]int64{}}
	driver, dsn := "pgx", database
	if !r.postgres {
		driver = "sqlite"
		dsn = "file:" + filepath.Join(folder, "data", "plexus.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-16384)&_pragma=mmap_size(268435456)"
	}
	for _, typ := range []string{"Patient", "Observation"} {
		r.numbers[typ] = int64(definitions.Number(typ))
	}
	for name, of := range map[string][2]string{"identifier": {"Patient", "identifier"}, "code": {"Observation", "code"}, "date": {"Observation", "date"}} {
		p, ok := definitions.FindParam(of[0], of[1])
		if !ok {
			return nil, fmt.Errorf("no search parameter %s of %s", of[1], of[0])
		}
		r.numbers[name] = int64(p.Row)
	}
	var err error
	if r.db, err = sql.Open(driver, dsn); err != nil {
		return nil, err
	}
	r.db.SetMaxOpenConns(8)
	r.db.SetMaxIdleConns(8)
	return r, r.db.PingContext(ctx)
}

// Close closes the store.
func (r *Raw) Close() error { return r.db.Close() }

// marks writes the parameters of a statement as the database wants them.
func (r *Raw) marks(query string) string {
	if !r.postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for _, c := range query {
		if c != '?' {
			b.WriteRune(c)
			continue
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
	}
	return b.String()
}

var errRows = errors.New("a statement did not find the one row that is there")

// ask runs a query with the arguments of its turn again and again on so many
// connections; each has to find one row.
func (r *Raw) ask(ctx context.Context, connections int, d time.Duration, query string, args func(n int) []any) (Figures, error) {
	statement, err := r.db.PrepareContext(ctx, r.marks(query))
	if err != nil {
		return Figures{}, err
	}
	defer func() { _ = statement.Close() }() // it only reads
	var times mllp.Latencies
	var next atomic.Int64
	var failure atomic.Pointer[error]
	var group sync.WaitGroup
	began := time.Now()
	for range connections {
		group.Go(func() {
			for time.Since(began) < d && failure.Load() == nil {
				sent := time.Now()
				if err := oneRow(ctx, statement, args(int(next.Add(1))-1)); err != nil {
					failure.CompareAndSwap(nil, &err)
					return
				}
				times.Add(time.Since(sent))
			}
		})
	}
	group.Wait()
	if first := failure.Load(); first != nil {
		err = *first
	}
	return figuresOf(&times, time.Since(began)), err
}

func oneRow(ctx context.Context, statement *sql.Stmt, args []any) error {
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var content []byte
		if err := rows.Scan(&content); err != nil {
			return err
		}
		n++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w: %d rows", errRows, n)
	}
	return nil
}

// Read reads resources by their ids.
func (r *Raw) Read(ctx context.Context, connections int, d time.Duration, ids []string) (Figures, error) {
	return r.ask(ctx, connections, d, `SELECT content FROM resource WHERE tenant = 0 AND rtype = ? AND id = ? AND deleted = 0`,
		func(n int) []any { return []any{r.numbers["Observation"], ids[n%len(ids)]} })
}

// system is the number a system has in the index of tokens.
func (r *Raw) system(ctx context.Context, param, value string) (n int64, err error) {
	err = r.db.QueryRowContext(ctx, r.marks(`SELECT sys FROM ix_token WHERE pid = ? AND val = ? LIMIT 1`), r.numbers[param], []byte(value)).Scan(&n)
	return n, err
}

// ByIdentifier finds patients; identifier is what number n has.
func (r *Raw) ByIdentifier(ctx context.Context, connections int, d time.Duration, identifier func(n int) string) (Figures, error) {
	system, err := r.system(ctx, "identifier", identifier(0))
	if err != nil {
		return Figures{}, err
	}
	return r.ask(ctx, connections, d, `SELECT r.content FROM ix_token x JOIN resource r ON r.rid = x.rid WHERE x.pid = ? AND x.val = ? AND x.sys = ? AND r.rtype = ? AND r.deleted = 0`,
		func(n int) []any {
			return []any{r.numbers["identifier"], []byte(identifier(n)), system, r.numbers["Patient"]}
		})
}

// Results finds a patient's results with a code since a time.
func (r *Raw) Results(ctx context.Context, connections int, d time.Duration, identifier func(n int) string, code string, since time.Time) (Figures, error) {
	system, err := r.system(ctx, "identifier", identifier(0))
	if err != nil {
		return Figures{}, err
	}
	loinc, err := r.system(ctx, "code", code)
	if err != nil {
		return Figures{}, err
	}
	return r.ask(ctx, connections, d, `SELECT r.content FROM ix_token c JOIN resource r ON r.rid = c.rid
WHERE c.comp = (SELECT x.rid FROM ix_token x WHERE x.pid = ? AND x.val = ? AND x.sys = ?) AND c.comp <> 0 AND c.pid = ? AND c.val = ? AND c.sys = ?
AND EXISTS (SELECT 1 FROM ix_date t WHERE t.rid = c.rid AND t.pid = ? AND t.hi >= ?) AND r.rtype = ? AND r.deleted = 0`,
		func(n int) []any {
			return []any{r.numbers["identifier"], []byte(identifier(n)), system, r.numbers["code"], []byte(code), loinc, r.numbers["date"], since.UnixMicro(), r.numbers["Observation"]}
		})
}

// copies are the rows of a created resource, once more under another id.
var copies = []string{
	`INSERT INTO ix_token (pid, val, sys, rid, comp) SELECT pid, val, sys, CAST(? AS bigint), comp FROM ix_token WHERE rid = ?`,
	`INSERT INTO ix_date (pid, lo, hi, rid, comp) SELECT pid, lo, hi, CAST(? AS bigint), comp FROM ix_date WHERE rid = ?`,
	`INSERT INTO ix_string (pid, norm, val, rid) SELECT pid, norm, val, CAST(? AS bigint) FROM ix_string WHERE rid = ?`,
	`INSERT INTO ix_ref (pid, ttype, tkey, rid) SELECT pid, ttype, tkey, CAST(? AS bigint) FROM ix_ref WHERE rid = ?`,
	`INSERT INTO ix_number (pid, sys, unit, val, rid, comp) SELECT pid, sys, unit, val, CAST(? AS bigint), comp FROM ix_number WHERE rid = ?`,
	`INSERT INTO change_log (at, rtype, rid, version, op) SELECT last_updated, rtype, CAST(? AS bigint), 1, 'create' FROM resource WHERE rid = ?`,
	`INSERT INTO audit (at, actor, action, rid) SELECT last_updated, 'raw', 'create', CAST(? AS bigint) FROM resource WHERE rid = ?`,
}

// Create writes the rows of the resource again and again, as many in one synced
// transaction as clients would wait for it, and returns how many a second.
func (r *Raw) Create(ctx context.Context, together int, d time.Duration, id string) (float64, error) {
	var rid int64
	err := r.db.QueryRowContext(ctx, r.marks(`SELECT rid FROM resource WHERE tenant = 0 AND rtype = ? AND id = ?`), r.numbers["Observation"], id).Scan(&rid)
	if err != nil {
		return 0, err
	}
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }() // goes back to the pool
	prepared := make([]*sql.Stmt, 0, len(copies)+1)
	for _, query := range append([]string{`INSERT INTO resource (rtype, id, version, last_updated, comp, codec, body_hash, source_at, content)
SELECT rtype, ?, version, last_updated, comp, codec, body_hash, source_at, content FROM resource WHERE rid = ? RETURNING rid`}, copies...) {
		statement, err := conn.PrepareContext(ctx, r.marks(query))
		if err != nil {
			return 0, err
		}
		defer statement.Close()
		prepared = append(prepared, statement)
	}
	n, began := 0, time.Now()
	for time.Since(began) < d {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		for range together {
			if err := once(ctx, tx, prepared, "raw-"+strconv.Itoa(n), rid); err != nil {
				return 0, errors.Join(err, tx.Rollback())
			}
			n++
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func once(ctx context.Context, tx *sql.Tx, prepared []*sql.Stmt, id string, of int64) error {
	var rid int64
	if err := tx.StmtContext(ctx, prepared[0]).QueryRowContext(ctx, id, of).Scan(&rid); err != nil {
		return err
	}
	for _, statement := range prepared[1:] {
		if _, err := tx.StmtContext(ctx, statement).ExecContext(ctx, rid, of); err != nil {
			return err
		}
	}
	return nil
}
