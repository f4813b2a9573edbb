package rest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/store"
)

func (c *call) read() error {
	res, err := c.Records.Read(c.r.Context(), c.typ, c.id)
	if err != nil {
		return err
	}
	return c.give(res)
}

func (c *call) vread() error {
	res, err := c.Records.ReadVersion(c.r.Context(), c.typ, c.id, c.version)
	if err != nil {
		return err
	}
	return c.give(res)
}

// give answers with one resource, or 304 to who has it already.
func (c *call) give(res store.Resource) error {
	c.describe(res)
	if c.unchanged(res) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if res.Type == "Binary" {
		return c.giveBinary(res)
	}
	c.send(http.StatusOK, fhir.Stamped(res.Content, res.Version, res.Updated))
	return nil
}

// unchanged reports whether the client has a version already (http.html#cread).
// The time counts where no version is named (RFC 9110, 13.1.3).
func (c *call) unchanged(res store.Resource) bool {
	if none := c.r.Header.Get("If-None-Match"); none != "" {
		return names(none, res)
	}
	since, err := http.ParseTime(c.r.Header.Get("If-Modified-Since"))
	return err == nil && !res.Updated.Truncate(time.Second).After(since)
}

func etag(res store.Resource) string { return `W/"` + strconv.Itoa(res.Version) + `"` }

func (c *call) describe(res store.Resource) {
	c.w.Header().Set("ETag", etag(res))
	c.w.Header().Set("Last-Modified", res.Updated.UTC().Format(http.TimeFormat))
}

// raw is JSON that goes out as it stands.
func raw(text []byte) *fhir.Node { return &fhir.Node{Kind: fhir.Number, Text: string(text)} }

func newBundle(kind string) *fhir.Node {
	b := fhir.NewObject()
	b.Set("resourceType", fhir.Text("Bundle"))
	b.Set("type", fhir.Text(kind))
	return b
}

// full is the address of a resource as the client sees this server.
func (c *call) full(typ, id string) string {
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host + c.Base + "/" + typ + "/" + id
}

func (c *call) create() error {
	if c.isContent() {
		return c.upload()
	}
	if criteria := c.r.Header.Get("If-None-Exist"); criteria != "" {
		return c.createIfNone(strings.TrimPrefix(criteria, "?"))
	}
	n, err := c.resource()
	if err != nil {
		return err
	}
	return c.compete(c.again, func() error {
		out, err := c.commitOne(http.StatusCreated, write(c.typ, newID(c.Now()), n, 0))
		if err != nil {
			return err
		}
		return c.written(http.StatusCreated, out)
	})
}

// createIfNone creates unless the criteria find something (http.html#ccreate).
// The id is made from the criteria, so that of two that run side by side one
// finds the other's resource.
func (c *call) createIfNone(criteria string) error {
	n, err := c.resource()
	if err != nil {
		return err
	}
	return c.compete(c.again, func() error {
		found, err := c.matching(c.typ, criteria)
		if err != nil {
			return err
		}
		switch len(found) {
		case 0:
		case 1:
			if err := c.note(result{http.StatusOK, c.typ, found[0].ID, found[0].Version}); err != nil {
				return err
			}
			return c.written(http.StatusOK, found[0])
		default:
			return &fault{http.StatusPreconditionFailed, "multiple-matches", "", "the criteria of If-None-Exist find several resources"}
		}
		id, version, err := c.placeFor(c.typ, criteria)
		if err != nil {
			return err
		}
		out, err := c.commitOne(http.StatusCreated, write(c.typ, id, n, version))
		if err != nil {
			return err
		}
		return c.written(http.StatusCreated, out)
	})
}

// placeFor is the id of what is made because criteria find nothing, and the
// version that was deleted there. Where what was made so does not meet the
// criteria any more, the next place is taken.
func (c *call) placeFor(typ, criteria string) (id string, version int, err error) {
	for n := 0; ; n++ {
		seed := typ + "?" + criteria
		if n > 0 {
			seed += "\x00" + strconv.Itoa(n)
		}
		id = c.hashID(seed)
		current, err := c.Records.Read(c.r.Context(), typ, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return id, 0, nil
		case errors.Is(err, store.ErrDeleted):
			return id, current.Version, nil
		case err != nil:
			return "", 0, err
		}
	}
}

