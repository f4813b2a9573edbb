package query

import (
	"unicode/utf8"

	"github.com/plexus-health/plexus/store"
)

// Unselective reports whether a query asks for parts of strings that nearly every
// resource has, and for nothing that selects.
func Unselective(q *store.Query) bool {
	for i := range q.Where {
		if !weak(&q.Where[i]) {
			return false
		}
	}
	return len(q.Where) > 0
}

func weak(c *store.Clause) bool {
	for _, list := range c.Or {
		if Unselective(&store.Query{Where: list}) {
			return true
		}
	}
	for i := range c.Chain {
		if Unselective(&c.Chain[i]) {
			return true
		}
	}
	for i := range c.Either {
		if Unselective(&c.Either[i]) {
			return true
		}
	}
	if c.Has != nil {
		return Unselective(c.Has)
	}
	if c.Contained != nil {
		return Unselective(c.Contained)
	}
	for i := range c.Any {
		if m := &c.Any[i]; m.Contains && utf8.RuneCountInString(m.Text) < 3 {
			return true
		}
	}
	return false
}
