package mapping

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
)

// A v2Type is a FHIR type a path may lead to; of a reference also what it may
// point to.
type v2Type struct {
	name    string
	targets []string
}

// A v2Item is one value on its way into a v2 message: a node of a resource, a
// text made of one, or what a v2 target was given before.
type v2Item struct {
	node   *fhir.Node
	typ    string
	owner  *fhir.Node // the resource whose contained ones # names
	text   string     // when node is nil
	from   *fhir.Node // the node a text was made of
	leaves []v2Leaf
}

// source is the node that provenance names.
func (it *v2Item) source() *fhir.Node {
	if it.node != nil {
		return it.node
	}
	return it.from
}

// String is the value as text; of a coded or composite value what names it.
func (it *v2Item) String() string {
	switch {
	case len(it.leaves) > 0:
		return it.leaves[0].text
	case it.node == nil:
		return it.text
	case it.node.Kind != fhir.Object:
		return textOf(it.node)
	}
	n := it.node
	if codings := n.Get("coding"); codings != nil && len(codings.Items) > 0 {
		return textOf(codings.Items[0].Get("code"))
	}
	for _, name := range [...]string{"code", "value", "text", "reference", "display"} {
		if text := textOf(n.Get(name)); text != "" {
			return text
		}
	}
	return ""
}

// is reports whether the value names want: a code among its codings, a system,
// an identifier.
func (it *v2Item) is(want, uri string) bool {
	if want == "" {
		return it.String() == ""
	}
	if it.node != nil {
		if codings := it.node.Get("coding"); codings != nil {
			for _, c := range codings.Items {
				if textOf(c.Get("code")) == want {
					return true
				}
			}
			return textOf(it.node.Get("text")) == want
		}
	}
	text := it.String()
	return text == want || uri != "" && text == uri
}

// valued reports whether there is something.
func (it *v2Item) valued() bool {
	switch {
	case len(it.leaves) > 0:
		return true
	case it.node == nil:
		return it.text != ""
	case it.node.Kind == fhir.Object:
		return len(it.node.Members) > 0
	}
	return it.node.Kind != fhir.Null && it.node.Text != ""
}

// A v2Edge leads from a type to one of its elements: of a choice there is one
// for each type.
type v2Edge struct{ parent, member, typ string }

// A v2Step is one part of a FHIR path.
type v2Step struct {
	edges   []v2Edge
	resolve bool // resolve(): the resource a reference points to
	filters []v2Filter
	index   int // -1: all
}

// A v2Filter is [type=PLAC] or [system!=loinc].
type v2Filter struct {
	steps []v2Step
	want  string
	uri   string // of the code system called want
	not   bool
}

// holds compares what stands below a value; an absent element is not equal.
func (f *v2Filter) holds(r *v2Run, it *v2Item) bool {
	before := len(r.stack)
	r.stack = walk(r, append(r.stack, *it), before, f.steps)
	equal := false
	for i := before; i < len(r.stack) && !equal; i++ {
		if equal = r.stack[i].is(f.want, f.uri); equal {
			r.touch(&r.stack[i])
		}
	}
	r.stack = r.stack[:before]
	return equal != f.not
}

// fromHere is the root of a relative path: what was handed over.
const fromHere = -1

// A v2Path is a FHIR path, compiled.
type v2Path struct {
	root  int
	steps []v2Step
	types []v2Type
}

// eval appends the values of a path, in their order.
func (p *v2Path) eval(r *v2Run, f *v2Frame, out []v2Item) []v2Item {
	before := len(out)
	if p.root == fromHere {
		if f.cur.valued() {
			out = append(out, f.cur)
		}
	} else {
		out = append(out, r.roots[p.root]...)
	}
	return walk(r, out, before, p.steps)
}

