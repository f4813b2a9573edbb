package patch

import (
	"sort"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"github.com/plexus-health/plexus/internal/corpus"
)

// plainXML is an element without white space around elements, comments kept and
// attributes sorted.
func plainXML(e *etree.Element) string {
	var b strings.Builder
	var write func(e *etree.Element)
	write = func(e *etree.Element) {
		var attributes []string
		for _, a := range e.Attr {
			if a.FullKey() != "xmlns" {
				attributes = append(attributes, a.FullKey()+"="+a.Value)
			}
		}
		sort.Strings(attributes)
		b.WriteString("<" + e.NamespaceURI() + " " + e.Tag + " " + strings.Join(attributes, " ") + ">")
		for _, child := range e.Child {
			switch c := child.(type) {
			case *etree.Element:
				write(c)
			case *etree.CharData:
				b.WriteString(strings.TrimSpace(c.Data))
			case *etree.Comment:
				b.WriteString("<!--" + c.Data + "-->")
			}
		}
		b.WriteString("</>")
	}
	write(e)
	return b.String()
}

// TestOfficialXMLPatches runs the whole suite of the corpus.
func TestOfficialXMLPatches(t *testing.T) {
	suite := etree.NewDocument()
	if err := suite.ReadFromFile(corpus.Dir(t, "fhir", "patch", "xml-patch-tests.xml")); err != nil {
		t.Fatal(err)
	}
	alone := func(e *etree.Element) []byte {
		doc := etree.NewDocument()
		doc.SetRoot(e.Copy())
		data, err := doc.WriteToBytes()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	cases := suite.Root().SelectElements("case")
	for _, c := range cases {
		t.Run(c.SelectAttrValue("name", ""), func(t *testing.T) {
			got, err := applyXML(t.Context(), alone(c.SelectElement("target").ChildElements()[0]), alone(c.SelectElement("patch")))
			if fault := c.SelectElement("error"); fault != nil {
				if err == nil {
					t.Errorf("it was applied: %s", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			after := etree.NewDocument()
			if err := after.ReadFromBytes(got); err != nil {
				t.Fatal(err)
			}
			if got, want := plainXML(after.Root()), plainXML(c.SelectElement("patched").ChildElements()[0]); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	t.Logf("%d cases", len(cases))
}

func TestXMLPatch(t *testing.T) {
	const doc = `{"resourceType":"Patient","id":"p","identifier":[{"system":"urn:a","value":"1"},{"system":"urn:b","value":"2"}],"name":[{"family":"A"}],"gender":"male"}`
	for name, c := range map[string]struct{ operations, want, fault string }{
		"a value":                      {`<replace sel="f:Patient/f:gender/@value">female</replace>`, strings.Replace(doc, `"male"`, `"female"`, 1), ""},
		"by a condition":               {`<replace sel="/Patient/identifier[system/@value='urn:b']/value/@value">3</replace>`, strings.Replace(doc, `"2"`, `"3"`, 1), ""},
		"an element in its place":      {`<add sel="f:Patient/f:gender" pos="after"><birthDate value="1970"/></add>`, strings.Replace(doc, `"male"`, `"male","birthDate":"1970"`, 1), ""},
		"before, and first":            {`<add sel="f:Patient/f:identifier[2]" pos="before"><f:identifier><f:value value="x"/></f:identifier></add><add sel="f:Patient/f:identifier[1]" pos="prepend"><use value="old"/></add>`, strings.Replace(strings.Replace(doc, `},{`, `},{"value":"x"},{`, 1), `[{"system"`, `[{"use":"old","system"`, 1), ""},
		"an item is removed":           {`<remove sel="f:Patient/*[2]" ws="both"/>`, strings.Replace(doc, `{"system":"urn:a","value":"1"},`, ``, 1), ""},
		"an element is replaced":       {`<replace sel='f:Patient/f:name[1]'><name><text value="B"/></name></replace>`, strings.Replace(doc, `"family":"A"`, `"text":"B"`, 1), ""},
		"two nodes":                    {`<remove sel="f:Patient/f:identifier"/>`, "", "operation 0 has a sel that does not find exactly one node"},
		"none":                         {`<remove sel="f:Patient/f:photo"/>`, "", "operation 0 has a sel that does not find exactly one node"},
		"another namespace":            {`<remove xmlns:x="urn:x" sel="x:Patient/x:gender"/>`, "", "operation 0 has a sel that does not find exactly one node"},
		"a prefix nobody declares":     {`<remove sel="x:Patient"/>`, "", "operation 0 has a sel that is no path of elements, attributes and texts"},
		"the root":                     {`<remove sel="f:Patient"/>`, "", "operation 0 removes the root"},
		"beside the root":              {`<add sel="f:Patient" pos="after"><Patient/></add>`, "", "operation 0 adds beside the root"},
		"an attribute that is there":   {`<add sel="f:Patient/f:gender" type="@value">x</add>`, "", "operation 0 does not hold exactly what it would put there"},
		"an unknown operation":         {`<change sel="f:Patient"/>`, "", "operation 0 is not add, replace or remove"},
		"no sel":                       {`<remove/>`, "", "operation 0 has no sel"},
		"a broken sel":                 {`<remove sel="f:Patient[CANARY77"/>`, "", "operation 0 has a sel that is no path of elements, attributes and texts"},
		"nothing":                      {``, "", "the patch has no operations"},
		"what is no resource any more": {`<add sel="f:Patient"><nonsense value="CANARY77"/></add>`, "", "the patch leaves what is no FHIR XML: line 1: Patient.nonsense is no element of Patient"},
	} {
		t.Run(name, func(t *testing.T) {
			resource := parse(t, doc)
			got, err := ApplyXML(t.Context(), resource, []byte(`<diff xmlns="http://hl7.org/fhir" xmlns:f="http://hl7.org/fhir">`+c.operations+`</diff>`))
			if err != nil {
				if c.fault == "" || err.Error() != c.fault && name != "what is no resource any more" || strings.Contains(err.Error(), "CANARY77") {
					t.Errorf("%v, want %s", err, c.fault)
				}
				return
			}
			if c.fault != "" || string(got.AppendJSON(nil)) != c.want {
				t.Errorf("got  %s\nwant %s%s", got.AppendJSON(nil), c.want, c.fault)
			}
		})
	}
	for name, text := range map[string]string{
		"no XML": `<diff>`, "an entity": `<!DOCTYPE x [<!ENTITY e "x">]><diff/>`, "deep": strings.Repeat("<a>", 300) + strings.Repeat("</a>", 300), "empty": "",
		"half a pair": `<diff xmlns="http://hl7.org/fhir"><replace sel="Patient/name/family/@value">&#xD800;</replace></diff>`,
	} {
		if _, err := ApplyXML(t.Context(), parse(t, doc), []byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzPatches(f *testing.F) {
	f.Add(`{"resourceType":"Parameters","parameter":[`+pathOp("delete", "path", path("Patient.name"))+`]}`, `<diff><remove sel="Patient/a[b='c']/@d"/></diff>`)
	f.Add(`{"resourceType":"Parameters","parameter":[`+pathOp("add", "path", path("Patient"), "name", path("contact"), "value", `"part":[{"name":"gender","valueCode":"x"}]`)+`]}`, `<diff><add sel="*" pos="prepend"><x/></add></diff>`)
	f.Fuzz(func(t *testing.T, parameters, diff string) {
		const doc = `{"resourceType":"Patient","id":"p","name":[{"family":"A","given":["x","y"],"_given":[null,{"id":"g"}]}],"gender":"male"}`
		if _, err := ApplyXML(t.Context(), parse(t, doc), []byte(diff)); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
		if p, err := parseAny(parameters); err == nil {
			if _, err := ApplyFHIRPath(t.Context(), parse(t, doc), p); err != nil && err.Error() == "" {
				t.Error("an error without words")
			}
		}
	})
}
