// Package mllp carries HL7 messages over TCP in the frames of the Minimal Lower
// Layer Protocol, release 1: a listener that tolerates what real peers do
// without ever acknowledging a message that lost bytes, and a client that never
// takes one answer for that to another message.
package mllp

import (
	"errors"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
)

// The bytes of a frame: startByte content endByte carriageReturn. Content holds
// neither of the first two (HL7 v2.5.1, appendix C; MLLP release 1).
const (
	startByte      = 0x0b
	endByte        = 0x1c
	carriageReturn = 0x0d
	lineFeed       = 0x0a
)

// What a look at a connection finds before anything is written to it.
var (
	errHungUp  = errors.New("the peer has closed the connection")
	errRecords = errors.New("encrypted bytes wait to be read")
)

// Kind is the kind of connector named mllp.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "mllp", Source: DefaultSource, Destination: DefaultDestination}
}

// SourceOptions are the options of a source that receives over MLLP.
type SourceOptions struct {
	// Address to listen on, host and port. Default 127.0.0.1:2575. An
	// address that other machines reach needs tls, or insecure.
	Listen string `yaml:"listen"`
	// Host and port to connect to, in place of listening, where the sender
	// waits for us to connect and sends over that connection. It is made again
	// when it ends, after 1s, then after longer and longer, at most 60s.
	// Default: none, we listen.
	Dial string `yaml:"dial"`
	// How long a connection may be silent between two messages before it is
	// closed. Default 10m.
	Idle time.Duration `yaml:"idle"`
	// How long a message may take from its first byte to its last. A message
	// that takes longer is not taken and the connection is closed. Default 30s.
	Frame time.Duration `yaml:"frame"`
	// How long the peer may take to read an answer. Default 30s.
	Write time.Duration `yaml:"write"`
	// How long a quiet connection waits before the network is asked whether
	// the peer is still there. Three unanswered questions, a third of this
	// time apart, end the connection. Default 1m.
	KeepAlive time.Duration `yaml:"keepalive"`
	// What to do about peers that frame badly: tolerant (the default) takes
	// what is whole all the same and counts each fault; strict refuses the
	// message and closes the connection.
	Framing string `yaml:"framing"`
	// Release of the protocol that the peer speaks: 1 (the default); or 2, where
	// each message is first answered by a block that says whether it was stored,
	// 06 or 15, and the peer answers our answers so.
	Release int `yaml:"release"`
	// How long a peer that asked for an application acknowledgement (MSH-16) waits
	// on its connection for it, behind the accept acknowledgement if it asked for
	// that (MSH-15): it follows when the message was processed. When that is not
	// known in time none is sent. 0: none is sent. Default 30s.
	Application time.Duration `yaml:"application"`
	// Addresses or networks that may connect, such as 192.0.2.17 or
	// 10.1.0.0/16. Default: all.
	Peers []string `yaml:"peers"`
	// Most connections of one address at a time. Default 0: as many as
	// limits.connections of the channel allows.
	PeerConnections int `yaml:"peer_connections"`
	// Encryption of the connections. Default: none.
	TLS *network.TLSOptions `yaml:"tls"`
	// Say i-understand to listen without encryption on an address that other
	// machines reach: anyone on the way can then read and change messages.
	Insecure string `yaml:"insecure"`
}

var _ connectors.SourceOptions = (*SourceOptions)(nil)

// DefaultSource returns the options that hold where routes.yaml is silent.
func DefaultSource() connectors.SourceOptions {
	return &SourceOptions{
		Listen: "127.0.0.1:2575", Idle: 10 * time.Minute, Frame: 30 * time.Second,
		Write: 30 * time.Second, KeepAlive: time.Minute, Framing: tolerant, Release: 1, Application: 30 * time.Second,
	}
}

// Words of options.
const (
	tolerant = "tolerant"
	strict   = "strict"
)

// Validate checks the words of the options.
func (o *SourceOptions) Validate() []connectors.Problem {
	var p connectors.Problems
	o.validateAddress(&p)
	p.Time("idle", o.Idle)
	p.Time("frame", o.Frame)
	p.Time("write", o.Write)
	p.Time("keepalive", o.KeepAlive)
	p.Word("framing", o.Framing, tolerant, strict)
	checkRelease(&p, o.Release)
	if o.PeerConnections < 0 {
		p.Add("peer_connections", "%d is not a number of connections, nor 0 for no limit of its own", o.PeerConnections)
	}
	if o.Application < 0 {
		p.Add("application", "%s is not a time, such as 30s, nor 0 for never", o.Application)
	}
	network.CheckPeers(&p, o.Peers)
	if o.TLS != nil {
		o.TLS.Validate(o.Dial == "", &p)
	}
	return p
}

// validateAddress checks where messages come from, and that nobody reads them
// on the way unless that was said.
func (o *SourceOptions) validateAddress(p *connectors.Problems) {
	field, address, exposed := "listen", o.Listen, "is reachable from other machines"
	if o.Dial != "" {
		field, address, exposed = "dial", o.Dial, "is another machine"
	}
	host, text := network.SplitAddress(address, example)
	switch {
	case text != "":
		p.Add(field, "%s", text)
	case o.Dial != "" && host == "":
		p.Add(field, "%q has no host to connect to", address)
	case o.Insecure != "" && o.Insecure != network.Understood:
		p.Add("insecure", "%q is not known; the only word is i-understand", o.Insecure)
	case o.TLS == nil && o.Insecure == "" && !network.Loopback(host):
		p.Add(field, "%q %s and messages would travel unencrypted: "+
			"add tls, or say insecure: i-understand", address, exposed)
	}
	if o.Dial != "" && len(o.Peers) > 0 {
		p.Add("peers", "say who may connect; with dial nobody does")
	}
}

// Open makes the source. It holds no port before Run.
func (o *SourceOptions) Open(env connectors.Environment) (connectors.Source, error) {
	s := &Source{
		options: *o, env: env.WithDefaults(), endWait: 250 * time.Millisecond, grace: 5 * time.Second,
		soon: time.Second, late: time.Minute,
	}
	var err error
	s.peers, err = network.ParsePeers(o.Peers)
	return s, err
}

// example is an address for whoever wrote none.
const example = "127.0.0.1:2575"

// Local reports whether only this machine reaches an address, host:port. The
// error says what is wrong with one that is none.
func Local(address string) (bool, error) {
	host, text := network.SplitAddress(address, example)
	if text != "" {
		return false, errors.New(text)
	}
	return network.Loopback(host), nil
}
