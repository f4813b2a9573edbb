package fhir

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/message"
)

// A Source takes resources and Bundles that are posted to it.
type Source struct {
	options SourceOptions
	env     connectors.Environment

	listened func(net.Addr) // for tests: the port taken
}

var _ connectors.Source = (*Source)(nil)

// Run listens until ctx ends. Then it takes no request any more; a handler at
// work has a few seconds to end and its answer goes out.
func (s *Source) Run(ctx context.Context, handle connectors.Handler) error {
	server := web.Server{Options: s.options.server(), Env: s.env, Listened: s.listened, Deny: func(x *web.Exchange) {
		answerIssue(x, http.StatusUnauthorized, "login", "a credential is needed")
	}}
	return server.Run(ctx, func(x *web.Exchange) { s.serve(x, handle) })
}

// media are the types of content that are FHIR as JSON.
var media = []string{contentType, "application/json"}

// serve takes one request and answers it.
func (s *Source) serve(x *web.Exchange, handle connectors.Handler) {
	a, ok := s.address(x.Request.URL.Path)
	refuse := func(event string, status int, code, text string) {
		x.Count(event)
		x.Unread()
		answerIssue(x, status, code, text)
	}
	query := x.Request.URL.Query()
	switch method := x.Request.Method; {
	case !ok:
		refuse("path-unknown", http.StatusNotFound, "not-found", "there is nothing at this path, or this type of resource is not taken")
	case !slices.Contains(a.methods, method):
		x.Header().Set("Allow", strings.Join(a.methods, ", "))
		refuse("method-refused", http.StatusMethodNotAllowed, "not-supported", "this interaction is not taken here")
	case !x.Accepts(media...) || !formatKnown(query):
		refuse("accept-refused", http.StatusNotAcceptable, "not-supported", "answers are application/fhir+json")
	case a.metadata:
		x.Answer(http.StatusOK, contentType, s.capability())
	case !takes(x.Request.Header.Get("Content-Type")):
		refuse("content-refused", http.StatusUnsupportedMediaType, "not-supported", "content is application/fhir+json in UTF-8")
	case x.Request.Header.Get("If-Match") != "" || x.Request.Header.Get("If-None-Match") != "":
		refuse("condition-refused", http.StatusPreconditionFailed, "not-supported", "nothing is kept here that a version could be compared with")
	default:
		answerOutcome(x, x.Take(handle, a.check))
	}
}

// formatKnown reports whether _format, which outweighs Accept
// (http.html#parameters), asks for JSON.
func formatKnown(query url.Values) bool {
	format := query.Get("_format")
	// A + that was not escaped reads as a blank.
	return format == "" || format == "json" || slices.Contains(media, web.MediaOf(strings.ReplaceAll(format, " ", "+")))
}

// takes reports whether a type of content is FHIR as JSON in UTF-8.
func takes(text string) bool {
	name, parameters, err := mime.ParseMediaType(text)
	charset := parameters["charset"]
	return err == nil && slices.Contains(media, name) && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// An address is what a path leads to.
type address struct {
	methods  []string
	metadata bool
	typ, id  string
}

// address reads a path; false: it leads nowhere.
func (s *Source) address(path string) (address, bool) {
	rest, ok := strings.CutPrefix(path, s.options.Base)
	if !ok {
		return address{}, false
	}
	parts := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	a := address{methods: []string{http.MethodPost}, typ: parts[0]}
	switch {
	case rest != "" && rest[0] != '/', len(parts) > 2:
		return a, false
	case len(parts) == 1 && parts[0] == "":
		a.typ = "Bundle"
	case len(parts) == 1 && parts[0] == "metadata":
		return address{methods: []string{http.MethodGet, http.MethodHead}, metadata: true}, true
	case len(parts) == 2:
		if !plainID(parts[1]) {
			return a, false
		}
		a.id, a.methods = parts[1], []string{http.MethodPut}
	}
	if len(s.options.Types) > 0 {
		return a, slices.Contains(s.options.Types, a.typ)
	}
	_, ok = definitions.Resource(a.typ)
	return a, ok
}

// check holds that a content is what its address says.
func (a *address) check(head []byte, whole bool) *message.Failure {
	var typ, id string
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	if whole {
		n, err := fhir.Parse(head)
		if err != nil {
			f := &message.Failure{Kind: message.Malformed, Code: 100, Err: err}
			if at, ok := err.(*fhir.SyntaxError); ok { //nolint:errorlint // Parse returns it as it is
				f.Offset, f.Err = at.Offset+1, errors.New("no JSON: "+at.Text)
			}
			return f
		}
		typ, id = text(n, "resourceType"), text(n, "id")
	} else {
		typ, id = peek(head)
	}
	fault := func(where string, code int, text string) *message.Failure {
		return &message.Failure{Kind: message.Malformed, Where: where, Code: code, Err: errors.New(text)}
	}
	switch {
	case typ == "":
		return fault("resourceType", 101, "it is missing, or does not stand at the beginning of a large resource")
	case typ != a.typ:
		return fault("resourceType", 200, "it is not the type of the address")
	case a.id != "" && id == "":
		return fault(a.typ+".id", 101, "it is missing, or does not stand at the beginning of a large resource; an update needs that of the address")
	case a.id != "" && id != a.id:
		return fault(a.typ+".id", 102, "it is not that of the address")
	}
	return nil
}
