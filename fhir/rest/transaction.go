package rest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// An item is one entry of a transaction.
type item struct {
	at       string
	method   string
	typ, id  string
	criteria string
	match    string    // ifMatch
	none     string    // ifNoneExist
	asks     bool      // it stands there, if it says something or not
	reads    [2]string // ifNoneMatch, ifModifiedSince
	full     string
	resource *fhir.Node
	change   change // of a patch
	current  store.Resource
	answer   *fhir.Node // of a read, where it is known
	drops    []string   // identities that its resource gives up
	found    bool       // a conditional create found this resource: nothing is written
}

// transaction does all entries or none, in one commit. When another writer came
// between, it is prepared again.
func (c *call) transaction(entries []*fhir.Node) error {
	again := func(list []result) error { return c.transactionAgain(entries, list) }
	return c.compete(again, func() error {
		items, err := c.items(entries)
		if err != nil {
			return err
		}
		writes, err := c.prepare(items)
		if err != nil {
			return err
		}
		if err := c.tryReads(items, writes); err != nil {
			return err
		}
		var out []store.Resource
		if len(writes) > 0 || c.key != "" {
			out, err = c.commit(c.r.Context(), writes, func(out []store.Resource) []result { return resultsIn(items, out) })
			if err != nil {
				return c.owned(err, writes, items)
			}
		}
		return c.answerTransaction(items, resultsIn(items, out), out)
	})
}

// resultsIn are what came of the entries of a transaction, by what was written.
func resultsIn(items []*item, out []store.Resource) []result {
	written := versions(out)
	list := make([]result, 0, len(items))
	for _, it := range items {
		r := result{http.StatusOK, it.typ, it.id, it.current.Version}
		res, wrote := written[place{it.typ, it.id}]
		switch {
		case reads(it.method):
			r = result{typ: it.typ}
		case it.method == http.MethodDelete:
			r.status, r.version = http.StatusNoContent, 0
		case wrote:
			r.status, r.version = replaced(it.current), res.Version
		}
		list = append(list, r)
	}
	return list
}

func versions(list []store.Resource) map[place]*store.Resource {
	out := make(map[place]*store.Resource, len(list))
	for i := range list {
		out[place{list[i].Type, list[i].ID}] = &list[i]
	}
	return out
}

// items reads the entries.
func (c *call) items(entries []*fhir.Node) ([]*item, error) {
	var out []*item
	seen := map[string]bool{}
	for i, e := range entries {
		it := itemOf(e, i)
		if err := it.isRequest(); err != nil {
			return nil, err
		}
		resource := e.Get("resource")
		switch it.method {
		case http.MethodPost, http.MethodPut:
			if resource == nil {
				return nil, &fault{http.StatusBadRequest, "required", it.at + ".resource", "is missing"}
			}
			if err := c.check(resource, it.typ); err != nil {
				return nil, placed(err, it.at+".resource")
			}
			it.resource = resource.Clone()
		case http.MethodPatch:
			var err error
			if it.change, err = c.entryChange(resource); err != nil {
				return nil, placed(err, it.at+".resource")
			}
		}
		if it.full != "" && it.resource != nil && seen[it.full] {
			return nil, &fault{http.StatusBadRequest, "invalid", it.at + ".fullUrl", "stands in the Bundle twice"}
		}
		seen[it.full] = true
		out = append(out, it)
	}
	return out, nil
}

// itemOf reads what an entry asks for.
func itemOf(entry *fhir.Node, n int) *item {
	request := entry.Get("request")
	it := &item{
		at: "Bundle.entry[" + strconv.Itoa(n) + "]", full: text(entry, "fullUrl"),
		method: text(request, "method"), match: text(request, "ifMatch"),
		none: text(request, "ifNoneExist"), asks: request.Get("ifNoneExist") != nil,
		reads: [2]string{text(request, "ifNoneMatch"), text(request, "ifModifiedSince")},
	}
	path, criteria, _ := strings.Cut(strings.TrimPrefix(text(request, "url"), "/"), "?")
	it.typ, it.id, _ = strings.Cut(path, "/")
	it.criteria = criteria
	return it
}

