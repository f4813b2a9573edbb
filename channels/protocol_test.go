package channels

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

const takesAll = "  - { name: adt, source: { hand: {} }, parse: hl7v2, routes: [ { to: { drop: { reason: test } } } ] }\n"

// answersOf are MSA-1 and MSA-2 of the acknowledgements in an answer.
func answersOf(raw []byte) string {
	var out []string
	for line := range strings.SplitSeq(string(raw), "\r") {
		if fields := strings.Split(line, "|"); fields[0] == "MSA" {
			out = append(out, fields[1]+":"+fields[2])
		}
	}
	return strings.Join(out, " ")
}

func TestBatches(t *testing.T) {
	batch := func(content string) string {
		return "BHS|^~\\&|A|B|C|D|20260105||b|x|B8\r" + content + "BTS|2\r"
	}
	for name, c := range map[string]struct {
		give    func(h *hall, raw string) message.Reply
		content string
		want    string
		code    message.AnswerCode
		states  map[message.State]int
	}{
		"each message is taken by itself": {(*hall).give, order("1", "7") + order("2", "8"), "AA:1 AA:2", message.Accepted, map[message.State]int{message.Done: 2}},
		"as a stream":                     {(*hall).stream, order("1", "7") + order("2", "8"), "AA:1 AA:2", message.Accepted, map[message.State]int{message.Done: 2}},
		"one is refused":                  {(*hall).give, order("1", "7") + strings.Replace(order("2", "8"), "ORM^O01", "", 1), "AA:1 AR:2", message.Erroneous, map[message.State]int{message.Done: 1, message.Refused: 1}},
		"a copy is answered as before":    {(*hall).give, order("1", "7") + order("1", "7"), "AA:1 AA:1", message.Accepted, map[message.State]int{message.Done: 1}},
		"a large one":                     {(*hall).stream, order("1", "7") + order("2", "8") + "NTE|1||" + strings.Repeat("x", 2<<20) + "\r", "AA:1 AA:2", message.Accepted, map[message.State]int{message.Done: 2}},
		"nothing in it":                   {(*hall).give, "", "", message.Accepted, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			h.start(takesAll)
			reply := c.give(h, batch(c.content))
			if got := answersOf(reply.Raw); got != c.want || reply.Answer.Code != c.code || !strings.HasPrefix(string(reply.Raw), "BHS|^~\\&|C|D|A|B|") {
				t.Errorf("answered %s: %q", reply.Answer.Code, reply.Raw)
			}
			h.eventually("all have an outcome", func() bool {
				for state, want := range c.states {
					list, err := h.store.List(context.Background(), store.Filter{State: state})
					if err != nil || len(list) != want {
						return false
					}
				}
				return true
			})
		})
	}
}