// walk replaces the values from before on by those the steps lead to.
func walk(r *v2Run, out []v2Item, before int, steps []v2Step) []v2Item {
	for i := range steps {
		s := &steps[i]
		end := len(out)
		for at := before; at < end; at++ {
			out = s.take(r, out, out[at])
		}
		n := copy(out[before:], out[end:])
		out = out[:before+n]
		if s.index >= 0 {
			if s.index >= n {
				return out[:before]
			}
			out[before] = out[before+s.index]
			out = out[:before+1]
		}
		if n == 0 {
			return out
		}
	}
	return out
}

// take appends what one step leads to from one value.
func (s *v2Step) take(r *v2Run, out []v2Item, it v2Item) []v2Item {
	if s.resolve {
		if it.typ == "Reference" {
			if to, ok := r.follow(it); ok {
				return s.keep(r, out, to)
			}
		}
		return out
	}
	if len(s.edges) == 0 {
		return s.keep(r, out, it) // [type=X] on a name alone
	}
	for i := range s.edges {
		e := &s.edges[i]
		if e.parent != it.typ {
			continue
		}
		n := it.node.Get(e.member)
		if n == nil {
			continue
		}
		if n.Kind != fhir.Array {
			out = s.keep(r, out, v2Item{node: n, typ: e.typ, owner: it.owner})
			continue
		}
		for _, item := range n.Items {
			out = s.keep(r, out, v2Item{node: item, typ: e.typ, owner: it.owner})
		}
	}
	return out
}

// keep appends a value that the filters let through.
func (s *v2Step) keep(r *v2Run, out []v2Item, it v2Item) []v2Item {
	if !it.valued() {
		return out
	}
	if len(s.filters) > 0 {
		// The filters use the same stack: what is collected is put in front.
		r.stack = out
		for i := range s.filters {
			if !s.filters[i].holds(r, &it) {
				return r.stack
			}
		}
		out = r.stack
	}
	return append(out, it)
}

// fhirPath compiles patient.identifier[type=MR].value, .use, a name alone; nil
// when it is wrong.
func (c *v2Compiler) fhirPath(text string, at place) *v2Path {
	p := &v2Path{root: fromHere, types: c.relTypes}
	if strings.HasPrefix(text, ".") {
		if !c.handed {
			c.wrong(at, "%q is relative: nothing was handed over here", text)
			return nil
		}
		if text == "." {
			return p
		}
		p.steps, p.types = c.steps(splitTarget(text[1:]), c.relTypes, text, at)
		if p.steps == nil {
			return nil
		}
		return p
	}
	parts := splitTarget(text)
	first, bracket, _ := strings.Cut(parts[0], "[")
	root, ok := c.roots[first]
	if !ok {
		known := make([]string, 0, len(c.roots))
		for name := range c.roots {
			known = append(known, name)
		}
		hint := near(first, known)
		if !c.rooted {
			hint = "; a map of a data type reads relative paths alone: ." + first
		}
		c.wrong(at, "%q begins with no name of this map%s", text, hint)
		return nil
	}
	p.root, p.types = root, c.rootTypes[root]
	if len(p.types) == 0 {
		return nil // its gather is wrong: said already
	}
	if bracket != "" {
		s := v2Step{index: -1}
		if !c.brackets(&s, parts[0][len(first):], p.types, text, at) {
			return nil
		}
		p.steps = append(p.steps, s)
	}
	if len(parts) > 1 {
		steps, types := c.steps(parts[1:], p.types, text, at)
		if steps == nil {
			return nil
		}
		p.steps, p.types = append(p.steps, steps...), types
	}
	return p
}

