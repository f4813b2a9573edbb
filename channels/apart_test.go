package channels

import (
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// apartConfig acknowledges over another connection, as far as the application is
// concerned.
func apartConfig(more string) string {
	return `  - name: orders
    source: { hand: {} }
    parse: hl7v2
    acknowledge: acks` + more + `
    routes: [ { to: { drop: { reason: test } } } ]
  - name: acks
    source: { channel: {} }
    parse: hl7v2
    routes: [ { name: back, to: { hand: {} } } ]
`
}

// TestApplicationAcknowledgementsGoAnotherWay: the accept acknowledgement is
// given where the message came, that of the application arrives at a destination
// as a message of its own, across a restart, and once.
func TestApplicationAcknowledgementsGoAnotherWay(t *testing.T) {
	for name, c := range map[string]struct {
		conditions, more string
		here, apart      string
	}{
		"both":                        {"|||AL|AL", "", "CA:1", "AA:1"},
		"it parks":                    {"|||AL|AL", "\n    require: [ { that: valued(PID-8) } ]", "CA:1", "AE:1"},
		"it is filtered":              {"|||AL|AL", "\n    filter: valued(PID-8)", "CA:1", "AA:1"},
		"errors only, and none":       {"|||AL|ER", "", "CA:1", ""},
		"errors only":                 {"|||AL|ER", "\n    require: [ { that: valued(PID-8) } ]", "CA:1", "AE:1"},
		"success only, and it parks":  {"|||AL|SU", "\n    require: [ { that: valued(PID-8) } ]", "CA:1", ""},
		"that of the application":     {"|||NE|AL", "", "", "AA:1"},
		"that alone":                  {"||||AL", "", "", "AA:1"},
		"the accept one for errors":   {"|||ER|AL", "", "", "AA:1"},
		"the accept one":              {"|||AL|NE", "", "CA:1", ""},
		"none":                        {"|||NE|NE", "", "", ""},
		"original mode":               {"", "", "AA:1", ""},
		"original mode, and it parks": {"", "\n    require: [ { that: valued(PID-8) } ]", "AA:1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			h.start(apartConfig(c.more))
			raw := strings.Replace(order("1", "7"), "|2.5.1\r", "|2.5.1"+c.conditions+"\r", 1)
			for range 2 { // a copy is accepted again, and not processed
				reply := h.give(raw)
				if got := answersOf(reply.Raw); got != c.here || reply.Later != nil && reply.Later(t.Context()) != nil {
					t.Errorf("answered %q, want %q", got, c.here)
				}
			}
			h.eventually("nothing is open", func() bool {
				list, err := h.store.List(t.Context(), store.Filter{State: message.Stored})
				return err == nil && len(list) == 0
			})
			h.stop()
			h.start(apartConfig(c.more))
			if c.apart != "" {
				h.eventually("it arrives", func() bool { return len(h.peer("out").list()) > 0 })
			}
			h.drained("acks/back", int64(len(strings.Fields(c.apart))))
			var got []string
			for _, a := range h.peer("out").list() {
				got = append(got, answersOf([]byte(a.body)))
				if field(a.body, "MSH", 14) != "AL" || field(a.body, "MSH", 15) != "NE" || field(a.body, "MSH", 8) != "ACK^O01^ACK" || field(a.body, "MSH", 4) != "EHR" {
					t.Errorf("%q", a.body)
				}
			}
			if strings.Join(got, " ") != c.apart {
				t.Errorf("%q arrived, want %q", got, c.apart)
			}
		})
	}
}

// TestWhatIsRefusedIsToldAtOnce: nothing of a refused message is processed, so
// all there is to say is said where it came.
func TestWhatIsRefusedIsToldAtOnce(t *testing.T) {
	for conditions, want := range map[string]string{"|||AL|AL": "CR:1", "|||NE|AL": "AR:1", "": "AR:1", "|||NE|NE": ""} {
		h := newHall(t)
		h.start(apartConfig(""))
		raw := strings.NewReplacer("|2.5.1\r", "|2.5.1"+conditions+"\r", "ORM^O01", "").Replace(order("1", "7"))
		if got := answersOf(h.give(raw).Raw); got != want {
			t.Errorf("%s: answered %q, want %q", conditions, got, want)
		}
		h.drained("acks/back", 0)
		h.stop()
	}
}

// TestAcknowledgementsHaveNone: what is an acknowledgement, or an answer, has no
// application acknowledgement.
func TestAcknowledgementsHaveNone(t *testing.T) {
	h := newHall(t)
	h.start(apartConfig(""))
	for i, typ := range []string{"ACK^A01^ACK", "ORR^O02^ORR_O02", "MCF"} {
		reply := h.give("MSH|^~\\&|LAB|N|EHR|C|20260105||" + typ + "|" + string(rune('a'+i)) + "|P|2.5.1|||NE|AL\rMSA|AA|1\r")
		if len(reply.Raw) > 0 {
			t.Errorf("%s was answered %q", typ, reply.Raw)
		}
	}
	h.eventually("all are done", func() bool {
		list, err := h.store.List(t.Context(), store.Filter{State: message.Done})
		return err == nil && len(list) == 3
	})
	h.drained("acks/back", 0)
}

// TestPartsHaveOneApplicationAcknowledgement: each part is accepted, and the
// whole is acknowledged under the control id of the first.
func TestPartsHaveOneApplicationAcknowledgement(t *testing.T) {
	h := newHall(t)
	h.start(apartConfig(""))
	msh := func(control, before string) string {
		return "MSH|^~\\&|LAB|N|EHR|C|20260105||ORU^R01|" + control + "|P|2.5.1||" + before + "|AL|AL\r"
	}
	for i, raw := range []string{msh("first", "") + "PID|1||7\rDSC|P1|F\r", msh("second", "P1") + "OBR|1\r"} {
		if got := answersOf(h.give(raw).Raw); !strings.HasPrefix(got, "CA:") {
			t.Errorf("part %d was answered %q", i, got)
		}
	}
	h.eventually("it arrives", func() bool { return len(h.peer("out").list()) > 0 })
	h.drained("acks/back", 1)
	if got := answersOf([]byte(h.peer("out").list()[0].body)); got != "AA:first" {
		t.Errorf("%q arrived", got)
	}
}

// TestTheLastPartIsFollowedByTheAcknowledgementOfTheWhole: on the connection of
// the message, too, there is one, which names the first part.
func TestTheLastPartIsFollowedByTheAcknowledgementOfTheWhole(t *testing.T) {
	for require, want := range map[string]string{"": "AA:first", ", require: [ { that: valued(PID-8) } ]": "AE:first"} {
		h := newHall(t)
		h.start("  - { name: in, source: { hand: {} }, parse: hl7v2" + require + ", routes: [ { to: { drop: { reason: test } } } ] }\n")
		msh := func(control, before string) string {
			return "MSH|^~\\&|LAB|N|EHR|C|20260105||ORU^R01|" + control + "|P|2.5.1||" + before + "|AL|AL\r"
		}
		for i, raw := range []string{msh("first", "") + "PID|1||7\rDSC|P1|F\r", msh("second", "P1") + "OBR|1\rDSC|P2|F\r", msh("third", "P2") + "OBX|1\r"} {
			reply := h.give(raw)
			if (reply.Later != nil) != (i == 2) {
				t.Errorf("part %d is followed by an acknowledgement: %v", i, reply.Later != nil)
			}
			if reply.Later != nil {
				if got := answersOf(reply.Later(t.Context())); got != want {
					t.Errorf("acknowledged by %q, want %q", got, want)
				}
			}
		}
		h.stop()
	}
}
