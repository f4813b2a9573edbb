package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/partner"
	"github.com/plexus-health/plexus/internal/pgtest"
)

// A receiver is the system that a route sends to in the fault tests. It lives
// on while the engine dies.
type receiver interface {
	// to is what `to:` of the route says.
	to() string
	// arrived are the messages that came, in order, as often as they came.
	arrived(t *testing.T) []string
}

// deliveryForward is a channel that sends what it gets on as it is.
const deliveryForward = `zone: America/New_York
channels:
  - name: lab-results
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    routes:
      - { name: out, map: original, to: %s, retry: { down: { first: 20ms, max: 200ms }, unknown: { first: 20ms, max: 200ms } } }
  - name: admissions
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    routes: [ { to: { drop: { reason: not sent in these tests } } } ]
`

// deliveryPoints are the durable steps of sending, with how often each is
// passed before the engine is killed there. On PostgreSQL only what is taken in
// passes the two points of a commit, at least six times with six messages of each
// sender; the embedded store passes them with every transaction.
var deliveryPoints = []deliveryPoint{
	{"after_t2_commit", 2},
	{"after_finish", 3},
	{"after_claim", 4},
	{"after_send_before_answer", 5},
	{"before_answer", 4},
	{"before_commit", 9},
	{"after_commit", 11},
	{"after_answer", 4},
}

type deliveryPoint struct {
	name  string
	after int
}

// pointsOf are the steps of sending to a kind of destination.
func pointsOf(kind string) []deliveryPoint {
	points := slices.Clone(deliveryPoints)
	if kind == "sequence" {
		points = append(points, deliveryPoint{"number_kept", 4})
	}
	if kind == "file" || kind == "sftp" {
		points = append(points, deliveryPoint{kind + "_written", 3}, deliveryPoint{kind + "_renamed", 4})
	}
	return points
}

// receivers are the kinds of destination the matrix goes over.
var receivers = map[string]func(t *testing.T) receiver{
	"mllp": newMLLPReceiver,
	// one that keeps the sequence number protocol
	"sequence": newCountingReceiver,
	"file":     newFolderReceiver,
	"sftp":     newServerReceiver,
	"http":     newHTTPReceiver,
	"fhir":     newFHIRReceiver,
	"ehr":      newStoreSource,
}

type mllpReceiver struct{ p *partner.Partner }

