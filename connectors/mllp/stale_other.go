//go:build !unix

package mllp

import "net"

// stale cannot look at a connection without reading from it here.
func stale(net.Conn) error { return nil }
