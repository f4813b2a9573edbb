package channels

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// panel is a result with several orders, each with its observations.
func panel(control, patient string, values ...string) string {
	raw := "MSH|^~\\&|LAB|LAB|EHR|NORTH|20260301120000||ORU^R01^ORU_R01|" + control + "|P|2.5.1\rPID|1||" + patient + "\r"
	for i, v := range values {
		raw += fmt.Sprintf("OBR|%d|P%d|F%d|GLU\rOBX|1|NM|GLU||%s||||||F\rOBX|2|ST|CMT||text||||||F\r", i+1, i+1, i+1, v)
	}
	return raw
}

// bodies are the fields of the arrivals, in order.
func bodies(p *peer, segment string, n int) []string {
	var out []string
	for _, a := range p.list() {
		out = append(out, field(a.body, segment, n))
	}
	return out
}

func TestSplitMakesADeliveryOfEachPart(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    split: OBR
    routes:
      - { name: out, when: 'OBX-5 != "2"', to: { hand: {} } }
      - { name: rest, otherwise: true, to: { hand: { name: rest } } }
`)
	h.give(panel("M1", "A", "1", "2", "3"))
	h.give(panel("M2", "A", "4"))
	h.drained("lab/out", 3)
	h.drained("lab/rest", 1)
	p := h.peer("out")
	if got, want := bodies(p, "OBR", 1), []string{"1", "3", "1"}; !slices.Equal(got, want) {
		t.Errorf("arrived %v, want %v: in the order of the message", got, want)
	}
	if got := bodies(h.peer("rest"), "OBX", 5); !slices.Equal(got, []string{"2"}) {
		t.Errorf("the other one got %v", got)
	}
	list := p.list()
	seen := map[string]bool{}
	for i, a := range list {
		if seen[a.control] || field(a.body, "MSH", 9) != a.control || field(a.body, "PID", 3) != "A" {
			t.Errorf("part %d has the control id %s and %q", i, a.control, a.body)
		}
		seen[a.control] = true
	}
	if list[2].control != "M2" || list[2].body != panel("M2", "A", "4") {
		t.Errorf("a message of one part arrived as %q", list[2].body)
	}
	rows, err := h.store.Deliveries(t.Context(), store.DeliveryFilter{Unit: "lab/out"})
	if err != nil || len(rows) != 3 || rows[0].Part != 0 || rows[1].Part != 1 {
		t.Errorf("deliveries %+v %v", rows, err)
	}
}

func TestEachMakesADeliveryOfWhatIsWanted(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes:
      - { name: critical, each: OBX, when: 'OBX-2 == "NM" and number(OBX-5) > 7 and PID-3 != "Z"', to: { hand: {} } }
      - { name: all, to: { hand: { name: all } } }
      - { name: rest, otherwise: true, to: { hand: { name: rest } } }
`)
	h.give(panel("M1", "A", "5", "9", "8"))
	h.give(panel("M2", "Z", "9"))
	h.drained("lab/critical", 2)
	h.drained("lab/all", 2)
	if got := bodies(h.peer("out"), "OBX", 5); !slices.Equal(got, []string{"9", "8"}) {
		t.Errorf("arrived %v", got)
	}
	for _, a := range h.peer("out").list() {
		if strings.Count(a.body, "OBX|") != 1 || strings.Count(a.body, "OBR|") != 1 {
			t.Errorf("a delivery holds %q", a.body)
		}
	}
	if got := controls(h.peer("all").list()); !slices.Equal(got, []string{"M1", "M2"}) {
		t.Errorf("the other route got %v", got)
	}
}

func TestAPartThatNobodyTakesParksTheMessage(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    split: OBR
    routes: [ { name: out, when: 'OBX-5 != "2"', to: { hand: {} } } ]
`)
	h.give(panel("M1", "A", "1", "2"))
	h.eventually("it is parked", func() bool {
		list, err := h.store.List(t.Context(), store.Filter{State: message.Parked})
		return err == nil && len(list) == 1 && list[0].Reason == "part 2 of 2: no route took it"
	})
	if n := len(h.peer("out").list()); n != 0 {
		t.Errorf("%d arrived of a message that parked", n)
	}
}

func TestPartsBecomeMessagesOfAnotherChannel(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    split: OBR
    routes: [ { name: on, to: { channel: { name: second } } } ]
  - name: second
    source: { channel: {} }
    parse: hl7v2
    routes: [ { name: out, to: { hand: {} } } ]
`)
	h.give(panel("M1", "A", "1", "2", "3"))
	h.drained("second/out", 3)
	if got := bodies(h.peer("out"), "OBR", 1); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("arrived %v", got)
	}
}

func TestPartsOfASplitMessageBecomeRecords(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    ack: processed
    split: OBR
    map: v2-to-fhir
    routes: [ { to: { ehr: {} } } ]
`)
	if reply := h.give(panel("M1", "A", "1", "2", "3")); reply.Answer.Code != message.Accepted {
		t.Fatalf("answered %+v", reply.Answer)
	}
	page, err := h.store.Search(t.Context(), store.Query{Type: "DiagnosticReport", Total: true, Limit: 10})
	if err != nil || page.Total != 3 {
		t.Errorf("%d reports %v", page.Total, err)
	}
	if page, err = h.store.Search(t.Context(), store.Query{Type: "Patient", Total: true, Limit: 10}); err != nil || page.Total != 1 {
		t.Errorf("%d patients %v: parts of one message name one patient", page.Total, err)
	}
}

// What a message is taken apart into is bounded, and an operator hears of it.
func TestAMessageOfTooManyPartsParks(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes: [ { name: out, each: NTE, to: { hand: {} } } ]
`)
	h.give("MSH|^~\\&|LAB|LAB|EHR|NORTH|20260301120000||ORU^R01^ORU_R01|M1|P|2.5.1\rPID|1||A\rOBR|1\r" + strings.Repeat("NTE|1||x\r", mostParts+1))
	h.eventually("it is parked", func() bool {
		list, err := h.store.List(t.Context(), store.Filter{State: message.Parked})
		return err == nil && len(list) == 1 && strings.Contains(list[0].Reason, "more than 10000 parts")
	})
}
