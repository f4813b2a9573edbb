// Package network is what the connectors that listen on the network or connect
// over it have in common: addresses, peers, encryption, and how options are
// found wrong.
package network

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/plexus-health/plexus/connectors"
)

// Understood is the word that takes responsibility for a missing protection.
const Understood = "i-understand"

// CheckPeers adds a problem for each text that is no address or network.
func CheckPeers(p *connectors.Problems, peers []string) {
	for i, peer := range peers {
		if _, err := parsePeer(peer); err != nil {
			p.Add(fmt.Sprintf("peers[%d]", i), "%s", err)
		}
	}
}

// SplitAddress returns the host of a host:port, or what is wrong with it;
// example is an address for the one who wrote it.
func SplitAddress(address, example string) (host, text string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Sprintf("%q is not host:port, such as %s", address, example)
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

// Loopback reports whether only this machine reaches host.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// ParsePeers reads the addresses and networks that may connect.
func ParsePeers(texts []string) ([]netip.Prefix, error) {
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

// Allowed reports whether a peer may connect; without peers everybody may.
func Allowed(peers []netip.Prefix, peer netip.Addr) bool {
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

// AddressOf is the address of a peer without its port; the zero Addr, which is
// in no network, for what is none.
func AddressOf(a net.Addr) netip.Addr {
	peer, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// fileIn is the place of a file that the configuration in folder names.
func fileIn(folder, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(folder, name)
}
