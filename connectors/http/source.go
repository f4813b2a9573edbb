package http

import (
	"context"
	"encoding/json"
	"net"
	nethttp "net/http"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/message"
)

// A Source takes the content of requests to one path.
type Source struct {
	options SourceOptions
	env     connectors.Environment

	listened func(net.Addr) // for tests: the port taken
}

var _ connectors.Source = (*Source)(nil)

// Run listens until ctx ends. Then it takes no request any more; a handler at
// work has a few seconds to end and its answer goes out.
func (s *Source) Run(ctx context.Context, handle connectors.Handler) error {
	server := web.Server{Options: s.options.server(), Env: s.env, Listened: s.listened}
	return server.Run(ctx, func(x *web.Exchange) { s.serve(x, handle) })
}

// serve takes one request and answers it.
func (s *Source) serve(x *web.Exchange, handle connectors.Handler) {
	media := x.Media()
	switch {
	case x.Request.URL.Path != s.options.Path:
		s.refuse(x, "path-unknown", nethttp.StatusNotFound, "there is nothing at this path")
	case !slices.Contains(s.options.Methods, x.Request.Method):
		x.Header().Set("Allow", strings.Join(s.options.Methods, ", "))
		s.refuse(x, "method-refused", nethttp.StatusMethodNotAllowed, "this method is not taken here")
	case len(s.options.Content) > 0 && !s.takes(media):
		s.refuse(x, "content-refused", nethttp.StatusUnsupportedMediaType, "this type of content is not taken here")
	default:
		s.answer(x, media, x.Take(handle, nil))
	}
}

func (s *Source) takes(media string) bool {
	return slices.ContainsFunc(s.options.Content, func(c string) bool { return strings.EqualFold(c, media) })
}

// refuse answers a request whose content was not looked at.
func (s *Source) refuse(x *web.Exchange, event string, status int, text string) {
	x.Count(event)
	x.Unread()
	s.answer(x, "", web.Outcome{Status: status, Problems: []message.Problem{{Text: text}}})
}

// answer writes the channel's own answer, or the problems.
func (s *Source) answer(x *web.Exchange, media string, out web.Outcome) {
	if len(out.Raw) > 0 {
		reply := s.options.Reply
		switch {
		case reply != "":
		case s.takes(media):
			reply = media
		default:
			reply = "application/octet-stream"
		}
		x.Answer(out.Status, reply, out.Raw)
		return
	}
	if len(out.Problems) > 0 && !x.Accepts("text/plain") && x.Accepts("application/json") {
		if text, err := json.Marshal(map[string]any{"problems": out.Problems}); err == nil {
			x.Answer(out.Status, "application/json", text)
			return
		}
	}
	x.Answer(out.Status, "text/plain; charset=utf-8", out.Text())
}
