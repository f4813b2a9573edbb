package rest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// check holds the structure of a resource against the definitions: known
// elements, JSON types, lists where they belong, required elements. All faults
// are reported, each with its place.
func check(n *fhir.Node, typ string) error {
	k := &checker{}
	said := text(n, "resourceType")
	switch {
	case said == "":
		return &fault{http.StatusBadRequest, "structure", "", "resourceType is missing"}
	case typ != "" && said != typ:
		return &fault{http.StatusBadRequest, "invalid", "", "resourceType is not " + typ}
	}
	t, ok := definitions.Resource(said)
	if !ok {
		return &fault{http.StatusBadRequest, "structure", "", "resourceType is no resource type of R4"}
	}
	if id := n.Get("id"); id != nil && (id.Kind != fhir.String || !goodID.MatchString(id.Text)) {
		k.fault(said+".id", "invalid", "is not 1 to 64 letters, digits, dots and dashes")
	}
	k.object(n, t, "", said, 0)
	if len(k.found) > 0 {
		return k.found
	}
	return nil
}

type checker struct{ found faults }

func (k *checker) fault(at, code, text string) {
	if len(k.found) < 50 {
		k.found = append(k.found, &fault{http.StatusUnprocessableEntity, code, at, text})
	}
}

// object checks the members of an object of type t below path.
func (k *checker) object(n *fhir.Node, t *definitions.Type, path, at string, depth int) {
	if n.Kind != fhir.Object {
		k.fault(at, "structure", "is not an object")
		return
	}
	if len(n.Members) == 0 {
		k.fault(at, "structure", "is empty")
	}
	for i := range n.Members {
		m := &n.Members[i]
		if m.Name == "resourceType" && path == "" {
			continue
		}
		name, shadow := strings.CutPrefix(m.Name, "_")
		e, one, ok := t.Child(path, name)
		if !ok {
			k.fault(at+"."+printable(m.Name), "structure", "is not an element of "+t.Name+pathOf(path))
			continue
		}
		if shadow {
			continue // id and extensions of a primitive
		}
		k.element(m.Value, t, e, one, path, at+"."+m.Name, name, depth)
	}
	for _, e := range t.Children(path) {
		if e.Min > 0 && !present(n, e) && t.Name != "Narrative" { // one without its div is taken by everybody
			k.fault(at, "required", lastOf(e.Path)+" is missing")
		}
	}
}

func pathOf(path string) string {
	if path == "" {
		return ""
	}
	return "." + path
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// printable is the name of a member as far as an error may show it: names that
// are no words may be anything.
func printable(name string) string {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "(a name)"
		}
	}
	if len(name) > 40 {
		return "(a name)"
	}
	return name
}

func present(n *fhir.Node, e *definitions.Element) bool {
	name := lastOf(e.Path)
	stem, choice := strings.CutSuffix(name, "[x]")
	for i := range n.Members {
		have := strings.TrimPrefix(n.Members[i].Name, "_")
		if have == name || (choice && strings.HasPrefix(have, stem)) {
			return true
		}
	}
	return false
}

// element checks one element, a list or not.
func (k *checker) element(v *fhir.Node, t *definitions.Type, e *definitions.Element, one, path, at, name string, depth int) {
	if e.Repeats() {
		if v.Kind != fhir.Array {
			k.fault(at, "structure", "must be a list")
			return
		}
		if len(v.Items) == 0 {
			k.fault(at, "structure", "is an empty list")
		}
		for i, item := range v.Items {
			k.value(item, t, e, one, path, at+"["+strconv.Itoa(i)+"]", name, depth)
		}
		return
	}
	if v.Kind == fhir.Array {
		k.fault(at, "structure", "must not be a list")
		return
	}
	k.value(v, t, e, one, path, at, name, depth)
}

func (k *checker) value(v *fhir.Node, t *definitions.Type, e *definitions.Element, one, path, at, name string, depth int) {
	if depth > 40 {
		k.fault(at, "structure", "is nested too deep")
		return
	}
	below := name
	if path != "" {
		below = path + "." + name
	}
	switch {
	case strings.HasPrefix(one, "#"):
		owner, inner, _ := strings.Cut(strings.TrimPrefix(one, "#"), ".")
		if other, ok := definitions.Lookup(owner); ok {
			k.object(v, other, inner, at, depth+1)
		}
		return
	case one == "BackboneElement" || (one == "Element" && len(t.Children(below)) > 0):
		k.object(v, t, below, at, depth+1)
		return
	case one == "Resource":
		if said := text(v, "resourceType"); said != "" {
			if inner, ok := definitions.Resource(said); ok {
				k.object(v, inner, "", at, depth+1)
				return
			}
		}
		k.fault(at, "structure", "is not a resource")
		return
	}
	if v.Kind == fhir.Null {
		if !e.Repeats() { // in a list null stands for a value that has only extensions
			k.fault(at, "structure", "is null")
		}
		return
	}
	typ, ok := definitions.Lookup(one)
	if !ok {
		return
	}
	if typ.Kind != "primitive-type" {
		k.object(v, typ, "", at, depth+1)
		return
	}
	k.primitive(v, one, at)
}

// primitive checks the JSON type and, where a wrong one would be lost in
// searches, the form.
func (k *checker) primitive(v *fhir.Node, typ, at string) {
	want := fhir.String
	switch typ {
	case "boolean":
		want = fhir.Bool
	case "integer", "decimal", "positiveInt", "unsignedInt":
		want = fhir.Number
	}
	if v.Kind != want {
		k.fault(at, "structure", "is not a JSON "+map[fhir.Kind]string{fhir.String: "string", fhir.Bool: "boolean", fhir.Number: "number"}[want])
		return
	}
	if want == fhir.String && v.Text == "" {
		k.fault(at, "value", "is empty")
		return
	}
	switch typ {
	case "date", "dateTime", "instant":
		if !goodDate(v.Text, typ) {
			k.fault(at, "value", "is not a "+typ)
		}
	case "code":
		if strings.TrimSpace(v.Text) != v.Text {
			k.fault(at, "value", "has spaces around it")
		}
	case "integer", "positiveInt", "unsignedInt":
		if _, err := strconv.ParseInt(v.Text, 10, 32); err != nil {
			k.fault(at, "value", "is not a 32-bit whole number")
		}
	}
}
