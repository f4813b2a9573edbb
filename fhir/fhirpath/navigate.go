package fhirpath

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// A place is where in the definitions an element stands: a type, or a path
// within one.
type place struct {
	// name is that of the type: "HumanName", "code", "BackboneElement".
	name string
	// owner is the type whose elements it has, nil for what is not defined.
	owner *definitions.Type
	path  string
}

// typePlace is the place of a type.
func typePlace(name string) place {
	t, _ := definitions.Lookup(name)
	return place{name: name, owner: t}
}

// placeOf is the place of a root: what its resourceType says, else typ, which
// may be a path ("Patient.contact").
func placeOf(n *fhir.Node, typ string) place {
	if said := n.Get("resourceType"); said != nil && said.Kind == fhir.String {
		return typePlace(said.Text)
	}
	name, path, inner := strings.Cut(typ, ".")
	p := typePlace(name)
	if !inner || p.owner == nil {
		return p
	}
	for _, step := range strings.Split(path, ".") {
		e := p.find(step)
		if e == nil || len(e.Types) == 0 {
			return place{}
		}
		p = p.child(step, e.Types[0])
	}
	return p
}

// find is the element of a name below the place: "value" finds "value[x]".
func (p place) find(name string) *definitions.Element {
	if p.owner == nil {
		return nil
	}
	if e, _, ok := p.owner.Child(p.path, name); ok && !strings.HasSuffix(e.Path, "[x]") {
		return e
	}
	for _, e := range p.owner.Children(p.path) {
		if stem, choice := strings.CutSuffix(e.Path, "[x]"); choice && stem[strings.LastIndexByte(stem, '.')+1:] == name {
			return e
		}
	}
	return nil
}

// child is the place of an element of the type typ, as the definitions write it.
func (p place) child(name, typ string) place {
	if owner, inner, ok := strings.Cut(strings.TrimPrefix(typ, "#"), "."); ok && typ[0] == '#' {
		t, _ := definitions.Lookup(owner)
		return place{name: "BackboneElement", owner: t, path: inner}
	}
	if name == "id" && p.path == "" && p.owner != nil && p.owner.Kind == "resource" {
		return typePlace("id") // the definitions of 4.0.1 say string
	}
	if typ == "BackboneElement" || typ == "Element" {
		if p.path != "" {
			name = p.path + "." + name
		}
		return place{name: typ, owner: p.owner, path: name}
	}
	return typePlace(typ)
}

// step appends the elements called name of one value.
func (m *machine) step(v Value, name string, out []Value, at int) ([]Value, error) {
	if err := m.work(1, at); err != nil {
		return nil, err
	}
	if v.kind != Element {
		return appendPart(v, name, out), nil
	}
	if v.node != nil && v.node.Kind == fhir.Object {
		before := len(out)
		out = appendMembers(v, name, out)
		return out, m.work(len(out)-before, at) // a long list is no single step
	}
	if v.shadow != nil && v.shadow.Kind == fhir.Object && (name == "id" || name == "extension") {
		return appendMembers(element(v.shadow, nil, typePlace("Element")), name, out), nil
	}
	return out, nil
}

// appendPart appends a part of a value that is no element.
func appendPart(v Value, name string, out []Value) []Value {
	switch {
	case v.kind == Quantity && name == "value":
		out = append(out, decimal(v.dec))
	case v.kind == Quantity && name == "unit":
		out = append(out, Text(v.text))
	case v.kind == TypeInfo && name == "namespace":
		space, _, _ := strings.Cut(v.text, ".")
		out = append(out, Text(space))
	case v.kind == TypeInfo && name == "name":
		_, typ, _ := strings.Cut(v.text, ".")
		out = append(out, Text(typ))
	case v.kind == TypeInfo && name == "baseType":
		space, typ, _ := strings.Cut(v.text, ".")
		base := "System.Any"
		if parent := parentOf(typ); space == "FHIR" && parent != "" {
			base = "FHIR." + parent
		}
		out = append(out, Text(base))
	}
	return out
}

