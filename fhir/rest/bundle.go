package rest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/rest/format"
	"github.com/plexus-health/plexus/store"
)

const mostEntries = 5000

// bundle takes a batch or transaction (http.html#transaction).
func (c *call) bundle() error {
	n, err := c.body()
	if err != nil {
		return err
	}
	if text(n, "resourceType") != "Bundle" {
		return &fault{http.StatusBadRequest, "invalid", "", "only a Bundle is taken here"}
	}
	entries := n.Get("entry")
	if entries == nil {
		entries = &fhir.Node{Kind: fhir.Array}
	}
	if entries.Kind != fhir.Array || len(entries.Items) > mostEntries {
		return &fault{http.StatusBadRequest, "structure", "Bundle.entry", "must be a list of at most " + strconv.Itoa(mostEntries)}
	}
	switch text(n, "type") {
	case "transaction":
		return c.transaction(entries.Items)
	case "batch":
		return c.batch(entries.Items)
	}
	return &fault{http.StatusBadRequest, "invalid", "Bundle.type", "must be transaction or batch"}
}

// hashID is an id made from a seed: of two writers with the same one finds that
// it is taken.
func (c *call) hashID(seed string) string {
	h := hmac.New(sha256.New, c.Records.Secret())
	h.Write([]byte(seed))
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // RFC 9562, 5.8
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// An item is one entry of a transaction.
type item struct {
	at       string
	method   string
	typ, id  string
	criteria string
	match    string    // ifMatch
	none     string    // ifNoneExist
	reads    [2]string // ifNoneMatch, ifModifiedSince
	full     string
	resource *fhir.Node
	change   change // of a patch
	current  store.Resource
	found    bool // a conditional create found this resource: nothing is written
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
		var out []store.Resource
		if len(writes) > 0 || c.key != "" {
			out, err = c.commit(c.r.Context(), writes, func(out []store.Resource) []result { return resultsIn(items, out) })
			if err != nil {
				return err
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
		it := &item{at: "Bundle.entry[" + strconv.Itoa(i) + "]", full: text(e, "fullUrl")}
		request := e.Get("request")
		it.method, it.match, it.none = text(request, "method"), text(request, "ifMatch"), text(request, "ifNoneExist")
		it.reads = [2]string{text(request, "ifNoneMatch"), text(request, "ifModifiedSince")}
		target := strings.TrimPrefix(text(request, "url"), "/")
		path, criteria, _ := strings.Cut(target, "?")
		it.criteria = criteria
		typ, id, _ := strings.Cut(path, "/")
		if _, known := definitions.Resource(typ); !known {
			return nil, &fault{http.StatusBadRequest, "invalid", it.at + ".request.url", "does not begin with a resource type"}
		}
		it.typ, it.id = typ, id
		if it.method != http.MethodGet && id != "" && !goodID.MatchString(id) {
			return nil, &fault{http.StatusBadRequest, "invalid", it.at + ".request.url", "has no id of 1 to 64 letters, digits, dots and dashes"}
		}
		if it.method == http.MethodPost || it.method == http.MethodPut {
			r := e.Get("resource")
			if r == nil {
				return nil, &fault{http.StatusBadRequest, "required", it.at + ".resource", "is missing"}
			}
			if err := c.check(r, typ); err != nil {
				return nil, placed(err, it.at+".resource")
			}
			it.resource = r.Clone()
		}
		if it.method == http.MethodPatch {
			var err error
			if it.change, err = c.entryChange(e.Get("resource")); err != nil {
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

// prepare finds ids, resolves references and makes the writes.
func (c *call) prepare(items []*item) ([]store.Write, error) {
	places := map[string]string{}
	size := 0
	for _, it := range items {
		if err := c.settle(it); err != nil {
			return nil, err
		}
		switch {
		case it.found:
			size += len(it.current.Content)
		case it.change != nil:
			size += len(it.resource.AppendJSON(nil))
		}
		if size > c.AnswerLimit {
			return nil, placed(costly("the resources that are patched or found have more than "+strconv.Itoa(c.AnswerLimit)+" bytes together"), it.at)
		}
		if !it.found {
			it.current.Content = nil // it is in memory for nothing
		}
		if it.full != "" && it.id != "" {
			places[it.full] = it.typ + "/" + it.id
		}
	}
	var writes []store.Write
	taken := map[string]bool{}
	for _, method := range []string{http.MethodDelete, http.MethodPost, http.MethodPut, http.MethodPatch} {
		for _, it := range items {
			if it.method != method || it.found || (method == http.MethodDelete && it.current.Version == 0) {
				continue
			}
			if place := it.typ + "/" + it.id; taken[place] {
				return nil, &fault{http.StatusBadRequest, "invalid", it.at, "the same resource is written twice"}
			} else {
				taken[place] = true
			}
			if method == http.MethodDelete {
				writes = append(writes, store.Write{Type: it.typ, ID: it.id, Expect: it.current.Version, Delete: true})
				continue
			}
			if err := c.resolve(it.resource, places, it.at+".resource"); err != nil {
				return nil, err
			}
			w := write(it.typ, it.id, it.resource, it.current.Version)
			if it.change != nil {
				keep(&w, it.resource, it.current)
			}
			writes = append(writes, w)
		}
	}
	return writes, nil
}

// settle finds the id and current version of what an entry writes.
func (c *call) settle(it *item) error {
	ctx := c.r.Context()
	switch it.method {
	case http.MethodGet, http.MethodHead:
		return nil
	case http.MethodPost:
		if it.none == "" {
			it.id = newID(c.Now())
			return nil
		}
		return c.conditional(it, strings.TrimPrefix(it.none, "?"), true)
	case http.MethodPut, http.MethodDelete, http.MethodPatch:
		if it.id == "" {
			if err := c.conditional(it, it.criteria, false); err != nil {
				return err
			}
			return c.settled(it)
		}
	default:
		return &fault{http.StatusBadRequest, "not-supported", it.at + ".request.method", "must be GET, HEAD, POST, PUT, PATCH or DELETE"}
	}
	if it.resource != nil && it.change == nil {
		if id := text(it.resource, "id"); id != "" && id != it.id {
			return &fault{http.StatusBadRequest, "invalid", it.at + ".resource.id", "is not the id of request.url"}
		}
	}
	current, err := c.Records.Read(ctx, it.typ, it.id)
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrDeleted) {
		return err
	}
	it.current = current
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
	var found []store.Resource
	var free store.Resource // nothing, where nothing is made
	id := text(it.resource, "id")
	switch {
	case create:
		id = ""
		found, free, err = c.claim(it.typ, criteria, id)
	case it.method == http.MethodPut:
		found, free, err = c.claim(it.typ, criteria, id)
	default:
		found, err = c.matching(it.typ, criteria)
	}
	switch {
	case err != nil:
		return placed(err, it.at+".request")
	case len(found) > 1:
		return &fault{http.StatusPreconditionFailed, "multiple-matches", it.at + ".request", "the criteria find several resources"}
	case len(found) == 1 && id != "" && id != found[0].ID:
		return &fault{http.StatusBadRequest, "invalid", it.at + ".resource.id", "is not the id of the one the criteria find"}
	case len(found) == 1:
		it.id, it.current, it.found = found[0].ID, found[0], create
	default:
		it.id, it.current = free.ID, free
	}
	return nil
}

// resolve replaces references to entries by the places of their resources, and
// conditional references (Patient?identifier=…) by what they find.
func (c *call) resolve(n *fhir.Node, places map[string]string, at string) error {
	for i := range n.Members {
		m := &n.Members[i]
		if m.Name != "reference" || m.Value.Kind != fhir.String {
			if err := c.resolve(m.Value, places, at+"."+m.Name); err != nil {
				return err
			}
			continue
		}
		if place, ok := places[m.Value.Text]; ok {
			m.Value = fhir.Text(place)
			continue
		}
		typ, criteria, conditional := strings.Cut(m.Value.Text, "?")
		if _, known := definitions.Resource(typ); !conditional || !known {
			if strings.HasPrefix(m.Value.Text, "urn:uuid:") || strings.HasPrefix(m.Value.Text, "urn:oid:") {
				return &fault{http.StatusBadRequest, "not-found", at, "refers to an entry that is not in the Bundle"}
			}
			continue
		}
		found, err := c.matching(typ, criteria)
		if err != nil {
			return placed(err, at)
		}
		if len(found) != 1 {
			return &fault{http.StatusPreconditionFailed, "not-found", at, "a conditional reference finds " + strconv.Itoa(len(found)) + " resources"}
		}
		m.Value = fhir.Text(typ + "/" + found[0].ID)
	}
	for i, one := range n.Items {
		if err := c.resolve(one, places, at+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	return nil
}

// answerTransaction says what came of each entry: its resource is among those
// written, or the current one.
func (c *call) answerTransaction(items []*item, list []result, out []store.Resource) error {
	written := versions(out)
	entries := &fhir.Node{Kind: fhir.Array}
	for i, it := range items {
		e := fhir.NewObject()
		if reads(it.method) {
			c.inner(e, it.method, it, nil, "")
			entries.Items = append(entries.Items, e)
			continue
		}
		res, wrote := written[place{it.typ, it.id}]
		if !wrote {
			res = &it.current
		}
		status := list[i].status
		response := fhir.NewObject()
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
		entries.Items = append(entries.Items, e)
	}
	b := newBundle("transaction-response")
	b.Set("entry", entries)
	c.send(http.StatusOK, b.AppendJSON(nil))
	return nil
}

// batch does each entry by itself, as if it came alone.
func (c *call) batch(entries []*fhir.Node) error {
	out := &fhir.Node{Kind: fhir.Array}
	for i, entry := range entries {
		if err := c.r.Context().Err(); err != nil {
			return err // nobody reads the answer
		}
		request := entry.Get("request")
		it := &item{at: "Bundle.entry[" + strconv.Itoa(i) + "]", match: text(request, "ifMatch"), none: text(request, "ifNoneExist"), reads: [2]string{text(request, "ifNoneMatch"), text(request, "ifModifiedSince")}}
		target := strings.TrimPrefix(text(request, "url"), "/")
		path, criteria, _ := strings.Cut(target, "?")
		it.typ, it.id, _ = strings.Cut(path, "/")
		it.criteria = criteria
		e := fhir.NewObject()
		key := ""
		if c.key != "" {
			key = c.key + "\n" + strconv.Itoa(i) // no header has a line break
		}
		c.inner(e, text(request, "method"), it, entry.Get("resource"), key)
		out.Items = append(out.Items, e)
	}
	b := newBundle("batch-response")
	b.Set("entry", out)
	c.send(http.StatusOK, b.AppendJSON(nil))
	return nil
}

// tooMuch refuses an entry whose answer has no room in the Bundle.
func tooMuch() error {
	return costly("the answers to the entries of the Bundle are too large together: this one was not done, send it in another Bundle")
}

// inner serves one request of a Bundle through the handler itself, so that it
// passes the same checks as one that comes alone.
func (c *call) inner(e *fhir.Node, method string, it *item, resource *fhir.Node, key string) {
	target := url.URL{Path: c.Base + "/" + it.typ, RawQuery: it.criteria}
	if it.id != "" {
		target.Path += "/" + it.id
	}
	media, body, readable := payload(method, resource)
	response := fhir.NewObject()
	e.Set("response", response)
	ctx := c.r.Context()
	if !reads(method) {
		ctx = context.WithoutCancel(ctx)
	}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if c.spent >= c.AnswerLimit {
		refused := faultsOf(tooMuch())
		refused[0].at = it.at
		response.Set("status", fhir.Text("400 Bad Request"))
		response.Set("outcome", outcome(refused))
		return
	}
	if err != nil || it.typ == "" || !readable {
		response.Set("status", fhir.Text("400 Bad Request"))
		response.Set("outcome", outcome(faults{{http.StatusBadRequest, "invalid", it.at + ".request", "is no request of this API"}}))
		return
	}
	r.RemoteAddr, r.Host = c.r.RemoteAddr, c.r.Host
	r.Header.Set("Content-Type", media)
	r.Header.Set("Prefer", c.r.Header.Get("Prefer"))
	since := it.reads[1]
	if at, err := time.Parse(time.RFC3339, since); err == nil {
		since = at.UTC().Format(http.TimeFormat)
	}
	for name, value := range map[string]string{"If-Match": it.match, "If-None-Exist": it.none, "If-None-Match": it.reads[0], "If-Modified-Since": since} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	(&call{server: c.server, w: w, r: r, format: format.Default(), bundled: true, room: c.AnswerLimit - c.spent, key: key}).serve()
	c.spent += w.Body.Len()
	response.Set("status", fhir.Text(strconv.Itoa(w.Code)+" "+http.StatusText(w.Code)))
	for _, h := range [][2]string{{"location", "Location"}, {"etag", "ETag"}} {
		if v := w.Header().Get(h[1]); v != "" {
			response.Set(h[0], fhir.Text(v))
		}
	}
	if w.Body.Len() == 0 {
		return
	}
	if w.Code >= 400 {
		response.Set("outcome", raw(w.Body.Bytes()))
		return
	}
	e.Set("resource", raw(w.Body.Bytes()))
}
