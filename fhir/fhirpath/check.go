package fhirpath

import (
	"slices"
	"strings"
)

// A shape is what is known of a collection before it is evaluated.
type shape struct {
	// places are the elements it may hold; any is true where it may hold
	// others, or values that are no elements.
	places []place
	any    bool
	// unordered is true for what children() and descendants() give.
	unordered bool
}

var anything = shape{any: true}

// Check holds the expression against the definitions as one that is evaluated
// on a type ("Patient", "HumanName"): a path that can lead nowhere, and the
// order of what has none, are errors. It is the strict mode of the official
// tests.
func (e *Expression) Check(typ string) error {
	root := placeOf(nil, typ)
	if root.owner == nil {
		return fault(0, "the type of the root is not known")
	}
	k := &strict{root: shape{places: []place{root}}}
	_, err := k.node(e.root, k.root, 0)
	return err
}

type strict struct{ root shape }

// node is the shape of what a node gives, evaluated with this.
func (k *strict) node(n *node, this shape, depth int) (shape, error) {
	if depth > 4*maxNested {
		return anything, nil
	}
	switch n.op {
	case opThis:
		return this, nil
	case opVariable:
		if n.name == "context" || n.name == "resource" {
			return k.root, nil
		}
		return anything, nil
	case opMember:
		return k.member(n, this, depth)
	case opIndex:
		in, err := k.node(n.in, this, depth+1)
		if err != nil {
			return in, err
		}
		if in.unordered {
			return in, fault(n.at, "an index is given to items that have no order")
		}
		_, err = k.node(n.right, this, depth+1)
		return in, err
	case opSign:
		_, err := k.node(n.in, this, depth+1)
		return anything, err
	case opType:
		in, err := k.node(n.in, this, depth+1)
		if err != nil || n.name == "is" {
			return anything, err
		}
		return in.narrowed(n.typ), nil
	case opBinary:
		left, err := k.node(n.in, this, depth+1)
		if err != nil {
			return left, err
		}
		right, err := k.node(n.right, this, depth+1)
		if err != nil || n.code != opUnion {
			return anything, err
		}
		return left.with(right), nil
	case opCall:
		return k.call(n, this, depth)
	}
	return anything, nil
}

func (s shape) with(o shape) shape {
	out := shape{slices.Clip(s.places), s.any || o.any, s.unordered || o.unordered}
	for _, p := range o.places {
		out.add(p)
	}
	return out
}

// add notes a place once: choices within choices would double without end.
func (s *shape) add(p place) {
	if !slices.Contains(s.places, p) {
		s.places = append(s.places, p)
	}
}

// narrowed is what as and ofType leave.
func (s shape) narrowed(t typeName) shape {
	if t.space == "System" || !fhirType(t.name) {
		return anything
	}
	out := shape{unordered: s.unordered}
	for _, p := range s.places {
		if derived(p.name, t.name) {
			out.places = append(out.places, p)
		}
	}
	if len(out.places) == 0 {
		out.places = []place{typePlace(t.name)}
	}
	return out
}

func (k *strict) member(n *node, this shape, depth int) (shape, error) {
	in := this
	if n.in != nil {
		var err error
		if in, err = k.node(n.in, this, depth+1); err != nil {
			return in, err
		}
	} else if n.name[0] >= 'A' && n.name[0] <= 'Z' && fhirType(n.name) {
		for _, p := range in.places {
			if derived(p.name, n.name) || derived(n.name, p.name) {
				return shape{places: []place{typePlace(n.name)}}, nil
			}
		}
		if !in.any {
			return in, fault(n.at, "the path begins with the type %q, and is evaluated on another", n.name)
		}
		return anything, nil
	}
	if in.any {
		return anything, nil
	}
	out := shape{unordered: in.unordered}
	for _, p := range in.places {
		if p.owner == nil || p.name == "Resource" || p.name == "DomainResource" {
			out.any = true
			continue
		}
		e := p.find(n.name)
		if e == nil {
			continue
		}
		own := strings.TrimSuffix(e.Path[lead(p.path):], "[x]")
		for _, typ := range e.Types {
			out.add(p.child(own, typ))
		}
		out.any = out.any || len(e.Types) == 0
	}
	if len(out.places) == 0 && !out.any {
		return out, fault(n.at, "%q is no element there", n.name)
	}
	return out, nil
}

// ordering are functions that ask for an order.
var ordering = []string{"first", "last", "tail", "skip", "take"}

// keeping are functions that give items of what they are applied to.
var keeping = append([]string{"where", "single", "distinct", "trace", "intersect", "exclude", "sort", "checkModifiers", "defineVariable"}, ordering...)

func (k *strict) call(n *node, this shape, depth int) (shape, error) {
	in := this
	if n.in != nil {
		var err error
		if in, err = k.node(n.in, this, depth+1); err != nil {
			return in, err
		}
	}
	if in.unordered && slices.Contains(ordering, n.name) {
		return in, fault(n.at, "%s() is applied to items that have no order", n.name)
	}
	inner := this
	switch n.name {
	case "where", "select", "exists", "all", "sort":
		inner = in
		inner.unordered = false
	case "iif":
		if n.in != nil {
			inner = in
		}
	case "repeat", "repeatAll", "aggregate", "trace", "defineVariable":
		inner = anything // goes over its own results, or over what came before
	}
	var last shape
	for i, arg := range n.args {
		s, err := k.node(arg, inner, depth+1)
		if err != nil {
			return s, err
		}
		if last = s; n.name == "iif" && i > 0 {
			last = anything
		}
	}
	switch {
	case slices.Contains(keeping, n.name):
		return in, nil
	case n.name == "select":
		return last, nil
	case n.name == "as" || n.name == "ofType":
		return in.narrowed(n.typ), nil
	case n.name == "union" || n.name == "combine":
		return in.with(last), nil
	case n.name == "extension":
		return shape{places: []place{typePlace("Extension")}}, nil
	case n.name == "children" || n.name == "descendants":
		return shape{any: true, unordered: true}, nil
	}
	return anything, nil
}
