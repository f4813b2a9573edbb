package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/console"
)

// An archivePeer is an MLLP receiver that can be away: it answers AA, or what its
// verdict says, and keeps what it took.
type archivePeer struct {
	t       *testing.T
	address string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	verdict  func(control string) string
	took     []string // control ids, as they came
	frames   map[string]string
	serving  sync.WaitGroup
}

func newArchive(t *testing.T) *archivePeer {
	l := &archivePeer{t: t, address: freeAddress(t), conns: map[net.Conn]bool{}, frames: map[string]string{}}
	t.Cleanup(l.away)
	return l
}

// here begins to listen.
func (l *archivePeer) here() {
	l.t.Helper()
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	l.listener = listener
	l.mu.Unlock()
	l.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			l.conns[conn] = true
			l.mu.Unlock()
			l.serving.Go(func() { l.serve(conn) })
		}
	})
}

// away stops listening and breaks every connection.
func (l *archivePeer) away() {
	l.mu.Lock()
	if l.listener != nil {
		_ = l.listener.Close() // it may be closed already
	}
	for conn := range l.conns {
		_ = conn.Close()
	}
	l.mu.Unlock()
	l.serving.Wait()
}

func (l *archivePeer) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		frame, err := in.ReadString(0x1c)
		if err != nil {
			return
		}
		if _, err := in.ReadByte(); err != nil {
			return
		}
		frame = strings.Trim(frame, "\x0b\x1c")
		control := control10(frame)
		code := "AA"
		l.mu.Lock()
		if l.verdict != nil {
			code = l.verdict(control)
		}
		if code == "AA" {
			l.took = append(l.took, control)
			l.frames[control] = frame
		}
		l.mu.Unlock()
		reply := "\x0bMSH|^~\\&|LAB|X|EHR|Y|20260105||ACK|R" + control + "|P|2.5.1\rMSA|" + code + "|" + control + "\r\x1c\r"
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
	}
}

func (l *archivePeer) says(verdict func(control string) string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verdict = verdict
}

func (l *archivePeer) taken() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.took...)
}

// labRoutes sends every result on to a laboratory's archive; a second route
// takes nothing by itself.
const labRoutes = `zone: America/New_York
channels:
  - name: results
    title: Results to the archive
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    routes:
      - name: archive
        to: { mllp: { address: "%s" } }
        retry: { down: { first: 20ms, max: 100ms } }
        alert: { waiting: 1ms, depth: 2 }
      - name: second
        when: type == "ORU^R99"
        to: { mllp: { address: "%s" } }
        retry: { down: { first: 20ms, max: 100ms } }
`

func labSite(t *testing.T, database string) (*site, *archivePeer, *archivePeer) {
	s := newSite(t, database)
	archive, second := newArchive(t), newArchive(t)
	s.configure(fmt.Sprintf(labRoutes, s.results, archive.address, second.address))
	return s, archive, second
}

// ask runs a command with --json against the engine and decodes its output.
func (s *site) ask(into any, args ...string) {
	s.t.Helper()
	out, errs, code := s.engineCommand(append(args, "--http", s.http, "--data", s.data, "--json")...)
	if code != exitOK {
		s.t.Fatalf("engine %v: exit %d\n%s%s", args, code, out, errs)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		s.t.Fatalf("engine %v: %v\n%s", args, err, out)
	}
}

// must runs a command against the engine and returns what it printed.
func (s *site) must(args ...string) string {
	s.t.Helper()
	out, errs, code := s.engineCommand(append(args, "--http", s.http, "--data", s.data)...)
	if code != exitOK {
		s.t.Fatalf("engine %v: exit %d\n%s%s", args, code, out, errs)
	}
	return out
}

// queue is the state of one route.
func (s *site) queue(unit string) console.Queue {
	s.t.Helper()
	var rows []console.Queue
	s.get("/api/queues", &rows)
	for _, q := range rows {
		if q.Unit == unit {
			return q
		}
	}
	s.t.Fatalf("%s is not among the queues", unit)
	return console.Queue{}
}

