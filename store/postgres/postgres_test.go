package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/pgtest"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
	"github.com/plexus-health/plexus/store/storetest"
)

func open(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a second time where the test has done it
	return s
}

func TestStore(t *testing.T) {
	pgtest.Start(t) // one cluster for all of it
	storetest.Run(t, storetest.Opener{
		Open: func(t *testing.T) store.Store { return open(t, pgtest.Start(t)) },
		Again: func(t *testing.T, s store.Store) store.Store {
			old, ok := s.(*Store)
			if !ok {
				t.Fatal("not a store of this package")
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, old.options.DSN)
		},
		Outdate: func(t *testing.T, s store.Store) {
			old, ok := s.(*Store)
			if !ok {
				t.Fatal("not a store of this package")
			}
			for _, statement := range storetest.Outdated {
				if _, err := old.pool.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		},
	})
}

func TestOwners(t *testing.T) {
	dsn := pgtest.Start(t)
	first, second := open(t, dsn), open(t, dsn)
	lease, err := first.TakeOver(t.Context(), "lab", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.TakeOver(t.Context(), "lab", 0); !errors.Is(err, store.ErrOwned) {
		t.Errorf("a unit of an engine that lives was taken: %v", err)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken, err := second.TakeOver(t.Context(), "lab", 0)
	if err != nil || taken.Epoch() <= lease.Epoch() {
		t.Fatalf("after it was handed back: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.TakeOver(t.Context(), "lab", 0); err != nil {
		t.Errorf("a unit of an engine that ended: %v", err)
	}
	if err := taken.Finish(t.Context(), store.Outcome{}); err == nil {
		t.Error("an engine that ended finished a message")
	}
}

// Of two configurations of a unit the one that was noted last is newer, as long
// as its engine is alive.
func TestVersions(t *testing.T) {
	dsn := pgtest.Start(t)
	first, second := open(t, dsn), open(t, dsn)
	runs := func(s *Store, lab, ward string) {
		t.Helper()
		if err := s.Runs(t.Context(), map[string]string{"lab": lab, "ward": ward}); err != nil {
			t.Fatal(err)
		}
	}
	older := func(s *Store, want ...string) {
		t.Helper()
		got, err := s.Older(t.Context())
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
			t.Errorf("older are %v, %v; want %v", got, err, want)
		}
	}
	runs(first, "a", "a")
	older(first)
	runs(second, "a", "b")
	older(first, "ward")
	older(second)
	// The same again is not newer.
	runs(first, "a", "a")
	older(first, "ward")
	runs(first, "c", "b")
	older(first)
	older(second, "lab")
	// What an engine lacks, the other may have as it is.
	if err := first.Runs(t.Context(), map[string]string{"ward": "d"}); err != nil {
		t.Fatal(err)
	}
	older(second, "ward")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	older(second)
}

func TestUnsafeDatabaseIsRefused(t *testing.T) {
	dsn := pgtest.Start(t)
	if s, err := Open(t.Context(), Options{DSN: dsn + "&options=-csynchronous_commit%3Doff"}); err == nil {
		_ = s.Close() // the test has failed already
		t.Error("a database that acknowledges what it has not synced was taken")
	}
}

// TestLateCommit: what was numbered first and committed last is not missed by
// who follows the positions.
func TestLateCommit(t *testing.T) {
	s := open(t, pgtest.Start(t))
	late, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	write := func(q querier, id string) {
		t.Helper()
		_, err := q.Exec(t.Context(), `WITH r AS (INSERT INTO resource (rtype, id, version, last_updated, body_hash) VALUES (1, $1, 1, 1, '') RETURNING rid)
INSERT INTO change_log (at, rtype, rid, version, op) SELECT 1, 1, rid, 1, 'C' FROM r`, id)
		if err != nil {
			t.Fatal(err)
		}
	}
	write(late, "late")
	write(s.pool, "early")
	list, err := s.Changes(t.Context(), 0, 10)
	if err != nil || len(list) != 1 || list[0].ID != "early" {
		t.Fatalf("before the commit: %+v %v", list, err)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err = s.Changes(t.Context(), list[0].Pos, 10)
	if err != nil || len(list) != 1 || list[0].ID != "late" {
		t.Errorf("after it: %+v %v", list, err)
	}
}

// TestTimeOfAQuery: a query whose time is over ends in the database too.
func TestTimeOfAQuery(t *testing.T) {
	s := open(t, pgtest.Start(t))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := s.lend(ctx, func(q relational.Tx) error {
		rows, err := q.Query(ctx, `SELECT pg_sleep(3600)`)
		if err != nil {
			return err
		}
		rows.Next()
		return errors.Join(rows.Err(), rows.Close())
	})
	if err == nil || ctx.Err() == nil {
		t.Fatalf("a query of an hour ended by itself: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var n int
		if err := s.pool.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)%' AND state = 'active' AND pid <> pg_backend_pid()`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it goes on in the database")
		}
	}
}

func TestSweepParts(t *testing.T) {
	s := open(t, pgtest.Start(t))
	storetest.Parts(t, s, func(before time.Time) (n int64) {
		err := s.slice(t.Context(), func(ctx context.Context, tx relational.Tx) (err error) {
			n, err = relational.SweepPart(ctx, tx, before)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	})
}

func TestSweepKeys(t *testing.T) {
	s := open(t, pgtest.Start(t))
	storetest.Keys(t, s, func(now time.Time) (n int64) {
		err := s.slice(t.Context(), func(ctx context.Context, tx relational.Tx) (err error) {
			n, err = relational.SweepKeys(ctx, tx, now)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	})
}
