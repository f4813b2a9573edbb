package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/pgtest"
)

// stores opens a fresh database for each kind of store.
func stores(t *testing.T, run func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { run(t, "") })
	t.Run("postgres", func(t *testing.T) { run(t, pgtest.Start(t)) })
}

// killPoints are the durable steps of the line, with how often each is passed
// before the engine is killed there.
var killPoints = []struct {
	name  string
	after int
}{
	{"after_read", 4},
	{"before_commit", 4},
	{"after_commit", 4},
	{"after_commit_before_ack", 4},
	{"after_map", 3},
	{"before_t2_commit", 3},
	{"after_t2_commit", 3},
	{"after_finish", 3},
}

// TestKillMatrix kills a real engine at every durable step and compares what
// the sender was told with what the next life of the engine holds.
func TestKillMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	seed := seedOf(t)
	stores(t, func(t *testing.T, database string) {
		for i, point := range killPoints {
			for k, mapped := range []bool{true, false} {
				if database != "" && sliced(seed, i+k, 2) {
					continue
				}
				name := point.name + "/map ok"
				if !mapped {
					name = point.name + "/map error"
				}
				t.Run(name, func(t *testing.T) {
					if database != "" {
						database = pgtest.Start(t)
					}
					killOnce(t, database, point.name, point.after, mapped)
				})
			}
		}
	})
}

// killOnce runs one cell of the matrix.
func killOnce(t *testing.T, database, point string, after int, mapped bool) {
	s := newSite(t, database)
	s.tags = "killpoints"
	book := newBook()
	first := s.start("PLEXUS_KILL_AT=" + point + ":" + strconv.Itoa(after))
	if !first.ready() {
		t.Fatalf("the engine ended before the first message: %v\n%s", first.err, first.log)
	}
	event := "A08"
	if !mapped {
		event = "Z99" // no map knows this structure: the message parks
	}
	var senders sync.WaitGroup
	for lane := range 3 {
		mrn := fmt.Sprintf("K%d", lane)
		senders.Go(func() {
			for n := range 6 {
				book.send(s.results, oru(fmt.Sprintf("R%d-%d", lane, n), mrn, fmt.Sprintf("%d%d", lane, n), 2))
				if !mapped {
					book.send(s.results, unmapped(fmt.Sprintf("U%d-%d", lane, n), mrn))
				}
				book.send(s.admit, strings.Replace(adt(fmt.Sprintf("A%d-%d", lane, n), mrn, n+1, event), "ADT^Z99^ADT_A01", "ADT^Z99^ADT_Z99", 1))
			}
		})
	}
	senders.Wait()
	if !first.killed() {
		t.Fatalf("the engine was not killed at %s: the point is not on the line any more\n%s", point, first.log)
	}
	second := s.mustReady()
	// The senders send again what they have no answer for, and, as some do,
	// what they have one for.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	book.again(ctx, t, s, mapped)
	journal := s.settled()
	book.compare(t, journal, mapped)
	book.effects(t, s, mapped)
	second.stop()
}

// unmapped is a result whose structure no map knows: it parks after it was
// acknowledged, because its channel acknowledges what is stored.
func unmapped(control, mrn string) string {
	return strings.Replace(oru(control, mrn, "1", 1), "ORU^R01^ORU_R01", "ORU^Z98^ORU_Z98", 1)
}

func isUnmapped(control string) bool { return strings.HasPrefix(control, "U") }

// TestKillLarge kills the engine while it takes a message that is kept in
// parts: what was not acknowledged is sent again and stands there once, whole.
func TestKillLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	stores(t, func(t *testing.T, database string) {
		// The embedded store's one writer passes its commit for units and parts too.
		points := []string{"chunk_written:2", "after_chunks:1", "before_commit:6", "after_commit:6", "after_map:1"}
		if database != "" {
			points = []string{"chunk_written:2", "after_chunks:1", "before_commit:1", "after_commit:1", "after_map:1"}
		}
		for _, point := range points {
			t.Run(point, func(t *testing.T) {
				if database != "" {
					database = pgtest.Start(t)
				}
				s := newSite(t, database)
				s.tags = "killpoints"
				first := s.mustReady("PLEXUS_KILL_AT=" + point)
				raw := largeResult("KL", "ML")
				answered := ""
				if p, err := dial(s.results); err == nil {
					answered, _ = p.exchange(raw) // no answer is an answer here
					p.close()
				}
				if !first.killed() {
					t.Fatalf("the engine was not killed at %s\n%s", point, first.log)
				}
				second := s.mustReady()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				code, _, err := deliver(ctx, s.results, raw)
				if err != nil || code != "AA" || (answered != "" && answered != code) {
					t.Fatalf("answered %q %v, and %q before", code, err, answered)
				}
				s.settled()
				r := s.one("KL")
				if _, body := s.get("/api/messages/"+r.ID+"/raw", nil); r.State != "done" || string(body) != raw {
					t.Errorf("the message is %s with %d bytes, want done with %d", r.State, len(body), len(raw))
				}
				second.stop()
			})
		}
	})
}

