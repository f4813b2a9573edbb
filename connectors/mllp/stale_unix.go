//go:build unix

package mllp

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// stale looks at a connection without reading from it: it returns an error when
// the peer has closed it, or has sent what is no answer to anything in flight;
// errRecords when encrypted bytes wait.
func stale(conn net.Conn) error {
	secure, encrypted := conn.(*tls.Conn)
	if encrypted {
		conn = secure.NetConn()
	}
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	socket, err := raw.SyscallConn()
	if err != nil {
		return err
	}
	var found error
	err = socket.Control(func(fd uintptr) {
		var waiting [16]byte
		n, _, err := syscall.Recvfrom(int(fd), waiting[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		case err != nil:
			found = err
		case n == 0:
			found = errHungUp
		case encrypted:
			found = errRecords
		case !blank(waiting[:n]):
			found = errLate
		}
	})
	return errors.Join(err, found)
}
