package fhir

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	model "github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/parsertest"
)

var samples = filepath.Join("..", "..", "testdata", "messages", "fhir")

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(samples, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func parse(t testing.TB, raw []byte) *Document {
	t.Helper()
	d, err := try(raw)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// try parses with the structure checked.
func try(raw []byte) (*Document, error) { return tryWith(&Parser{}, raw) }

// lenient parses with warnings of the structure.
func lenient(raw []byte) (*Document, error) { return tryWith(&Parser{lenient: true}, raw) }

func tryWith(p *Parser, raw []byte) (*Document, error) {
	doc, err := p.Parse(raw)
	if err != nil {
		return nil, err
	}
	d, _ := doc.(*Document)
	return d, nil
}

func TestParser(t *testing.T) {
	parsertest.Run(t, parsertest.Case{
		Parser: &Parser{}, Samples: samples, Ext: ".json",
		Paths: []string{
			"ServiceRequest.status", "ServiceRequest.category.coding.code", "ServiceRequest.identifier[type=PLAC]", "ServiceRequest.identifier[type=PLAC].value",
			"Patient.name[0].family", "Patient.name.given", "Patient.extension[patient-birthPlace].value.city", "Patient.birthDate.extension[patient-birthTime].valueDateTime",
			"Claim.insurance[focal=true].coverage", "Claim.item", "Claim.item.detail.quantity.value", "MedicationRequest.medication.text", "Bundle.entry.resource", "Bundle.entry",
			"Bundle.entry.resource[Patient].name.family", `Coverage.class[type="group"].value`, "Patient.contact[*].name.given[1]", "Patient.deceased", "Patient.resourceType", "Patient", "Bundle.entry.resource.status",
		},
		Wrong: []string{
			"Patient.", "Patient..name", "Patient.nam", "Patiant.name", "patient.name", "Patient.name[", "Patient.name[x", "Patient.name.family.x", "Patient.birthDate[0]", "Patient.name[-1]",
			"Patient.name[=x]", "Patient.name[0][0]", "Bundle.entry.resource.nameX", "Bundle.entry.resource[Patiant]", "Claim.item[net=x]", "Patient.name.family ", "Patient.name[99999999999999999999]",
			"Patient.name.where", "MedicationRequest.medicationString", "Patient.name[family]",
		},
		Refused: map[string]string{
			"nothing": "", "white space": " \n", "XML": `<Patient xmlns="http://hl7.org/fhir"/>`, "HL7": "MSH|^~\\&|A", "a list": "[]", "no type": `{"id":"1"}`, "a type that is a number": `{"resourceType":1}`,
			"an unknown type": `{"resourceType":"Pet"}`, "an abstract type": `{"resourceType":"DomainResource"}`, "a data type": `{"resourceType":"HumanName"}`,
			"cut": `{"resourceType":"Patient"`, "twice": `{"resourceType":"Patient","id":"1","id":"2"}`, "two": `{"resourceType":"Patient"}{"resourceType":"Patient"}`,
			"not UTF-8": "{\"resourceType\":\"Patient\",\"id\":\"\xff\"}", "deep": `{"resourceType":"Patient","x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}",
			"no list": `{"resourceType":"Patient","name":{}}`, "a list inside": `{"resourceType":"Patient","birthDate":["2026"]}`, "a number": `{"resourceType":"Patient","birthDate":2026}`,
			"a text": `{"resourceType":"Patient","active":"true"}`, "no object": `{"resourceType":"Patient","name":["x"]}`, "null": `{"resourceType":"Patient","birthDate":null}`,
			"inside": `{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Pet"}}]}`, "no type inside": `{"resourceType":"Bundle","entry":[{"resource":{}}]}`,
		},
	})
}

func TestPlacesOfFaults(t *testing.T) {
	for raw, want := range map[string]struct {
		where, at, text string // at is what begins at the byte
	}{
		`{"resourceType":"Patient","contact":[{"name":{"given":["a",1]}}]}`:                                {"Patient.contact[0].name.given[1]", "1]", "is not a JSON string"},
		`{"resourceType":"Patient","contact":[{},{"name":[]}]}`:                                            {"Patient.contact[0]", "{}", "is empty"},
		`{"resourceType":"Patient","multipleBirthInteger":"2"}`:                                            {"Patient.multipleBirthInteger", `"2"`, "is not a JSON number"},
		`{"resourceType":"Patient","id":"1","nameX":[{}]}`:                                                 {"Patient.nameX", "[{}]", "is not an element of Patient"},
		`{"resourceType":"Patient","id":"1","x y":[{}]}`:                                                   {"Patient.(a name)", "{\"res", "is not an element of Patient"},
		`{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Pet"}}]}`:           {"Bundle.entry[0].resource", `{"resourceType":"Pet"`, "is not a resource"},
		`{"resourceType":"ServiceRequest","status":"active","intent":"order"}`:                             {"ServiceRequest", "{\"res", "subject is missing"},
		mark + `{"resourceType":"Patient","contained":[{"resourceType":"Patient","active":1}],"active":1}`: {"Patient.contained[0].active", "1}", "is not a JSON boolean"},
		`{"resourceType":"Patient","id":"1" "x":1}`:                                                        {"", `"x"`, `"," or the end is expected`},
		`  <Patient/>`:            {"", "<", "this is XML; FHIR messages are taken as JSON (application/fhir+json)"},
		` {"resourceType":"Pet"}`: {"resourceType", " {", "resourceType is no resource type of R4"},
	} {
		_, err := try([]byte(raw))
		f, ok := errors.AsType[*message.Failure](err)
		if !ok {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if f.Where != want.where || f.Err.Error() != want.text || f.Offset < 1 || !strings.HasPrefix(raw[f.Offset-1:], want.at) {
			t.Errorf("%s: %q at byte %d: %v", raw, f.Where, f.Offset-1, f.Err)
		}
	}
}

func TestWarnings(t *testing.T) {
	d, err := lenient([]byte(mark + `{"resourceType":"Patient","nickname":"Addie","birthDate":["x"],"name":[{"familyName":1}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []message.Warning{
		{Code: "byte-order-mark", Text: "a byte order mark stands in front of the content"},
		{Where: "Patient.(a name)", Offset: 3, Code: "structure", Text: "is not an element of Patient"},
		{Where: "Patient.birthDate", Offset: 60, Code: "structure", Text: "must not be a list"},
		{Where: "Patient.name[0].(a name)", Offset: 74, Code: "structure", Text: "is not an element of HumanName"},
	}
	if !slices.Equal(d.Warnings(), want) {
		t.Errorf("got %+v", d.Warnings())
	}
	// What is not as R4 has it is read as far as it goes.
	if got := compile(t, "Patient.birthDate").Text(d.Root()); got != "x" {
		t.Errorf("got %q", got)
	}
}

func TestResources(t *testing.T) {
	d := parse(t, sample(t, "bundle_order.json"))
	if all := d.Resources(); len(all) != 2 || all[1].Get("resourceType").Text != "Patient" || d.Resource() != d.Tree() {
		t.Errorf("%d resources", len(d.Resources()))
	}
	if all := parse(t, sample(t, "patient.json")).Resources(); len(all) != 1 {
		t.Errorf("%d resources of one", len(all))
	}
}

func TestRebuild(t *testing.T) {
	for raw, want := range map[string]string{
		"{ \"resourceType\" :\t\"Basic\" ,\r\n\"id\" : \"\\u00e9\\/\" , \"x\" : [ ] , \"y\" : { } , \"z\" : [ 1.50 , null , true ] } \n": "{ \"resourceType\" :\t\"Basic\" ,\r\n\"id\" : \"é/\" , \"x\" : [ ] , \"y\" : { } , \"z\" : [ 1.50 , null , true ] } \n",
	} {
		d, err := lenient([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		again := d.Rebuild(nil)
		if string(again) != want {
			t.Errorf("got %s", again)
		}
		if other, err := lenient(again); err != nil || !d.Same(other) {
			t.Error("made again it is not the same JSON")
		}
	}
}

// TestCorpus reads what nobody here wrote: the official examples and others
// come out byte for byte, and made again from their nodes as the same JSON. The
// structure of nearly all is as R4 has it.
func TestCorpus(t *testing.T) {
	for folder, least := range map[string]int{"valid": 300, "uscore": 100} {
		files, exact, strict := 0, 0, 0
		err := filepath.WalkDir(corpus.Dir(t, "fhir", folder), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(name) != ".json" {
				return err
			}
			raw, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			files++
			if _, err := try(raw); err == nil {
				strict++
			}
			if ofCorpus(t, entry.Name(), raw) {
				exact++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d files, %d made again byte for byte, the structure of %d is right", folder, files, exact, strict)
		if files < least || exact < files*9/10 || strict < files*9/10 {
			t.Errorf("%s: %d files, %d made again byte for byte, the structure of %d is right", folder, files, exact, strict)
		}
	}
}

// ofCorpus tries one file and reports whether it is made again byte for byte.
func ofCorpus(t *testing.T, name string, raw []byte) bool {
	t.Helper()
	d, err := lenient(raw)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return false
	}
	if !bytes.Equal(d.Encode(nil), raw) {
		t.Errorf("%s: Encode gives other bytes", name)
	}
	again := d.Rebuild(nil)
	if other, err := lenient(again); err != nil || !d.Same(other) {
		t.Errorf("%s: made again it is not the same JSON: %v", name, err)
	}
	inside(t, d, d.tree)
	return bytes.Equal(again, raw)
}

// inside holds the places of all values inside those around them.
func inside(t *testing.T, d *Document, n *model.Node) {
	t.Helper()
	outer := d.span(n)
	try := func(v *model.Node) {
		inner := d.span(v)
		if inner[0] <= outer[0] || inner[1] >= outer[1] || inner[0] >= inner[1] {
			t.Errorf("a value spans %v in %v", inner, outer)
		}
		if v.Kind == model.Number && string(d.raw[inner[0]:inner[1]]) != v.Text {
			t.Errorf("a number spans %v, where it does not stand", inner)
		}
		inside(t, d, v)
	}
	for _, m := range n.Members {
		try(m.Value)
	}
	for _, item := range n.Items {
		try(item)
	}
}
