package mapping_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/maps"
	"github.com/plexus-health/plexus/message"
	fhirdoc "github.com/plexus-health/plexus/parsers/fhir"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
	"github.com/plexus-health/plexus/transforms/transformtest"
)

// shelf is a store of a few resources.
type shelf struct {
	resources []*fhir.Node
	fault     error
}

func (s *shelf) Resource(_ context.Context, typ, id string) (*fhir.Node, error) {
	for _, r := range s.resources {
		if r.Get("resourceType").Text == typ && r.Get("id").Text == id {
			return r, s.fault
		}
	}
	return nil, s.fault
}

func (s *shelf) Referring(_ context.Context, typ, param, ref string) ([]*fhir.Node, error) {
	var out []*fhir.Node
	for _, r := range s.resources {
		if to := r.Get(param); r.Get("resourceType").Text == typ && to != nil && to.Get("reference").Text == ref {
			out = append(out, r)
		}
	}
	return out, s.fault
}

func (s *shelf) Version(_ context.Context, typ, id string, version int) (*fhir.Node, error) {
	for _, r := range s.resources {
		if meta := r.Get("meta"); r.Get("resourceType").Text == typ && r.Get("id").Text == id && meta != nil && meta.Get("versionId").Text == strconv.Itoa(version) {
			return r, s.fault
		}
	}
	return nil, s.fault
}

func stock(t testing.TB, texts ...string) *shelf {
	t.Helper()
	s := &shelf{}
	for _, text := range texts {
		n, err := fhir.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s.resources = append(s.resources, n)
	}
	return s
}

func usual(t testing.TB) *shelf {
	return stock(t,
		`{"resourceType":"Patient","id":"pat-1","identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:oid:2.999.1.1","value":"MRN-77"}],"name":[{"use":"official","family":"Probe|Test","given":["Anna","Maria"]}],"gender":"female","birthDate":"1970-01-05","address":[{"use":"home","line":["1 Elm & Oak"],"city":"Albany","state":"NY","postalCode":"12201"}],"telecom":[{"system":"phone","value":"555-0100","use":"home"},{"system":"email","value":"a@example.org","use":"work"}]}`,
		`{"resourceType":"Practitioner","id":"doc-1","identifier":[{"system":"http://hl7.org/fhir/sid/us-npi","value":"1234567893"}],"name":[{"family":"Doktor","given":["Eva"]}]}`,
		`{"resourceType":"PractitionerRole","id":"role-1","practitioner":{"reference":"Practitioner/doc-1"}}`,
		`{"resourceType":"Encounter","id":"enc-1","status":"in-progress","class":{"code":"IMP"},"identifier":[{"value":"V-1"}]}`,
		`{"resourceType":"Coverage","id":"c1","status":"active","beneficiary":{"reference":"Patient/pat-1"},"payor":[{"display":"Payer One"}],"subscriberId":"S-1","type":{"coding":[{"code":"HMO"}]}}`,
		`{"resourceType":"Coverage","id":"c2","status":"cancelled","beneficiary":{"reference":"Patient/pat-1"},"payor":[{"display":"Old Payer"}]}`,
	)
}

func back(t testing.TB, use string, records transforms.Records, set map[string]string) transforms.Transform {
	t.Helper()
	shipped, found := tables.Shipped()
	if len(found) > 0 {
		t.Fatal(found)
	}
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	step, _, problems := mapping.New(mapping.Options{Maps: maps.FS, Tables: shipped, Records: records}, transforms.Step{Use: use, Set: set, Zone: zone, Format: "fhir"})
	if len(problems) > 0 {
		t.Fatalf("%+v", problems)
	}
	return step
}

// made maps a resource and stamps what was made.
func made(t testing.TB, step transforms.Transform, raw string) (string, transforms.Explainer) {
	t.Helper()
	doc, err := (&fhirdoc.Parser{}).Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	out, err := step.Apply(t.Context(), &message.Message{Raw: []byte(raw), Doc: doc})
	if err != nil || len(out) != 1 {
		t.Fatalf("%d messages, %v", len(out), err)
	}
	stamper, _ := out[0].Doc.(transforms.Stamper)
	stamper.Stamp("C1", time.Date(2026, 3, 1, 14, 30, 0, 0, time.UTC))
	explainer, _ := out[0].Doc.(transforms.Explainer)
	return string(out[0].Doc.Encode(nil)), explainer
}

