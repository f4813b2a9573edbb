package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/plexus-health/plexus/message"
)

// Errors of an exchange. None holds anything of what was sent or received.
var (
	errSilent   = errors.New("no answer came in time")
	errHungUp   = errors.New("the connection ended before the answer did")
	errBabble   = errors.New("what came is no answer of HTTP")
	errTooMuch  = errors.New("the answer is larger than is read")
	errSwitch   = errors.New("answered 101: another protocol was not asked for")
	errEarly    = errors.New("answered before the request was read to its end")
	errNotReady = errors.New("the connection was closed")
)

// A conn is one connection to a server, used by one request at a time.
type conn struct {
	net.Conn
	in       *bufio.Reader
	out      *bufio.Writer
	limit    int64 // largest content of an answer
	reusable bool  // the last answer was read to its end, and nothing follows

	room   int64 // bytes that may still be read for this answer
	read   int64 // bytes that were read for this answer
	broken error // why nothing more can be read
	wrote  int64 // bytes of this request that were written, or may have been

	woken   chan struct{} // closed when watch has ended
	spoke   bool          // while idle the server said something, or ended it
	resting chan struct{} // closed when it is to be used again
}

func newConn(raw net.Conn, limit int64) *conn {
	c := &conn{Conn: raw, limit: limit}
	c.in, c.out = bufio.NewReaderSize(reading{c}, 16<<10), bufio.NewWriterSize(writing{c}, 64<<10)
	return c
}

// A reading reads from a conn as much as an answer may have.
type reading struct{ *conn }

// Read reads.
func (r reading) Read(p []byte) (int, error) {
	if r.room <= 0 {
		r.broken = errTooMuch
		return 0, errTooMuch
	}
	n, err := r.Conn.Read(p[:min(int64(len(p)), r.room)])
	r.room -= int64(n)
	r.read += int64(n)
	if err != nil {
		r.broken = err
	}
	return n, err
}

// A writing writes to a conn and knows how much has left.
type writing struct{ *conn }

// Write writes.
func (w writing) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.wrote += int64(n)
	if _, secure := w.Conn.(*tls.Conn); secure && err != nil {
		w.wrote += int64(len(p) - n) // a record may have left in part
	}
	return n, err
}

// exchange sends a request and reads its answer, bounded by ctx. An answer that
// comes before the request was read to its end ends the writing: a server that
// refuses need not take everything first.
func (c *conn) exchange(ctx context.Context, request *http.Request, body []byte) (*Response, error) {
	c.reusable, c.read, c.wrote, c.broken, c.room = false, 0, 0, nil, c.limit+c.limit/8+4*maxHeader
	deadline, _ := ctx.Deadline() // the zero time: none
	if err := c.SetDeadline(deadline); err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: errNotReady}
	}
	unhook := context.AfterFunc(ctx, func() { _ = c.SetDeadline(longAgo) }) // fails only when closed
	defer unhook()
	written := make(chan error, 1)
	go func() {
		err := c.send(request, body)
		if err != nil && ctx.Err() == nil {
			// Perhaps the server has said why before it stopped reading.
			_ = c.SetReadDeadline(sooner(deadline, time.Now().Add(lastWords))) // fails only when closed
		}
		written <- err
	}()
	response, whole, err := c.answer(request)
	var sent error
	select {
	case sent = <-written:
	default:
		_ = c.SetWriteDeadline(longAgo) // whatever has not left is not wanted any more
		sent = <-written
	}
	return c.judge(ctx, response, whole, sent, err)
}

// lastWords is how long an answer may take after the server stopped reading.
const lastWords = time.Second

