package channels

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// conditioned is a message with MSH-15 and 16 as they are named.
func conditioned(control, fifteen, sixteen string) string {
	return strings.Replace(order(control, control), "|2.5.1\r", "|2.5.1|||"+fifteen+"|"+sixteen+"\r", 1)
}

// wants evaluates a word of table 0155.
func wants(word string, good bool) bool {
	return word == "AL" || word == "ER" && !good || word == "SU" && good
}

// saidOf tells from chapter 2.9.3 alone what a sender hears of a message: what
// is answered first, and what once it is known what became of it.
func saidOf(ack, outcome, fifteen, sixteen string) (first, then string) {
	if fifteen == "XX" {
		fifteen = ""
	}
	if sixteen == "XX" {
		sixteen = ""
	}
	good := outcome == "done"
	code := map[string]string{"done": "AA", "parked": "AE", "refused": "AR"}[outcome]
	// What the first answer tells of: that the message is kept, or all.
	taken := good || ack == "stored" && outcome == "parked"
	accept := "C" + code[1:]
	if taken {
		accept = "CA"
	}
	switch {
	case fifteen == "" && sixteen == "" && taken:
		return "AA", ""
	case fifteen == "" && sixteen == "":
		return code, ""
	case !wants(fifteen, taken) && !taken || !wants(fifteen, taken) && ack != "stored":
		if wants(sixteen, good) {
			return code, ""
		}
		return "", ""
	case wants(fifteen, taken):
		first = accept
	}
	if taken && wants(sixteen, good) {
		then = code
	}
	return first, then
}

// TestConditionsOfAcknowledgement goes over all words of MSH-15 and 16, what may
// become of a message, and what the channel's first answer claims.
func TestConditionsOfAcknowledgement(t *testing.T) {
	words := []string{"", "AL", "NE", "ER", "SU", "XX"}
	for _, ack := range []string{"stored", "processed"} {
		for outcome, with := range map[string]string{"done": "", "parked": ", require: [ { that: valued(PID-8) } ]", "refused": ""} {
			t.Run(ack+", "+outcome, func(t *testing.T) {
				h := newHall(t)
				h.start("  - { name: adt, ack: " + ack + ", source: { hand: {} }, parse: hl7v2" + with + ", routes: [ { to: { drop: { reason: test } } } ] }\n")
				for i, fifteen := range words {
					for j, sixteen := range words {
						raw := conditioned(fmt.Sprint(10*i+j), fifteen, sixteen)
						if outcome == "refused" {
							raw = strings.Replace(raw, "ORM^O01", "", 1)
						}
						reply := h.give(raw)
						first, then := answersOf(reply.Raw), ""
						if reply.Later != nil {
							then = answersOf(reply.Later(t.Context()))
						}
						wantFirst, wantThen := saidOf(ack, outcome, fifteen, sixteen)
						if code(first) != wantFirst || code(then) != wantThen {
							t.Errorf("MSH-15 %q, MSH-16 %q: answered %q, then %q; want %q, then %q", fifteen, sixteen, first, then, wantFirst, wantThen)
						}
					}
				}
			})
		}
	}
}

// code is MSA-1 of what answersOf lists.
func code(answers string) string {
	word, _, _ := strings.Cut(answers, ":")
	return word
}

// TestConditionsOfAcknowledgementApart: the same with the acknowledgements of the
// application on another connection.
func TestConditionsOfAcknowledgementApart(t *testing.T) {
	words := []string{"", "AL", "NE", "ER", "SU", "XX"}
	for outcome, with := range map[string]string{"done": "", "parked": "\n    require: [ { that: valued(PID-8) } ]"} {
		t.Run(outcome, func(t *testing.T) {
			h := newHall(t)
			h.start(apartConfig(with))
			want := map[string]string{}
			for i, fifteen := range words {
				for j, sixteen := range words {
					control := fmt.Sprint(10*i + j)
					reply := h.give(conditioned(control, fifteen, sixteen))
					first, then := saidOf("stored", outcome, fifteen, sixteen)
					if got := answersOf(reply.Raw); code(got) != first || reply.Later != nil {
						t.Errorf("MSH-15 %q, MSH-16 %q: answered %q, want %q", fifteen, sixteen, got, first)
					}
					if then != "" {
						want[control] = then
					}
				}
			}
			h.eventually("all have an outcome", func() bool {
				list, err := h.store.List(t.Context(), store.Filter{State: message.Stored})
				return err == nil && len(list) == 0
			})
			h.drained("acks/back", int64(len(want)))
			for _, a := range h.peer("out").list() {
				got, control, _ := strings.Cut(answersOf([]byte(a.body)), ":")
				if want[control] != got {
					t.Errorf("of message %s %q arrived, want %q", control, got, want[control])
				}
				delete(want, control)
			}
			if len(want) > 0 {
				t.Errorf("none arrived of %v", want)
			}
		})
	}
}

