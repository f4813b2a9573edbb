package hl7v2

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
)

// TestDivisionGrowsWithTheMessage takes messages apart that are four times as
// long as others. What that takes in memory grows about as much, so no part
// looks at what belongs to another.
func TestDivisionGrowsWithTheMessage(t *testing.T) {
	head := func(typ string) string { return "MSH|^~\\&|A|B|C|D|20260101||" + typ + "|C1|P|2.5.1\rPID|1\r" }
	for name, c := range map[string]struct{ typ, each, by string }{
		"a group":                     {"ORU^R01^ORU_R01", "OBR|#\rOBX|1\r", "ORDER_OBSERVATION"},
		"by the inner group":          {"ORU^R01^ORU_R01", "OBR|#\rNTE|1\rOBX|1\r", "OBX"},
		"by the outer group":          {"ORU^R01^ORU_R01", "PID|#\rOBR|1\rOBX|1\r", "PATIENT_RESULT"},
		"a segment that repeats":      {"ADT^A08^ADT_A01", "NK1|#\r", "NK1"},
		"one that must not repeat":    {"ADT^A08^ADT_A01", "PV1|#\r", "PV1"},
		"in groups, out of order":     {"ORU^R01^ORU_R01", "OBX|#\rOBR|1\rPID|1\r", "OBX"},
		"an unknown structure":        {"ZZZ^Z01^ZZZ_Z01", "OBR|#\rOBX|1\r", "OBR"},
		"lines that are no segments":  {"ORU^R01^ORU_R01", "OBR|#\r\r", "OBR"},
		"a segment that stands alone": {"ORU^R01^ORU_R01", "ZZZ|#\rOBR|1\r", "ZZZ"},
	} {
		t.Run(name, func(t *testing.T) {
			used := func(n int) float64 {
				var raw strings.Builder
				raw.WriteString(head(c.typ))
				for i := range n {
					raw.WriteString(strings.ReplaceAll(c.each, "#", strconv.Itoa(i)))
				}
				m := parsed(t, raw.String())
				m.Groups()
				by := compile(t, c.by)[0]
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				d := newDivision(m, by)
				for i := range d.units {
					d.part(i)
				}
				runtime.ReadMemStats(&after)
				if len(d.units) < 1 || len(d.units) > 1 && len(d.units) < n {
					t.Fatalf("%d parts of %d", len(d.units), n)
				}
				return float64(after.TotalAlloc - before.TotalAlloc)
			}
			used(10)
			if short, long := used(500), used(2000); long > 8*short {
				t.Errorf("%.0f bytes for a message, %.0f for one that is four times as long", short, long)
			}
		})
	}
}

// FuzzDivide takes any message apart: each segment is of one part only or of the
// header, what is put together again is the message, and parts can be read.
func FuzzDivide(f *testing.F) {
	f.Add("MSH|^~\\&|A|B|C|D|20260101||ORU^R01^ORU_R01|C1|P|2.5.1\rPID|1\rOBR|1\rOBX|1\rOBR|2\rOBX|2\r", "OBR")
	f.Add("MSH|^~\\&|A|B|C|D|20260101||ORU^R01|C1|P|2.5.1\rOBX|1\rNTE|1\rOBX|2\rMSH|^~\\&\rPID|3\nOBX\r\r", "OBX")
	f.Add("MSH|^~\\&|||||||||2.1\rORDER\rORC|1\rFT1|1\rFT1|2", "FT1")
	f.Add("MSH|^~\\&|||||||ORU^R01|1||2.5||||||ISO IR87\rPID|1\rOBR|\x1b$B;3\x1b(B\rOBX|2\rPID|1\rOBR|3", "OBR")
	p := New(Options{})
	f.Fuzz(func(t *testing.T, raw, text string) {
		m, err := Parse([]byte(raw))
		if err != nil {
			return
		}
		by, err := p.Grammar().Compile(text)
		if err != nil || by.Kind() != message.Places {
			return
		}
		d := newDivision(m, by)
		tryDivision(t, d)
		var parts [][]byte
		if err := p.Divide(m, by, func(part message.Document) error {
			parts = append(parts, part.Encode(nil))
			return nil
		}); err != nil {
			t.Fatalf("a part is not readable: %v", err)
		}
		if len(parts) != len(d.units) {
			t.Fatalf("%d parts of %d units", len(parts), len(d.units))
		}
		for i, part := range parts {
			if len(parts) > 1 && string(part) != string(d.part(i)) {
				t.Errorf("part %d was handed over as another", i)
			}
			if len(part) > len(raw)+1 {
				t.Errorf("a part of %d bytes of a message of %d", len(part), len(raw))
			}
		}
	})
}

// tryDivision puts together again what a message was taken apart into.
func tryDivision(t *testing.T, d *division) {
	t.Helper()
	of := make([]string, d.m.Len()) // where each segment is
	put := func(where string, segments []int) {
		if !slices.IsSorted(segments) {
			t.Errorf("the segments of %s are not in their order", where)
		}
		for _, s := range segments {
			if of[s] != "" {
				t.Errorf("segment %d is of %s and of %s", s, of[s], where)
			}
			of[s] = where
		}
	}
	put("the header", d.common)
	around := map[*Group]bool{}
	for i, u := range d.units {
		put("unit "+strconv.Itoa(i), u.segments)
		for g := u.around; g != nil; g = g.parent {
			around[g] = true
		}
	}
	for g, segments := range d.inside {
		put("the header of "+g.name, segments)
		if !around[g] {
			t.Errorf("the header of a group %s is of no part", g.name)
		}
	}
	if at := slices.Index(of, ""); at >= 0 && len(d.units) > 0 {
		t.Errorf("segment %d is lost", at)
	}
	for i, u := range d.units {
		part, at := string(d.part(i)), 0
		for s, where := range of {
			g := d.m.owners[s]
			for g != nil && !slices.Contains(d.inside[g], s) {
				g = g.parent
			}
			if where != "the header" && where != "unit "+strconv.Itoa(i) && (g == nil || !insideOf(u.around, g)) {
				continue
			}
			line := string(d.m.Segment(s).Raw())
			next := strings.Index(part[at:], line)
			if next < 0 {
				t.Fatalf("segment %d is not in part %d", s, i)
			}
			at += next + len(line)
		}
	}
}

// insideOf reports whether a group stands in another, or is it.
func insideOf(inner, outer *Group) bool {
	for ; inner != nil; inner = inner.parent {
		if inner == outer {
			return true
		}
	}
	return false
}
