package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
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

// The room of what is not kept any longer is used again: a database whose
// content goes as fast as it comes does not grow.
func TestRoomIsUsedAgain(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	lab, err := s.TakeOver(t.Context(), "lab", 0)
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := s.TakeOver(t.Context(), store.UnitKeep, 0)
	if err != nil {
		t.Fatal(err)
	}
	var first int64
	for round := range 6 {
		var seqs []int64
		for i := range 20 {
			e, err := s.Record(t.Context(), storetest.Intake("lab", strconv.Itoa(round*100+i), strconv.Itoa(round*100+i)+strings.Repeat("x", 200_000)))
			if err != nil {
				t.Fatal(err)
			}
			if err := lab.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Filtered}); err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, e.Seq)
		}
		for len(seqs) > 0 {
			did, err := keeper.Prune(t.Context(), seqs)
			if err != nil {
				t.Fatal(err)
			}
			seqs = did.Left
		}
		var pages, size int64
		if err := row(t, s, `SELECT * FROM pragma_page_count, pragma_page_size`, &pages, &size); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			first = pages * size
		}
		if pages*size > first*3/2 {
			t.Fatalf("after %d rounds the database has %d bytes, after the first %d", round+1, pages*size, first)
		}
	}
}

// What is not kept any longer makes room where bodies are small too: rows that
// have shrunk share their pages.
func TestSmallOnesMakeRoom(t *testing.T) {
	s := open(t, t.TempDir())
	take := func(unit string) store.Lease {
		l, err := s.TakeOver(t.Context(), unit, 0)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	lab, out, keeper := take("lab"), take("lab/out"), take(store.UnitKeep)
	const n = 400
	used := func() int64 {
		var pages int64
		if err := row(t, s, `SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)`, &pages); err != nil {
			t.Fatal(err)
		}
		return pages * 4096
	}
	empty := used()
	var seqs []int64
	for i := range n {
		e, err := s.Record(t.Context(), storetest.Intake("lab", strconv.Itoa(i), strconv.Itoa(i)+strings.Repeat("x", 2000)))
		if err != nil {
			t.Fatal(err)
		}
		d := message.Delivery{ID: message.NewID(time.Now()), Unit: "lab/out", Key: "k" + strconv.Itoa(i), Control: "C", Payload: make([]byte, 2000)}
		if err := lab.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Done, Actor: "x", Events: []store.Event{{Step: "mapped"}}, Deliveries: []message.Delivery{d}}); err != nil {
			t.Fatal(err)
		}
		made, err := s.Deliveries(t.Context(), store.DeliveryFilter{Message: e.Seq})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Claim(t.Context(), made[0].N); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Answer(t.Context(), store.Answer{N: made[0].N, Message: e.Seq, State: message.Delivered, Raw: make([]byte, 100)}, 0); err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, e.Seq)
	}
	before := used() - empty
	for len(seqs) > 0 {
		did, err := keeper.Prune(t.Context(), seqs)
		if err != nil {
			t.Fatal(err)
		}
		seqs = did.Left
	}
	after := used() - empty
	t.Logf("a message took %d bytes, and takes %d", before/n, after/n)
	if after > before/3 {
		t.Errorf("%d bytes of %d are still in use", after, before)
	}
	var fine string
	if err := row(t, s, `PRAGMA integrity_check`, &fine); err != nil || fine != "ok" {
		t.Errorf("integrity: %s %v", fine, err)
	}
}

// row reads one row by a query.
func row(t *testing.T, s *Store, query string, dest ...any) error {
	t.Helper()
	return s.lend(t.Context(), func(tx relational.Tx) error {
		rows, err := tx.Query(t.Context(), query)
		if err != nil {
			return err
		}
		if rows.Next() {
			err = rows.Scan(dest...)
		}
		return errors.Join(err, rows.Err(), rows.Close())
	})
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

func TestSweepKeys(t *testing.T) {
	s := open(t, t.TempDir())
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