func TestApplicationAcknowledgements(t *testing.T) {
	for name, c := range map[string]struct {
		ack, conditions, filter string
		want                    string
		awaited                 bool
	}{
		"both, stored":         {"stored", "|||AL|AL", "", "CA:1 AA:1", true},
		"both, processed":      {"processed", "|||AL|AL", "", "CA:1 AA:1", true},
		"an error only":        {"stored", "|||AL|ER", "", "CA:1", true},
		"the message parks":    {"stored", "|||AL|AL", ", require: [ { that: valued(PID-8) } ]", "CA:1 AE:1", true},
		"one":                  {"stored", "|||AL|NE", "", "CA:1", false},
		"original mode":        {"stored", "", "", "AA:1", false},
		"refused, so only one": {"processed", "|||AL|AL", ", require: [ { that: valued(PID-8), else: refuse } ]", "CE:1", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			h.start("  - { name: adt, ack: " + c.ack + ", source: { hand: {} }, parse: hl7v2" + c.filter + ", routes: [ { to: { drop: { reason: test } } } ] }\n")
			raw := strings.Replace(order("1", "7"), "|2.5.1\r", "|2.5.1"+c.conditions+"\r", 1)
			for again := range 2 { // a copy is answered in the same way
				if again > 0 && name == "the message parks" {
					break // its copy is told so at once
				}
				reply := h.give(raw)
				got := answersOf(reply.Raw)
				if (reply.Later != nil) != c.awaited {
					t.Errorf("a second answer: %v", reply.Later != nil)
				}
				if reply.Later != nil {
					got = strings.TrimSpace(got + " " + answersOf(reply.Later(t.Context())))
				}
				if got != c.want {
					t.Errorf("answered %q, want %q", got, c.want)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if reply := h.give(strings.Replace(raw, "|1|P", "|2|P", 1)); reply.Later != nil && c.ack == "stored" {
				_ = reply.Later(ctx) // whatever it says, it returns
			}
		})
	}
}

// TestSendersOfPeers: a certificate is for a sender, in every message of a batch.
func TestSendersOfPeers(t *testing.T) {
	for name, c := range map[string]struct {
		senders []string
		want    message.AnswerCode
		field   string
	}{
		"anyone":                 {nil, message.Accepted, ""},
		"the facility":           {[]string{"NORTH"}, message.Accepted, ""},
		"both":                   {[]string{"SOUTH", "EHR|NORTH"}, message.Accepted, ""},
		"another":                {[]string{"SOUTH"}, message.Rejected, "4"},
		"another, and a program": {[]string{"EHR|SOUTH"}, message.Rejected, "4"},
		"another program":        {[]string{"SOUTH", "LAB|NORTH"}, message.Rejected, "3"},
		"nobody":                 {[]string{}, message.Rejected, "4"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			h.start(takesAll)
			reply := h.hand(&message.Message{Raw: []byte(order("1", "7")), Senders: c.senders})
			batch := h.hand(&message.Message{Raw: []byte("BHS|^~\\&|EHR|NORTH\r" + order("2", "7") + "BTS|1\r"), Senders: c.senders})
			taken := c.want == message.Accepted
			if reply.Answer.Code != c.want || (batch.Answer.Code == message.Accepted) != taken {
				t.Errorf("answered %s, in a batch %s, want %s", reply.Answer.Code, batch.Answer.Code, c.want)
			}
			if taken {
				return
			}
			for _, raw := range [][]byte{reply.Raw, batch.Raw} {
				if !strings.Contains(string(raw), "\rERR||MSH^1^"+c.field+"^1|204^Unknown key identifier^HL70357|E|") || !strings.Contains(string(raw), "\rMSA|AR|") {
					t.Errorf("answered %q", raw)
				}
			}
			accept := h.hand(&message.Message{Raw: []byte(conditioned("3", "AL", "NE")), Senders: c.senders})
			if got := answersOf(accept.Raw); got != "CE:3" {
				t.Errorf("in enhanced mode answered %q", got)
			}
		})
	}
}

// TestTheRightPeerIsHeardAfterAWrongOne: a message that came from a peer which may
// not send it is no copy of the same message from one that may.
func TestTheRightPeerIsHeardAfterAWrongOne(t *testing.T) {
	for _, duplicates := range []string{"answer", "refuse"} {
		h := newHall(t)
		h.start(strings.Replace(takesAll, "parse:", "duplicates: "+duplicates+", parse:", 1))
		for _, c := range []struct {
			senders []string
			want    string
		}{{[]string{"SOUTH"}, "AR:1"}, {[]string{"SOUTH"}, "AR:1"}, {[]string{"NORTH"}, "AA:1"}, {[]string{"SOUTH"}, "AR:1"}, {[]string{"NORTH"}, "AA:1"}} {
			if got := answersOf(h.hand(&message.Message{Raw: []byte(order("1", "7")), Senders: c.senders}).Raw); got != c.want {
				t.Errorf("%s: %v is answered %q, want %q", duplicates, c.senders, got, c.want)
			}
		}
		h.eventually("one is done", func() bool { return len(h.messages(message.Done)) == 1 })
		h.stop()
	}
}

