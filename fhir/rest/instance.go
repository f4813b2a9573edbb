package rest

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
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
	if _, asked := c.r.Header["If-None-Exist"]; asked {
		return c.createIfNone(strings.TrimPrefix(c.r.Header.Get("If-None-Exist"), "?"))
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
		current, err := c.current(c.typ, id)
		if err != nil {
			return err
		}
		return c.putOver(current, n)
	})
}

// current is the current version of a resource: version 0 when it was never
// there.
func (c *call) current(typ, id string) (store.Resource, error) {
	current, err := c.Records.Read(c.r.Context(), typ, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDeleted) {
		err = nil
	}
	current.Type, current.ID = typ, id
	return current, err
}

// putOver replaces the version that was read.
func (c *call) putOver(current store.Resource, n *fhir.Node) error {
	if err := c.ifMatch(current); err != nil {
		return err
	}
	status := replaced(current)
	w := write(c.typ, current.ID, n, current.Version)
	var err error
	if w.Drops, err = dropped(current, n); err != nil {
		return err
	}
	out, err := c.commitOne(status, w)
	if err != nil {
		return err
	}
	return c.written(status, out)
}

// dropped are the identities that the version that was read has and what takes its
// place has not. A deleted one keeps its own until others claim them.
func dropped(current store.Resource, n *fhir.Node) ([]string, error) {
	if len(current.Content) == 0 || !bytes.Contains(current.Content, []byte(`"identifier"`)) {
		return nil, nil
	}
	before, err := fhir.Parse(current.Content)
	if err != nil {
		return nil, err
	}
	return search.Dropped(current.Type, before, n), nil
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
		return &fault{http.StatusPreconditionFailed, "conflict", inRequest + "If-Match", "If-Match does not name the current version"}
	}
	if none := c.r.Header.Get("If-None-Match"); none != "" && names(none, current) {
		return &fault{http.StatusPreconditionFailed, "conflict", inRequest + "If-None-Match", "If-None-Match names the current version"}
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

func (c *call) remove() error {
	return c.compete(c.again, func() error {
		current, err := c.current(c.typ, c.id)
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
