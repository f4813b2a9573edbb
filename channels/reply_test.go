package channels

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// realTime is a channel whose sender gets the answer of a route.
func realTime(within, more string) string {
	return `  - name: lab
    source: { hand: {} }
    parse: hl7v2
    filter: MSH-9.1 == "ORM"
    reply: { from: out, within: ` + within + more + ` }
    routes:
      - { name: out, to: { hand: { connections: 2 } }, when: 'PID-3 != "NOBODY"', retry: { down: ` + fast + `, busy: ` + fast + ` } }
      - { name: slow, to: { hand: { name: slow } } }
`
}

func TestTheSenderGetsTheAnswerOfTheRoute(t *testing.T) {
	h := newHall(t)
	h.start(realTime("1m", ""))
	h.peer("slow").gate = make(chan struct{}) // what other routes do is not waited for
	p := h.peer("out")
	p.answer = func(a arrival) string {
		return "MSH|^~\\&|P|P|E|E|20260101||ORR^O02|X|P|2.5\rMSA|AA|other\rORC|OK|" + a.control + "\r"
	}
	reply := h.give(order("M1", "A"))
	if want := "MSA|AA|M1\rORC|OK|M1\r"; reply.Answer.Code != message.Accepted || !strings.HasSuffix(string(reply.Raw), want) {
		t.Errorf("answered %+v %q, want …%q", reply.Answer, reply.Raw, want)
	}
	if again := h.give(order("M1", "A")); string(again.Raw) != string(reply.Raw) {
		t.Errorf("a copy is answered %q", again.Raw)
	}
	if n := len(p.list()); n != 1 {
		t.Errorf("%d arrived, want 1", n)
	}
	close(h.peer("slow").gate)
	h.drained("lab/slow", 1)
}

func TestWhoIsNotSentAnythingIsAnsweredByUs(t *testing.T) {
	h := newHall(t)
	h.start(realTime("1m", ""))
	for _, raw := range []string{order("M1", "NOBODY"), strings.Replace(order("M2", "A"), "ORM^O01", "ADT^A08", 1)} {
		if reply := h.give(raw); reply.Answer.Code != message.Accepted || !strings.Contains(string(reply.Raw), "MSA|AA|M") {
			t.Errorf("answered %+v %q", reply.Answer, reply.Raw)
		}
	}
	if n := len(h.peer("out").list()); n != 0 {
		t.Errorf("%d arrived", n)
	}
}

func TestARefusalOfTheReceiverReachesTheSender(t *testing.T) {
	h := newHall(t)
	h.start(realTime("1m", ""))
	h.peer("out").does(func(arrival) error { return fails(message.RefusedSend) })
	reply := h.give(order("M1", "A"))
	if reply.Answer.Code != message.Erroneous || !strings.Contains(string(reply.Raw), "MSA|AE|M1") {
		t.Errorf("answered %+v %q", reply.Answer, reply.Raw)
	}
}

// Whatever the receiver does, after the time is up the sender is told to try
// again and the delivery parks; it is sent again by an operator only.
func TestAnAnswerThatDoesNotComeInTime(t *testing.T) {
	for name, behave := range map[string]func(p *peer){
		"it is silent":      func(p *peer) { p.gate = make(chan struct{}) },
		"it is down":        func(p *peer) { p.does(func(arrival) error { return fails(message.Down) }) },
		"it is always busy": func(p *peer) { p.does(func(arrival) error { return fails(message.Busy) }) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			h.start(realTime("400ms", ""))
			p := h.peer("out")
			behave(p)
			reply := h.give(order("M1", "A"))
			if reply.Answer.Code != message.Erroneous || !strings.Contains(string(reply.Raw), "MSA|AE|M1") || !strings.Contains(string(reply.Raw), "no answer within 400ms") {
				t.Errorf("answered %+v %q", reply.Answer, reply.Raw)
			}
			h.eventually("it is parked", func() bool { return h.queues()["lab/out"].Parked == 1 })
			p.does(nil)
			if p.gate != nil {
				close(p.gate)
				p.mu.Lock()
				p.gate = nil
				p.mu.Unlock()
			}
			sent := len(p.list())
			if again := h.give(order("M1", "A")); again.Answer.Code != message.Erroneous {
				t.Errorf("its copy is answered %+v", again.Answer)
			}
			h.stop()
			h.start(realTime("1m", ""))
			if next := h.give(order("M2", "A")); next.Answer.Code != message.Accepted {
				t.Errorf("the next one is answered %+v", next.Answer)
			}
			if n := len(p.list()); n != sent+1 {
				t.Errorf("%d sends, want %d: what parked is not sent by itself", n, sent+1)
			}
			h.stop()
			h.start(realTime("400ms", "")) // the time of the first is long over
			list, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out", State: message.ParkedDelivery})
			if err != nil || len(list) != 1 {
				t.Fatalf("parked %+v %v", list, err)
			}
			must(t, h.store.Operate(t.Context(), store.Order{Action: store.ActRetry, Delivery: list[0].ID, Late: true, Who: "t.reed", Why: "a test"}))
			h.line.Poke("lab/out")
			h.drained("lab/out", 2)
			if again := h.give(order("M1", "A")); again.Answer.Code != message.Accepted {
				t.Errorf("after it was sent its copy is answered %+v", again.Answer)
			}
		})
	}
}

func TestAMadeAnswerInPlaceOfTheRoutes(t *testing.T) {
	h := newHall(t)
	h.start(realTime("300ms", ", else: { map: v2-to-fhir }"))
	h.peer("out").gate = make(chan struct{})
	defer close(h.peer("out").gate)
	reply := h.give(order("M1", "A"))
	if reply.Answer.Code != message.Accepted || !strings.Contains(string(reply.Raw), `"ServiceRequest"`) {
		t.Errorf("answered %+v %.80q", reply.Answer, reply.Raw)
	}
}

// Many at once, each gets its own answer.
func TestManySendersEachGetTheirAnswer(t *testing.T) {
	h := newHall(t)
	h.start(realTime("1m", ""))
	h.peer("out").answer = func(a arrival) string {
		return "MSH|^~\\&|P|P|E|E|20260101||ORR^O02|X|P|2.5\rMSA|AA|x\rORC|OK|for " + a.patient + "\r"
	}
	h.give(order("M0", "first"))
	var senders sync.WaitGroup
	for n := range 20 {
		senders.Go(func() {
			patient := fmt.Sprintf("N%d", n)
			if reply := h.give(order("C"+patient, patient)); !strings.HasSuffix(string(reply.Raw), "MSA|AA|C"+patient+"\rORC|OK|for "+patient+"\r") {
				t.Errorf("%s was answered %q", patient, reply.Raw)
			}
		})
	}
	senders.Wait()
}
