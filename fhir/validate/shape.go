package validate

import (
	"strings"
	"sync"

	"github.com/plexus-health/plexus/fhir/definitions"
)

// A shape is what may stand in an object: a type, or an element with elements
// of its own. Shapes are made once from the definitions and never changed.
type shape struct {
	typ  *definitions.Type
	path string // within typ, "" for the type itself
	// name is what FHIRPath calls the place: "HumanName", "Patient.contact".
	name   string
	fields map[string]*field // by name in JSON, choices with their types
	// required are the elements that must be there.
	required []*field
	rules    []*rule
	// checks are the rules that are no FHIRPath.
	checks []check
}

// A field is one name that an object may have.
type field struct {
	element *definitions.Element
	name    string // of the element, without the type of a choice
	typ     string // what it is; "" where the definitions do not say
	choice  bool
	list    bool
	bit     int // which element of the shape it is
	// simple is the primitive type, complex for all others.
	simple primitive
	shape  *shape // of an object, nil for resources
	codes  *definitions.ValueSet
	hash   bool // may refer to what is contained
	rules  []*rule
}

// A check is a rule on an object that FHIRPath is not needed for.
type check func(k *checker, o *object)

// maxElements is how many elements one shape may have.
const maxElements = 128

// A bits marks elements of a shape.
type bits [maxElements / 64]uint64

func (b *bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b *bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// allShapes are those of all types, by name and path ("Patient",
// "Patient.contact").
var allShapes = sync.OnceValue(func() map[string]*shape {
	made := map[string]*shape{}
	for _, name := range definitions.Types() {
		t, _ := definitions.Lookup(name)
		if t.Kind != "primitive-type" {
			shapeOf(made, t, "")
		}
	}
	return made
})

func shapeOf(made map[string]*shape, t *definitions.Type, path string) *shape {
	name := t.Name
	if path != "" {
		name += "." + path
	}
	if s := made[name]; s != nil {
		return s
	}
	s := &shape{typ: t, path: path, name: name, fields: map[string]*field{}, checks: checksOf(name, t, path)}
	made[name] = s
	s.rules = rulesOf(name)
	for bit, e := range t.Children(path) {
		s.element(made, e, bit)
	}
	return s
}

// element adds the names of one element.
func (s *shape) element(made map[string]*shape, e *definitions.Element, bit int) {
	name, choice := strings.CutSuffix(lastOf(e.Path), "[x]")
	types := e.Types
	if len(types) == 0 {
		types = []string{""}
	}
	for i, typ := range types {
		f := &field{element: e, name: name, typ: typ, choice: choice, list: e.Repeats(), bit: bit, rules: rulesOf(s.typ.Name + "." + e.Path)}
		full := name
		if choice {
			full += strings.ToUpper(typ[:1]) + typ[1:]
		}
		s.fields[full] = f
		if i == 0 && e.Min > 0 {
			s.required = append(s.required, f)
		}
		f.resolve(made, s)
	}
}

// resolve finds what the value of a field is held against.
func (f *field) resolve(made map[string]*shape, s *shape) {
	below := strings.TrimSuffix(f.element.Path, "[x]")
	if inner, ok := strings.CutPrefix(f.typ, "#"); ok {
		owner, path, _ := strings.Cut(inner, ".")
		if t, known := definitions.Lookup(owner); known {
			f.shape, f.typ = shapeOf(made, t, path), "BackboneElement"
		}
		return
	}
	if f.name == "id" && s.path == "" && s.typ.Kind == "resource" {
		f.typ = "id" // the definitions of 4.0.1 say string
	}
	f.simple = primitives[f.typ]
	switch {
	case f.typ == "Resource":
	case f.simple == complexType && (f.typ == "BackboneElement" || f.typ == "Element") && len(s.typ.Children(below)) > 0:
		f.shape = shapeOf(made, s.typ, below)
		f.rules = nil // stand at the shape
	case f.simple == complexType:
		if t, known := definitions.Lookup(f.typ); known {
			f.shape = shapeOf(made, t, "")
		}
	}
	f.codes, _ = definitions.Codes(f.element.Binding)
	f.hash = f.typ == "canonical" || f.typ == "uri" || f.typ == "url" || (s.name == "Reference" && f.name == "reference")
}
