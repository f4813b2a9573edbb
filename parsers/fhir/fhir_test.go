package fhir

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/expression"
	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/parsertest"
)

const samples = "../../testdata/messages/fhir"

func TestParser(t *testing.T) {
	parsertest.Run(t, parsertest.Case{
		Parser: &Parser{}, Samples: samples, Ext: ".json",
		Paths: []string{
			"ServiceRequest.status", "ServiceRequest.code.coding.code", "ServiceRequest.code.coding", "ServiceRequest", "Patient.name[0].family",
			"Claim.insurance[focal=true].coverage.reference", "ServiceRequest.identifier[type=PLAC].value", "MedicationRequest.medication.text",
			"Patient.extension[patient-birthPlace].value.city", "Claim.item.productOrService.coding[0].code", "Bundle.entry.resource.status",
			"Practitioner.identifier[system=npi].value", "Patient.name[*].given",
		},
		Wrong: []string{"Patiant.name", "Patient.nam", "Patient.name[x].family", "Patient..name", "patient.name", "Patient.name[0", "Patient.birthDate.year", "ServiceRequest.code.coding.cod"},
		Refused: map[string]string{
			"nothing": "", "xml": "<Patient xmlns=\"http://hl7.org/fhir\"/>", "no object": `["Patient"]`, "no type": `{"id":"1"}`, "unknown type": `{"resourceType":"Patiant"}`,
			"half": `{"resourceType":"Patient","name":[{"fam`, "twice": `{"resourceType":"Patient","id":"1","id":"2"}`, "unknown element": `{"resourceType":"Patient","nameX":[]}`,
			"not a list": `{"resourceType":"Patient","name":{"family":"x"}}`, "required": `{"resourceType":"ServiceRequest","status":"active","intent":"order"}`,
			"deep": `{"resourceType":"Patient","contact":` + strings.Repeat("[", 100000),
		},
	})
}

func parse(t testing.TB, name string) *Document {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(samples, name))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := (&Parser{}).Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := doc.(*Document)
	return d
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		file, path string
		want       []string
	}{
		{"service_request_lab.json", "ServiceRequest.code.coding.code", []string{"24323-8", "CMP"}},
		{"service_request_lab.json", "ServiceRequest.code.coding[0].code", []string{"24323-8"}},
		{"service_request_lab.json", "ServiceRequest.code.coding[system=loinc.org].code", []string{"24323-8"}},
		{"service_request_lab.json", "ServiceRequest.identifier[type=PLAC].value", []string{"P-1001"}},
		{"service_request_lab.json", "ServiceRequest.identifier[type=FILL].value", nil},
		{"service_request_lab.json", "ServiceRequest.category.coding.code", []string{"108252007"}},
		{"service_request_lab.json", "Patient.name.family", nil},
		{"patient_merged.json", "Patient.name[1].family", []string{"Muster"}},
		{"patient_merged.json", "Patient.name[use=official].given", []string{"Anna", "Maria"}},
		{"patient_merged.json", "Patient.multipleBirth", []string{"2"}},
		{"patient_merged.json", "Patient.extension[patient-birthPlace].value.city", []string{"Albany"}},
		{"patient_merged.json", "Patient.active", []string{"false"}},
		{"claim_two_lines.json", "Claim.insurance[focal=true].coverage.reference", []string{"Coverage/c1"}},
		{"claim_two_lines.json", "Claim.item.net.value", []string{"120.00", "31.50"}},
		{"medication_request.json", "MedicationRequest.medication.text", []string{"Amoxicillin 500 mg"}},
		{"medication_request.json", "MedicationRequest.medicationCodeableConcept.coding[system=ndc].code", []string{"00093-2264-01"}},
		{"practitioner.json", "Practitioner.identifier[system=npi].value", []string{"1234567893"}},
		{"bundle_transaction.json", "Observation.value.value", []string{"7.20"}},
		{"bundle_transaction.json", "Bundle.entry.resource.resourceType", []string{"Patient", "Observation"}},
	} {
		p, err := (Grammar{}).Compile(c.path)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		root := parse(t, c.file).Root()
		if got := p.Texts(root); !slices.Equal(got, c.want) {
			t.Errorf("%s of %s: %q, want %q", c.path, c.file, got, c.want)
		}
		first := ""
		if len(c.want) > 0 {
			first = c.want[0]
		}
		if got := p.Text(root); got != first {
			t.Errorf("first %s of %s: %q, want %q", c.path, c.file, got, first)
		}
	}
}

