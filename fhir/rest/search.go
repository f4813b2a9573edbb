package rest

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/store"
)

// search answers a type search, by GET or POST _search.
func (c *call) search() error {
	values := c.r.URL.Query()
	if c.r.Method == http.MethodPost {
		c.r.Body = http.MaxBytesReader(c.w, c.r.Body, 1<<20)
		if err := c.r.ParseForm(); err != nil {
			return bad("the body is no form")
		}
		values = c.r.Form
	}
	q, err := parseQuery(c.typ, values, c.strict(), 0)
	if err != nil {
		return err
	}
	here(strings.TrimRight(c.full("", ""), "/"), q.Where)
	if c.within != "" {
		if err := q.inside(c.within, values["_type"]); err != nil {
			return err
		}
	}
	b, err := c.searchset(q)
	if err != nil {
		return err
	}
	c.send(http.StatusOK, b.AppendJSON(nil))
	return nil
}

// searchset runs a search and makes its Bundle.
func (c *call) searchset(q *parsed) (*fhir.Node, error) {
	page, err := c.find(q.Query)
	if err != nil {
		if q.After != "" && faultsOf(err)[0].status == http.StatusInternalServerError {
			return nil, bad("the page is that of another search") // its values do not fit
		}
		return nil, err
	}
	b := newBundle("searchset")
	if page.Total >= 0 {
		b.Set("total", fhir.Decimal(strconv.Itoa(page.Total)))
	}
	links := &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{c.link("self", q.used)}}
	if page.Next != "" {
		next := url.Values{}
		for name, list := range q.used {
			next[name] = list
		}
		next.Set("_page", page.Next)
		links.Items = append(links.Items, c.link("next", next))
	}
	b.Set("link", links)
	entries := &fhir.Node{Kind: fhir.Array}
	if left := c.Records.Unindexed(); left > 0 {
		entries.Items = append(entries.Items, lacking(left))
	}
	for _, res := range page.Resources {
		entries.Items = append(entries.Items, c.entry(res, "match", q.view))
	}
	more, err := c.included(q, page.Resources)
	if err != nil {
		return nil, err
	}
	for _, res := range more {
		entries.Items = append(entries.Items, c.entry(res, "include", view{}))
	}
	if len(entries.Items) > 0 {
		b.Set("entry", entries)
	}
	return b, nil
}

// lacking is the entry that says that the search may miss something.
func lacking(left int64) *fhir.Node {
	list := outcome(faults{{http.StatusOK, "incomplete", "", "the search index is made anew: " + strconv.FormatInt(left, 10) + " resources may be missing where a parameter is new or has changed"}})
	list.Get("issue").Items[0].Set("severity", fhir.Text("warning"))
	e, how := fhir.NewObject(), fhir.NewObject()
	e.Set("resource", list)
	how.Set("mode", fhir.Text("outcome"))
	e.Set("search", how)
	return e
}

func (c *call) link(relation string, values url.Values) *fhir.Node {
	return c.linkTo(relation, c.within+c.typ, values)
}

func (c *call) linkTo(relation, place string, values url.Values) *fhir.Node {
	address := strings.TrimSuffix(c.full(place, ""), "/")
	if query := values.Encode(); query != "" {
		address += "?" + query
	}
	n := fhir.NewObject()
	n.Set("relation", fhir.Text(relation))
	n.Set("url", fhir.Text(address))
	return n
}

func (c *call) entry(res store.Resource, mode string, v view) *fhir.Node {
	text := v.of(res.Type, fhir.Stamped(res.Content, res.Version, res.Updated))
	e := fhir.NewObject()
	e.Set("fullUrl", fhir.Text(c.full(res.Type, res.ID)))
	e.Set("resource", raw(text))
	how := fhir.NewObject()
	how.Set("mode", fhir.Text(mode))
	e.Set("search", how)
	return e
}

// mostIncluded bounds what a search brings along.
const mostIncluded = 2000

// included finds the resources that matches point to, or that point to them,
// one step, or up to three with :iterate.
func (c *call) included(q *parsed, matches []store.Resource) ([]store.Resource, error) {
	seen := map[string]bool{}
	for _, m := range matches {
		seen[m.Type+"/"+m.ID] = true
	}
	var out []store.Resource
	from := matches
	for step := range 3 {
		var found []store.Resource
		for _, i := range q.includes {
			if step > 0 && !i.iterate {
				continue
			}
			var err error
			if i.reverse {
				found, err = c.pointing(i, from, found)
			} else {
				found, err = c.pointed(i, from, found, seen)
			}
			if err != nil {
				return nil, err
			}
		}
		from = nil
		for _, res := range found {
			if place := res.Type + "/" + res.ID; !seen[place] && len(out) < mostIncluded {
				seen[place] = true
				out, from = append(out, res), append(from, res)
			}
		}
		if len(from) == 0 {
			break
		}
	}
	return out, nil
}

// pointed reads what resources of the include's type point to.
func (c *call) pointed(i include, from, found []store.Resource, seen map[string]bool) ([]store.Resource, error) {
	for _, res := range from {
		if res.Type != i.typ {
			continue
		}
		n, err := fhir.Parse(res.Content)
		if err != nil {
			return nil, err
		}
		for _, row := range search.Index(res.Type, n).Refs {
			if row.Param != i.param.Row || (i.param.Alias() && row.Type != i.param.Targets[0]) || row.Type == "" || (i.target != "" && row.Type != i.target) || seen[row.Type+"/"+row.ID] {
				continue
			}
			target, err := c.Records.Read(c.r.Context(), row.Type, row.ID)
			if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDeleted) {
				continue
			}
			if err != nil {
				return nil, err
			}
			found = append(found, target)
		}
	}
	return found, nil
}

// pointing searches for resources of the include's type that point to these.
func (c *call) pointing(i include, from, found []store.Resource) ([]store.Resource, error) {
	clause := store.Clause{Param: i.param.Row, Shape: store.ShapeRef}
	for _, res := range from {
		clause.Any = append(clause.Any, store.Match{Type: res.Type, ID: res.ID})
	}
	if len(clause.Any) == 0 {
		return found, nil
	}
	page, err := c.find(store.Query{Type: i.typ, Where: []store.Clause{clause}, Limit: mostIncluded})
	return append(found, page.Resources...), err
}
