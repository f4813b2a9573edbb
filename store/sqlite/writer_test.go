package sqlite

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

// What the database does not take of one operation is that operation's answer:
// nothing of it is written, all of its neighbours, and the store lives.
func TestAnOperationThatIsNotTaken(t *testing.T) {
	const canary = "CANARY8Q"
	for name, c := range map[string]struct {
		statement string
		want      error
	}{
		"a key that is there": {`INSERT INTO units (unit, name) VALUES ('twice', '` + canary + `')`, store.ErrConflict},
		"no value":            {`INSERT INTO units (unit, name) VALUES ('` + canary + `', NULL)`, nil},
		"no such table":       {`INSERT INTO ` + canary + ` VALUES (1)`, nil},
	} {
		for kind, whole := range map[string]bool{"whole": true, "in one piece": false} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				s := open(t, t.TempDir())
				insert := func(ctx context.Context, tx relational.Tx, unit string) error {
					_, err := tx.Exec(ctx, `INSERT INTO units (unit, name) VALUES (?, ?)`, unit, unit)
					return err
				}
				if _, err := s.Unit(t.Context(), "twice", ""); err != nil {
					t.Fatal(err)
				}
				gate := make(chan struct{})
				var wait sync.WaitGroup
				var failed error
				do := func(o *op, into *error) {
					wait.Go(func() {
						if err := s.writer.do(context.Background(), o); into != nil {
							*into = err
						} else if err != nil {
							t.Errorf("a neighbour: %v", err)
						}
					})
				}
				// The first one holds the writer until the others wait behind it.
				do(&op{small: func(context.Context, relational.Tx, *relational.Ledger) error { <-gate; return nil }}, nil)
				do(&op{whole: whole, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
					if err := insert(ctx, tx, "half"); err != nil {
						return err
					}
					_, err := tx.Exec(ctx, c.statement)
					return err
				}}, &failed)
				for _, unit := range []string{"one", "two", "three"} {
					do(&op{small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error { return insert(ctx, tx, unit) }}, nil)
				}
				close(gate)
				wait.Wait()
				if failed == nil || (c.want != nil && !errors.Is(failed, c.want)) || strings.Contains(failed.Error(), canary) {
					t.Errorf("the operation was answered %v, want %v and no value", failed, c.want)
				}
				units, err := s.Units(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var names []string
				for _, u := range units {
					names = append(names, u.Name)
				}
				if got := strings.Join(names, " "); got != "one three twice two" {
					t.Errorf("units are %s", got)
				}
				if _, err := s.Unit(t.Context(), "after", ""); err != nil {
					t.Errorf("the store writes no more: %v", err)
				}
			})
		}
	}
}

// What an outcome carries counts as part of its batch.
func TestBatchesAreBounded(t *testing.T) {
	w := newWriter(nil, nil, Options{})
	for range 20 {
		w.outcomes <- &op{bytes: weight([]store.Write{{Content: make([]byte, 1<<20)}}, nil, nil), outcome: &outcome{}}
	}
	if n := len(w.gather(nil)); n != 4 {
		t.Errorf("%d outcomes of 1 MB in one batch, want 4", n)
	}
}
