package mllp

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// A visitor is a connection that was made to a receiver of a test. What is odd about
// a receiver stands in its test; it reads frames apart from the reader of this package.
type visitor struct {
	net.Conn
	in *bufio.Reader
}

// listening receives until the end of the test: serve has each connection for itself,
// and ends it by returning.
func listening(t testing.TB, serve func(c *visitor)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer func() { _ = conn.Close() }()
				serve(&visitor{conn, bufio.NewReader(conn)})
			})
		}
	})
	return listener.Addr().String()
}

// next is the content of the next frame; none when the connection has ended.
func (c *visitor) next() (raw []byte, ok bool) {
	raw, err := c.in.ReadBytes(endByte)
	if err != nil {
		return nil, false
	}
	return bytes.TrimSuffix(bytes.TrimLeft(raw, "\r\x0b"), []byte{endByte}), true
}

// say writes to a sender that may have gone.
func (c *visitor) say(text string) { _, _ = io.WriteString(c, text) }

// listen reads what else comes until the sender ends the connection.
func (c *visitor) listen() { _, _ = io.Copy(io.Discard, c.in) }
