package channels

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

const checkedProfile = `
name: acme
rules: [ { at: PID-3.4, required: true } ]
`

// checkedChannel is a channel with options of its parser.
func checkedChannel(ack, options string) string {
	return "  - { name: adt, ack: " + ack + ", source: { hand: {} }, parse: { hl7v2: { " + options + " } }, routes: [ { to: { hand: {} } } ] }\n"
}

// checkedMessage has a patient's number without authority, a birth date that is
// none and a code of no table.
func checkedMessage(version string) string {
	return "MSH|^~\\&|A|B|C|D|20260105||ADT^A08^ADT_A01|C1|P|" + version + "\rEVN|A08|20260105\rPID|1||CANARY||CANARY^X||CANARY|q\rPV1|1|O\r"
}

func TestValidationOfAChannel(t *testing.T) {
	for name, c := range map[string]struct {
		ack, options, version string
		state                 message.State
		answer                []string // what stands in it
		reason                string
	}{
		"in the channel's own words": {
			"processed", `validate: types, texts: [ { codes: [ AE ], text: "{channel}, {where}: {condition}" } ]`, "2.5.1", message.Refused,
			[]string{"MSA|AE|C1|adt, PID-7.1: Data type error\r", "|102^Data type error^HL70357|E|||is not of the data type DTM|adt, PID-7.1: Data type error\r"},
			"PID-7.1: is not",
		},
		"parks after a positive answer":           {"stored", "validate: types", "2.5.1", message.Parked, []string{"MSA|AA|C1"}, "validate: PID-7.1: is not of the data type DTM"},
		"refuses who waits, 2.5.1":                {"processed", "validate: types", "2.5.1", message.Refused, []string{"MSA|AE|C1|PID-7.1: ", "\rERR||PID^1^7^1^1|102^Data type error^HL70357|E|"}, "PID-7.1: is not"},
		"refuses who waits, 2.3":                  {"processed", "validate: types", "2.3", message.Refused, []string{"MSA|AE|C1|PID-7.1: ", "\rERR|PID^1^7^102&Data type error"}, "PID-7.1: is not"},
		"refuses who waits for deliveries":        {"delivered", "validate: types", "2.7", message.Refused, []string{"MSA|AE|C1\r", "\rERR||PID^1^7^1|102^"}, "PID-7"},
		"what is tolerated is not looked at":      {"processed", "validate: types, tolerate: [ data-type ]", "2.5.1", message.Done, []string{"MSA|AA|C1"}, ""},
		"a level that does not look so deep":      {"processed", "validate: structure", "2.5.1", message.Done, []string{"MSA|AA|C1"}, ""},
		"a shipped profile is not for this type":  {"processed", "validate: structure, profile: vxu", "2.5.1", message.Done, []string{"MSA|AA|C1"}, ""},
		"a profile of a file":                     {"processed", "profile: acme.yaml, tolerate: [ data-type ]", "2.5.1", message.Refused, []string{"ERR||PID^1^3^1^4|101^Required field missing^HL70357|E|"}, "PID-3.4: the profile asks for a value"},
		"errors of a profile and of the types":    {"processed", "profile: acme.yaml", "2.5.1", message.Refused, []string{"ERR||PID^1^3^1^4|101", "ERR||PID^1^7^1^1|102"}, ", and 1 more"},
		"nothing is checked where it is not said": {"processed", "charset: utf-8", "2.5.1", message.Done, []string{"MSA|AA|C1"}, ""},
		"a character set nobody knows": {
			"processed", "tolerate: [ no-final-cr ]", "2.5.1||||||NOBODY-8", message.Refused,
			[]string{"MSA|AE|C1|MSH-18: ", "\rERR||MSH^1^18^1|103^Table value not found^HL70357|E|"},
			"MSH-18: the declared character set is not known",
		},
		"bytes of another set": {
			"stored", "validate: syntax", "2.5.1||||||UNICODE UTF-8\rNTE|1||CANARY\xff", message.Parked,
			[]string{"MSA|AA|C1"},
			"validate: MSH-18: bytes are not of the declared character set; they can be read as Windows-1252, the first at byte 86 in NTE",
		},
		"bytes of another set, who waits is told": {
			"processed", "", "2.5.1||||||UNICODE UTF-8\rNTE|1||CANARY\xff", message.Refused,
			[]string{"MSA|AE|C1|MSH-18: ", "\rERR||MSH^1^18^1|102^Data type error^HL70357|E|"},
			"MSH-18: bytes are not of the declared character set",
		},
		"bytes of another set, 2.3":                {"processed", "", "2.3||||||UNICODE UTF-8\rNTE|1||CANARY\xff", message.Refused, []string{"MSA|AE|C1|MSH-18: ", "\rERR|MSH^1^18^102&Data type error"}, "MSH-18: bytes are not"},
		"bytes of another set, lenient":            {"stored", "lenient: [ charset-wrong ]", "2.5.1||||||UNICODE UTF-8\rNTE|1||\xff", message.Done, []string{"MSA|AA|C1"}, ""},
		"bytes of another set, the channel knows":  {"stored", "charset: windows-1252", "2.5.1||||||UNICODE UTF-8\rNTE|1||\xff", message.Done, []string{"MSA|AA|C1"}, ""},
		"bytes nobody declared":                    {"stored", "", "2.5.1\rNTE|1||\xff", message.Done, []string{"MSA|AA|C1"}, ""},
		"what the parser finds is no error at all": {"processed", "validate: syntax", "2.5.1", message.Done, []string{"MSA|AA|C1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			if err := os.WriteFile(filepath.Join(h.folder, "acme.yaml"), []byte(checkedProfile), 0o600); err != nil {
				t.Fatal(err)
			}
			h.start(checkedChannel(c.ack, c.options))
			reply := h.give(checkedMessage(c.version))
			for _, want := range c.answer {
				if !strings.Contains(string(reply.Raw), want) {
					t.Errorf("answered %q, want %q in it", reply.Raw, want)
				}
			}
			m := settled(h)
			if m.State != c.state || !strings.Contains(m.Reason, c.reason) {
				t.Errorf("%s: %q", m.State, m.Reason)
			}
			trace, err := h.store.Trace(t.Context(), m.Seq)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range trace {
				if strings.Contains(e.Text+e.Ref, "CANARY") {
					t.Errorf("a value stands in the trace: %+v", e)
				}
			}
			if strings.Contains(m.Reason+string(reply.Raw), "CANARY") {
				t.Error("a value stands in the reason or the answer")
			}
		})
	}
}