// isRequest reports what is wrong with what an entry of a transaction asks for.
func (it *item) isRequest() error {
	wrong := func(code, at, text string) error { return &fault{http.StatusBadRequest, code, it.at + at, text} }
	_, known := definitions.Resource(it.typ)
	switch {
	case !known:
		return wrong("invalid", ".request.url", "does not begin with a resource type")
	case reads(it.method):
		return nil
	case !slices.Contains(order, it.method):
		return wrong("not-supported", ".request.method", "must be GET, HEAD, POST, PUT, PATCH or DELETE")
	case it.id != "" && !goodID.MatchString(it.id):
		return wrong("invalid", ".request.url", "has no id of 1 to 64 letters, digits, dots and dashes")
	case it.method == http.MethodPost && (it.id != "" || it.criteria != ""):
		return wrong("invalid", ".request.url", "must be a type alone: the server gives the id, and the criteria of a create stand in ifNoneExist")
	case it.method == http.MethodPost && it.asks && strings.TrimPrefix(it.none, "?") == "":
		return wrong("invalid", ".request.ifNoneExist", "has no criteria")
	case it.method != http.MethodPost && it.id == "" && it.criteria == "":
		return wrong("required", ".request.url", "has neither an id nor search criteria")
	}
	return nil
}

// prepare finds ids, resolves references and makes the writes.
func (c *call) prepare(items []*item) ([]store.Write, error) {
	if err := c.settleAll(items); err != nil {
		return nil, err
	}
	to := c.linksOf(items)
	var writes []store.Write
	for _, method := range order {
		for _, it := range items {
			switch {
			case it.method != method || it.found:
			case method == http.MethodDelete:
				if it.current.Version > 0 {
					writes = append(writes, store.Write{Type: it.typ, ID: it.id, Expect: it.current.Version, Delete: true})
				}
			default:
				if err := to.resolve(it); err != nil {
					return nil, err
				}
				w := write(it.typ, it.id, it.resource, it.current.Version)
				w.Drops = it.drops
				if it.change != nil {
					keep(&w, it.resource, it.current)
				}
				writes = append(writes, w)
			}
		}
	}
	return writes, nil
}

// order is that in which the entries of a transaction are done, whatever their
// order in the Bundle (http.html#trules).
var order = []string{http.MethodDelete, http.MethodPost, http.MethodPut, http.MethodPatch}

// settleAll finds the id and current version of what each entry writes. What
// others delete is not there any more for the criteria of those that come after.
// A resource that is written or deleted stands in one entry only.
func (c *call) settleAll(items []*item) error {
	deleted := map[place]bool{}
	c.deleting = nil
	taken, found := map[place]bool{}, map[place]bool{}
	size := 0
	for _, method := range order {
		for _, it := range items {
			if it.method != method {
				continue
			}
			if err := c.settle(it); err != nil {
				return err
			}
			p := place{it.typ, it.id}
			switch {
			case it.id == "": // nothing to delete
			case taken[p] || (found[p] && !it.found):
				return &fault{http.StatusBadRequest, "invalid", it.at, "the resource is that of another entry, and one of the two writes or deletes it"}
			case it.found:
				found[p] = true
			default:
				taken[p] = true
			}
			if method == http.MethodDelete {
				deleted[p] = true
			}
			switch {
			case it.found:
				size += len(it.current.Content)
			case it.change != nil:
				size += len(it.resource.AppendJSON(nil))
			}
			if size > c.AnswerLimit {
				return placed(costly("the resources that are patched or found have more than "+strconv.Itoa(c.AnswerLimit)+" bytes together"), it.at)
			}
			if it.found {
				continue
			}
			if it.resource != nil {
				var err error
				if it.drops, err = dropped(it.current, it.resource); err != nil {
					return err
				}
			}
			it.current.Content = nil // it is in memory for nothing
		}
		c.deleting = deleted
	}
	return nil
}

// settle finds the id and current version of what an entry writes.
func (c *call) settle(it *item) error {
	var err error
	switch {
	case it.method == http.MethodPost && it.asks:
		return c.conditional(it, strings.TrimPrefix(it.none, "?"), true)
	case it.method == http.MethodPost:
		it.id = newID(c.Now())
		return nil
	case it.id == "":
		err = c.conditional(it, it.criteria, false)
	default:
		if id := text(it.resource, "id"); it.method == http.MethodPut && id != "" && id != it.id {
			return &fault{http.StatusBadRequest, "invalid", it.at + ".resource.id", "is not the id of request.url"}
		}
		it.current, err = c.current(it.typ, it.id)
	}
	if err != nil {
		return err
	}
	return c.settled(it)
}

