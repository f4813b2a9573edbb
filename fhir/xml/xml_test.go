package xml

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/internal/corpus"
)

func parseJSON(t testing.TB, text string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const head = `<?xml version="1.0" encoding="UTF-8"?>`

func TestBothWays(t *testing.T) {
	for name, c := range map[string]struct{ json, xml string }{
		"the order is that of the definition": {
			`{"resourceType":"Patient","birthDate":"1970-01-02","active":true,"id":"p1"}`,
			`<Patient xmlns="http://hl7.org/fhir"><id value="p1"/><active value="true"/><birthDate value="1970-01-02"/></Patient>`,
		},
		"lists, with ids and extensions beside some values": {
			`{"resourceType":"Patient","name":[{"id":"n","given":["Ann",null,"B"],"_given":[null,{"id":"g","extension":[{"url":"urn:x","valueCode":"y"}]},null]}]}`,
			`<Patient xmlns="http://hl7.org/fhir"><name id="n"><given value="Ann"/><given id="g"><extension url="urn:x"><valueCode value="y"/></extension></given><given value="B"/></name></Patient>`,
		},
		"only what is beside a value": {
			`{"resourceType":"Patient","_birthDate":{"extension":[{"url":"urn:x","valueDecimal":1.50}]}}`,
			`<Patient xmlns="http://hl7.org/fhir"><birthDate><extension url="urn:x"><valueDecimal value="1.50"/></extension></birthDate></Patient>`,
		},
		"a decimal keeps its digits, a choice its type": {
			`{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.0E-2}}`,
			`<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="x"/></code><valueQuantity><value value="1.0E-2"/></valueQuantity></Observation>`,
		},
		"text with what XML escapes": {
			`{"resourceType":"Patient","name":[{"text":"<a&\"b'>\n\t\r é😀"}]}`,
			`<Patient xmlns="http://hl7.org/fhir"><name><text value="&lt;a&amp;&quot;b'&gt;&#10;&#9;&#13; é😀"/></name></Patient>`,
		},
		"a narrative as it is written, contained resources": {
			`{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a <b>b</b>\n<br/>&amp;</div>"},"contained":[{"resourceType":"Basic","id":"b"}]}`,
			`<Patient xmlns="http://hl7.org/fhir"><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">a <b>b</b>` + "\n" + `<br/>&amp;</div></text><contained><Basic><id value="b"/></Basic></contained></Patient>`,
		},
		"the resource of an entry": {
			`{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","active":false},"request":{"method":"POST","url":"Patient"}}]}`,
			`<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><resource><Patient><active value="false"/></Patient></resource><request><method value="POST"/><url value="Patient"/></request></entry></Bundle>`,
		},
		"the outcome of an entry's response": {
			`{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"404","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}}}]}`,
			`<Bundle xmlns="http://hl7.org/fhir"><type value="batch-response"/><entry><response><status value="404"/><outcome><OperationOutcome><issue><severity value="error"/><code value="not-found"/></issue></OperationOutcome></outcome></response></entry></Bundle>`,
		},
		"elements that are defined at another": {
			`{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"group","item":[{"linkId":"2","type":"string"}]}]}`,
			`<Questionnaire xmlns="http://hl7.org/fhir"><status value="draft"/><item><linkId value="1"/><type value="group"/><item><linkId value="2"/><type value="string"/></item></item></Questionnaire>`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := parseJSON(t, c.json)
			got, err := Append(nil, tree)
			if err != nil || string(got) != head+c.xml {
				t.Errorf("written %s %v\nwant %s", got, err, head+c.xml)
			}
			back, err := Parse([]byte(c.xml))
			if err != nil || !back.Equal(tree) {
				t.Errorf("read %s %v\nwant %s", back.AppendJSON(nil), err, c.json)
			}
		})
	}
}