// deliveries are those of a route in a state, in order.
func (s *site) deliveries(unit, state string) []console.Delivery {
	s.t.Helper()
	var page console.QueuePage
	if status, body := s.get("/api/queues/"+unit+"?limit=1000&state="+state, &page); status != http.StatusOK {
		s.t.Fatalf("queue %s: %d %s", unit, status, body)
	}
	return page.Deliveries
}

// TestQueueOfARouteThatIsDown is what an operator does about a laboratory that
// cannot be reached.
func TestQueueOfARouteThatIsDown(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s, archive, second := labSite(t, database)
		l := s.mustReady()
		defer func() { l.stop() }()
		for i, mrn := range []string{"A", "B", "A", "C"} {
			if code := s.send(s.results, oru(fmt.Sprintf("Q%d", i), mrn, fmt.Sprint(i), 1)); code != "AA" {
				t.Fatalf("answered %s, want AA", code)
			}
		}
		eventually(t, "four deliveries wait for a peer that is down", func() bool {
			q := s.queue("results/archive")
			return q.Open() == 4 && q.Now == "peer down" && q.Reason != "" && !q.Oldest.IsZero()
		})
		t.Run("the list says what waits and why", func(t *testing.T) {
			out := s.must("queue", "list")
			for _, want := range []string{"ROUTE", "results/archive", "peer down", "results/second", "idle"} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
			if out := s.must("queue", "list", "results/second"); strings.Contains(out, "archive") || !strings.Contains(out, "results/second") {
				t.Errorf("one route was asked for:\n%s", out)
			}
		})
		t.Run("alerts are raised once and shown", func(t *testing.T) {
			eventually(t, "both alerts are raised", func() bool { return len(s.queue("results/archive").Alerts) == 2 })
			_, metrics := s.get("/metrics", nil)
			for _, want := range []string{
				`plexus_alert{alert="depth",channel="results",route="archive"} 1`, `plexus_alert{alert="waiting",channel="results",route="archive"} 1`,
				`plexus_alert{alert="parked",channel="results",route="archive"} 0`, `plexus_queue_deliveries{channel="results",route="archive",state="`,
				`plexus_queue_oldest_seconds{channel="results",route="archive"} `,
				`plexus_queue_held{channel="results",route="archive"} 0`, `plexus_journal_messages{channel="results",state="done"} 4`,
			} {
				if !strings.Contains(string(metrics), want) {
					t.Errorf("the metrics lack %s", want)
				}
			}
			if strings.Contains(string(metrics), `channel="results/`) {
				t.Error("units of routes are counted as channels")
			}
			if n := strings.Count(l.log.String(), "alert=depth"); n != 1 {
				t.Errorf("the alert was logged %d times, want once", n)
			}
		})
		var first console.Delivery
		t.Run("a parked delivery lets younger ones of its key go on", func(t *testing.T) {
			for _, d := range s.deliveries("results/archive", "") {
				if d.Control == "Q0" {
					first = d
				}
			}
			if out := s.must("queue", "park", first.ID[:20], "--why", "a test", "--who", "tester"); !strings.Contains(out, "parked") {
				t.Errorf("park said %s", out)
			}
			archive.here()
			eventually(t, "the others are delivered", func() bool { return s.queue("results/archive").Delivered == 3 })
			if q := s.queue("results/archive"); q.Parked != 1 || q.Open() != 0 {
				t.Errorf("got %+v", q)
			}
			if got := archive.taken(); len(got) != 3 {
				t.Errorf("the archive took %v", got)
			}
		})
		t.Run("what was overtaken goes late or not at all", func(t *testing.T) {
			for _, args := range [][]string{{first.ID}, {"--all", "results/archive"}} {
				out, errs, code := s.engineCommand(append([]string{"queue", "retry", "--why", "w", "--who", "tester", "--http", s.http}, args...)...)
				if code != exitSome || !strings.Contains(errs, "younger deliveries of its key have arrived already: send it late with late: true (--late)") {
					t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
				}
			}
			if out := s.must("queue", "retry", "--late", first.ID, "--why", "it is needed", "--who", "tester"); !strings.Contains(out, "late") {
				t.Errorf("retry said %s", out)
			}
			eventually(t, "it is delivered", func() bool { return s.queue("results/archive").Delivered == 4 })
			out := s.must("messages", "trace", s.one("Q0").ID)
			for _, want := range []string{"delivery parked", "retried", "results/archive", "delivered", "late", first.ID} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in the trace:\n%s", want, out)
				}
			}
		})
		t.Run("the alerts end", func(t *testing.T) {
			eventually(t, "no alert is left", func() bool { return len(s.queue("results/archive").Alerts) == 0 })
			if !strings.Contains(l.log.String(), "alert ended") {
				t.Error("the log does not say so")
			}
		})
		t.Run("a paused route sends nothing until it is resumed", func(t *testing.T) {
			if out := s.must("queue", "pause", "results/archive", "--why", "maintenance", "--who", "tester"); !strings.Contains(out, "held: paused by tester: maintenance") {
				t.Errorf("pause said %s", out)
			}
			// The route's desk, if it is still at work, ends at the next beat.
			eventually(t, "the pause is seen", func() bool { return s.queue("results/archive").Now == "held" })
			s.send(s.results, oru("Q9", "A", "9", 1))
			s.settled()
			if q := s.queue("results/archive"); q.Waiting != 1 || q.Held == "" {
				t.Errorf("got %+v", q)
			}
			_, metrics := s.get("/metrics", nil)
			if !strings.Contains(string(metrics), `plexus_queue_held{channel="results",route="archive"} 1`) {
				t.Error("the metrics do not say that it is held")
			}
		})
		t.Run("waiting deliveries move to another route", func(t *testing.T) {
			second.here()
			out, errs, code := s.engineCommand("queue", "move", "--all", "results/archive", "--to", "results/third", "--why", "w", "--http", s.http)
			if code != exitSome || !strings.Contains(errs, "known: results/archive, results/second") {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
			if out := s.must("queue", "move", "--all", "results/archive", "--to", "results/second", "--why", "the archive is down", "--who", "tester"); !strings.Contains(out, "1 moved to results/second") {
				t.Errorf("move said %s", out)
			}
			eventually(t, "it is delivered there", func() bool { return s.queue("results/second").Delivered == 1 })
			if got := second.taken(); len(got) != 1 || got[0] != "Q9" {
				t.Errorf("the second took %v", got)
			}
		})
		t.Run("resumed, it goes on", func(t *testing.T) {
			s.must("queue", "resume", "results/archive", "--why", "done", "--who", "tester")
			s.send(s.results, oru("Q10", "A", "10", 1))
			eventually(t, "it is delivered", func() bool { return s.queue("results/archive").Delivered == 5 })
		})
		t.Run("bytes and answer of a delivery", func(t *testing.T) {
			all := s.deliveries("results/archive", "delivered")
			d := all[len(all)-1]
			if out := s.must("queue", "show", d.ID, "--payload"); out != oru("Q10", "A", "10", 1) {
				t.Errorf("the payload is %q", out)
			}
			if out := s.must("queue", "show", d.ID, "--answer"); !strings.Contains(out, "MSA|AA|Q10") {
				t.Errorf("the answer is %q", out)
			}
			if out := s.must("queue", "show", "results/archive", "--state", "delivered"); !strings.Contains(out, d.ID) || !strings.Contains(out, d.Message) {
				t.Errorf("the route shows\n%s", out)
			}
		})
		t.Run("a refused delivery parks and is dropped by name", func(t *testing.T) {
			archive.says(func(string) string { return "AR" })
			s.send(s.results, oru("Q11", "D", "11", 1))
			eventually(t, "it is parked", func() bool { return s.queue("results/archive").Parked == 1 })
			if out := s.must("queue", "drop", "--all", "results/archive", "--why", "a test result", "--who", "tester"); !strings.Contains(out, "1 dropped") {
				t.Errorf("drop said %s", out)
			}
			if d := s.deliveries("results/archive", "dropped"); len(d) != 1 || !strings.Contains(d[0].Reason, "tester: a test result") {
				t.Errorf("dropped are %+v", d)
			}
		})
	})
}

