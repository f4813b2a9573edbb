package patch

import (
	"encoding/xml"
	"os"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	fhirxml "github.com/plexus-health/plexus/fhir/xml"
	"github.com/plexus-health/plexus/internal/corpus"
)

// TestOfficialFHIRPathPatches runs the whole suite of the corpus, forwards.
func TestOfficialFHIRPathPatches(t *testing.T) {
	data, err := os.ReadFile(corpus.Dir(t, "fhir", "patch", "fhir-patch-tests.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Cases []struct {
			Name  string `xml:"name,attr"`
			Input struct {
				Text string `xml:",innerxml"`
			} `xml:"input"`
			Diff struct {
				Text string `xml:",innerxml"`
			} `xml:"diff"`
			Output struct {
				Text string `xml:",innerxml"`
			} `xml:"output"`
		} `xml:"case"`
	}
	if err := xml.Unmarshal(data, &suite); err != nil {
		t.Fatal(err)
	}
	read := func(t *testing.T, text string) *fhir.Node {
		n, err := fhirxml.Parse([]byte(strings.TrimSpace(text)))
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return n
	}
	for _, c := range suite.Cases {
		t.Run(c.Name, func(t *testing.T) {
			got, err := ApplyFHIRPath(t.Context(), read(t, c.Input.Text), read(t, c.Diff.Text))
			if err != nil {
				t.Fatal(err)
			}
			gotXML, err := fhirxml.Append(nil, got)
			if err != nil {
				t.Fatal(err)
			}
			wantXML, err := fhirxml.Append(nil, read(t, c.Output.Text))
			if err != nil || string(gotXML) != string(wantXML) {
				t.Errorf("got %s\nwant %s (%v)", gotXML, wantXML, err)
			}
		})
	}
	t.Logf("%d cases", len(suite.Cases))
}

// pathOp writes an operation: its type, then pairs of part and JSON members.
func pathOp(typ string, parts ...string) string {
	out := `{"name":"operation","part":[{"name":"type","valueCode":"` + typ + `"}`
	for i := 0; i+1 < len(parts); i += 2 {
		out += `,{"name":"` + parts[i] + `",` + parts[i+1] + `}`
	}
	return out + `]}`
}

func path(p string) string { return `"valueString":"` + p + `"` }

