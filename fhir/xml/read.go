package xml

import (
	"bytes"
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Parse reads one resource. Document type declarations, entities other than the
// five of XML, other encodings than UTF-8, other namespaces, elements that R4
// does not have and depths above 64 are errors (*Error). What R4 says of the
// values themselves is not looked at.
func Parse(data []byte) (*fhir.Node, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	r := &reader{data: data, d: xml.NewDecoder(bytes.NewReader(data))}
	if !utf8.Valid(data) {
		return nil, &Error{Line: 1, Text: "the text is not valid UTF-8"}
	}
	start, err := r.next("")
	if err != nil {
		return nil, err
	}
	if start == nil {
		return nil, r.fault("", "the text ends where a resource is expected")
	}
	n, err := r.resource(*start, 0, "")
	if err != nil {
		return nil, err
	}
	for {
		t, err := r.d.Token()
		if err == io.EOF { //nolint:errorlint // the decoder returns it as it is
			return n, nil
		}
		if err != nil {
			return nil, r.broken()
		}
		if err := r.between(t, ""); err != nil {
			return nil, err
		}
		if _, more := t.(xml.StartElement); more {
			return nil, r.fault("", "something follows the end of the resource")
		}
	}
}

type reader struct {
	data []byte
	d    *xml.Decoder
	from int64 // where the last tag begins
}

func (r *reader) fault(at, text string) error {
	line, _ := r.d.InputPos()
	return &Error{Line: line, Where: at, Text: text}
}

// broken is what is said of all that the decoder refuses, whose own words hold
// names of the text.
func (r *reader) broken() error { return r.fault("", "the text is not well-formed XML") }

// between looks at what may stand between elements: white space and comments.
func (r *reader) between(t xml.Token, at string) error {
	switch t := t.(type) {
	case xml.CharData:
		if len(bytes.TrimLeft(t, " \t\r\n")) > 0 {
			return r.fault(at, "has text that stands in no attribute")
		}
	case xml.Directive:
		return r.fault("", "a document type declaration is not allowed")
	}
	return nil
}

// next returns the start of the next element, nil where the one around it ends.
func (r *reader) next(at string) (*xml.StartElement, error) {
	for {
		r.from = r.d.InputOffset()
		t, err := r.d.Token()
		if err == io.EOF { //nolint:errorlint // the decoder returns it as it is
			return nil, nil
		}
		if err != nil {
			return nil, r.broken()
		}
		switch t := t.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		}
		if err := r.between(t, at); err != nil {
			return nil, err
		}
	}
}

// attributes are those that FHIR has; nil is one that is not there.
type attributes struct{ id, value, url *string }

func (r *reader) attributes(start xml.StartElement, at string) (attributes, error) {
	var a attributes
	if NoCharacter(start, r.data[r.from:r.d.InputOffset()]) {
		return a, r.fault(at, half)
	}
	for i := range start.Attr {
		name, value := start.Attr[i].Name, &start.Attr[i].Value
		var to **string
		switch {
		case name.Space == "xmlns" || (name.Space == "" && name.Local == "xmlns") || name.Space == schema:
			continue
		case name.Space != "":
		case name.Local == "id":
			to = &a.id
		case name.Local == "value":
			to = &a.value
		case name.Local == "url":
			to = &a.url
		}
		if to == nil {
			return a, r.fault(at, "has an attribute that FHIR does not have")
		}
		if *to != nil {
			return a, r.fault(at, "has an attribute twice")
		}
		*to = value
	}
	return a, nil
}

