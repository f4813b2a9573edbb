package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/pgtest"
)

// twoSites are two engines of one database and one NATS server that send to one
// receiver.
func twoSites(t *testing.T) (sites [2]*site, r receiver, env string) {
	database := pgtest.Start(t)
	r, env = newMLLPReceiver(t), "PLEXUS_NATS="+natsFor(t)
	for i := range sites {
		s := newSite(t, database)
		s.configure(fmt.Sprintf(deliveryForward, s.results, r.to(), s.admit))
		sites[i] = s
	}
	return sites, r, env
}

// A crowd sends messages of some patients to whichever engine takes them, each
// until it is acknowledged, and notes them in that order.
type crowd struct {
	lanes  [][]string
	sent   atomic.Int64
	paused atomic.Bool
	wait   sync.WaitGroup
	stop   context.CancelFunc
}

func newCrowd(t *testing.T, lanes int, sites [2]*site) *crowd {
	ctx, stop := context.WithCancel(t.Context())
	c := &crowd{lanes: make([][]string, lanes), stop: stop}
	for lane := range lanes {
		c.wait.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				raw := oru(fmt.Sprintf("E%d-%05d", lane, n), fmt.Sprintf("K%d", lane), fmt.Sprintf("%d%d", lane, n), 1)
				if !eitherTakes(t, sites, n, raw) {
					return
				}
				c.lanes[lane] = append(c.lanes[lane], raw)
				c.sent.Add(1)
			}
		})
	}
	return c
}

// eitherTakes hands a message to the engines in turn until one acknowledges it.
func eitherTakes(t *testing.T, sites [2]*site, n int, raw string) bool {
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); n++ {
		p, err := dial(sites[n%2].results)
		if err != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		code, err := p.exchange(raw)
		p.close()
		if err == nil && code == "AA" {
			return true
		}
	}
	t.Errorf("%s: nobody took it within two minutes", control10(raw))
	return false
}

// end stops the crowd and returns how many messages were acknowledged.
func (c *crowd) end() int {
	c.stop()
	c.wait.Wait()
	return int(c.sent.Load())
}

// TestARollingRestartLosesNothing stops and starts two engines in turn while
// messages come.
func TestARollingRestartLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are started")
	}
	sites, r, env := twoSites(t)
	lives := [2]*life{sites[0].mustReady(env), sites[1].mustReady(env)}
	crowd := newCrowd(t, 4, sites)
	for round := range 4 {
		before := len(r.arrived(t))
		eventually(t, "more arrive", func() bool { return len(r.arrived(t)) > before+40 })
		lives[round%2].stop()
		lives[round%2] = sites[round%2].mustReady(env)
	}
	n := crowd.end()
	queue := sites[0].drained("lab-results/out", n)
	compareArrivals(t, sites[0], r.arrived(t), crowd.lanes, queue)
	if again := len(r.arrived(t)) - n; again > 0 {
		t.Errorf("%d messages arrived twice although nobody was killed", again)
	}
	for _, l := range lives {
		l.stop()
	}
}

// TestAnEngineThatStoodStillIsFenced stops the engine that owns the units in the
// middle of a send, by SIGSTOP, and lets it go on when the other one has taken
// over and sent everything. What was under way may arrive twice, under the same
// control id and marked; nothing that the first one still knows takes effect.
func TestAnEngineThatStoodStillIsFenced(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are stopped")
	}
	for _, point := range []string{"after_claim", "after_send_before_answer"} {
		t.Run(point, func(t *testing.T) {
			sites, r, env := twoSites(t)
			for _, s := range sites {
				s.tags = "killpoints"
			}
			first := sites[0].mustReady(env, "PLEXUS_STOP_AT="+point+":5")
			lanes := lanesOf(3, 6)
			if code := sites[0].send(sites[0].results, lanes[0][0]); code != "AA" {
				t.Fatalf("answered %s", code)
			}
			eventually(t, "the first engine owns the route", func() bool { return len(r.arrived(t)) == 1 })
			second := sites[1].mustReady(env)
			var senders sync.WaitGroup
			for i, lane := range lanes {
				senders.Go(func() {
					for n, raw := range lane {
						if i == 0 && n == 0 {
							continue // sent above
						}
						if code := sites[1].send(sites[1].results, raw); code != "AA" {
							t.Errorf("%s was answered %s", control10(raw), code)
						}
					}
				})
			}
			senders.Wait()
			eventually(t, "the first engine stands still", func() bool { return standsStill(t, first) })
			queue := sites[1].drained("lab-results/out", 18)
			if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			// It finds out that it was given up, and goes on as another owner.
			more := oru("AFTER", "K0", "99", 1)
			eventually(t, "it takes messages again", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				code, _, err := deliver(ctx, sites[0].results, more)
				return err == nil && code == "AA"
			})
			queue = append(queue, sites[1].drained("lab-results/out", 19)...)
			lanes[0] = append(lanes[0], more)
			compareArrivals(t, sites[1], r.arrived(t), lanes, queue)
			marked := 0
			for _, d := range queue[:18] {
				if d.MaybeSent {
					marked++
				}
			}
			if marked != 1 {
				t.Errorf("%d deliveries are marked as perhaps sent, want the one that was under way", marked)
			}
			first.stop()
			second.stop()
		})
	}
}