func TestFHIRPathPatch(t *testing.T) {
	const doc = `{"resourceType":"Patient","id":"p","name":[{"family":"A","given":["x","y"],"_given":[null,{"id":"g"}]},{"text":"B"}],"gender":"male","_birthDate":{"extension":[{"url":"urn:e","valueString":"1"}]},"deceasedBoolean":true,"multipleBirthInteger":2}`
	for name, c := range map[string]struct{ operations, want, fault string }{
		"nothing": {"", doc, ""},
		"a choice gets another type in its place": {
			pathOp("replace", "path", path("Patient.deceased"), "value", `"valueDateTime":"2020"`),
			strings.Replace(doc, `"deceasedBoolean":true`, `"deceasedDateTime":"2020"`, 1), "",
		},
		"an item of a list of values keeps what stands beside the others": {
			pathOp("delete", "path", path("Patient.name[0].given[0]")),
			strings.Replace(doc, `"given":["x","y"],"_given":[null,{"id":"g"}]`, `"given":["y"],"_given":[{"id":"g"}]`, 1), "",
		},
		"a value is inserted among values": {
			pathOp("insert", "path", path("Patient.name[0].given"), "index", `"valueInteger":1`, "value", `"valueString":"z"`),
			strings.Replace(doc, `"given":["x","y"],"_given":[null,{"id":"g"}]`, `"given":["x","z","y"],"_given":[null,null,{"id":"g"}]`, 1), "",
		},
		"moved with what stands beside it": {
			pathOp("move", "path", path("Patient.name[0].given"), "source", `"valueInteger":1`, "destination", `"valueInteger":0`),
			strings.Replace(doc, `"given":["x","y"],"_given":[null,{"id":"g"}]`, `"given":["y","x"],"_given":[{"id":"g"},null]`, 1), "",
		},
		"what has extensions only is replaced": {
			pathOp("replace", "path", path("Patient.birthDate"), "value", `"valueDate":"1970"`),
			strings.Replace(doc, `"_birthDate":{"extension":[{"url":"urn:e","valueString":"1"}]}`, ``, 1), "",
		},
		"an extension of a value is deleted, and the value that is empty then": {
			pathOp("delete", "path", path("Patient.birthDate.extension[0]")),
			strings.Replace(doc, `"_birthDate":{"extension":[{"url":"urn:e","valueString":"1"}]},`, ``, 1), "",
		},
		"an extension is added to a value": {
			pathOp("add", "path", path("Patient.gender"), "name", path("extension"), "value", `"valueExtension":{"url":"urn:x","valueBoolean":true}`),
			strings.Replace(doc, `"multipleBirthInteger":2`, `"multipleBirthInteger":2,"_gender":{"extension":[{"url":"urn:x","valueBoolean":true}]}`, 1), "",
		},
		"an element without a type by its parts": {
			pathOp("add", "path", path("Patient"), "name", path("contact"), "value", `"part":[{"name":"name","valueHumanName":{"text":"C"}},{"name":"telecom","valueContactPoint":{"value":"1"}},{"name":"telecom","valueContactPoint":{"value":"2"}},{"name":"gender","valueCode":"female"}]`),
			strings.Replace(doc, `"multipleBirthInteger":2`, `"multipleBirthInteger":2,"contact":[{"name":{"text":"C"},"telecom":[{"value":"1"},{"value":"2"}],"gender":"female"}]`, 1), "",
		},
		"found by a condition": {
			pathOp("replace", "path", path(`Patient.name.where(text = 'B').text`), "value", `"valueString":"C"`),
			strings.Replace(doc, `"text":"B"`, `"text":"C"`, 1), "",
		},
		"a choice is added": {
			pathOp("delete", "path", path("Patient.deceased")) + "," + pathOp("add", "path", path("Patient"), "name", path("deceased"), "value", `"valueDateTime":"2020"`),
			strings.Replace(doc, `"deceasedBoolean":true,"multipleBirthInteger":2`, `"multipleBirthInteger":2,"deceasedDateTime":"2020"`, 1), "",
		},
		"the first of a list is inserted": {
			pathOp("insert", "path", path("Patient.telecom"), "index", `"valueInteger":0`, "value", `"valueContactPoint":{"value":"1"}`),
			strings.Replace(doc, `"multipleBirthInteger":2`, `"multipleBirthInteger":2,"telecom":[{"value":"1"}]`, 1), "",
		},
		"what is not there is deleted":  {pathOp("delete", "path", path("Patient.maritalStatus")), doc, ""},
		"a resource is contained":       {pathOp("add", "path", path("Patient"), "name", path("contained"), "value", `"resource":{"resourceType":"Basic","id":"b","code":{"text":"x"}}`), strings.Replace(doc, `"multipleBirthInteger":2`, `"multipleBirthInteger":2,"contained":[{"resourceType":"Basic","id":"b","code":{"text":"x"}}]`, 1), ""},
		"several would be deleted":      {pathOp("delete", "path", path("Patient.name")), "", "operation 0 has a path that finds several elements"},
		"nothing to replace":            {pathOp("replace", "path", path("Patient.telecom"), "value", `"valueString":"x"`), "", "operation 0 has a path that finds nothing"},
		"added twice":                   {pathOp("add", "path", path("Patient"), "name", path("gender"), "value", `"valueCode":"male"`), "", "operation 0 adds an element that is there and does not repeat"},
		"a choice added twice":          {pathOp("add", "path", path("Patient"), "name", path("deceased"), "value", `"valueDateTime":"2020"`), "", "operation 0 adds an element that is there and does not repeat"},
		"not defined":                   {pathOp("add", "path", path("Patient"), "name", path("nonsense"), "value", `"valueCode":"male"`), "", "operation 0 names an element that is not defined there"},
		"beyond the list":               {pathOp("insert", "path", path("Patient.name"), "index", `"valueInteger":3`, "value", `"valueHumanName":{"text":"x"}`), "", "operation 0 has an index beyond the list"},
		"moved beyond the list":         {pathOp("move", "path", path("Patient.name"), "source", `"valueInteger":0`, "destination", `"valueInteger":2`), "", "operation 0 has an index beyond the list"},
		"a part of a list":              {pathOp("move", "path", path("Patient.name[0]"), "source", `"valueInteger":0`, "destination", `"valueInteger":0`), "", "operation 0 has a path that does not name a whole list"},
		"inserted among the resource":   {pathOp("insert", "path", path("Patient.name | Patient"), "index", `"valueInteger":0`, "value", `"valueHumanName":{"text":"x"}`), "", "operation 0 has a path that does not name a whole list"},
		"moved among the resource":      {pathOp("move", "path", path("Patient.name | Patient"), "source", `"valueInteger":0`, "destination", `"valueInteger":0`), "", "operation 0 has a path that does not name a whole list"},
		"a path that goes wrong":        {pathOp("delete", "path", path("Patient.name.single()")), "", "operation 0 has a path that cannot be evaluated on the resource"},
		"no list":                       {pathOp("move", "path", path("Patient.gender"), "source", `"valueInteger":0`, "destination", `"valueInteger":0`), "", "operation 0 has a path that does not name a whole list"},
		"no element":                    {pathOp("replace", "path", path("Patient.name.count()"), "value", `"valueInteger":3`), "", "operation 0 has a path that finds no element of the resource"},
		"no FHIRPath":                   {pathOp("delete", "path", path("Patient.name[")), "", "operation 0 has a path that is no FHIRPath"},
		"the resource itself":           {pathOp("delete", "path", path("Patient")), "", "operation 0 would replace or delete the resource itself"},
		"no type":                       {`{"name":"operation","part":[{"name":"path","valueString":"Patient.gender"}]}`, "", "operation 0 is not add, insert, delete, replace or move"},
		"no value":                      {pathOp("replace", "path", path("Patient.gender")), "", "operation 0 has no value"},
		"an empty value":                {pathOp("replace", "path", path("Patient.gender"), "value", `"part":[]`), "", "operation 0 has a value that is empty"},
		"no name":                       {pathOp("add", "path", path("Patient"), "value", `"valueCode":"male"`), "", "operation 0 has no name"},
		"an index below 0":              {pathOp("insert", "path", path("Patient.name"), "index", `"valueInteger":-1`), "", "operation 0 has an index that is no number from 0"},
		"a part that nobody knows":      {pathOp("delete", "path", path("Patient.gender"), "CANARY77", path("x")), "", "operation 0 has a part that is not type, path, name, value, index, source or destination"},
		"a parameter that nobody knows": {`{"name":"CANARY77"}`, "", "operation 0 is a parameter that is not called operation"},
	} {
		t.Run(name, func(t *testing.T) {
			resource, changes := parse(t, doc), parse(t, `{"resourceType":"Parameters","parameter":[`+c.operations+`]}`)
			got, err := ApplyFHIRPath(t.Context(), resource, changes)
			if err != nil {
				if err.Error() != c.fault {
					t.Errorf("%v, want %s", err, c.fault)
				}
				return
			}
			want := c.want
			if strings.HasPrefix(name, "what has extensions only") {
				want = strings.Replace(strings.Replace(want, ",,", ",", 1), `"multipleBirthInteger":2`, `"multipleBirthInteger":2,"birthDate":"1970"`, 1)
			}
			if c.fault != "" || string(got.AppendJSON(nil)) != want {
				t.Errorf("got  %s\nwant %s%s", got.AppendJSON(nil), want, c.fault)
			}
			if string(resource.AppendJSON(nil)) != doc {
				t.Error("the resource that was given was changed")
			}
		})
	}
}

func parseAny(text string) (*fhir.Node, error) { return fhir.Parse([]byte(text)) }
