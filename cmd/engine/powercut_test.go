package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/pgtest"
	"github.com/plexus-health/plexus/internal/powercut"
)

// TestPowerCut takes the power from the disk of an engine under load: what was
// not synced is gone. Whatever was acknowledged before must be there when the
// power is back. The run without syncs has to lose messages, or the cut is none.
func TestPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no power is cut")
	}
	if !powercut.Alone(t) {
		return
	}
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("PLEXUS_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("PLEXUS_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	cuts, postgresCuts, steps := 2, 1, []string{cutSteps[random.IntN(len(cutSteps))]}
	if os.Getenv("PLEXUS_FAULTS") == "long" {
		cuts, postgresCuts, steps = 60, 30, cutSteps
	}
	t.Run("sqlite", func(t *testing.T) { rounds(t, random, false, make([]string, cuts)) })
	t.Run("sqlite at a step", func(t *testing.T) { rounds(t, random, false, steps) })
	t.Run("sqlite without syncs", func(t *testing.T) {
		const tries = 10
		for try := range tries {
			p := newPlant(t, random, false)
			p.site.tags, p.env = "killpoints", []string{"PLEXUS_TEST_UNSAFE_SYNC=yes"}
			promised := p.cut(try, "")
			lost := p.lost()
			t.Logf("%d of %d acknowledged messages are lost", lost, promised)
			p.life.kill()
			if lost > 0 {
				return
			}
		}
		t.Errorf("%d cuts of a store that does not sync lost nothing: the cut is none, and the other runs prove nothing", tries)
	})
	t.Run("postgres", func(t *testing.T) { rounds(t, random, true, make([]string, postgresCuts)) })
	if len(steps) > 1 {
		t.Run("postgres at a step", func(t *testing.T) { rounds(t, random, true, steps) })
	}
}

// rounds cuts the power at each of the steps; an empty one is any moment. After
// a few cuts it begins with an empty disk, so that the journal stays small.
func rounds(t *testing.T, random *rand.Rand, postgres bool, steps []string) {
	for some := range slices.Chunk(steps, 5) {
		p := newPlant(t, random, postgres)
		for n, step := range some {
			p.round(n, step)
		}
		p.dismantle()
	}
}

// cutSteps are the durable steps of the line at which the power is cut.
var cutSteps = []string{
	"after_read", "before_commit", "after_commit", "after_commit_before_ack",
	"after_map", "before_t2_commit", "after_t2_commit", "after_finish",
}

// A plant is an engine whose data, and whose database, are on a disk that can
// lose its power.
type plant struct {
	t       *testing.T
	random  *rand.Rand
	site    *site
	env     []string
	disk    *powercut.Disk
	cluster *pgtest.Cluster // PostgreSQL in place of the embedded store
	life    *life

	// unit, if it is not empty, is a route that is held until a queue waits for
	// it: the power is cut while the engine sends.
	unit string

	book     *book
	promised map[string]bool // acknowledged before the cut began
	late     map[string]bool // acknowledged after it began
}

