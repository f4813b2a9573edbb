package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/plexus-health/plexus/connectors"
)

// Accept passes the connections of a listener to admit, one after the other,
// those of peers that may connect. It returns nil when ctx has ended, which its
// caller makes the end of the listener, or the error of a listener that was
// closed before. That the machine has no file descriptor left, or a peer that
// gave up, does not end it.
func Accept(ctx context.Context, listener net.Listener, peers []netip.Prefix, env connectors.Environment, admit func(net.Conn)) error {
	pause := time.Duration(0)
	for {
		conn, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close() // nothing was read from it
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			env.Count("accept-error", 1)
			if pause == 0 {
				env.Log.Warn("connections cannot be accepted for now", "error", err.Error())
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		pause = 0
		if !Allowed(peers, AddressOf(conn.RemoteAddr())) {
			env.Count("peer-refused", 1)
			env.Log.Warn("peer is not in peers, connection closed", "peer", conn.RemoteAddr().String())
			_ = conn.Close() // nothing was read from it
			continue
		}
		admit(conn)
	}
}
