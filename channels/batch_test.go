package channels

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// filing is a channel whose route sends files.
func filing(batch, more string) string {
	return `  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes:
      - { name: out, to: { hand: {} }, batch: ` + batch + more + ` }
`
}

// inFiles are the control ids of the messages in each file, in order.
func inFiles(t *testing.T, p *peer) []string {
	t.Helper()
	var out []string
	for _, a := range p.list() {
		out = append(out, strings.Join(inFile(t, a.body), " "))
	}
	return out
}

func inFile(t *testing.T, body string) []string {
	t.Helper()
	if !strings.HasPrefix(body, "FHS|") || !strings.Contains(body, "\rBTS|") {
		t.Fatalf("no file: %q", body)
	}
	var in []string
	for line := range strings.SplitSeq(body, "\r") {
		if strings.HasPrefix(line, "MSH|") {
			in = append(in, strings.Split(line, "|")[9])
		}
	}
	return in
}

func TestAFileIsClosedWhenItIsFull(t *testing.T) {
	h := newHall(t)
	h.start(filing("{ max: 3 }", ""))
	h.giveAll(7, "A")
	h.eventually("two files have gone, one message waits", func() bool {
		q := h.queues()["lab/out"]
		return q.Delivered == 6 && q.Open() == 1
	})
	p := h.peer("out")
	if got, want := inFiles(t, p), []string{"M1 M2 M3", "M4 M5 M6"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if list := p.list(); list[0].control != "000000001" || list[1].control != "000000002" || !strings.HasSuffix(list[0].body, "BTS|3\rFTS|1\r") {
		t.Errorf("files %s and %s: %q", list[0].control, list[1].control, list[0].body)
	}
}

func TestAFileIsClosedWhenItsTimeHasCome(t *testing.T) {
	h := newHall(t)
	h.start(filing("{ every: 300ms, max: 100 }", ""))
	h.giveAll(5, "A")
	h.drained("lab/out", 5)
	got := inFiles(t, h.peer("out"))
	if strings.Join(got, " ") != "M1 M2 M3 M4 M5" {
		t.Errorf("files %q", got)
	}
	if q := h.queues()["lab/out"]; q.Delivered != 5 {
		t.Errorf("%+v", q)
	}
}

func TestOneFileForEachValueOfBy(t *testing.T) {
	h := newHall(t)
	h.start(filing(`{ max: 2, by: PID-3 }`, ""))
	h.giveAll(6, "A", "B", "C")
	h.drained("lab/out", 6)
	got := inFiles(t, h.peer("out"))
	slices.Sort(got)
	if want := []string{"M1 M4", "M2 M5", "M3 M6"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestAFileThatMayHaveArrivedIsSentAgainAsItIs(t *testing.T) {
	h := newHall(t)
	h.start(filing("{ max: 2 }", ", retry: { unknown: "+fast+", busy: "+fast+" }"))
	p := h.peer("out")
	p.does(func(a arrival) error {
		switch a.attempt {
		case 1:
			return fails(message.Unknown)
		case 2:
			return fails(message.Busy)
		}
		return nil
	})
	h.giveAll(4, "A")
	h.drained("lab/out", 4)
	list := p.list()
	if len(list) != 6 {
		t.Fatalf("%d sends, want three of each of two files", len(list))
	}
	for i, a := range list {
		first := list[i-i%3]
		if a.body != first.body || a.control != first.control || a.attempt != i%3+1 || a.maybe != (i%3 > 0) {
			t.Errorf("send %d: attempt %d of %s, maybe %v, same bytes %v", i, a.attempt, a.control, a.maybe, a.body == first.body)
		}
	}
	closed, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out"})
	if err != nil || len(closed) != 4 {
		t.Fatal(closed, err)
	}
	for _, d := range closed {
		if !d.MaybeSent || d.Attempts != 3 || d.Batch == 0 {
			t.Errorf("delivery %+v", d)
		}
	}
}

func TestAFileThatIsRefusedParksAndAnOperatorSendsItAgain(t *testing.T) {
	h := newHall(t)
	h.start(filing("{ max: 2 }", ""))
	p := h.peer("out")
	p.does(func(a arrival) error {
		if a.control == "000000001" {
			return fails(message.RefusedSend)
		}
		return nil
	})
	h.giveAll(4, "A", "B")
	h.eventually("the one file is parked, the other has gone", func() bool {
		q := h.queues()["lab/out"]
		return q.Delivered == 2 && q.Parked == 2
	})
	parked, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out", State: message.ParkedDelivery})
	must(t, err)
	p.does(nil)
	must(t, h.store.Operate(t.Context(), store.Order{Action: store.ActRetry, Delivery: parked[1].ID, Late: true, Who: "t.reed", Why: "a test"}))
	h.line.Poke("lab/out")
	h.drained("lab/out", 4)
	list := p.list()
	if len(list) != 3 || list[2].body != list[0].body || list[2].control != "000000001" {
		t.Errorf("sends %v", controls(list))
	}
}

func TestAFileInDoubtHoldsItsLotOnly(t *testing.T) {
	h := newHall(t)
	h.start(filing(`{ max: 1, by: PID-3 }`, ", retry: { busy: "+fast+" }"))
	p := h.peer("out")
	var open atomic.Bool
	p.does(func(a arrival) error {
		if a.patient == "A" && !open.Load() {
			return fails(message.Busy)
		}
		return nil
	})
	h.giveAll(9, "A", "B", "C")
	h.eventually("the others have gone", func() bool { return h.queues()["lab/out"].Delivered == 6 })
	open.Store(true)
	h.drained("lab/out", 9)
	perPatientFiles(t, p)
}

// perPatientFiles checks that of every patient the first sends came in order.
func perPatientFiles(t *testing.T, p *peer) {
	t.Helper()
	last, seen := map[string]int{}, map[string]bool{}
	for _, a := range p.list() {
		for _, control := range inFile(t, a.body) {
			n := 0
			if _, err := fmt.Sscanf(control, "M%d", &n); err != nil {
				t.Fatal(err)
			}
			if !seen[control] && n < last[a.patient] {
				t.Errorf("of patient %s %s came after M%d", a.patient, control, last[a.patient])
			}
			seen[control], last[a.patient] = true, max(last[a.patient], n)
		}
	}
}

func TestWhatIsLeftOfFilesGoesAsFilesWhenTheRouteSendsNoneAnyMore(t *testing.T) {
	h := newHall(t)
	h.start(filing("{ max: 3 }", ", retry: { busy: { first: 200ms, max: 200ms } }"))
	p := h.peer("out")
	p.does(func(arrival) error { return fails(message.Busy) })
	h.giveAll(4, "A")
	h.eventually("a file was tried", func() bool { return len(p.list()) > 0 })
	h.stop()
	p.does(nil)
	h.start(lab(""))
	h.drained("lab/out", 4)
	list := p.list()
	last := list[len(list)-2:]
	if last[0].body != list[0].body || last[1].control != "M4" || last[1].body != order("M4", "A") {
		t.Errorf("the last two are %q and %q", last[0].body, last[1].body)
	}
}

func TestWhatWaitedBeforeTheRouteSentFilesGoesInFiles(t *testing.T) {
	h := newHall(t)
	p := h.peer("out")
	p.does(func(arrival) error { return fails(message.Down) })
	h.start(lab(""))
	h.giveAll(3, "A")
	h.eventually("they wait", func() bool { return h.queues()["lab/out"].Open() == 3 && len(p.list()) > 0 })
	h.stop()
	tried := len(p.list())
	p.does(nil)
	h.start(filing(`{ every: 50ms, by: PID-3 }`, ""))
	h.giveAll(2, "B")
	h.drained("lab/out", 5)
	if got := strings.Join(inFiles(t, &peer{arrived: p.list()[tried:]}), " "); !strings.HasPrefix(got, "M1 M2 M3") && !strings.HasSuffix(got, "M1 M2 M3") {
		t.Errorf("files %q", got)
	}
}

// A lot that is always full keeps no other waiting.
func TestLotsTakeTurns(t *testing.T) {
	h := newHall(t)
	p := h.peer("out")
	p.gate = make(chan struct{})
	h.start(filing(`{ max: 1, by: PID-3 }`, ""))
	h.giveAll(6, "A")
	h.giveAll(2, "B")
	h.eventually("the first is under way and all wait", func() bool { return len(p.list()) == 1 && h.queues()["lab/out"].Open() == 8 })
	close(p.gate)
	h.drained("lab/out", 8)
	if got := inFiles(t, p); slices.Index(got, "M7") > 3 || slices.Index(got, "M8") > 4 {
		t.Errorf("files in the order %s", got)
	}
}

func TestDeliveriesOfAFileAreDivertedOneByOne(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes:
      - { name: out, to: { hand: {} }, batch: { max: 3 }, retry: { refused: { next: { route: other } } } }
      - { name: other, to: { hand: { name: other } } }
`)
	h.peer("out").does(func(arrival) error { return fails(message.RefusedSend) })
	h.giveAll(3, "A")
	h.drained("lab/other", 3)
	if got := controls(h.peer("other").list()); !slices.Equal(got, []string{"M1", "M2", "M3"}) {
		t.Errorf("arrived %v", got)
	}
	for _, a := range h.peer("other").list() {
		if a.body != order(a.control, "A") {
			t.Errorf("%s arrived as %q", a.control, a.body)
		}
	}
}

func TestTheAnswerToAFileIsOneMessage(t *testing.T) {
	h := newHall(t)
	h.start(strings.Replace(answering(`{ to: answers }`), "to: { hand: {} },", "to: { hand: {} }, batch: { max: 3 },", 1))
	h.giveAll(6, "A", "B")
	h.drained("lab/out", 6)
	h.eventually("two answers are messages", func() bool {
		list, err := h.store.List(t.Context(), store.Filter{Channel: "answers", State: message.Done})
		return err == nil && len(list) == 2
	})
}

// A sender that waits for its deliveries waits for the file.
func TestAckDeliveredWaitsForTheFile(t *testing.T) {
	h := newHall(t)
	h.start(strings.Replace(filing("{ every: 200ms }", ""), "parse: hl7v2", "parse: hl7v2\n    ack: delivered", 1))
	if reply := h.give(order("M1", "A")); reply.Answer.Code != message.Accepted || len(h.peer("out").list()) != 1 {
		t.Errorf("answered %+v after %d files", reply.Answer, len(h.peer("out").list()))
	}
}

func TestAStopHoldsTheRouteOfFiles(t *testing.T) {
	h := newHall(t)
	h.start(filing("{ max: 1 }", ", retry: { refused: stop }"))
	p := h.peer("out")
	p.does(func(arrival) error { return fails(message.RefusedSend) })
	h.giveAll(3, "A", "B", "C")
	h.eventually("it is held", func() bool { q := h.queues()["lab/out"]; return q.Held != "" && q.Open() == 3 })
	if n := len(p.list()); n != 1 {
		t.Errorf("%d files were sent, want 1", n)
	}
	p.does(nil)
	must(t, h.store.Operate(t.Context(), store.Order{Action: store.ActResume, Unit: "lab/out", Who: "t.reed", Why: "a test"}))
	h.line.Poke("lab/out")
	h.drained("lab/out", 3)
}

// TestAFileIsClosedWhenItHasItsBytes: more than one file may hold waits for no
// further delivery.
func TestAFileIsClosedWhenItHasItsBytes(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    limits: { size: 20MB }
    routes: [ { name: out, each: NTE, batch: { max: 2 }, to: { hand: {} } } ]
`)
	raw := order("L", "A") + "NTE|1||" + strings.Repeat("x", 1<<20) + "\rNTE|2||" + strings.Repeat("x", 15<<20) + "\r"
	if reply := h.hand(&message.Message{Stream: strings.NewReader(raw)}); reply.Answer.Code != message.Accepted {
		t.Fatalf("the message was answered %+v", reply.Answer)
	}
	h.eventually("the first has gone without waiting for a third", func() bool { return h.queues()["lab/out"].Delivered >= 1 })
}
