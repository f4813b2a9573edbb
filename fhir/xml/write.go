package xml

import (
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Append appends a resource as an XML document, without white space between
// elements. What R4 does not define and what XML cannot hold (control
// characters, a narrative that is not XHTML) are errors (*Error).
func Append(dst []byte, n *fhir.Node) ([]byte, error) { return document(dst, n, false) }

// AppendIndent is Append with two spaces for each level.
func AppendIndent(dst []byte, n *fhir.Node) ([]byte, error) { return document(dst, n, true) }

func document(dst []byte, n *fhir.Node, pretty bool) ([]byte, error) {
	w := &writer{out: append(dst, `<?xml version="1.0" encoding="UTF-8"?>`...), pretty: pretty}
	if err := w.resource(n, ""); err != nil {
		return nil, err
	}
	if pretty {
		w.out = append(w.out, '\n')
	}
	return w.out, nil
}

type writer struct {
	out    []byte
	pretty bool
	deep   int
}

func wrong(at, text string) error { return &Error{Where: at, Text: text} }

// line begins an element or the end of one on a line of its own.
func (w *writer) line() {
	if !w.pretty {
		return
	}
	w.out = append(w.out, '\n')
	for range w.deep {
		w.out = append(w.out, ' ', ' ')
	}
}

func (w *writer) open(name string) {
	w.line()
	w.out = append(append(w.out, '<'), name...)
}

func (w *writer) shut(name string) {
	w.line()
	w.out = append(append(append(w.out, '<', '/'), name...), '>')
}

// attribute writes one, so that what stands in it comes back as it was: line
// ends too, which readers else make spaces of (XML 1.0, 3.3.3).
func (w *writer) attribute(name, value, at string) error {
	w.out = append(append(append(w.out, ' '), name...), '=', '"')
	start := 0
	for i, c := range value {
		var escape string
		switch c {
		case '&':
			escape = "&amp;"
		case '<':
			escape = "&lt;"
		case '>':
			escape = "&gt;"
		case '"':
			escape = "&quot;"
		case '\t':
			escape = "&#9;"
		case '\n':
			escape = "&#10;"
		case '\r':
			escape = "&#13;"
		case '\uFFFE', '\uFFFF':
			return wrong(at, "has a character that XML cannot hold")
		default:
			if c < 0x20 {
				return wrong(at, "has a character that XML cannot hold")
			}
			continue
		}
		w.out = append(append(w.out, value[start:i]...), escape...)
		start = i + 1
	}
	w.out = append(append(w.out, value[start:]...), '"')
	return nil
}

func (w *writer) resource(n *fhir.Node, at string) error {
	name := ""
	if v := n.Get("resourceType"); v != nil && v.Kind == fhir.String {
		name = v.Text
	}
	t, ok := definitions.Resource(name)
	if !ok {
		return wrong(at, "is no resource of R4")
	}
	if w.deep > maxDepth {
		return wrong(at, "is nested more than 64 deep")
	}
	w.open(t.Name)
	if at == "" {
		at = t.Name
		w.out = append(w.out, ` xmlns="`+namespace+`"`...)
	}
	return w.object(n, place{t, ""}, t.Name, at)
}

// A written is a member with the place of its element in the definition.
type written struct {
	order         int
	name, typ     string
	value, beside *fhir.Node
}

// members are those of an object in the order of the definition.
func members(n *fhir.Node, p place, at string) ([]written, error) {
	children := p.t.Children(p.path)
	list := make([]written, 0, len(n.Members))
	for i := range n.Members {
		m := &n.Members[i]
		if m.Name == "resourceType" && p.path == "" && p.t.Kind == "resource" {
			continue
		}
		name, beside := strings.CutPrefix(m.Name, "_")
		e, typ, ok := p.t.Child(p.path, name)
		if !ok {
			return nil, wrong(at, "has an element that R4 does not have there")
		}
		one := written{order: slices.Index(children, e), name: name, typ: typ}
		have := slices.IndexFunc(list, func(o written) bool { return o.name == name })
		if have < 0 {
			have = len(list)
			list = append(list, one)
		}
		if beside {
			list[have].beside = m.Value
		} else {
			list[have].value = m.Value
		}
	}
	slices.SortStableFunc(list, func(a, b written) int { return a.order - b.order })
	return list, nil
}

// object writes what belongs to the element that was opened, and its end.
func (w *writer) object(n *fhir.Node, p place, name, at string) error {
	if n.Kind != fhir.Object {
		return wrong(at, "is not an object")
	}
	list, err := members(n, p, at)
	if err != nil {
		return err
	}
	inside := false
	for _, m := range list {
		if !p.attribute(m.name) {
			inside = true
			continue
		}
		if m.value == nil || m.value.Kind != fhir.String {
			return wrong(at+"."+m.name, "is not a JSON string")
		}
		if err := w.attribute(m.name, m.value.Text, at+"."+m.name); err != nil {
			return err
		}
	}
	if !inside {
		w.out = append(w.out, '/', '>')
		return nil
	}
	w.out = append(w.out, '>')
	w.deep++
	for _, m := range list {
		if p.attribute(m.name) {
			continue
		}
		if err := w.member(m, p, at+"."+m.name); err != nil {
			return err
		}
	}
	w.deep--
	w.shut(name)
	return nil
}

// member writes the elements of one name.
func (w *writer) member(m written, p place, at string) error {
	if (m.value == nil || m.value.Kind != fhir.Array) && (m.beside == nil || m.beside.Kind != fhir.Array) {
		return w.value(m, p, at)
	}
	item := func(l *fhir.Node, i int) *fhir.Node {
		if l == nil || i >= len(l.Items) {
			return nil
		}
		return l.Items[i]
	}
	count := 0
	for _, l := range []*fhir.Node{m.value, m.beside} {
		if l != nil {
			count = max(count, len(l.Items))
		}
	}
	for i := range count {
		one := written{name: m.name, typ: m.typ, value: item(m.value, i), beside: item(m.beside, i)}
		if err := w.value(one, p, at+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	return nil
}

// value writes one element.
func (w *writer) value(m written, p place, at string) error {
	shape, below, ok := p.value(m.name, m.typ)
	switch {
	case !ok || w.deep > maxDepth:
		return wrong(at, "cannot be written in XML")
	case shape == primitiveValue:
		return w.primitive(m, at)
	case m.value == nil:
		return wrong(at, "has no value")
	case shape == narrativeValue:
		text, err := div(m.value.Text)
		if err != nil || strings.ContainsFunc(text, forbidden) {
			return wrong(at, errNoXHTML.Error())
		}
		w.line()
		w.out = append(w.out, text...)
		return nil
	}
	w.open(m.name)
	if shape == complexValue {
		return w.object(m.value, below, m.name, at)
	}
	w.out = append(w.out, '>')
	w.deep++
	if err := w.resource(m.value, at); err != nil {
		return err
	}
	w.deep--
	w.shut(m.name)
	return nil
}

func forbidden(c rune) bool {
	return c < 0x20 && c != '\t' && c != '\n' && c != '\r' || c == 0xFFFE || c == 0xFFFF
}

// primitive writes a value with the id and the extensions that JSON keeps
// beside it.
func (w *writer) primitive(m written, at string) error {
	some := m.value != nil && m.value.Kind != fhir.Null
	if some && m.value.Kind == fhir.Object {
		return wrong(at, "is not a primitive value")
	}
	beside := m.beside
	if beside != nil && beside.Kind == fhir.Null {
		beside = nil
	}
	if !some && beside == nil {
		return wrong(at, "has neither value nor extension")
	}
	w.open(m.name)
	if some && beside == nil {
		if err := w.attribute("value", m.value.Text, at); err != nil {
			return err
		}
		w.out = append(w.out, '/', '>')
		return nil
	}
	if beside.Kind != fhir.Object {
		return wrong(at, "is not an object")
	}
	for i := range beside.Members {
		if name := beside.Members[i].Name; name != "id" && name != "extension" {
			return wrong(at, "has an element that is no extension")
		}
	}
	id := beside.Get("id")
	if id != nil {
		if err := w.attribute("id", id.Text, at+".id"); err != nil {
			return err
		}
	}
	if some {
		if err := w.attribute("value", m.value.Text, at); err != nil {
			return err
		}
	}
	list := beside.Get("extension")
	if list == nil {
		w.out = append(w.out, '/', '>')
		return nil
	}
	w.out = append(w.out, '>')
	w.deep++
	if err := w.member(written{name: "extension", typ: "Extension", value: list}, extension(), at+".extension"); err != nil {
		return err
	}
	w.deep--
	w.shut(m.name)
	return nil
}
