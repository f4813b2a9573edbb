// Package web is what the connectors that speak HTTP have in common: a listener
// that knows who sends before it reads what is sent, and a client that can tell
// whether a byte of a request has left.
package web

import (
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/plexus-health/plexus/connectors"
)

// Understood is the word that takes responsibility for a missing protection.
const Understood = "i-understand"

// Problems collects what is wrong with options.
type Problems []connectors.Problem

// Add adds a problem of a field.
func (p *Problems) Add(field, format string, args ...any) {
	*p = append(*p, connectors.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

// Time adds a problem when value is no time above zero.
func (p *Problems) Time(field string, value time.Duration) {
	if value <= 0 {
		p.Add(field, "%s is not a time above zero, such as 30s", value)
	}
}

// MediaType adds a problem when text is no media type such as text/plain.
func (p *Problems) MediaType(field, text string) {
	if media, parameters, err := mime.ParseMediaType(text); err != nil || len(parameters) > 0 || !strings.Contains(media, "/") {
		p.Add(field, "%q is not a type of content, such as application/json", text)
	}
}

// withDefaults fills what the caller left out.
func withDefaults(env connectors.Environment) connectors.Environment {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Count == nil {
		env.Count = func(string, int) {}
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Size <= 0 {
		env.Size = 8 << 20
	}
	if env.Whole <= 0 || env.Whole > env.Size {
		env.Whole = env.Size
	}
	if env.Connections <= 0 {
		env.Connections = 100
	}
	return env
}

// fileIn is the place of a file that the configuration in folder names.
func fileIn(folder, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(folder, name)
}

// splitAddress returns the host of a host:port, or what is wrong with it.
func splitAddress(address string) (host, text string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Sprintf("%q is not host:port, such as 127.0.0.1:8090", address)
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

// parsePeer reads an address or a network.
func parsePeer(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an address or network, such as 192.0.2.17 or 10.1.0.0/16", text)
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}

// allowed reports whether a peer may connect; without peers everybody may.
func allowed(peers []netip.Prefix, peer netip.Addr) bool {
	if len(peers) == 0 {
		return true
	}
	for _, p := range peers {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

// addressOf is the address of a peer without its port.
func addressOf(a net.Addr) netip.Addr {
	peer, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}
