package fhirpath

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/internal/corpus"
)

// knownFailures are the official tests that fail, by name, each with the reason.
var knownFailures = map[string]string{}

type officialTest struct {
	Group, Name, InputFile, Expression string
	Invalid, Mode, Predicate           string
	Outputs                            []struct{ Type, Value string }
}

// TestOfficial runs the official tests for R4. A test that fails must stand in
// knownFailures, and one that stands there must fail.
func TestOfficial(t *testing.T) {
	folder := corpus.Dir(t, "fhir", "fhirpath")
	inputs := map[string]*fhir.Node{"": nil}
	file, err := os.Open(filepath.Join(folder, "tests-fhir-r4.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	passed, total, met := 0, 0, map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var test officialTest
		if err := json.Unmarshal(lines.Bytes(), &test); err != nil {
			t.Fatal(err)
		}
		root, read := inputs[test.InputFile]
		if !read {
			root = readInput(t, filepath.Join(folder, "input", test.InputFile))
			inputs[test.InputFile] = root
		}
		total++
		problem := test.run(t, root)
		reason, known := knownFailures[test.Name]
		met[test.Name] = true
		switch {
		case problem == "" && known:
			t.Errorf("%s passes now; strike it from knownFailures (%s)", test.Name, reason)
		case problem != "" && !known:
			t.Errorf("%s: %s: %s", test.Name, test.Expression, problem)
		}
		if problem == "" {
			passed++
		}
	}
	for name := range knownFailures {
		if !met[name] {
			t.Errorf("%s stands in knownFailures and is no test", name)
		}
	}
	t.Logf("%d of %d official tests pass", passed, total)
	if total == 0 {
		t.Error("no tests were read")
	}
}

// run says what is wrong, or nothing.
func (test *officialTest) run(t *testing.T, root *fhir.Node) string {
	e, err := Compile(test.Expression)
	if err == nil && test.Mode == "strict" {
		err = e.Check(memberText(root, "resourceType"))
	}
	var values []Value
	if err == nil {
		values, err = e.Eval(t.Context(), root, Options{})
	}
	if test.Invalid != "" {
		if err == nil {
			return "no error, want one (" + test.Invalid + "): " + shownValues(values)
		}
		return ""
	}
	if err != nil {
		return err.Error()
	}
	if test.Predicate == "true" {
		truth, err := truthOf(values, 0)
		if err != nil {
			return err.Error()
		}
		values = []Value{Boolean(truth == yes)}
	}
	if len(values) != len(test.Outputs) {
		return "got " + shownValues(values)
	}
	for i, want := range test.Outputs {
		_, typ, _ := strings.Cut(values[i].Type(), ".")
		if text := strings.TrimPrefix(want.Value, "@"); values[i].String() != strings.TrimPrefix(text, "T") {
			return "got " + shownValues(values)
		}
		if want.Type != "" && !strings.EqualFold(typ, want.Type) {
			return "got " + shownValues(values)
		}
	}
	return ""
}

func shownValues(values []Value) string {
	var b strings.Builder
	for _, v := range values {
		b.WriteString(v.Type() + " " + v.String() + "; ")
	}
	return "[" + b.String() + "]"
}

// readInput reads a resource as JSON or XML.
func readInput(t *testing.T, path string) *fhir.Node {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(path) == ".json" {
		n, err := fhir.Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return n
	}
	x := &xmlReader{d: xml.NewDecoder(strings.NewReader(string(data)))}
	for {
		token, err := x.d.Token()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		n, err := x.resource(start)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return n
	}
}

// An xmlReader makes the JSON form of a resource in XML, as far as the inputs
// of the official tests need it.
type xmlReader struct{ d *xml.Decoder }

func (x *xmlReader) resource(start xml.StartElement) (*fhir.Node, error) {
	n := fhir.NewObject()
	n.Set("resourceType", fhir.Text(start.Name.Local))
	return n, x.elements(n, typePlace(start.Name.Local))
}

// elements reads what stands in an element into n.
func (x *xmlReader) elements(n *fhir.Node, at place) error {
	for {
		token, err := x.d.Token()
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if err := x.element(n, at, e); err != nil {
				return err
			}
		}
	}
}

func (x *xmlReader) element(n *fhir.Node, at place, e xml.StartElement) error {
	name := e.Name.Local
	if e.Name.Space == "http://www.w3.org/1999/xhtml" {
		div, err := x.div()
		n.Set("div", fhir.Text(div))
		return err
	}
	def, typ, ok := at.owner.Child(at.path, name)
	if !ok {
		return errors.New("no element of " + at.name + ": " + name)
	}
	if typ == "Resource" {
		return x.inner(n, name, def.Repeats())
	}
	below := at.child(name, typ)
	inner := fhir.NewObject()
	var value *fhir.Node
	for _, a := range e.Attr {
		switch a.Name.Local {
		case "value":
			value = jsonOf(below.name, a.Value)
		case "url", "id":
			inner.Set(a.Name.Local, fhir.Text(a.Value))
		}
	}
	if err := x.elements(inner, below); err != nil {
		return err
	}
	if !definitions.Primitive(below.name) {
		put(n, name, inner, def.Repeats())
		return nil
	}
	if value != nil || def.Repeats() {
		put(n, name, value, def.Repeats())
	}
	if len(inner.Members) > 0 {
		put(n, "_"+name, inner, def.Repeats())
	}
	return nil
}

// inner reads a resource that stands in an element of its own.
func (x *xmlReader) inner(n *fhir.Node, name string, list bool) error {
	for {
		token, err := x.d.Token()
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			one, err := x.resource(e)
			if err != nil {
				return err
			}
			put(n, name, one, list)
		}
	}
}

// div passes a narrative; its text does not matter.
func (x *xmlReader) div() (string, error) {
	if err := x.d.Skip(); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return `<div xmlns="http://www.w3.org/1999/xhtml">text</div>`, nil
}

func put(n *fhir.Node, name string, v *fhir.Node, list bool) {
	if v == nil {
		v = &fhir.Node{Kind: fhir.Null}
	}
	if !list {
		n.Set(name, v)
		return
	}
	have := n.Get(name)
	if have == nil {
		have = &fhir.Node{Kind: fhir.Array}
		n.Set(name, have)
	}
	have.Items = append(have.Items, v)
}

func jsonOf(typ, text string) *fhir.Node {
	switch typ {
	case "boolean":
		return fhir.Flag(text == "true")
	case "integer", "decimal", "positiveInt", "unsignedInt":
		return fhir.Decimal(text)
	}
	return fhir.Text(text)
}