func TestWhatReadersTake(t *testing.T) {
	want := parseJSON(t, `{"resourceType":"Patient","active":true,"name":[{"family":"A"},{"family":"B"}]}`)
	for name, text := range map[string]string{
		"a prefix":                       `<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/><f:name><f:family value="A"/></f:name><f:name><f:family value="B"/></f:name></f:Patient>`,
		"white space and comments":       "\ufeff" + head + "<!-- a -->\n<Patient xmlns='http://hl7.org/fhir'>\n <!-- b --><active value='true'></active>\n<name><family value='A'/></name><name><family value='B'/></name></Patient>\n<!-- c -->",
		"elements in another order":      `<Patient xmlns="http://hl7.org/fhir"><name><family value="A"/></name><active value=" true "/><name><family value="B"/></name></Patient>`,
		"the place of a schema":          `<Patient xmlns="http://hl7.org/fhir" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b"><active value="true"/><name><family value="A"/></name><name><family value="B"/></name></Patient>`,
		"characters written as numbers":  `<Patient xmlns="http://hl7.org/fhir"><active value="true"/><name><family value="&#65;"/></name><name><family value="&#x42;"/></name></Patient>`,
		"an encoding that is UTF-8 also": `<?xml version="1.0" encoding="utf-8"?><Patient xmlns="http://hl7.org/fhir"><active value="true"/><name><family value="A"/></name><name><family value="B"/></name></Patient>`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(text))
			if err != nil || !got.Equal(want) {
				t.Errorf("got %s %v", got.AppendJSON(nil), err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	patient := func(inner string) string { return `<Patient xmlns="http://hl7.org/fhir">` + inner + `</Patient>` }
	deep := `<Questionnaire xmlns="http://hl7.org/fhir">` + strings.Repeat("<item>", 100000) + strings.Repeat("</item>", 100000) + `</Questionnaire>`
	const canary = "CANARY77"
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                       {"", "line 1: the text ends where a resource is expected"},
		"no end":                        {`<Patient xmlns="http://hl7.org/fhir"><active`, "line 1: the text is not well-formed XML"},
		"another end":                   {patient("\n<name></" + canary + ">"), "line 2: the text is not well-formed XML"},
		"a document type":               {`<!DOCTYPE a [<!ENTITY b "` + canary + `">]>` + patient(""), "line 1: a document type declaration is not allowed"},
		"an entity":                     {patient(`<gender value="&` + canary + `;"/>`), "line 1: the text is not well-formed XML"},
		"another encoding":              {`<?xml version="1.0" encoding="ISO-8859-1"?>` + patient(""), "line 1: the text is not well-formed XML"},
		"no UTF-8":                      {patient("<gender value='\xff'/>"), "line 1: the text is not valid UTF-8"},
		"no namespace":                  {`<Patient/>`, "line 1: is not in the namespace http://hl7.org/fhir"},
		"an unknown type":               {`<` + canary + ` xmlns="http://hl7.org/fhir"/>`, "line 1: is no resource type of R4"},
		"an unknown element":            {patient("<" + canary + "/>"), "line 1: Patient has an element that R4 does not have there"},
		"an unknown attribute":          {patient(`<active ` + canary + `="1"/>`), "line 1: Patient.active has an attribute that FHIR does not have"},
		"an attribute of a resource":    {`<Patient xmlns="http://hl7.org/fhir" id="x"/>`, "line 1: Patient has an attribute: those of a resource are elements"},
		"an attribute twice":            {patient(`<active value="true" value="false"/>`), "line 1: Patient.active has an attribute twice"},
		"a value where there is none":   {patient(`<name value="` + canary + `"/>`), "line 1: Patient.name[0] has an attribute that FHIR does not have there"},
		"the url of what has none":      {patient(`<name url="x"/>`), "line 1: Patient.name[0] has an attribute that FHIR does not have there"},
		"an attribute as element":       {patient(`<extension><url value="x"/></extension>`), "line 1: Patient.extension[0] url must be an attribute"},
		"text between":                  {patient(canary), "line 1: Patient has text that stands in no attribute"},
		"an element twice":              {patient(`<active value="true"/><active value="true"/>`), "line 1: Patient.active stands twice"},
		"no value":                      {patient(`<active/>`), "line 1: Patient.active has neither value nor extension"},
		"a flag that is none":           {patient(`<active value="` + canary + `"/>`), "line 1: Patient.active is not a boolean"},
		"a number that is none":         {patient(`<multipleBirthInteger value="0x1"/>`), "line 1: Patient.multipleBirthInteger is not a integer"},
		"no extension":                  {patient(`<active value="true"><name/></active>`), "line 1: Patient.active has an element that is no extension"},
		"a contained that is empty":     {patient(`<contained/>`), "line 1: Patient.contained[0] has no resource"},
		"two contained in one":          {patient(`<contained><Basic/><Basic/></contained>`), "line 1: Patient.contained[0] has more than one resource"},
		"something after the end":       {patient("") + patient(""), "line 1: something follows the end of the resource"},
		"a div of no XHTML":             {patient(`<text><div>x</div></text>`), "line 1: Patient.text.div is not in the namespace http://www.w3.org/1999/xhtml"},
		"a div with a prefix of others": {`<Patient xmlns="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><text><h:div>x</h:div></text></Patient>`, "line 1: Patient.text.div is not one div with elements of XHTML only"},
		"half a surrogate pair":         {patient("\n" + `<name><family value="a&#xD800;"/></name>`), "line 2: Patient.name[0].family refers to half of a surrogate pair"},
		"the other half":                {patient(`<name><given value="&#57343;" id="x"/></name>`), "line 1: Patient.name[0].given[0] refers to half of a surrogate pair"},
		"half a pair as an id":          {patient(`<name id="&#x00dfff;"/>`), "line 1: Patient.name[0] refers to half of a surrogate pair"},
		"half a pair in a narrative":    {patient(`<text><div xmlns="http://www.w3.org/1999/xhtml">&#xDBFF;&#xDC00;</div></text>`), "line 1: Patient.text.div refers to half of a surrogate pair"},
		"half a pair in a link":         {patient(`<text><div xmlns="http://www.w3.org/1999/xhtml"><a href="&#xDC00;">x</a></div></text>`), "line 1: Patient.text.div refers to half of a surrogate pair"},
		"too deep":                      {deep, "line 1: Questionnaire.item[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.HasPrefix(e.Error(), c.want) || strings.Contains(e.Error(), canary) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestWhatXMLCannotHold(t *testing.T) {
	for name, c := range map[string]struct{ json, want string }{
		"a control character": {`{"resourceType":"Patient","name":[{"family":"\u0001"}]}`, "Patient.name[0].family has a character that XML cannot hold"},
		"an unknown element":  {`{"resourceType":"Patient","CANARY77":1}`, "Patient has an element that R4 does not have there"},
		"an unknown type":     {`{"resourceType":"CANARY77"}`, "is no resource of R4"},
		"a broken narrative":  {`{"resourceType":"Patient","text":{"div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"></text><active value=\"true\"/>"}}`, "Patient.text.div is not well-formed XHTML"},
		"half a pair":         {`{"resourceType":"Patient","text":{"div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">&#xD800;</div>"}}`, "Patient.text.div is not well-formed XHTML"},
		"a second element":    {`{"resourceType":"Patient","text":{"div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"/><div/>"}}`, "Patient.text.div is not well-formed XHTML"},
		"a list of nothing":   {`{"resourceType":"Patient","name":[null]}`, "Patient.name[0] is not an object"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Append(nil, parseJSON(t, c.json))
			if err == nil || err.Error() != c.want {
				t.Errorf("got %s %v, want %s", got, err, c.want)
			}
		})
	}
	t.Run("names of HTML and a missing namespace are made good", func(t *testing.T) {
		got, err := Append(nil, parseJSON(t, `{"resourceType":"Patient","text":{"status":"generated","div":"<div>a&nbsp;&lt;&copy;</div>"}}`))
		want := head + `<Patient xmlns="http://hl7.org/fhir"><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">a` + "\u00a0" + `&lt;©</div></text></Patient>`
		if err != nil || string(got) != want {
			t.Errorf("got %s %v", got, err)
		}
	})
}

// TestEveryElement finds the shape of every element of R4.
func TestEveryElement(t *testing.T) {
	for _, name := range definitions.Resources() {
		typ, _ := definitions.Lookup(name)
		for i := range typ.Elements {
			e := &typ.Elements[i]
			p, last := place{typ, ""}, e.Path
			if dot := strings.LastIndexByte(e.Path, '.'); dot >= 0 {
				p.path, last = e.Path[:dot], e.Path[dot+1:]
			}
			for _, one := range e.Types {
				if _, _, ok := p.value(last, one); !ok {
					t.Errorf("%s.%s: type %s is not known", name, e.Path, one)
				}
			}
		}
	}
}

// TestCorpus takes every example from JSON to XML and back, plain and indented.
func TestCorpus(t *testing.T) {
	read, changed := 0, 0
	for _, folder := range []string{"valid", "uscore"} {
		err := filepath.WalkDir(corpus.Dir(t, "fhir", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			tree, err := fhir.Parse(data)
			if err != nil {
				t.Errorf("%s: %v", d.Name(), err)
				return nil
			}
			read++
			for _, write := range []func([]byte, *fhir.Node) ([]byte, error){Append, AppendIndent} {
				text, err := write(nil, tree)
				if err != nil {
					changed++
					t.Errorf("%s: %v", d.Name(), err)
					return nil
				}
				back, err := Parse(text)
				if err != nil || !back.Equal(tree) {
					changed++
					t.Errorf("%s: came back changed: %v", d.Name(), err)
					return nil
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d examples, %d not the same", read, changed)
	if read < 100 {
		t.Errorf("%d examples read", read)
	}
}

// TestCorpusXML reads the XML files of the corpus, and those that are there in
// JSON too must be equal.
func TestCorpusXML(t *testing.T) {
	read, both := 0, 0
	err := filepath.WalkDir(corpus.Dir(t, "fhir", "fhirpath", "input"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".xml" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v", d.Name(), err)
			return nil
		}
		read++
		text, err := Append(nil, n)
		if err != nil {
			t.Errorf("%s: %v", d.Name(), err)
			return nil
		}
		if back, err := Parse(text); err != nil || !back.Equal(n) {
			t.Errorf("%s: came back changed: %v", d.Name(), err)
		}
		data, err = os.ReadFile(strings.TrimSuffix(path, ".xml") + ".json")
		if err != nil {
			return nil //nolint:nilerr // it is there in XML only
		}
		tree, err := fhir.Parse(data)
		if err != nil {
			return err
		}
		both++
		if tree.Delete("text"); n.Get("text") != nil {
			n.Delete("text") // the narratives are spaced in other ways
		}
		if !tree.Equal(n) {
			t.Logf("%s: not as in JSON", d.Name())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d of them in JSON too", read, both)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`<Patient xmlns="http://hl7.org/fhir"><name id="n"><given value="Ann"/><given id="g"><extension url="u"><valueCode value="y"/></extension></given></name></Patient>`,
		`<Patient xmlns="http://hl7.org/fhir"><text><status value="x"/><div xmlns="http://www.w3.org/1999/xhtml">a<br/></div></text><contained><Basic/></contained></Patient>`,
		`<!DOCTYPE a><a/>`, `<Observation xmlns="http://hl7.org/fhir"><valueQuantity><value value="1.0"/></valueQuantity></Observation>`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data)
		if err != nil {
			return
		}
		if again, err := fhir.Parse(n.AppendJSON(nil)); err != nil || !again.Equal(n) {
			t.Fatalf("is no JSON: %v", err)
		}
		text, err := Append(nil, n)
		if err != nil {
			t.Fatalf("cannot be written: %v", err)
		}
		if again, err := Parse(text); err != nil || !again.Equal(n) {
			t.Fatalf("not the same after it was written: %v\n%s", err, text)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(`<Observation xmlns="http://hl7.org/fhir"><id value="o1"/><status value="final"/><code><coding><system value="http://loinc.org"/><code value="718-7"/></coding></code><subject><reference value="Patient/1"/></subject><valueQuantity><value value="11.9"/><unit value="g/dL"/></valueQuantity></Observation>`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
