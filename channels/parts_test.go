package channels

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// piece is one part of a message.
func piece(control, pointer, body, next string) string {
	raw := "MSH|^~\\&|LAB|NORTH|EHR|C|20260105||ORU^R01|" + control + "|P|2.5.1||" + pointer + "\r" + body
	if next != "" {
		raw += "DSC|" + next + "|F\r"
	}
	return raw
}

func TestMessagesInParts(t *testing.T) {
	pid := "PID|1||7^^^N^MR||X^Y\r"
	for name, c := range map[string]struct {
		pieces  []string
		want    string // behind MSH of what arrives; "": nothing
		control string
		parked  string // reason of the last
		order   string
	}{
		"two, between segments": {[]string{piece("1", "", pid+"OBR|1\r", "P1"), piece("2", "P1", "OBX|1|ST|A||x\r", "")}, pid + "OBR|1\rOBX|1|ST|A||x\r", "1", "", "patient"},
		"three":                 {[]string{piece("1", "", pid, "P1"), piece("2", "P1", "OBR|1\r", "P2"), piece("3", "P2", "OBX|1\r", "")}, pid + "OBR|1\rOBX|1\r", "1", "", "none"},
		"a segment is cut": {
			[]string{piece("1", "", pid+"OBX|1|FT|A||one tw\rADD\r", "P1"), piece("2", "P1", "ADD|o thr\rADD|\r", "P2"), piece("3", "P2", "ADD|ee||||||F\rNTE|1\r", "")},
			pid + "OBX|1|FT|A||one two three||||||F\rNTE|1\r", "1", "", "channel",
		},
		"a copy between them":       {[]string{piece("1", "", pid, "P1"), piece("1", "", pid, "P1"), piece("2", "P1", "OBR|1\r", ""), piece("2", "P1", "OBR|1\r", "")}, pid + "OBR|1\r", "1", "", "patient"},
		"a later pointer is nearer": {[]string{piece("0", "", "PID|1||9\r", "P1"), piece("1", "", pid, "P1"), piece("2", "P1", "OBR|1\r", "")}, pid + "OBR|1\r", "1", "", "patient"},
		"a pointer of nothing":      {[]string{piece("2", "P1", pid, "")}, pid, "2", "", "patient"},
		"the first is missing":      {[]string{piece("2", "P1", "ADD|x\r", "")}, "", "", "MSH-14: the part of the message before this one is not here", "patient"},
		"one between is missing":    {[]string{piece("2", "P1", "OBR|1\r", "P2"), piece("3", "P2", "OBX|1\r", "")}, "", "", "a part of the message before this one is not here", "patient"},
		"other delimiters":          {[]string{piece("1", "", pid, "P1"), strings.NewReplacer("|", "!").Replace(piece("2", "P1", "OBR|1\r", ""))}, "", "", "has other delimiters than the first", "patient"},
		"too large together": {
			[]string{piece("1", "", pid+"NTE|1||"+strings.Repeat("x", 1600<<10)+"\r", "P1"), piece("2", "P1", "NTE|1||"+strings.Repeat("x", 1600<<10)+"\r", "")},
			"", "", "is larger than the channel takes", "patient",
		},
		"large together": {
			[]string{piece("1", "", pid+"NTE|1||"+strings.Repeat("x", 900<<10)+"\r", "P1"), piece("2", "P1", "NTE|1||"+strings.Repeat("x", 900<<10)+"\r", "")},
			pid + "NTE|1||" + strings.Repeat("x", 900<<10) + "\rNTE|1||" + strings.Repeat("x", 900<<10) + "\r", "1", "", "patient",
		},
		"a large part": {
			[]string{piece("1", "", pid+"NTE|1||"+strings.Repeat("x", 1200<<10)+"\r", "P1"), piece("2", "P1", "NTE|1||"+strings.Repeat("y", 1300<<10)+"\r", "")},
			pid + "NTE|1||" + strings.Repeat("x", 1200<<10) + "\rNTE|1||" + strings.Repeat("y", 1300<<10) + "\r", "1", "", "patient",
		},
		"a query that asks for more": {[]string{strings.Replace(piece("1", "", "QPD|Z\r", "P1"), "|F\r", "\r", 1)}, "QPD|Z\rDSC|P1\r", "1", "", "patient"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHall(t)
			config := "  - { name: in, order: " + c.order + ", limits: { size: 3MB }, source: { hand: {} }, parse: hl7v2, routes: [ { to: { hand: {} } } ] }\n"
			h.start(config)
			for i, raw := range c.pieces {
				if reply := h.give(raw); reply.Answer.Code != message.Accepted {
					t.Errorf("part %d was answered %+v", i, reply.Answer)
				}
				h.stop() // a part that was answered outlives the engine
				h.start(config)
			}
			if c.want == "" {
				h.eventually("the last parks", func() bool {
					list, err := h.store.List(context.Background(), store.Filter{State: message.Parked})
					return err == nil && len(list) == 1 && strings.Contains(list[0].Reason, c.parked)
				})
				return
			}
			h.eventually("the whole arrives", func() bool { return len(h.peer("out").list()) > 0 })
			h.eventually("nothing is open", func() bool {
				list, err := h.store.List(context.Background(), store.Filter{State: message.Stored})
				return err == nil && len(list) == 0
			})
			all := h.peer("out").list()
			_, body, _ := strings.Cut(all[0].body, "\r")
			if len(all) != 1 || body != c.want {
				t.Errorf("%d arrived, %q", len(all), body)
			}
			list, err := h.store.List(context.Background(), store.Filter{Limit: 1})
			if err != nil || list[0].Header.Control != c.control || list[0].Header.Sender != "LAB|NORTH" {
				t.Errorf("the newest message is %+v, %v", list[0].Header, err)
			}
		})
	}
}

