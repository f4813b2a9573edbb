//go:build !unix

package mllp

import (
	"errors"
	"net"
)

var errLate = errors.New("the peer sent an answer that nobody waits for")

// stale cannot look at a connection without reading from it here.
func stale(net.Conn) error { return nil }
