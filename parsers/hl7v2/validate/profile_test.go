package validate

import (
	"slices"
	"strings"
	"testing"
)

const partner = `
name: partner
types: [ ADT^A08 ]
segments: { ZPI: { min: 1, max: 1 }, AL1: { min: 1 } }
rules:
  - { at: MSH-12.1, values: [ 2.5.1 ] }
  - { at: ZPI-2, required: true, length: 3 }
  - { at: PID-8, required: true, table: "0001", warning: true }
  - { at: PV1-3, required: true, when: PV1-2 = I }
  - { at: PID-3.5, required: true, when: PID-3 valued }
`

func TestProfile(t *testing.T) {
	p, err := ReadProfile([]byte(partner))
	if err != nil {
		t.Fatal(err)
	}
	m := parse(t, header, "EVN||20260105", "PID|1||7^^^B^MR~8||X", "PV1|1|I", "AL1|1", "ZPI|1|CANARY")
	got := lines(t, Message(m, Syntax, p))
	want := []string{"PID-3[2].5 profile-required 101 E", "PID-8 profile-required 101 W", "PV1-3 profile-required 101 E", "ZPI-2 profile-length 102 E"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	m = parse(t, header, "EVN||20260105", "PID|1||7^^^B^MR||X|||CANARY", "PV1|1|O", "ZPI|1|A", "ZPI|2|B")
	got = lines(t, Message(m, Syntax, p))
	slices.Sort(got)
	want = []string{"AL1 profile-segment 100 E", "PID-8 profile-table 103 W", "ZPI profile-segment 100 E"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if other := Message(parse(t, strings.Replace(header, "A08", "A04", 1)), Syntax, p); len(other) > 0 {
		t.Errorf("the profile is not for A04: %+v", other)
	}
}

func TestProfileFaults(t *testing.T) {
	for text, want := range map[string]string{
		"rules: [ { at: PID, required: true } ]":                         "is not a place",
		"rules: [ { at: PID-3 } ]":                                       "asks for nothing",
		"rules: [ { at: PID-3, table: '9999' } ]":                        "not at hand",
		"rules: [ { at: PID-3, required: true, when: PV1-2 valued } ]":   "not of the segment",
		"rules: [ { at: PID-3, required: true, when: PID-2 is great } ]": "not a condition",
		"segments: { pid: { min: 1 } }":                                  "not a segment",
		"segments: { PID: { min: 2, max: 1 } }":                          "do not go together",
		"rulez: []":                                                      "rulez",
	} {
		if _, err := ReadProfile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestShippedProfiles(t *testing.T) {
	if names := ShippedNames(); !slices.Equal(names, []string{"elr", "vxu"}) {
		t.Errorf("shipped are %q", names)
	}
	for _, name := range ShippedNames() {
		p, err := Shipped(name)
		if err != nil || p.Name != name || p.Source == "" || len(p.Rules) == 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if _, err := Shipped("../vxu"); err == nil {
		t.Error("a name that is a path is taken")
	}
	vxu, err := Shipped("vxu")
	if err != nil {
		t.Fatal(err)
	}
	m := parse(t, `MSH|^~\&|A|B|C|D|20260105||VXU^V04^VXU_V04|O1|P|2.5.1`, "PID|1||7^^^B^MR||X^Y||20200101|F",
		"ORC|RE||77", "RXA|0|1|20260105||08^Hep B^CVX|0.5|mL^^UCUM"+strings.Repeat("|", 13)+"CP|A", "ORC|XX||77", "RXA|0|1|20260105||08^Hep B^CVX|0"+strings.Repeat("|", 14)+"RE")
	got := lines(t, Message(m, Syntax, vxu))
	want := []string{"ORC[2]-1 profile-value 103 E", "RXA[2]-7 profile-required 101 E", "RXA[2]-18 profile-required 101 E"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
