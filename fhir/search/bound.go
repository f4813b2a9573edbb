package search

import (
	"strings"

	"github.com/plexus-health/plexus/fhir/definitions"
)

// Bound are the value sets of the elements of type code that a parameter looks at.
func Bound(p *definitions.Param) (out []*definitions.ValueSet) {
	for one := range strings.SplitSeq(p.Expression, " | ") {
		t, ok := definitions.Lookup(p.Type)
		path, end := "", (*definitions.Element)(nil)
		for _, s := range compile(p.Type, one) {
			if !ok {
				break
			}
			var typ string
			if end, typ, ok = t.Child(path, s.name); !ok {
				break
			}
			switch whole, elsewhere := strings.CutPrefix(typ, "#"+t.Name+"."); {
			case elsewhere:
				path = whole
			case len(t.Children(end.Path)) > 0:
				path = end.Path
			case typ == "code":
			default:
				t, ok = definitions.Lookup(typ)
				path = ""
			}
		}
		if !ok || end == nil || len(end.Types) != 1 || end.Types[0] != "code" {
			continue
		}
		if set, known := definitions.Codes(end.Binding); known {
			out = append(out, set)
		}
	}
	return out
}