func appendMembers(v Value, name string, out []Value) []Value {
	p := v.place
	if p.owner == nil {
		if n := v.node.Get(name); n != nil || v.node.Get("_"+name) != nil {
			return appendItems(n, v.node.Get("_"+name), place{}, out)
		}
		return out
	}
	n := v.node.Get(name)
	e, typ, ok := p.owner.Child(p.path, name)
	if ok && !strings.HasSuffix(e.Path, "[x]") {
		var shadow *fhir.Node
		if n == nil || n.Kind != fhir.Object {
			shadow = v.node.Get("_" + name)
		}
		if n == nil && shadow == nil {
			return out
		}
		return appendItems(n, shadow, p.child(name, typ), out)
	}
	if ok {
		return out // the name of a choice with its type is none of FHIRPath
	}
	return appendChoice(v, name, out)
}

// appendChoice appends what stands in the members "value…" of "value[x]".
func appendChoice(v Value, name string, out []Value) []Value {
	for i := range v.node.Members {
		full := v.node.Members[i].Name
		bare := strings.TrimPrefix(full, "_")
		if len(bare) <= len(name) || !strings.HasPrefix(bare, name) {
			continue
		}
		e, typ, ok := v.place.owner.Child(v.place.path, bare)
		if !ok || !strings.HasSuffix(e.Path, name+"[x]") || len(e.Path) != len(name)+3+lead(v.place.path) {
			continue
		}
		n, shadow := v.node.Members[i].Value, v.node.Get("_"+bare)
		if bare != full {
			if v.node.Get(bare) != nil {
				continue // came with its value
			}
			n, shadow = nil, v.node.Members[i].Value
		}
		out = appendItems(n, shadow, v.place.child(name, typ), out)
	}
	return out
}

// lead is how long the path of an element is before its own name.
func lead(path string) int {
	if path == "" {
		return 0
	}
	return len(path) + 1
}

// appendItems appends one element, or those of a list with what the list of
// extensions says of each.
func appendItems(n, shadow *fhir.Node, at place, out []Value) []Value {
	list, shadows := n != nil && n.Kind == fhir.Array, shadow != nil && shadow.Kind == fhir.Array
	if !list && !shadows {
		return appendItem(n, shadow, at, out)
	}
	count := 0
	if list {
		count = len(n.Items)
	}
	if shadows {
		count = max(count, len(shadow.Items))
	}
	out = slices.Grow(out, count)
	for i := range count {
		var one, beside *fhir.Node
		if list && i < len(n.Items) {
			one = n.Items[i]
		}
		if shadows && i < len(shadow.Items) {
			beside = shadow.Items[i]
		}
		out = appendItem(one, beside, at, out)
	}
	return out
}

func appendItem(n, shadow *fhir.Node, at place, out []Value) []Value {
	if n != nil && n.Kind == fhir.Null {
		n = nil
	}
	if shadow != nil && shadow.Kind != fhir.Object {
		shadow = nil
	}
	if n == nil && shadow == nil {
		return out
	}
	if n != nil && n.Kind == fhir.Object {
		if said := n.Get("resourceType"); said != nil && (at.name == "Resource" || at.owner == nil) {
			at = typePlace(said.Text)
		}
	}
	return append(out, element(n, shadow, at))
}

// children appends all elements directly below a value.
func (m *machine) children(v Value, out []Value, at int) ([]Value, error) {
	if v.kind != Element {
		return out, nil
	}
	n := v.node
	if n == nil || n.Kind != fhir.Object {
		if n, v = v.shadow, element(v.shadow, nil, typePlace("Element")); n == nil {
			return out, nil
		}
	}
	if err := m.work(1+len(n.Members), at); err != nil {
		return nil, err
	}
	for i := range n.Members {
		name, shadow := strings.CutPrefix(n.Members[i].Name, "_")
		if name == "resourceType" || (shadow && n.Get(name) != nil) {
			continue
		}
		if v.place.owner == nil {
			out = appendItems(n.Get(name), n.Get("_"+name), place{}, out)
			continue
		}
		e, typ, ok := v.place.owner.Child(v.place.path, name)
		if !ok {
			continue
		}
		own := e.Path[lead(v.place.path):]
		out = appendItems(n.Get(name), n.Get("_"+name), v.place.child(strings.TrimSuffix(own, "[x]"), typ), out)
	}
	return out, m.size(len(out), at)
}
