package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/pgtest"
)

// TestKillKeep kills a real engine while it takes away what is not kept any
// longer. The next life goes on with it; the ledger stays true, copies are known
// and records are what they were.
func TestKillKeep(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	seed := seedOf(t)
	stores(t, func(t *testing.T, database string) {
		for i, point := range []string{"before_prune:1", "after_prune:1", "before_prune:2", "after_prune:2"} {
			if sliced(seed, i, 2) {
				continue
			}
			t.Run(point, func(t *testing.T) {
				if database != "" {
					database = pgtest.Start(t)
				}
				killKeep(t, database, point)
			})
		}
	})
}

func killKeep(t *testing.T, database, point string) {
	s := newSite(t, database)
	s.tags = "killpoints"
	sent := []string{largeResult("KEEP0", "K0")} // in parts: they do not go at once
	for n := 1; n < 6; n++ {
		sent = append(sent, oru(fmt.Sprint("KEEP", n), fmt.Sprint("K", n), fmt.Sprint("7", n), 2))
	}
	first := s.mustReady()
	sendAll(t, s, sent)
	before, ledger, records := s.settled(), ledgerOf(t, s), len(s.search("Observation", url.Values{}))
	if records == 0 {
		t.Fatal("no records were made")
	}
	first.stop()

	file := filepath.Join(s.folder, "routes.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.configure(strings.ReplaceAll(string(text), "    parse: hl7v2\n", "    parse: hl7v2\n    keep: 1ms\n"))
	if second := s.start("PLEXUS_KILL_AT=" + point); !second.killed() {
		t.Fatalf("the engine was not killed at %s\n%s", point, second.log)
	}

	third := s.mustReady()
	for _, r := range before {
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			status, _ := s.get("/api/messages/"+r.ID+"/raw", nil)
			if status == http.StatusGone {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the content of %s is answered %d\n%s", r.ID, status, third.log)
			}
		}
	}
	if after := s.rows(""); !slices.Equal(after, before) {
		t.Errorf("the journal was %v and is %v", before, after)
	}
	sendAll(t, s, sent) // copies: answered, not processed
	if after := s.rows(""); len(after) != len(before) {
		t.Errorf("copies were taken as new: %d messages, want %d", len(after), len(before))
	}
	if after := ledgerOf(t, s); after != ledger {
		t.Errorf("the ledger was\n%sand is\n%s", ledger, after)
	}
	if after := len(s.search("Observation", url.Values{})); after != records {
		t.Errorf("%d records, want %d", after, records)
	}
	third.stop()
}

// sendAll sends messages and expects each to be accepted.
func sendAll(t *testing.T, s *site, list []string) {
	t.Helper()
	p, err := dial(s.results)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, raw := range list {
		if code, err := p.exchange(raw); err != nil || code != "AA" {
			t.Fatalf("answered %q %v", code, err)
		}
	}
}

// ledgerOf are the lines of the ledger in the metrics.
func ledgerOf(t *testing.T, s *site) string {
	t.Helper()
	status, body := s.get("/metrics", nil)
	if status != http.StatusOK {
		t.Fatalf("metrics: %d", status)
	}
	var out strings.Builder
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "plexus_journal_messages{") {
			out.WriteString(line)
		}
	}
	if out.Len() == 0 {
		t.Fatal("the metrics have no ledger")
	}
	return out.String()
}
