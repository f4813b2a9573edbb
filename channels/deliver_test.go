package channels

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/store"
)

func moreParsers() []parsers.Kind { return nil }

const fast = `{ first: 1ms, max: 5ms }`

// lab is a channel with one route; more are further keys of the route.
func lab(more string) string {
	return `  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes:
      - { name: out, to: { hand: { connections: 4 } }` + more + ` }
`
}

// perPatient checks that of every patient the first attempts came in order, and
// that no two sends of one were under way at once.
func perPatient(t *testing.T, p *peer) {
	t.Helper()
	last, seen := map[string]int{}, map[string]bool{}
	for _, a := range p.list() {
		if seen[a.control] {
			continue
		}
		seen[a.control] = true
		n, err := strconv.Atoi(strings.TrimPrefix(a.control, "M"))
		if err != nil {
			t.Fatal(err)
		}
		if n < last[a.patient] {
			t.Errorf("of patient %s M%d arrived after M%d", a.patient, n, last[a.patient])
		}
		last[a.patient] = n
	}
	if p.clashes > 0 {
		t.Errorf("%d times two messages of one patient were under way at once", p.clashes)
	}
}

func TestDeliveriesKeepTheOrderOfEachPatient(t *testing.T) {
	h := newHall(t)
	h.start(lab(""))
	h.giveAll(200, "A", "B", "C", "D", "E")
	h.drained("lab/out", 200)
	p := h.peer("out")
	perPatient(t, p)
	if n := len(p.list()); n != 200 {
		t.Errorf("%d arrived, want 200: none twice", n)
	}
	for _, a := range p.list() {
		if a.body != order(a.control, a.patient) {
			t.Errorf("%s arrived with other bytes", a.control)
		}
	}
}

func TestAKeyThatIsHeldDelaysNobodyElse(t *testing.T) {
	h := newHall(t)
	h.start(lab(", retry: { busy: " + fast + " }"))
	p := h.peer("out")
	closed := true
	var mu sync.Mutex
	p.does(func(a arrival) error {
		mu.Lock()
		defer mu.Unlock()
		if a.patient == "A" && closed {
			return fails(message.Busy)
		}
		return nil
	})
	h.giveAll(300, "A") // more than a schedule keeps of one key
	h.giveAll(100, "B", "C")
	h.eventually("all but A's have arrived, and A's wait", func() bool {
		q := h.queues()["lab/out"]
		return q.Delivered == 100 && q.Open() == 300
	})
	mu.Lock()
	closed = false
	mu.Unlock()
	h.drained("lab/out", 400)
	perPatient(t, p)
}

// A peer that is slow with a large message holds up no other route's.
func TestASlowPeerWithALargeMessageDelaysNoOtherRoute(t *testing.T) {
	h := newHall(t)
	slow, quick := h.peer("slow"), h.peer("quick")
	slow.gate = make(chan struct{})
	h.start(`  - name: lab
    source: { hand: { name: in } }
    parse: hl7v2
    routes:
      - { name: slow, to: { hand: { name: slow, connections: 1, timeout: 10m } } }
      - { name: quick, to: { hand: { name: quick, connections: 1 } } }
`)
	for n := range 3 {
		raw := order(fmt.Sprint("M", n+1), "A") + "NTE|1||" + strings.Repeat("x", 2*store.MaxChunk) + "\r"
		if reply := h.stream(raw); reply.Answer.Code != message.Accepted {
			t.Fatalf("answered %+v", reply.Answer)
		}
	}
	h.eventually("the quick one has all while the slow one has taken none", func() bool {
		q := h.queues()
		return q["lab/quick"].Delivered == 3 && q["lab/slow"].Delivered == 0 && len(slow.list()) > 0
	})
	close(slow.gate)
	h.drained("lab/slow", 3)
	if n := len(quick.list()); n != 3 {
		t.Errorf("%d arrived, want 3", n)
	}
}