func TestSequenceNumbers(t *testing.T) {
	config := "  - { name: in, source: { hand: {} }, parse: { hl7v2: { sequence: true } }, routes: [ { to: { drop: { reason: test } } } ] }\n"
	sent := func(control, n string) string {
		return "MSH|^~\\&|LAB|N|EHR|C|20260105||ADT^A01|" + control + "|P|2.5.1|" + n + "\rPID|1||7\r"
	}
	link := func(n string) string { return "MSH|^~\\&|LAB|N|EHR|C|20260105||^|L|P|2.5.1|" + n + "\r" }
	again := "restart"
	h := newHall(t)
	h.start(config)
	for i, step := range []struct{ raw, want string }{
		{link("0"), "AA:-1"},
		{sent("a", "7"), "AA:8"},
		{sent("b", "8"), "AA:9"},
		{link("0"), "AA:9"},
		{sent("b", "8"), "AA:9"},  // a copy
		{sent("c", "8"), "AE:9"},  // an old number, another message
		{sent("d", "10"), "AE:9"}, // one was lost
		{again, ""},
		{link("0"), "AA:9"},
		{sent("e", "9"), "AA:10"},
		{sent("f", "0"), "AE:10"}, // 0 has no content
		{sent("g", ""), "AA:"},    // not numbered
		{link("-1"), "AA:-1"},
		{sent("h", "3"), "AA:4"},
		{again, ""},
		{sent("i", "4"), "AA:5"},
		{strings.Replace(sent("j", "77"), "|LAB|", "|OTHER|", 1), "AA:78"}, // another sender counts by itself
		{sent("k", "5"), "AA:6"},
		{sent("l", "x"), "AA:"},
	} {
		if step.raw == again {
			h.stop()
			h.start(config)
			continue
		}
		reply := string(h.give(step.raw).Raw)
		_, msa, _ := strings.Cut(reply, "\rMSA|")
		fields := append(strings.Split(strings.TrimSuffix(strings.SplitN(msa, "\r", 2)[0], "\r"), "|"), "", "", "")
		if got := fmt.Sprint(fields[0], ":", fields[3]); got != step.want {
			t.Errorf("step %d: answered %s, want %s: %q", i, got, step.want, reply)
		}
	}
}

// TestSequenceNumbersAreOneTurnEach has many connections send the same number:
// one is accepted.
func TestSequenceNumbersAreOneTurnEach(t *testing.T) {
	h := newHall(t)
	h.start("  - { name: in, source: { hand: {} }, parse: { hl7v2: { sequence: true } }, routes: [ { to: { drop: { reason: test } } } ] }\n")
	h.give("MSH|^~\\&|LAB|N|EHR|C|20260105||ADT^A01|first|P|2.5.1|1\rPID|1||7\r")
	codes := make(chan message.AnswerCode)
	for i := range 20 {
		go func() {
			codes <- h.give(fmt.Sprintf("MSH|^~\\&|LAB|N|EHR|C|20260105||ADT^A01|c%d|P|2.5.1|2\rPID|1||7\r", i)).Answer.Code
		}()
	}
	took := 0
	for range 20 {
		if <-codes == message.Accepted {
			took++
		}
	}
	if took != 1 {
		t.Errorf("%d messages with the same number were accepted", took)
	}
}

