package rest

import (
	"errors"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// mostIncluded bounds what a search brings along.
const mostIncluded = 2000

// A place is a resource by type and id.
type place struct{ typ, id string }

// A target is a resource that others may point to, also by its canonical names.
type target struct {
	place
	names []string
}

// included sends the matches of a search and then the resources that they point
// to, or that point to them: one step, or with :iterate until nothing new is found
// or as much as is brought along. Of all of them only the places are kept.
func (c *call) included(q *query.Search, matches []store.Resource, s *stream) error {
	seen := map[place]bool{}
	for i := range matches {
		seen[place{matches[i].Type, matches[i].ID}] = true
	}
	left, more := mostIncluded, false
	from := matches
	for step := 0; len(from) > 0; step++ {
		mode, v := "match", q.View
		if step > 0 {
			mode, v = "include", query.View{}
		}
		var forward []place
		var backward []target
		for i := range from {
			if err := c.whole(&from[i]); err != nil {
				return err
			}
			if err := c.shown(q, &from[i], mode, v, s); err != nil {
				return err
			}
			n, err := c.parsed(q, &from[i])
			if err != nil {
				return err
			}
			backward = append(backward, target{place{from[i].Type, from[i].ID}, search.Names(from[i].Type, n)})
			if forward, err = c.pointed(q, step, &from[i], n, forward); err != nil {
				return err
			}
			from[i] = store.Resource{} // it is on its way
		}
		fresh := func(p place) bool {
			if seen[p] {
				return false
			}
			if left == 0 {
				more = true
				return false
			}
			seen[p] = true
			left--
			return true
		}
		var err error
		var cut bool
		if from, cut, err = c.along(q, step, forward, backward, fresh); err != nil {
			return err
		}
		more = more || cut
	}
	if !more {
		return nil
	}
	return s.entry(remark("throttled", "more than "+strconv.Itoa(mostIncluded)+" resources would be included: the others are left out"))
}

// along are the resources of the next step that were not sent yet; those beyond
// what is held in memory come without their contents, which are read again when
// their turn comes. cut: a search for them found more than are brought along.
func (c *call) along(q *query.Search, step int, forward []place, backward []target, fresh func(place) bool) (out []store.Resource, cut bool, err error) {
	room := inMemory
	for _, p := range forward {
		if !fresh(p) {
			continue
		}
		res, err := c.Records.Read(c.r.Context(), p.typ, p.id)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDeleted) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if room <= 0 {
			res.Content = nil
		}
		room -= len(res.Content)
		out = append(out, res)
	}
	for _, i := range q.Includes {
		if !i.Reverse || step > 0 && !i.Iterate {
			continue
		}
		page, err := c.pointing(i, backward, max(room, 1))
		if err != nil {
			return nil, false, err
		}
		cut = cut || page.Next != ""
		for _, res := range page.Resources {
			if fresh(place{res.Type, res.ID}) {
				room -= len(res.Content)
				out = append(out, res)
			}
		}
	}
	return out, cut, nil
}

// parsed is a resource as a tree where includes look into it; nil where none does.
func (c *call) parsed(q *query.Search, res *store.Resource) (*fhir.Node, error) {
	for _, i := range q.Includes {
		if i.Reverse && search.Nameable(res.Type) || !i.Reverse && i.Type == res.Type {
			return fhir.Parse(res.Content)
		}
	}
	return nil, nil
}

// pointed appends what a resource points to by the includes.
func (c *call) pointed(q *query.Search, step int, res *store.Resource, n *fhir.Node, out []place) ([]place, error) {
	var refs []fhir.RefRow
	for _, i := range q.Includes {
		if i.Reverse || i.Type != res.Type || step > 0 && !i.Iterate {
			continue
		}
		if refs == nil {
			refs = search.IndexUnder(c.own(), res.Type, n).Refs
		}
		for _, row := range refs {
			if i.Points(row) {
				out = append(out, place{row.Type, row.ID})
			}
			p, err := c.named(&i, row)
			if err != nil {
				return nil, err
			}
			if p.id != "" {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// named is the place that a canonical reference leads to; it is looked up once for a
// request.
func (c *call) named(i *query.Include, row fhir.RefRow) (place, error) {
	types := i.Named(row)
	if len(types) == 0 {
		return place{}, nil
	}
	key := strings.Join(append(types, row.ID), " ")
	if p, met := c.byName[key]; met {
		return p, nil
	}
	url, version, _ := strings.Cut(row.ID, "|")
	found, err := c.canonical(url, version, types...)
	if c.byName == nil {
		c.byName = map[string]place{}
	}
	p := place{found.Type, found.ID}
	c.byName[key] = p
	return p, err
}

// pointing searches for resources of the include's type that point to these.
func (c *call) pointing(i query.Include, to []target, room int) (store.Page, error) {
	whole := store.Clause{} // one of the lists of clauses
	clauses := map[string]*store.Clause{}
	var types []string
	for _, p := range to {
		if _, met := clauses[p.typ]; !met {
			clauses[p.typ] = nil
			if clause, ok := i.To(p.typ); ok {
				clauses[p.typ], types = &clause, append(types, p.typ)
			}
		}
		if clause := clauses[p.typ]; clause != nil {
			clause.Any = append(clause.Any, store.Match{Type: p.typ, ID: p.id})
			for _, name := range p.names {
				clause.Any = append(clause.Any, store.Match{ID: name})
			}
		}
	}
	for _, typ := range types {
		whole.Or = append(whole.Or, []store.Clause{*clauses[typ]})
	}
	switch len(types) {
	case 0:
		return store.Page{}, nil
	case 1: // looked up in its index
		whole = *clauses[types[0]]
	}
	return c.find(store.Query{Type: i.Type, Where: []store.Clause{whole}, Limit: mostIncluded, Bytes: room})
}
