// Package http carries messages as the content of HTTP requests: a listener
// that answers only when a message is taken, and a client.
package http

import (
	"fmt"
	"maps"
	"net"
	nethttp "net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/connectors/web"
)

// Kind is the kind of connector named http.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "http", Source: DefaultSource, Destination: DefaultDestination}
}

// SourceOptions are the options of a listener for HTTP requests.
type SourceOptions struct {
	// Address to listen on, host and port. Default 127.0.0.1:8090. An
	// address that other machines reach needs tls, or insecure, and auth or
	// tls.ca.
	Listen string `yaml:"listen"`
	// Path that messages are sent to; any other is not found. Default /.
	Path string `yaml:"path"`
	// Methods that are taken: POST, PUT, PATCH. Default POST.
	Methods []string `yaml:"methods"`
	// Types of content that are taken, such as application/json, without
	// parameters. Default: any.
	Content []string `yaml:"content"`
	// Type of the channel's own answers. Default: that of the request if it
	// stands in content, else application/octet-stream.
	Reply string `yaml:"reply"`
	// How senders prove who they are. Default: not at all.
	Auth *web.AuthOptions `yaml:"auth"`
	// How long a connection may be silent between two requests before it is
	// closed. Default 2m.
	Idle time.Duration `yaml:"idle"`
	// How long the headers of a request may take, and then its content. What
	// takes longer is not taken and the connection is closed. Default 30s.
	Request time.Duration `yaml:"request"`
	// How long the sender may take to read an answer. Default 30s.
	Write time.Duration `yaml:"write"`
	// Addresses or networks that may connect, such as 192.0.2.17 or
	// 10.1.0.0/16. Default: all.
	Peers []string `yaml:"peers"`
	// Most connections of one address at a time. Default 0: as many as
	// limits.connections of the channel allows.
	PeerConnections int `yaml:"peer_connections"`
	// Encryption of the connections; with ca senders must show a certificate.
	// Default: none.
	TLS *network.TLSOptions `yaml:"tls"`
	// Say i-understand to listen without encryption on an address that other
	// machines reach: anyone on the way can then read and change messages.
	Insecure string `yaml:"insecure"`
}

var _ connectors.SourceOptions = (*SourceOptions)(nil)

// DefaultSource returns the options that hold where routes.yaml is silent.
func DefaultSource() connectors.SourceOptions {
	return &SourceOptions{
		Listen: "127.0.0.1:8090", Path: "/", Methods: []string{nethttp.MethodPost},
		Idle: 2 * time.Minute, Request: 30 * time.Second, Write: 30 * time.Second,
	}
}

func (o *SourceOptions) server() web.ServerOptions {
	return web.ServerOptions{
		Listen: o.Listen, Idle: o.Idle, Request: o.Request, Write: o.Write, Peers: o.Peers,
		PeerConnections: o.PeerConnections, Auth: o.Auth, TLS: o.TLS, Insecure: o.Insecure,
	}
}

// methods are those that carry a message.
var methods = []string{nethttp.MethodPost, nethttp.MethodPut, nethttp.MethodPatch}

// Validate checks the words of the options.
func (o *SourceOptions) Validate() []connectors.Problem {
	server := o.server()
	p := server.Validate()
	if !strings.HasPrefix(o.Path, "/") || strings.ContainsAny(o.Path, "?# ") {
		p.Add("path", "%q is not a path that begins with a slash, such as /inbox", o.Path)
	}
	if len(o.Methods) == 0 {
		p.Add("methods", "is empty: name at least POST")
	}
	for i, m := range o.Methods {
		if !slices.Contains(methods, m) {
			p.Add(fmt.Sprintf("methods[%d]", i), "%q carries no message; known: %s", m, strings.Join(methods, ", "))
		}
	}
	for i, c := range o.Content {
		web.MediaType(&p, fmt.Sprintf("content[%d]", i), c)
	}
	if o.Reply != "" {
		web.MediaType(&p, "reply", web.MediaOf(o.Reply)) // its parameters are its own
	}
	return p
}

// Open makes the listener. It holds no port before Run.
func (o *SourceOptions) Open(env connectors.Environment) (connectors.Source, error) {
	return &Source{options: *o, env: env, listened: func(net.Addr) {}}, nil
}

