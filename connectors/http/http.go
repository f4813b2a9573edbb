// Package http carries messages of any format in the bodies of HTTP requests: a
// source that answers as the channel's `ack:` says, and a destination that knows
// what has left.
package http

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
)

// Kind is the kind of connector named http.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "http", Source: DefaultSource, Destination: DefaultDestination}
}

// SourceOptions are the options of a source that receives HTTP requests.
type SourceOptions struct {
	// Address to listen on, host and port. Default 127.0.0.1:8090. An address
	// that other machines reach needs tls, and login or tls.ca.
	Listen string `yaml:"listen"`
	// Path that takes messages. Default /.
	Path string `yaml:"path"`
	// Methods that are taken: POST (the default), PUT.
	Methods []string `yaml:"methods"`
	// Content types that are taken, such as application/hl7-v2. Default: any.
	Content []string `yaml:"content"`
	// How long a request may take to arrive. Default 1m.
	Read time.Duration `yaml:"read"`
	// How callers show who they are. Default: nobody is asked.
	Login *web.Login `yaml:"login"`
	// Encryption of the connections. With ca callers need a certificate.
	// Default: none.
	TLS *web.TLS `yaml:"tls"`
	// Say i-understand to listen without encryption on an address that other
	// machines reach: anyone on the way can then read and change messages.
	Insecure string `yaml:"insecure"`
}

var _ connectors.SourceOptions = (*SourceOptions)(nil)

// DefaultSource returns the options that hold where routes.yaml is silent.
func DefaultSource() connectors.SourceOptions {
	return &SourceOptions{Listen: "127.0.0.1:8090", Path: "/", Read: time.Minute}
}

var mediaType = regexp.MustCompile(`^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$`)

// Validate checks words only.
func (o *SourceOptions) Validate() []connectors.Problem {
	p := web.ValidateListen(o.Listen, o.TLS, o.Login, o.Insecure)
	if !strings.HasPrefix(o.Path, "/") {
		p = append(p, connectors.Problem{Field: "path", Text: fmt.Sprintf("%q does not begin with /", o.Path)})
	}
	for i, m := range o.Methods {
		if m != "POST" && m != "PUT" {
			p = append(p, connectors.Problem{Field: fmt.Sprintf("methods[%d]", i), Text: fmt.Sprintf("%q is not known; known: POST, PUT", m)})
		}
	}
	for i, c := range o.Content {
		if !mediaType.MatchString(c) {
			p = append(p, connectors.Problem{Field: fmt.Sprintf("content[%d]", i), Text: fmt.Sprintf("%q is no media type, such as application/hl7-v2", c)})
		}
	}
	if o.Read <= 0 {
		p = append(p, connectors.Problem{Field: "read", Text: "must be longer than 0s"})
	}
	return p
}

// Open makes the source. It holds no port before Run.
func (o *SourceOptions) Open(env connectors.Environment) (connectors.Source, error) {
	options := *o
	if len(options.Methods) == 0 {
		options.Methods = []string{"POST"}
	}
	return &Source{options: options, env: env, grace: 5 * time.Second}, nil
}

// DestinationOptions are the options of a destination that sends HTTP requests.
type DestinationOptions struct {
	// Address to send to: https://host/path. http only to this machine.
	URL string `yaml:"url"`
	// Method. Default POST.
	Method string `yaml:"method"`
	// Content type of what is sent. Default application/octet-stream.
	Content string `yaml:"content"`
	// Further headers.
	Headers map[string]string `yaml:"headers"`
	// How this side shows who it is. Default: not at all.
	Login *web.Login `yaml:"login"`
	// Encryption. Default: the authorities of the system, no certificate of ours.
	TLS *web.TLS `yaml:"tls"`
	// How many requests are under way at once. Default 1.
	Connections int `yaml:"connections"`
	// How long making a connection may take. Default 10s.
	Connect time.Duration `yaml:"connect"`
	// How long the answer may take. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// The largest answer that is read. Default 1MB.
	Answer int64 `yaml:"answer" unit:"size"`
	// Say i-understand to send without encryption to another machine.
	Insecure string `yaml:"insecure"`
}

var _ connectors.DestinationOptions = (*DestinationOptions)(nil)

// DefaultDestination returns the options that hold where routes.yaml is silent.
func DefaultDestination() connectors.DestinationOptions {
	return &DestinationOptions{
		Method: "POST", Content: "application/octet-stream", Connections: 1,
		Connect: 10 * time.Second, Timeout: 30 * time.Second, Answer: 1 << 20,
	}
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// Validate checks words only.
func (o *DestinationOptions) Validate() []connectors.Problem {
	p := web.ValidateURL("url", o.URL, o.TLS, o.Login, o.Insecure)
	if o.Method != "POST" && o.Method != "PUT" {
		p = append(p, connectors.Problem{Field: "method", Text: fmt.Sprintf("%q is not known; known: POST, PUT", o.Method)})
	}
	if !mediaType.MatchString(strings.TrimSpace(strings.SplitN(o.Content, ";", 2)[0])) {
		p = append(p, connectors.Problem{Field: "content", Text: fmt.Sprintf("%q is no media type, such as application/hl7-v2", o.Content)})
	}
	for name, value := range o.Headers {
		switch {
		case !headerName.MatchString(name) || strings.ContainsAny(value, "\r\n\x00"):
			p = append(p, connectors.Problem{Field: "headers." + name, Text: "is no header"})
		case strings.EqualFold(name, "Authorization"):
			p = append(p, connectors.Problem{Field: "headers." + name, Text: "is written by login: { token: { secret: … } }"})
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"connect", o.Connect}, {"timeout", o.Timeout}} {
		if d.value <= 0 {
			p = append(p, connectors.Problem{Field: d.field, Text: "must be longer than 0s"})
		}
	}
	if o.Connections < 1 || o.Connections > 1000 {
		p = append(p, connectors.Problem{Field: "connections", Text: fmt.Sprintf("%d is not between 1 and 1000", o.Connections)})
	}
	if o.Answer < 1 {
		p = append(p, connectors.Problem{Field: "answer", Text: "must be larger than nothing"})
	}
	return p
}

// Limits bound its sends.
func (o *DestinationOptions) Limits() connectors.SendLimits {
	return connectors.SendLimits{Connections: o.Connections, Timeout: o.Connect + o.Timeout}
}

// Open makes the destination. It connects when it is first used.
func (o *DestinationOptions) Open(env connectors.Environment) (connectors.Destination, error) {
	client, err := web.NewClient(web.ClientOptions{
		TLS: o.TLS, Folder: env.Folder, Login: o.Login, Connections: o.Connections, Connect: o.Connect, Answer: o.Answer, Now: env.Now,
	})
	if err != nil {
		return nil, err
	}
	return &Destination{options: *o, client: client}, nil
}