func (c *call) update() error {
	if c.isContent() {
		return c.upload()
	}
	n, err := c.resource()
	if err != nil {
		return err
	}
	if id := text(n, "id"); id != c.id {
		return &fault{http.StatusBadRequest, "invalid", c.typ + ".id", "the id of the resource is not that of the path"}
	}
	return c.put(c.id, n)
}

// put replaces or creates.
func (c *call) put(id string, n *fhir.Node) error {
	return c.compete(c.again, func() error {
		current, err := c.current(id)
		if err != nil {
			return err
		}
		return c.putOver(current, id, n)
	})
}

// current is the current version of a resource of the path's type: version 0
// when it was never there.
func (c *call) current(id string) (store.Resource, error) {
	current, err := c.Records.Read(c.r.Context(), c.typ, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDeleted) {
		err = nil
	}
	return current, err
}

// putOver replaces the version that was read.
func (c *call) putOver(current store.Resource, id string, n *fhir.Node) error {
	if err := c.ifMatch(current); err != nil {
		return err
	}
	status := replaced(current)
	out, err := c.commitOne(status, write(c.typ, id, n, current.Version))
	if err != nil {
		return err
	}
	return c.written(status, out)
}

// replaced is the status of what takes the place of a version.
func replaced(current store.Resource) int {
	if current.Version == 0 || current.Deleted {
		return http.StatusCreated
	}
	return http.StatusOK
}

// mostRaces is how often a write is tried again after another writer came
// between: each time somebody else has got on.
const mostRaces = 100

// compete does what reads and writes until nobody comes between, unless the
// client named the version it has seen. An identity that another resource owns
// is no race: it is tried once more, since that one may have come meanwhile. What
// was done before under the idempotency key is not done, but answered by again.
func (c *call) compete(again func([]result) error, attempt func() error) error {
	if done, err := c.repeated(again); done || err != nil {
		return err
	}
	identities := 0
	for range mostRaces {
		err := attempt()
		switch {
		case errors.Is(err, store.ErrRepeated): // at the same time
			if done, err := c.repeated(again); done || err != nil {
				return err
			}
		case !errors.Is(err, store.ErrConflict):
			return err
		case errors.Is(err, store.ErrIdentity):
			if identities++; identities > 1 {
				return err
			}
		case c.r.Header.Get("If-Match") != "":
			return &fault{http.StatusPreconditionFailed, "conflict", "", "the resource changed meanwhile"}
		}
		if err := c.r.Context().Err(); err != nil {
			return err
		}
	}
	return &fault{http.StatusConflict, "conflict", "", "others changed the resource each of " + strconv.Itoa(mostRaces) + " times this was tried: try again"}
}

// ifMatch holds the version the client has seen against the current one
// (http.html#concurrency).
func (c *call) ifMatch(current store.Resource) error {
	match := c.r.Header.Get("If-Match")
	if match != "" && !names(match, current) {
		return &fault{http.StatusPreconditionFailed, "conflict", "", "If-Match does not name the current version"}
	}
	if none := c.r.Header.Get("If-None-Match"); none != "" && names(none, current) {
		return &fault{http.StatusPreconditionFailed, "conflict", "", "If-None-Match names the current version"}
	}
	return nil
}

// names reports whether a list of entity tags has that of a version, or is "*"
// and there is one that was not deleted (RFC 9110, 13.1). A client that leaves
// W/ or the quotes away is understood.
func names(list string, current store.Resource) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if one == "*" && current.Version > 0 && !current.Deleted {
			return true
		}
		if strings.Trim(strings.TrimPrefix(one, "W/"), `"`) == strconv.Itoa(current.Version) && current.Version > 0 {
			return true
		}
	}
	return false
}