// largeResult is a result with a document of 3 MB.
func largeResult(control, mrn string) string {
	return oru(control, mrn, "77", 1) + "OBX|2|ED|PDF^Report^L||^application^pdf^Base64^" + strings.Repeat("QUJD", 3<<18) + "||||||F\r"
}

// TestPoison shows that a message that ends the engine each time it is worked
// on is parked after the third time, and that the engine lives on.
func TestPoison(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	stores(t, func(t *testing.T, database string) {
		s := newSite(t, database)
		s.tags = "killpoints"
		l := s.mustReady("PLEXUS_KILL_AT=after_map:1")
		if p, err := dial(s.results); err == nil {
			_, _ = p.exchange(largeResult("POISON", "MP")) // it is stored, whatever the answer
			p.close()
		}
		for life := range 3 {
			if !l.killed() {
				t.Fatalf("life %d was not ended by the message\n%s", life+1, l.log)
			}
			if life < 2 {
				l = s.start("PLEXUS_KILL_AT=after_map:1")
			}
		}
		if l = s.start(); !l.ready() {
			t.Fatalf("the message ended the engine a fourth time\n%s", l.log)
		}
		s.settled()
		if r := s.one("POISON"); r.State != "parked" || !strings.Contains(r.Reason, "poison") {
			t.Errorf("got %+v, want parked as poison", r)
		}
		l.kill()
	})
}

// A book is the sender's own record: what it sent, in which order, and what it
// was told.
type book struct {
	mu    sync.Mutex
	sent  []entry
	index map[string]int
}

type entry struct {
	address, raw, control, mrn string
	code                       string // of the first life; empty when nothing came
	order                      int
}

func newBook() *book { return &book{index: map[string]int{}} }

