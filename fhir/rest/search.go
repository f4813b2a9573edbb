package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/store"
)

// search answers a type search, by GET or POST _search.
func (c *call) search() error {
	values := c.r.URL.Query()
	if c.r.Method == http.MethodPost {
		values = c.r.Form // read by form
	}
	q, err := query.Parse(c.typ, values, c.strict(), c)
	if err != nil {
		return err
	}
	query.Here(c.own(), q.Where)
	if c.within != "" {
		if err := q.Inside(c.within, values["_type"]); err != nil {
			return err
		}
	}
	return c.searchset(q)
}

// searchset runs a search and sends its Bundle while it is read.
func (c *call) searchset(q *query.Search) error {
	q.Bytes = inMemory
	page, err := c.find(q.Query)
	if err != nil {
		if q.After != "" && faultsOf(err)[0].status == http.StatusInternalServerError {
			return &fault{http.StatusBadRequest, "invalid", inRequest + "_page", "the page is that of another search"} // its values do not fit
		}
		return err
	}
	b := newBundle("searchset")
	if page.Total >= 0 {
		b.Set("total", fhir.Decimal(strconv.Itoa(page.Total)))
	}
	links := &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{c.link("self", q.Used)}}
	if page.Next != "" {
		next := url.Values{}
		for name, list := range q.Used {
			next[name] = list
		}
		next.Set("_page", page.Next)
		links.Items = append(links.Items, c.link("next", next))
	}
	b.Set("link", links)
	s, err := c.stream(b)
	if err != nil {
		return err
	}
	if left := c.Records.Unindexed(); left > 0 {
		if err := s.entry(lacking(left)); err != nil {
			return err
		}
	}
	if err := c.included(q, page.Resources, s); err != nil {
		return err
	}
	return s.close()
}

// lacking is the entry that says that the search may miss something.
func lacking(left int64) *fhir.Node {
	return remark("incomplete", "the search index is made anew: "+strconv.FormatInt(left, 10)+" resources may be missing where a parameter is new or has changed")
}

// remark is the entry of a warning about what was found.
func remark(code, text string) *fhir.Node {
	list := outcome(faults{{http.StatusOK, code, "", text}})
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
	if text := values.Encode(); text != "" {
		address += "?" + text
	}
	n := fhir.NewObject()
	n.Set("relation", fhir.Text(relation))
	n.Set("url", fhir.Text(address))
	return n
}

func (c *call) entry(res *store.Resource, mode string, v query.View) *fhir.Node {
	return matchOf(c.full(res.Type, res.ID), v.Of(res.Type, stamped(res)), mode)
}

func matchOf(full string, text []byte, mode string) *fhir.Node {
	e := fhir.NewObject()
	e.Set("fullUrl", fhir.Text(full))
	e.Set("resource", raw(text))
	how := fhir.NewObject()
	how.Set("mode", fhir.Text(mode))
	e.Set("search", how)
	return e
}
