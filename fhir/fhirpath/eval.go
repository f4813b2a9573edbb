package fhirpath

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/fhirpath/ucum"
)

// A scope is what the words of an expression stand for at one place.
type scope struct {
	this  []Value // what a path begins with, and $this
	index int
	total []Value
	names *named
	inner bool // within the arguments of a function that goes over items
}

// A named is a variable that defineVariable() made.
type named struct {
	name   string
	values []Value
	next   *named
}

func (sc *scope) find(name string) (*named, bool) {
	for n := sc.names; n != nil; n = n.next {
		if n.name == name {
			return n, true
		}
	}
	return nil, false
}

// item is the scope in which a function sees one item.
func (sc *scope) item(v []Value, index int) scope {
	return scope{this: v, index: index, total: sc.total, names: sc.names, inner: true}
}

// A machine evaluates an expression once.
type machine struct {
	ctx     context.Context //nolint:containedctx // of one evaluation
	opt     *Options
	now     time.Time
	root    Value
	context []Value
	left    int // steps
	most    int // items
	depth   int
}

// work takes steps from what is left.
func (m *machine) work(steps, at int) error {
	before := m.left
	m.left -= steps
	if m.left < 0 {
		return fault(at, "the evaluation takes too many steps")
	}
	if before>>12 != m.left>>12 {
		return m.ctx.Err()
	}
	return nil
}

func (m *machine) size(items, at int) error {
	if items > m.most {
		return fault(at, "a collection has more than %d items", m.most)
	}
	return nil
}

// eval evaluates one node. The result may be shared and is never changed.
func (m *machine) eval(n *node, sc *scope) ([]Value, error) {
	if m.depth++; m.depth > maxDepth {
		return nil, fault(n.at, "the evaluation is nested more than %d deep", maxDepth)
	}
	defer func() { m.depth-- }()
	if err := m.work(1, n.at); err != nil {
		return nil, err
	}
	switch n.op {
	case opLiteral:
		return n.value, nil
	case opThis:
		return sc.this, nil
	case opTotal:
		return sc.total, nil
	case opItemIndex:
		if !sc.inner {
			return nil, fault(n.at, "$index stands outside of a function that goes over items")
		}
		return []Value{integer(int64(sc.index))}, nil
	case opVariable:
		return m.variable(n, sc)
	case opMember:
		return m.member(n, sc)
	case opIndex:
		return m.indexed(n, sc)
	case opSign:
		return m.signed(n, sc)
	case opType:
		return m.typed(n, sc)
	case opBinary:
		return m.binary(n, sc)
	}
	return m.call(n, sc)
}

// input evaluates what a step applies to.
func (m *machine) input(n *node, sc *scope) ([]Value, error) {
	if n.in == nil {
		return sc.this, nil
	}
	return m.eval(n.in, sc)
}

// apart evaluates an operand, whose variables stay its own.
func (m *machine) apart(n *node, sc *scope) ([]Value, error) {
	own := *sc
	return m.eval(n, &own)
}

func (m *machine) member(n *node, sc *scope) ([]Value, error) {
	in, err := m.input(n, sc)
	if err != nil || len(in) == 0 {
		return nil, err
	}
	if n.in == nil && n.name[0] >= 'A' && n.name[0] <= 'Z' && fhirType(n.name) {
		// The name of a type at the start of a path is the root of that type.
		if in[0].kind == Element && derived(in[0].place.name, n.name) {
			return in, nil
		}
		return nil, nil
	}
	out := make([]Value, 0, len(in))
	for _, v := range in {
		if out, err = m.step(v, n.name, out, n.at); err != nil {
			return nil, err
		}
	}
	return out, m.size(len(out), n.at)
}

func (m *machine) indexed(n *node, sc *scope) ([]Value, error) {
	in, err := m.eval(n.in, sc)
	if err != nil {
		return nil, err
	}
	right, err := m.apart(n.right, sc)
	if err != nil {
		return nil, err
	}
	i, ok, err := oneOf(right, Integer, n.at, "an index")
	if err != nil || !ok || i.num < 0 || i.num >= int64(len(in)) {
		return nil, err
	}
	return in[i.num : i.num+1 : i.num+1], nil
}

