// Package web is what the connectors that speak HTTP have in common: a listener
// that knows who sends before it reads what is sent, and a client that can tell
// whether a byte of a request has left.
package web

import (
	"mime"
	"strings"

	"github.com/plexus-health/plexus/connectors"
)

// MediaType adds a problem to p when text is no media type such as text/plain.
func MediaType(p *connectors.Problems, field, text string) {
	if media, parameters, err := mime.ParseMediaType(text); err != nil || len(parameters) > 0 || !strings.Contains(media, "/") {
		p.Add(field, "%q is not a type of content, such as application/json", text)
	}
}

// protocols is what is spoken inside TLS: HTTP/1.1, whose requests are counted
// byte by byte.
var protocols = []string{"http/1.1"}
