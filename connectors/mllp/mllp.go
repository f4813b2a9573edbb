// Package mllp carries HL7 messages over TCP in the frames of the Minimal Lower
// Layer Protocol, release 1: a listener that tolerates what real peers do
// without ever acknowledging a message that lost bytes, and a client.
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

// Kind is the kind of connector named mllp.
func Kind() connectors.Kind {
	return connectors.Kind{Name: "mllp", Source: DefaultSource}
}

// SourceOptions are the options of an MLLP listener.
type SourceOptions struct {
	// Address to listen on, host and port. Default 127.0.0.1:2575. An
	// address that other machines reach needs tls, or insecure.
	Listen string `yaml:"listen"`
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
	var problems []connectors.Problem
	add := func(field, format string, args ...any) {
		problems = append(problems, connectors.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
	}
	host, text := splitAddress(o.Listen)
	switch {
	case text != "":
		add("listen", "%s", text)
	case o.Insecure != "" && o.Insecure != understood:
		add("insecure", "%q is not known; the only word is i-understand", o.Insecure)
	case o.TLS == nil && o.Insecure == "" && !loopback(host):
		add("listen", "%q is reachable from other machines and messages would travel unencrypted: "+
			"add tls, or say insecure: i-understand", o.Listen)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"idle", o.Idle}, {"frame", o.Frame}, {"write", o.Write}, {"keepalive", o.KeepAlive}} {
		if d.value <= 0 {
			add(d.field, "%s is not a time above zero, such as 30s", d.value)
		}
	}
	if o.Framing != tolerant && o.Framing != strict {
		add("framing", "%q is not known; known: tolerant, strict", o.Framing)
	}
	for i, p := range o.Peers {
		if _, err := parsePeer(p); err != nil {
			add(fmt.Sprintf("peers[%d]", i), "%q is not an address or network, such as 192.0.2.17 or 10.1.0.0/16", p)
		}
	}
	if o.TLS != nil {
		problems = append(problems, o.TLS.validate()...)
	}
	return problems
}

// Open makes the listener. It holds no port before Run.
func (o *SourceOptions) Open(env connectors.Environment) (connectors.Source, error) {
	s := &Source{options: *o, env: withDefaults(env), endWait: 250 * time.Millisecond, grace: 5 * time.Second}
	for _, p := range o.Peers {
		prefix, err := parsePeer(p)
		if err != nil {
			return nil, fmt.Errorf("peers: %w", err)
		}
		s.peers = append(s.peers, prefix)
	}
	return s, nil
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
