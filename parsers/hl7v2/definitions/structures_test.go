package definitions

import (
	"slices"
	"strings"
	"testing"
)

// walk visits a grammar from the top.
func walk(e *Element, visit func(*Element)) {
	for _, inner := range e.Elements {
		visit(inner)
		walk(inner, visit)
	}
}

func TestStructuresOfVersions(t *testing.T) {
	if n := len(Structures()); n < 200 {
		t.Errorf("%d structures are known", n)
	}
	if StructureIn("2.3", "OML_O21") != nil || StructureIn("2.5.1", "OML_O21") == nil || StructureIn("2.8.2", "OML_O21") == nil {
		t.Error("OML^O21 came with 2.4")
	}
	if g := StructureIn("2.3", "ORU_R01"); g == nil || g.Knows("SPM") || !g.Knows("OBX") {
		t.Error("2.3 has no SPM in ORU^R01")
	}
	if g := StructureIn("2.5.1", "ORU_R01"); g == nil || !g.Knows("SPM") {
		t.Error("2.5.1 has SPM in ORU^R01")
	}
	if Structure("ADT_A08") != nil {
		t.Error("A08 has the structure of A01")
	}
	for _, name := range []string{"ADT_A01", "RSP_K22", "MFK_M01", "SRR_S01", "RRE_O12", "OMI_O23"} {
		if Structure(name) == nil {
			t.Errorf("%s is not known", name)
		}
	}
}