// resource reads a resource whose element has begun.
func (r *reader) resource(start xml.StartElement, depth int, at string) (*fhir.Node, error) {
	if start.Name.Space != namespace {
		return nil, r.fault(at, "is not in the namespace "+namespace)
	}
	t, ok := definitions.Resource(start.Name.Local)
	if !ok {
		return nil, r.fault(at, "is no resource type of R4")
	}
	if at == "" {
		at = t.Name
	}
	a, err := r.attributes(start, at)
	if err != nil {
		return nil, err
	}
	if a != (attributes{}) {
		return nil, r.fault(at, "has an attribute: those of a resource are elements")
	}
	n := fhir.NewObject()
	n.Set("resourceType", fhir.Text(t.Name))
	return n, r.elements(n, place{t, ""}, depth, at)
}

// elements reads what stands below an element up to its end.
func (r *reader) elements(n *fhir.Node, p place, depth int, at string) error {
	for {
		start, err := r.next(at)
		if err != nil || start == nil {
			return err
		}
		name := start.Name.Local
		e, typ, ok := p.t.Child(p.path, name)
		switch {
		case !ok:
			return r.fault(at, "has an element that R4 does not have there")
		case p.attribute(name):
			return r.fault(at, name+" must be an attribute")
		}
		shape, below, ok := p.value(name, typ)
		want := namespace
		if shape == narrativeValue {
			want = xhtml
		}
		if !ok || start.Name.Space != want {
			return r.fault(at+"."+name, "is not in the namespace "+want)
		}
		m := member{n: n, name: name, list: e.Repeats(), at: at + "." + name, depth: depth + 1}
		if m.list {
			m.depth++
			m.at += "[" + strconv.Itoa(m.count()) + "]"
		} else if n.Get(name) != nil || n.Get("_"+name) != nil {
			return r.fault(m.at, "stands twice")
		}
		if m.depth > maxDepth || m.count() >= maxItems {
			return r.fault(m.at, "is nested more than 64 deep, or stands more than 100000 times")
		}
		if err := r.member(*start, m, shape, below); err != nil {
			return err
		}
	}
}

// A member is where the value of an element goes.
type member struct {
	n     *fhir.Node
	name  string
	list  bool
	at    string
	depth int
}

// count is how many values a list has so far.
func (m *member) count() int {
	count := 0
	for _, name := range []string{m.name, "_" + m.name} {
		if v := m.n.Get(name); v != nil {
			count = max(count, len(v.Items))
		}
	}
	return count
}

func (m *member) put(v *fhir.Node) {
	if !m.list {
		m.n.Set(m.name, v)
		return
	}
	put(m.n, m.name, m.count(), v)
}

// put sets an item of a list and fills up with null before it.
func put(n *fhir.Node, name string, at int, v *fhir.Node) {
	l := n.Get(name)
	if l == nil {
		l = &fhir.Node{Kind: fhir.Array}
		n.Set(name, l)
	}
	for len(l.Items) < at {
		l.Items = append(l.Items, &fhir.Node{})
	}
	l.Items = append(l.Items, v)
}

// member reads the value of one element.
func (r *reader) member(start xml.StartElement, m member, shape shape, p place) error {
	if shape == narrativeValue {
		text, err := r.narrative(m.at)
		if err == nil {
			m.put(fhir.Text(text))
		}
		return err
	}
	a, err := r.attributes(start, m.at)
	if err != nil {
		return err
	}
	switch shape {
	case primitiveValue:
		return r.primitive(a, m, p)
	case resourceValue:
		if a != (attributes{}) {
			return r.fault(m.at, "has an attribute that FHIR does not have")
		}
		return r.inner(m)
	}
	n := fhir.NewObject()
	if a.value != nil || (a.url != nil && !p.attribute("url")) {
		return r.fault(m.at, "has an attribute that FHIR does not have there")
	}
	if a.id != nil {
		n.Set("id", fhir.Text(*a.id))
	}
	if a.url != nil {
		n.Set("url", fhir.Text(*a.url))
	}
	if err := r.elements(n, p, m.depth, m.at); err != nil {
		return err
	}
	m.put(n)
	return nil
}

