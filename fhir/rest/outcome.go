package rest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/format"
	"github.com/plexus-health/plexus/fhir/rest/query"
	"github.com/plexus-health/plexus/store"
)

// A fault is an error with the status and words of an OperationOutcome. It
// holds no value of a resource.
type fault struct {
	status int
	code   string // issue-type
	// at is a FHIRPath expression; or "http." with a parameter or header of the
	// request (OperationOutcome.issue.location); or empty.
	at   string
	text string
}

// Error gives place and reason.
func (f *fault) Error() string {
	if f.at != "" {
		return f.at + ": " + f.text
	}
	return f.text
}

// inRequest begins the place of what is wrong with a request, not with a resource.
const inRequest = "http."

func bad(text string) error { return &fault{http.StatusBadRequest, "invalid", "", text} }

// faults are several at once.
type faults []*fault

// Error gives the first.
func (f faults) Error() string { return f[0].Error() }

// A placedError is an error with the place in a Bundle that it is of.
type placedError struct {
	list  faults
	at    string
	cause error
}

// Error gives the place and the cause.
func (p *placedError) Error() string { return p.at + ": " + p.cause.Error() }

// Unwrap gives the cause.
func (p *placedError) Unwrap() error { return p.cause }

// placed puts a place in front of an error, and of the faults that it is.
func placed(err error, at string) error {
	list := faultsOf(err)
	out := make(faults, 0, len(list))
	for _, f := range list {
		g := *f
		if _, below, ok := strings.Cut(f.at, "."); ok && !strings.HasPrefix(f.at, inRequest) {
			g.at = at + "." + below
		} else {
			g.at = at
		}
		out = append(out, &g)
	}
	return &placedError{out, at, err}
}

// faultsOf turns an error into what is answered.
func faultsOf(err error) faults {
	if p, ok := errors.AsType[*placedError](err); ok {
		return p.list
	}
	if list, ok := errors.AsType[faults](err); ok {
		return list
	}
	if f, ok := errors.AsType[*fault](err); ok {
		return faults{f}
	}
	if e, ok := errors.AsType[*query.Error](err); ok {
		f := &fault{http.StatusBadRequest, e.Code, "", e.Text}
		if e.Param != "" {
			f.at = inRequest + e.Param
		}
		return faults{f}
	}
	switch {
	case errors.Is(err, format.ErrNotAcceptable), errors.Is(err, format.ErrNoXML):
		return faults{{http.StatusNotAcceptable, "not-supported", "", err.Error()}}
	case errors.Is(err, store.ErrNotFound):
		return faults{{http.StatusNotFound, "not-found", "", "there is no such resource"}}
	case errors.Is(err, store.ErrDeleted):
		return faults{{http.StatusGone, "deleted", "", "the resource was deleted"}}
	case errors.Is(err, store.ErrIdentity):
		return faults{{http.StatusConflict, "duplicate", "", "an identifier belongs to another resource"}}
	case errors.Is(err, store.ErrConflict):
		return faults{{http.StatusConflict, "conflict", "", "the resource changed meanwhile: try again"}}
	case errors.Is(err, store.ErrKeyUsed):
		return faults{{http.StatusConflict, "business-rule", "", "the Idempotency-Key was used with another request: a key is for one request and its repeats"}}
	case errors.Is(err, store.ErrCostly):
		return faults{{http.StatusBadRequest, "too-costly", "", "the search has more values than one statement of the database carries"}}
	case errors.Is(err, store.ErrCursor):
		return faults{{http.StatusBadRequest, "invalid", inRequest + "_page", "the page is not one of this server"}}
	case errors.Is(err, store.ErrUnavailable):
		return faults{{http.StatusServiceUnavailable, "transient", "", "the store is not available now; try again later"}}
	}
	return faults{{http.StatusInternalServerError, "exception", "", "internal error"}}
}

func outcome(list faults) *fhir.Node {
	issues := &fhir.Node{Kind: fhir.Array}
	for _, f := range list {
		severity := "error"
		if f.status < 400 {
			severity = "information"
		}
		issue := fhir.NewObject()
		issue.Set("severity", fhir.Text(severity))
		issue.Set("code", fhir.Text(f.code))
		issue.Set("diagnostics", fhir.Text(f.text))
		name := "expression"
		if strings.HasPrefix(f.at, inRequest) {
			name = "location"
		}
		if f.at != "" {
			issue.Set(name, &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{fhir.Text(f.at)}})
		}
		issues.Items = append(issues.Items, issue)
	}
	n := fhir.NewObject()
	n.Set("resourceType", fhir.Text("OperationOutcome"))
	n.Set("issue", issues)
	return n
}

func (c *call) fail(err error) {
	list := c.located(faultsOf(err))
	status := list[0].status
	if c.r.Context().Err() != nil { // the client has gone
		c.Log.Debug("a FHIR request was given up", "type", c.typ)
		c.w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if status == http.StatusInternalServerError {
		c.Log.Error("a FHIR request failed for a fault of ours", "type", c.typ, "error", err.Error())
	}
	if status == http.StatusServiceUnavailable && list[0].code == "transient" {
		c.w.Header().Set("Retry-After", "5")
	}
	if status == http.StatusMethodNotAllowed {
		c.w.Header().Set("Allow", c.allow+", OPTIONS")
	}
	c.send(status, outcome(list).AppendJSON(nil))
}

// located gives the element to faults that are of the resource of the path as a
// whole: its id, its version, its identifiers.
func (c *call) located(list faults) faults {
	if c.typ == "" || c.typ == "*" {
		return list
	}
	out := make(faults, 0, len(list))
	for _, f := range list {
		g := *f
		switch {
		case g.at != "":
		case g.code == "duplicate":
			g.at = c.typ + ".identifier"
		case g.code == "conflict", g.status == http.StatusNotFound && c.version > 0:
			g.at = c.typ + ".meta.versionId"
		case g.status == http.StatusNotFound && c.id != "", g.status == http.StatusGone:
			g.at = c.typ + ".id"
		case g.status == http.StatusUnprocessableEntity:
			g.at = c.typ
		}
		out = append(out, &g)
	}
	return out
}

// send answers with a body that is given in JSON, in the format asked for. What
// has no form in it is refused to who reads; who has written must not be told of
// a failure, and gets JSON.
func (c *call) send(status int, body []byte) {
	if status < 400 {
		body = c.view.Of(c.typ, body)
	}
	out, err := c.format.Encode(body)
	if err != nil {
		out, c.format = body, format.Default()
		if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
			c.fail(err)
			return
		}
	}
	if c.bundled && status < 400 && reads(c.r.Method) && len(out) > c.room {
		c.fail(tooMuch())
		return
	}
	c.w.Header().Set("Content-Type", c.format.Media+"; charset=utf-8")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	c.w.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return
	}
	if _, err := c.w.Write(out); err != nil {
		c.Log.Debug("answer was not sent", "error", err.Error())
	}
}
