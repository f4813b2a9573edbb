// Package search extracts the search index rows of a resource, as the search
// parameters of FHIR R4 define them.
package search

import (
	"strings"
	"sync"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// A step goes from values to values below them.
type step struct {
	// name is the member to go to.
	name string
	// choice: the member's name continues with a type (value[x]).
	choice bool
	// types, if not empty, are those a choice may have, as its names end.
	types []string
	// target, if not empty, keeps references to this type only.
	target string
	// key and value keep objects whose member key has the text value.
	key, value string
	// first keeps the first only.
	first bool
}

type extractor struct {
	param *definitions.Param
	paths [][]step
	// parts are those of a composite.
	parts []part
}

// programs are the compiled parameters of each resource type, made when a type
// is first met.
type programs struct {
	mu    sync.RWMutex
	types map[string][]extractor
}

var compiled = &programs{types: map[string][]extractor{}}

func (p *programs) of(typ string) []extractor {
	p.mu.RLock()
	list, ok := p.types[typ]
	p.mu.RUnlock()
	if ok {
		return list
	}
	for _, param := range definitions.Params(typ) {
		e := extractor{param: param}
		for _, one := range strings.Split(param.Expression, " | ") {
			if steps := compile(typ, one); steps != nil {
				e.paths = append(e.paths, steps)
			}
		}
		if param.Kind == "composite" {
			e.parts = composite(typ, param)
		}
		list = append(list, e)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.types[typ] = list
	return list
}

// compile reads the part of FHIRPath that R4's search parameters use.
func compile(typ, expression string) []step {
	text := strings.TrimSpace(expression)
	as, after := "", ""
	if strings.HasPrefix(text, "(") { // (X.value as T).text
		inner, rest, ok := strings.Cut(text[1:], ")")
		if !ok {
			return nil
		}
		if strings.Contains(inner, " != ") || strings.Contains(inner, " and ") {
			return nil
		}
		text, after = inner, strings.TrimPrefix(rest, ".")
	}
	if strings.Contains(text, ".exists()") || strings.Contains(text, " != ") {
		return nil // Patient.deceased as a boolean: see deceased
	}
	if path, t, ok := strings.Cut(text, " as "); ok {
		text, as = strings.TrimSpace(path), strings.TrimSpace(t)
	}
	steps := parts(typ, text)
	if as != "" && len(steps) > 0 {
		last := &steps[len(steps)-1]
		if last.choice {
			last.types = []string{strings.ToUpper(as[:1]) + as[1:]}
		}
	}
	if after != "" {
		steps = append(steps, step{name: after})
	}
	return steps
}

// parts compiles a path of names and functions.
func parts(typ, text string) []step {
	var steps []step
	names := splitPath(text)
	at := ""
	for i, name := range names {
		if i == 0 {
			continue // the type
		}
		function, argument, isFunction := strings.Cut(name, "(")
		argument = strings.TrimSuffix(argument, ")")
		if isFunction && len(steps) > 0 {
			last := &steps[len(steps)-1]
			switch {
			case function == "as" || function == "ofType":
				if last.choice {
					last.types = []string{strings.ToUpper(argument[:1]) + argument[1:]}
				}
			case function == "where" && strings.HasPrefix(argument, "resolve() is "):
				last.target = strings.TrimPrefix(argument, "resolve() is ")
			case function == "where":
				key, value, _ := strings.Cut(argument, "=")
				last.key, last.value = strings.TrimSpace(key), strings.Trim(value, "' ")
			}
			continue
		}
		s := step{}
		if bare, ok := strings.CutSuffix(name, "[0]"); ok {
			name, s.first = bare, true
		}
		s.name = name
		if at != "" {
			at += "."
		}
		at += name
		s.choice = isChoice(typ, at)
		steps = append(steps, s)
	}
	return steps
}

func isChoice(typ, path string) bool {
	t, ok := definitions.Lookup(typ)
	for ok {
		_, rest, e := longestElement(t, path)
		switch {
		case e == nil:
			return false
		case rest == "":
			return strings.HasSuffix(e.Path, "[x]")
		case len(e.Types) != 1:
			return false
		}
		if whole, found := strings.CutPrefix(e.Types[0], "#"); found {
			_, above, _ := strings.Cut(whole, ".")
			path = above + "." + rest
			continue
		}
		path = rest
		t, ok = definitions.Lookup(e.Types[0])
	}
	return false
}

// longestElement is the element of a type that most of a path leads to, and
// what is left of the path.
func longestElement(t *definitions.Type, path string) (found, rest string, e *definitions.Element) {
	for i := range t.Elements {
		p := strings.TrimSuffix(t.Elements[i].Path, "[x]")
		if below, ok := strings.CutPrefix(path, p); ok && (below == "" || below[0] == '.') && len(p) >= len(found) {
			found, rest, e = p, strings.TrimPrefix(below, "."), &t.Elements[i]
		}
	}
	return found, rest, e
}

// splitPath cuts at dots outside of parentheses.
func splitPath(s string) []string {
	var out []string
	depth, from := 0, 0
	for i, c := range s {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case '.':
			if depth == 0 {
				out = append(out, s[from:i])
				from = i + 1
			}
		}
	}
	return append(out, s[from:])
}

// A found is one value a path reached: typ is the type a choice said.
type found struct {
	node *fhir.Node
	typ  string
}

func walk(n *fhir.Node, steps []step, typ string, out []found) []found {
	if n == nil {
		return out
	}
	if n.Kind == fhir.Array {
		for _, item := range n.Items {
			out = walk(item, steps, typ, out)
		}
		return out
	}
	if len(steps) == 0 {
		return append(out, found{n, typ})
	}
	s := &steps[0]
	if !s.choice {
		return descend(n.Get(s.name), s, steps[1:], "", out)
	}
	for i := range n.Members {
		m := &n.Members[i]
		suffix, ok := strings.CutPrefix(m.Name, s.name)
		if !ok || suffix == "" || suffix[0] < 'A' || suffix[0] > 'Z' {
			continue
		}
		if len(s.types) > 0 && s.types[0] != suffix {
			continue
		}
		out = descend(m.Value, s, steps[1:], suffix, out)
	}
	return out
}

func descend(n *fhir.Node, s *step, rest []step, typ string, out []found) []found {
	if n == nil {
		return out
	}
	if n.Kind == fhir.Array {
		for i, item := range n.Items {
			if s.first && i > 0 {
				break
			}
			out = descend(item, s, rest, typ, out)
		}
		return out
	}
	if s.target != "" {
		if t, _, ok := local(textOf(n, "reference")); !ok || t != s.target {
			return out
		}
	}
	if s.key != "" && textOf(n, s.key) != s.value {
		return out
	}
	return walk(n, rest, typ, out)
}

func textOf(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}

// Index extracts the index rows of a resource. What does not have the form of
// its type gives no row.
func Index(typ string, n *fhir.Node) fhir.Index {
	x := &rows{root: &container{node: n}, composites: true}
	x.own(typ, n)
	x.contained()
	for _, name := range Names(typ, n) {
		x.Refs = append(x.Refs, fhir.RefRow{Param: Named, ID: name})
	}
	x.Patient = patientOf(typ, n)
	x.unique()
	return x.Index
}

// own adds the rows of a resource, or of a contained one.
func (x *rows) own(typ string, n *fhir.Node) {
	for _, e := range compiled.of(typ) {
		if e.param.Alias() || e.param.Combined() || !x.composites && (e.param.Kind == "composite" || e.param.Kind == "special") {
			continue
		}
		x.values = x.values[:0]
		for _, p := range e.paths {
			x.values = walk(n, p, "", x.values)
		}
		switch e.param.Kind {
		case "composite":
			x.composite(&e, n)
			continue
		case "special":
			x.place(e.param.ID)
			continue
		}
		for _, v := range x.values {
			x.add(e.param, v)
		}
		if e.param.Code == "deceased" && typ == "Patient" {
			x.deceased(e.param, n)
		}
	}
}

// patientOf is the one patient whose record a resource belongs to.
func patientOf(typ string, n *fhir.Node) string {
	if typ == "Patient" {
		return textOf(n, "id")
	}
	patient := ""
	for _, code := range definitions.PatientParams(typ) {
		for _, e := range compiled.of(typ) {
			if e.param.Code != code {
				continue
			}
			for _, p := range e.paths {
				for _, v := range walk(n, p, "", nil) {
					t, id, ok := local(textOf(v.node, "reference"))
					if !ok || t != "Patient" {
						continue
					}
					if patient != "" && patient != id {
						return "" // in the records of several
					}
					patient = id
				}
			}
		}
	}
	return patient
}

// local reads a reference to a resource of this store: Type/id, with or
// without a version.
func local(reference string) (typ, id string, ok bool) {
	typ, rest, found := strings.Cut(reference, "/")
	if !found || typ == "" || rest == "" {
		return "", "", false
	}
	id, version, versioned := strings.Cut(rest, "/")
	if versioned && !strings.HasPrefix(version, "_history/") {
		return "", "", false
	}
	if _, known := definitions.Resource(typ); !known || id == "" {
		return "", "", false
	}
	return typ, id, true
}

// Param returns the number of a search parameter.
func Param(typ, code string) (fhir.Param, bool) {
	p, ok := definitions.FindParam(typ, code)
	if !ok {
		return 0, false
	}
	return p.ID, true
}
