package postgres

import (
	"context"
	"sync/atomic"
	"time"
)

// Bounds of what is written before the tables are looked at again.
const (
	analysedFirst = 200       // resources, in a new database
	analysedMost  = 1_000_000 // above that the database's own daemon is in time
)

// statistics keeps what PostgreSQL's planner knows of the tables of the records
// up with them while they are new. Until a table was analysed all conditions
// look alike to the planner: with 600 patients it went over all results for each
// of them, and a search of a few milliseconds took minutes. The database's own
// daemon looks once a minute at best, and not at all after a restore.
type statistics struct {
	written atomic.Int64 // resources since they were last analysed
	due     atomic.Int64 // analysed when so many are written
	wake    chan struct{}
}

func newStatistics() *statistics {
	s := &statistics{wake: make(chan struct{}, 1)}
	s.due.Store(analysedFirst)
	return s
}

// wrote counts resources that were written.
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
// half.
func (s *Store) analyst(ctx context.Context) {
	var rows float64
	err := s.pool.QueryRow(ctx, `SELECT reltuples FROM pg_class WHERE oid = 'ix_token'::regclass`).Scan(&rows)
	for {
		switch {
		case err != nil:
		case rows < 0:
			rows, err = s.analyse(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.options.Log.Warn("the tables could not be analysed; searches may be slow until the database does it", "error", plain(err).Error())
		}
		// A daemon that looks when a tenth has changed keeps up with large tables.
		if rows >= analysedMost {
			return
		}
		select {
		case <-s.statistics.wake:
			rows, err = s.analyse(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// analyse has the planner look at the tables of the records, and returns how
// many resources there are about.
func (s *Store) analyse(ctx context.Context) (resources float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	s.statistics.written.Store(0)
	if _, err := s.pool.Exec(ctx, `ANALYZE resource, ix_token, ix_date, ix_string, ix_ref, ix_number, identity_key`); err != nil {
		s.statistics.due.Store(max(2*s.statistics.due.Load(), analysedFirst))
		return 0, err
	}
	if err := s.pool.QueryRow(ctx, `SELECT reltuples FROM pg_class WHERE oid = 'resource'::regclass`).Scan(&resources); err != nil {
		return 0, err
	}
	s.statistics.due.Store(max(int64(resources/2), analysedFirst))
	return resources, nil
}
