package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/plexus-health/plexus/internal/partner"
)

// A wideReceiver takes messages of several patients side by side, and counts
// them without listing them.
type wideReceiver struct {
	mllpReceiver
	came *atomic.Int64
}

func newWideReceiver(t *testing.T) wideReceiver {
	came := &atomic.Int64{}
	p, err := partner.Start(partner.Options{Took: func(partner.Arrival, []byte) { came.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return wideReceiver{mllpReceiver{p}, came}
}

func (r wideReceiver) to() string {
	return fmt.Sprintf(`{ mllp: { address: "%s", timeout: 2s, connections: 8 } }`, r.p.Address())
}

// newFlow is a crowd that sends rate messages a second whether or not the
// answers keep up: each lane is a patient with a connection that is kept, and
// sends at the times that are due, or at once when it is late. The lanes are
// divided between the engines; one whose engine is gone goes to the other.
func newFlow(t *testing.T, lanes, rate int, sites [2]*site) *crowd {
	ctx, stop := context.WithCancel(t.Context())
	c := &crowd{lanes: make([][]string, lanes), stop: stop}
	began := time.Now()
	for lane := range lanes {
		c.wait.Go(func() {
			line := &keptLine{sites: sites, to: lane}
			defer line.close()
			for n := 0; ; n++ {
				due := began.Add(time.Duration(n*lanes+lane) * time.Second / time.Duration(rate))
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					return
				}
				raw := oru(fmt.Sprintf("E%d-%05d", lane, n), fmt.Sprintf("K%d", lane), fmt.Sprintf("%d%d", lane, n), 1)
				if !line.send(raw) {
					t.Errorf("%s: nobody took it within two minutes", control10(raw))
					return
				}
				c.lanes[lane] = append(c.lanes[lane], raw)
				c.sent.Add(1)
			}
		})
	}
	return c
}

// A keptLine is a sender's connection to one of two engines.
type keptLine struct {
	sites [2]*site
	to    int
	peer  *peer
}

// send sends a message until one of the engines acknowledges it.
func (l *keptLine) send(raw string) bool {
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if l.peer == nil {
			p, err := dial(l.sites[l.to%2].results)
			if err != nil {
				l.to++
				time.Sleep(5 * time.Millisecond) // before it asks the other one
				continue
			}
			l.peer = p
		}
		if code, err := l.peer.exchange(raw); err == nil && code == "AA" {
			return true
		}
		l.close()
		l.to++
	}
	return false
}

func (l *keptLine) close() {
	if l.peer != nil {
		l.peer.close()
		l.peer = nil
	}
}

// An ownership is who owns a unit, as the database says.
type ownership struct {
	owner string
	epoch int64
	at    time.Duration // when it said so, by its clock
}

// ownerOf asks the database.
func ownerOf(t *testing.T, db *pgx.Conn, unit string) (o ownership) {
	t.Helper()
	var micros int64
	if err := db.QueryRow(t.Context(), `SELECT owner, epoch, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM units WHERE name = $1`, unit).Scan(&o.owner, &o.epoch, &micros); err != nil {
		t.Fatalf("unit %s: %v", unit, err)
	}
	o.at = time.Duration(micros) * time.Microsecond
	return o
}

// TestAnEngineDiesUnderLoad kills the one of two engines that owns the units,
// at a steady rate of messages: the other takes them over, nothing is lost, the
// order of each patient is kept, and only what was under way may arrive twice.
// With PLEXUS_FAULTS=long the rate is 1,000 a second, and the units have to
// move within ten seconds by the clock of the database.
func TestAnEngineDiesUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	rate, before, after, long := 200, int64(300), int64(300), os.Getenv("PLEXUS_FAULTS") == "long"
	if long {
		rate, before, after = 1000, 10000, 10000
	}
	sites, _, env := twoSites(t)
	r := newWideReceiver(t)
	for _, s := range sites {
		s.forwardTo(r)
	}
	db, err := pgx.Connect(t.Context(), sites[0].database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.WithoutCancel(t.Context())) }() // the database ends with the test

	first := sites[0].mustReady(env)
	alone := oru("ALONE", "K0", "1", 1)
	if code := sites[0].send(sites[0].results, alone); code != "AA" {
		t.Fatalf("answered %s", code)
	}
	eventually(t, "the first engine sends", func() bool { return r.came.Load() == 1 })
	units := []string{"lab-results", "lab-results/out"}
	owned := map[string]ownership{}
	for _, unit := range units {
		owned[unit] = ownerOf(t, db, unit) // nobody else is there
	}
	second := sites[1].mustReady(env)
	began := time.Now()
	flow := newFlow(t, 64, rate, sites)
	eventually(t, fmt.Sprint(before, " have arrived"), func() bool { return r.came.Load() >= before })
	reached := float64(flow.sent.Load()) / time.Since(began).Seconds()
	for _, unit := range units {
		now := ownerOf(t, db, unit)
		if was := owned[unit]; was.owner == "" || now.owner != was.owner || now.epoch != was.epoch {
			t.Fatalf("%s is owned by %q (%d), want the engine that is killed, %q (%d)", unit, now.owner, now.epoch, was.owner, was.epoch)
		}
		owned[unit] = now
	}
	first.kill()
	killed := ownerOf(t, db, units[0]).at
	arrived := r.came.Load()
	for _, unit := range units {
		var now ownership
		eventually(t, unit+" has moved", func() bool {
			now = ownerOf(t, db, unit)
			return now.owner != "" && now.owner != owned[unit].owner
		})
		if now.epoch <= owned[unit].epoch {
			t.Errorf("%s has epoch %d, and had %d before it moved", unit, now.epoch, owned[unit].epoch)
		}
		moved := now.at - killed
		t.Logf("%s moved %s after the kill", unit, moved.Round(10*time.Millisecond))
		if long && moved > 10*time.Second {
			t.Errorf("%s moved %s after the kill, want it within 10s", unit, moved)
		}
	}
	eventually(t, "the other engine sends", func() bool { return r.came.Load() >= arrived+after })
	n := flow.end() + 1
	t.Logf("%d messages; %.0f a second were acknowledged before the kill, %d were due", n, reached, rate)
	if long && reached < 0.9*float64(rate) {
		t.Errorf("only %.0f messages a second were taken, and %d are to be: this says nothing of %d", reached, rate, rate)
	}
	flow.lanes[0] = append([]string{alone}, flow.lanes[0]...)
	queue := sites[1].drained("lab-results/out", n)
	compareArrivals(t, sites[1], r.arrived(t), flow.lanes, queue)
	second.stop()
}
