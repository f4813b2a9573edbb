// Package terms tells which codes a value set has and which codes of a code
// system are below or above another one, from what is known here: resources that
// a Source gives and the definitions of R4. Nothing is ever fetched.
package terms

import (
	"slices"

	"github.com/plexus-health/plexus/fhir"
)

// A Concept is a code of a system.
type Concept struct{ System, Code string }

// An Error says why codes cannot be told. It holds no value of a request.
type Error struct {
	// Code is an issue-type: not-found for what is not known here.
	Code string
	Text string
}

// Error gives the reason.
func (e *Error) Error() string { return e.Text }

func unknown(text string) error { return &Error{"not-found", text} }

func unsupported(text string) error { return &Error{"not-supported", text} }

func costly(text string) error { return &Error{"too-costly", text} }

// A Source gives value sets and code systems by their canonical URL and, where
// that is not empty, their version. Nil is for what it does not know.
type Source interface {
	ValueSet(url, version string) (*ValueSet, error)
	System(url string) (*System, error)
}

// A System is a code system: its codes, and which stand directly below which.
type System struct {
	URL string
	// Complete is true when all its codes are known.
	Complete bool
	codes    []string // in their order
	above    map[string][]string
	below    map[string][]string
	// properties are the values of each property by the code, of what was read
	// from a CodeSystem.
	properties map[string]map[string][]string
}

// A ValueSet is the definition of a value set.
type ValueSet struct {
	URL, Version string
	include      []component
	exclude      []component
	// expanded are the codes of an expansion that came with it, if it is whole.
	expanded []Concept
	whole    bool
}

// A component is one include or exclude of a value set.
type component struct {
	system  string
	codes   []string // where they are listed
	listed  bool
	filters []filter
	sets    []string
}

type filter struct{ property, op, value string }

// Has reports whether a code is one of the system.
func (s *System) Has(code string) bool {
	_, ok := s.above[code]
	return ok
}

// Codes lists the codes. The list is not to be changed.
func (s *System) Codes() []string { return s.codes }

func newSystem(url string, complete bool) *System {
	return &System{URL: url, Complete: complete, above: map[string][]string{}, below: map[string][]string{}}
}

// add adds a code, below another one where that is not empty.
func (s *System) add(code, parent string) {
	if code == "" {
		return
	}
	if _, met := s.above[code]; !met {
		s.codes = append(s.codes, code)
		s.above[code] = nil
	}
	if parent != "" && parent != code && !slices.Contains(s.above[code], parent) {
		s.above[code] = append(s.above[code], parent)
		s.below[parent] = append(s.below[parent], code)
	}
}

// Below are a code and all below it.
func (s *System) Below(code string) []string { return closure(code, s.below) }

// Above are a code and all above it.
func (s *System) Above(code string) []string { return closure(code, s.above) }

func closure(code string, next map[string][]string) []string {
	out, seen := []string{code}, map[string]bool{code: true}
	for i := 0; i < len(out); i++ {
		for _, one := range next[out[i]] {
			if !seen[one] {
				seen[one] = true
				out = append(out, one)
			}
		}
	}
	return out
}

// SystemOf reads a CodeSystem. Its tree counts only where being below means to be
// a kind of (CodeSystem.hierarchyMeaning).
func SystemOf(n *fhir.Node) *System {
	s := newSystem(text(n, "url"), text(n, "content") == "complete")
	s.declare(n.Get("property"))
	meaning := text(n, "hierarchyMeaning")
	s.read(n.Get("concept"), "", meaning == "" || meaning == "is-a")
	return s
}

func (s *System) read(list *fhir.Node, parent string, kinds bool) {
	if list == nil {
		return
	}
	for _, c := range list.Items {
		code := text(c, "code")
		if kinds {
			s.add(code, parent)
		} else {
			s.add(code, "")
		}
		s.describe(code, c)
		s.read(c.Get("concept"), code, kinds)
	}
}

// ValueSetOf reads a ValueSet.
func ValueSetOf(n *fhir.Node) *ValueSet {
	v := &ValueSet{URL: text(n, "url"), Version: text(n, "version")}
	v.include = components(n.Get("compose").Get("include"))
	v.exclude = components(n.Get("compose").Get("exclude"))
	if x := n.Get("expansion"); x != nil {
		v.contain(x.Get("contains"))
		total := x.Get("total")
		v.whole = x.Get("offset") == nil && (total == nil || total.Text == decimal(len(v.expanded)))
	}
	return v
}

func (v *ValueSet) contain(list *fhir.Node) {
	if list == nil {
		return
	}
	for _, c := range list.Items {
		if abstract := c.Get("abstract"); text(c, "code") != "" && (abstract == nil || abstract.Text != "true") {
			v.expanded = append(v.expanded, Concept{text(c, "system"), text(c, "code")})
		}
		v.contain(c.Get("contains"))
	}
}

func components(list *fhir.Node) (out []component) {
	if list == nil {
		return nil
	}
	for _, i := range list.Items {
		c := component{system: text(i, "system")}
		if concepts := i.Get("concept"); concepts != nil {
			c.listed = true
			for _, one := range concepts.Items {
				c.codes = append(c.codes, text(one, "code"))
			}
		}
		if filters := i.Get("filter"); filters != nil {
			for _, f := range filters.Items {
				c.filters = append(c.filters, filter{text(f, "property"), text(f, "op"), text(f, "value")})
			}
		}
		if sets := i.Get("valueSet"); sets != nil {
			for _, one := range sets.Items {
				c.sets = append(c.sets, one.Text)
			}
		}
		out = append(out, c)
	}
	return out
}

func text(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}
