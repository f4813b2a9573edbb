package query

import (
	"slices"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// PartOf is the parameter by which resources of a type are part of one of their own
// type (a ward of a hospital), if there is one.
func PartOf(typ string) (*definitions.Param, bool) {
	for _, code := range []string{"partof", "part-of"} {
		if p, ok := definitions.FindParam(typ, code); ok && len(p.Targets) == 1 && p.Targets[0] == typ {
			return p, true
		}
	}
	return nil, false
}

// hierarchy compiles :below and :above of a reference: what refers to a resource, or
// to one that is part of it or that it is part of (search.html#recursive).
func (p *Search) hierarchy(c *store.Clause, param *definitions.Param, modifier, value string) error {
	targets := slices.DeleteFunc(slices.Clone(param.Targets), func(typ string) bool {
		_, ok := PartOf(typ)
		return !ok
	})
	if len(targets) == 0 {
		return bad(":above and :below of a reference are for Location, Organization, Encounter, CarePlan, Task and ResearchStudy, which may be part of one another")
	}
	for _, one := range list(value) {
		typ, id, ok := localReference(plain(one))
		of := []string{typ}
		if !ok {
			of, id = targets, plain(one)
		}
		if !goodID.MatchString(id) || ok && !slices.Contains(targets, typ) {
			return bad(":above and :below of a reference take the id of a resource that may be part of another one, or Type/id")
		}
		if !ok {
			c.Any = append(c.Any, store.Match{Type: "*", ID: id}) // also of a type that has no parts
		}
		for _, typ := range of {
			ids, err := p.terms.Parts(typ, id, modifier == "above")
			if err != nil {
				return ofTerms(err)
			}
			if p.alternatives -= len(ids); p.alternatives < 0 {
				return costly("a search has more than 2500 values")
			}
			for _, one := range ids {
				c.Any = append(c.Any, store.Match{Type: typ, ID: one})
			}
		}
	}
	return nil
}
