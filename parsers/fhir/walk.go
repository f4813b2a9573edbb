package fhir

import (
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// A Walk is a path below a resource or an element, for maps: what stands behind
// the first name of a path.
type Walk struct {
	steps []step
	// Types are those the elements it leads to may have; empty when they are
	// not known.
	Types []string
	// Primitive: they are values. Repeats: there may be several of them.
	Primitive, Repeats bool
}

// Below compiles the rest of a path (".name[0].family", or nothing) that begins
// at a value of one of the types; with none of them nothing is checked.
func (g Grammar) Below(types []string, text string) (*Walk, error) {
	if text == "" {
		return &Walk{Types: types}, nil
	}
	var at []context
	for _, name := range types {
		if t, ok := definitions.Lookup(name); ok {
			at = append(at, context{typ: t, primitive: t.Kind == "primitive-type", resource: name == "Resource"})
		}
	}
	if len(at) == 0 {
		at = []context{{}}
	}
	steps, ends, err := g.steps(text, strings.Join(types, " or "), at)
	if err != nil {
		return nil, err
	}
	w := &Walk{steps: steps, Primitive: true}
	for _, end := range ends {
		w.Primitive = w.Primitive && end.primitive
		if end.typ != nil && end.path == "" && !end.primitive && !end.resource {
			w.Types = append(w.Types, end.typ.Name)
		}
	}
	for i := range steps {
		w.Repeats = w.Repeats || steps[i].several()
	}
	return w, nil
}

// Below is Grammar.Below without short names of code systems.
func Below(types []string, text string) (*Walk, error) { return Grammar{}.Below(types, text) }

// Nodes are the elements it leads to from n, in order.
func (w *Walk) Nodes(n *fhir.Node) []*fhir.Node {
	if n == nil {
		return nil
	}
	var out []*fhir.Node
	walk(n, w.steps, func(found *fhir.Node) bool {
		out = append(out, found)
		return true
	})
	return out
}

// Targets are the types that a reference element may lead to; it is named from
// its resource on: "ServiceRequest.subject".
func Targets(path string) []string {
	typ, rest, _ := strings.Cut(path, ".")
	t, ok := definitions.Resource(typ)
	if !ok {
		return nil
	}
	way := ""
	for part := range strings.SplitSeq(rest, ".") {
		name, _, _ := strings.Cut(part, "[")
		if way != "" {
			way += "."
		}
		way += name
	}
	for i := range t.Elements {
		if e := &t.Elements[i]; strings.TrimSuffix(e.Path, "[x]") == way {
			return e.Targets
		}
	}
	above, name := "", way
	if dot := strings.LastIndexByte(way, '.'); dot >= 0 {
		above, name = way[:dot], way[dot+1:]
	}
	if e, _, ok := t.Child(above, name); ok {
		return e.Targets
	}
	return nil
}
