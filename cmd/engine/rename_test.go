package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/console"
)

// renameRoutes has one channel with one queue; %[1]s is how the channel is
// named, %[2]s how its route is, %[3]s and %[4]s are addresses.
const renameRoutes = `zone: America/New_York
channels:
  - %[1]s
    source: { mllp: { listen: "%[3]s" } }
    parse: hl7v2
    filter: type != "ORU^R99"
    map: v2-to-fhir
    routes:
      - { to: { ehr: {} } }
      - { %[2]s, map: original, to: { mllp: { address: "%[4]s" } }, retry: { down: { first: 20ms, max: 200ms } } }
`

// reload writes a configuration and waits until the engine has said so.
func (l *life) reload(text, says string) {
	l.site.t.Helper()
	before := strings.Count(l.log.String(), says)
	l.site.configure(text)
	t, ok := l.site.t.(*testing.T)
	if !ok {
		panic("a reload is of a test")
	}
	eventually(t, says, func() bool { return strings.Count(l.log.String(), says) > before })
	// A changed channel gives its port back and takes it again.
	eventually(t, "the channel listens", func() bool {
		p, err := dial(l.site.results)
		if err == nil {
			p.close()
		}
		return err == nil
	})
}

// TestRename gives a channel with stored messages and its route with waiting
// deliveries other names while the engine runs: everything goes on, nothing is
// there twice.
func TestRename(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s, archive := newSite(t, database), newArchive(t)
		config := func(channel, route string) string {
			return fmt.Sprintf(renameRoutes, channel, route, s.results, archive.address)
		}
		s.configure(config("name: lab", "name: out"))
		l := s.mustReady()
		defer func() { l.stop() }()
		for i := range 4 {
			s.send(s.results, oru(fmt.Sprintf("R%d", i), fmt.Sprintf("M%d", i%2), fmt.Sprint(i), 1))
		}
		eventually(t, "four wait", func() bool { return s.queue("lab/out").Open() == 4 })
		parked := s.deliveries("lab/out", "")[3]
		s.must("queue", "park", parked.ID, "--why", "a test", "--who", "tester")
		s.must("queue", "pause", "lab", "--why", "a test", "--who", "tester")
		// A pause is seen within a second; what is sent then stays stored.
		n := 0
		eventually(t, "a message stays stored", func() bool {
			stored := s.rows("state=stored")
			if len(stored) == 0 {
				n++
				s.send(s.results, oru(fmt.Sprintf("S%d", n), "M9", fmt.Sprint(100+n), 1))
				return false
			}
			return time.Since(stored[0].Received) > 3*time.Second
		})
		sent := 4 + n

		t.Run("without was the rename would lose them, and is refused", func(t *testing.T) {
			l.reload(config("name: laboratory", "name: out"), "the old one runs on")
			for _, want := range []string{"channel lab (", "stored messages", "channel lab: route out (", "1 parked", "retired: true", "queue move --all lab/out", "the oldest of 20"} {
				eventually(t, "the log says "+want, func() bool { return strings.Contains(l.log.String(), want) })
			}
			if code := s.send(s.results, oru("T1", "M9", "300", 1)); code != "AA" {
				t.Errorf("answered %s: the old configuration does not run", code)
			}
			sent++
		})
		t.Run("so it is with a route", func(t *testing.T) {
			l.reload(config("name: lab", "name: outbound"), "channel lab: route out (")
		})
		both := config("{ name: laboratory, was: lab", "name: outbound, was: out")
		both = strings.Replace(both, "  - { name: laboratory, was: lab\n", "  - name: laboratory\n    was: lab\n", 1)
		t.Run("with was everything has its new name", func(t *testing.T) {
			l.reload(both, "configuration changed")
			q := s.queue("laboratory/outbound")
			if q.Parked != 1 || q.Open() < 3 || q.Now == "not configured" {
				t.Errorf("got %+v", q)
			}
			var rows []console.Queue
			if s.get("/api/queues", &rows); len(rows) != 1 {
				t.Errorf("the queues are %+v", rows)
			}
			if rows := s.rows("channel=lab"); len(rows) != 0 {
				t.Errorf("%d messages have the old name", len(rows))
			}
			if rows := s.rows("channel=laboratory"); len(rows) != sent {
				t.Errorf("%d messages have the new name, want %d", len(rows), sent)
			}
			if _, metrics := s.get("/metrics", nil); !strings.Contains(string(metrics), `plexus_queue_deliveries{channel="laboratory",route="outbound",state="parked"} 1`) || strings.Contains(string(metrics), `plexus_journal_messages{channel="lab",`) {
				t.Error("the metrics do not have the new names")
			}
			if out := s.must("messages", "trace", s.one("R0").ID); !strings.Contains(out, "laboratory/outbound") || !strings.Contains(out, "channel laboratory from") {
				t.Errorf("the trace says\n%s", out)
			}
		})
		t.Run("a copy of what came before is a copy", func(t *testing.T) {
			if code := s.send(s.results, oru("R0", "M0", "0", 1)); code != "AA" {
				t.Errorf("answered %s", code)
			}
			s.one("R0")
		})
		t.Run("the pause goes on under the new name, and what waits goes out once", func(t *testing.T) {
			if len(s.rows("state=stored")) == 0 {
				t.Error("a channel that is held went on")
			}
			s.must("queue", "resume", "laboratory", "--why", "done", "--who", "tester")
			s.must("queue", "retry", parked.ID, "--why", "done", "--who", "tester")
			archive.here()
			eventually(t, "all are delivered", func() bool { return s.queue("laboratory/outbound").Delivered == int64(sent) })
			seen := map[string]int{}
			for _, control := range archive.taken() {
				seen[control]++
			}
			if len(seen) != sent || len(archive.taken()) != sent {
				t.Errorf("%d deliveries of %d messages arrived, want %d", len(archive.taken()), len(seen), sent)
			}
		})
		t.Run("a restart finds it all again", func(t *testing.T) {
			l.stop()
			l = s.mustReady()
			s.send(s.results, oru("U1", "M1", "400", 1))
			eventually(t, "it is delivered", func() bool { return s.queue("laboratory/outbound").Delivered == int64(sent)+1 })
			if strings.Contains(l.log.String(), "lacks what has work") {
				t.Errorf("something is missed:\n%s", l.log.String())
			}
		})
	})
}

