package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"

	"github.com/plexus-health/plexus/internal/faults"
	"github.com/plexus-health/plexus/internal/pgtest"
)

// TestOutcomesWhoseCommitIsNotKnown loses the connection to the database again
// and again while an engine sends, each time at a COMMIT: before it arrived
// there, or when it had arrived and nothing comes back any more. What the peer
// said is settled as it was: no delivery is lost, none is taken for another, the
// order of each patient is kept, and only what is marked as perhaps sent may
// arrive twice. Where the database had the COMMIT nothing arrives twice.
func TestOutcomesWhoseCommitIsNotKnown(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are started")
	}
	for name, passed := range map[string]bool{"lost before it arrived": false, "answer lost": true} {
		t.Run(name, func(t *testing.T) {
			dsn, err := url.Parse(pgtest.Start(t))
			if err != nil {
				t.Fatal(err)
			}
			proxy := faults.NewProxy(t, dsn.Host)
			dsn.Host = proxy.Address()
			s, r := newSite(t, dsn.String()), newMLLPReceiver(t)
			s.forwardTo(r)
			l := s.mustReady()
			const unit, each = "lab-results/out", 60
			if status := s.decide("/api/queues/"+unit+"/pause", "they wait"); status != http.StatusOK {
				t.Fatalf("pause was answered %d", status)
			}
			lanes := lanesOf(4, each)
			sendLanes(t, s, lanes)
			s.settled()
			if status := s.decide("/api/queues/"+unit+"/resume", "they go"); status != http.StatusOK {
				t.Fatalf("resume was answered %d", status)
			}
			cuts := cutCommits(t, proxy, passed, 4*each, func() int { return len(r.arrived(t)) })
			queue := s.drained(unit, 4*each)
			arrived := r.arrived(t)
			compareArrivals(t, s, arrived, lanes, queue)
			if passed && len(arrived) != 4*each {
				t.Errorf("%d arrived, want %d: what was committed was sent again", len(arrived), 4*each)
			}
			if cuts == 0 {
				t.Error("nothing was cut")
			}
			t.Logf("%d cuts, %d arrivals, %d sends", cuts, len(arrived), attempts(queue))
			l.stop()
		})
	}
}

// cutCommits cuts the connection of a COMMIT each time that a few more have
// arrived, so that most of them are those of an outcome, until all are there.
func cutCommits(t *testing.T, proxy *faults.Proxy, passed bool, all int, arrived func() int) (cuts int) {
	t.Helper()
	random := rand.New(rand.NewPCG(seedOf(t), 5))
	for next := 0; next < all; {
		eventually(t, fmt.Sprintf("after %d cuts: %d arrived", cuts, next), func() bool { return arrived() >= next })
		cut := proxy.CutAt("commit\x00", passed)
		eventually(t, "another COMMIT", func() bool {
			select {
			case <-cut:
				return true
			default:
				return false
			}
		})
		cuts++
		next = arrived() + 1 + random.IntN(12)
	}
	return cuts
}

func attempts(queue []deliveryRow) (n int) {
	for i := range queue {
		n += queue[i].Attempts
	}
	return n
}