// inner reads the one resource that stands in an element.
func (r *reader) inner(m member) error {
	start, err := r.next(m.at)
	if err != nil {
		return err
	}
	if start == nil {
		return r.fault(m.at, "has no resource")
	}
	n, err := r.resource(*start, m.depth, m.at)
	if err != nil {
		return err
	}
	if start, err = r.next(m.at); err != nil {
		return err
	}
	if start != nil {
		return r.fault(m.at, "has more than one resource")
	}
	m.put(n)
	return nil
}

// primitive reads a value with its id and extensions, which JSON keeps beside
// it (R4, 2.6.2.2.1).
func (r *reader) primitive(a attributes, m member, p place) error {
	if a.url != nil {
		return r.fault(m.at, "has an attribute that FHIR does not have there")
	}
	beside := fhir.NewObject()
	if a.id != nil {
		beside.Set("id", fhir.Text(*a.id))
	}
	for {
		start, err := r.next(m.at)
		if err != nil {
			return err
		}
		if start == nil {
			break
		}
		if start.Name.Local != "extension" || start.Name.Space != namespace {
			return r.fault(m.at, "has an element that is no extension")
		}
		e := member{n: beside, name: "extension", list: true, depth: m.depth + 2}
		e.at = m.at + ".extension[" + strconv.Itoa(e.count()) + "]"
		if e.depth > maxDepth || e.count() >= maxItems {
			return r.fault(e.at, "is nested more than 64 deep, or stands more than 100000 times")
		}
		if err := r.member(*start, e, complexValue, extension()); err != nil {
			return err
		}
	}
	if a.value == nil && len(beside.Members) == 0 {
		return r.fault(m.at, "has neither value nor extension")
	}
	var v *fhir.Node
	if a.value != nil {
		if v = valueOf(*a.value, p.t.Name); v == nil {
			return r.fault(m.at, "is not a "+p.t.Name)
		}
	}
	at := m.count()
	if v != nil {
		if m.list {
			put(m.n, m.name, at, v)
		} else {
			m.put(v)
		}
	}
	m.beside(at, beside)
	return nil
}

// beside puts what belongs to the value of number at. Lists of values and of
// what is beside them are of one length when both are there.
func (m *member) beside(at int, v *fhir.Node) {
	name := "_" + m.name
	if len(v.Members) > 0 {
		if !m.list {
			m.n.Set(name, v)
			return
		}
		put(m.n, name, at, v)
	}
	for _, l := range []*fhir.Node{m.n.Get(m.name), m.n.Get(name)} {
		if m.list && l != nil && len(l.Items) <= at {
			l.Items = append(l.Items, &fhir.Node{})
		}
	}
}

// valueOf is the JSON value of a primitive, nil when it has not the form of its
// type. White space around what is no text does not count.
func valueOf(text, typ string) *fhir.Node {
	kind := kindOf(typ)
	if kind == fhir.String {
		return fhir.Text(text)
	}
	v, err := fhir.Parse([]byte(text))
	if err != nil || v.Kind != kind {
		return nil
	}
	return v
}

// narrative returns the div that has begun, as it is written.
func (r *reader) narrative(at string) (string, error) {
	end := r.d.InputOffset()
	begin := int64(bytes.LastIndexByte(r.data[:end], '<'))
	for deep := 1; deep > 0; {
		t, err := r.d.Token()
		if err != nil {
			return "", r.broken()
		}
		switch t.(type) {
		case xml.StartElement:
			deep++
		case xml.EndElement:
			deep--
		}
		if deep > maxDepth {
			return "", r.fault(at, "is nested more than 64 deep")
		}
		end = r.d.InputOffset()
	}
	text := lines.Replace(string(r.data[begin:end]))
	if _, err := div(text); err != nil {
		return "", r.fault(at, err.Error())
	}
	return text, nil
}

// lines makes all ends of lines the same, as every reader of XML does.
var lines = strings.NewReplacer("\r\n", "\n", "\r", "\n")
