package query

import (
	"github.com/plexus-health/plexus/store"
)

// contain turns the search into one for contained resources, or for both
// (search.html#contained): what is found then are the resources they stand in.
func (p *Search) contain() error {
	if p.contained == "" || p.contained == "false" {
		p.Alone = false
		return nil
	}
	if !simple(p.Where) {
		return &Error{Code: "not-supported", Text: "_contained=true and both take no composites of a component, _has, _list and near: contained resources are not found by them"}
	}
	for _, key := range p.Sort {
		if key.Shape != store.ShapeID && key.Shape != store.ShapeLastUpdated {
			return &Error{Code: "not-supported", Text: "_contained=true and both sort by _id and _lastUpdated of the container only"}
		}
	}
	if p.Alone && (p.Total || p.Limit == 0) {
		return &Error{Code: "not-supported", Text: "containers are counted, not contained resources: _total and _summary=count take no _containedType=contained"}
	}
	own := store.Query{Type: p.Type, Where: p.Where}
	p.Where = []store.Clause{{Contained: &own}}
	if p.contained == "both" {
		p.Where = []store.Clause{{Either: []store.Query{own, {Type: "*", Where: p.Where}}}}
	}
	if p.Alone {
		p.Name = &own
	}
	p.Type = "*"
	return nil
}

// Themselves is the search for those of its matches that are no containers, or nil
// where there are none.
func (p *Search) Themselves() *store.Query {
	if p.contained != "both" {
		return nil
	}
	return &p.Where[0].Either[0]
}

// simple reports whether contained resources have rows for all that is asked for.
func simple(clauses []store.Clause) bool {
	for i := range clauses {
		c := &clauses[i]
		if c.Has != nil || len(c.Together) > 0 || c.Shape == store.ShapeNear {
			return false
		}
		for _, list := range c.Or {
			if !simple(list) {
				return false
			}
		}
	}
	return true
}
