// Package fhir speaks with FHIR servers: a source that takes resources and
// Bundles by REST call as messages of a channel, and a destination that writes
// to another server.
package fhir

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Kind is the kind of connector named fhir.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "fhir", Source: DefaultSource, Destination: DefaultDestination}
}

// SourceOptions are the options of a source that takes FHIR by REST call.
type SourceOptions struct {
	// Address to listen on, host and port. Default 127.0.0.1:8091. An address
	// that other machines reach needs tls, and login or tls.ca.
	Listen string `yaml:"listen"`
	// Path of the service base. Default /fhir.
	Base string `yaml:"base"`
	// Resource types that are taken, Bundle among them. Default: all.
	Types []string `yaml:"types"`
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
	return &SourceOptions{Listen: "127.0.0.1:8091", Base: "/fhir", Read: time.Minute}
}

var basePath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// Validate checks words only.
func (o *SourceOptions) Validate() []connectors.Problem {
	p := web.ValidateListen(o.Listen, o.TLS, o.Login, o.Insecure)
	if !basePath.MatchString(o.Base) {
		p = append(p, connectors.Problem{Field: "base", Text: fmt.Sprintf("%q is no path such as /fhir", o.Base)})
	}
	for i, t := range o.Types {
		if definitions.Number(t) == 0 {
			p = append(p, connectors.Problem{Field: fmt.Sprintf("types[%d]", i), Text: fmt.Sprintf("%q is no resource type of FHIR R4", t)})
		}
	}
	if o.Read <= 0 {
		p = append(p, connectors.Problem{Field: "read", Text: "must be longer than 0s"})
	}
	return p
}

// Open makes the source. It holds no port before Run.
func (o *SourceOptions) Open(env connectors.Environment) (connectors.Source, error) {
	return &Source{options: *o, env: env, grace: 5 * time.Second}, nil
}

// The interactions of a destination.
const (
	auto              = "auto"
	create            = "create"
	update            = "update"
	conditionalCreate = "conditional-create"
	conditionalUpdate = "conditional-update"
	transaction       = "transaction"
)

var interactions = []string{auto, create, update, conditionalCreate, conditionalUpdate, transaction}

// DestinationOptions are the options of a destination that writes to a FHIR
// server.
type DestinationOptions struct {
	// Service base of the server: https://host/fhir. http only to this machine.
	Base string `yaml:"base"`
	// What is done with a resource: auto (the default) sends a Bundle to the
	// base, a resource with an id by update and one without by create; create,
	// update, conditional-create, conditional-update and transaction do only that.
	Interaction string `yaml:"interaction"`
	// What finds the resource of a conditional interaction: the search after
	// the question mark, {identifier} being the first identifier as
	// system|value. Default identifier={identifier}.
	Match string `yaml:"match"`
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
	// The largest answer that is read. Default 8MB.
	Answer int64 `yaml:"answer" unit:"size"`
	// Say i-understand to send without encryption to another machine.
	Insecure string `yaml:"insecure"`
}

var _ connectors.DestinationOptions = (*DestinationOptions)(nil)

// DefaultDestination returns the options that hold where routes.yaml is silent.
func DefaultDestination() connectors.DestinationOptions {
	return &DestinationOptions{
		Interaction: auto, Match: "identifier={identifier}", Connections: 1,
		Connect: 10 * time.Second, Timeout: 30 * time.Second, Answer: 8 << 20,
	}
}

// Validate checks words only.
func (o *DestinationOptions) Validate() []connectors.Problem {
	p := web.ValidateURL("base", o.Base, o.TLS, o.Login, o.Insecure)
	known := false
	for _, i := range interactions {
		known = known || o.Interaction == i
	}
	if !known {
		p = append(p, connectors.Problem{Field: "interaction", Text: fmt.Sprintf("%q is not known; known: %s", o.Interaction, strings.Join(interactions, ", "))})
	}
	if !strings.Contains(o.Match, "{identifier}") || strings.ContainsAny(o.Match, " ?#") {
		p = append(p, connectors.Problem{Field: "match", Text: fmt.Sprintf("%q is no search with {identifier} in it, such as identifier={identifier}", o.Match)})
	}
	if strings.ContainsAny(o.Base, "?#") {
		p = append(p, connectors.Problem{Field: "base", Text: "is a service base, without ? or #"})
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