// TestStructuresCanBeUsed: no grammar has more elements than can be counted, an
// unknown segment, or a group that begins with nothing.
func TestStructuresCanBeUsed(t *testing.T) {
	check := func(where string, top *Element) {
		walk(top, func(e *Element) {
			switch {
			case len(e.Elements) > 64:
				t.Errorf("%s: %s has %d elements", where, e.Name, len(e.Elements))
			case !e.Group && !Segment(e.Name):
				t.Errorf("%s: %s is no segment", where, e.Name)
			case e.Group && len(e.begins) == 0:
				t.Errorf("%s: nothing begins %s", where, e.Name)
			case strings.Trim(e.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "":
				t.Errorf("%s: %s is no name", where, e.Name)
			}
		})
	}
	for _, name := range Structures() {
		check(name, Structure(name))
		for _, v := range versions {
			check(v+" "+name, StructureFor(v, name))
			if g := StructureIn(v, name); g != nil {
				check(v+" "+name, g)
			}
		}
	}
}

// TestGrammarsForAllVersionsKnowWhatVersionsHave holds the grammars that were
// written by hand against the table: what any version has in a structure has a
// place there.
func TestGrammarsForAllVersionsKnowWhatVersionsHave(t *testing.T) {
	for _, name := range Structures() {
		if load().later[name] != nil {
			continue
		}
		var lacks []string
		for _, v := range versions {
			if g := StructureIn(v, name); g != nil {
				walk(g, func(e *Element) {
					if !e.Group && !StructureFor(v, name).Knows(e.Name) && !slices.Contains(lacks, e.Name) {
						lacks = append(lacks, e.Name)
					}
				})
			}
		}
		if name == "QBP_Q11" { // what answers a query has no event; one version of the table says so
			lacks = slices.DeleteFunc(lacks, func(s string) bool { return s == "EVN" })
		}
		if len(lacks) > 0 {
			t.Errorf("%s lacks %q", name, lacks)
		}
	}
}

// TestGroupsOfEveryStructureAreKnown: paths may name each of them.
func TestGroupsOfEveryStructureAreKnown(t *testing.T) {
	for _, name := range Structures() {
		for _, v := range []string{"", "2.8", "2.8.1", "2.8.2"} {
			walk(StructureFor(v, name), func(e *Element) {
				if e.Group && !Group(e.Name) {
					t.Errorf("%s %s: the group %s is not known", v, name, e.Name)
				}
			})
		}
	}
	for _, group := range Groups() {
		if strings.Trim(group, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" {
			t.Errorf("%q is no name of a group", group)
		}
	}
}

// notation writes a grammar as the table has it.
func notation(e *Element) string {
	var parts []string
	for _, inner := range e.Elements {
		text := inner.Name
		if inner.Group {
			text += "(" + notation(inner) + ")"
		}
		if inner.Repeats {
			text = "{" + text + "}"
		}
		if inner.Optional {
			text = "[" + text + "]"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

// within is a group of a structure, the first of its name; "" when there is none.
func within(version, structure, group string) string {
	top := StructureIn(version, structure)
	if top == nil {
		return ""
	}
	if group == "" {
		return notation(top)
	}
	found := ""
	walk(top, func(e *Element) {
		if e.Group && e.Name == group && found == "" {
			found = notation(e)
		}
	})
	return found
}

// TestLaterVersionsHaveStructuresOfTheirOwn: what changed from 2.7 on, and when.
func TestLaterVersionsHaveStructuresOfTheirOwn(t *testing.T) {
	const visit = "PV1 [PV2] [{PRT}]"
	for _, c := range []struct{ structure, group, v27, v28, v281, v282 string }{
		// ARV stands behind the patient and behind the visit, ROL twice.
		{"ADT_A02", "", "MSH [{SFT}] [UAC] EVN PID [PD1] PV1 [PV2] [{ARV}] [{ROL}] [{DB1}] [{OBX}] [PDA]", "MSH [{SFT}] [UAC] EVN PID [PD1] [{ARV}] [{ROL}] PV1 [PV2] [{ARV}] [{ROL}] [{DB1}] [{OBX}] [PDA]", "=", "="},
		{"ADT_A01", "INSURANCE", "IN1 [IN2] [{IN3}] [{ROL}]", "IN1 [IN2] [{IN3}] [{ROL}] [{AUT}] [{RF1}]", "=", "="},
		{"ADT_A40", "PATIENT", "PID [PD1] MRG [PV1]", "=", "=", "="},
		{"ADT_A60", "VISIT", "", "PV1 [PV2] [{ARV}]", "=", "="},
		{"VXU_V04", "ORDER", "ORC [{TIMING(TQ1 [{TQ2}])}] RXA [RXR] [{OBSERVATION(OBX [{NTE}])}]", "ORC [{PRT}] [{TIMING(TQ1 [{TQ2}])}] RXA [RXR] [{OBSERVATION(OBX [{PRT}] [{NTE}])}]", "=", "="},
		{"VXU_V04", "PERSON_OBSERVATION", "", "OBX [{PRT}] [{NTE}]", "=", "="},
		{"ORU_R01", "VISIT", visit, "=", "=", "="},
		{"ORU_R01", "COMMON_ORDER", "", "ORC [{PRT}] [ORDER_DOCUMENT(OBX [{PRT}] TXA)]", "=", "="},
		{"OML_O21", "PATIENT_PRIOR", "PID [PD1] [{PRT}]", "PID [PD1] [{PRT}] [{ARV}]", "=", "="},
		{"DFT_P03", "VISIT", "", "PV1 [PV2] [{PRT}] [{ROL}]", "=", "PV2 [{PRT}] [{ROL}]"},
		{"BAR_P12", "PROCEDURE", "PR1 [{ROL}]", "PR1 [{PRT}] [{ROL}]", "=", "="},
		{"MFN_M04", "MF_CDM", "MFE CDM [{PRC}]", "=", "MFE [{NTE}] CDM [{NTE}] [{PRC}]", "="},
		{"MFN_M10", "MF_TEST_BATTERIES", "MFE OM1 [MF_TEST_BATT_DETAIL(OM5 [{OM4}])]", "MFE OM1 [{PRT}] [MF_TEST_BATT_DETAIL(OM5 [{OM4}])]", "=", "MFE OM1 [{OMC}] [{PRT}] [MF_TEST_BATT_DETAIL(OM5 [{OM4}])]"},
		{"MFN_M18", "", "", "", "", "MSH [{SFT}] [UAC] MFI {MF_PAYER(MFE {PAYER_MF_ENTRY(PM1 {PAYER_MF_COVERAGE(MCP [{DPS}])})})}"},
		{"ORL_O41", "RESPONSE", "", "", "[PATIENT(PID [{PRT}])] [{ORDER(ORC [{PRT}] [{TIMING(TQ1 [{TQ2}])}] [OBSERVATION_REQUEST(OBR [{PRT}] [{SPECIMEN(SPM [{SAC}])}])])}]", "="},
		{"QBP_O33", "", "", "MSH [{SFT}] [UAC] QPD RCP", "=", "="},
		// names of events get what the structure of the event has become
		{"ADT_A08", "INSURANCE", "IN1 [IN2] [{IN3}] [{ROL}]", "IN1 [IN2] [{IN3}] [{ROL}] [{AUT}] [{RF1}]", "=", "="},
		// what later versions do not have is that of 2.7
		{"PTR_PCF", "PATIENT_VISIT", "PV1 [PV2]", "=", "=", "="},
	} {
		want := c.v27
		for _, of := range []struct{ version, want string }{{"2.7", c.v27}, {"2.8", c.v28}, {"2.8.1", c.v281}, {"2.8.2", c.v282}, {"2.9", "="}} {
			if of.want != "=" {
				want = of.want
			}
			if got := within(of.version, c.structure, c.group); got != want {
				t.Errorf("%s %s %s is\n%s, want\n%s", of.version, c.structure, c.group, got, want)
			}
		}
	}
}

// TestOldMessagesAreGroupedAsBefore: no version up to 2.7 has another grammar than
// the one for all of them.
func TestOldMessagesAreGroupedAsBefore(t *testing.T) {
	for _, name := range Structures() {
		for _, v := range versions[:slices.Index(versions, "2.8")] {
			if StructureFor(v, name) != Structure(name) {
				t.Errorf("%s %s is grouped otherwise", v, name)
			}
		}
	}
	if StructureFor("2.8.1", "VXU_V04") == Structure("VXU_V04") || StructureFor("2.8.1", "ADT_A01") != Structure("ADT_A01") {
		t.Error("VXU^V04 has a grammar from 2.8 on, ADT^A01 has none")
	}
	if g := StructureFor("2.8", "MFN_M10"); g.Knows("OMC") || !g.Knows("PRT") {
		t.Error("OMC came with 2.8.2")
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		readAll()
	}
}