func newMLLPReceiver(t *testing.T) receiver {
	p, err := partner.Start(partner.Options{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return mllpReceiver{p}
}

func (r mllpReceiver) to() string {
	return fmt.Sprintf(`{ mllp: { address: "%s", timeout: 2s } }`, r.p.Address())
}

func (r mllpReceiver) arrived(*testing.T) []string {
	var out []string
	for _, a := range r.p.Arrivals() {
		out = append(out, a.Control)
	}
	return out
}

// sliced reports whether case i of a matrix is left out of this run: of a long
// suite each run does one case in so many, another one each time, and all of
// them with PLEXUS_FAULTS=long.
func sliced(seed uint64, i, of int) bool {
	return os.Getenv("PLEXUS_FAULTS") != "long" && (seed+uint64(i))%uint64(of) != 0
}

// TestKillDeliveries kills a real engine at every durable step of sending and
// compares what was acknowledged with what arrived.
func TestKillDeliveries(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	seed := seedOf(t)
	stores(t, func(t *testing.T, database string) {
		for kind, open := range receivers {
			for i, point := range pointsOf(kind) {
				if (kind != "mllp" && kind != "sequence" || database != "") && sliced(seed, i, 4) {
					continue
				}
				t.Run(kind+"/"+point.name, func(t *testing.T) {
					after := point.after
					if database != "" {
						database = pgtest.Start(t)
						after = min(after, 6)
					}
					killSending(t, database, open(t), point.name, after)
				})
			}
		}
	})
}

func seedOf(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("PLEXUS_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("PLEXUS_SEED=%d", seed)
	return seed
}

// killSending runs one cell of the matrix.
func killSending(t *testing.T, database string, r receiver, point string, after int) {
	s := newSite(t, database)
	s.tags = "killpoints"
	trade := tradeOf(r)
	trade.configure(s, r)
	first := s.start("PLEXUS_KILL_AT=" + point + ":" + strconv.Itoa(after))
	if !first.ready() {
		t.Fatalf("the engine ended before the first message: %v\n%s", first.err, first.log)
	}
	lanes := trade.lanes(3, 6)
	var senders sync.WaitGroup
	for _, lane := range lanes {
		senders.Go(func() {
			for _, raw := range lane {
				trade.once(s, raw) // sent again below, as by a sender without an answer
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
				for ctx.Err() == nil && !trade.once(s, raw) {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	senders.Wait()
	queue := s.drained(trade.unit, 18)
	compareArrivals(t, s, r.arrived(t), lanes, queue)
	second.stop()
}

// lanesOf makes n messages for each of some patients.
func lanesOf(lanes, n int) [][]string {
	out := make([][]string, lanes)
	for lane := range out {
		for i := range n {
			out[lane] = append(out[lane], oru(fmt.Sprintf("D%d-%03d", lane, i), fmt.Sprintf("K%d", lane), fmt.Sprintf("%d%d", lane, i), 1))
		}
	}
	return out
}

// A deliveryRow is a delivery as the API lists it.
type deliveryRow struct {
	N         int64  `json:"n"`
	ID        string `json:"id"`
	Control   string `json:"control"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Attempts  int    `json:"attempts"`
	MaybeSent bool   `json:"maybeSent"`
	Late      bool   `json:"late"`
}

// drained waits until a queue has delivered n and nothing is open, and returns
// its deliveries. It may take as long as it goes on.
func (s *site) drained(unit string, n int) []deliveryRow {
	s.t.Helper()
	const patience = 2 * time.Minute
	deadline, delivered := time.Now().Add(patience), -1
	for {
		rows := s.queueOf(unit)
		var open []deliveryRow
		for _, d := range rows {
			if d.State != "delivered" {
				open = append(open, d)
			}
		}
		if len(rows) == n && len(open) == 0 {
			return rows
		}
		if now := len(rows) - len(open); now > delivered {
			deadline, delivered = time.Now().Add(patience), now
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %d deliveries of which %d are not delivered, want %d delivered; the first of them: %+v", unit, len(rows), len(open), n, open[:min(len(open), 20)])
		}
		time.Sleep(min(20*time.Millisecond+time.Duration(len(rows))*time.Microsecond*100, 2*time.Second)) // a long list costs the engine
	}
}

// queueOf lists the deliveries of a queue.
func (s *site) queueOf(unit string) []deliveryRow {
	s.t.Helper()
	const page = 10000
	for all, after := []deliveryRow(nil), int64(0); ; {
		var answer struct {
			Deliveries []deliveryRow `json:"deliveries"`
		}
		if status, body := s.get(fmt.Sprintf("/api/queues/%s?limit=%d&after=%d", unit, page, after), &answer); status != 200 && status != 404 {
			s.t.Fatalf("queue %s: %d %s", unit, status, body)
		}
		all = append(all, answer.Deliveries...)
		if len(answer.Deliveries) < page {
			return all
		}
		after = all[len(all)-1].N
	}
}

// compareArrivals holds what arrived against what was acknowledged: everything
// arrived, per patient in order, and only what may have been sent before a
// second time.
func compareArrivals(t *testing.T, s *site, arrived []string, lanes [][]string, queue []deliveryRow) {
	t.Helper()
	doubtful := map[string]bool{}
	for _, d := range queue {
		name, _, _ := strings.Cut(strings.TrimPrefix(d.Control, "ServiceRequest/"), "/_history/")
		doubtful[name] = d.MaybeSent
	}
	first := map[string]int{}
	for i, control := range arrived {
		if _, again := first[control]; !again {
			first[control] = i
			continue
		}
		if !doubtful[control] {
			t.Errorf("%s arrived more than once, and is not marked as perhaps sent", control)
		}
	}
	total := 0
	for _, lane := range lanes {
		var places []int
		for _, raw := range lane {
			control := nameOf(raw)
			place, there := first[control]
			if !there {
				t.Errorf("%s was acknowledged and did not arrive", control)
				continue
			}
			places = append(places, place)
			total++
		}
		if !slices.IsSorted(places) {
			t.Errorf("the messages of one patient arrived in the order %v", places)
		}
	}
	if len(first) != total {
		t.Errorf("%d different messages arrived, %d were sent: %s", len(first), total, strings.Join(arrived, " "))
	}
}

// TestKillRandomDeliveries kills the engine at random moments while it sends.
func TestKillRandomDeliveries(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	stores(t, func(t *testing.T, database string) {
		random := rand.New(rand.NewPCG(seedOf(t), 1))
		length := longFor(t, 8*time.Second, 5*time.Minute)
		r := newMLLPReceiver(t)
		s := newSite(t, database)
		s.configure(fmt.Sprintf(deliveryForward, s.results, r.to(), s.admit))
		ctx, cancel := context.WithCancel(t.Context())
		lanes := make([][]string, 4)
		var senders sync.WaitGroup
		for lane := range lanes {
			senders.Go(func() {
				for n := 0; ctx.Err() == nil && n < 2000; n++ {
					raw := oru(fmt.Sprintf("D%d-%04d", lane, n), fmt.Sprintf("K%d", lane), fmt.Sprintf("%d%d", lane, n), 1)
					sending, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
					if code, _, err := deliver(sending, s.results, raw); err != nil || code != "AA" {
						t.Errorf("%s: answered %q %v", control10(raw), code, err)
					}
					done()
					lanes[lane] = append(lanes[lane], raw)
				}
			})
		}
		kills := 0
		for end := time.Now().Add(length); time.Now().Before(end); kills++ {
			l := s.start()
			select {
			case <-time.After(time.Duration(300+random.IntN(2000)) * time.Millisecond):
			case <-l.done:
				t.Fatalf("the engine ended by itself: %v\n%s", l.err, l.log)
			}
			l.kill()
		}
		last := s.mustReady()
		cancel()
		senders.Wait()
		n := 0
		for _, lane := range lanes {
			n += len(lane)
		}
		queue := s.drained("lab-results/out", n)
		compareArrivals(t, s, r.arrived(t), lanes, queue)
		t.Logf("%d kills, %d messages", kills, n)
		last.stop()
	})
}
