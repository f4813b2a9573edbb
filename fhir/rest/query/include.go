package query

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// An Include asks for resources that matches point to, or that point to them.
type Include struct {
	Reverse bool
	Type    string
	// Params are the parameters; with Type:* all references of the type.
	Params []*definitions.Param
	// Target is the type pointed to, or empty for any.
	Target  string
	Iterate bool
}

// include takes _include and _revinclude; :recurse is what :iterate was called
// before R4. A target that is no type is not known.
func (p *Search) include(name, value string) (known bool, err error) {
	name, modifier, _ := strings.Cut(name, ":")
	if value == "*" && name == "_include" && p.Type != "*" {
		value = p.Type + ":*"
	}
	parts := strings.Split(value, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return true, bad(name + " is written Type:parameter, Type:parameter:Target or Type:*")
	}
	i := Include{Reverse: name == "_revinclude", Type: parts[0], Iterate: modifier != ""}
	for _, param := range definitions.Params(parts[0]) {
		if param.Kind == "reference" && (parts[1] == "*" || parts[1] == param.Code) {
			i.Params = append(i.Params, param)
		}
	}
	if _, exists := definitions.Resource(parts[0]); !exists || len(i.Params) == 0 && parts[1] != "*" {
		return true, bad(name + " names no reference parameter")
	}
	if len(parts) == 3 {
		if _, exists := definitions.Resource(parts[2]); !exists {
			return false, nil
		}
		i.Target = parts[2]
	}
	p.Includes = append(p.Includes, i)
	return true, nil
}

// Points reports whether a reference of a resource of the type is one of those the
// include follows, or follows back.
func (i *Include) Points(row fhir.RefRow) bool {
	if row.Type == "" || strings.HasPrefix(row.ID, "#") || i.Target != "" && row.Type != i.Target {
		return false
	}
	return slices.ContainsFunc(i.Params, func(p *definitions.Param) bool {
		return row.Param == p.Row && (!p.Part() || row.Type == p.Targets[0])
	})
}

// Named are the types of the resources that a canonical reference of a resource of
// the type may lead to by its url; none where the include does not follow it.
func (i *Include) Named(row fhir.RefRow) (types []string) {
	if row.Type != "" || !strings.Contains(row.ID, "|") {
		return nil
	}
	for _, p := range i.Params {
		if row.Param != p.Row || !search.Canonical(p) {
			continue
		}
		for _, typ := range p.Targets {
			if search.Nameable(typ) && (i.Target == "" || i.Target == typ) && !slices.Contains(types, typ) {
				types = append(types, typ)
			}
		}
	}
	return types
}

// To asks for what points to some resource of a type by one of the parameters; ok
// is false when nothing does.
func (i *Include) To(typ string) (clause store.Clause, ok bool) {
	clause.Shape = store.ShapeRef
	for _, p := range i.Params {
		switch {
		case !i.Points(fhir.RefRow{Param: p.Row, Type: typ}):
		case !ok:
			clause.Param, ok = p.Row, true
		case clause.Param != p.Row && !slices.Contains(clause.Also, p.Row):
			clause.Also = append(clause.Also, p.Row)
		}
	}
	return clause, ok
}
