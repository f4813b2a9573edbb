package hl7v2_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// segmentsOf are the first two fields of each segment, with the header as one word.
func segmentsOf(raw []byte) string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimRight(string(raw), "\r\n"), "\r") {
		f := strings.Split(line, "|")
		out = append(out, f[0]+f[min(1, len(f)-1)])
	}
	return strings.ReplaceAll(strings.Join(out, " "), "MSH^~\\&", "MSH")
}

func dividing(t testing.TB) (parsers.Parser, parsers.Divider) {
	parser, err := hl7v2.Kind(hl7v2.Validation{}).Options().Open()
	if err != nil {
		t.Fatal(err)
	}
	divider, ok := parser.(parsers.Divider)
	if !ok {
		t.Fatal("no Divider")
	}
	return parser, divider
}

func TestDivide(t *testing.T) {
	header := func(typ string) string { return "MSH|^~\\&|A|B|C|D|20260101||" + typ + "|C1|P|2.5.1\r" }
	oru := header("ORU^R01^ORU_R01") +
		"PID|1\rPV1|1\rORC|1\rOBR|1\rNTE|1\rOBX|1\rNTE|2\rOBX|2\rOBR|2\rOBX|3\r" +
		"PID|2\rOBR|3\rOBX|4\rSPM|1\rDSC|x\r"
	parser, divider := dividing(t)
	for name, c := range map[string]struct {
		raw, by string
		want    []string
	}{
		"a group with all inside, and the header of its own patient": {oru, "ORDER_OBSERVATION", []string{
			"MSH PID1 PV11 ORC1 OBR1 NTE1 OBX1 NTE2 OBX2 DSCx", "MSH PID1 PV11 OBR2 OBX3 DSCx", "MSH PID2 OBR3 OBX4 SPM1 DSCx",
		}},
		"a segment stands for its group": {oru, "OBR", []string{
			"MSH PID1 PV11 ORC1 OBR1 NTE1 OBX1 NTE2 OBX2 DSCx", "MSH PID1 PV11 OBR2 OBX3 DSCx", "MSH PID2 OBR3 OBX4 SPM1 DSCx",
		}},
		"the outer group": {oru, "PID", []string{
			"MSH PID1 PV11 ORC1 OBR1 NTE1 OBX1 NTE2 OBX2 OBR2 OBX3 DSCx", "MSH PID2 OBR3 OBX4 SPM1 DSCx",
		}},
		"the inner group": {oru, "OBX", []string{
			"MSH PID1 PV11 ORC1 OBR1 NTE1 OBX1 NTE2 DSCx", "MSH PID1 PV11 ORC1 OBR1 NTE1 OBX2 DSCx", "MSH PID1 PV11 OBR2 OBX3 DSCx", "MSH PID2 OBR3 OBX4 SPM1 DSCx",
		}},
		"one of an index":     {oru, "OBX[2]", []string{"MSH PID1 PV11 ORC1 OBR1 NTE1 OBX1 NTE2 OBX2 OBR2 OBX3 PID2 OBR3 OBX4 SPM1 DSCx"}},
		"none":                {oru, "AL1", nil},
		"the header is whole": {oru, "PATIENT_RESULT", []string{"MSH PID1 PV11 ORC1 OBR1 NTE1 OBX1 NTE2 OBX2 OBR2 OBX3 DSCx", "MSH PID2 OBR3 OBX4 SPM1 DSCx"}},
		"a segment that repeats by itself": {
			header("ADT^A08^ADT_A01") + "EVN|A08\rPID|1\rNK1|1\rNK1|2\rPV1|1\r", "NK1", []string{"MSH EVNA08 PID1 NK11 PV11", "MSH EVNA08 PID1 NK12 PV11"},
		},
		"a structure that is not known": {
			header("ZZZ^Z01^ZZZ_Z01") + "ZHD|1\rOBR|1\rOBX|1\rOBR|2\rOBX|2\r", "OBR", []string{"MSH ZHD1 OBR1 OBX1", "MSH ZHD1 OBR2 OBX2"},
		},
		"without an end of the last segment": {
			strings.TrimRight(header("ADT^A08^ADT_A01")+"PID|1\rPV1|1\rZZZ|1\rZZZ|2", "\r"), "ZZZ", []string{"MSH PID1 PV11 ZZZ1", "MSH PID1 PV11 ZZZ2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := parser.Parse([]byte(c.raw))
			if err != nil {
				t.Fatal(err)
			}
			by, err := parser.Grammar().Compile(c.by)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if err := divider.Divide(doc, by, func(part message.Document) error {
				got = append(got, segmentsOf(part.Encode(nil)))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestRename(t *testing.T) {
	parser, divider := dividing(t)
	doc, err := parser.Parse([]byte("MSH|^~\\&|A|B|C|D|20260101||ADT^A08^ADT_A01|C1|P|2.5.1\rPID|1||7\r"))
	if err != nil {
		t.Fatal(err)
	}
	named, err := divider.Rename(doc, "P42")
	if err != nil || string(named.Encode(nil)) != "MSH|^~\\&|A|B|C|D|20260101||ADT^A08^ADT_A01|P42|P|2.5.1\rPID|1||7\r" || named.Header().Control != "P42" {
		t.Errorf("got %q %v", named.Encode(nil), err)
	}
}
