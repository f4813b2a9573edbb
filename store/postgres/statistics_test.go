package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/pgtest"
	"github.com/plexus-health/plexus/store"
)

// TestTablesAreAnalysed: the planner knows the tables of a new database soon,
// whether or not the database's own daemon runs, and again when they have grown.
func TestTablesAreAnalysed(t *testing.T) {
	s := open(t, pgtest.Start(t))
	for _, table := range []string{"resource", "ix_token", "ix_date", "ix_string", "ix_ref", "ix_number"} {
		if _, err := s.pool.Exec(t.Context(), `ALTER TABLE `+table+` SET (autovacuum_enabled = off)`); err != nil {
			t.Fatal(err)
		}
	}
	written := 0
	write := func(n int) {
		t.Helper()
		writes := make([]store.Write, n)
		for i := range writes {
			id := fmt.Sprint("p", written)
			writes[i] = store.Write{Type: "Basic", ID: id, Content: []byte(`{"resourceType":"Basic","id":"` + id + `"}`)}
			written++
		}
		if _, err := s.Write(t.Context(), writes, store.Author{Actor: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	known := func(least float64) {
		t.Helper()
		var rows float64
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if err := s.pool.QueryRow(t.Context(), `SELECT reltuples FROM pg_class WHERE oid = 'resource'::regclass`).Scan(&rows); err != nil {
				t.Fatal(err)
			}
			if rows >= least {
				return
			}
		}
		t.Fatalf("the planner takes it that there are %.0f resources of %d", rows, written)
	}
	known(0) // of an empty table that was never analysed it is -1
	write(analysedFirst)
	known(analysedFirst)
	write(analysedFirst / 2)
	write(analysedFirst / 2)
	known(2 * analysedFirst)
}
