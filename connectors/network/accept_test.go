package network

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
)

// A script is a listener that yields what its test wrote, and then is closed.
type script struct {
	net.Listener
	yields []any // *guest or error
}

func (s *script) Accept() (net.Conn, error) {
	if len(s.yields) == 0 {
		return nil, net.ErrClosed
	}
	next := s.yields[0]
	s.yields = s.yields[1:]
	if g, ok := next.(*guest); ok {
		return g, nil
	}
	return nil, next.(error)
}

func TestAccept(t *testing.T) {
	poor := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	r, _, events := newRoom(1) // for its environment
	known, stranger, late := &guest{from: a}, &guest{from: b}, &guest{from: a}
	peers, err := ParsePeers([]string{a})
	if err != nil {
		t.Fatal(err)
	}
	var admitted []net.Conn
	admit := func(conn net.Conn) { admitted = append(admitted, conn) }
	err = Accept(context.Background(), &script{yields: []any{poor, stranger, poor, poor, known}}, peers, r.Env, admit)
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want that the listener was closed", err)
	}
	if len(admitted) != 1 || admitted[0] != known || known.closed.Load() || !stranger.closed.Load() {
		t.Errorf("%d connections were admitted, want the one of a peer, and the other closed", len(admitted))
	}
	for event, want := range map[string]int64{"accept-error": 3, "peer-refused": 1} {
		if n, ok := events.Load(event); !ok || n.(*atomic.Int64).Load() != want {
			t.Errorf("%s was not counted %d times", event, want)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Accept(ended, &script{yields: []any{late}}, nil, r.Env, admit); err != nil || !late.closed.Load() {
		t.Errorf("Accept = %v after the end, want nil and the connection closed", err)
	}
}
