package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/powercut"
)

// sendSteps are the durable steps of sending at which the power is cut.
var sendSteps = []string{"after_claim", "after_send_before_answer", "before_answer", "after_answer"}

// queued is how many messages are acknowledged before a route may send. Half of
// them go over it: more than are sent before the cut, so that others wait then.
const queued = 200

// TestPowerCutSending takes the power from the disk of an engine that sends a
// queue. The receiver is somewhere else and keeps its ledger. When the power is
// back everything that was acknowledged arrives, in the order of its patient, and
// a second time only what is marked as perhaps sent. The run without syncs has
// to fail.
func TestPowerCutSending(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no power is cut")
	}
	if !powercut.Alone(t) {
		return
	}
	random := rand.New(rand.NewPCG(seedOf(t), 2))
	steps, postgresSteps := []string{sendSteps[random.IntN(len(sendSteps))]}, []string(nil)
	if os.Getenv("PLEXUS_FAULTS") == "long" {
		steps = slices.Repeat(sendSteps, 5)
		postgresSteps = slices.Repeat(sendSteps, 3)
	}
	t.Run("sqlite", func(t *testing.T) { sendingRounds(t, random, false, steps) })
	t.Run("sqlite without syncs", func(t *testing.T) {
		const tries = 10
		for try := range tries {
			p, r := newSendingPlant(t, random, false)
			p.site.tags, p.env = "killpoints", []string{"PLEXUS_TEST_UNSAFE_SYNC=yes"}
			promised := p.cut(try, "")
			lost, forgotten := p.lost(), p.forgotten(r.arrived(t))
			t.Logf("%d of %d acknowledged messages are lost, %d that were sent are forgotten", lost, promised, forgotten)
			p.life.kill()
			if lost+forgotten > 0 {
				return
			}
		}
		t.Errorf("%d cuts of a store that does not sync lost nothing: the cut is none, and the other runs prove nothing", tries)
	})
	if len(postgresSteps) > 0 {
		t.Run("postgres", func(t *testing.T) { sendingRounds(t, random, true, postgresSteps) })
	}
}

// newSendingPlant is a plant whose results go on to a receiver.
func newSendingPlant(t *testing.T, random *rand.Rand, postgres bool) (*plant, receiver) {
	t.Helper()
	p, r := newPlant(t, random, postgres), newMLLPReceiver(t)
	p.site.forwardTo(r)
	p.unit = "lab-results/out"
	return p, r
}

// sendingRounds cuts the power at each of the steps, with an empty disk after two.
func sendingRounds(t *testing.T, random *rand.Rand, postgres bool, steps []string) {
	for some := range slices.Chunk(steps, 2) {
		p, r := newSendingPlant(t, random, postgres)
		for n, step := range some {
			p.sendingRound(n, step, r)
		}
		p.dismantle()
	}
}

// sendingRound is one cut at a step of sending, and everything that must hold
// after it.
func (p *plant) sendingRound(n int, step string, r receiver) {
	p.t.Helper()
	before := len(r.arrived(p.t))
	promised := p.cut(n, step)
	if _, err := os.Stat(filepath.Join(p.site.data, "jetstream")); err != nil {
		p.t.Errorf("the tickets are not on the disk: %v", err)
	}
	if lost := p.lost(); lost > 0 {
		p.t.Fatalf("cut %d: %d of %d acknowledged messages are not in the journal", n, lost, promised)
	}
	p.delivered(r)
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	p.book.again(ctx, p.t, p.site, true)
	p.book.compare(p.t, p.site.settled(), true)
	p.delivered(r)
	arrived := len(r.arrived(p.t))
	p.life.stop()
	p.life = p.site.mustReady(p.env...) // the second start has nothing to send
	p.delivered(r)
	p.life.stop()
	if again := len(r.arrived(p.t)); again != arrived {
		p.t.Errorf("%d messages arrived after all had been delivered", again-arrived)
	}
	p.t.Logf("cut %d %s: %d messages acknowledged before it, all there; %d arrived in this round", n, step, promised, arrived-before)
}

// delivered waits until the queue is empty and holds the receiver's ledger
// against the journal.
func (p *plant) delivered(r receiver) {
	p.t.Helper()
	results := map[string]bool{}
	for _, m := range p.site.settled() {
		if m.Channel == "lab-results" {
			results[m.Control] = true
		}
	}
	lanes, place := [][]string{}, map[string]int{}
	for _, e := range p.book.sent {
		if !results[e.control] {
			continue
		}
		lane, there := place[e.mrn]
		if !there {
			lane = len(lanes)
			place[e.mrn], lanes = lane, append(lanes, nil)
		}
		lanes[lane] = append(lanes[lane], e.raw)
	}
	queue := p.site.drained(p.unit, len(results))
	compareArrivals(p.t, p.site, r.arrived(p.t), lanes, queue)
}

// forgotten counts what has arrived and is not in the journal.
func (p *plant) forgotten(arrived []string) int {
	p.t.Helper()
	known := map[string]bool{}
	for _, m := range p.site.rows("") {
		known[m.Control] = true
	}
	n := 0
	for _, control := range arrived {
		if !known[control] {
			n++
		}
	}
	return n
}

// decide holds the route that sends, or lets it go.
func (p *plant) decide(word string) {
	p.t.Helper()
	if p.unit == "" {
		return
	}
	if status := p.site.decide(fmt.Sprintf("/api/queues/%s/%s", p.unit, word), "a queue is to wait"); status != http.StatusOK {
		p.t.Fatalf("%s was answered %d", word, status)
	}
}
