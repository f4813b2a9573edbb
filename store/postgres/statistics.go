package postgres

import (
	"context"
	"sync/atomic"
	"time"
)

// Bounds of what is written before tables are looked at again.
const (
	analysedFirst = 200       // rows, in a new database
	analysedMost  = 1_000_000 // above that the database's own daemon is in time
	// analysedShare keeps what tables that grow fast cost in bounds: so many times
	// as long as they were looked at they are not looked at again.
	analysedShare = 10
)

// statistics keeps what PostgreSQL's planner knows of some tables up with them
// while they are new. Until a table was analysed all conditions look alike to
// the planner: with 600 patients it went over all results for each of them, and
// a search of a few milliseconds took minutes; and a plan that is kept from when
// a table was small reads whole indexes until the table is analysed. The
// database's own daemon looks once a minute at best, and not at all after a
// restore.
type statistics struct {
	main, also string       // the table whose rows are counted; what is looked at with it
	written    atomic.Int64 // rows since they were last analysed
	due        atomic.Int64 // analysed when so many are written
	wake       chan struct{}
}

func newStatistics(main, also string) *statistics {
	s := &statistics{main: main, also: also, wake: make(chan struct{}, 1)}
	s.due.Store(analysedFirst)
	return s
}

// wrote counts rows that were written.
func (s *statistics) wrote(n int) {
	if s.written.Add(int64(n)) < s.due.Load() {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it is known
	}
}

// analyst analyses the tables when they were never, and when they have grown by
// half, with a pause in between.
func (s *Store) analyst(ctx context.Context, of *statistics) {
	rows, err := s.rows(ctx, of)
	for {
		if err == nil && rows < 0 {
			rows, err = s.analyse(ctx, of)
		}
		if err != nil && ctx.Err() == nil {
			s.options.Log.Warn("the tables could not be analysed; searches may be slow until the database does it", "error", plain(err).Error())
		}
		// A daemon that looks when a tenth has changed keeps up with large tables.
		if rows >= analysedMost {
			return
		}
		select {
		case <-of.wake:
			began := time.Now()
			rows, err = s.analyse(ctx, of)
			rest(ctx, min(time.Since(began)*analysedShare, time.Minute))
		case <-ctx.Done():
			return
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// rows is how many the planner takes the main table to have; below 0 when it was
// never analysed.
func (s *Store) rows(ctx context.Context, of *statistics) (n float64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT reltuples FROM pg_class WHERE oid = $1::text::regclass`, of.main).Scan(&n)
	return n, err
}

// analyse has the planner look at the tables, and returns how many rows the main
// one has about.
func (s *Store) analyse(ctx context.Context, of *statistics) (rows float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	of.written.Store(0)
	if _, err = s.pool.Exec(ctx, `ANALYZE `+of.main+`, `+of.also); err == nil {
		rows, err = s.rows(ctx, of)
	}
	if err != nil {
		of.due.Store(2 * of.due.Load())
		return 0, err
	}
	of.due.Store(max(int64(rows/2), analysedFirst))
	return rows, nil
}
