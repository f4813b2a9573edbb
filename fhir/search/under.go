package search

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
)

// IndexUnder extracts the index rows of a resource that was written under the base
// of this server: a reference that begins with it has the rows of a relative one
// beside its own (references.html#literal). Those of a Bundle are left as they are:
// what they lead to its full URLs say.
func IndexUnder(base, typ string, n *fhir.Node) fhir.Index {
	as := Index(typ, n)
	if base == "" || typ == "Bundle" || !slices.ContainsFunc(as.Refs, func(r fhir.RefRow) bool { return below(base, r.ID) != "" }) {
		return as
	}
	whole := n.Clone()
	relate(base, whole)
	out := Index(typ, whole)
	for _, r := range as.Refs {
		if r.Type == "" {
			out.Refs = append(out.Refs, r)
		}
	}
	out.Refs = once(out.Refs)
	return out
}

// relate makes references below a base relative.
func relate(base string, n *fhir.Node) {
	for i := range n.Members {
		m := &n.Members[i]
		if m.Name == "reference" && m.Value.Kind == fhir.String {
			if rest := below(base, m.Value.Text); rest != "" {
				m.Value = fhir.Text(rest)
			}
			continue
		}
		relate(base, m.Value)
	}
	for _, item := range n.Items {
		relate(base, item)
	}
}

// below is what follows a base where that is a reference to a resource, or empty.
func below(base, reference string) string {
	rest, ok := strings.CutPrefix(reference, base+"/")
	if !ok {
		return ""
	}
	if _, _, ok := local(rest); !ok {
		return ""
	}
	return rest
}

// BaseOf is the base that a resource was written under, by the references of its
// rows and those that the same resource has without a base: where one of these is
// the end of another, what is before it is the base. Empty when there is none.
func BaseOf(now, before []fhir.RefRow) string {
	for _, whole := range now {
		if whole.Type != "" || !strings.HasPrefix(whole.ID, "http") {
			continue
		}
		address, _, _ := strings.Cut(whole.ID, "/_history/")
		for _, r := range before {
			if base, ends := strings.CutSuffix(address, "/"+r.Type+"/"+r.ID); ends && r.Type != "" && r.Param == whole.Param {
				return base
			}
		}
	}
	return ""
}
