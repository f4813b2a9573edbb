// Package faults breaks connections on purpose, for tests: a proxy that cuts,
// resets, delays, trickles and swallows what passes through it.
package faults

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Fault is what happens to one direction of a connection. Its zero value
// passes everything on.
type Fault struct {
	// After is the number of bytes that pass untouched before the fault.
	After int64
	// Cut closes the connection then, in both directions.
	Cut bool
	// Reset makes Cut a reset in place of an orderly end.
	Reset bool
	// Swallow drops everything from then on and keeps the connection open,
	// like a cable that was pulled.
	Swallow bool
	// Chunk is the most bytes that are passed on at once from then on. 0: no limit.
	Chunk int
	// Pause is waited before each chunk.
	Pause time.Duration
}

// Faults are what happens to one connection.
type Faults struct {
	// Forth is from the dialing side to the target, Back the other way.
	Forth, Back Fault
}

// A Proxy passes connections on to a target and breaks them as it is told.
type Proxy struct {
	target   string
	listener net.Listener
	conns    sync.WaitGroup

	mu     sync.Mutex
	next   []Faults
	open   map[net.Conn]struct{}
	closed bool
	trap   trap
}

// A trap waits for a text on its way to the target.
type trap struct {
	text   []byte
	passed bool // it is let through, and only the answer is kept back
	cut    chan struct{}
}

// NewProxy starts a proxy to target on a free port of this machine; it ends
// with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: listener, open: map[net.Conn]struct{}{}}
	p.conns.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Next says what happens to the connections that come next, in this order.
// After them nothing is broken.
func (p *Proxy) Next(f ...Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = append(p.next, f...)
}

// CutAt cuts, once, the connection on which text comes next on its way to the
// target: before it arrives there or, with passed, when it has arrived and
// before anything comes back. What it returns is closed when that has happened.
func (p *Proxy) CutAt(text string, passed bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = trap{[]byte(text), passed, make(chan struct{})}
	return p.trap.cut
}

// A verdict is what happens to a piece on its way to the target.
type verdict uint8

const (
	passOn verdict = iota
	cutBefore
	cutAfter
)

// watch looks for the text of the trap in what one connection passes on.
func (p *Proxy) watch() func(piece []byte) verdict {
	var tail []byte // the text may come in two pieces
	return func(piece []byte) verdict {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.trap.text == nil {
			tail = nil
			return passOn
		}
		tail = append(tail, piece...)
		if !bytes.Contains(tail, p.trap.text) {
			tail = append([]byte(nil), tail[max(0, len(tail)-len(p.trap.text)+1):]...)
			return passOn
		}
		close(p.trap.cut)
		passed := p.trap.passed
		p.trap = trap{}
		if passed {
			return cutAfter
		}
		return cutBefore
	}
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.conns.Wait()
}

// keep notes a connection so that close ends it; false when it is too late.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		var f Faults
		p.mu.Lock()
		if len(p.next) > 0 {
			f, p.next = p.next[0], p.next[1:]
		}
		p.mu.Unlock()
		p.conns.Go(func() { p.pass(near, f) })
	}
}

func (p *Proxy) pass(near net.Conn, f Faults) {
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = near.Close()
		return
	}
	if !p.keep(near) || !p.keep(far) {
		_ = near.Close()
		_ = far.Close()
		return
	}
	var both sync.WaitGroup
	var mute atomic.Bool // nothing comes back any more
	look := p.watch()
	both.Go(func() {
		pump(far, near, f.Forth, func(piece []byte) verdict {
			v := look(piece)
			if v == cutAfter {
				mute.Store(true)
			}
			return v
		})
	})
	both.Go(func() {
		pump(near, far, f.Back, func([]byte) verdict {
			if mute.Load() {
				return cutBefore
			}
			return passOn
		})
	})
	both.Wait()
	_ = near.Close()
	_ = far.Close()
	p.mu.Lock()
	delete(p.open, near)
	delete(p.open, far)
	p.mu.Unlock()
}

var (
	errCut  = errors.New("cut")
	errHalf = errors.New("cut when it had passed")
)

// pump copies from src to dst until the end or the fault.
func pump(dst, src net.Conn, f Fault, look func([]byte) verdict) {
	err := copyBroken(dst, src, f, look)
	switch {
	case errors.Is(err, errHalf):
		// The target reads what has passed to its end.
		_ = src.Close()
		closeWrite(dst)
	case errors.Is(err, errCut):
		for _, c := range []net.Conn{dst, src} {
			if tcp, ok := c.(*net.TCPConn); ok && f.Reset {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	default:
		closeWrite(dst)
	}
}

func closeWrite(c net.Conn) {
	if half, ok := c.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

func copyBroken(dst io.Writer, src io.Reader, f Fault, look func([]byte) verdict) error {
	buf := make([]byte, 32<<10)
	passed := int64(0)
	for {
		n, err := src.Read(buf)
		seen := look(buf[:n])
		if seen == cutBefore {
			return errCut
		}
		for part := buf[:n]; len(part) > 0; {
			piece := part
			if left := f.After - passed; left > 0 {
				piece = part[:min(int64(len(part)), left)]
			} else {
				switch {
				case f.Cut:
					return errCut
				case f.Swallow:
					part = nil
					continue
				}
				if f.Chunk > 0 {
					piece = part[:min(len(part), f.Chunk)]
				}
				if f.Pause > 0 {
					time.Sleep(f.Pause)
				}
			}
			if _, err := dst.Write(piece); err != nil {
				return err
			}
			passed += int64(len(piece))
			part = part[len(piece):]
			if f.Cut && passed == f.After {
				return errCut
			}
		}
		if seen == cutAfter {
			return errHalf
		}
		if err != nil {
			return err
		}
	}
}