// TestQueueWithoutAnEngine decides on the data folder; the next life of the
// engine goes on from there.
func TestQueueWithoutAnEngine(t *testing.T) {
	s, archive, _ := labSite(t, "")
	l := s.mustReady()
	for i, mrn := range []string{"A", "B"} {
		s.send(s.results, oru(fmt.Sprintf("Q%d", i), mrn, fmt.Sprint(i), 1))
	}
	eventually(t, "both wait", func() bool { return s.queue("results/archive").Open() == 2 })
	l.stop()
	var rows []console.Queue
	s.ask(&rows, "queue", "list")
	if len(rows) != 1 || rows[0].Waiting != 2 || rows[0].Now != "no engine runs" {
		t.Fatalf("got %+v", rows)
	}
	var page console.QueuePage
	s.ask(&page, "queue", "show", "results/archive", "--state", "waiting")
	if len(page.Deliveries) != 2 {
		t.Fatalf("got %+v", page)
	}
	var d console.Delivery
	s.ask(&d, "queue", "drop", page.Deliveries[0].ID, "--why", "a test", "--who", "tester")
	if d.State != "dropped" {
		t.Errorf("got %+v", d)
	}
	archive.here()
	l = s.mustReady()
	other := page.Deliveries[1].Control
	eventually(t, "the other one is delivered", func() bool { return s.queue("results/archive").Delivered == 1 })
	if got := archive.taken(); len(got) != 1 || got[0] != other {
		t.Errorf("the archive took %v, want %s only", got, other)
	}
	l.stop()
}

