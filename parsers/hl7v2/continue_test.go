package hl7v2

import (
	"strings"
	"testing"
)

func TestMarksOfParts(t *testing.T) {
	p := New(Options{})
	h := func(kind, pointer string) string {
		return "MSH|^~\\&|L|N|E|C|2026||" + kind + "|1|P|2.5||" + pointer + "\r"
	}
	for name, c := range map[string]struct {
		raw, name, before string
		alone             bool
	}{
		"no part":             {h("ORU^R01", "") + "PID|1\r", "", "", true},
		"the first":           {h("ORU^R01", "") + "PID|1\rDSC|P1|F\r", "part:3:L|NP1", "", false},
		"without a style":     {h("ORU^R01", "") + "PID|1\rDSC|P1\r", "part:3:L|NP1", "", false},
		"one between":         {h("ORU^R01", "P1") + "ADD|x\rDSC|P2|F", "part:3:L|NP2", "part:3:L|NP1", false},
		"the last":            {h("ORU^R01", "P1") + "OBX|1\r\n", "", "part:3:L|NP1", true},
		"the last goes on":    {h("ORU^R01", "P1") + "ADD|x\r", "", "part:3:L|NP1", false},
		"interactive":         {h("QBP^Q11", "") + "QPD|1\rDSC|P1|I\r", "", "", true},
		"an answer":           {h("RSP^K11", "") + "MSA|AA|1\rDSC|P1\r", "", "", true},
		"an answer in parts":  {h("RSP^K11", "") + "MSA|AA|1\rDSC|P1|F\r", "part:3:L|NP1", "", false},
		"no pointer":          {h("ORU^R01", "") + "DSC||F\r", "", "", true},
		"null":                {h("ORU^R01", `""`) + "PID|1\r", "", "", true},
		"DSC is not the last": {h("ORU^R01", "") + "DSC|P1|F\rPID|1\r", "", "", true},
		"a long last segment": {h("ORU^R01", "") + "OBX|" + strings.Repeat("x", 5000), "", "", true},
		"no header":           {"DSC|P1|F\r", "", "", true},
		"an endless pointer":  {h("ORU^R01", strings.Repeat("x", 5000)) + "PID|1\r", "", "", true},
	} {
		got, before, alone := p.Part([]byte(c.raw))
		if got != c.name || before != c.before || alone != c.alone {
			t.Errorf("%s: %q, %q, %v", name, got, before, alone)
		}
		if h, err := p.Scan([]byte(c.raw), nil); name != "no header" && (err != nil || h.Part != c.name) {
			t.Errorf("%s: intake finds %q, %v", name, h.Part, err)
		}
	}
}

func TestSequenceOfHeaders(t *testing.T) {
	for field, want := range map[string]struct {
		n       int64
		counted bool
	}{"": {0, false}, "0": {0, true}, "-1": {-1, true}, "12": {12, true}, "-2": {0, false}, "x": {0, false}, "99999999999999999999": {0, false}} {
		raw := []byte("MSH|^~\\&|L|N|E|C|2026||ADT^A01|1|P|2.5|" + field + "\r")
		n, empty, counted := New(Options{Sequence: true}).Sequence(raw)
		if counted != want.counted || counted && (n != want.n || !empty) {
			t.Errorf("%q: %d, %v, %v", field, n, empty, counted)
		}
		if _, _, counted := New(Options{}).Sequence(raw); counted {
			t.Error("it counts although nobody asked for it")
		}
	}
	if _, empty, _ := New(Options{Sequence: true}).Sequence([]byte("MSH|^~\\&|L|N|E|C|2026||ADT^A01|1|P|2.5|1\rPID|1\r")); empty {
		t.Error("a message with content is said to be empty")
	}
}