// TestALargeNumberedMessageCounts: its number stands in its beginning, which is
// read back from its parts.
func TestALargeNumberedMessageCounts(t *testing.T) {
	config := "  - { name: in, source: { hand: {} }, parse: { hl7v2: { sequence: true } }, routes: [ { to: { drop: { reason: test } } } ] }\n"
	sent := func(control, n, more string) string {
		return "MSH|^~\\&|LAB|N|EHR|C|20260105||ADT^A01|" + control + "|P|2.5.1|" + n + "\rPID|1||7\r" + more
	}
	h := newHall(t)
	h.start(config)
	h.give(sent("a", "56", ""))
	large := sent("b", "57", "NTE|1||"+strings.Repeat("x", store.MaxChunk+1)+"\r")
	if reply := h.hand(&message.Message{Stream: strings.NewReader(large)}); reply.Answer.Code != message.Accepted {
		t.Fatalf("the large one was answered %+v", reply.Answer)
	}
	h.stop()
	h.start(config)
	if reply := h.give(sent("c", "58", "")); reply.Answer.Code != message.Accepted {
		t.Errorf("the next one was answered %+v", reply.Answer)
	}
}

// TestNumbersAreOfWhoMaySpeak: a peer that may not send for a sender does not
// begin its numbers anew.
func TestNumbersAreOfWhoMaySpeak(t *testing.T) {
	h := newHall(t)
	h.start("  - { name: in, source: { hand: {} }, parse: { hl7v2: { sequence: true } }, routes: [ { to: { drop: { reason: test } } } ] }\n")
	h.give("MSH|^~\\&|LAB|N|EHR|C|20260105||ADT^A01|a|P|2.5.1|7\rPID|1||7\r")
	link := "MSH|^~\\&|LAB|N|EHR|C|20260105||^|L|P|2.5.1|-1\r"
	if reply := h.hand(&message.Message{Raw: []byte(link), Senders: []string{"SOUTH"}}); reply.Answer.Code == message.Accepted {
		t.Errorf("another's link was answered %+v", reply.Answer)
	}
	if reply := h.give("MSH|^~\\&|LAB|N|EHR|C|20260105||ADT^A01|b|P|2.5.1|9\rPID|1||7\r"); reply.Answer.Code == message.Accepted {
		t.Error("a gap went unnoticed: the numbers began anew")
	}
}

// TestARefusedPartIsNoPart: what a peer sent that may not send for the sender is
// not joined into its message.
func TestARefusedPartIsNoPart(t *testing.T) {
	h := newHall(t)
	h.start("  - { name: in, source: { hand: {} }, parse: hl7v2, routes: [ { to: { hand: {} } } ] }\n")
	h.give(piece("1", "", "PID|1||7^^^N^MR||X^Y\r", "P1"))
	h.hand(&message.Message{Raw: []byte(piece("9", "", "PID|1||8^^^N^MR||Z^Z\r", "P1")), Senders: []string{"SOUTH"}})
	h.give(piece("2", "P1", "OBR|1\r", ""))
	h.eventually("the whole arrives", func() bool { return len(h.peer("out").list()) > 0 })
	if body := h.peer("out").list()[0].body; !strings.Contains(body, "PID|1||7^") {
		t.Errorf("arrived %q", body)
	}
}

// TestLargePartsAreJoined: parts that come as a stream, because they are large.
func TestLargePartsAreJoined(t *testing.T) {
	pid := "PID|1||7^^^N^MR||X^Y\r"
	h := newHall(t)
	h.start("  - { name: in, source: { hand: {} }, parse: hl7v2, routes: [ { to: { hand: {} } } ] }\n")
	x, y := strings.Repeat("x", 1200<<10), strings.Repeat("y", 1300<<10)
	for i, raw := range []string{piece("1", "", pid+"NTE|1||"+x+"\r", "P1"), piece("2", "P1", "NTE|1||"+y+"\r", "P2"), piece("3", "P2", "NTE|2||z\r", "")} {
		if reply := h.stream(raw); reply.Answer.Code != message.Accepted {
			t.Errorf("part %d was answered %+v", i, reply.Answer)
		}
	}
	h.eventually("the whole arrives", func() bool { return len(h.peer("out").list()) > 0 })
	all := h.peer("out").list()
	if _, body, _ := strings.Cut(all[0].body, "\r"); len(all) != 1 || body != pid+"NTE|1||"+x+"\rNTE|1||"+y+"\rNTE|2||z\r" {
		t.Errorf("%d arrived, of %d bytes", len(all), len(body))
	}
}
