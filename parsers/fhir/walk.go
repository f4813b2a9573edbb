package fhir

import (
	"fmt"
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
func Below(types []string, text string) (*Walk, error) {
	w := &Walk{Types: types}
	at := position{complex: true}
	for _, name := range types {
		t, ok := definitions.Lookup(name)
		switch {
		case !ok:
		case at.t == nil:
			at.t = t
		default:
			at.more = append(at.more, t)
		}
	}
	whole := text
	for text != "" {
		if text[0] != '.' || word(text[1:]) == 0 {
			return nil, fmt.Errorf("%q: an element is wanted where %q stands", whole, text)
		}
		end := 1 + word(text[1:])
		s := step{name: text[1:end], index: -1}
		brace := bracket(text[end:])
		if err := s.choose(text[end : end+brace]); err != nil {
			return nil, err
		}
		next, err := at.below(&s, brace > 0)
		if err != nil {
			return nil, err
		}
		w.Repeats = w.Repeats || s.list
		w.steps = append(w.steps, s)
		at, text = next, text[end+brace:]
		w.Types, w.Primitive = at.names(), at.t != nil && !at.complex && at.t.Name == "Element"
	}
	return w, nil
}

// names are the types a position may be of.
func (at position) names() []string {
	if at.t == nil || at.path != "" || at.t.Name == "Element" {
		return nil
	}
	out := []string{at.t.Name}
	for _, t := range at.more {
		out = append(out, t.Name)
	}
	return out
}

// Nodes are the elements it leads to from n, in order.
func (w *Walk) Nodes(n *fhir.Node) []*fhir.Node {
	if n == nil {
		return nil
	}
	if len(w.steps) == 0 {
		return []*fhir.Node{n}
	}
	var out []*fhir.Node
	each(n, w.steps, func(found *fhir.Node) bool {
		out = append(out, found)
		return true
	})
	return out
}

// Targets are the types that a reference element may lead to; it is named from
// its resource on: "ServiceRequest.subject".
func Targets(path string) []string {
	typ, element, _ := strings.Cut(path, ".")
	t, ok := definitions.Resource(typ)
	if !ok {
		return nil
	}
	var names []string
	for part := range strings.SplitSeq(element, ".") {
		name, _, _ := strings.Cut(part, "[")
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	e, _, ok := elementOf(t, strings.Join(names[:len(names)-1], "."), names[len(names)-1])
	if !ok {
		return nil
	}
	return e.Targets
}