func (m *machine) signed(n *node, sc *scope) ([]Value, error) {
	in, err := m.apart(n.in, sc)
	if err != nil {
		return nil, err
	}
	v, ok, err := single(in, n.at)
	if err != nil || !ok {
		return nil, err
	}
	switch {
	case v.kind != Integer && v.kind != Decimal && v.kind != Quantity:
		return nil, fault(n.at, "%q stands before a %s, which has no sign", n.name, systemNames[v.kind])
	case n.name == "+":
		return []Value{v}, nil
	case v.kind == Integer && -v.num > math.MaxInt32:
		return nil, nil
	case v.kind == Integer:
		return []Value{integer(-v.num)}, nil
	}
	v.dec = negated(v)
	return []Value{v}, nil
}

func (m *machine) typed(n *node, sc *scope) ([]Value, error) {
	in, err := m.apart(n.in, sc)
	if err != nil {
		return nil, err
	}
	return m.ofType(in, n)
}

// ofType answers is and as.
func (m *machine) ofType(in []Value, n *node) ([]Value, error) {
	if len(in) > 1 && (n.name != "as" || !m.opt.AsFilters) {
		return nil, fault(n.at, "%q has %d values before it, not one", n.name, len(in))
	}
	if len(in) == 0 {
		return nil, nil
	}
	if n.name == "is" {
		return truthFrom(n.typ.is(in[0])).values(), nil
	}
	return m.kept(in, n)
}

// kept keeps the items of a type.
func (m *machine) kept(in []Value, n *node) ([]Value, error) {
	var out []Value
	for _, v := range in {
		if n.typ.keeps(v) {
			out = append(out, v)
		}
	}
	return out, m.work(len(in), n.at)
}

// variable finds %name (FHIR R4, 2.9.1).
func (m *machine) variable(n *node, sc *scope) ([]Value, error) {
	if own, ok := sc.find(n.name); ok {
		return own.values, nil
	}
	if values, ok := m.opt.Variables[n.name]; ok {
		return values, nil
	}
	switch n.name {
	case "context":
		return m.context, nil
	case "resource":
		return m.resource(m.opt.Resource, m.opt.RootResource), nil
	case "rootResource":
		return m.resource(m.opt.RootResource, m.opt.Resource), nil
	case "ucum":
		return []Value{Text(ucum.System)}, nil
	case "sct":
		return []Value{Text("http://snomed.info/sct")}, nil
	case "loinc":
		return []Value{Text("http://loinc.org")}, nil
	}
	if name, ok := strings.CutPrefix(n.name, "vs-"); ok {
		return []Value{Text("http://hl7.org/fhir/ValueSet/" + name)}, nil
	}
	if name, ok := strings.CutPrefix(n.name, "ext-"); ok {
		return []Value{Text("http://hl7.org/fhir/StructureDefinition/" + name)}, nil
	}
	return nil, fault(n.at, "the variable %%%s is not known", n.name)
}

func (m *machine) resource(first, second *fhir.Node) []Value {
	switch {
	case first != nil:
		return []Value{Resource(first)}
	case second != nil:
		return []Value{Resource(second)}
	}
	return m.context
}

// single is the one value of a collection in the types of FHIRPath; ok is false
// where there is none.
func single(in []Value, at int) (v Value, ok bool, err error) {
	switch len(in) {
	case 0:
		return Value{}, false, nil
	case 1:
		v, ok = in[0].system()
		if !ok && in[0].kind == Element && in[0].node != nil && in[0].node.Kind == fhir.Object {
			return Value{}, false, fault(at, "a %s stands where a simple value is expected", shownType(in[0]))
		}
		return v, ok, nil
	}
	return Value{}, false, fault(at, "%d values stand where one is expected", len(in))
}

// shownType is the type of a value as an error says it: a resource may claim
// any.
func shownType(v Value) string {
	if v.place.owner == nil {
		return "value of an unknown type"
	}
	return v.place.name
}

// oneOf is the one value of a collection, which must be of a kind; an Integer
// serves as a Decimal.
func oneOf(in []Value, k Kind, at int, what string) (Value, bool, error) {
	v, ok, err := single(in, at)
	if err != nil || !ok {
		return v, false, err
	}
	if k == Decimal && v.kind == Integer {
		return decimal(v.decimal()), true, nil
	}
	if v.kind != k {
		return v, false, fault(at, "%s is a %s, not a %s", what, systemNames[v.kind], systemNames[k])
	}
	return v, true, nil
}