func (c *call) conditionalUpdate() error {
	n, err := c.resource()
	if err != nil {
		return err
	}
	if c.r.URL.RawQuery == "" {
		return &fault{http.StatusBadRequest, "required", "", "an update needs an id in the path, or search criteria"}
	}
	return c.compete(c.again, func() error {
		found, err := c.matching(c.typ, c.r.URL.RawQuery)
		if err != nil {
			return err
		}
		id := text(n, "id")
		switch {
		case len(found) > 1:
			return severalMatch()
		case len(found) == 1 && id != "" && id != found[0].ID:
			return &fault{http.StatusBadRequest, "invalid", c.typ + ".id", "the id of the resource is not that of the one the criteria find"}
		case len(found) == 1:
			return c.putOver(found[0], found[0].ID, n)
		case id == "":
			if id, _, err = c.placeFor(c.typ, c.r.URL.RawQuery); err != nil {
				return err
			}
		}
		current, err := c.current(id)
		if err != nil {
			return err
		}
		return c.putOver(current, id, n)
	})
}

func severalMatch() error {
	return &fault{http.StatusPreconditionFailed, "multiple-matches", "", "the criteria find several resources"}
}

func (c *call) remove() error {
	return c.compete(c.again, func() error {
		current, err := c.current(c.id)
		if err != nil {
			return err
		}
		return c.removeOver(current)
	})
}

// removeOver deletes the version that was read.
func (c *call) removeOver(current store.Resource) error {
	if err := c.ifMatch(current); err != nil {
		return err
	}
	var err error
	if current.Version == 0 || current.Deleted {
		err = c.note(result{status: http.StatusNoContent, typ: c.typ, id: current.ID})
	} else {
		_, err = c.commitOne(http.StatusNoContent, store.Write{Type: c.typ, ID: current.ID, Expect: current.Version, Delete: true})
	}
	if err != nil {
		return err
	}
	return c.gone()
}

// gone answers a deletion.
func (c *call) gone() error {
	if slices.Contains(c.prefers(), "return=OperationOutcome") {
		c.send(http.StatusOK, outcome(faults{{http.StatusOK, "informational", "", "deleted"}}).AppendJSON(nil))
		return nil
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) conditionalDelete() error {
	if c.r.URL.RawQuery == "" {
		return &fault{http.StatusBadRequest, "required", "", "a delete needs an id in the path, or search criteria"}
	}
	return c.compete(c.again, func() error {
		found, err := c.matching(c.typ, c.r.URL.RawQuery)
		switch {
		case err != nil:
			return err
		case len(found) > 1:
			return severalMatch()
		case len(found) == 0:
			found = make([]store.Resource, 1)
		}
		return c.removeOver(found[0])
	})
}

// matching finds at most two resources by criteria that must all be understood.
func (c *call) matching(typ, criteria string) ([]store.Resource, error) {
	values, err := url.ParseQuery(criteria)
	if err != nil {
		return nil, &fault{http.StatusBadRequest, "invalid", "", "the criteria are no query"}
	}
	q, err := query.Parse(typ, values, true)
	if err != nil {
		return nil, err
	}
	if len(q.Where) == 0 {
		return nil, &fault{http.StatusPreconditionFailed, "invalid", "", "the criteria select nothing"}
	}
	q.Limit = 2
	page, err := c.find(q.Query)
	return page.Resources, err
}

// written answers a write.
func (c *call) written(status int, res store.Resource) error {
	c.describe(res)
	c.w.Header().Set("Location", c.full(res.Type, res.ID)+"/_history/"+strconv.Itoa(res.Version))
	if c.isContent() { // the content of a Binary is not sent back
		c.w.WriteHeader(status)
		return nil
	}
	return c.prefer(status, res)
}

// prefers are the preferences of the client (RFC 7240, 2): names and values
// without white space and quotes.
func (c *call) prefers() []string {
	var out []string
	for _, one := range strings.FieldsFunc(strings.Join(c.r.Header.Values("Prefer"), ","), func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, _ := strings.Cut(one, "=")
		out = append(out, strings.ToLower(strings.TrimSpace(name))+"="+strings.Trim(strings.TrimSpace(value), `"`))
	}
	return out
}

// prefer gives the body the client asked for (http.html#ops).
func (c *call) prefer(status int, res store.Resource) error {
	switch prefer := c.prefers(); {
	case slices.Contains(prefer, "return=minimal"):
		c.w.WriteHeader(status)
	case slices.Contains(prefer, "return=OperationOutcome"):
		c.send(status, outcome(faults{{200, "informational", "", "written"}}).AppendJSON(nil))
	default:
		c.send(status, stamped(&res))
	}
	return nil
}
