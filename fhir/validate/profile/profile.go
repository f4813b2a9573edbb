// Package profile holds resources against profiles: StructureDefinitions that an
// operator has loaded. Nothing is ever fetched because a resource names it.
package profile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/fhirpath"
	"github.com/plexus-health/plexus/fhir/terms"
)

// A Set is the profiles, value sets and code systems of an installation, and the
// profiles of R4 itself. It is made by Load and may then be used by several
// goroutines. Nil is a set of no others than those of R4.
type Set struct {
	profiles map[string]*profile
	values   map[string]*fhir.Node // ValueSets by URL
	systems  map[string]*fhir.Node // CodeSystems by URL
	expanded map[string]*expansion
	core     map[string]*profile // those of R4
	terms    terms.Table
}

// A profile is one StructureDefinition that constrains a type.
type profile struct {
	url, base string
	typ       *definitions.Type
	root      *element
	elements  map[string]*element // by id
	source    *fhir.Node          // until it is made
	made      bool
	// core is true for what R4 itself defines.
	core bool
	// contexts are the elements that an extension may stand at.
	contexts []string
}

// An element is what a profile says of one element, or of one slice of it.
type element struct {
	id, name string // name with [x]
	slice    string
	min, max int // -1 where nothing is said; max -1 is any number too
	types    []typeOf
	fixed    *fhir.Node
	pattern  *fhir.Node
	strength string // of the binding
	valueSet string
	rules    []constraint
	slicing  *slicing
	children []*element
	slices   []*element
	content  string // id of the element whose children these are
	longest  int    // maxLength, 0 for none
}

// A typeOf is one type an element may have.
type typeOf struct {
	code              string
	profiles, targets []string
}

// A constraint is an invariant of the profile.
type constraint struct {
	key, human string
	warning    bool
	expression *fhirpath.Expression
}

// A slicing says how items are told apart.
type slicing struct {
	by      []discriminator
	rules   string
	ordered bool
}

// A discriminator is one of the properties they are told apart by.
type discriminator struct{ kind, path string }

// Has reports whether a profile is loaded, or is a type of R4 itself.
func (s *Set) Has(url string) bool {
	_, core := coreType(url)
	return core || s.find(url) != nil
}

// Terms are the value sets and code systems that were loaded.
func (s *Set) Terms() *terms.Table {
	if s == nil {
		return nil
	}
	return &s.terms
}

// URLs lists the profiles that were loaded beside those of R4.
func (s *Set) URLs() []string {
	if s == nil {
		return nil
	}
	return sorted(s.profiles)
}

// find is the profile of a canonical URL; of a version that is not loaded it is
// the one that is.
func (s *Set) find(url string) *profile {
	if s == nil {
		url, _, _ = strings.Cut(url, "|")
		return ofR4()[url]
	}
	return s.own(url)
}

// own is find for a set that is not nil.
func (s *Set) own(url string) *profile {
	url, _, _ = strings.Cut(url, "|")
	if p := s.profiles[url]; p != nil {
		return p
	}
	return s.core[url]
}

const core = "http://hl7.org/fhir/StructureDefinition/"

// coreType is the type of R4 that a canonical URL names.
func coreType(url string) (*definitions.Type, bool) {
	url, _, _ = strings.Cut(url, "|")
	name, ok := strings.CutPrefix(url, core)
	if !ok {
		return nil, false
	}
	return definitions.Lookup(name)
}

// make reads the elements of a profile; depth guards against profiles that are
// their own base.
func (s *Set) make(p *profile, depth int) []string {
	if p.made || depth > 20 {
		return nil
	}
	p.made = true
	p.elements = map[string]*element{}
	var problems []string
	list := p.source.Get("snapshot").Get("element")
	if list == nil {
		list = p.source.Get("differential").Get("element")
		if base := s.own(p.base); base != nil {
			problems = s.make(base, depth+1)
			p.inherit(base)
		}
	}
	if list != nil {
		for _, n := range list.Items {
			if problem := p.add(n); problem != "" {
				problems = append(problems, p.url+": "+problem)
			}
		}
	}
	p.source = nil
	if p.root = p.elements[p.typ.Name]; p.root == nil {
		p.root = p.place(p.typ.Name)
	}
	return problems
}

// inherit copies the elements of the base.
func (p *profile) inherit(base *profile) {
	var walk func(e *element)
	walk = func(e *element) {
		c := p.place(e.id)
		below, parts := c.children, c.slices
		*c = *e
		c.children, c.slices, c.rules = below, parts, slices.Clip(e.rules)
		for _, inner := range e.slices {
			walk(inner)
		}
		for _, inner := range e.children {
			walk(inner)
		}
	}
	if base.root != nil && base.typ == p.typ {
		walk(base.root)
	}
}