// send tries once and notes what came of it.
func (b *book) send(address, raw string) {
	e := entry{address: address, raw: raw, control: control10(raw), mrn: mrnOf(raw)}
	if p, err := dial(address); err == nil {
		if code, err := p.exchange(raw); err == nil {
			e.code = code
		}
		p.close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e.order = len(b.sent)
	b.index[e.control] = e.order
	b.sent = append(b.sent, e)
}

func mrnOf(raw string) string {
	_, rest, _ := strings.Cut(raw, "\rPID|1||")
	mrn, _, _ := strings.Cut(rest, "^")
	return mrn
}

// again sends everything once more, those without an answer first and in their
// order. The answers must be what they were.
func (b *book) again(ctx context.Context, t *testing.T, s *site, mapped bool) {
	t.Helper()
	for _, unanswered := range []bool{true, false} {
		for _, e := range b.sent {
			if (e.code == "") != unanswered {
				continue
			}
			code, _, err := deliver(ctx, e.address, e.raw)
			if err != nil {
				t.Fatalf("%s: no answer: %v", e.control, err)
			}
			want := "AA"
			if e.address == s.admit && !mapped {
				want = "AE" // ack: processed, and the message parks
			}
			if code != want {
				t.Errorf("%s: answered %s, want %s", e.control, code, want)
			}
			if e.code != "" && e.code != code {
				t.Errorf("%s: answered %s, and %s before", e.control, code, e.code)
			}
		}
	}
}

// compare holds the journal against the book, by control id.
func (b *book) compare(t *testing.T, journal []row, mapped bool) {
	t.Helper()
	found := map[string]row{}
	for _, r := range journal {
		if other, twice := found[r.Control]; twice {
			t.Errorf("%s stands in the journal twice: %s and %s", r.Control, other.ID, r.ID)
		}
		found[r.Control] = r
	}
	for _, e := range b.sent {
		r, there := found[e.control]
		if !there {
			t.Errorf("%s was sent (answered %q) and is not in the journal", e.control, e.code)
			continue
		}
		want := "done"
		if r.Channel == "admissions" && !mapped || isUnmapped(e.control) {
			want = "parked"
		}
		if r.State != want {
			t.Errorf("%s is %s (%s), want %s", e.control, r.State, r.Reason, want)
		}
	}
	if len(found) != len(b.sent) {
		t.Errorf("the journal holds %d messages, %d were sent", len(found), len(b.sent))
	}
}

// effects holds the core store against the book: every effect once, and the
// updates of a patient in their order.
func (b *book) effects(t *testing.T, s *site, mapped bool) {
	t.Helper()
	results, updates := map[string]int{}, map[string][]string{}
	for _, e := range b.sent {
		if e.address == s.results && !isUnmapped(e.control) {
			results[e.mrn]++
		} else if e.address == s.admit && mapped {
			updates[e.mrn] = append(updates[e.mrn], familyOf(e.raw))
		}
	}
	for mrn, n := range results {
		got := s.search("Observation", url.Values{"patient.identifier": {mrn}})
		if len(got) != 2*n {
			t.Errorf("patient %s has %d observations, want %d", mrn, len(got), 2*n)
		}
		for _, o := range got {
			if v := versionID(o); v != "1" {
				t.Errorf("an observation of patient %s has version %s: it was written more than once", mrn, v)
			}
		}
		patients := s.search("Patient", url.Values{"identifier": {mrn}})
		if len(patients) != 1 {
			t.Errorf("%d patients have the number %s", len(patients), mrn)
			continue
		}
		if names := b.names(t, s, patients[0]); mapped && !sorted(names) {
			t.Errorf("the names of patient %s came in the order %v", mrn, names)
		}
		if want := updates[mrn]; len(want) > 0 && family(patients[0]) != want[len(want)-1] {
			t.Errorf("patient %s is named %s, want %s", mrn, family(patients[0]), want[len(want)-1])
		}
	}
}

// names are the family names a patient had by admissions, the oldest first.
func (b *book) names(t *testing.T, s *site, patient map[string]any) []string {
	t.Helper()
	var h bundle
	id, _ := patient["id"].(string)
	if status, body := s.get("/fhir/Patient/"+id+"/_history?_count=1000", &h); status != 200 {
		t.Fatalf("history: %d %s", status, body)
	}
	var names []string
	for i := len(h.Entry) - 1; i >= 0; i-- {
		if name := family(h.Entry[i].Resource); strings.HasPrefix(name, "STATE") {
			names = append(names, name)
		}
	}
	return names
}

func sorted(names []string) bool { return sort.StringsAreSorted(names) }

func family(patient map[string]any) string {
	names, _ := patient["name"].([]any)
	if len(names) == 0 {
		return ""
	}
	name, _ := names[0].(map[string]any)
	text, _ := name["family"].(string)
	return text
}

func familyOf(raw string) string {
	_, rest, _ := strings.Cut(raw, "MR||")
	name, _, _ := strings.Cut(rest, "^")
	return name
}

func versionID(resource map[string]any) string {
	meta, _ := resource["meta"].(map[string]any)
	v, _ := meta["versionId"].(string)
	return v
}

// longFor is how long a suite of random faults goes on: long with
// PLEXUS_FAULTS=long, unless PLEXUS_FAULTS_FOR says how long then.
func longFor(t *testing.T, short, long time.Duration) time.Duration {
	t.Helper()
	if os.Getenv("PLEXUS_FAULTS") != "long" {
		return short
	}
	said := os.Getenv("PLEXUS_FAULTS_FOR")
	if said == "" {
		return long
	}
	d, err := time.ParseDuration(said)
	if err != nil || d <= 0 {
		t.Fatalf("PLEXUS_FAULTS_FOR=%q is no time, such as 2m", said)
	}
	return d
}

// TestKillRandom kills the engine at random moments under load for half a
// minute (a quarter of an hour with PLEXUS_FAULTS=long) on each store, restarts
// it, and compares.
func TestKillRandom(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	stores(t, func(t *testing.T, database string) {
		seed := uint64(time.Now().UnixNano())
		if s, err := strconv.ParseUint(os.Getenv("PLEXUS_SEED"), 10, 64); err == nil {
			seed = s
		}
		t.Logf("PLEXUS_SEED=%d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		length := longFor(t, 30*time.Second, 15*time.Minute)
		s := newSite(t, database)
		book := newBook()
		ctx, cancel := context.WithCancel(t.Context())
		var senders sync.WaitGroup
		for lane := range 4 {
			senders.Go(func() { load(ctx, t, s, book, lane) })
		}
		kills := 0
		for end := time.Now().Add(length); time.Now().Before(end); kills++ {
			l := s.start()
			select { // the moment of death is drawn, whatever the engine is doing then
			case <-time.After(time.Duration(100+random.IntN(2500)) * time.Millisecond):
			case <-l.done:
				t.Fatalf("the engine ended by itself: %v\n%s", l.err, l.log)
			}
			l.kill()
		}
		last := s.mustReady()
		cancel()
		senders.Wait()
		journal := s.settled()
		book.compareLoad(t, journal)
		book.effects(t, s, true)
		t.Logf("%d kills, %d messages", kills, len(book.sent))
		last.stop()
	})
}

// load sends results and updates of one patient after another, each until it
// is answered, until ctx ends.
func load(ctx context.Context, t *testing.T, s *site, b *book, lane int) {
	for n := 0; ctx.Err() == nil && n < 1200; n++ {
		mrn := fmt.Sprintf("L%d-%d", lane, n/8)
		for _, e := range []entry{
			{address: s.results, raw: oru(fmt.Sprintf("LR%d-%d", lane, n), mrn, fmt.Sprintf("%d%d", lane, 1000+n), 2)},
			{address: s.admit, raw: adt(fmt.Sprintf("LA%d-%d", lane, n), mrn, n%8+1, "A08")},
		} {
			// What was begun is sent until it is answered: the test's end waits for it.
			sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
			code, _, err := deliver(sending, e.address, e.raw)
			cancel()
			if err != nil {
				t.Errorf("%s: no answer within two minutes", control10(e.raw))
				return
			}
			if code != "AA" {
				t.Errorf("%s: answered %s", control10(e.raw), code)
			}
			e.control, e.mrn, e.code = control10(e.raw), mrnOf(e.raw), code
			b.mu.Lock()
			b.sent = append(b.sent, e)
			b.mu.Unlock()
		}
	}
}

func (b *book) compareLoad(t *testing.T, journal []row) {
	t.Helper()
	b.compare(t, journal, true)
}
