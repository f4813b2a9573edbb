package mapping

import (
	"strings"
	"testing"
)

const dataTypes = `
- map: XPN to HumanName
  rows:
    family: .1.1
    given[+]: [ .2, .3 ]
- map: CX to Identifier
  rows:
    value: .1
    system: .4 as HD-uri
- map: CWE to CodeableConcept
  params: { system: text = "" }
  rows:
    coding[+]:
      - { from: .1, set: { code: .1, display: .2, system: .3 or $system as system-uri } }
      - { from: .4, set: { code: .4, display: .5, system: .6 as system-uri } }
    text: .9 or .2 or .5 or .1
- map: XTN to ContactPoint
  rows:
    system: [ = email when valued(.4), = phone ]
    use: [ = mobile when .3 == "CP", $1 ]
    value: [ "text {.6?} {.7} X{.8?} when valued(.7)", .4 or .1 ]
- map: HD to Organization
  key: [ "text {.2}", "text {sender}|{.1}" ]
  rows:
    name: .1
- map: NM to value[x]
  rows:
    value[x]: [ ". as decimal-text when .1 == \"never\"", . as string ]
`

// Each row of the language gives what its sentence says.
func TestRows(t *testing.T) {
	types := strings.ReplaceAll(dataTypes, `[ ". as decimal-text when .1 == \"never\"", . as string ]`, ". as string")
	tests := map[string]struct {
		rows, pid, want string
	}{
		"a path":                              {"id: PID-3", "PID|||7", `"id":"7"`},
		"or takes the first that is valued":   {"language: PID-2 or PID-3", "PID|||en", `"language":"en"`},
		"a constant":                          {"active: = true", "PID|||7", `"active":true`},
		"a constant coding":                   {"maritalStatus: = v2-0203#SS", "PID|||7", `"maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"SS"}]}`},
		"text of required places":             {"id: text {PID-3}x{PID-4}", "PID|||7|8", `"id":"7x8"`},
		"text without a required place":       {"id: text {PID-3}x{PID-4}", "PID|||7", ``},
		"a word goes with its place":          {"language: text {PID-3} X{PID-4?} Y{PID-5?}", "PID|||7||8", `"language":"7 Y8"`},
		"the first row that gives a value":    {"gender: [ PID-8 through administrative-sex, = unknown ]", "PID||||||||M", `"gender":"male"`},
		"the fallback":                        {"gender: [ PID-8 through administrative-sex, = unknown ]", "PID||||||||X", `"gender":"unknown"`},
		"when is false":                       {"gender: [ '= male when PID-8 == \"1\"', = unknown ]", "PID||||||||2", `"gender":"unknown"`},
		"each gives one for every repetition": {"name[+]: each PID-5 as XPN", "PID|||||A^B~C^D^E", `"name":[{"family":"A","given":["B"]},{"family":"C","given":["D","E"]}]`},
		"no each takes the first":             {"name[+]: PID-5 as XPN", "PID|||||A^B~C^D", `"name":[{"family":"A","given":["B"]}]`},
		"under [+] every row adds":            {"name[+]: [ PID-5 as XPN, PID-9 as XPN ]", "PID|||||A||||B", `"name":[{"family":"A"},{"family":"B"}]`},
		"an item of constants alone":          {"identifier[+]: { from: PID-19, set: { value: PID-19, system: \"= urn:x\" } }", "PID|||7", ``},
		"nested rows":                         {"identifier[+]: { from: PID-19, set: { value: PID-19, system: \"= urn:x\" } }", "PID|||||||||||||||||||9", `"identifier":[{"value":"9","system":"urn:x"}]`},
		"nested rows beside a map":            {"identifier[+]: { each: PID-3, as: CX, set: { type: = v2-0203#SS } }", "PID|||7^^^&1.2.3&ISO", `"identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"SS"}]},"value":"7","system":"urn:oid:1.2.3"}]`},
		"a value handed over":                 {"telecom[+]: each PID-13 as XTN with = home", "PID|||||||||||||1~^^CP^^^2^3^4", `"telecom":[{"system":"phone","use":"home","value":"1"},{"system":"phone","use":"mobile","value":"2 3 X4"}]`},
		"a named parameter and its default":   {"maritalStatus: PID-16 as CWE", "PID||||||||||||||||M^^LN", `"maritalStatus":{"coding":[{"code":"M","system":"http://loinc.org"}],"text":"M"}`},
		"a parameter that is given":           {"maritalStatus: PID-16 as CWE with = v2-0203", "PID||||||||||||||||M", `"maritalStatus":{"coding":[{"code":"M","system":"http://terminology.hl7.org/CodeSystem/v2-0203"}],"text":"M"}`},
		"as through adds to the local coding": {"maritalStatus: PID-16 as CWE through tests", "PID||||||||||||||||GLU", `"maritalStatus":{"coding":[{"code":"GLU"},{"system":"http://loinc.org","code":"2345-7","display":"Glucose"}],"text":"GLU"}`},
		"through keeps the local code":        {"maritalStatus: PID-16 through tests", "PID||||||||||||||||K", `"maritalStatus":{"coding":[{"code":"K"}]}`},
		"a choice takes its type's name":      {"multipleBirth[x]: [ PID-25 as integer, PID-24 as boolean ]", "PID||||||||||||||||||||||||Y", `"multipleBirthBoolean":true`},
		"what does not fit is no value":       {"multipleBirth[x]: [ PID-25 as integer, PID-24 as boolean ]", "PID||||||||||||||||||||||||N|two", `"multipleBirthBoolean":false`},
		"an item that is there":               {"name[+]: PID-5 as XPN\nname[0].text: PID-6", "PID|||||A|B", `"name":[{"family":"A","text":"B"}]`},
		"an extension of an element":          {"birthDate: PID-7 as date\nbirthDate.extension[patient-birthTime]: PID-7 as dateTime when len(PID-7) > 8", "PID|||||||19800102030405", `"birthDate":"1980-01-02","_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"1980-01-02T03:04:05+01:00"}]}`},
		"below an extension":                  {"extension[patient-birthPlace].text: PID-23", "PID|||||||||||||||||||||||Here", `"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthPlace","valueAddress":{"text":"Here"}}]`},
		"an impossible date keeps its text":   {"birthDate: PID-7 as date", "PID|||||||19801399", `"_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/originalText","valueString":"19801399"}]}`},
		"a condition on each repetition":      {"name[+]: each PID-5 as XPN when .7 == \"L\"", "PID|||||A^^^^^^L~B^^^^^^D", `"name":[{"family":"A"}]`},
		"len counts repetitions":              {"active: = true when len(PID-3[*]) > 1", "PID|||1~2", `"active":true`},
		"in, not, and, or":                    {"active: = true when PID-8 in [\"M\", \"F\"] and not valued(PID-5) or PID-2 == \"x\"", "PID||||||||F", `"active":true`},
		"a repetition by its component":       {"id: PID-3[5=MR].1", "PID|||1^^^^SS~2^^^^MR", `"id":"2"`},
		"delete is no value of the element":   {"gender: [ PID-8 through administrative-sex, = unknown ]", `PID||||||||""`, ``},
		"lines of several segments":           {"contact[+].name.text: PID-5 as formatted-text", `PID|||||one~two\.br\three`, `"contact":[{"name":{"text":"one\ntwo\nthree"}}]`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, got := made(t, good(t, onlyPatient(test.rows, types)), msh, test.pid)
			want := `{"resourceType":"Patient"`
			if test.want != "" {
				want += "," + test.want
			}
			if want += "}"; got["patient"] != want {
				t.Errorf("got  %s\nwant %s", got["patient"], want)
			}
		})
	}
}

