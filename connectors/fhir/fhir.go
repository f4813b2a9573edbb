// Package fhir carries FHIR R4 resources and Bundles over the RESTful API: a
// server that takes what is posted to it and keeps nothing itself, and a client
// that creates, updates and posts transactions on the server of a partner.
package fhir

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Kind is the kind of connector named fhir.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "fhir", Source: DefaultSource, Destination: DefaultDestination}
}

// SourceOptions are the options of a listener for FHIR requests.
type SourceOptions struct {
	// Address to listen on, host and port. Default 127.0.0.1:8091. An
	// address that other machines reach needs tls, or insecure, and auth or
	// tls.ca.
	Listen string `yaml:"listen"`
	// Path below which the API stands. Default /fhir.
	Base string `yaml:"base"`
	// Resource types that are taken, such as ServiceRequest; Bundle for what
	// is posted to the base itself, whatever is in it. Default: all.
	Types []string `yaml:"types"`
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
		Listen: "127.0.0.1:8091", Base: "/fhir", Idle: 2 * time.Minute, Request: 30 * time.Second, Write: 30 * time.Second,
	}
}

func (o *SourceOptions) server() web.ServerOptions {
	return web.ServerOptions{
		Listen: o.Listen, Idle: o.Idle, Request: o.Request, Write: o.Write, Peers: o.Peers,
		PeerConnections: o.PeerConnections, Auth: o.Auth, TLS: o.TLS, Insecure: o.Insecure,
	}
}

// Validate checks the words of the options.
func (o *SourceOptions) Validate() []connectors.Problem {
	server := o.server()
	p := server.Validate()
	if o.Base != "" && (!strings.HasPrefix(o.Base, "/") || strings.HasSuffix(o.Base, "/") || strings.ContainsAny(o.Base, "?# ")) {
		p.Add("base", "%q is not a path that begins with a slash and ends with none, such as /fhir", o.Base)
	}
	for i, typ := range o.Types {
		if _, ok := definitions.Resource(typ); !ok {
			p.Add(fmt.Sprintf("types[%d]", i), "%q is no resource type of R4, such as ServiceRequest or Bundle", typ)
		}
	}
	return p
}

// Open makes the listener. It holds no port before Run.
func (o *SourceOptions) Open(env connectors.Environment) (connectors.Source, error) {
	// One request is one message, also where the format has files of several.
	env.Split = nil
	return &Source{options: *o, env: env.WithDefaults(), listened: func(net.Addr) {}}, nil
}

// DestinationOptions are the options of a destination that sends to a FHIR
// server.
type DestinationOptions struct {
	// Base of the server, such as https://ehr.example.org/fhir.
	Base string `yaml:"base"`
	// What is done with a resource: create, update (it has an id),
	// conditional-create or conditional-update (by match), transaction (a
	// Bundle, posted to the base), or auto (the default): a Bundle of type
	// transaction or batch is posted to the base, a resource with an id is
	// updated, one without is created.
	Interaction string `yaml:"interaction"`
	// Search that finds the resource on the server for the conditional
	// interactions. {identifier} stands for system and value of the first
	// identifier, {identifier:SYSTEM} for the one of that system,
	// {identifier.value}, {identifier.system} and {id} for themselves.
	// Default identifier={identifier}.
	Match string `yaml:"match"`
	// How we prove who we are. Default: not at all.
	Credential *web.CredentialOptions `yaml:"credential"`
	// Number of requests at once, each on a connection of its own. Messages
	// of one key never overtake each other. Default 4.
	Connections int `yaml:"connections"`
	// How long making a connection may take. Default 10s.
	Connect time.Duration `yaml:"connect"`
	// How long the server may take to read a request and answer it. Then the
	// connection is closed and the message is sent again. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// How long a connection may be silent between two requests before we
	// close it. 0: never. Default 1m.
	Idle time.Duration `yaml:"idle"`
	// Largest content of an answer that is read. A larger one counts as
	// unreadable. Default 4MB.
	Answer int64 `yaml:"answer" unit:"size"`
	// Encryption of the connections where the base begins with https.
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

// Words of interaction.
const (
	auto              = "auto"
	create            = "create"
	update            = "update"
	conditionalCreate = "conditional-create"
	conditionalUpdate = "conditional-update"
	transaction       = "transaction"
)

var interactions = []string{auto, create, update, conditionalCreate, conditionalUpdate, transaction}

// DefaultDestination returns the options that hold where routes.yaml is silent.
func DefaultDestination() connectors.DestinationOptions {
	return &DestinationOptions{
		Interaction: auto, Match: "identifier={identifier}", Connections: 4,
		Connect: 10 * time.Second, Timeout: 30 * time.Second, Idle: time.Minute, Answer: 4 << 20,
	}
}

func (o *DestinationOptions) client() web.ClientOptions {
	return web.ClientOptions{
		URL: o.Base, URLField: "base", Connections: o.Connections, Connect: o.Connect, Timeout: o.Timeout, Idle: o.Idle,
		Answer: o.Answer, Credential: o.Credential, TLS: o.TLS, Proxy: o.Proxy, Insecure: o.Insecure,
	}
}

// Validate checks the words of the options.
func (o *DestinationOptions) Validate() []connectors.Problem {
	client := o.client()
	p := client.Validate()
	if u, err := url.Parse(o.Base); err == nil && u.RawQuery != "" {
		p.Add("base", "has a part after ?, which does not belong to the base of a server")
	}
	p.Word("interaction", o.Interaction, interactions...)
	if _, err := parseMatch(o.Match); err != nil {
		p.Add("match", "%q: %s", o.Match, err)
	}
	return p
}

// Open makes the destination. It connects when it is first used.
func (o *DestinationOptions) Open(env connectors.Environment) (connectors.Destination, error) {
	client, err := web.NewClient(o.client(), env)
	if err != nil {
		return nil, err
	}
	match, err := parseMatch(o.Match)
	if err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	d := &Destination{options: *o, client: client, match: match, now: env.WithDefaults().Now}
	return d, nil
}

// Limits bound the sends.
func (o *DestinationOptions) Limits() connectors.SendLimits {
	client := o.client()
	return client.Limits()
}
