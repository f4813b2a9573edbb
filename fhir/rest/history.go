package rest

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/store"
)

// inMemory is how much of the resources of one answer is read in one go; what
// is beyond is read when its turn comes.
const inMemory = 4 << 20

// history answers with versions of a resource, a type or all, the newest first
// (http.html#history).
func (c *call) history() error {
	values := c.r.URL.Query()
	q, used, err := query.History(c.typ, c.id, values, c.strict())
	if err != nil {
		return err
	}
	q.Bytes = inMemory
	page, err := timed(c, func(ctx context.Context) (store.HistoryPage, error) { return c.Records.History(ctx, q) })
	if err != nil {
		return err
	}
	b := newBundle("history")
	if page.Total >= 0 {
		b.Set("total", fhir.Decimal(strconv.Itoa(page.Total)))
	}
	place := strings.TrimLeft(path.Join(q.Type, q.ID, "_history"), "/")
	links := &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{c.linkTo("self", place, used)}}
	if page.Next > 0 {
		next := url.Values{"_page": {strconv.FormatInt(page.Next, 10)}}
		for name, list := range used {
			if name != "_page" {
				next[name] = list
			}
		}
		links.Items = append(links.Items, c.linkTo("next", place, next))
	}
	b.Set("link", links)
	s, err := c.stream(b)
	if err != nil {
		return err
	}
	for i := range page.Versions {
		if err := c.whole(&page.Versions[i]); err != nil {
			return err
		}
		if err := s.entry(c.asEntry(&page.Versions[i])); err != nil {
			return err
		}
		page.Versions[i] = store.Resource{} // it is on its way
	}
	return s.close()
}

// strict reports whether parameters that are not known are to be refused.
func (c *call) strict() bool {
	return slices.Contains(c.prefers(), "handling=strict")
}

// asEntry is the entry of a version.
func (c *call) asEntry(res *store.Resource) *fhir.Node {
	e := fhir.NewObject()
	e.Set("fullUrl", fhir.Text(c.full(res.Type, res.ID)))
	method, target, status := http.MethodPut, res.Type+"/"+res.ID, "200 OK"
	switch {
	case res.Deleted:
		method, status = http.MethodDelete, "204 No Content"
	case res.Version == 1:
		method, target, status = http.MethodPost, res.Type, "201 Created"
	}
	if !res.Deleted {
		e.Set("resource", raw(stamped(res)))
	}
	request := fhir.NewObject()
	request.Set("method", fhir.Text(method))
	request.Set("url", fhir.Text(target))
	e.Set("request", request)
	response := fhir.NewObject()
	response.Set("status", fhir.Text(status))
	response.Set("etag", fhir.Text(etag(*res)))
	response.Set("lastModified", fhir.Text(instant(res.Updated)))
	e.Set("response", response)
	return e
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// whole reads the content of a version that was left out.
func (c *call) whole(res *store.Resource) error {
	if res.Deleted || res.Content != nil {
		return nil
	}
	one, err := c.Records.ReadVersion(c.r.Context(), res.Type, res.ID, res.Version)
	res.Content = one.Content
	return err
}
