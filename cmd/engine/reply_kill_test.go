package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/partner"
	"github.com/plexus-health/plexus/internal/pgtest"
)

// TestKillReply kills the engine while a sender waits for the answer of a route:
// what was not answered in time is parked by the next life and not sent again,
// and what was answered is answered the same again.
func TestKillReply(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	seed := seedOf(t)
	stores(t, func(t *testing.T, database string) {
		for i, want := range []struct {
			point, code, state string
			arrivals           int
			within             time.Duration
		}{
			{"after_finish:1", "AE", "parked", 0, 3 * time.Second},
			{"after_claim:1", "AE", "parked", 0, 3 * time.Second},
			{"after_send_before_answer:1", "AE", "parked", 1, 3 * time.Second},
			{"after_commit_before_ack:1", "AA", "delivered", 1, time.Minute},
		} {
			if sliced(seed, i, 2) {
				continue
			}
			t.Run(want.point, func(t *testing.T) {
				if database != "" {
					database = pgtest.Start(t)
				}
				s := newSite(t, database)
				s.tags = "killpoints"
				p, err := partner.Start(partner.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				})
				s.configure(fmt.Sprintf(`zone: UTC
channels:
  - name: orders
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    reply: { from: lab, within: %s }
    routes: [ { name: lab, to: { mllp: { address: "%s" } } } ]
`, s.results, fmt.Sprintf("%ds", int(want.within.Seconds())), p.Address()))
				first := s.mustReady("PLEXUS_KILL_AT=" + want.point)
				raw := oru("KR", "M1", "1", 1)
				if c, err := dial(s.results); err == nil {
					if code, err := c.exchange(raw); err == nil {
						t.Errorf("answered %s by an engine that was killed", code)
					}
					c.close()
				}
				if !first.killed() {
					t.Fatalf("the engine was not killed at %s\n%s", want.point, first.log)
				}
				if want.code == "AE" {
					<-time.After(want.within) // nobody waits for the answer any more
				}
				second := s.mustReady()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				code, _, err := deliver(ctx, s.results, raw)
				if err != nil || code != want.code {
					t.Errorf("answered %q %v, want %s", code, err, want.code)
				}
				eventually(t, "the delivery has ended", func() bool {
					rows := s.queueOf("orders/lab")
					return len(rows) == 1 && rows[0].State == want.state
				})
				if n := len(p.Arrivals()); n != want.arrivals {
					t.Errorf("it arrived %d times, want %d", n, want.arrivals)
				}
				second.stop()
			})
		}
	})
}
