package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
	"github.com/plexus-health/plexus/store/storetest"
)

func open(t testing.TB, folder string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a second time where the test has done it
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Opener{
		Open: func(t *testing.T) store.Store { return open(t, t.TempDir()) },
		Again: func(t *testing.T, s store.Store) store.Store {
			old, ok := s.(*Store)
			if !ok {
				t.Fatal("not a store of this package")
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, old.options.Folder)
		},
		Outdate: func(t *testing.T, s store.Store) {
			old, ok := s.(*Store)
			if !ok {
				t.Fatal("not a store of this package")
			}
			err := old.writer.do(t.Context(), &op{small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
				for _, statement := range storetest.Outdated {
					if _, err := tx.Exec(ctx, statement); err != nil {
						return err
					}
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestFolderIsLocked(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	if _, err := Open(t.Context(), Options{Folder: folder}); err == nil || !strings.Contains(err.Error(), "another engine") {
		t.Errorf("a second store on the folder: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, folder)
}

func TestDeletedDatabaseTakesNothing(t *testing.T) {
	for _, name := range []string{"plexus.db", "plexus.db-wal"} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			s := open(t, folder)
			if _, err := s.Record(t.Context(), storetest.Intake("c", "1", "x")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(folder, name), filepath.Join(folder, "away")); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Record(t.Context(), storetest.Intake("c", "2", "y")); err == nil || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("recorded with %v, want a fault that ends the process", err)
			}
			<-s.Failed()
		})
	}
}

func TestClosedStoreTakesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Record(t.Context(), storetest.Intake("c", "1", "x")); err == nil {
		t.Error("a closed store took a message")
	}
}

// TestTimeOfAQuery: a query whose time is over ends, and the connection serves
// the next one.
func TestTimeOfAQuery(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := s.lend(ctx, func(tx relational.Tx) error {
		rows, err := tx.Query(ctx, `WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c`)
		if err != nil {
			return err
		}
		rows.Next()
		return errors.Join(rows.Err(), rows.Close())
	})
	if err == nil || ctx.Err() == nil {
		t.Fatalf("an endless query ended by itself: %v", err)
	}
	for range 8 {
		if _, err := s.Search(t.Context(), store.Query{Type: "Patient", Limit: 1}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
}

func TestSweepParts(t *testing.T) {
	s := open(t, t.TempDir())
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
