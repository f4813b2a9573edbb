package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/plexus-health/plexus/store/storetest"
)

// TestKillReindexing kills the engine while it indexes anew: the next life goes
// on, and then everything is found again.
func TestKillReindexing(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	stores(t, func(t *testing.T, database string) {
		s := newSite(t, database)
		s.tags = "killpoints"
		first := s.mustReady()
		var entries []string
		const patients = 300
		for i := range patients {
			entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":"p%d","name":[{"family":"F%d"}]},"request":{"method":"PUT","url":"Patient/p%d"}}`, i, i, i))
		}
		s.post("/fhir", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
		first.stop()
		s.outdate()
		for _, point := range []string{"reindexed:1", "before_reindexed:2", "reindexed:1"} {
			l := s.start("PLEXUS_KILL_AT=" + point)
			if !l.killed() {
				t.Fatalf("the engine was not killed at %s\n%s", point, l.log)
			}
		}
		last := s.mustReady()
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			_, metrics := s.get("/metrics", nil)
			if strings.Contains(string(metrics), "plexus_unindexed_resources 0\n") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("it did not end within two minutes\n%s", last.log)
			}
		}
		if found := s.search("Patient", url.Values{"family": {"f"}}); len(found) != patients {
			t.Errorf("%d found, want %d", len(found), patients)
		}
		if _, body := s.get("/readyz", nil); strings.Contains(string(body), "to index") {
			t.Errorf("readyz: %s", body)
		}
		last.stop()
	})
}

// outdate takes the search index away while no engine runs.
func (s *site) outdate() {
	s.t.Helper()
	for _, statement := range storetest.Outdated {
		if s.database == "" {
			db, err := sql.Open("sqlite", filepath.Join(s.data, "plexus.db"))
			if err != nil {
				s.t.Fatal(err)
			}
			if _, err := db.ExecContext(s.t.Context(), statement); err != nil {
				s.t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				s.t.Fatal(err)
			}
			continue
		}
		conn, err := pgx.Connect(s.t.Context(), s.database)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := conn.Exec(s.t.Context(), statement); err != nil {
			s.t.Fatal(err)
		}
		if err := conn.Close(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// post sends JSON, which has to be taken.
func (s *site) post(path, body string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.http+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("POST %s: %d", path, response.StatusCode)
	}
}