// place finds the element of an id, or makes it with those above it:
// "Observation.component:systolic.value[x]".
func (p *profile) place(id string) *element {
	if e := p.elements[id]; e != nil {
		return e
	}
	e := &element{id: id, min: -1, max: -1}
	p.elements[id] = e
	above, last := "", id
	if dot := lastDot(id); dot >= 0 {
		above, last = id[:dot], id[dot+1:]
	}
	e.name, e.slice, _ = strings.Cut(last, ":")
	switch {
	case e.slice != "":
		of := p.place(strings.TrimPrefix(above+"."+e.name, "."))
		of.slices = append(of.slices, e)
	case above != "":
		parent := p.place(above)
		parent.children = append(parent.children, e)
	}
	return e
}

// lastDot is the dot before the last part of an id; those of a slice's name do
// not count.
func lastDot(id string) int {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i] != '.' {
			continue
		}
		if colon := strings.LastIndexByte(id[:i], ':'); colon < 0 || strings.IndexByte(id[colon:i], '.') >= 0 || known(id[i+1:]) {
			return i
		}
	}
	return -1
}

// known reports whether a part of an id begins with the name of an element.
func known(part string) bool {
	name, _, _ := strings.Cut(part, ":")
	return definitions.Word(strings.TrimSuffix(name, "[x]"))
}

// add reads one ElementDefinition.
func (p *profile) add(n *fhir.Node) string {
	id := text(n, "id")
	if id == "" {
		id = text(n, "path")
		if name := text(n, "sliceName"); name != "" {
			id += ":" + name
		}
	}
	if root, _, _ := strings.Cut(id, "."); root != p.typ.Name {
		return "an element does not begin with the type of the profile"
	}
	e := p.place(id)
	if v, err := strconv.Atoi(number(n, "min")); err == nil {
		e.min = v
	}
	if word := text(n, "max"); word != "" {
		e.max = -1
		if v, err := strconv.Atoi(word); err == nil {
			e.max = v
		}
	}
	if v, err := strconv.Atoi(number(n, "maxLength")); err == nil {
		e.longest = v
	}
	if ref := text(n, "contentReference"); ref != "" {
		_, e.content, _ = strings.Cut(ref, "#")
	}
	e.typed(n)
	e.valued(n)
	e.sliced(n)
	return e.constrained(n)
}

func (e *element) typed(n *fhir.Node) {
	list := n.Get("type")
	if list == nil {
		return
	}
	e.types = nil
	for _, t := range list.Items {
		code := text(t, "code")
		if x := t.Get("extension"); x != nil {
			for _, one := range x.Items {
				if strings.HasSuffix(text(one, "url"), "structuredefinition-fhir-type") {
					code = text(one, "valueUrl")
				}
			}
		}
		code = code[strings.LastIndexByte(code, '/')+1:]
		code = code[strings.LastIndexByte(code, '.')+1:]
		e.types = append(e.types, typeOf{code, texts(t, "profile"), texts(t, "targetProfile")})
	}
}

func (e *element) valued(n *fhir.Node) {
	for i := range n.Members {
		switch name := n.Members[i].Name; {
		case strings.HasPrefix(name, "fixed"):
			e.fixed = n.Members[i].Value
		case strings.HasPrefix(name, "pattern"):
			e.pattern = n.Members[i].Value
		}
	}
	if b := n.Get("binding"); b != nil {
		e.strength, e.valueSet = text(b, "strength"), text(b, "valueSet")
	}
}

func (e *element) sliced(n *fhir.Node) {
	s := n.Get("slicing")
	if s == nil {
		return
	}
	made := &slicing{rules: text(s, "rules")}
	if o := s.Get("ordered"); o != nil {
		made.ordered = o.Text == "true"
	}
	if list := s.Get("discriminator"); list != nil {
		for _, d := range list.Items {
			made.by = append(made.by, discriminator{text(d, "type"), text(d, "path")})
		}
	}
	e.slicing = made
}

// constrained reads the invariants that are not those of R4 itself.
func (e *element) constrained(n *fhir.Node) string {
	list := n.Get("constraint")
	if list == nil {
		return ""
	}
	for _, c := range list.Items {
		key, expression := text(c, "key"), text(c, "expression")
		if expression == "" || coreKeys()[key] {
			continue
		}
		x, err := fhirpath.Compile(expression)
		if err != nil {
			return "constraint " + key + ": " + err.Error()
		}
		e.rules = append(e.rules, constraint{key, text(c, "human"), text(c, "severity") == "warning", x})
	}
	return ""
}