// DestinationOptions are the options of a destination that sends HTTP requests.
type DestinationOptions struct {
	// Address to send to, such as https://partner.example.org/inbox.
	URL string `yaml:"url"`
	// Method of the requests: POST, PUT or PATCH. Default POST.
	Method string `yaml:"method"`
	// Type of the content, as the receiver wants it named, such as
	// application/json. Default application/octet-stream.
	Content string `yaml:"content"`
	// Further headers of each request, such as Accept. They are seen by
	// everybody who sees this file: credentials stand in credential or
	// secret_headers. Default: none.
	Headers map[string]string `yaml:"headers"`
	// Headers whose values are secrets, such as X-API-Key: { secret: name }.
	// Default: none.
	SecretHeaders map[string]connectors.Secret `yaml:"secret_headers"`
	// How we prove who we are. Default: not at all.
	Credential *web.CredentialOptions `yaml:"credential"`
	// Statuses that say that the message was taken, such as 200 or 200-299.
	// Default 200-299.
	Accept []string `yaml:"accept"`
	// Number of requests at once, each on a connection of its own. Messages
	// of one key never overtake each other. Default 4.
	Connections int `yaml:"connections"`
	// How long making a connection may take. Default 10s.
	Connect time.Duration `yaml:"connect"`
	// How long the receiver may take to read a message and answer it. Then
	// the connection is closed and the message is sent again. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// How long a connection may be silent between two requests before we
	// close it. 0: never. Default 1m.
	Idle time.Duration `yaml:"idle"`
	// Largest content of an answer that is read. A larger one counts as
	// unreadable. Default 1MB.
	Answer int64 `yaml:"answer" unit:"size"`
	// Encryption of the connections where the address begins with https.
	// Default: the authorities of the system, no certificate of ours.
	TLS *network.TLSOptions `yaml:"tls"`
	// Proxy to go through, such as http://proxy.example.org:3128; only to
	// addresses that begin with https. Variables of the environment are not
	// looked at. Default: none.
	Proxy string `yaml:"proxy"`
	// Say i-understand to send without encryption to another machine: anyone
	// on the way can then read and change messages.
	Insecure string `yaml:"insecure"`
}

var _ connectors.DestinationOptions = (*DestinationOptions)(nil)

// DefaultDestination returns the options that hold where routes.yaml is silent.
func DefaultDestination() connectors.DestinationOptions {
	return &DestinationOptions{
		Method: nethttp.MethodPost, Content: "application/octet-stream", Accept: []string{"200-299"}, Connections: 4,
		Connect: 10 * time.Second, Timeout: 30 * time.Second, Idle: time.Minute, Answer: 1 << 20,
	}
}

func (o *DestinationOptions) client() web.ClientOptions {
	return web.ClientOptions{
		URL: o.URL, URLField: "url", Connections: o.Connections, Connect: o.Connect, Timeout: o.Timeout, Idle: o.Idle,
		Answer: o.Answer, Credential: o.Credential, TLS: o.TLS, Proxy: o.Proxy, Insecure: o.Insecure,
	}
}

// ours are headers that the connector itself writes, or whose value changes
// where a request begins and ends.
var ours = []string{
	"Authorization", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host",
	"Idempotency-Key", "Keep-Alive", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"User-Agent", "X-Plexus-Control",
}

// headerName is a token (RFC 9110, 5.6.2).
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// Validate checks the words of the options.
func (o *DestinationOptions) Validate() []connectors.Problem {
	client := o.client()
	p := client.Validate()
	if !slices.Contains(methods, o.Method) {
		p.Add("method", "%q carries no message; known: %s", o.Method, strings.Join(methods, ", "))
	}
	web.MediaType(&p, "content", web.MediaOf(o.Content)) // its parameters are its own
	if strings.ContainsAny(o.Content, "\r\n") {
		p.Add("content", "holds a line end, which no header can carry")
	}
	header := func(field, name, value string) {
		switch {
		case !headerName.MatchString(name):
			p.Add(field+"."+name, "%q is not the name of a header", name)
		case slices.Contains(ours, nethttp.CanonicalHeaderKey(name)):
			p.Add(field+"."+name, "%q is a header that the connector writes itself", name)
		case strings.ContainsAny(value, "\r\n\x00"):
			p.Add(field+"."+name, "holds a line end, which no header can carry")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		header("headers", name, o.Headers[name])
	}
	for _, name := range slices.Sorted(maps.Keys(o.SecretHeaders)) {
		header("secret_headers", name, o.SecretHeaders[name].Reveal())
	}
	if len(o.Accept) == 0 {
		p.Add("accept", "is empty: name the statuses of success, such as 200-299")
	}
	for i, text := range o.Accept {
		if _, err := web.ParseRange(text); err != nil {
			p.Add(fmt.Sprintf("accept[%d]", i), "%q is %s", text, err)
		}
	}
	return p
}

// Open makes the destination. It connects when it is first used.
func (o *DestinationOptions) Open(env connectors.Environment) (connectors.Destination, error) {
	client, err := web.NewClient(o.client(), env)
	if err != nil {
		return nil, err
	}
	d := &Destination{options: *o, client: client, now: env.WithDefaults().Now}
	for _, text := range o.Accept {
		r, err := web.ParseRange(text)
		if err != nil {
			return nil, fmt.Errorf("accept: %w", err)
		}
		d.accept = append(d.accept, r)
	}
	return d, nil
}

// Limits bound the sends.
func (o *DestinationOptions) Limits() connectors.SendLimits {
	client := o.client()
	return client.Limits()
}