func TestKinds(t *testing.T) {
	for path, want := range map[string]message.PathKind{
		"Patient.birthDate": message.One, "Patient.name[0].family": message.One, "Patient.name.family": message.Several, "Patient.name[*].family": message.Several,
		"Patient.name": message.Places, "Patient.name[0]": message.Places, "Patient": message.Places, "Observation.value": message.One, "Claim.insurance[focal=true].coverage": message.Places,
		"ServiceRequest.category.coding.code": message.Several, "Questionnaire.item.item.text": message.Several, "MedicationRequest.medication": message.Places, "Bundle.entry.resource.id": message.Several,
	} {
		p, err := (Grammar{}).Compile(path)
		if err != nil || p.Kind() != want {
			t.Errorf("%s: kind %v %v, want %v", path, p, err, want)
		}
	}
}

func TestWrongPathsAreExplained(t *testing.T) {
	for path, want := range map[string]string{
		"Patiant.name":            `did you mean "Patient"?`,
		"Patient.birthdate":       `"birthdate" is not an element of Patient; did you mean "birthDate"?`,
		"Patient.name.famly":      `"famly" is not an element of HumanName; did you mean "family"?`,
		"Claim.item.productCode":  `is not an element of Claim.item`,
		"Patient.name[first].use": "write [0], [*] or [member=value]",
	} {
		if _, err := (Grammar{}).Compile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

func TestExpressions(t *testing.T) {
	tables := func(name string) (func(string) bool, func(string) (string, bool), bool) {
		has := func(code string) bool { return code == "CMP" }
		return has, func(code string) (string, bool) { return code, has(code) }, name == "tests"
	}
	for _, c := range []struct {
		file, text string
		want       bool
	}{
		{"service_request_lab.json", `ServiceRequest.status == "active"`, true},
		{"service_request_lab.json", `type == "ServiceRequest" and valued(ServiceRequest.note[0].text)`, true},
		{"service_request_lab.json", `has(ServiceRequest.category.coding.code, "108252007") or has(ServiceRequest.category.coding.code, "laboratory")`, true},
		{"service_request_lab.json", `any(ServiceRequest.code.coding.code, # in table("tests"))`, true},
		{"service_request_lab.json", `any(ServiceRequest.code.coding, ServiceRequest.code.coding.system == "http://loinc.org" and ServiceRequest.code.coding.code == "CMP")`, false},
		{"claim_two_lines.json", `any(Claim.item, has(Claim.item.productOrService.coding.code, "99213") and number(Claim.item.net.value) > 100)`, true},
		{"claim_two_lines.json", `any(Claim.item, has(Claim.item.productOrService.coding.code, "85025") and number(Claim.item.net.value) > 100)`, false},
		{"claim_two_lines.json", `all(Claim.item, Claim.status == "active")`, true},
		{"claim_two_lines.json", `count(Claim.item, Claim.item.sequence == "2") == 1`, true},
		{"patient_merged.json", `Patient.gender == "female" and not (Patient.active == "true")`, true},
	} {
		p, err := expression.Compile(c.text, expression.Options{Grammar: Grammar{}, Want: expression.Bool, Tables: tables, TableNames: []string{"tests"}})
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		d := parse(t, c.file)
		got, err := p.Bool(expression.Env{Message: &message.Message{Header: d.Header(), Doc: d}, Root: d.Root()}, d.Root())
		if err != nil || got != c.want {
			t.Errorf("%s of %s: %v %v, want %v", c.text, c.file, got, err, c.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	for file, want := range map[string]message.Header{
		"service_request_lab.json": {Type: "ServiceRequest", Sender: "urn:oid:2.999.1", Control: "ServiceRequest/order-1/_history/1", Key: "Patient/pat-1"},
		"patient_merged.json":      {Type: "Patient", Control: "Patient/pat-old/_history/4", Key: "Patient/pat-1", Key2: "Patient/pat-old", Merge: true},
		"bundle_transaction.json":  {Type: "Bundle", Structure: "transaction", Control: "B-500", Key: "Patient/urn:uuid:0b8f4c3e-6f3c-4b8e-9f61-0a6a0c7f2d11"},
		"claim_two_lines.json":     {Type: "Claim", Control: "Claim/claim-1/_history/2", Key: "Patient/pat-1"},
		"medication_request.json":  {Type: "MedicationRequest", Control: "MedicationRequest/rx-1/_history/1", Key: "Patient/urn:oid:2.999.1.1|MRN-77"},
		"practitioner.json":        {Type: "Practitioner", Control: "Practitioner/doc-1/_history/1", Key: "resource:Practitioner/doc-1"},
	} {
		if got := parse(t, file).Header(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", file, got, want)
		}
	}
}

func TestALargeContentIsScannedByItsHead(t *testing.T) {
	head := `{"resourceType":"DiagnosticReport","id":"r1","meta":{"versionId":"7"},"subject":{"reference":"Patient/p"},"presentedForm":[{"data":"` + strings.Repeat("QUJD", 1000)
	h, err := (&Parser{}).Scan([]byte(head), strings.NewReader(strings.Repeat("QUJD", 1<<18)+`"}]}`))
	if err != nil || h.Type != "DiagnosticReport" || h.Control != "DiagnosticReport/r1/_history/7" || h.Key != "Patient/p" {
		t.Errorf("got %+v %v", h, err)
	}
	if _, err := (&Parser{}).Scan([]byte(`{"id":"1","text":{"div":"`+strings.Repeat("x", 100)), strings.NewReader("more")); err == nil {
		t.Error("a content without a type has a usable header")
	}
}

func TestSplitReadsLines(t *testing.T) {
	const file = "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n\n{\n  \"resourceType\":\"Patient\",\"id\":\"}\\\"\"\n}\r\n{\"resourceType\":\"Patient\",\"id\":\"3"
	var got []string
	err := (&Parser{}).Split(strings.NewReader(file), 1<<20, func(raw []byte) error {
		got = append(got, string(raw))
		return nil
	})
	if err != nil || len(got) != 3 || got[0] != `{"resourceType":"Patient","id":"1"}` || !strings.HasSuffix(got[1], "}") || !strings.HasSuffix(got[2], `"3`) {
		t.Errorf("%q %v", got, err)
	}
}

func TestWarnLeavesTheStructureToOthers(t *testing.T) {
	doc, err := (&Parser{lenient: true}).Parse([]byte(`{"resourceType":"Patient","nameX":[{"family":"x"}]}`))
	if err != nil || len(doc.Warnings()) == 0 || doc.Warnings()[0].Where != "Patient.nameX" {
		t.Errorf("%v %v", doc, err)
	}
}

// TestCorpus reads the valid examples of the shared corpus and makes them anew.
func TestCorpus(t *testing.T) {
	for _, folder := range []string{"valid", "uscore"} {
		files, same := 0, 0
		err := filepath.WalkDir(corpus.Dir(t, "fhir", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			doc, err := (&Parser{lenient: true}).Parse(raw)
			if err != nil {
				t.Errorf("%s: %v", entry.Name(), err)
				return nil
			}
			d, _ := doc.(*Document)
			again := d.Rebuild(nil)
			if string(again) == string(raw) {
				same++
			}
			var a, b any
			if errors.Join(json.Unmarshal(raw, &a), json.Unmarshal(again, &b)) != nil || !reflect.DeepEqual(a, b) {
				t.Errorf("%s: made anew it is another JSON", entry.Name())
			}
			return nil
		})
		if err != nil || files == 0 {
			t.Fatalf("%s: %d files, %v", folder, files, err)
		}
		t.Logf("%s: %d files, %d made anew byte for byte", folder, files, same)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(samples + "/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no samples")
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	p := &Parser{lenient: true}
	paths := []message.Path{}
	for _, text := range []string{"ServiceRequest.code.coding.code", "Bundle.entry.resource", "Patient.name[0].family", "Claim.item[sequence=1].net.value"} {
		compiled, err := (Grammar{}).Compile(text)
		if err != nil {
			f.Fatal(err)
		}
		paths = append(paths, compiled)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := p.Scan(raw, nil); err == nil {
			if _, err := p.Scan(raw, strings.NewReader("x")); err != nil && len(raw) == 0 {
				t.Error(err)
			}
		}
		doc, err := p.Parse(raw)
		if err != nil {
			return
		}
		d, _ := doc.(*Document)
		again, err := p.Parse(d.Rebuild(nil))
		if err != nil {
			t.Fatalf("made anew it does not parse: %v", err)
		}
		if a, _ := again.(*Document); !a.tree.Equal(d.tree) {
			t.Error("made anew it is another document")
		}
		for _, path := range paths {
			path.Text(doc.Root())
			path.Texts(doc.Root())
			path.Nodes(doc.Root())
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"Patient.name[0].family", "Claim.insurance[focal=true].coverage", "Patient", "Patient.extension[x].value"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := (Grammar{}).Scan(0, text)
		if n < 0 || n > len(text) {
			t.Fatalf("Scan gives %d of %d", n, len(text))
		}
		if p, err := (Grammar{}).Compile(text); err == nil && p.String() != text {
			t.Errorf("%q compiles to %q", text, p.String())
		}
	})
}

func BenchmarkParse(b *testing.B) {
	raw, err := os.ReadFile(filepath.Join(samples, "service_request_lab.json"))
	if err != nil {
		b.Fatal(err)
	}
	p := &Parser{}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := p.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFivePaths(b *testing.B) {
	d := parse(b, "service_request_lab.json")
	var paths []message.Path
	for _, text := range []string{"ServiceRequest.status", "ServiceRequest.subject.reference", "ServiceRequest.identifier[type=PLAC].value", "ServiceRequest.code.coding[0].code", "ServiceRequest.priority"} {
		p, err := (Grammar{}).Compile(text)
		if err != nil {
			b.Fatal(err)
		}
		paths = append(paths, p)
	}
	for b.Loop() {
		for _, p := range paths {
			if p.Text(d) == "" {
				b.Fatal("nothing was read")
			}
		}
	}
}
