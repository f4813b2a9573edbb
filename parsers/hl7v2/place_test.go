package hl7v2

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
)

// TestNULHasItsPlace: a NUL byte is named by the path that leads to it, in the
// scan as in the parser.
func TestNULHasItsPlace(t *testing.T) {
	const header = "MSH|^~\\&|A|B|C|D|1||ADT^A01|1|P|2.5\r"
	for name, c := range map[string]struct{ raw, want string }{
		"the only component":        {header + "PID|1||7\x00|x^y\r", "PID-3"},
		"a repetition":              {header + "PID|1||7~\x008|x^y\r", "PID-3[2]"},
		"the first of several":      {header + "PID|1||7\x00^^^B~8\r", "PID-3.1"},
		"a component":               {header + "PID|1||1~2^3~7^^^B\x00&C^MR\r", "PID-3[3].4"},
		"the header":                {"MSH|^~\\&|A|B\x00|C|D|1||ADT^A01|1|P|2.5\r", "MSH-4"},
		"a second segment":          {header + "OBX|1\rOBX|2|\x00\r", "OBX[2]-2"},
		"two bytes of a character":  {strings.Replace(header, "2.5", "2.5||||||BIG-5", 1) + "PID|1||\xa5\x7c\xa5\x5e\x00^1\r", "PID-3.1"},
		"a line that is no segment": {header + "Dear\x00\r", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, parsed := Parse([]byte(c.raw))
			_, scanned := New(Options{}).Scan([]byte(c.raw), nil)
			for _, err := range []error{parsed, scanned} {
				f, ok := errors.AsType[*message.Failure](err)
				if !ok || f.Where != c.want || f.Offset-1 != strings.IndexByte(c.raw, 0) {
					t.Errorf("%v, want it at %q", err, c.want)
				}
			}
		})
	}
	for cut := range header { // no panic, wherever it stands
		for _, charset := range []string{"", "ISO IR87", "BIG-5", "ISO IR13"} {
			raw := []byte(strings.Replace(header, "2.5", "2.5||||||"+charset, 1) + "PID|1||7^\x1b$B\x24\x22\x1b(B\r")
			if raw[cut] = 0; bytes.IndexByte(raw, 0) == cut {
				_, _ = Parse(raw)
				_, _ = New(Options{}).Scan(raw, nil)
			}
		}
	}
}

// TestSegmentEndsHaveTheirByte: the first end of each sort that is not CR.
func TestSegmentEndsHaveTheirByte(t *testing.T) {
	const header = "MSH|^~\\&|A|B|C|D|1||ADT^A01|1|P|2.5"
	raw := header + "\rPID|1\nPV1|1\r\nNTE|1\nNTE|2\r\n"
	m, err := Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, w := range m.Warnings() {
		got[w.Code] = w.Offset
	}
	if lf, crlf := strings.Index(raw, "\nPV1"), strings.Index(raw, "\r\n"); got["segment-end-lf"] != lf || got["segment-end-crlf"] != crlf {
		t.Errorf("at %v, want %d and %d", got, lf, crlf)
	}
}
