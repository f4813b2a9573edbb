// Package validate holds resources against the definitions of FHIR R4. What it
// says names places and never a value.
package validate

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Known reports whether a word is a resource type, or an element of any type,
// as JSON writes it.
func Known(word string) bool { return definitions.Word(word) }

// A Fault is one thing that is wrong with a resource.
type Fault struct {
	// Where is a FHIRPath expression ("Patient.name[0].family"), or empty.
	Where string
	// Code is a code of issue-type: structure, required, value, invalid.
	Code string
	Text string
}

// most is how many faults are looked for.
const most = 50

var goodID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// ID reports whether a text is a logical id (FHIR R4, 2.24.0.1).
func ID(text string) bool { return goodID.MatchString(text) }

// Type is the resource type that a resource says it is, and what is wrong with
// that.
func Type(n *fhir.Node) (*definitions.Type, *Fault) {
	said := ""
	if v := n.Get("resourceType"); v != nil && v.Kind == fhir.String {
		said = v.Text
	}
	if said == "" {
		return nil, &Fault{"", "structure", "resourceType is missing"}
	}
	t, ok := definitions.Resource(said)
	if !ok {
		return nil, &Fault{"", "structure", "resourceType is no resource type of R4"}
	}
	return t, nil
}

// Structure holds a resource against its definition: known elements, JSON
// types, lists where they belong, required elements, the forms of dates and
// numbers. It returns the first faults in the order of the content.
func Structure(n *fhir.Node) []Fault {
	t, fault := Type(n)
	if fault != nil {
		return []Fault{*fault}
	}
	k := &checker{}
	if id := n.Get("id"); id != nil && (id.Kind != fhir.String || !ID(id.Text)) {
		k.fault(t.Name+".id", "invalid", "is not 1 to 64 letters, digits, dots and dashes")
	}
	k.object(n, t, "", t.Name, 0)
	return k.found
}

type checker struct{ found []Fault }

func (k *checker) fault(at, code, text string) {
	if len(k.found) < most {
		k.found = append(k.found, Fault{at, code, text})
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
			if len(k.found) < most {
				k.fault(at+"."+printable(m.Name, t.Children(path)), "structure", "is not an element of "+t.Name+pathOf(path))
			}
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

// printable is the name of a member as far as an error may show it: a word like
// one of the elements there are. Others may be anything, a patient's data too.
func printable(name string, elements []*definitions.Element) string {
	if len(name) > 40 {
		return "(a name)"
	}
	for i := range len(name) {
		if c := name[i]; c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "(a name)"
		}
	}
	if slices.Contains(common, strings.ToLower(name)) {
		return name
	}
	for _, e := range elements {
		if stem, choice := strings.CutSuffix(lastOf(e.Path), "[x]"); choice && strings.HasPrefix(name, stem) {
			return stem + "[x]"
		}
		if alike(strings.ToLower(name), strings.ToLower(strings.TrimSuffix(lastOf(e.Path), "[x]"))) {
			return name
		}
	}
	return "(a name)"
}

// common are names of members that people often give and FHIR does not have.
var common = []string{"foo", "bar", "test", "unknown", "extra", "custom", "data", "type", "date", "value", "name", "status", "code"}

// alike reports whether two words differ in at most three letters, and in half of
// them at most.
func alike(a, b string) bool {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)] <= 3 && 2*row[len(b)] <= len(b)
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
		inner, fault := Type(v)
		if fault != nil {
			k.fault(at, "structure", "is not a resource")
			return
		}
		k.object(v, inner, "", at, depth+1)
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
