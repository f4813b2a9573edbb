package rest

import (
	"context"
	"errors"
	"net/http"

	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/store"
)

// timed lets the store work for as long as a search may take.
func timed[T any](c *call, work func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(c.r.Context(), c.SearchTime)
	defer cancel()
	out, err := work(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = &fault{http.StatusServiceUnavailable, "timeout", "", "the search took longer than " + c.SearchTime.String() + ": add a parameter that selects less"}
	}
	return out, err
}

// find searches, unless it would have to walk through a type that is large.
func (c *call) find(q store.Query) (store.Page, error) {
	return timed(c, func(ctx context.Context) (store.Page, error) {
		if query.Unselective(&q) {
			large, err := c.Records.More(ctx, q.Type, c.Walked)
			if err != nil {
				return store.Page{}, err
			}
			if large {
				return store.Page{}, costly("the search would walk through all resources of a type: :contains with one or two letters needs a further parameter")
			}
		}
		return c.Records.Search(ctx, q)
	})
}

func costly(text string) error { return &fault{http.StatusBadRequest, "too-costly", "", text} }
