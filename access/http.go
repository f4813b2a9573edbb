package access

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Local refuses requests that name another host than this machine: a page on
// the network whose name was pointed at 127.0.0.1 must not reach the engine
// through a browser that runs here. It stands in front of every handler as
// long as the engine serves its own machine only.
func Local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !localName(r.Host) {
			http.Error(w, "this engine answers to localhost and loopback addresses only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func localName(hostport string) bool {
	name := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		name = h
	}
	name = strings.Trim(strings.ToLower(name), "[]")
	if name == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(name)
	return err == nil && address.Unmap().IsLoopback()
}