func sooner(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

// send writes the request.
func (c *conn) send(request *http.Request, body []byte) error {
	out := c.out
	out.Reset(writing{c})
	r := *request
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	if err := r.Write(out); err != nil {
		return err
	}
	return out.Flush()
}

// answer reads the answer; whole reports that nothing of it is missing.
func (c *conn) answer(request *http.Request) (response *Response, whole bool, err error) {
	var head *http.Response
	for interim := 0; head == nil || head.StatusCode < 200; interim++ {
		if interim > 5 {
			return nil, false, errBabble
		}
		if head, err = http.ReadResponse(c.in, request); err != nil { //nolint:bodyclose // read to its end below, the connection is ours
			return nil, false, err
		}
		if head.StatusCode == http.StatusSwitchingProtocols {
			return nil, false, errSwitch
		}
	}
	response = &Response{Status: head.StatusCode, Header: head.Header}
	response.Body, err = io.ReadAll(io.LimitReader(head.Body, c.limit+1))
	if int64(len(response.Body)) > c.limit {
		response.Body = response.Body[:c.limit]
		return response, false, errTooMuch
	}
	if err == nil {
		c.reusable = !head.Close && head.ProtoAtLeast(1, 1) && c.in.Buffered() == 0
	}
	return response, err == nil, err
}

// judge finds the class of what happened.
func (c *conn) judge(ctx context.Context, response *Response, whole bool, sent, err error) (*Response, error) {
	c.reusable = c.reusable && sent == nil
	fail := func(kind message.Kind, err error) (*Response, error) {
		return response, &message.Failure{Kind: kind, Err: err}
	}
	switch {
	case whole && (sent == nil || response.Status >= 300):
		return response, nil
	case whole:
		return fail(message.Unknown, errEarly)
	case response != nil && response.Status >= 300:
		return response, nil // its status says enough, whatever is missing
	case sent != nil && c.wrote == 0 && c.read == 0:
		return fail(message.Down, reason(ctx, sent))
	case errors.Is(err, errTooMuch), errors.Is(c.broken, errTooMuch):
		return fail(message.Unreadable, errTooMuch)
	case errors.Is(err, errSwitch):
		return fail(message.Unreadable, err)
	case sent != nil:
		return fail(message.Unknown, reason(ctx, sent))
	case c.broken != nil:
		return fail(message.Unknown, reason(ctx, c.broken))
	}
	return fail(message.Unreadable, errBabble) // everything could be read and makes no sense
}

// reason is why an exchange broke off.
func reason(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errSilent
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errHungUp
	}
	return err
}

// sleep makes a connection idle, for limit at the longest; 0: for ever.
func (c *conn) sleep(limit time.Duration) {
	c.room, c.spoke, c.broken = 1<<10, false, nil // TLS may have records of its own; content ends it
	c.woken, c.resting = make(chan struct{}), make(chan struct{})
	deadline := time.Time{}
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	_ = c.SetDeadline(deadline) // fails only when closed: watch says so
}

// watch waits while the connection is idle. It reports that it has ended, or
// that the server said something that nobody asked for.
func (c *conn) watch() (ended bool) {
	defer close(c.woken)
	_, err := c.in.Peek(1)
	select {
	case <-c.resting:
		c.spoke = err == nil || !errors.Is(err, os.ErrDeadlineExceeded)
	default:
		c.spoke = true // data, the end, or the limit of its idleness
	}
	return c.spoke
}

// wake ends watch, and reports whether the connection can be used. It looks once
// more by itself: that watch was told to end says nothing of what had just come.
func (c *conn) wake() bool {
	close(c.resting)
	_ = c.SetReadDeadline(longAgo) // fails only when closed: watch has seen that
	<-c.woken
	if c.spoke || c.SetReadDeadline(time.Now().Add(glance)) != nil {
		return false
	}
	_, err := c.in.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// glance is how long a connection is looked at before it is used again; what
// has come is seen at once.
const glance = 100 * time.Microsecond

// tunnel has a proxy connect to address.
func tunnel(ctx context.Context, raw net.Conn, address string) error {
	deadline, _ := ctx.Deadline() // there is always one
	if err := raw.SetDeadline(deadline); err != nil {
		return err
	}
	unhook := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(longAgo) }) // fails only when closed
	defer unhook()
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{"User-Agent": {"Plexus"}}}
	if err := request.Write(raw); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(raw, maxHeader))
	response, err := http.ReadResponse(in, request) //nolint:bodyclose // an answer to CONNECT has no content
	switch {
	case err != nil:
		err = reason(ctx, err)
		if _, network := errors.AsType[net.Error](err); network || errors.Is(err, errSilent) || errors.Is(err, errHungUp) {
			return err
		}
		return errBabble // the error quotes what came
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("answered %d", response.StatusCode)
	case in.Buffered() > 0:
		return errBabble
	}
	return nil
}
