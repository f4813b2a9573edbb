package hl7v2

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
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
