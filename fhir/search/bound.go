package search

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Named is where the names of a resource stand that canonical references lead to
// it by (Names).
const Named fhir.Param = ofParam

// Names are what canonical references to a resource say: its url and version, and
// the url with a bar for those that name no version (references.html#canonical).
func Names(typ string, n *fhir.Node) []string {
	url := textOf(n, "url")
	if url == "" || !Nameable(typ) {
		return nil
	}
	out := []string{url + "|"}
	if version := textOf(n, "version"); version != "" {
		out = append(out, url+"|"+version)
	}
	return out
}

// Nameable reports whether resources of a type have a canonical url.
func Nameable(typ string) bool {
	p, ok := definitions.FindParam(typ, "url")
	return ok && p.Expression == typ+".url"
}

// Canonical reports whether a parameter looks at canonical references.
func Canonical(p *definitions.Param) bool {
	return p.Kind == "reference" && slices.ContainsFunc(ends(p), func(e end) bool { return e.typ == "canonical" || e.typ == "uri" })
}

// Bound are the value sets of the elements of type code that a parameter looks at.
func Bound(p *definitions.Param) (out []*definitions.ValueSet) {
	for _, e := range ends(p) {
		if set, known := definitions.Codes(e.element.Binding); known && e.typ == "code" {
			out = append(out, set)
		}
	}
	return out
}

// An end is an element that a parameter takes its values from, with one of its
// types.
type end struct {
	element *definitions.Element
	typ     string
}

func ends(p *definitions.Param) (out []end) {
	for one := range strings.SplitSeq(p.Expression, " | ") {
		if t, ok := definitions.Lookup(p.Type); ok {
			out = append(out, reach(t, "", compile(p.Type, one))...)
		}
	}
	return out
}

// reach follows steps from a path of a type to the elements they end at.
func reach(t *definitions.Type, path string, steps []step) (out []end) {
	if len(steps) == 0 {
		return nil
	}
	s := &steps[0]
	name := s.name
	if path != "" {
		name = path + "." + name
	}
	for i := range t.Elements {
		e := &t.Elements[i]
		if strings.TrimSuffix(e.Path, "[x]") != name {
			continue
		}
		for _, typ := range e.Types {
			if len(s.types) > 0 && !strings.EqualFold(s.types[0], typ) {
				continue
			}
			whole, elsewhere := strings.CutPrefix(typ, "#"+t.Name+".")
			switch next, known := definitions.Lookup(typ); {
			case len(steps) == 1:
				out = append(out, end{e, typ})
			case elsewhere:
				out = append(out, reach(t, whole, steps[1:])...)
			case len(t.Children(e.Path)) > 0:
				out = append(out, reach(t, e.Path, steps[1:])...)
			case known:
				out = append(out, reach(next, "", steps[1:])...)
			}
		}
	}
	return out
}
