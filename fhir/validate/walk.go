package validate

import (
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// A checker walks over one resource.
type checker struct {
	// full is false for messages: Structure.
	full, warns bool
	most        int
	root        string
	path        []step
	found       []Fault
	steps       int // that invariants may still take
	shapes      map[string]*shape
	frame       *frame
	bundle      *bundle // the one around the place, or nil
}

// A step leads from an object to one of its elements.
type step struct {
	field *field
	name  string // in JSON
	index int    // -1 where it is no list
}

// A frame is a resource on the way to the place.
type frame struct {
	node *fhir.Node
	// root is %rootResource: the container of a contained resource.
	root *fhir.Node
	// above is the container, nil for a resource that is not contained.
	above *frame
	// hashes are the references to contained resources, without "#", of the
	// resource and all it contains.
	hashes map[string]bool
	// contained are the resources it contains, by id, once one is asked for.
	contained map[string]*fhir.Node
	// ids are those of elements, once there is one.
	ids map[string]bool
}

// An object is one on the way to the place.
type object struct {
	node  *fhir.Node
	shape *shape
	seen  bits
}

// fault notes an error at the place.
func (k *checker) fault(code, text string) { k.report(Fault{Code: code, Text: text}) }

// lax notes an error that no write is refused for.
func (k *checker) lax(code, text string) { k.report(Fault{Code: code, Text: text, Lax: true}) }

// warn notes what is no error.
func (k *checker) warn(code, text string) {
	if k.warns {
		k.report(Fault{Code: code, Text: text, Severity: Warning})
	}
}

func (k *checker) report(f Fault) {
	if len(k.found) >= k.most {
		return
	}
	if f.Where == "" {
		f.Where = k.where()
	}
	k.found = append(k.found, f)
}

// below notes an error at an element of the place that is no list.
func (k *checker) below(name, code, text string) {
	k.report(Fault{Where: k.where() + "." + name, Code: code, Text: text})
}

// where is the expression of the place.
func (k *checker) where() string {
	b := append(make([]byte, 0, 64), k.root...)
	for _, s := range k.path {
		b = append(b, '.')
		if k.full {
			b = append(b, s.field.name...)
		} else {
			b = append(b, s.name...)
		}
		if s.index >= 0 {
			b = append(strconv.AppendInt(append(b, '['), int64(s.index), 10), ']')
		}
		if k.full && s.field.choice {
			b = append(append(append(b, ".ofType("...), s.field.typ...), ')')
		}
	}
	return string(b)
}

func (k *checker) push(f *field, name string, index int) {
	k.path = append(k.path, step{f, name, index})
}
func (k *checker) pop() { k.path = k.path[:len(k.path)-1] }

// resource checks a resource of a known type.
func (k *checker) resource(n *fhir.Node, t *definitions.Type, contained bool) {
	f := &frame{node: n, root: n}
	outer, around := k.frame, k.bundle
	if contained && outer != nil {
		f.above, f.root = outer, outer.root
	}
	k.frame = f
	if k.full && t.Name == "Bundle" {
		k.bundle = indexed(n)
	}
	k.object(n, k.shapes[t.Name])
	k.frame, k.bundle = outer, around
}

// inner checks a resource within another.
func (k *checker) inner(v *fhir.Node, f *field) {
	t, fault := Type(v)
	if fault != nil {
		k.fault("structure", "is not a resource")
		return
	}
	contained := f.name == "contained"
	if k.full && contained && v.Get("id") == nil {
		k.fault("required", "a contained resource needs an id")
	}
	k.resource(v, t, contained)
}

// object checks an object and all that is in it.
func (k *checker) object(n *fhir.Node, s *shape) {
	if n.Kind != fhir.Object {
		k.fault("structure", "is not an object")
		return
	}
	if len(n.Members) == 0 {
		k.fault("structure", "is empty")
	}
	if len(k.path) > maxDepth {
		k.fault("structure", "is nested too deep")
		return
	}
	o := object{node: n, shape: s}
	for i := range n.Members {
		if len(k.found) >= k.most {
			return
		}
		k.member(&o, i)
	}
	for _, f := range s.required {
		lax := s.name == "Narrative" // one without its div is taken by everybody
		if !o.seen.has(f.bit) && (k.full || !lax) {
			k.report(Fault{Code: "required", Text: lastOf(f.element.Path) + " is missing", Lax: lax})
		}
	}
	if !k.full {
		return
	}
	if s.name != "Element" {
		k.onlyID(n)
	}
	k.elementID(&o)
	for _, c := range s.checks {
		c(k, &o)
	}
	k.rules(s.rules, n, s.name)
}

// onlyID reports an element that has nothing but an id.
func (k *checker) onlyID(n *fhir.Node) {
	if len(n.Members) == 1 && n.Members[0].Name == "id" {
		k.fault("invariant", "ele-1: All FHIR elements must have a @value or children")
	}
}

// member checks the i-th member of an object.
func (k *checker) member(o *object, i int) {
	m := &o.node.Members[i]
	name, shadow := strings.CutPrefix(m.Name, "_")
	if name == "resourceType" && !shadow && o.shape.path == "" && (!k.full || o.shape.typ.Kind == "resource") {
		return
	}
	f := o.shape.fields[name]
	if f == nil || (shadow && k.full && f.simple == complexType) {
		k.unknown(o, m.Name)
		return
	}
	if f.choice && k.full && o.seen.has(f.bit) {
		k.once(o, i, f)
	}
	o.seen.set(f.bit)
	if shadow {
		if k.full {
			k.shadow(o.node, f, name, m.Value)
		}
		return
	}
	k.element(o.node, f, m)
}

func (k *checker) unknown(o *object, name string) {
	if len(k.found) >= k.most {
		return
	}
	t, path := o.shape.typ, o.shape.path
	shown := printable(name, t.Children(path))
	if !k.full {
		k.report(Fault{Where: k.where() + "." + shown, Code: "structure", Text: "is not an element of " + o.shape.name})
		return
	}
	k.fault("structure", shown+" is not an element of "+o.shape.name)
}

// once reports a second type of a choice.
func (k *checker) once(o *object, i int, f *field) {
	for _, m := range o.node.Members[:i] {
		other := o.shape.fields[strings.TrimPrefix(m.Name, "_")]
		if other != nil && other != f && other.bit == f.bit {
			k.fault("structure", f.name+"[x] has more than one type")
			return
		}
	}
}

// element checks one element, a list or not.
func (k *checker) element(owner *fhir.Node, f *field, m *fhir.Member) {
	v := m.Value
	if !f.list {
		k.push(f, m.Name, -1)
		if v.Kind == fhir.Array {
			k.fault("structure", "must not be a list")
		} else {
			k.value(v, f, false)
		}
		k.pop()
		return
	}
	if v.Kind != fhir.Array || len(v.Items) == 0 {
		k.push(f, m.Name, -1)
		if v.Kind != fhir.Array {
			k.fault("structure", "must be a list")
		} else {
			k.fault("structure", "is an empty list")
		}
		k.pop()
		return
	}
	var beside *fhir.Node
	for i, item := range v.Items {
		if len(k.found) >= k.most {
			return
		}
		k.push(f, m.Name, i)
		said := true
		if item.Kind == fhir.Null && k.full {
			if beside == nil {
				beside = owner.Get("_" + m.Name)
			}
			said = f.simple != complexType && beside != nil && i < len(beside.Items) && beside.Items[i].Kind == fhir.Object
		}
		if said {
			k.value(item, f, true)
		} else {
			k.fault("structure", "is null, and no extension says why")
		}
		k.pop()
	}
	if f.element.Max > 1 && len(v.Items) > f.element.Max {
		k.push(f, m.Name, -1)
		k.fault("structure", "has more than "+strconv.Itoa(f.element.Max)+" items")
		k.pop()
	}
}

// value checks one value that is no list.
func (k *checker) value(v *fhir.Node, f *field, listed bool) {
	switch {
	case f.typ == "BackboneElement" || f.typ == "Element":
		if f.shape != nil {
			k.object(v, f.shape)
		}
	case f.typ == "Resource":
		k.inner(v, f)
	case v.Kind == fhir.Null:
		if !listed { // in a list null stands for a value that has only extensions
			k.fault("structure", "is null")
		}
		return
	case f.simple != complexType:
		if !k.primitive(v, f) {
			return
		}
	case f.shape != nil:
		k.object(v, f.shape)
	}
	if !k.full {
		return
	}
	if f.codes != nil {
		k.bound(v, f)
	}
	if len(f.rules) > 0 {
		typ := f.typ
		if f.shape != nil {
			typ = f.shape.name
		}
		k.rules(f.rules, v, typ)
	}
}

// shadow checks ids and extensions of a primitive: what stands in the member
// with the underscore (json.html#primitive).
func (k *checker) shadow(owner *fhir.Node, f *field, name string, v *fhir.Node) {
	element := k.shapes["Element"]
	if !f.list {
		k.push(f, name, -1)
		k.object(v, element)
		if owner.Get(name) == nil {
			k.onlyID(v)
		}
		k.pop()
		return
	}
	values := owner.Get(name)
	switch {
	case v.Kind != fhir.Array:
		k.push(f, name, -1)
		k.fault("structure", "must be a list, in the member with the underscore too")
		k.pop()
		return
	case values != nil && values.Kind == fhir.Array && len(values.Items) != len(v.Items):
		k.push(f, name, -1)
		k.fault("structure", "has another number of values than of extensions")
		k.pop()
	}
	for i, item := range v.Items {
		if item.Kind == fhir.Null {
			if values == nil || i >= len(values.Items) {
				k.push(f, name, i)
				k.fault("structure", "is null, and no extension says why")
				k.pop()
			}
			continue
		}
		k.push(f, name, i)
		k.object(item, element)
		if values == nil || i >= len(values.Items) || values.Items[i].Kind == fhir.Null {
			k.onlyID(item)
		}
		k.pop()
	}
}
