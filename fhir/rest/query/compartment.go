package query

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// Inside keeps what is in a compartment ("Patient/7/"): what points to its owner
// by one of the parameters that R4 names, and the owner itself.
func (p *Search) Inside(within string, only []string) error {
	if p.contained == "true" || p.contained == "both" {
		return &Error{Code: "not-supported", Text: "a search in a compartment takes no _contained=true and no both"}
	}
	owner, id, _ := strings.Cut(strings.TrimSuffix(within, "/"), "/")
	types := []string{p.Type}
	if p.Type == "*" {
		types = append(definitions.Compartments(owner), owner)
	}
	if chosen := strings.Split(strings.Join(only, ","), ","); p.Type == "*" && chosen[0] != "" {
		for _, typ := range chosen {
			if _, known := definitions.Resource(typ); !known {
				return bad("_type names no resource type")
			}
		}
		types = slices.DeleteFunc(types, func(typ string) bool { return !slices.Contains(chosen, typ) })
	}
	pointing := store.Clause{Shape: store.ShapeRef, Any: []store.Match{{Type: owner, ID: id}}}
	whole := store.Clause{} // one of the lists of clauses
	for _, typ := range types {
		for _, code := range definitions.Compartment(owner, typ) {
			param, ok := definitions.FindParam(typ, code)
			switch {
			case !ok: // {def}: the owner, below
			case pointing.Param == 0:
				pointing.Param = param.Row
			case pointing.Param != param.Row && !slices.Contains(pointing.Also, param.Row):
				pointing.Also = append(pointing.Also, param.Row)
			}
		}
		if typ == owner {
			whole.Or = [][]store.Clause{{{Shape: store.ShapeID, Any: []store.Match{{Value: &id, Type: owner}}}}}
		}
	}
	switch {
	case len(whole.Or) == 0 && pointing.Param != 0:
		whole = pointing // looked up in its index
	case pointing.Param != 0:
		whole.Or = append(whole.Or, []store.Clause{pointing})
	case len(whole.Or) == 0:
		whole = store.Clause{Shape: store.ShapeID} // of none of the types
	}
	p.Where = append(p.Where, whole)
	return nil
}
