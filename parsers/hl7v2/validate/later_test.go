package validate

import (
	"strings"
	"testing"
)

// TestStructuresOfLaterVersions: messages that are in order in a version from 2.8
// on, and what versions before it say of them.
func TestStructuresOfLaterVersions(t *testing.T) {
	vxu := []string{
		"VXU^V04^VXU_V04", "PID|1||7||X", "ARV|1|A|HIPAA", "PV1|1|O", "ARV|1|A|HIPAA", "OBX|1|ST|1^A||x||||||F", "PRT|1|UC||AP", "ORC|RE|1",
		"PRT|2|UC||AP", "RXA|0|1|20260105||03^MMR^CVX|0.5", "OBX|1|ST|2^B||x||||||F", "PRT|3|UC||AP",
	}
	oru := []string{
		"ORU^R01^ORU_R01", "PID|1||7||X", "ARV|1|A|HIPAA", "OBX|1|ST|1^A||x||||||F", "PV1|1|O", "ORC|RE|1", "PRT|1|UC||AP", "OBX|1|ST|2^B||x||||||F",
		"TXA|1|CN||||||||||1|||||LA", "OBR|1|||1^A", "OBX|1|ST|3^C||x||||||F",
	}
	adt := []string{"ADT^A02^ADT_A02", "EVN||20260105", "PID|1||7||X", "ARV|1|A|HIPAA", "PV1|1|O", "ARV|1|A|HIPAA"}
	oml := []string{
		"OML^O21^OML_O21", "PID|1||7||X", "ARV|1|A|HIPAA", "ORC|NW|1", "OBR|1|||1^A", "SGH|1", "PID|1||7||X", "ORC|RE|1", "OBR|1|||1^A", "OBX|1|ST|3^C||x||||||F", "SGT|1",
	}
	payer := []string{"MFN^M18^MFN_M18", "MFI|PYR||UPD|||AL", "MFE|MAD|1||7|CWE", "PM1|7|8", "MCP|1|A", "DPS|A|B"}
	for _, c := range []struct {
		message  []string
		versions string // in which it is in order
		before   string // what 2.7 finds
	}{
		{vxu, "2.8 2.8.1 2.8.2 2.9", "ARV segment-version; ARV[2] segment-version; ORC segment-missing; RXA segment-missing; OBX grouping; PRT segment-version; PRT[2] segment-version; PRT[3] segment-version"},
		{oru, "2.8 2.8.1 2.8.2 2.9", "ARV segment-version; OBR segment-missing; OBX grouping; PID segment-missing; PV1 grouping; OBR segment-missing; TXA segment-version"},
		{adt, "2.8 2.8.1 2.8.2 2.9", ""},
		{oml, "2.8.2 2.9", "ARV segment-version; SGH segment-version; SGT segment-version"},
		{payer, "2.8.2 2.9", ""},
	} {
		for version := range strings.FieldsSeq(c.versions) {
			if got := places(t, version, c.message); got != "" {
				t.Errorf("%s of %s is not in order: %s", c.message[0], version, got)
			}
		}
		if got := places(t, "2.7", c.message); got != c.before {
			t.Errorf("%s: 2.7 finds %q, want %q", c.message[0], got, c.before)
		}
	}
}

// places are the findings of a message that say where segments stand, without those of fields.
func places(t *testing.T, version string, message []string) string {
	t.Helper()
	msh := "MSH|^~\\&|A|B|C|D|20260105||" + message[0] + "|O1|P|" + version
	var got []string
	for _, f := range Message(parse(t, append([]string{msh}, message[1:]...)...), Structure) {
		switch f.Rule {
		case "grouping", "segment-version", "segment-missing", "segment-unknown":
			got = append(got, f.Where+" "+f.Rule)
		}
	}
	return strings.Join(got, "; ")
}

// TestFieldsOfLaterVersions: what 2.8.2 has more, or lets repeat, is no finding there.
func TestFieldsOfLaterVersions(t *testing.T) {
	for _, c := range []struct{ kind, segments, before, since string }{
		{"ORU^R01^ORU_R01", "OBR|1|||1^A\nOBX|1|ST|3^C||x||||||F||||||||||||A^L~B^L|1 Way~2 Way|9^Doc~8^Doc|S~N", "OBX-23[2] repeats; OBX-24[2] repeats; OBX-25[2] repeats; OBX-26[2] repeats", ""},
		{"OMP^O09^OMP_O09", "ORC|NW|1\nRXO|1^A|1||2^B\nRXC|B|1^A|1|2^mL||||||3|4^mL", "RXC-10 field-version; RXC-11 field-version", ""},
		{"MFN^M08^MFN_M08", "MFI|OMA||UPD|||AL\nMFE|MAD|1||7|CWE\nOM1|1|7^A|ST~NM|Y|1^A" + strings.Repeat("|", 13) + "C" + strings.Repeat("|", 34) + "1^A~2^B", "OM1-52 field-version", ""},
		{"MFN^M08^MFN_M08", "MFI|OMA||UPD|||AL\nMFE|MAD|1||7|CWE\nOM1|1|7^A|ST|Y|1^A~2^B|x|3^C~4^D" + strings.Repeat("|", 11) + "C", "OM1-5[2] repeats; OM1-7[2] repeats", "OM1-5[2] repeats"},
	} {
		fields := func(version string) string {
			msh := "MSH|^~\\&|A|B|C|D|20260105||" + c.kind + "|O1|P|" + version
			var got []string
			for _, f := range Message(parse(t, append([]string{msh}, strings.Split(c.segments, "\n")...)...), Structure) {
				if f.Rule == "repeats" || f.Rule == "field-extra" || f.Rule == "field-version" {
					got = append(got, f.Where+" "+f.Rule)
				}
			}
			return strings.Join(got, "; ")
		}
		if got := fields("2.7"); got != c.before {
			t.Errorf("%s: 2.7 finds %q, want %q", c.kind, got, c.before)
		}
		for _, version := range []string{"2.8.2", "2.9"} {
			if got := fields(version); got != c.since {
				t.Errorf("%s: %s finds %q, want %q", c.kind, version, got, c.since)
			}
		}
	}
}