// A refusingStore writes nothing of the messages with one control id.
type refusingStore struct {
	store.Store
	control string
	fault   error
	asked   []string
}

func (s *refusingStore) Record(ctx context.Context, in store.Intake) (store.Entry, error) {
	s.asked = append(s.asked, in.Message.Header.Control)
	if in.Message.Header.Control == s.control {
		return store.Entry{}, s.fault
	}
	return s.Store.Record(ctx, in)
}

// TestABatchOfWhichOneIsNotWrittenIsNotAnswered: what comes behind a message that
// was not written is not taken before it, and no answer counts it among those
// that were, neither one by one nor as errors only.
func TestABatchOfWhichOneIsNotWrittenIsNotAnswered(t *testing.T) {
	for name, parse := range map[string]string{"each": "hl7v2", "errors": "{ hl7v2: { batch: errors } }"} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			refusing := &refusingStore{control: "2", fault: fmt.Errorf("%w: for the test", store.ErrUnavailable)}
			h.wrap = func(s store.Store) store.Store {
				refusing.Store = s
				return refusing
			}
			h.start(strings.Replace(takesAll, "hl7v2", parse, 1))
			batch := "BHS|^~\\&|A|B|C|D|20260105||b|x|B8\r" + order("1", "7") + order("2", "7") + order("3", "7") + "BTS|3\r"
			reply, err := h.handler("in")(t.Context(), &message.Message{Raw: []byte(batch), Received: time.Now()})
			if !errors.Is(err, store.ErrUnavailable) || len(reply.Raw) > 0 || reply.Answer.Code != "" {
				t.Errorf("answered %s %q, %v", reply.Answer.Code, reply.Raw, err)
			}
			if got := strings.Join(refusing.asked, " "); got != "1 2" {
				t.Errorf("the messages %s were handed to the store, want 1 2", got)
			}
			refusing.control = "" // the whole batch comes again
			if got := answersOf(h.give(batch).Raw); got != "AA:1 AA:2 AA:3" && name == "each" || got != "" && name == "errors" {
				t.Errorf("the batch that came again was answered %q", got)
			}
			h.eventually("three are done", func() bool { return len(h.messages(message.Done)) == 3 })
		})
	}
}

// TestNothingIsSaidToBePostedThatIsOnlyStored: the entries of a master file are
// answered one by one when what becomes of them is known.
func TestNothingIsSaidToBePostedThatIsOnlyStored(t *testing.T) {
	for ack, want := range map[string]int{"stored": 0, "processed": 1, "delivered": 1} {
		t.Run(ack, func(t *testing.T) {
			h := newHall(t)
			h.start("  - { name: adt, ack: " + ack + ", source: { hand: {} }, parse: { hl7v2: { functional: true } }, routes: [ { to: { drop: { reason: test } } } ] }\n")
			mfn := "MSH|^~\\&|A|B|C|D|20260105||MFN^M04|1|P|2.5.1\rMFI|CDM^Charges^HL70175||UPD|||AL\rMFE|MAD|K1|2026|4711|CE\r"
			reply := h.give(mfn)
			if n := strings.Count(string(reply.Raw), "\rMFA|MAD|K1||S|4711|CE\r"); n != want || answersOf(reply.Raw) != "AA:1" || !strings.Contains(string(reply.Raw), "|MFK^M04^MFK_M01|") {
				t.Errorf("answered %q", reply.Raw)
			}
			both := h.give(strings.Replace(mfn, "|1|P|2.5.1", "|2|P|2.5.1|||AL|AL", 1))
			if both.Later == nil || strings.Contains(string(both.Raw), "MFA") {
				t.Fatalf("answered %q", both.Raw)
			}
			if later := string(both.Later(t.Context())); !strings.Contains(later, "\rMFA|MAD|K1||S|4711|CE\r") {
				t.Errorf("answered %q", later)
			}
		})
	}
}