// steps compiles the parts of a path from the types they begin at.
func (c *v2Compiler) steps(parts []string, types []v2Type, text string, at place) ([]v2Step, []v2Type) {
	var out []v2Step
	for _, part := range parts {
		name, _, _ := strings.Cut(part, "[")
		s := v2Step{index: -1}
		var next []v2Type
		if name == "resolve()" {
			s.resolve = true
			for _, t := range types {
				for _, to := range t.targets {
					next = addType(next, v2Type{name: to})
				}
			}
			if len(next) == 0 || next[0].name == "Resource" {
				c.wrong(at, "%s: resolve() stands after a reference that names what it points to", text)
				return nil, nil
			}
		} else {
			for _, t := range types {
				edges, to := c.edges(t.name, name)
				s.edges = append(s.edges, edges...)
				for _, one := range to {
					next = addType(next, one)
				}
			}
			if len(s.edges) == 0 {
				c.wrong(at, "%s%q is not an element of %s%s", beside(text, part), name, typeNames(types), near(name, c.childrenOf(types)))
				return nil, nil
			}
		}
		if !c.brackets(&s, part[len(name):], next, text, at) {
			return nil, nil
		}
		out = append(out, s)
		types = next
	}
	return out, types
}

// beside says in which path a part stands, when it is not all of it.
func beside(text, part string) string {
	if strings.TrimPrefix(text, ".") == part {
		return ""
	}
	return text + ": "
}

// edges are the ways from a type to an element: its name, that of a choice
// without its type, or with it.
func (c *v2Compiler) edges(typ, name string) ([]v2Edge, []v2Type) {
	e, ok := c.lib.model.child(typ, name)
	if ok && !e.choice {
		if e.types[0] == "Resource" {
			return nil, nil
		}
		return []v2Edge{{typ, name, e.types[0]}}, []v2Type{{e.types[0], e.targets}}
	}
	if e, ok = c.lib.model.child(typ, name+"[x]"); !ok {
		return nil, nil
	}
	var edges []v2Edge
	var types []v2Type
	for _, t := range e.types {
		edges = append(edges, v2Edge{typ, name + title(t), t})
		types = append(types, v2Type{t, e.targets})
	}
	return edges, types
}

// brackets compiles what stands after a name: [0], [type=PLAC], [+] is none.
func (c *v2Compiler) brackets(s *v2Step, text string, types []v2Type, path string, at place) bool {
	for text != "" {
		inside, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]")
		if text[0] != '[' || !ok {
			c.wrong(at, "%s: a bracket is open", path)
			return false
		}
		text = rest
		if n, err := strconv.Atoi(inside); err == nil && n >= 0 {
			s.index = n
			continue
		}
		element, want, ok := strings.Cut(inside, "=")
		if !ok || s.index >= 0 {
			c.wrong(at, "%s: [%s] is neither a number from 0 nor ELEMENT=VALUE", path, inside)
			return false
		}
		element, not := strings.CutSuffix(strings.TrimSpace(element), "!")
		want, _ = unquote(strings.TrimSpace(want))
		steps, _ := c.steps(strings.Split(strings.TrimSpace(element), "."), types, path, at)
		if steps == nil {
			return false
		}
		s.filters = append(s.filters, c.filterOf(steps, want, not))
	}
	return true
}

// filterOf makes a filter; want may be the short name of a code system.
func (c *v2Compiler) filterOf(steps []v2Step, want string, not bool) v2Filter {
	f := v2Filter{steps: steps, want: want, not: not}
	systems := c.lib.tables.Systems()
	if known := cmp.Or(systems.Name(want), systems.V2(want)); known != nil {
		f.uri = known.URI
	}
	return f
}

func addType(list []v2Type, t v2Type) []v2Type {
	for i := range list {
		if list[i].name != t.name {
			continue
		}
		for _, to := range t.targets {
			if !slices.Contains(list[i].targets, to) {
				list[i].targets = append(slices.Clone(list[i].targets), to)
			}
		}
		return list
	}
	return append(list, t)
}

func typeNames(types []v2Type) string {
	names := make([]string, len(types))
	for i := range types {
		names[i] = types[i].name
	}
	return strings.Join(names, ", ")
}

func (c *v2Compiler) childrenOf(types []v2Type) []string {
	var out []string
	for _, t := range types {
		for _, name := range c.lib.model.children(t.name) {
			out = append(out, strings.TrimSuffix(name, "[x]"))
		}
	}
	return out
}
