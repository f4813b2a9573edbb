// Package mllp carries HL7 messages over TCP in the frames of the Minimal Lower
// Layer Protocol, release 1: a listener that tolerates what real peers do
// without ever acknowledging a message that lost bytes, and a client that never
// takes one answer for that to another message.
package mllp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
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
	// Addresses or networks that may connect, such as 192.0.2.17 or
	// 10.1.0.0/16. Default: all.
	Peers []string `yaml:"peers"`
	// Encryption of the connections. Default: none.
	TLS *TLSOptions `yaml:"tls"`
	// Say i-understand to listen without encryption on an address that other
	// machines reach: anyone on the way can then read and change messages.
	Insecure string `yaml:"insecure"`
}

var _ connectors.SourceOptions = (*SourceOptions)(nil)

// DefaultSource returns the options that hold where routes.yaml is silent.
func DefaultSource() connectors.SourceOptions {
	return &SourceOptions{
		Listen: "127.0.0.1:2575", Idle: 10 * time.Minute, Frame: 30 * time.Second,
		Write: 30 * time.Second, KeepAlive: time.Minute, Framing: tolerant,
	}
}

// Words of options.
const (
	tolerant   = "tolerant"
	strict     = "strict"
	understood = "i-understand"
)

// Validate checks the words of the options.
func (o *SourceOptions) Validate() []connectors.Problem {
	var p problems
	o.validateAddress(&p)
	p.times([]duration{{"idle", o.Idle}, {"frame", o.Frame}, {"write", o.Write}, {"keepalive", o.KeepAlive}})
	if o.Framing != tolerant && o.Framing != strict {
		p.add("framing", "%q is not known; known: tolerant, strict", o.Framing)
	}
	p.networks(o.Peers)
	if o.TLS != nil {
		p = append(p, o.TLS.validate(o.Dial == "")...)
	}
	return p
}

// validateAddress checks where messages come from, and that nobody reads them
// on the way unless that was said.
func (o *SourceOptions) validateAddress(p *problems) {
	field, address, exposed := "listen", o.Listen, "is reachable from other machines"
	if o.Dial != "" {
		field, address, exposed = "dial", o.Dial, "is another machine"
	}
	host, text := splitAddress(address)
	switch {
	case text != "":
		p.add(field, "%s", text)
	case o.Dial != "" && host == "":
		p.add(field, "%q has no host to connect to", address)
	case o.Insecure != "" && o.Insecure != understood:
		p.add("insecure", "%q is not known; the only word is i-understand", o.Insecure)
	case o.TLS == nil && o.Insecure == "" && !loopback(host):
		p.add(field, "%q %s and messages would travel unencrypted: "+
			"add tls, or say insecure: i-understand", address, exposed)
	}
	if o.Dial != "" && len(o.Peers) > 0 {
		p.add("peers", "say who may connect; with dial nobody does")
	}
}

// Open makes the source. It holds no port before Run.
func (o *SourceOptions) Open(env connectors.Environment) (connectors.Source, error) {
	s := &Source{
		options: *o, env: withDefaults(env), endWait: 250 * time.Millisecond, grace: 5 * time.Second,
		soon: time.Second, late: time.Minute,
	}
	var err error
	s.peers, err = parsePeers(o.Peers)
	return s, err
}

func parsePeers(texts []string) ([]netip.Prefix, error) {
	var peers []netip.Prefix
	for _, text := range texts {
		prefix, err := parsePeer(text)
		if err != nil {
			return nil, fmt.Errorf("peers: %w", err)
		}
		peers = append(peers, prefix)
	}
	return peers, nil
}

// splitAddress returns the host of a host:port, or what is wrong with it.
func splitAddress(address string) (host, text string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Sprintf("%q is not host:port, such as 127.0.0.1:2575", address)
	}
	number := 0
	for _, digit := range []byte(port) {
		if digit < '0' || digit > '9' || number > 65535 {
			number = 65536
			break
		}
		number = 10*number + int(digit-'0')
	}
	if port == "" || number > 65535 {
		return "", fmt.Sprintf("port %s is not between 0 and 65535", port)
	}
	return host, ""
}

// Local reports whether only this machine reaches an address, host:port. The
// error says what is wrong with one that is none.
func Local(address string) (bool, error) {
	host, text := splitAddress(address)
	if text != "" {
		return false, errors.New(text)
	}
	return loopback(host), nil
}

// loopback reports whether only this machine reaches host.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

var errPeer = errors.New("not an address or network")

// parsePeer reads an address or a network.
func parsePeer(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, errPeer
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}