// TestRemovedRoute takes a route with waiting deliveries out of the file: the
// running engine refuses, a start reports it and keeps them, and people decide.
func TestRemovedRoute(t *testing.T) {
	s, archive := newSite(t, ""), newArchive(t)
	config := func(route string) string {
		return fmt.Sprintf(renameRoutes, "name: lab", route, s.results, archive.address)
	}
	s.configure(config("name: out"))
	l := s.mustReady()
	for i := range 2 {
		s.send(s.results, oru(fmt.Sprintf("R%d", i), fmt.Sprintf("M%d", i), fmt.Sprint(i), 1))
	}
	eventually(t, "both wait", func() bool { return s.queue("lab/out").Open() == 2 })
	l.reload(config("name: other"), "routes.yaml:10:11) has 2 deliveries (2 waiting, 0 sending, 0 parked, the oldest of ")
	l.stop()
	l = s.mustReady()
	if !strings.Contains(l.log.String(), "channel lab: route out has 2 deliveries") {
		t.Errorf("the start says nothing:\n%s", l.log.String())
	}
	if q := s.queue("lab/out"); q.Waiting != 2 || q.Now != "not configured" {
		t.Errorf("got %+v", q)
	}
	t.Run("a retired route takes nothing new and drains", func(t *testing.T) {
		l.reload(strings.Replace(config("name: out, retired: true"), "      - { to: { ehr: {} } }\n", fmt.Sprintf("      - { to: { ehr: {} } }\n      - { name: other, map: original, to: { mllp: { address: %q } } }\n", archive.address), 1), "configuration changed")
		s.send(s.results, oru("R2", "M2", "2", 1))
		archive.here()
		eventually(t, "the old ones and the new one are there", func() bool { return len(archive.taken()) == 3 })
		eventually(t, "it has drained", func() bool { return s.queue("lab/out").Delivered == 2 && s.queue("lab/other").Delivered == 1 })
		l.reload(config("name: other"), "configuration changed")
	})
	l.stop()
}

// TestChangedOrder changes the order of a route whose deliveries wait: those of
// the old order go first.
func TestChangedOrder(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s, archive := newSite(t, database), newArchive(t)
		config := func(route string) string {
			return fmt.Sprintf(renameRoutes, "name: lab", route, s.results, archive.address)
		}
		s.configure(config("name: out"))
		l := s.mustReady()
		defer func() { l.stop() }()
		for i := range 5 {
			s.send(s.results, oru(fmt.Sprintf("O%d", i), fmt.Sprintf("M%d", i), fmt.Sprint(i), 1))
		}
		eventually(t, "five wait", func() bool { return s.queue("lab/out").Open() == 5 })
		l.reload(config(`name: out, key: 'OBX-3.1'`), "channel lab: route out: 5 deliveries made by order: patient go first, then those made by key: OBX-3.1")
		for i := range 5 {
			s.send(s.results, oru(fmt.Sprintf("N%d", i), fmt.Sprintf("M%d", i), fmt.Sprint(10+i), 1))
		}
		eventually(t, "ten wait", func() bool { return s.queue("lab/out").Open() == 10 })
		l.reload(config(`name: out, order: none`), "go first, then those made by order: none")
		for i := range 5 {
			s.send(s.results, oru(fmt.Sprintf("P%d", i), fmt.Sprintf("M%d", i), fmt.Sprint(20+i), 1))
		}
		eventually(t, "fifteen wait", func() bool { return s.queue("lab/out").Open() == 15 })
		archive.here()
		eventually(t, "all are delivered", func() bool { return s.queue("lab/out").Delivered == 15 })
		order := ""
		for _, control := range archive.taken() {
			order += control[:1]
		}
		if order != "OOOOONNNNNPPPPP" {
			t.Errorf("they arrived as %s", order)
		}
	})
}
