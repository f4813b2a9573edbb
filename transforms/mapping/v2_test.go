package mapping

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
)

// outwardMap is a message map of ServiceRequest with rows, and the data types
// that tests use.
func outwardMap(rows string, more ...string) string {
	return "- map: out\n  from: fhir ServiceRequest\n  to: hl7v2 OML_O21 2.5.1\n  params: { site: text = HERE, other: text }\n" +
		"  gather: { patient: ServiceRequest.subject? as Patient, asker: ServiceRequest.requester? as Practitioner, specimen: ServiceRequest.specimen?, coverage: Coverage where beneficiary = patient and status = active }\n" +
		"  rows:\n    ORC-1: = NW\n" + indent(rows) +
		"- map: Identifier to CX\n  rows: { .1: .value, .4: .system as HD with .assigner.display, .5: .type through types }\n" +
		"- map: Identifier to EI\n  rows: { .1: .value, .2+: .system as HD }\n" +
		"- map: HumanName to XPN\n  rows: { .1.1: .family, .2: '.given[0]', .7: = L }\n" +
		"- map: Practitioner to XCN\n  rows: { .1: .identifier.value, .2.1: .name.family }\n" +
		"- map: Reference to XCN\n  rows: { .2.1: .display }\n" +
		"- map: Location to PL\n  rows: { .1: .name when .physicalType == \"wa\", .2: .name when .physicalType == \"ro\", .: .partOf as PL }\n" +
		"- map: Coding to pair\n  rows: { .1: .code, .2: .system as system-name }\n" +
		"- map: CodeableConcept to CWE\n  rows: { .1+: '.coding[0] as pair', .4+: '.coding[1] as pair', .9: .text }\n" + strings.Join(more, "")
}

// shelf is a store of a few resources.
type shelf struct {
	resources []string
	err       error
}

func (s shelf) find(t string, fits func(*fhir.Node) bool) ([]*fhir.Node, error) {
	var out []*fhir.Node
	for _, text := range s.resources {
		if n, err := fhir.Parse([]byte(text)); err == nil && textOf(n.Get("resourceType")) == t && fits(n) {
			out = append(out, n)
		}
	}
	return out, s.err
}

func (s shelf) Resource(_ context.Context, typ, id string) (*fhir.Node, error) {
	found, err := s.find(typ, func(n *fhir.Node) bool { return textOf(n.Get("id")) == id })
	if len(found) == 0 {
		return nil, err
	}
	return found[0], err
}

func (s shelf) Referring(_ context.Context, typ, param, ref string) ([]*fhir.Node, error) {
	return s.find(typ, func(n *fhir.Node) bool { return textOf(n.Get(param).Get("reference")) == ref })
}

func (s shelf) Version(_ context.Context, typ, id string, version int) (*fhir.Node, error) {
	found, err := s.find(typ, func(n *fhir.Node) bool {
		return textOf(n.Get("id")) == id && textOf(n.Get("meta").Get("versionId")) == strconv.Itoa(version)
	})
	if len(found) == 0 {
		return nil, err
	}
	return found[0], err
}

func outward(t testing.TB, maps string, set map[string]string, records transforms.Records) (*Map, []transforms.Problem) {
	t.Helper()
	tables := testTables(t)
	tables, _, wrong := tables.Read("types.yaml", []byte("table: types\notherwise: none\nentries: [ { from: MR, to: MR, both: true } ]\n"))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	m, _, problems := New(Options{Maps: fstest.MapFS{"test/out.yaml": {Data: []byte(maps)}}, Tables: tables, Records: records},
		transforms.Step{Use: "test", Set: set, Zone: time.FixedZone("", 3600), Format: "fhir"})
	return m, problems
}

