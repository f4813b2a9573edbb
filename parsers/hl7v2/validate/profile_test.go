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
  - { at: PID-7.1, form: "[0-9]{8}" }
  - { at: PID-19, absent: true }
  - { at: PID-10, required: true, when: "PID-8 = A,B and PID-11.1 != salt and pepper" }
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
	m = parse(t, header, "EVN||20260105", "PID|1||7^^^B^MR||||2020010~20200101|A|||1^2||||||||4711", "PV1|1|O", "AL1|1", "ZPI|1|A")
	got = lines(t, Message(m, Syntax, p))
	want = []string{"PID-7.1 profile-form 102 E", "PID-10 profile-required 101 E", "PID-19 profile-absent 102 E"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	m = parse(t, header, "EVN||20260105", "PID|1||7^^^B^MR||||20200101|B|||salt and pepper||||||||", "PV1|1|O", "AL1|1", "ZPI|1|A")
	if got := lines(t, Message(m, Syntax, p)); !slices.Equal(got, []string{"PID-8 profile-table 103 W"}) {
		t.Errorf("got %q", got)
	}
	if other := Message(parse(t, strings.Replace(header, "A08", "A04", 1)), Syntax, p); len(other) > 0 {
		t.Errorf("the profile is not for A04: %+v", other)
	}
}

func TestProfileFaults(t *testing.T) {
	for text, want := range map[string]string{
		"rules: [ { at: PID, required: true } ]":                                       "is not a place",
		"rules: [ { at: PID-3 } ]":                                                     "asks for nothing",
		"rules: [ { at: PID-3, required: true, absent: true } ]":                       "and for none",
		"rules: [ { at: PID-3, form: '(' } ]":                                          "form",
		"rules: [ { at: PID-3, table: '9999' } ]":                                      "not at hand",
		"rules: [ { at: PID-3, required: true, when: PV1-2 valued } ]":                 "not of the segment",
		"rules: [ { at: PID-3, required: true, when: PID-2 is great } ]":               "not a condition",
		"rules: [ { at: PID-3, required: true, when: PID-2 valued and PV1-2 empty } ]": "not of the segment",
		"segments: { pid: { min: 1 } }":                                                "not a segment",
		"segments: { PID: { min: 2, max: 1 } }":                                        "do not go together",
		"rulez: []":                                                                    "rulez",
		"rules: !000 000000000":                                                        "not readable",
	} {
		if _, err := ReadProfile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestShippedProfiles(t *testing.T) {
	if names := ShippedNames(); !slices.Equal(names, []string{"elr", "loi", "lri", "qbp", "rsp", "vxu"}) {
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
}

// TestShippedProfilesTellGoodFromBad has a good message of each profile of which
// testdata/rules has none, and one fault in it.
func TestShippedProfilesTellGoodFromBad(t *testing.T) {
	head := func(kind, rest string) string {
		return `MSH|^~\&|A|B|C|D|20260105120000-0500||` + kind + `|O1|P|2.5.1|||` + rest
	}
	pid := "PID|1||7^^^B^MR||X^Y^^^^^L||20200101|F"
	for name, c := range map[string]struct {
		message []string
		fault   string // a text of the message
		with    string // in its place
		want    string
	}{
		"loi": {
			[]string{head("OML^O21^OML_O21", "AL|NE|||||2.16.840.1.113883.9.66^^2.16.840.1.113883.9.66^ISO"), pid, "ORC|NW|1|||||||20260105|||9^Doc", "OBR|1|1||GLU^Glucose^L|||20260105|||||||||9^Doc"},
			"|AL|NE|", "|||", "MSH-15 profile-required 101 E; MSH-16 profile-required 101 E",
		},
		"lri": {
			[]string{head("ORU^R01^ORU_R01", "||||||2.16.840.1.113883.9.16^^2.16.840.1.113883.9.16^ISO"), pid, "ORC|RE|1|2", "OBR|1|1|2|GLU^Glucose^L|||20260105|||||||||9^Doc||||||20260105|||F", "OBX|1|NM|GLU^Glucose^L||5|mg|||||F"},
			"|||||F", "|||||?", "OBX-11 profile-table 103 E",
		},
		"rsp": {
			[]string{head("RSP^K11^RSP_K11", "NE|NE|||||Z33^CDCPHINVS"), "MSA|AA|1", "QAK|T1|NF|Z34^x^CDCPHINVS", "QPD|Z34^x^CDCPHINVS|T1"},
			"|NF|", "|XX|", "QAK-2 profile-table 103 E",
		},
	} {
		p, err := Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := lines(t, Message(parse(t, c.message...), Syntax, p)); len(got) > 0 {
			t.Errorf("%s: a good message: %q", name, got)
		}
		bad := strings.Replace(strings.Join(c.message, "\n"), c.fault, c.with, 1)
		if got := strings.Join(lines(t, Message(parse(t, strings.Split(bad, "\n")...), Syntax, p)), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
