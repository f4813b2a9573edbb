package fhir

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/validate"
	"github.com/plexus-health/plexus/message"
)

// A Source takes resources and Bundles by REST call.
type Source struct {
	options   SourceOptions
	env       connectors.Environment
	grace     time.Duration
	listening func(net.Addr) // told the address, for tests
}

var _ connectors.Source = (*Source)(nil)

// Run receives until ctx ends.
func (s *Source) Run(ctx context.Context, handle connectors.Handler) error {
	server := &web.Server{
		Listen: s.options.Listen, TLS: s.options.TLS, Login: s.options.Login, Read: s.options.Read, Grace: s.grace,
		Environment: s.env, Listening: s.listening,
	}
	return server.Run(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, handle) }))
}

// serve answers one call: POST [base], POST [base]/[type], PUT
// [base]/[type]/[id], GET [base]/metadata.
func (s *Source) serve(w http.ResponseWriter, r *http.Request, handle connectors.Handler) {
	path, below := strings.CutPrefix(r.URL.Path, s.options.Base)
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case !below || (path != "" && path[0] != '/'):
		s.refuse(w, http.StatusNotFound, "not-found", "the service base is "+s.options.Base)
	case r.Method == http.MethodGet && path == "/metadata":
		s.metadata(w, r)
	case r.Method == http.MethodPost && (path == "" || path == "/"):
		s.take(w, r, "Bundle", "", handle)
	case r.Method == http.MethodPost && len(parts) == 1 && definitions.Number(parts[0]) != 0:
		s.take(w, r, parts[0], "", handle)
	case r.Method == http.MethodPut && len(parts) == 2 && definitions.Number(parts[0]) != 0 && validate.ID(parts[1]):
		s.take(w, r, parts[0], parts[1], handle)
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		w.Header().Set("Allow", "POST, PUT")
		s.refuse(w, http.StatusMethodNotAllowed, "not-supported", "resources are taken by POST [type], PUT [type]/[id], Bundles by POST")
	default:
		s.refuse(w, http.StatusNotFound, "not-found", "no resource type, or no id, in the path")
	}
}

// take hands a resource over as a message.
func (s *Source) take(w http.ResponseWriter, r *http.Request, typ, id string, handle connectors.Handler) {
	if !s.takes(typ) {
		s.env.Count("type", 1)
		s.refuse(w, http.StatusNotFound, "not-supported", typ+" is not taken here")
		return
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || (media != "application/fhir+json" && media != "application/json") {
		s.env.Count("content-type", 1)
		s.refuse(w, http.StatusUnsupportedMediaType, "not-supported", "resources are taken as application/fhir+json")
		return
	}
	if !acceptsJSON(r.Header.Get("Accept")) {
		s.refuse(w, http.StatusNotAcceptable, "not-supported", "answers are application/fhir+json")
		return
	}
	r.Body = http.MaxBytesReader(nil, r.Body, s.env.Size+1) // one more tells what is too large
	head, err := peek(r)
	if err != nil {
		s.env.Count("cut", 1)
		s.refuse(w, http.StatusBadRequest, "structure", web.ErrCut.Error())
		return
	}
	said := firstWords(head)
	if said["resourceType"] != "" && said["resourceType"] != typ {
		s.env.Count("type", 1)
		s.refuse(w, http.StatusBadRequest, "invalid", "resourceType is not "+typ)
		return
	}
	if id != "" && said["id"] != id {
		s.env.Count("id", 1)
		s.refuse(w, http.StatusBadRequest, "invalid", "the id of the resource is not that of the path, or does not stand at its beginning")
		return
	}
	env := s.env
	env.Split = nil // a call brings one message
	replies, err := web.Take(r.Context(), env, r, handle)
	switch {
	case errors.Is(err, web.ErrCut):
		s.env.Count("cut", 1)
		s.refuse(w, http.StatusBadRequest, "structure", err.Error())
	case errors.Is(err, web.ErrLarge):
		s.refuse(w, http.StatusRequestEntityTooLarge, "too-long", fmt.Sprintf("larger than %d bytes", s.env.Size))
	case err != nil:
		w.Header().Set("Retry-After", "5")
		s.refuse(w, http.StatusServiceUnavailable, "transient", "not available now, send again later")
	default:
		answer(w, replies)
	}
}

func (s *Source) takes(typ string) bool {
	return len(s.options.Types) == 0 || slices.Contains(s.options.Types, typ)
}

// acceptsJSON reports whether a caller takes JSON for an answer.
func acceptsJSON(accept string) bool {
	if accept == "" {
		return true
	}
	for part := range strings.SplitSeq(accept, ",") {
		media, _, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err == nil && (media == "*/*" || media == "application/*" || media == "application/fhir+json" || media == "application/json") {
			return true
		}
	}
	return false
}

// peek reads the beginning of a body and puts it back.
func peek(r *http.Request) ([]byte, error) {
	head := make([]byte, 4096)
	n, err := io.ReadFull(r.Body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		if _, large := errors.AsType[*http.MaxBytesError](err); !large {
			return nil, err
		}
	}
	head = head[:n]
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
	return head, nil
}

// firstWords are the texts on the first level at the beginning of a body: its
// type and id, mostly. The parser looks at the rest.
func firstWords(head []byte) map[string]string {
	said := map[string]string{}
	decoder := json.NewDecoder(bytes.NewReader(head))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return said
	}
	for {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return said
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return said
		}
		if text, ok := value.(string); ok && said[name] == "" {
			said[name] = text
		}
	}
}