// TestTheOnlyAcknowledgementOfACopy: a copy is told again what became of the
// first, whatever that was and whenever it comes.
func TestTheOnlyAcknowledgementOfACopy(t *testing.T) {
	h := newHall(t)
	h.start("  - { name: adt, source: { hand: {} }, parse: hl7v2, require: [ { that: valued(PID-8) } ], routes: [ { to: { drop: { reason: test } } } ] }\n")
	for range 2 {
		reply := h.give(conditioned("1", "NE", "ER"))
		if len(reply.Raw) > 0 || reply.Later == nil {
			t.Fatalf("answered %q", reply.Raw)
		}
		if got := answersOf(reply.Later(t.Context())); got != "AE:1" {
			t.Errorf("answered %q", got)
		}
	}
}

// TestAnOutcomeThatIsNotKnownIsNotTold: when the time is up nothing is said of
// a message, neither good nor bad.
func TestAnOutcomeThatIsNotKnownIsNotTold(t *testing.T) {
	h := newHall(t)
	h.start("  - { name: adt, on_error: stop, source: { hand: {} }, parse: hl7v2, require: [ { that: valued(PID-8) } ], routes: [ { to: { drop: { reason: test } } } ] }\n")
	first := h.give(order("1", "7"))
	h.eventually("the first one has parked", func() bool { return len(h.messages(message.Parked)) == 1 })
	behind := strings.NewReplacer("|1|P|2.5.1\r", "|2|P|2.5.1|||NE|AL\r").Replace(order("1", "7")) // of the same key
	reply := h.give(behind)
	if answersOf(first.Raw) != "AA:1" || len(reply.Raw) > 0 || reply.Later == nil {
		t.Fatalf("answered %q, %q", first.Raw, reply.Raw)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if said := reply.Later(ctx); said != nil {
		t.Errorf("answered %q", said)
	}
	if list := h.messages(message.Stored); len(list) != 1 {
		t.Errorf("%d are stored", len(list))
	}
}

// TestABatchOfMessagesThatWantOneAnswer: in a batch, too, it is given when it
// is known what became of each.
func TestABatchOfMessagesThatWantOneAnswer(t *testing.T) {
	for conditions, want := range map[string]string{"NE|AL": "AA:1 AE:2", "ER|ER": "AE:2", "|SU": "AA:1", "AL|AL": "CA:1 CA:2", "NE|NE": ""} {
		fifteen, sixteen, _ := strings.Cut(conditions, "|")
		h := newHall(t)
		h.start("  - { name: adt, source: { hand: {} }, parse: hl7v2, require: [ { that: 'MSH-10 == \"1\"' } ], routes: [ { to: { drop: { reason: test } } } ] }\n")
		reply := h.give("BHS|^~\\&|A|B|C|D|20260105||b|x|B8\r" + conditioned("1", fifteen, sixteen) + conditioned("2", fifteen, sixteen) + "BTS|2\r")
		if got := answersOf(reply.Raw); got != want {
			t.Errorf("%s: answered %q, want %q", conditions, got, want)
		}
		h.stop()
	}
}

// TestTheOnlyAcknowledgementHasTheNumber: MSA-4 stands in every answer.
func TestTheOnlyAcknowledgementHasTheNumber(t *testing.T) {
	h := newHall(t)
	h.start(strings.Replace(takesAll, "parse: hl7v2", "parse: { hl7v2: { sequence: true } }", 1))
	reply := h.give(strings.Replace(order("1", "7"), "|2.5.1\r", "|2.5.1|1||NE|AL\r", 1))
	if reply.Later == nil {
		t.Fatalf("answered %q", reply.Raw)
	}
	if said := string(reply.Later(t.Context())); !strings.Contains(said, "MSA|AA|1||2\r") {
		t.Errorf("answered %q", said)
	}
}

// TestPartsThatWantOneAnswer: no part is answered but the last, under the control
// id of the first.
func TestPartsThatWantOneAnswer(t *testing.T) {
	h := newHall(t)
	h.start(takesAll)
	var got []string
	for _, part := range []string{"first|P|2.5.1|||NE|AL\rPID|1||7\rDSC|P1|F\r", "second|P|2.5.1||P1|NE|AL\rOBR|1\r"} {
		reply := h.give("MSH|^~\\&|LAB|N|EHR|C|20260105||ORU^R01|" + part)
		said := answersOf(reply.Raw)
		if reply.Later != nil {
			said += answersOf(reply.Later(t.Context()))
		}
		got = append(got, said)
	}
	if !slices.Equal(got, []string{"", "AA:first"}) {
		t.Errorf("answered %q", got)
	}
}