// TestReprocessLate hands a parked message in again after a younger one of its
// patient has arrived.
func TestReprocessLate(t *testing.T) {
	s, archive, _ := labSite(t, "")
	rule := "    require: [ { that: OBX-5 != \"bad\", else: park, say: a bad value } ]\n    routes:\n"
	s.configure(strings.Replace(fmt.Sprintf(labRoutes, s.results, archive.address, archive.address), "    routes:\n", rule, 1))
	archive.here()
	l := s.mustReady()
	defer l.stop()
	s.send(s.results, strings.Replace(oru("L1", "A", "1", 1), "||0.2|", "||bad|", 1))
	s.send(s.results, oru("L2", "A", "2", 1))
	eventually(t, "the younger one is delivered", func() bool { return s.queue("results/archive").Delivered == 1 })
	if r := s.one("L1"); r.State != "parked" {
		t.Fatalf("got %+v, want parked", r)
	}
	s.configure(fmt.Sprintf(labRoutes, s.results, archive.address, archive.address))
	eventually(t, "the change is reported", func() bool { return strings.Contains(l.log.String(), "configuration changed") })
	younger := s.deliveries("results/archive", "delivered")[0].ID
	out, errs, code := s.engineCommand("messages", "reprocess", s.one("L1").ID, "--why", "mended", "--http", s.http)
	if code != exitSome || !strings.Contains(errs, "--late") || !strings.Contains(errs, "results/archive "+younger) {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	s.must("messages", "reprocess", s.one("L1").ID, "--late", "--why", "mended", "--who", "tester")
	eventually(t, "it is delivered too", func() bool { return s.queue("results/archive").Delivered == 2 })
	if d := s.deliveries("results/archive", "delivered"); len(d) != 2 || !d[1].Late {
		t.Errorf("it is not marked late: %+v", d[1])
	}
}

// TestTheProgramMayStandBesideItsFiles starts in a folder that holds the program
// itself: it is no file of settings.
func TestTheProgramMayStandBesideItsFiles(t *testing.T) {
	s := newSite(t, "")
	if err := os.WriteFile(filepath.Join(s.folder, "engine"), []byte("\x7fELF\x00\x01"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := s.mustReady()
	l.stop()
}