func TestADataTypeMapMayMakeAResource(t *testing.T) {
	m := good(t, onlyPatient("managingOrganization: PID-3.4 as HD-Organization\ngeneralPractitioner[+]: each PID-4.4 as HD-Organization\n", dataTypes[:strings.Index(dataTypes, "- map: NM")]))
	out, got := made(t, m, msh, "PID|||7^^^NORTH|8^^^NORTH")
	if n := len(out.Drafts()); n != 2 {
		t.Fatalf("%d resources, want 2: the same authority is one organization", n)
	}
	organization := out.Drafts()[1]
	if !strings.Contains(got["patient"], `"managingOrganization":{"reference":"`+organization.URN+`"}`) {
		t.Errorf("the row is no reference to %s: %s", organization.URN, got["patient"])
	}
}

func TestExclusive(t *testing.T) {
	maps := "- map: test/r\n  from: hl7v2 [ORU_R01]\n  to: fhir Bundle\n  make:\n    for PATIENT_RESULT:\n      for ORDER_OBSERVATION:\n        for OBSERVATION:\n          result: Observation from OBX\n" + `
- map: OBX to Observation
  key: text {OBX-3.1}
  exclusive: [ [ component, "value[x]" ] ]
  rows:
    status: = final
    code: OBX-3 as CWE
    value[x]: OBX-5 as string
    component[+]: { each: OBX-5, when: "len(OBX-5[*]) > 1", set: { code: OBX-3 as CWE, "value[x]": . as string } }
` + dataTypes[:strings.Index(dataTypes, "- map: XTN")]
	m := good(t, maps)
	head := `MSH|^~\&|APP|FAC|||20260105||ORU^R01^ORU_R01|M1|P|2.5.1`
	_, got := made(t, m, head, "PID|1", "OBR|1", "OBX|1|CE|A||x~y", "OBX|2|ST|B||z")
	lines := strings.Split(got["result"], "\n")
	if strings.Contains(lines[0], "valueString\":\"x\",\"") || !strings.Contains(lines[0], "component") || strings.HasPrefix(lines[0], `{"resourceType":"Observation","status":"final","valueString`) {
		t.Errorf("the first has components alone: %s", lines[0])
	}
	if strings.Contains(lines[1], "component") || !strings.Contains(lines[1], `"valueString":"z"`) {
		t.Errorf("the second has a value alone: %s", lines[1])
	}
}

