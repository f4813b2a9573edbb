package rest

import (
	"net/http"
	"slices"
	"strings"
)

// What browser applications of other origins may send and see (CORS).
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	corsSent    = "Accept, Content-Type, Idempotency-Key, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, X-Requested-With, X-Security-Context"
	corsSeen    = "Allow, Accept-Patch, Content-Location, ETag, Last-Modified, Location, Retry-After"
)

// cors says to a browser what a page of another origin may do: nothing unless
// its origin is among those allowed. It reports whether the request was a
// question for that alone, and is answered.
func (s *server) cors(w http.ResponseWriter, r *http.Request) (answered bool) {
	if len(s.Origins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	asked := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if origin == "" || !slices.ContainsFunc(s.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if !asked {
		h.Set("Access-Control-Expose-Headers", corsSeen)
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsSent)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