func TestAPeerThatIsDownHoldsTheRouteAndLosesNothing(t *testing.T) {
	h := newHall(t)
	h.start(lab(", retry: { down: " + fast + " }"))
	p := h.peer("out")
	p.does(func(arrival) error { return fails(message.Down) })
	h.giveAll(50, "A", "B", "C")
	h.eventually("it was tried several times, and all wait", func() bool { return len(p.list()) >= 8 && h.queues()["lab/out"].Open() == 50 })
	// Only what was under way when it went away is tried while it is away.
	tried := map[string]bool{}
	for _, a := range p.list() {
		tried[a.control] = true
		if a.attempt != 1 {
			t.Errorf("attempt %d of %s: a probe that reached nobody counts as none", a.attempt, a.control)
		}
	}
	if len(tried) > 4 {
		t.Errorf("%d deliveries were tried over 4 connections of a peer that is away", len(tried))
	}
	p.does(nil)
	h.drained("lab/out", 50)
	perPatient(t, p)
}

func TestAnAnswerThatIsNotKnownIsRepeatedUnderTheSameIdentity(t *testing.T) {
	h := newHall(t)
	h.start(lab(", retry: { unknown: " + fast + " }"))
	p := h.peer("out")
	p.does(func(a arrival) error {
		if a.attempt < 3 {
			return fails(message.Unknown)
		}
		return nil
	})
	h.giveAll(10, "A", "B")
	h.drained("lab/out", 10)
	perPatient(t, p)
	list := p.list()
	if len(list) != 30 {
		t.Fatalf("%d arrived, want 10 three times each", len(list))
	}
	bodies := map[string]string{}
	for _, a := range list {
		if had, known := bodies[a.control]; known && had != a.body {
			t.Errorf("%s was repeated with other bytes", a.control)
		}
		bodies[a.control] = a.body
		if (a.attempt > 1) != a.maybe {
			t.Errorf("attempt %d of %s says maybe sent: %v", a.attempt, a.control, a.maybe)
		}
	}
	closed, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out"})
	if err != nil || len(closed) != 10 || !closed[0].MaybeSent {
		t.Errorf("what perhaps arrived twice is not marked so after its end: %+v %v", closed, err)
	}
}

func TestWhatIsRefusedParksAndTheRestGoesOn(t *testing.T) {
	h := newHall(t)
	h.start(lab(""))
	p := h.peer("out")
	p.does(func(a arrival) error {
		if a.control == "M2" {
			return fails(message.RefusedSend)
		}
		return nil
	})
	h.giveAll(4, "A")
	h.eventually("three have arrived and one is parked", func() bool {
		q := h.queues()["lab/out"]
		return q.Delivered == 3 && q.Parked == 1 && q.Open() == 0
	})
	list, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out", State: message.ParkedDelivery})
	if err != nil || len(list) != 1 || list[0].Control != "M2" || list[0].Class != message.RefusedSend || list[0].Reason == "" {
		t.Fatalf("parked: %+v %v", list, err)
	}
	p.does(nil)
	err = h.store.Operate(t.Context(), store.Order{Action: store.ActRetry, Delivery: list[0].ID, Late: true, Who: "ann", Why: "lab mended it"})
	if err != nil {
		t.Fatal(err)
	}
	h.line.Poke("lab/out")
	h.drained("lab/out", 4)
}

func TestAnAnswerThatCannotBeReadParksAfterThree(t *testing.T) {
	h := newHall(t)
	h.start(lab(""))
	p := h.peer("out")
	p.does(func(a arrival) error {
		if a.control == "M1" {
			return fails(message.Unreadable)
		}
		return nil
	})
	h.giveAll(2, "A", "B")
	h.eventually("it parks", func() bool { return h.queues()["lab/out"].Parked == 1 && h.queues()["lab/out"].Delivered == 1 })
	n := 0
	for _, a := range p.list() {
		if a.control == "M1" {
			n++
		}
	}
	if n != 3 {
		t.Errorf("it was sent %d times, want 3", n)
	}
	list, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out", State: message.ParkedDelivery})
	if err != nil || len(list) != 1 || !list[0].MaybeSent {
		t.Errorf("parked: %+v %v, want one that is marked: the peer may have taken it", list, err)
	}
}

