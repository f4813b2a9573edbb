package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/pgtest"
)

// TestKillBatches kills the engine at every durable step of sending files of many
// deliveries: each message that was acknowledged stands in one file, in the order
// of its patient, and a file that was sent twice stands there once.
func TestKillBatches(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	seed := seedOf(t)
	stores(t, func(t *testing.T, database string) {
		for i, point := range []string{"after_t2_commit:2", "after_finish:7", "after_claim:2", "after_send_before_answer:2", "before_answer:2", "after_answer:2", "before_commit:6", "after_commit:6"} {
			if sliced(seed, i, 4) {
				continue
			}
			t.Run(point, func(t *testing.T) {
				if database != "" {
					database = pgtest.Start(t)
				}
				killBatch(t, database, point)
			})
		}
	})
}

const batchRoutes = `zone: America/New_York
channels:
  - name: lab-results
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    routes:
      - { name: out, batch: { every: 200ms, max: 4 }, to: { file: { folder: out, name: "{id}.{ext}" } }, retry: { unknown: { first: 20ms, max: 200ms } } }
`

func killBatch(t *testing.T, database, point string) {
	s := newSite(t, database)
	s.tags = "killpoints"
	s.configure(fmt.Sprintf(batchRoutes, s.results))
	out := filepath.Join(s.folder, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	first := s.start("PLEXUS_KILL_AT=" + point)
	if !first.ready() {
		t.Fatalf("the engine ended before the first message: %v\n%s", first.err, first.log)
	}
	lanes := lanesOf(3, 6)
	var senders sync.WaitGroup
	for _, lane := range lanes {
		senders.Go(func() {
			for _, raw := range lane {
				if p, err := dial(s.results); err == nil {
					_, _ = p.exchange(raw) // sent again below, as by a sender without an answer
					p.close()
				}
			}
		})
	}
	senders.Wait()
	if !first.killed() {
		t.Fatalf("the engine was not killed at %s: the point is not on the line any more\n%s", point, first.log)
	}
	second := s.mustReady()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, lane := range lanes {
		senders.Go(func() {
			for _, raw := range lane {
				if code, _, err := deliver(ctx, s.results, raw); err != nil || code != "AA" {
					t.Errorf("%s: answered %q %v", control10(raw), code, err)
				}
			}
		})
	}
	senders.Wait()
	s.drained("lab-results/out", 18)
	second.stop()
	compareFiles(t, out, lanes)
}

// compareFiles holds the files of a folder against what was sent.
func compareFiles(t *testing.T, folder string, lanes [][]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.hl7"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files) // their names are ids that grow with time
	place, numbers, n := map[string]int{}, map[string]bool{}, 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimRight(string(data), "\r"), "\r")
		number := strings.Split(lines[0], "|")[10]
		if !strings.HasPrefix(lines[0], "FHS|") || lines[len(lines)-1] != "FTS|1" || numbers[number] {
			t.Errorf("%s is no whole file of its own: number %s", filepath.Base(file), number)
		}
		numbers[number] = true
		in := 0
		for _, line := range lines {
			if !strings.HasPrefix(line, "MSH|") {
				continue
			}
			control := strings.Split(line, "|")[9]
			if _, twice := place[control]; twice {
				t.Errorf("%s stands in two places", control)
			}
			place[control] = n
			n, in = n+1, in+1
		}
		if lines[len(lines)-2] != fmt.Sprintf("BTS|%d", in) || in > 4 {
			t.Errorf("%s holds %d messages and says %s", filepath.Base(file), in, lines[len(lines)-2])
		}
	}
	total := 0
	for _, lane := range lanes {
		var places []int
		for _, raw := range lane {
			at, there := place[control10(raw)]
			if !there {
				t.Errorf("%s was acknowledged and stands in no file", control10(raw))
			}
			places = append(places, at)
			total++
		}
		if !slices.IsSorted(places) {
			t.Errorf("the messages of one patient stand in the order %v", places)
		}
	}
	if n != total {
		t.Errorf("%d messages in files, %d were sent", n, total)
	}
}