// settled holds an entry whose resource is known against the version the client
// has seen, and applies its patch.
func (c *call) settled(it *item) error {
	if it.match != "" && !names(it.match, it.current) {
		return &fault{http.StatusPreconditionFailed, "conflict", it.at + ".request.ifMatch", "does not name the current version"}
	}
	if none := it.reads[0]; none != "" && names(none, it.current) {
		return &fault{http.StatusPreconditionFailed, "conflict", it.at + ".request.ifNoneMatch", "names the current version"}
	}
	if it.change == nil {
		return nil
	}
	switch {
	case it.current.Version == 0:
		return placed(store.ErrNotFound, it.at+".request.url")
	case it.current.Deleted:
		return placed(store.ErrDeleted, it.at+".request.url")
	}
	var err error
	if it.resource, err = c.patched(it.current, it.change); err != nil {
		return placed(err, it.at+".resource")
	}
	return nil
}

// conditional finds what the criteria of an entry say, or the place of what is
// made where they find nothing.
func (c *call) conditional(it *item, criteria string, create bool) (err error) {
	at := it.at + ".request.url"
	if create {
		at = it.at + ".request.ifNoneExist"
	}
	var list []store.Resource
	var free store.Resource // nothing, where nothing is made
	id := text(it.resource, "id")
	switch {
	case create:
		id = ""
		list, free, err = c.claim(it.typ, criteria, id)
	case it.method == http.MethodPut:
		list, free, err = c.claim(it.typ, criteria, id)
	default:
		list, err = c.matching(it.typ, criteria)
	}
	found, err := single(list, err)
	switch {
	case err != nil:
		return placed(err, at)
	case found.Version > 0 && id != "" && id != found.ID:
		return &fault{http.StatusBadRequest, "invalid", it.at + ".resource.id", "is not the id of the one the criteria find"}
	case found.Version > 0:
		it.id, it.current, it.found = found.ID, found, create
	default:
		it.id, it.current = free.ID, free
	}
	return nil
}

// answerTransaction says what came of each entry: its resource is among those
// written, or the current one.
func (c *call) answerTransaction(items []*item, list []result, out []store.Resource) error {
	written := versions(out)
	b, err := c.stream(newBundle("transaction-response"))
	if err != nil {
		return err
	}
	for i, it := range items {
		e := it.answer
		switch {
		case e != nil:
		case reads(it.method):
			e = fhir.NewObject()
			c.inner(e, it.method, it, nil, "")
		default:
			res, wrote := written[place{it.typ, it.id}]
			if !wrote {
				res = &it.current
			}
			e = c.answerWrite(it, list[i].status, res)
		}
		if err := b.entry(e); err != nil {
			return err
		}
	}
	return b.close()
}

// answerWrite says what came of an entry that writes.
func (c *call) answerWrite(it *item, status int, res *store.Resource) *fhir.Node {
	e, response := fhir.NewObject(), fhir.NewObject()
	response.Set("status", fhir.Text(strconv.Itoa(status)+" "+http.StatusText(status)))
	if it.method != http.MethodDelete {
		e.Set("fullUrl", fhir.Text(c.full(it.typ, it.id)))
		response.Set("location", fhir.Text(it.typ+"/"+it.id+"/_history/"+strconv.Itoa(res.Version)))
		response.Set("etag", fhir.Text(etag(*res)))
		response.Set("lastModified", fhir.Text(instant(res.Updated)))
		switch prefer := c.prefers(); {
		case slices.Contains(prefer, "return=minimal"):
		case slices.Contains(prefer, "return=OperationOutcome"):
			response.Set("outcome", outcome(faults{{http.StatusOK, "informational", "", "written"}}))
		default:
			text := stamped(res)
			c.spent += len(text)
			e.Set("resource", raw(text))
		}
	}
	e.Set("response", response)
	return e
}