// answer writes the channel's answer: an OperationOutcome.
func answer(w http.ResponseWriter, replies []message.Reply) {
	status := web.Status(replies)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	var body []byte
	for i := range replies {
		if body = replies[i].Raw; len(body) == 0 {
			body = outcome("error", "processing", "not taken")
			if status == http.StatusOK {
				body = outcome("information", "informational", "taken")
			}
		}
	}
	w.Header().Set("Content-Type", "application/fhir+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that went away asks again and is answered as before
}

func outcome(severity, code, text string) []byte {
	issue := fhir.NewObject()
	issue.Set("severity", fhir.Text(severity))
	issue.Set("code", fhir.Text(code))
	issue.Set("diagnostics", fhir.Text(text))
	n := fhir.NewObject()
	n.Set("resourceType", fhir.Text("OperationOutcome"))
	n.Set("issue", &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{issue}})
	return n.AppendJSON(nil)
}

// refuse answers a call of which nothing is taken, without waiting for its body.
func (s *Source) refuse(w http.ResponseWriter, status int, code, text string) {
	_ = http.NewResponseController(w).EnableFullDuplex() // else the answer waits for the body
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", "application/fhir+json")
	w.WriteHeader(status)
	_, _ = w.Write(outcome("error", code, text))
}

// metadata says what is taken (FHIR R4, 5.3 CapabilityStatement).
func (s *Source) metadata(w http.ResponseWriter, _ *http.Request) {
	types := s.options.Types
	if len(types) == 0 {
		types = definitions.Resources()
	}
	text := func(pairs ...string) *fhir.Node {
		n := fhir.NewObject()
		for i := 0; i+1 < len(pairs); i += 2 {
			n.Set(pairs[i], fhir.Text(pairs[i+1]))
		}
		return n
	}
	list := func(items ...*fhir.Node) *fhir.Node { return &fhir.Node{Kind: fhir.Array, Items: items} }
	rest := text("mode", "server")
	resources := list()
	for _, t := range types {
		if t == "Bundle" {
			continue
		}
		r := text("type", t)
		r.Set("interaction", list(text("code", "create"), text("code", "update")))
		resources.Items = append(resources.Items, r)
	}
	if len(resources.Items) > 0 {
		rest.Set("resource", resources)
	}
	if s.takes("Bundle") {
		rest.Set("interaction", list(text("code", "transaction"), text("code", "batch")))
	}
	n := text("resourceType", "CapabilityStatement", "status", "active", "date", s.env.Now().UTC().Format("2006-01-02"), "kind", "instance", "fhirVersion", "4.0.1")
	n.Set("format", list(fhir.Text("application/fhir+json")))
	n.Set("implementation", text("description", "a channel of an integration engine: what is sent becomes a message"))
	n.Set("rest", list(rest))
	w.Header().Set("Content-Type", "application/fhir+json")
	_, _ = w.Write(n.AppendJSON(nil)) // a caller that went away asks again
}
