package postgres

import (
	"errors"
	"testing"

	"github.com/plexus-health/plexus/internal/pgtest"
	"github.com/plexus-health/plexus/store"
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

func TestUnsafeDatabaseIsRefused(t *testing.T) {
	dsn := pgtest.Start(t)
	if s, err := Open(t.Context(), Options{DSN: dsn + "&options=-csynchronous_commit%3Doff"}); err == nil {
		_ = s.Close() // the test has failed already
		t.Error("a database that acknowledges what it has not synced was taken")
	}
}