func sample(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/messages/fhir/service_request_lab.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestAnOrderGoesOut(t *testing.T) {
	want := map[string]string{
		"fhir-to-orm-o01": `MSH|^~\&|PLEXUS|NORTH|ACME||20260301093000-0500||ORM^O01^ORM_O01|C1|P|2.5.1
PID|1||MRN-77^^^&2.999.1.1&ISO^MR||Probe\F\Test^Anna^Maria^^^^L||19700105|F|||1 Elm \T\ Oak^^Albany^NY^12201^^H||555-0100^PRN^PH|^NET^Internet^a@example.org
PV1|1|I|||||||||||||||||V-1
IN1|1|HMO||Payer One||||||||||||||||||||||||||||||||S-1
ORC|NW|P-1001^^2.999.1.7^ISO|||||||20260301093000-0500|||1234567893^Doktor^Eva^^^^^^NPI&2.16.840.1.113883.4.6&ISO^^^^NPI
OBR|1|P-1001^^2.999.1.7^ISO||24323-8^Comprehensive metabolic panel^LN^CMP^^http://lab.example.org/tests^^^CMP|U|||||||||||1234567893^Doktor^Eva^^^^^^NPI&2.16.840.1.113883.4.6&ISO^^^^NPI|||||||||||^^^^^U||||E11.9^^I10C
NTE|1|P|Fasting since midnight
DG1|1||E11.9^^I10C|||W
`,
		"fhir-to-oml-o21": `MSH|^~\&|PLEXUS|NORTH|ACME||20260301093000-0500||OML^O21^OML_O21|C1|P|2.5.1
PID|1||MRN-77^^^&2.999.1.1&ISO^MR||Probe\F\Test^Anna^Maria^^^^L||19700105|F|||1 Elm \T\ Oak^^Albany^NY^12201^^H||555-0100^PRN^PH|^NET^Internet^a@example.org
PV1|1|I|||||||||||||||||V-1
IN1|1|HMO||Payer One||||||||||||||||||||||||||||||||S-1
ORC|NW|P-1001^^2.999.1.7^ISO|||||||20260301093000-0500|||1234567893^Doktor^Eva^^^^^^NPI&2.16.840.1.113883.4.6&ISO^^^^NPI
TQ1|1||||||||U
OBR|1|P-1001^^2.999.1.7^ISO||24323-8^Comprehensive metabolic panel^LN^CMP^^http://lab.example.org/tests^^^CMP|U|||||||||||1234567893^Doktor^Eva^^^^^^NPI&2.16.840.1.113883.4.6&ISO^^^^NPI|||||||||||^^^^^U||||E11.9^^I10C
NTE|1|P|Fasting since midnight
DG1|1||E11.9^^I10C|||W
`,
	}
	for use, text := range want {
		t.Run(use, func(t *testing.T) {
			got, explained := made(t, back(t, use, usual(t), map[string]string{"MSH-4": "NORTH", "MSH-5": "ACME"}), sample(t))
			text = strings.ReplaceAll(text, "\n", "\r")
			if got != text {
				t.Errorf("got\n%s\nwant\n%s", strings.ReplaceAll(got, "\r", "\n"), strings.ReplaceAll(text, "\r", "\n"))
			}
			if f := explained.Findings(); len(f) > 0 {
				t.Errorf("findings %+v", f)
			}
			if o := explained.Provenance(); len(o) < 20 || o[0].Line == 0 {
				t.Errorf("provenance %+v", o)
			}
		})
	}
}

func TestOrderControl(t *testing.T) {
	step := back(t, "fhir-to-orm-o01", usual(t), nil)
	for name, c := range map[string]struct{ from, to, want string }{
		"new":     {"", "", "ORC|NW|"},
		"cancel":  {`"status": "active"`, `"status": "revoked"`, "ORC|CA|"},
		"error":   {`"status": "active"`, `"status": "entered-in-error"`, "ORC|CA|"},
		"hold":    {`"status": "active"`, `"status": "on-hold"`, "ORC|HD|"},
		"change":  {`"identifier": [`, `"identifier": [ { "type": { "coding": [ { "code": "FILL" } ] }, "value": "F-9" },`, "ORC|XO|P-1001^^2.999.1.7^ISO|F-9|"},
		"by id":   {`"code": "PLAC"`, `"code": "OTHER"`, "ORC|NW|order-1|"},
		"by role": {`Practitioner/doc-1`, `PractitionerRole/role-1`, "1234567893^Doktor^Eva"},
	} {
		if got, _ := made(t, step, strings.Replace(sample(t), c.from, c.to, 1)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q is not in %s", name, c.want, strings.ReplaceAll(got, "\r", "\n"))
		}
	}
}

// An order that was in force before is changed, whether or not the laboratory has
// given it a number yet; one that was a draft, or withdrawn, is new.
func TestAChangedOrderIsNotANewOne(t *testing.T) {
	at := func(version, status string) string {
		return strings.NewReplacer(`"versionId": "1"`, `"versionId": "`+version+`"`, `"status": "active"`, `"status": "`+status+`"`).Replace(sample(t))
	}
	for _, use := range []string{"fhir-to-orm-o01", "fhir-to-oml-o21"} {
		for name, c := range map[string]struct {
			before string // status of the version before
			stands bool   // what is mapped is the version that the store has
			set    map[string]string
			want   string
		}{
			"changed":                        {"active", true, nil, "XO"},
			"taken up again":                 {"on-hold", true, nil, "RL"},
			"it was a draft":                 {"draft", true, nil, "NW"},
			"it was withdrawn":               {"revoked", true, nil, "NW"},
			"nothing stood before":           {"", true, nil, "NW"},
			"somebody else's of the same id": {"active", false, nil, "NW"},
			"by the filler's number alone":   {"active", true, map[string]string{"changes": "filler"}, "NW"},
		} {
			shelf := usual(t)
			now := at("2", "active")
			texts := []string{now}
			if !c.stands {
				texts[0] = strings.Replace(now, `"intent": "order"`, `"intent": "option"`, 1)
			}
			if c.before != "" {
				texts = append(texts, at("1", c.before))
			}
			shelf.resources = append(shelf.resources, stock(t, texts...).resources...)
			if got, _ := made(t, back(t, use, shelf, c.set), now); !strings.Contains(got, "\rORC|"+c.want+"|") {
				t.Errorf("%s, %s: %s is not in %s", use, name, c.want, strings.ReplaceAll(got, "\r", "\n"))
			}
		}
		fault := usual(t)
		fault.fault = errors.New("away")
		if _, err := back(t, use, fault, nil).Apply(t.Context(), &message.Message{Raw: []byte(at("2", "active"))}); message.KindOf(err) != message.Unavailable {
			t.Errorf("%s: a store that does not answer: %v", use, err)
		}
	}
}

// A draft is no order, nor is one whose state nobody knows, whatever numbers it has.
func TestWhatIsNoOrderIsParked(t *testing.T) {
	for _, use := range []string{"fhir-to-orm-o01", "fhir-to-oml-o21"} {
		step := back(t, use, usual(t), map[string]string{"changes": "version"})
		for _, status := range []string{"draft", "unknown"} {
			raw := strings.Replace(sample(t), `"status": "active"`, `"status": "`+status+`"`, 1)
			raw = strings.Replace(raw, `"versionId": "1"`, `"versionId": "2"`, 1)
			for _, text := range []string{raw, strings.Replace(raw, `"PLAC"`, `"FILL"`, 1)} {
				out, err := step.Apply(t.Context(), &message.Message{Raw: []byte(text)})
				f, _ := errors.AsType[*message.Failure](err)
				if f == nil || f.Kind != message.Malformed || f.Code != 103 || !strings.HasPrefix(f.Where, "ORC-1") || len(out) > 0 {
					t.Errorf("%s: %s gives %d messages and %v", use, status, len(out), err)
				}
			}
		}
		raw := strings.Replace(sample(t), `"versionId": "1"`, `"versionId": "2"`, 1)
		if got, _ := made(t, step, raw); !strings.Contains(got, "\rORC|XO|") {
			t.Errorf("%s: the second version of an active order: %s", use, strings.ReplaceAll(got, "\r", "\n"))
		}
	}
}

func TestWhatIsReferredTo(t *testing.T) {
	raw := sample(t)
	doc, err := (&fhirdoc.Parser{}).Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	apply := func(records transforms.Records) error {
		_, err := back(t, "fhir-to-orm-o01", records, nil).Apply(t.Context(), &message.Message{Raw: []byte(raw), Doc: doc})
		return err
	}
	f, _ := errors.AsType[*message.Failure](apply(stock(t)))
	if f == nil || f.Kind != message.Malformed || f.Where != "ServiceRequest.subject" {
		t.Errorf("without the patient: %+v", f)
	}
	if err := apply(&shelf{fault: errors.New("away")}); message.KindOf(err) != message.Unavailable {
		t.Errorf("a store that is away: %v of kind %s", err, message.KindOf(err))
	}
	bundle := `{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + strings.Replace(raw, "Patient/pat-1", "urn:uuid:7", 1) +
		`},{"fullUrl":"urn:uuid:7","resource":{"resourceType":"Patient","identifier":[{"value":"IN-BUNDLE"}]}}]}`
	if got, _ := made(t, back(t, "fhir-to-orm-o01", nil, nil), bundle); !strings.Contains(got, "PID|1||IN-BUNDLE") {
		t.Errorf("from a Bundle: %s", strings.ReplaceAll(got, "\r", "\n"))
	}
	contained := strings.Replace(raw, `"subject": { "reference": "Patient/pat-1" }`, `"contained":[{"resourceType":"Patient","id":"p","identifier":[{"value":"CONTAINED"}]}],"subject":{"reference":"#p"}`, 1)
	if got, _ := made(t, back(t, "fhir-to-orm-o01", nil, nil), contained); !strings.Contains(got, "PID|1||CONTAINED") {
		t.Errorf("contained: %s", strings.ReplaceAll(got, "\r", "\n"))
	}
}

func TestTextsCannotBreakOut(t *testing.T) {
	raw := strings.Replace(sample(t), "Fasting since midnight", `a|b^c~d&e\\f\r\nMSH|x\u0001\u00e9`, 1)
	got, _ := made(t, back(t, "fhir-to-orm-o01", usual(t), nil), raw)
	if !strings.Contains(got, `NTE|1|P|a\F\b\S\c\R\d\T\e\E\f\.br\MSH\F\x`+"é\r") || !strings.Contains(got, "|UNICODE UTF-8\r") {
		t.Errorf("got %s", strings.ReplaceAll(got, "\r", "\n"))
	}
}

func TestWrongMapsBack(t *testing.T) {
	shipped, _ := tables.Shipped()
	for name, c := range map[string]struct{ rows, want string }{
		"element":        {"  PID-3: patient.identifierr as CX", `patient.identifierr: "identifierr" is not an element of Patient; did you mean "identifier"?`},
		"below":          {"  PID-3: patient.identifier.valu", `"valu" is not an element of Identifier; did you mean "value"?`},
		"name":           {"  PID-3: patiant.identifier", `"patiant.identifier" begins with no name of this map; did you mean "patient"?`},
		"relative":       {"  PID-3: .identifier", `".identifier" is relative: nothing was handed over here`},
		"target":         {"  PID3: = 1", `"PID3" is neither a segment nor a group of ORM_O01; did you mean "PID"?`},
		"segment":        {"  PIX-3: = 1", `ORM_O01 has no segment "PIX"; did you mean "PID"?`},
		"group":          {"  VISIT/PV1-2: = O", `"VISIT" is not a group of ORM_O01`},
		"other group":    {"  PATIENT/OBX-3: = O", `PATIENT has no segment "OBX"`},
		"field":          {"  PID-40: = 1", `PID has no field 40`},
		"single":         {"  PID-7[+]: = 1", `PID-7 is single; write it without [+]`},
		"too deep":       {"  PID-3.1.2.3: = 1", `a field has component and subcomponent at most`},
		"Z segment":      {"  ZPI-1: = 1", `segment ZPI is not declared`},
		"table":          {"  PID-8: patient.gender through sexes", `table "sexes" is not known`},
		"table and rows": {"  PID-3: { from: patient.gender, through: administrative-sex, set: { .1: = 1 } }", `through and set both say what is written; one of them can`},
		"no as":          {"  PID-3: 'patient.identifier[0]'", `patient.identifier[0] is an Identifier; say how it is written: as MAP`},
		"no as of date":  {"  PID-7: patient.birthDate", `patient.birthDate is a date; say how it is written: as TS`},
		"as what":        {"  PID-3: patient.identifier as CY", `as "CY": no map or conversion of that name`},
		"as of another":  {"  PID-3: patient.identifier as XPN", `as XPN: no map "Identifier to XPN"`},
		"writer's":       {"  MSH-10: = 1", `MSH-10 is written with the message; no row makes it`},
		"whole":          {"  NTE: = 1", `NTE is a segment or group; nest its rows under set`},
		"condition":      {"  PID-1: '= 1 when patient.gender'", `when: ==, != or in is missing`},
		"constant":       {"  PID-1: '= 1 when patient.gender == male'", `"male" is not a constant; texts stand in quotes`},
		"ref":            {"  PID-1: ref patient", `"ref patient" cannot stand here`},
		"parameter":      {"  PID-1: $x", `parameter $x is not known`},
		"gather name":    {"  PID-1: encounter.id", `"encounter.id" begins with no name of this map`},
		"not written":    {"  OBR-2: ORC-2", `ORC-2: no row above writes ORC`},
		"never reached":  {"  PID-1: [ = 1, = 2 ]", `PID-1 row 2 is never reached: row 1 always gives a value`},
		"bracket":        {"  PID-3: 'patient.identifier[use].value'", `[use] is neither a number from 0 nor ELEMENT=VALUE`},
		"part":           {"  .1: = 1", `a target begins with its segment here`},
	} {
		folder := t.TempDir()
		text := "map: local/out\nfrom: fhir ServiceRequest\nto: hl7v2 ORM_O01 2.5.1\ngather: { patient: ServiceRequest.subject as Patient }\nrows:\n" + c.rows + "\n  ORC-1: = NW\n"
		if err := os.WriteFile(folder+"/out.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, problems := mapping.New(mapping.Options{Maps: maps.FS, Tables: shipped}, transforms.Step{Use: "out.yaml", Folder: folder, Format: "fhir"})
		if len(problems) != 1 || !strings.Contains(problems[0].Text, c.want) || problems[0].Line != 6 {
			t.Errorf("%s: got %+v, want %s in line 6", name, problems, c.want)
		}
	}
}

func BenchmarkBack(b *testing.B) {
	raw := sample(b)
	step := back(b, "fhir-to-orm-o01", usual(b), nil)
	doc, err := (&fhirdoc.Parser{}).Parse([]byte(raw))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := step.Apply(b.Context(), &message.Message{Raw: []byte(raw), Doc: doc}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAMapToHL7IsATransform(t *testing.T) {
	step := back(t, "fhir-to-orm-o01", usual(t), nil)
	raw := strings.Replace(sample(t), "Fasting since midnight", transformtest.Canary, 1)
	parse := func(t *testing.T, raw []byte) message.Document {
		doc, err := (&fhirdoc.Parser{}).Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	transformtest.Run(t, step, parse, []transformtest.Case{
		{Name: "an order", Raw: []byte(raw)},
		{Name: "without its patient", Raw: []byte(strings.Replace(raw, "Patient/pat-1", "Patient/"+transformtest.Canary, 1)), Fails: true},
		{Name: "no order", Raw: []byte(`{"resourceType":"Patient","id":"x","name":[{"family":"` + transformtest.Canary + `"}]}`), Fails: true},
	})
}