func TestStopHoldsTheRouteUntilSomebodyResumes(t *testing.T) {
	for name, more := range map[string]string{"stop": ", retry: { refused: stop }", "strict": ", strict: true"} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			h.start(lab(more))
			p := h.peer("out")
			p.does(func(a arrival) error { return fails(message.RefusedSend) })
			h.giveAll(3, "A", "B", "C")
			h.eventually("it is held", func() bool { return h.queues()["lab/out"].Held != "" })
			if q := h.queues()["lab/out"]; q.Delivered != 0 || q.Parked != 0 {
				t.Errorf("queue %+v", q)
			}
			p.does(nil)
			if err := h.store.Operate(t.Context(), store.Order{Action: store.ActResume, Unit: "lab/out", Who: "ann", Why: "mended"}); err != nil {
				t.Fatal(err)
			}
			h.line.Poke("lab/out")
			h.drained("lab/out", 3)
		})
	}
}

func TestStrictWaitsForWhatIsTriedAgain(t *testing.T) {
	h := newHall(t)
	h.start(lab(", strict: true, order: channel, retry: { busy: " + fast + " }"))
	p := h.peer("out")
	tries := 0
	p.does(func(a arrival) error {
		if a.control == "M1" && tries < 3 {
			tries++
			return fails(message.Busy)
		}
		return nil
	})
	h.giveAll(5, "A", "B", "C")
	h.drained("lab/out", 5)
	if got, want := controls(p.list()), []string{"M1", "M1", "M1", "M1", "M2", "M3", "M4", "M5"}; !slices.Equal(got, want) {
		t.Errorf("arrived %v, want %v", got, want)
	}
}

func TestTheFailureRouteTakesOver(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes:
      - { name: out, to: { hand: {} }, retry: { refused: { next: { route: fallback } } } }
      - { name: fallback, to: { hand: { name: second } } }
`)
	h.peer("out").does(func(a arrival) error {
		if a.patient == "A" {
			return fails(message.RefusedSend)
		}
		return nil
	})
	h.giveAll(6, "A", "B")
	h.drained("lab/fallback", 3)
	h.drained("lab/out", 3)
	if q := h.queues()["lab/out"]; q.Diverted != 3 {
		t.Errorf("queue %+v", q)
	}
	if got := controls(h.peer("second").list()); !slices.Equal(got, []string{"M1", "M3", "M5"}) {
		t.Errorf("the failure route got %v", got)
	}
	if got := h.peer("second").list()[0].body; got != order("M1", "A") {
		t.Errorf("it got other bytes: %q", got)
	}
}

func TestARouteOfCoarserOrderWaitsForTheFloor(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes:
      - { name: out, order: channel, to: { hand: { connections: 4 } } }
`)
	var all sync.WaitGroup
	for i := range 8 { // recorded side by side
		all.Go(func() {
			for n := range 25 {
				h.give(order(fmt.Sprintf("P%d-%d", i, n), fmt.Sprint("patient", i)))
			}
		})
	}
	all.Wait()
	h.drained("lab/out", 200)
	list, err := h.store.List(t.Context(), store.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	var want []string
	for _, m := range list {
		want = append(want, m.Header.Control)
	}
	if got := controls(h.peer("out").list()); !slices.Equal(got, want) {
		t.Errorf("arrived %v,\nreceived %v", got, want)
	}
}

