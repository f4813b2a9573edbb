package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Receiver is an MLLP peer that acknowledges everything as soon as it has
// read it, so that what is measured is the engine.
type Receiver struct {
	address  string
	taken    atomic.Int64
	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	serving  sync.WaitGroup
}

// NewReceiver chooses an address; nobody listens there before Open.
func NewReceiver() (*Receiver, error) {
	address, err := freeAddress()
	return &Receiver{address: address, conns: map[net.Conn]bool{}}, err
}

// Address is where it listens.
func (r *Receiver) Address() string { return r.address }

// Taken is how many messages it has acknowledged.
func (r *Receiver) Taken() int { return int(r.taken.Load()) }

// Open begins to listen.
func (r *Receiver) Open(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", r.address)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.listener = listener
	r.mu.Unlock()
	r.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			r.mu.Lock()
			r.conns[conn] = true
			r.mu.Unlock()
			r.serving.Go(func() { r.serve(conn) })
		}
	})
	return nil
}

// Close stops listening and ends the connections.
func (r *Receiver) Close() error {
	r.mu.Lock()
	var err error
	if r.listener != nil {
		err = r.listener.Close()
		r.listener = nil
	}
	for conn := range r.conns {
		_ = conn.Close() // the engine sees the end
	}
	clear(r.conns)
	r.mu.Unlock()
	r.serving.Wait()
	return err
}

// serve acknowledges the messages of one connection until it ends.
func (r *Receiver) serve(conn net.Conn) {
	acknowledge(conn, nil, func() { r.taken.Add(1) })
}

// acknowledge answers AA to the messages of one connection until it ends, or take,
// if it is not nil, does not take one; said, if it is not nil, is called behind each answer.
func acknowledge(conn net.Conn, take func(frame []byte) error, said func()) {
	in := bufio.NewReaderSize(conn, 64<<10)
	var reply []byte
	for {
		frame, err := in.ReadBytes(0x1c)
		if err != nil {
			return
		}
		if _, err := in.Discard(1); err != nil {
			return
		}
		fields := bytes.SplitN(frame, []byte("|"), 11)
		if len(fields) < 11 {
			return
		}
		if take != nil && take(frame) != nil {
			return
		}
		reply = append(reply[:0], "\x0bMSH|^~\\&|L|L|E|E|20260101||ACK|"...)
		reply = append(append(reply, fields[9]...), "|P|2.5\rMSA|AA|"...)
		reply = append(append(reply, fields[9]...), "\r\x1c\r"...)
		if _, err := conn.Write(reply); err != nil {
			return
		}
		if said != nil {
			said()
		}
	}
}

// Arrived waits until the receiver has acknowledged n messages and returns when
// that was.
func (r *Receiver) Arrived(ctx context.Context, n int) (time.Time, error) {
	last, moved := 0, time.Now()
	for {
		have, now := r.Taken(), time.Now()
		switch {
		case have >= n:
			return now, nil
		case have > last:
			last, moved = have, now
		case now.Sub(moved) > 60*time.Second:
			return time.Time{}, fmt.Errorf("%d of %d messages have arrived, and none for 60s", have, n)
		}
		select {
		case <-ctx.Done():
			return time.Time{}, errors.Join(ctx.Err(), fmt.Errorf("%d of %d messages have arrived", have, n))
		case <-time.After(5 * time.Millisecond):
		}
	}
}
