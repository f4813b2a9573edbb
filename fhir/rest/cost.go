package rest

import (
	"context"
	"errors"
	"net/http"
	"unicode/utf8"

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
		if unselective(&q) {
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

// unselective reports whether a query asks for parts of strings that nearly every
// resource has, and for nothing that selects.
func unselective(q *store.Query) bool {
	for i := range q.Where {
		if !weak(&q.Where[i]) {
			return false
		}
	}
	return len(q.Where) > 0
}

func weak(c *store.Clause) bool {
	for _, list := range c.Or {
		if unselective(&store.Query{Where: list}) {
			return true
		}
	}
	for i := range c.Chain {
		if unselective(&c.Chain[i]) {
			return true
		}
	}
	if c.Has != nil {
		return unselective(c.Has)
	}
	for i := range c.Any {
		if m := &c.Any[i]; m.Contains && utf8.RuneCountInString(m.Text) < 3 {
			return true
		}
	}
	return false
}