// standsStill reports whether a process is stopped.
func standsStill(t *testing.T, l *life) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name of the program may hold spaces
	return strings.HasPrefix(after, "T")
}

// TestTheNewerConfigurationWorks runs two engines whose files differ, as while a
// changed one goes from engine to engine: both take in, the one that read its
// file last works, and when it dies the other one does again.
func TestTheNewerConfigurationWorks(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	sites, r, env := twoSites(t)
	for i, mrn := range []string{"OLD", "NEW"} { // what each filters
		s := sites[i]
		config := fmt.Sprintf(deliveryForward, s.results, r.to(), s.admit)
		s.configure(strings.Replace(config, "parse: hl7v2\n", "parse: hl7v2\n    filter: PID-3.1 != \""+mrn+"\"\n", 1))
	}
	first := sites[0].mustReady(env)
	n := 0
	// state sends a message of patient OLD and returns what became of it.
	state := func(to *site) string {
		n++
		control := fmt.Sprintf("V-%04d", n)
		if code := to.send(to.results, oru(control, "OLD", fmt.Sprint(n), 1)); code != "AA" {
			t.Fatalf("%s was answered %s", control, code)
		}
		was := ""
		eventually(t, control+" is processed", func() bool {
			rows := sites[0].rows("control=" + control)
			if len(rows) == 1 {
				was = rows[0].State
			}
			return was == "done" || was == "filtered"
		})
		return was
	}
	if got := state(sites[0]); got != "filtered" {
		t.Fatalf("by the first engine: %s", got)
	}
	second := sites[1].mustReady(env)
	eventually(t, "the newer configuration works", func() bool { return state(sites[0]) == "done" })
	for i := range 10 {
		if got := state(sites[i%2]); got != "done" {
			t.Errorf("%s, although the engine with the newer configuration lives", got)
		}
	}
	second.kill()
	eventually(t, "the older one works again", func() bool { return state(sites[0]) == "filtered" })
	first.stop()
}

// TestTheDatabaseRestartsUnderLoad restarts PostgreSQL while messages come in
// and go out.
func TestTheDatabaseRestartsUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	cluster, err := pgtest.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	database, err := cluster.Create("plexus")
	if err != nil {
		t.Fatal(err)
	}
	r := newMLLPReceiver(t)
	s := newSite(t, database)
	s.configure(fmt.Sprintf(deliveryForward, s.results, r.to(), s.admit))
	l := s.mustReady()
	crowd := newCrowd(t, 4, [2]*site{s, s})
	for range 2 {
		before := len(r.arrived(t))
		eventually(t, "more arrive", func() bool { return len(r.arrived(t)) > before+100 })
		if err := cluster.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	before := len(r.arrived(t))
	eventually(t, "messages arrive after the restarts", func() bool { return len(r.arrived(t)) > before+100 })
	n := crowd.end()
	queue := s.drained("lab-results/out", n)
	compareArrivals(t, s, r.arrived(t), crowd.lanes, queue)
	l.stop()
}

// TestTheReceiverIsAwayForAWholeLife has the receiver down from the start of
// the engine to its end: everything arrives in the next life.
func TestTheReceiverIsAwayForAWholeLife(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are started")
	}
	stores(t, func(t *testing.T, database string) {
		s := newSite(t, database)
		s.configure(fmt.Sprintf(deliveryForward, s.results, `{ mllp: { address: "`+freeAddress(t)+`" } }`, s.admit))
		l := s.mustReady()
		lanes := lanesOf(3, 10)
		for _, lane := range lanes {
			for _, raw := range lane {
				if code := s.send(s.results, raw); code != "AA" {
					t.Fatalf("answered %s, want AA", code)
				}
			}
		}
		eventually(t, "30 wait", func() bool { return len(s.queueOf("lab-results/out")) == 30 })
		l.stop()
		r := newMLLPReceiver(t)
		s.configure(fmt.Sprintf(deliveryForward, s.results, r.to(), s.admit))
		l = s.mustReady()
		queue := s.drained("lab-results/out", 30)
		compareArrivals(t, s, r.arrived(t), lanes, queue)
		if got := r.arrived(t); len(got) != 30 {
			t.Errorf("%d arrived, want 30", len(got))
		}
		if slices.ContainsFunc(queue, func(d deliveryRow) bool { return d.MaybeSent }) {
			t.Error("a delivery is marked as perhaps sent although nobody was there")
		}
		l.stop()
	})
}
