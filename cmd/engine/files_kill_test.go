package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/internal/pgtest"
)

// TestKillBatchFile kills the engine in the middle of a file of many messages:
// the next life reads it again, and each message stands in the journal once.
func TestKillBatchFile(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	const n = 12
	batch, lines := "FHS|^~\\&|LAB|LAB\rBHS|^~\\&|LAB|LAB\r", ""
	var messages, resources []string
	for i := range n {
		messages = append(messages, oru(fmt.Sprintf("B%02d", i), fmt.Sprintf("K%d", i%3), fmt.Sprint(i), 1))
		resources = append(resources, fmt.Sprintf(`{"resourceType":"Patient","id":"p%02d","active":true}`, i))
		batch += messages[i]
		lines += resources[i] + "\n"
	}
	batch += fmt.Sprintf("BTS|%d\rFTS|1\r", n)
	seed := seedOf(t)
	stores(t, func(t *testing.T, database string) {
		for _, file := range []struct {
			name, format, content string
			want                  []string
		}{{"night.hl7", "hl7v2", batch, messages}, {"night.ndjson", "fhir", lines, resources}} {
			for i, point := range []string{"after_read:5", "after_commit_before_ack:7"} {
				if sliced(seed, i, 2) {
					continue
				}
				t.Run(file.format+"/"+point, func(t *testing.T) {
					if database != "" {
						database = pgtest.Start(t)
					}
					s := newSite(t, database)
					s.tags = "killpoints"
					s.configure(`zone: UTC
channels:
  - name: night
    source: { file: { folder: in, stable: 50ms, every: 20ms } }
    parse: ` + file.format + `
    routes: [ { to: { drop: { reason: only its taking is tested } } } ]
`)
					in := filepath.Join(s.folder, "in")
					if err := os.MkdirAll(in, 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(in, file.name), []byte(file.content), 0o600); err != nil {
						t.Fatal(err)
					}
					first := s.start("PLEXUS_KILL_AT=" + point)
					if !first.killed() {
						t.Fatalf("the engine was not killed at %s\n%s", point, first.log)
					}
					if _, err := os.Stat(filepath.Join(in, file.name)); err != nil {
						t.Fatal("the file was put away before all of it was recorded")
					}
					second := s.mustReady()
					eventually(t, "the file is put away", func() bool {
						_, err := os.Stat(filepath.Join(in, "done", file.name))
						return err == nil
					})
					compareJournal(t, s, file.want)
					second.stop()
				})
			}
		}
	})
}

// compareJournal holds the journal against the messages of a file: each stands
// there once, with its bytes, and was processed.
func compareJournal(t *testing.T, s *site, want []string) {
	t.Helper()
	seen := map[string]int{}
	for _, r := range s.settled() {
		_, raw := s.get("/api/messages/"+r.ID+"/raw", nil)
		seen[strings.TrimSpace(string(raw))]++
		if r.State != "done" {
			t.Errorf("message %s %q is %s", r.ID, r.Control, r.State)
		}
	}
	for i, raw := range want {
		if raw = strings.TrimSpace(raw); seen[raw] != 1 {
			t.Errorf("message %d of the file stands in the journal %d times", i, seen[raw])
		}
		delete(seen, raw)
	}
	if len(seen) > 0 {
		t.Errorf("%d messages in the journal are none of the file", len(seen))
	}
}