// wrote maps a resource and gives the segments behind MSH.
func wrote(t testing.TB, rows, resource string, records transforms.Records, more ...string) ([]string, *Message) {
	t.Helper()
	m, problems := outward(t, outwardMap(rows, more...), nil, records)
	for _, p := range problems {
		t.Fatalf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
	}
	out, err := m.Apply(context.Background(), &message.Message{Raw: []byte(resource), Received: time.Unix(1_700_000_000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := out[0].Doc.(*Message)
	segments := strings.Split(strings.TrimSuffix(string(doc.Encode(nil)), "\r"), "\r")
	return segments[1:], doc
}

const request = `{"resourceType":"ServiceRequest","id":"r1","status":"active","priority":"stat","identifier":[{"use":"old","value":"X"},` +
	`{"type":{"coding":[{"code":"MR"}]},"system":"urn:oid:2.999.1","value":"P|1","assigner":{"display":"OE"}}],` +
	`"code":{"coding":[{"system":"http://loinc.org","code":"1-1"},{"system":"urn:x-v2:LOC%2F1","code":"L1"}],"text":"words"},` +
	`"occurrencePeriod":{"start":"2026-01-05T09:30:15.123456Z"},"authoredOn":"2026-01","note":[{"text":"one\ntwo"},{"text":"three"}],` +
	`"requester":{"display":"Hale"},"asNeededBoolean":true,"locationReference":[{"reference":"#l1"}],` +
	`"contained":[{"resourceType":"Location","id":"l1","name":"12","physicalType":{"coding":[{"code":"ro"}]},"partOf":{"reference":"#l2"}},{"resourceType":"Location","id":"l2","name":"WEST","physicalType":{"coding":[{"code":"wa"}]}}]}`

func TestRowsToHL7(t *testing.T) {
	for name, c := range map[string]struct{ rows, want string }{
		"an element":                         {"ORC-2: ServiceRequest.id", "ORC|NW|r1"},
		"a constant with components":         {"ORC-2: = A^B&C", "ORC|NW|A^B&C"},
		"a quoted constant":                  {"ORC-2: '= \"A^B\"'", `ORC|NW|A\S\B`},
		"the first that is valued":           {"ORC-2: ServiceRequest.quantityQuantity.value or ServiceRequest.id", "ORC|NW|r1"},
		"the first row that gives a value":   {"ORC-2: [ = no when valued(ServiceRequest.subject), = yes ]", "ORC|NW|yes"},
		"a filter, by code":                  {"ORC-2: 'ServiceRequest.identifier[type=MR].value'", `ORC|NW|P\F\1`},
		"a filter, not":                      {"ORC-2: 'ServiceRequest.identifier[use!=old].value'", `ORC|NW|P\F\1`},
		"a filter, by system name":           {"ORC-2: 'ServiceRequest.code.coding[system=loinc].code'", "ORC|NW|1-1"},
		"an index":                           {"ORC-2: 'ServiceRequest.code.coding[1].code'", "ORC|NW|L1"},
		"an index beyond":                    {"ORC-2: 'ServiceRequest.code.coding[7].code'", "ORC|NW"},
		"a choice by its stem":               {"ORC-15: ServiceRequest.occurrence.start as TS", "ORC|NW||||||||||||||20260105093015.1234+0000"},
		"a choice in full":                   {"ORC-15: ServiceRequest.occurrencePeriod.start as DT", "ORC|NW||||||||||||||20260105"},
		"a month":                            {"ORC-9: ServiceRequest.authoredOn as TS", "ORC|NW||||||||202601"},
		"a boolean":                          {"ORC-6: ServiceRequest.asNeededBoolean", "ORC|NW|||||Y"},
		"a field written before":             {"ORC-2: ServiceRequest.identifier[1] as EI\nORC-3: ORC-2\nORC-6: ORC-2.1", `ORC|NW|P\F\1^^2.999.1^ISO|P\F\1^^2.999.1^ISO|||P\F\1`},
		"repetitions":                        {"PID-3[+]: [ each ServiceRequest.identifier as CX, = Z ]", `PID|||X~P\F\1^^^OE&2.999.1&ISO^MR~Z`},
		"a repetition by its number":         {"PID-3[2]: = A", "PID|||~A"},
		"no more than max":                   {"PID-3[+]: { each: ServiceRequest.identifier, max: 1, as: CX }", "PID|||X"},
		"each that":                          {"PID-3[+]: each ServiceRequest.identifier as CX when .use != \"old\"", `PID|||P\F\1^^^OE&2.999.1&ISO^MR`},
		"two triplets":                       {"OBR-4: ServiceRequest.code as CWE", "OBR||||1-1^LN^^L1^LOC/1^^^^words"},
		"onward in a component":              {"OBR-15.4: ServiceRequest.code as CWE", "OBR|||||||||||||||^^^1-1&LN&&L1&LOC/1&&&&words"},
		"a reference that is not there":      {"ORC-12: ServiceRequest.requester as XCN", "ORC|NW|||||||||||^Hale"},
		"outwards by partOf":                 {"ORC-13: ServiceRequest.locationReference as PL", "ORC|NW||||||||||||WEST^12"},
		"resolve":                            {"ORC-13: ServiceRequest.locationReference.resolve().partOf.resolve().name", "ORC|NW||||||||||||WEST"},
		"a template":                         {"ORC-2: text {ServiceRequest.id}-{ServiceRequest.priority} x{ServiceRequest.quantityQuantity.unit?}", "ORC|NW|r1-stat"},
		"a template that lacks something":    {"ORC-2: text {ServiceRequest.quantityQuantity.unit}-{ServiceRequest.id}", "ORC|NW"},
		"nested rows of a field":             {"ORC-2: { from: ServiceRequest.code, set: { .1: .text, .2.2: '.coding[0].code' } }", "ORC|NW|words^&1-1"},
		"a parameter":                        {"ORC-2: $site\nORC-3: $other", "ORC|NW|HERE"},
		"counted":                            {"ORC-2: = A when len(ServiceRequest.note[*]) == 2 and len(ServiceRequest.id) == 2", "ORC|NW|A"},
		"any of several":                     {"ORC-2: = A when ServiceRequest.code.coding.code == \"L1\" and not (ServiceRequest.status in [\"draft\", \"\"])", "ORC|NW|A"},
		"absent is empty":                    {"ORC-2: = A when ServiceRequest.doNotPerform == \"\" and ServiceRequest.code not in [\"\"]", "ORC|NW|A"},
		"no entry in a table writes nothing": {"PID-8: = x\nPID-8.2: ServiceRequest.priority through types", "PID||||||||x"},
	} {
		t.Run(name, func(t *testing.T) {
			segments, _ := wrote(t, c.rows, request, nil)
			got := ""
			for _, s := range segments {
				if s[:3] == c.want[:3] {
					got = s
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSegmentsAndGroups(t *testing.T) {
	for name, c := range map[string]struct {
		rows string
		want []string
	}{
		"rows in any order": {"OBR-1: = 1\nPID-1: = 1\nORC-2: = x", []string{"PID|1", "ORC|NW|x", "OBR|1"}},
		"a segment for each": {
			"OBSERVATION_REQUEST/NTE[+]: { each: ServiceRequest.note, set: { NTE-1: ordinal, NTE-3: .text as FT } }\nOBR-1: = 1",
			[]string{"ORC|NW", "OBR|1", `NTE|1||one\.br\two`, "NTE|2||three"},
		},
		"where the rows above are": {"PID-1: = 1\nNTE[+]: { set: { NTE-1: = 9 } }\nOBR-1: = 1", []string{"PID|1", "NTE|9", "ORC|NW", "OBR|1"}},
		"none when nothing of it came": {
			"OBSERVATION_REQUEST/NTE[+]: { each: ServiceRequest.note, when: .text == \"four\", set: { NTE-1: ordinal } }\nNTE[+]: { each: ServiceRequest.note, set: { NTE-1: ordinal, NTE-3: .authorString } }",
			[]string{"ORC|NW"},
		},
		"segments below a segment": {
			"SPM[+]: { each: ServiceRequest.identifier, set: { SPM-1: ordinal, SPM-2.1: . as EI, \"OBX[+]\": { set: { OBX-1: = 1, OBX-5: SPM-1 } } } }",
			[]string{"ORC|NW", "SPM|1|X", "OBX|1||||1", `SPM|2|P\F\1&&2.999.1&ISO`, "OBX|1||||2"},
		},
		"a group for each": {
			"SPECIMEN[+]: { each: ServiceRequest.identifier, set: { SPM-1: ordinal, CONTAINER/OBX-3: .value } }",
			[]string{"ORC|NW", "SPM|1", "OBX|||X", "SPM|2", `OBX|||P\F\1`},
		},
		"nobody's deletion": {"ORC-2: '= \"\"\"\"'", []string{"ORC|NW"}},
	} {
		t.Run(name, func(t *testing.T) {
			segments, _ := wrote(t, c.rows, request, nil)
			if got, want := strings.Join(segments, "\n"), strings.Join(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestWhatDoesNotFitIsAFinding(t *testing.T) {
	resource := strings.NewReplacer(`"2026-01"`, `"soon"`, `"words"`, `"a\u0007b"`).Replace(request)
	segments, doc := wrote(t, "ORC-9: ServiceRequest.authoredOn as TS\nORC-6: ServiceRequest.code.text\nPID-8: ServiceRequest.priority through administrative-sex", resource, nil)
	if segments[0] != "ORC|NW|||||ab" {
		t.Errorf("got %q", segments)
	}
	var got []string
	for _, f := range doc.Findings() {
		got = append(got, f.Kind+" "+f.Where)
	}
	if text := strings.Join(got, ", "); text != "conversion ServiceRequest.authoredOn, conversion ServiceRequest.code.text, unmapped ServiceRequest.priority" {
		t.Errorf("findings %s", text)
	}
	m, _ := outward(t, outwardMap("PID-8: ServiceRequest.priority through strict"), nil, nil)
	_, err := m.Apply(context.Background(), &message.Message{Raw: []byte(request)})
	if message.KindOf(err) != message.Malformed || strings.Contains(err.Error(), "stat") {
		t.Errorf("a table that parks gave %v", err)
	}
}

func TestProvenanceOfAMessage(t *testing.T) {
	_, doc := wrote(t, "PID-3[+]: each ServiceRequest.identifier as CX\nORC-13: ServiceRequest.locationReference as PL", request, nil)
	got := map[string]string{}
	for _, o := range doc.Provenance() {
		if o.Line == 0 || o.File == "" || !strings.Contains(o.Map, "@") {
			t.Errorf("%+v", o)
		}
		got[o.Target] = o.Source
	}
	for target, source := range map[string]string{
		"PID-3": "ServiceRequest.identifier[0].value", "PID-3[2].4.2": "ServiceRequest.identifier[1].system",
		"PID-3[2].5": "ServiceRequest.identifier[1].type.coding[0].code", "ORC-13.1": "ServiceRequest.contained[1].name", "ORC-1": "",
	} {
		if have, ok := got[target]; !ok || have != source {
			t.Errorf("%s comes from %q, want %q; all %v", target, have, source, got)
		}
	}
	unmapped := strings.Join(doc.Unmapped(), " ")
	if !strings.Contains(unmapped, "ServiceRequest.note[0].text") || strings.Contains(unmapped, "identifier[1].value") {
		t.Errorf("unmapped %s", unmapped)
	}
}

func TestGather(t *testing.T) {
	patient := `{"resourceType":"Patient","id":"p1","name":[{"family":"Rowan"}]}`
	asks := `{"resourceType":"ServiceRequest","id":"r1","subject":{"reference":"Patient/p1"},"requester":{"reference":"PractitionerRole/a1"}}`
	stock := shelf{resources: []string{
		patient, `{"resourceType":"PractitionerRole","id":"a1","practitioner":{"reference":"Practitioner/d1"}}`, `{"resourceType":"Practitioner","id":"d1","name":[{"family":"Hale"}]}`,
		`{"resourceType":"Coverage","id":"c1","status":"active","beneficiary":{"reference":"Patient/p1"},"subscriberId":"S1"}`,
		`{"resourceType":"Coverage","id":"c2","status":"cancelled","beneficiary":{"reference":"Patient/p1"},"subscriberId":"S2"}`,
	}}
	rows := "PID-5[+]: each patient.name as XPN\nORC-12: asker as XCN\nIN1[+]: { each: coverage, set: { IN1-1: ordinal, IN1-36: .subscriberId } }"
	covered := "IN1|1|||||||||||||||||||||||||||||||||||S1"
	for name, c := range map[string]struct {
		resource string
		records  transforms.Records
		want     string
	}{
		"in the store":       {asks, stock, "PID|||||Rowan^^^^^^L\n" + covered + "\nORC|NW|||||||||||^Hale"},
		"nowhere":            {asks, nil, "ORC|NW"},
		"of a version":       {strings.Replace(asks, "Patient/p1", "Patient/p1/_history/3", 1), stock, "PID|||||Rowan^^^^^^L\n" + covered + "\nORC|NW|||||||||||^Hale"},
		"of another server":  {strings.Replace(asks, "Patient/p1", "https://elsewhere.example.org/Patient/p1", 1), stock, "ORC|NW|||||||||||^Hale"},
		"not a type":         {strings.Replace(asks, "Patient/p1", "Patientt/p1", 1), stock, "ORC|NW|||||||||||^Hale"},
		"the Bundle's first": {`{"resourceType":"Bundle","entry":[{"resource":` + asks + `},{"resource":` + strings.Replace(patient, "Rowan", "Nearer", 1) + `}]}`, stock, "PID|||||Nearer^^^^^^L\n" + covered + "\nORC|NW|||||||||||^Hale"},
		"by urn": {`{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:2","resource":` + strings.Replace(patient, `"id":"p1",`, "", 1) + `},{"fullUrl":"urn:uuid:1","resource":` + strings.Replace(asks, "Patient/p1", "urn:uuid:2", 1) +
			`},{"resource":{"resourceType":"Coverage","status":"active","beneficiary":{"reference":"urn:uuid:2"},"subscriberId":"S1"}}]}`, nil, "PID|||||Rowan^^^^^^L\n" + covered + "\nORC|NW"},
	} {
		t.Run(name, func(t *testing.T) {
			segments, _ := wrote(t, rows, c.resource, c.records)
			if got := strings.Join(segments, "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	m, _ := outward(t, strings.Replace(outwardMap(rows), "subject? as Patient", "subject as Patient", 1), nil, nil)
	_, err := m.Apply(context.Background(), &message.Message{Raw: []byte(asks)})
	if f, ok := errors.AsType[*message.Failure](err); !ok || f.Kind != message.Malformed || f.Where != "ServiceRequest.subject" {
		t.Errorf("a patient who is not there: %v", err)
	}
	m, _ = outward(t, outwardMap(rows), nil, shelf{err: errors.New("away")})
	if _, err := m.Apply(context.Background(), &message.Message{Raw: []byte(asks)}); message.KindOf(err) != message.Unavailable {
		t.Errorf("a store that is away: %v", err)
	}
	if _, err := m.Apply(context.Background(), &message.Message{Raw: []byte(patient)}); message.KindOf(err) != message.Malformed {
		t.Errorf("another resource: %v", err)
	}
}

func TestTheStepSetsFieldsAndParameters(t *testing.T) {
	set := map[string]string{"MSH-5": "ACME", "MSH-9": "ORM^O01", "ORC-2.2": "OE", "IN1-4": "nobody", "site": "THERE"}
	m, problems := outward(t, outwardMap("ORC-2: ServiceRequest.id\nORC-3: $site"), set, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	out, err := m.Apply(context.Background(), &message.Message{Raw: []byte(request)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out[0].Doc.Encode(nil)), "MSH|^~\\&|||ACME||||ORM^O01||P|2.5.1\rORC|NW|r1^OE|THERE\r"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, problems = outward(t, outwardMap("ORC-2: ServiceRequest.id"), map[string]string{"MSH-50": "x", "sites": "x", "PIX-3": "x"}, nil)
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.Field+": "+p.Text)
	}
	if text := strings.Join(fields, "\n"); len(problems) != 3 || !strings.Contains(text, "set.MSH-50: map out: MSH-50: MSH has no field 50") ||
		!strings.Contains(text, `set.sites: "sites" is neither a parameter of out nor a field of its message; did you mean "site"?`) || !strings.Contains(text, `has no segment "PIX"`) {
		t.Errorf("problems\n%s", text)
	}
}

func TestStampGivesTheMessageItsIdentity(t *testing.T) {
	_, doc := wrote(t, "ORC-2: ServiceRequest.id", request, nil)
	if doc.Header().Control != "" || strings.HasPrefix(string(doc.Encode(nil)), "MSH|^~\\&||||||2") {
		t.Errorf("it has an identity before it was given one: %q", doc.Encode(nil))
	}
	at := time.Date(2026, 1, 5, 8, 30, 0, 0, time.UTC)
	for _, control := range []string{"A-1", "B2"} {
		doc.Stamp(control, at)
		read, err := hl7v2.Parse(doc.Encode(nil))
		if err != nil || read.Header().Control != control || doc.Header().Control != control {
			t.Errorf("control id %q, %v", read.Header().Control, err)
		}
	}
	if got := string(doc.Encode(nil)); !strings.HasPrefix(got, "MSH|^~\\&|||||20260105093000+0100||OML^O21^OML_O21|B2|P|2.5.1\r") {
		t.Errorf("got %q", got)
	}
}

func TestASiteChangesRowsOfAMapToHL7(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "site.yaml", "map: local\noverride: out\nrows:\n  ORC-2: = OURS\n  PID-3[+]: [ inherited, { from: ServiceRequest.id, set: { .1: . } } ]\n")
	m, _, problems := New(Options{Maps: fstest.MapFS{"test/out.yaml": {Data: []byte(strings.Replace(outwardMap("ORC-2: ServiceRequest.id\nPID-3[+]: = A"), "through types", "through tests", 1))}}, Tables: testTables(t)},
		transforms.Step{Use: "test", With: []string{"site.yaml"}, Folder: dir})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	out, err := m.Apply(context.Background(), &message.Message{Raw: []byte(request)})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(out[0].Doc.Encode(nil)); !strings.Contains(got, "\rPID|||A~r1\rORC|NW|OURS\r") {
		t.Errorf("got %q", got)
	}
}

func TestFieldCountsAreRead(t *testing.T) {
	if len(v2Fields()) < 20 {
		t.Fatalf("%d segments have fields", len(v2Fields()))
	}
	for name, set := range v2Fields() {
		for _, n := range set.repeats {
			if n > set.count || !segmentName(name) {
				t.Errorf("%s: field %d of %d", name, n, set.count)
			}
		}
	}
}

// Whatever a resource says, a message comes out that can be read as one.
func FuzzToHL7(f *testing.F) {
	m, problems := outward(f, outwardMap("PID-3[+]: each ServiceRequest.identifier as CX\nORC-2: ServiceRequest.id\nORC-15: ServiceRequest.occurrence.start as TS\nOBR-4: ServiceRequest.code as CWE\n"+
		"ORC-13: ServiceRequest.locationReference as PL\nOBSERVATION_REQUEST/NTE[+]: { each: ServiceRequest.note, set: { NTE-1: ordinal, NTE-3: .text as FT } }\nORC-12: asker as XCN"), nil, nil)
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	f.Add(request)
	f.Add(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"ServiceRequest","id":1,"identifier":{"value":true},"code":"x","note":[[{"text":null}]],"subject":{"reference":"#"}}}]}`)
	f.Add(`{"resourceType":"ServiceRequest","locationReference":{"reference":"#a"},"contained":[{"resourceType":"Location","id":"a","partOf":{"reference":"#a"}}]}`)
	f.Fuzz(func(t *testing.T, resource string) {
		out, err := m.Apply(context.Background(), &message.Message{Raw: []byte(resource)})
		if err != nil {
			if message.KindOf(err) != message.Malformed {
				t.Errorf("%v", err)
			}
			return
		}
		doc, _ := out[0].Doc.(*Message)
		doc.Stamp("C", time.Unix(0, 0))
		read, err := hl7v2.Parse(doc.Encode(nil))
		if err != nil || read.Header().Control != "C" || read.Header().Structure != "OML_O21" {
			t.Errorf("%v: %q", err, doc.Encode(nil))
		}
		if read.Len() != len(doc.segs) {
			t.Errorf("%d segments were written, %d are read: %q", len(doc.segs), read.Len(), doc.Encode(nil))
		}
		doc.Provenance()
		doc.Unmapped()
		doc.Findings()
	})
}

func writeFile(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClock(t *testing.T) {
	for text, want := range map[string]string{
		"10:15": "101500", "10:15:42": "101542", "23:59:60": "235960", "10:15:42.123456": "101542.1234",
		"99:99:60": "", "10:61:60": "", "1:15:42": "", "10:15:61": "", "10:15:42.": "",
	} {
		if got, ok := v2Clock(text); got != want || ok != (want != "") {
			t.Errorf("%s: got %q %v, want %q", text, got, ok, want)
		}
	}
}

// TestASegmentStaysInItsGroup holds that a nested row writes inside the group it
// stands in, also when a row outside has written a segment of that name.
func TestASegmentStaysInItsGroup(t *testing.T) {
	segments, _ := wrote(t, "OBSERVATION_REQUEST/OBX[+]: { set: { OBX-1: = 9 } }\nSPECIMEN[+]: { each: ServiceRequest.identifier, set: { SPM-1: ordinal, OBX-3: .value } }", request, nil)
	want := []string{"ORC|NW", "OBX|9", "SPM|1", "OBX|||X", "SPM|2", `OBX|||P\F\1`}
	if !slices.Equal(segments, want) {
		t.Errorf("got %q, want %q", segments, want)
	}
}

// TestGatherWhere holds that a map asks only for what the store can search by,
// and finds a resource by any of several references.
func TestGatherWhere(t *testing.T) {
	gather := func(what string) string {
		return strings.Replace(outwardMap("IN1[+]: { each: cover, set: { IN1-1: ordinal, IN1-36: .id } }"), "coverage: Coverage where beneficiary = patient and status = active", "cover: "+what, 1)
	}
	if _, problems := outward(t, gather("Observation where basedOn = patient"), nil, nil); len(problems) == 0 || !strings.Contains(problems[0].Text, `no search parameter "basedOn"`) {
		t.Errorf("a search that no store can do: %+v", problems)
	}
	m, problems := outward(t, gather("Coverage where payor = patient"), nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	bundle := `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"ServiceRequest","id":"s","subject":{"reference":"Patient/p"}}},` +
		`{"resource":{"resourceType":"Patient","id":"p"}},{"resource":{"resourceType":"Coverage","id":"c7","payor":[{"reference":"Organization/o"},{"reference":"Patient/p"}]}}]}`
	got, err := m.Apply(context.Background(), &message.Message{Raw: []byte(bundle)})
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := got[0].Doc.(*Message)
	if text := string(doc.Encode(nil)); !strings.Contains(text, "IN1|1") || !strings.Contains(text, "|c7") {
		t.Errorf("the coverage is not found: %q", text)
	}
}
