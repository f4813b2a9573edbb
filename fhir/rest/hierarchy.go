package rest

import (
	"context"
	"errors"
	"slices"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/fhir/terms"
	"github.com/plexus-health/plexus/store"
)

// Bounds of a hierarchy of resources.
const (
	mostParts     = 1000
	deepestOfPart = 16
)

var _ query.Terms = (*call)(nil)

// Parts are a resource and those that are part of it, of their parts too; or, above,
// those that it is part of.
func (c *call) Parts(typ, id string, above bool) ([]string, error) {
	p, ok := query.PartOf(typ)
	if !ok {
		return []string{id}, nil
	}
	all, last := []string{id}, []string{id}
	for range deepestOfPart {
		var next []string
		var err error
		if above {
			next, err = c.wholes(typ, last, p.ID)
		} else {
			next, err = c.partsOf(typ, last, p.Row)
		}
		if err != nil {
			return nil, err
		}
		last = slices.DeleteFunc(next, func(one string) bool { return slices.Contains(all, one) })
		if all = append(all, last...); len(all) > mostParts {
			break
		}
		if len(last) == 0 {
			return all, nil
		}
	}
	return nil, &terms.Error{Code: "too-costly", Text: "more than 1000 resources are part of one another, or more than 16 deep"}
}

// partsOf are the resources that are part of some.
func (c *call) partsOf(typ string, of []string, param fhir.Param) (ids []string, err error) {
	clause := store.Clause{Param: param, Shape: store.ShapeRef}
	for _, id := range of {
		clause.Any = append(clause.Any, store.Match{Type: typ, ID: id})
	}
	q := store.Query{Type: typ, Where: []store.Clause{clause}, Limit: mostParts + 1, Bytes: 1} // which they are matters only
	query.Here(c.own(), q.Where)
	page, err := timed(c, func(ctx context.Context) (store.Page, error) { return c.Records.Search(ctx, q) })
	for _, res := range page.Resources {
		ids = append(ids, res.ID)
	}
	return ids, err
}

// wholes are the resources that some are part of.
func (c *call) wholes(typ string, of []string, param fhir.Param) (ids []string, err error) {
	for _, id := range of {
		res, err := c.Records.Read(c.r.Context(), typ, id)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDeleted) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n, err := fhir.Parse(res.Content)
		if err != nil {
			return nil, err
		}
		for _, r := range search.IndexUnder(c.own(), typ, n).Refs {
			if r.Param == param && r.Type == typ {
				ids = append(ids, r.ID)
			}
		}
	}
	return ids, nil
}
