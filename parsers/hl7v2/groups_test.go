package hl7v2

import (
	"strings"
	"testing"

	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// drawn writes a tree as NAME(segments and groups).
func drawn(g *Group) string {
	type part struct {
		at   int
		text string
	}
	var parts []part
	for _, s := range g.Segments() {
		at, _ := s.Span()
		parts = append(parts, part{at, s.Name()})
	}
	for _, inner := range g.Groups() {
		at, _ := inner.Span()
		parts = append(parts, part{at, drawn(inner)})
	}
	var words []string
	for len(parts) > 0 {
		first := 0
		for i := range parts {
			if parts[i].at < parts[first].at {
				first = i
			}
		}
		words = append(words, parts[first].text)
		parts = append(parts[:first], parts[first+1:]...)
	}
	return g.Name() + "(" + strings.Join(words, " ") + ")"
}

func TestGroups(t *testing.T) {
	for name, c := range map[string]struct{ nine, segments, want, warnings string }{
		"a result": {
			"ORU^R01^ORU_R01", "PID PV1 ORC OBR NTE OBX NTE OBX SPM",
			"ORU_R01(MSH PATIENT_RESULT(PATIENT(PID VISIT(PV1)) ORDER_OBSERVATION(ORC OBR NTE OBSERVATION(OBX NTE) OBSERVATION(OBX) SPECIMEN(SPM))))", "",
		},
		"two orders, the second without ORC": {
			"ORU^R01^ORU_R01", "PID ORC OBR OBX OBR OBX",
			"ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(ORC OBR OBSERVATION(OBX)) ORDER_OBSERVATION(OBR OBSERVATION(OBX))))", "",
		},
		"an order is no prior result of the one before": {
			"OML^O21^OML_O21", "PID ORC TQ1 OBR SPM ORC TQ1 OBR SPM ORC OBR OBX",
			"OML_O21(MSH PATIENT(PID) ORDER(ORC TIMING(TQ1) OBSERVATION_REQUEST(OBR SPECIMEN(SPM))) ORDER(ORC TIMING(TQ1) OBSERVATION_REQUEST(OBR SPECIMEN(SPM))) " +
				"ORDER(ORC OBSERVATION_REQUEST(OBR OBSERVATION(OBX))))", "",
		},
		"a prior result has its patient": {
			"OML^O21^OML_O21", "PID ORC OBR PID ORC OBR OBX ORC OBR",
			"OML_O21(MSH PATIENT(PID) ORDER(ORC OBSERVATION_REQUEST(OBR PRIOR_RESULT(PATIENT_PRIOR(PID) ORDER_PRIOR(ORC OBR OBSERVATION_PRIOR(OBX)) ORDER_PRIOR(ORC OBR)))))", "",
		},
		"who takes part in an order, and when a prior one was": {
			"OML^O21^OML_O21", "PID ORC OBR PRT DG1 OBX PID OBR TQ1 OBX",
			"OML_O21(MSH PATIENT(PID) ORDER(ORC OBSERVATION_REQUEST(OBR PRT DG1 OBSERVATION(OBX) " +
				"PRIOR_RESULT(PATIENT_PRIOR(PID) ORDER_PRIOR(OBR TIMING_PRIOR(TQ1) OBSERVATION_PRIOR(OBX))))))", "",
		},
		"a general order with prior results": {
			"OMG^O19^OMG_O19", "PID ORC OBR OBX SPM PID PV1 ORC OBR OBX PID OBR OBX",
			"OMG_O19(MSH PATIENT(PID) ORDER(ORC OBR OBSERVATION(OBX) SPECIMEN(SPM) PRIOR_RESULT(PATIENT_PRIOR(PID) PATIENT_VISIT_PRIOR(PV1) ORDER_PRIOR(ORC OBR " +
				"OBSERVATION_PRIOR(OBX))) PRIOR_RESULT(PATIENT_PRIOR(PID) ORDER_PRIOR(OBR OBSERVATION_PRIOR(OBX)))))", "",
		},
		"orders of a specimen": {
			"OML^O33^OML_O33", "PID SPM ORC OBR ORC OBR SPM ORC OBR",
			"OML_O33(MSH PATIENT(PID) SPECIMEN(SPM ORDER(ORC OBSERVATION_REQUEST(OBR)) ORDER(ORC OBSERVATION_REQUEST(OBR))) SPECIMEN(SPM ORDER(ORC OBSERVATION_REQUEST(OBR))))", "",
		},
		"two patients": {
			"ORU^R01^ORU_R01", "PID OBR OBX PID OBR OBX",
			"ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX))) PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX))))", "",
		},
		"Z segments stay with the group in hand": {
			"ORU^R01^ORU_R01", "PID ZPI OBR OBX ZLB OBX",
			"ORU_R01(MSH PATIENT_RESULT(PATIENT(PID ZPI) ORDER_OBSERVATION(OBR OBSERVATION(OBX ZLB) OBSERVATION(OBX))))", "",
		},
		"a result without an order": {
			"ORU^R01^ORU_R01", "PID OBX OBX NTE",
			"ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBSERVATION(OBX) OBSERVATION(OBX NTE))))", "grouping",
		},
		"a visit behind the order": {
			"ORU^R01^ORU_R01", "PID OBR PV1 OBX",
			"ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR) PATIENT(VISIT(PV1)) ORDER_OBSERVATION(OBSERVATION(OBX))))", "grouping grouping",
		},
		"no structure in MSH-9": {
			"ORU^R01", "PID OBR OBX", "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX))))", "",
		},
		"a structure that is not that of the message": {
			"ORU^R01^ADT_A01", "PID OBR OBX", "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX))))", "",
		},
		"an event that shares a structure": {
			"ADT^A08", "EVN PID PV1 IN1 IN2 IN1", "ADT_A01(MSH EVN PID PV1 INSURANCE(IN1 IN2) INSURANCE(IN1))", "",
		},
		"a merge of two pairs": {
			"ADT^A40^ADT_A39", "EVN PID MRG PID PD1 MRG", "ADT_A39(MSH EVN PATIENT(PID MRG) PATIENT(PID PD1 MRG))", "",
		},
		"segments in another order": {
			"ADT^A01^ADT_A01", "EVN PID PV1 DG1 AL1", "ADT_A01(MSH EVN PID PV1 DG1 AL1)", "grouping",
		},
		"an order": {
			"ORM^O01^ORM_O01", "PID PV1 IN1 ORC OBR NTE DG1 OBX ORC OBR",
			"ORM_O01(MSH PATIENT(PID PATIENT_VISIT(PV1) INSURANCE(IN1)) ORDER(ORC ORDER_DETAIL(OBR NTE DG1 OBSERVATION(OBX))) ORDER(ORC ORDER_DETAIL(OBR)))", "",
		},
		"a vaccination": {
			"VXU^V04^VXU_V04", "PID ORC RXA RXR OBX OBX ORC RXA",
			"VXU_V04(MSH PID ORDER(ORC RXA RXR OBSERVATION(OBX) OBSERVATION(OBX)) ORDER(ORC RXA))", "",
		},
		"a structure nobody knows": {"XYZ^Z99", "PID OBX", "XYZ_Z99(MSH PID OBX)", ""},
	} {
		t.Run(name, func(t *testing.T) {
			raw := "MSH|^~\\&|A|B|C|D|20260105||" + c.nine + "|1|P|2.5\r"
			for word := range strings.FieldsSeq(c.segments) {
				raw += word + "|1\r"
			}
			m := parsed(t, raw)
			if got := drawn(m.Groups()); got != c.want {
				t.Errorf("grouped as\n%s, want\n%s", got, c.want)
			}
			if got := warned(m); got != c.warnings {
				t.Errorf("warnings %q, want %q", got, c.warnings)
			}
		})
	}
}

// TestGroupsByVersion: messages of 2.8 and later have groups that those before do
// not have, and paths reach what stands in them.
func TestGroupsByVersion(t *testing.T) {
	segments := "PID|1\rOBX|1\rPV1|1\rORC|RE|7\rOBX|1\rTXA|1\rOBR|1|7\rOBX|1\rORC|RE|8\rOBR|2|8\rOBX|1\r"
	const documents = "ORU_R01(MSH PATIENT_RESULT(PATIENT(PID PATIENT_OBSERVATION(OBX) VISIT(PV1)) " +
		"ORDER_OBSERVATION(COMMON_ORDER(ORC ORDER_DOCUMENT(OBX TXA)) OBR OBSERVATION(OBX)) ORDER_OBSERVATION(COMMON_ORDER(ORC) OBR OBSERVATION(OBX))))"
	for version, want := range map[string]string{
		"2.5.1": "", "2.7.1": "", "": "", "2.8": documents, "2.8.1": documents, "2.8.2": documents, "2.9": documents, "2.9.1": documents,
	} {
		m := parsed(t, "MSH|^~\\&|A|B|C|D|20260105||ORU^R01^ORU_R01|1|P|"+version+"\r"+segments)
		got := drawn(m.Groups())
		if (want == "") != (warned(m) != "") || want == "" && strings.Contains(got, "COMMON_ORDER") || want != "" && got != want {
			t.Errorf("%q is grouped as\n%s with %q", version, got, warned(m))
		}
		if want == "" {
			continue
		}
		for path, value := range map[string]string{"ORDER_OBSERVATION[2]/ORC-2": "8", "ORDER_OBSERVATION/COMMON_ORDER/ORC-2": "7", "ORDER_OBSERVATION[2]/OBR-2": "8"} {
			if text := readText(compile(t, path)[0], m.Root()); text != value {
				t.Errorf("%s %s is %q, want %q", version, path, text, value)
			}
		}
		if last := compile(t, "OBX")[0].Nodes(m.Root())[3]; readText(compile(t, "ORC-2")[0], last) != "8" {
			t.Errorf("%s: the order of the last result is not found from there", version)
		}
	}
}

func TestGroupsOfABatchBeginAnewWithEachMessage(t *testing.T) {
	one := "MSH|^~\\&|A|B|C|D|20260105||ADT^A01^ADT_A01|1|P|2.5\rEVN|A01\rPID|1\rPV1|1\r"
	m := parsed(t, "BHS|^~\\&|A\r"+one+one+"BTS|2\r")
	if got := drawn(m.Groups()); got != "ADT_A01(BHS MSH EVN PID PV1 MSH EVN PID PV1 BTS)" || len(m.Warnings()) > 0 {
		t.Errorf("grouped as %s, warnings %v", got, m.Warnings())
	}
}

func TestDefinitions(t *testing.T) {
	var check func(structure string, e *definitions.Element)
	check = func(structure string, e *definitions.Element) {
		if len(e.Elements) > 64 {
			t.Errorf("%s: %s has %d elements, above what a Group counts", structure, e.Name, len(e.Elements))
		}
		for _, inner := range e.Elements {
			if inner.Group {
				check(structure, inner)
			} else if !definitions.Segment(inner.Name) {
				t.Errorf("%s: %s is not in the list of segments", structure, inner.Name)
			}
		}
	}
	for _, name := range definitions.Structures() {
		s := definitions.Structure(name)
		check(name, s)
		if len(s.Elements) == 0 || s.Elements[0].Name != "MSH" || s.Elements[0].Optional {
			t.Errorf("%s does not begin with MSH", name)
		}
		if code, event, _ := strings.Cut(name, "_"); definitions.StructureOf(code, event) == "" {
			t.Errorf("%s is no structure of its own event", name)
		}
	}
	for event, want := range map[string]string{"ADT^A01": "ADT_A01", "ADT^A08": "ADT_A01", "ADT^A40": "ADT_A39", "ORU^R01": "ORU_R01", "ACK^A01": "ACK", "ACK^": "ACK", "XXX^Q99": ""} {
		code, trigger, _ := strings.Cut(event, "^")
		if got := definitions.StructureOf(code, trigger); got != want {
			t.Errorf("%s has the structure %q, want %q", event, got, want)
		}
	}
}