func TestAckDeliveredWaitsForTheDestination(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    ack: delivered
    routes:
      - { name: out, to: { hand: {} } }
      - { name: second, to: { hand: { name: second } } }
`)
	p := h.peer("second")
	p.gate = make(chan struct{})
	replies := make(chan message.Reply, 1)
	go func() { replies <- h.give(order("W1", "A")) }()
	h.eventually("the second destination has it", func() bool { return len(p.list()) == 1 })
	select {
	case r := <-replies:
		t.Errorf("answered %+v before every destination had answered", r.Answer)
	default:
	}
	close(p.gate)
	if r := <-replies; r.Answer.Code != message.Accepted {
		t.Errorf("answered %+v", r.Answer)
	}
	p.mu.Lock()
	p.gate = nil
	p.mu.Unlock()
	p.does(func(arrival) error { return fails(message.RefusedSend) })
	if r := h.give(order("W2", "A")); r.Answer.Code != message.Erroneous || len(r.Answer.Problems) != 1 {
		t.Errorf("a message that a destination refused is answered %+v", r.Answer)
	}
	if r := h.give(order("W2", "A")); r.Answer.Code != message.Erroneous {
		t.Errorf("its copy is answered %+v", r.Answer)
	}
}

func TestWhatWaitsSurvivesARestart(t *testing.T) {
	h := newHall(t)
	h.start(lab(", retry: { down: " + fast + " }"))
	p := h.peer("out")
	p.does(func(arrival) error { return fails(message.Down) })
	h.giveAll(30, "A", "B", "C")
	h.eventually("it was tried", func() bool { return len(p.list()) > 0 })
	h.stop()
	if got := p.list(); len(got) == 0 {
		t.Fatal("nothing was tried")
	}
	p.mu.Lock()
	p.arrived, p.behave = nil, nil
	p.mu.Unlock()
	h.start(lab(""))
	h.drained("lab/out", 30)
	perPatient(t, p)
	if len(p.list()) != 30 {
		t.Errorf("%d arrived, want 30", len(p.list()))
	}
}

func TestAStopLetsASendUnderWayEnd(t *testing.T) {
	h := newHall(t)
	h.start(lab(""))
	p := h.peer("out")
	p.gate = make(chan struct{})
	h.giveAll(2, "A")
	h.eventually("the first is under way", func() bool { return len(p.list()) == 1 })
	ended := make(chan struct{})
	go func() { h.stop(); close(ended) }()
	h.eventually("the line is stopping", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.handlers["in"] == nil
	})
	close(p.gate)
	<-ended
	p.mu.Lock()
	p.gate = nil
	p.mu.Unlock()
	h.start(lab(""))
	h.drained("lab/out", 2)
	if got := controls(p.list()); !slices.Equal(got, []string{"M1", "M2"}) {
		t.Errorf("arrived %v: what was under way was answered, and the next not begun", got)
	}
}

func TestAReloadDrainsUnderTheNewSettings(t *testing.T) {
	h := newHall(t)
	h.start(lab(", retry: { down: " + fast + " }"))
	p := h.peer("out")
	p.does(func(arrival) error { return fails(message.Down) })
	h.giveAll(10, "A", "B")
	h.eventually("it was tried", func() bool { return len(p.list()) > 0 })
	must(t, h.line.Apply(h.load(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes:
      - { name: out, to: { hand: { name: elsewhere } } }
`)))
	h.drained("lab/out", 10)
	perPatient(t, h.peer("elsewhere"))
	if n := len(h.peer("elsewhere").list()); n != 10 {
		t.Errorf("%d arrived, want 10", n)
	}
}

func TestChannelsFeedOneAnother(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: first
    source: { hand: {} }
    parse: hl7v2
    routes:
      - { name: on, to: { channel: { name: second } } }
  - name: second
    source: { channel: {} }
    parse: hl7v2
    routes:
      - { name: out, to: { hand: {} }, answer: { to: answers } }
  - name: answers
    source: { channel: {} }
    parse: hl7v2
    routes: [ { to: { drop: { reason: read elsewhere } } } ]
`)
	h.giveAll(20, "A", "B")
	h.drained("second/out", 20)
	h.eventually("every answer is a message", func() bool {
		list, err := h.store.List(t.Context(), store.Filter{Channel: "answers", State: message.Done})
		return err == nil && len(list) == 20
	})
	list, err := h.store.List(t.Context(), store.Filter{Channel: "answers"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Via != "first second" || !strings.HasPrefix(m.Header.Type, "ACK") {
			t.Errorf("answer of type %q came through %q", m.Header.Type, m.Via)
		}
	}
	perPatient(t, h.peer("out"))
}

func TestChannelsThatFeedEachOtherInACircleStop(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: first
    source: { hand: {} }
    parse: hl7v2
    routes: [ { name: on, to: { channel: { name: second } } } ]
  - name: second
    source: { channel: {} }
    parse: hl7v2
    routes: [ { name: on, to: { channel: { name: third } } } ]
  - name: third
    source: { channel: {} }
    parse: hl7v2
    routes: [ { name: back, to: { channel: { name: second } } } ]
`)
	h.giveAll(1, "A")
	h.eventually("it parks", func() bool {
		list, err := h.store.List(t.Context(), store.Filter{State: message.Parked})
		return err == nil && len(list) == 1 && strings.Contains(list[0].Reason, "circle")
	})
}

