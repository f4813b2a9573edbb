package channels

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// ackWith is an acknowledgement that says something more.
func ackWith(more string) func(a arrival) string {
	return func(a arrival) string {
		return "MSH|^~\\&|P|P|E|E|20260101||ACK^O01^ACK|A" + a.control + "|P|2.5.1\rMSA|AA|" + a.control + "\r" + more
	}
}

// answering is a channel whose route does something with answers.
func answering(answer string) string {
	return `  - name: lab
    source: { hand: {} }
    parse: hl7v2
    routes: [ { name: out, to: { hand: {} }, answer: ` + answer + ` } ]
  - name: answers
    source: { channel: {} }
    parse: hl7v2
    routes: [ { to: { drop: { reason: read elsewhere } } } ]
`
}

func (h *hall) file(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.folder, name)
	must(h.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(h.t, os.WriteFile(path, []byte(text), 0o600))
}

// warnings makes an entry for each warning of an acknowledgement.
const warnings = `
- map: site/ack-warnings
  from: hl7v2 ACK
  to: fhir Bundle
  make:
    outcome: OperationOutcome from each ERR
- map: ERR to OperationOutcome
  rows:
    issue[+]: { from: ERR-4, when: ERR-4 == "W", set: { severity: = warning, code: = processing, diagnostics: ERR-8, "expression[+]": "text ERR-2 {ERR-2.1}-{ERR-2.3}" } }
`

func TestAnswersThatAreWantedGoOn(t *testing.T) {
	h := newHall(t)
	h.start(answering(`{ to: answers, when: valued(ERR-4) }`))
	p := h.peer("out")
	p.answer = func(a arrival) string {
		if a.control == "M2" {
			return ackWith("ERR||PID^1^11|102^^HL70357|W\r")(a)
		}
		return ackWith("")(a)
	}
	h.giveAll(4, "A")
	h.drained("lab/out", 4)
	h.eventually("the one answer is a message", func() bool {
		list, err := h.store.List(t.Context(), store.Filter{Channel: "answers", State: message.Done})
		return err == nil && len(list) == 1
	})
	list, err := h.store.List(t.Context(), store.Filter{Channel: "answers"})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d messages, want the one answer that is wanted: %v", len(list), err)
	}
	m, err := h.store.Load(t.Context(), list[0].Seq)
	if err != nil || !strings.Contains(string(m.Raw), "MSA|AA|M2") {
		t.Errorf("another answer went on: %v", err)
	}
}

func TestAnAnswerIsMappedToEntriesForPeople(t *testing.T) {
	h := newHall(t)
	h.file("maps/ack-warnings.yaml", warnings)
	h.start(answering(`{ map: maps/ack-warnings.yaml, to: worklist }`))
	p := h.peer("out")
	p.answer = func(a arrival) string {
		switch a.control {
		case "M2":
			return ackWith("ERR||PID^1^11|102^^HL70357|W||||street\rERR||PID^1^13|102^^HL70357|W||||phone\rERR||PID^1^5|0^^HL70357|I\r")(a)
		case "M3":
			return "CANARY7F3 is no acknowledgement"
		}
		return ackWith("")(a)
	}
	h.giveAll(4, "A")
	h.drained("lab/out", 4)
	items, err := h.store.Worklist(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range items {
		got = append(got, fmt.Sprintf("%s %s %s", i.Kind, i.Where, i.Text[strings.LastIndex(i.Text, ": ")+2:]))
	}
	want := []string{"answer out the message does not begin with MSH, FHS or BHS; look at the peer's answer", "answer ERR-2 PID-13 phone", "answer ERR-2 PID-11 street"}
	if !slices.Equal(got, want) {
		t.Errorf("entries %q, want %q", got, want)
	}
	if log := h.logged(); strings.Contains(log, "CANARY7F3") || !strings.Contains(log, "does not go on") {
		t.Errorf("the log says\n%s", log)
	}
}

func TestAnAnswerIsMappedToAMessageOfAnotherChannel(t *testing.T) {
	h := newHall(t)
	h.file("maps/ack.yaml", warnings)
	text := strings.Replace(answering(`{ map: maps/ack.yaml, to: answers }`), "parse: hl7v2\n    routes: [ { to: { drop", "parse: fhir\n    routes: [ { to: { drop", 1)
	h.start(text)
	p := h.peer("out")
	p.answer = ackWith("ERR||PID^1^11|102^^HL70357|W||||street\r")
	h.giveAll(2, "A")
	h.drained("lab/out", 2)
	h.eventually("both are messages", func() bool {
		list, err := h.store.List(t.Context(), store.Filter{Channel: "answers", State: message.Done})
		return err == nil && len(list) == 2
	})
	list, err := h.store.List(t.Context(), store.Filter{Channel: "answers"})
	must(t, err)
	m, err := h.store.Load(t.Context(), list[0].Seq)
	if err != nil || m.Header.Type != "Bundle" || !strings.Contains(string(m.Raw), `"OperationOutcome"`) {
		t.Errorf("the answer became %s %q: %v", m.Header.Type, m.Raw, err)
	}
}