func TestProvenanceNamesRowAndBytes(t *testing.T) {
	m := good(t, onlyPatient("gender: PID-8 through administrative-sex\nactive: = true\n"))
	out, _ := made(t, m, msh, "PID|1||7||ROWAN|||F")
	origins := out.Provenance()
	if len(origins) != 2 {
		t.Fatalf("%d origins, want 2", len(origins))
	}
	gender := origins[0]
	if gender.Target != "Patient[0].gender" || gender.Source != "PID-8" || gender.Line != 9 || gender.File != "maps/test/maps.yaml" {
		t.Errorf("origin is %+v", gender)
	}
	if start := len(msh) + 1 + len("PID|1||7||ROWAN|||"); gender.Start != start || gender.End != start+1 {
		t.Errorf("span is %d to %d, want %d to %d", gender.Start, gender.End, start, start+1)
	}
	if active := origins[1]; active.Source != "" || active.End != 0 {
		t.Errorf("a constant has a source: %+v", active)
	}
	if got := strings.Join(out.Unmapped(), " "); got != "PID-1 PID-5" {
		t.Errorf("unmapped is %q, want PID-1 and PID-5: PID-3 is read by the key", got)
	}
}

func TestFindingsHoldNoValue(t *testing.T) {
	m := good(t, onlyPatient("gender: PID-8 through administrative-sex\nbirthDate: PID-7 as date\n"))
	out, _ := made(t, m, msh, "PID|||7||||19990231|SECRET")
	findings := out.Findings()
	if len(findings) != 2 || findings[0].Kind != "unmapped" || findings[0].Where != "PID-8" || findings[0].Table != "administrative-sex" ||
		findings[0].Code != "SECRET" || findings[1].Kind != "conversion" || findings[1].Where != "PID-7" {
		t.Errorf("findings are %+v", findings)
	}
	for _, f := range findings {
		if strings.Contains(f.Text, "SECRET") || strings.Contains(f.Text, "1999") {
			t.Errorf("the text holds a value: %q", f.Text)
		}
	}
}
