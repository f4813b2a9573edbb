package http

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/message"
)

// A Source takes each request as a message.
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

// serve takes one request.
func (s *Source) serve(w http.ResponseWriter, r *http.Request, handle connectors.Handler) {
	switch {
	case r.URL.Path != s.options.Path:
		web.Refuse(w, "nothing is taken here", http.StatusNotFound)
		return
	case !slices.Contains(s.options.Methods, r.Method):
		w.Header().Set("Allow", strings.Join(s.options.Methods, ", "))
		web.Refuse(w, "messages come by "+strings.Join(s.options.Methods, " or "), http.StatusMethodNotAllowed)
		return
	case !s.takes(r.Header.Get("Content-Type")):
		s.env.Count("content-type", 1)
		web.Refuse(w, "the content type is none of "+strings.Join(s.options.Content, ", "), http.StatusUnsupportedMediaType)
		return
	}
	replies, err := web.Take(r.Context(), s.env, r, handle)
	switch {
	case errors.Is(err, web.ErrCut):
		s.env.Count("cut", 1)
		web.Refuse(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, web.ErrLarge):
		web.Refuse(w, fmt.Sprintf("larger than %d bytes", s.env.Size), http.StatusRequestEntityTooLarge)
	case err != nil:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "not available now, send again later", http.StatusServiceUnavailable)
	default:
		answer(w, r, replies)
	}
}

// takes reports whether a content type is one of those wanted.
func (s *Source) takes(header string) bool {
	if len(s.options.Content) == 0 {
		return true
	}
	typ, _, err := mime.ParseMediaType(header)
	return err == nil && slices.ContainsFunc(s.options.Content, func(c string) bool { return strings.EqualFold(c, typ) })
}

// answer writes the replies under the status of the worst.
func answer(w http.ResponseWriter, r *http.Request, replies []message.Reply) {
	status := web.Status(replies)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	var body []byte
	for i := range replies {
		body = append(body, replies[i].Raw...)
	}
	typ := r.Header.Get("Content-Type")
	if len(body) == 0 { // the format has no answers of its own
		typ = "text/plain; charset=utf-8"
		for i := range replies {
			for _, p := range replies[i].Answer.Problems {
				body = fmt.Appendf(body, "%s\n", strings.TrimPrefix(p.Where+": "+p.Text, ": "))
			}
		}
	}
	if typ == "" {
		typ = "application/octet-stream"
	}
	w.Header().Set("Content-Type", typ)
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that went away asks again and is answered as before
}