// TestTheSecondAcknowledgementTellsWhatWasFound: who was told that the message is
// stored, and asked for both acknowledgements, hears the places and codes in the second.
func TestTheSecondAcknowledgementTellsWhatWasFound(t *testing.T) {
	h := newHall(t)
	h.start(checkedChannel("stored", "validate: types"))
	reply := h.give(checkedMessage("2.5.1|||AL|AL||UNICODE UTF-8\rNTE|1||CANARY\xff"))
	if reply.Later == nil || !strings.Contains(string(reply.Raw), "MSA|CA|C1") {
		t.Fatalf("answered %q", reply.Raw)
	}
	second := string(reply.Later(t.Context()))
	for _, want := range []string{"MSA|AE|C1|MSH-18: ", "\rERR||MSH^1^18^1|102^", "\rERR||PID^1^7^1^1|102^"} {
		if !strings.Contains(second, want) || strings.Contains(second, "CANARY") {
			t.Errorf("acknowledged by %q, want %q in it", second, want)
		}
	}
	if m := settled(h); m.State != message.Parked {
		t.Errorf("%s", m.State)
	}
}

func TestWarningsOfValidation(t *testing.T) {
	h := newHall(t)
	h.start(checkedChannel("processed", "validate: tables, tolerate: [ data-type ]"))
	h.give(checkedMessage("2.5.1"))
	m := settled(h)
	trace, err := h.store.Trace(t.Context(), m.Seq)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range trace {
		found = found || e.Step == "warning" && e.Ref == "PID-8" && strings.HasPrefix(e.Text, "table: ")
	}
	work, err := h.store.Worklist(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if !found || m.State != message.Done || len(work) != 1 || work[0].Kind != "validation" || !strings.Contains(work[0].Text, ": ") {
		t.Errorf("%s, trace %+v, work list %+v", m.State, trace, work)
	}
}

// TestWarningsWithoutAPathHaveTheirByte: what no path leads to is found by its
// byte in the trace.
func TestWarningsWithoutAPathHaveTheirByte(t *testing.T) {
	h := newHall(t)
	h.start(checkedChannel("processed", "validate: syntax"))
	raw := checkedMessage("2.5.1") + "NTE|1||first\nsecond\r"
	h.give(raw)
	trace, err := h.store.Trace(t.Context(), settled(h).Seq)
	if err != nil {
		t.Fatal(err)
	}
	want := "byte " + strconv.Itoa(strings.IndexByte(raw, '\n'))
	for _, e := range trace {
		if e.Step == "warning" && strings.HasPrefix(e.Text, "a line end stands inside a field") && e.Ref == want {
			return
		}
	}
	t.Errorf("no line end inside a field at %s in the trace %+v", want, trace)
}

// settled waits for the outcome of the newest message.
func settled(h *hall) *message.Message {
	h.t.Helper()
	var m *message.Message
	h.eventually("the message has an outcome", func() bool {
		list, err := h.store.List(context.Background(), store.Filter{Limit: 1})
		if err != nil || len(list) != 1 || list[0].State == message.Stored {
			return false
		}
		m = list[0]
		return true
	})
	return m
}

// TestAProfileIsPartOfItsChannel: a channel is another when the file changes.
func TestAProfileIsPartOfItsChannel(t *testing.T) {
	h := newHall(t)
	file := filepath.Join(h.folder, "acme.yaml")
	var hashes []string
	for _, text := range []string{checkedProfile, checkedProfile, strings.Replace(checkedProfile, "3.4", "3.5", 1)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, h.load(checkedChannel("stored", "profile: acme.yaml")).Channels[0].Hash)
	}
	if hashes[0] != hashes[1] || hashes[0] == hashes[2] {
		t.Errorf("%q", hashes)
	}
}
