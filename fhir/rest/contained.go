package rest

import (
	"context"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/store"
)

// shown sends a resource that was found or is brought along. Where contained
// resources are asked for alone these are sent instead, and the resource itself
// only if it matches too (search.html#contained).
func (c *call) shown(q *query.Search, res *store.Resource, mode string, v query.View, s *stream) error {
	if !q.Alone || mode != "match" {
		return s.entry(c.entry(res, mode, v))
	}
	if own := q.Themselves(); own != nil && own.Type == res.Type {
		itself, err := len(res.Contained) == 0, error(nil)
		if !itself {
			itself, err = c.meets(*own, res)
		}
		if err == nil && itself {
			err = s.entry(c.entry(res, mode, v))
		}
		if err != nil {
			return err
		}
	}
	n, err := fhir.Parse(res.Content)
	if err != nil {
		return err
	}
	list := n.Get("contained")
	for _, i := range res.Contained {
		if list == nil || i >= len(list.Items) {
			continue // it was written anew meanwhile
		}
		one := list.Items[i]
		body := v.Of(text(one, "resourceType"), one.AppendJSON(nil))
		if err := s.entry(matchOf(c.full(res.Type, res.ID)+"#"+text(one, "id"), body, mode)); err != nil {
			return err
		}
	}
	return nil
}

// meets reports whether a resource matches a query.
func (c *call) meets(q store.Query, res *store.Resource) (bool, error) {
	id := res.ID
	q.Where = append([]store.Clause{{Shape: store.ShapeID, Any: []store.Match{{Value: &id}}}}, q.Where...)
	page, err := timed(c, func(ctx context.Context) (store.Page, error) { return c.Records.Search(ctx, q) })
	return page.Total > 0, err
}