// merge says that patient old is now survivor.
func merge(control, survivor, old string) string {
	return "MSH|^~\\&|EHR|NORTH|LAB|LAB|20260301120000||ADT^A40^ADT_A39|" + control + "|P|2.5.1\rEVN|A40|20260301120000\rPID|1||" + survivor + "||TEST^ONE\rMRG|" + old + "\r"
}

func TestMergedPatientsAreOneQueue(t *testing.T) {
	h := newHall(t)
	h.start(lab(", retry: { busy: " + fast + " }"))
	p := h.peer("out")
	var mu sync.Mutex
	held := true
	p.does(func(a arrival) error {
		mu.Lock()
		defer mu.Unlock()
		if held {
			return fails(message.Busy)
		}
		return nil
	})
	h.giveAll(2, "OLD") // M1 M2
	h.giveAll(2, "NEW") // M3 M4
	h.give(merge("X", "NEW", "OLD"))
	h.giveAll(2, "OLD", "NEW") // M5 M6, of one patient now
	h.eventually("all are processed", func() bool { return h.queues()["lab/out"].Open() == 7 })
	mu.Lock()
	held = false
	mu.Unlock()
	h.drained("lab/out", 7)
	var order []string
	seen := map[string]bool{}
	for _, a := range p.list() {
		if a.control != "" && !seen[a.control] {
			seen[a.control] = true
			order = append(order, a.control)
		}
	}
	at := func(c string) int { return slices.Index(order, c) }
	for _, pair := range [][2]string{{"M1", "M2"}, {"M3", "M4"}, {"M2", "X"}, {"M4", "X"}, {"X", "M5"}, {"M5", "M6"}} {
		if at(pair[0]) > at(pair[1]) {
			t.Errorf("%s arrived after %s: %v", pair[0], pair[1], order)
		}
	}
}

func TestOnErrorStopHoldsTheKey(t *testing.T) {
	h := newHall(t)
	const held = `  - name: lab
    source: { hand: {} }
    parse: hl7v2
    on_error: stop
    require: [ { that: 'OBR-4.1 != "BAD"', say: no such test } ]
    routes: [ { name: out, to: { hand: {} } } ]
`
	h.start(held)
	bad := strings.Replace(order("B1", "A"), "GLU", "BAD", 1)
	h.give(bad)
	h.giveAll(2, "A")
	h.giveAll(2, "B")
	h.eventually("B's have arrived", func() bool { return h.queues()["lab/out"].Delivered == 2 })
	for _, a := range h.peer("out").list() {
		if a.patient == "A" {
			t.Error("a message of the key that is held arrived")
		}
	}
	h.stop()
	h.start(held) // it is held after a restart too
	list, err := h.store.List(t.Context(), store.Filter{State: message.Parked})
	if err != nil || len(list) != 1 {
		t.Fatalf("parked: %+v %v", list, err)
	}
	if err := h.store.Operate(t.Context(), store.Order{Action: store.ActDrop, Message: list[0].ID, Who: "ann", Why: "ordered again"}); err != nil {
		t.Fatal(err)
	}
	h.line.Poke("lab")
	h.drained("lab/out", 4)
}

func TestAPauseOfAnOperatorHoldsTheRoute(t *testing.T) {
	h := newHall(t)
	h.start(lab(""))
	if err := h.store.Operate(context.Background(), store.Order{Action: store.ActPause, Unit: "lab/out", Who: "ann", Why: "lab asked"}); err != nil {
		t.Fatal(err)
	}
	h.giveAll(3, "A")
	h.eventually("they wait", func() bool { return h.queues()["lab/out"].Waiting == 3 })
	if n := len(h.peer("out").list()); n != 0 {
		t.Errorf("%d arrived while it was paused", n)
	}
	if err := h.store.Operate(context.Background(), store.Order{Action: store.ActResume, Unit: "lab/out", Who: "ann", Why: "lab is back"}); err != nil {
		t.Fatal(err)
	}
	h.line.Poke("lab/out")
	h.drained("lab/out", 3)
}