func newPlant(t *testing.T, random *rand.Rand, postgres bool) *plant {
	t.Helper()
	p := &plant{t: t, random: random, disk: powercut.New(t, 1024), book: newBook(), promised: map[string]bool{}, late: map[string]bool{}}
	if postgres {
		if _, err := pgtest.Find("postgres"); err != nil && os.Getenv("CI") != "true" {
			t.Skipf("PostgreSQL is missing (%v): `make postgres` installs its programs", err)
		}
		if err := os.Mkdir(p.folder(), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.dismantle)
	}
	p.site = newSite(t, "")
	p.site.data = filepath.Join(p.disk.Path, "engine")
	if postgres {
		p.openCluster()
		if _, err := p.cluster.Create("plexus"); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// dismantle ends what would keep the disk busy.
func (p *plant) dismantle() {
	if p.cluster != nil {
		p.cluster.Crash()
		p.cluster = nil
	}
}

func (p *plant) folder() string { return filepath.Join(p.disk.Path, "postgres") }

// openCluster starts PostgreSQL on the disk.
func (p *plant) openCluster() {
	p.t.Helper()
	c, err := pgtest.OpenIn(p.folder())
	if err != nil {
		p.t.Fatalf("PostgreSQL: %v", err)
	}
	p.cluster, p.site.database = c, c.DSN("plexus")
}

// round is one cut, at a step or at any moment, and everything that must hold
// after it.
func (p *plant) round(n int, step string) {
	p.t.Helper()
	late := len(p.late)
	promised := p.cut(n, step)
	if lost := p.lost(); lost > 0 {
		p.t.Fatalf("cut %d: %d of %d acknowledged messages are not in the journal", n, lost, promised)
	}
	p.check()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	p.book.again(ctx, p.t, p.site, true)
	for range 2 { // the second start must find what the first one left
		journal := p.site.settled()
		p.book.compare(p.t, journal, true)
		p.book.effects(p.t, p.site, true)
		p.life.stop()
		p.life = p.site.mustReady(p.env...)
	}
	p.life.stop()
	if step == "" {
		step = "at any moment"
	}
	p.t.Logf("cut %d %s: %d messages acknowledged before it, all there; %d after it began", n, step, promised, len(p.late)-late)
}

// cut runs the engine under load, cuts the power, and brings everything up
// again. It returns how many messages were acknowledged before.
func (p *plant) cut(n int, step string) int {
	p.t.Helper()
	env := p.env
	if step != "" {
		p.site.tags = "killpoints"
		env = append(env, fmt.Sprintf("PLEXUS_STOP_AT=%s:%d", step, 20+p.random.IntN(60)))
	}
	p.life = p.site.mustReady(env...)
	before := len(p.promised)
	p.decide("pause")
	var down atomic.Bool
	var senders sync.WaitGroup
	for lane := range 4 {
		senders.Go(func() { p.send(n, lane, &down) })
	}
	acknowledged := func() int {
		p.book.mu.Lock()
		defer p.book.mu.Unlock()
		return len(p.promised) - before
	}
	if p.unit != "" {
		eventually(p.t, "a queue waiting", func() bool { return acknowledged() >= queued })
		p.decide("resume")
	}
	if step != "" {
		eventually(p.t, "the engine being stopped at "+step, p.life.stopped)
	} else {
		eventually(p.t, "messages being acknowledged", func() bool { return acknowledged() >= 40 })
		time.Sleep(time.Duration(p.random.IntN(700)) * time.Millisecond) // the moment of the cut is drawn
	}
	down.Store(true)
	p.disk.Cut()
	if p.cluster == nil && step == "" && p.random.IntN(2) == 0 {
		p.endsByItself()
	}
	p.life.kill()
	senders.Wait()
	p.dismantle()
	p.disk.Restore()
	if p.site.database != "" {
		p.openCluster()
	}
	p.life = p.site.mustReady(p.env...)
	return acknowledged()
}

// stopped reports whether the process stands still.
func (l *life) stopped() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.cmd.Process.Pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(state, "T")
}

// endsByItself waits for the engine to end: after an error of write or sync
// nothing it says could be believed.
func (p *plant) endsByItself() {
	p.t.Helper()
	select {
	case <-p.life.done:
	case <-time.After(time.Minute):
		p.t.Errorf("the engine works on without a disk\n%s", p.life.log)
		return
	}
	if e, ok := errors.AsType[*exec.ExitError](p.life.err); !ok || e.ExitCode() != exitFailed {
		p.t.Errorf("the engine ended with %v, want exit code %d", p.life.err, exitFailed)
	}
}

// send sends results and updates of one patient after another until one is not
// answered.
func (p *plant) send(round, lane int, down *atomic.Bool) {
	b := p.book
	for n := 0; ; n++ {
		mrn := fmt.Sprintf("P%d-%d-%d", round, lane, n/8)
		for _, e := range []entry{
			{address: p.site.results, raw: oru(fmt.Sprintf("PR%d-%d-%d", round, lane, n), mrn, fmt.Sprintf("%d%d%d", 1+round, lane, 1000+n), 2)},
			{address: p.site.admit, raw: adt(fmt.Sprintf("PA%d-%d-%d", round, lane, n), mrn, n%8+1, "A08")},
		} {
			e.control, e.mrn = control10(e.raw), mrnOf(e.raw)
			code := ""
			if conn, err := dial(e.address); err == nil {
				if code, err = conn.exchange(e.raw); err != nil {
					code = ""
				}
				conn.close()
			}
			late := down.Load() // read after the answer: a promise came before the cut
			b.mu.Lock()
			switch {
			case code == "AA" && late:
				p.late[e.control] = true
			case code == "AA":
				p.promised[e.control], e.code = true, code
			case !late:
				p.t.Errorf("%s: answered %q before the cut", e.control, code)
			}
			e.order = len(b.sent)
			b.index[e.control] = e.order
			b.sent = append(b.sent, e)
			b.mu.Unlock()
			if code != "AA" {
				return
			}
		}
	}
}

// lost counts what was promised and is not there, and reports what is there in
// other bytes.
func (p *plant) lost() int {
	p.t.Helper()
	found := map[string]row{}
	for _, r := range p.site.settled() {
		found[r.Control] = r
	}
	lost, lateLost := 0, 0
	for _, e := range p.book.sent {
		r, there := found[e.control]
		switch {
		case there:
			if _, body := p.site.get("/api/messages/"+r.ID+"/raw", nil); string(body) != e.raw {
				p.t.Errorf("%s has %d bytes, and not those of the %d that were sent", e.control, len(body), len(e.raw))
			}
		case p.promised[e.control]:
			lost++
		case p.late[e.control]:
			lateLost++
		}
	}
	if lateLost > 0 {
		p.t.Logf("%d messages acknowledged after the cut began are lost: an error of the disk was taken for success", lateLost)
	}
	return lost
}

// check holds journal, ledger and effects against each other as the cut has
// left them, before anything is sent again.
func (p *plant) check() {
	p.t.Helper()
	journal := p.site.settled()
	var ledger []struct {
		State string
		N     int
	}
	if status, body := p.site.get("/api/ledger", &ledger); status != 200 {
		p.t.Fatalf("ledger: %d %s", status, body)
	}
	sum := 0
	for _, l := range ledger {
		if l.State == "done" {
			sum += l.N
		} else if l.N > 0 {
			p.t.Errorf("%d messages are %s, want done", l.N, l.State)
		}
	}
	if sum != len(journal) {
		p.t.Errorf("the ledger counts %d messages, the journal holds %d", sum, len(journal))
	}
	results := map[string]int{}
	for _, r := range journal {
		e := p.book.sent[p.book.index[r.Control]]
		if e.control != r.Control {
			p.t.Fatalf("%s is in the journal and was never sent", r.Control)
		}
		if e.address == p.site.results {
			results[e.mrn]++
		}
	}
	for _, e := range p.book.sent {
		want, open := results[e.mrn]
		if !open {
			continue
		}
		delete(results, e.mrn)
		if got := p.site.search("Observation", url.Values{"patient.identifier": {e.mrn}}); len(got) != 2*want {
			p.t.Errorf("patient %s has %d observations, want %d of %d messages", e.mrn, len(got), 2*want, want)
		}
	}
}
