// Package webtest is a partner's HTTP server for the tests of what sends to one.
package webtest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/connectors/connectortest"
)

// A Receiver is a partner's HTTP server, written over plain connections so that
// it can misbehave.
type Receiver struct {
	t       testing.TB
	address string
	group   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	does     connectortest.Behaviour
	answer   string // in place of what does says
	taken    [][]byte
	heads    []string
	requests []*http.Request
}

// NewReceiver starts a server that accepts and ends with the test.
func NewReceiver(t testing.TB) *Receiver {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Receiver{t: t, address: l.Addr().String(), conns: map[net.Conn]bool{}, does: connectortest.Away}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r.Behave(connectortest.Accept)
	t.Cleanup(func() { r.Behave(connectortest.Away); r.group.Wait() })
	return r
}

// Behave says what happens to what comes next.
func (r *Receiver) Behave(b connectortest.Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.does
	r.does = b
	switch {
	case b == connectortest.Away && was != connectortest.Away:
		_ = r.listener.Close()
		for c := range r.conns {
			_ = c.Close()
		}
	case b != connectortest.Away && was == connectortest.Away:
		l, err := net.Listen("tcp", r.address)
		if err != nil {
			r.t.Error(err)
			return
		}
		r.listener = l
		r.group.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				r.mu.Lock()
				r.conns[c] = true
				r.mu.Unlock()
				r.group.Go(func() { r.serve(c) })
			}
		})
	}
}

// Taken returns the bodies read so far.
func (r *Receiver) Taken() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.taken...)
}

// Says makes it answer a text, in place of what its behaviour says.
func (r *Receiver) Says(answer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *Receiver) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		r.mu.Lock()
		delete(r.conns, c)
		r.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.taken = append(r.taken, body)
		r.heads = append(r.heads, request.Header.Get("Idempotency-Key")+" "+request.Header.Get("Content-Type")+" "+request.Header.Get("Authorization"))
		r.requests = append(r.requests, request)
		does, answer := r.does, r.answer
		r.mu.Unlock()
		if answer == "" {
			answer = map[connectortest.Behaviour]string{
				connectortest.Accept:   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
				connectortest.Refuse:   "HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n",
				connectortest.TryLater: "HTTP/1.1 503 Later\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
				connectortest.Babble:   "\x00\x01 this is no answer\r\n\r\n",
			}[does]
		}
		switch does {
		case connectortest.HangUp:
			return
		case connectortest.StaySilent:
			_, _ = io.Copy(io.Discard, in) // until the other side has had enough
			return
		}
		if _, err := io.WriteString(c, answer); err != nil || does == connectortest.Babble {
			return
		}
	}
}

// Address is host:port.
func (r *Receiver) Address() string { return r.address }

// Heads are the key, content type and login of each request.
func (r *Receiver) Heads() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.heads...)
}

// Requests are the requests read so far, without their bodies.
func (r *Receiver) Requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*http.Request(nil), r.requests...)
}
