package mllp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// ClientOptions are how a Client connects.
type ClientOptions struct {
	// Address is host and port of the peer.
	Address string
	// Connect is how long making the connection may take. 0: 10s.
	Connect time.Duration
	// TLS encrypts the connection; nil: none.
	TLS *tls.Config
	// Limit is the largest answer in bytes. 0: 16 MB.
	Limit int64
	// KeepAlive is how long a quiet connection waits before the network is
	// asked whether the peer is still there. 0: 15s.
	KeepAlive time.Duration
}

// ClientTLS makes a TLS configuration of files: ca holds the authorities to
// trust (empty: those of the system), cert and key are the client's own for
// mutual TLS (both empty: none).
func ClientTLS(ca, cert, key string) (*tls.Config, error) {
	if (cert == "") != (key == "") {
		return nil, errors.New("a certificate needs its key, and a key its certificate")
	}
	return (&network.TLSOptions{CA: ca, Cert: cert, Key: key}).Read("", false)
}

// A Client is one connection to a peer, with at most one message in flight. It
// is used by one goroutine at a time. After any error of Exchange it is closed:
// a late answer could otherwise pass for the answer to another message.
type Client struct {
	conn   net.Conn
	reader *reader
	out    []byte
	dead   atomic.Bool

	release2 bool                          // commit blocks are read and written
	bare     bool                          // the commit block is all that is waited for
	mute     bool                          // nothing is waited for
	retries  int                           // of a message that was not stored
	count    func(event string, times int) // of what is odd

	ctx   context.Context //nolint:containedctx // of the exchange under way
	until time.Time       // when it ends; the zero time: not bounded
}

// Dial connects. The error is a *message.Failure of kind Down: no byte of a
// message has left.
func Dial(ctx context.Context, o ClientOptions) (*Client, error) {
	if o.Connect == 0 {
		o.Connect = 10 * time.Second
	}
	ctx, done := context.WithTimeout(ctx, o.Connect)
	defer done()
	dialer := net.Dialer{KeepAliveConfig: keepAlive(o.KeepAlive)}
	conn, err := dialer.DialContext(ctx, "tcp", o.Address)
	if err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: err}
	}
	if o.TLS != nil {
		if conn, err = encrypted(ctx, conn, o); err != nil {
			return nil, &message.Failure{Kind: message.Down, Err: err}
		}
	}
	return newClient(conn, o.Limit), nil
}

// keepAlive asks the network after a quiet time whether the peer is still
// there, three times, a third of that time apart. 0: as Go does by itself.
func keepAlive(quiet time.Duration) net.KeepAliveConfig {
	if quiet <= 0 {
		return net.KeepAliveConfig{}
	}
	return net.KeepAliveConfig{Enable: true, Idle: quiet, Interval: max(quiet/3, time.Second), Count: 3}
}

// encrypted makes the TLS of a connection that we made; conn is closed when
// there is none.
func encrypted(ctx context.Context, conn net.Conn, o ClientOptions) (net.Conn, error) {
	config := o.TLS
	if config.ServerName == "" && !config.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(o.Address)
		if err != nil {
			_ = conn.Close() // nothing was sent
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // nothing was sent
		return nil, fmt.Errorf("tls: %w", err)
	}
	return secure, nil
}

// newClient makes a client of a connection. limit is the largest answer in
// bytes; 0: 16 MB.
func newClient(conn net.Conn, limit int64) *Client {
	if limit == 0 {
		limit = 16 << 20
	}
	c := &Client{conn: conn, count: func(string, int) {}}
	c.reader = &reader{
		in: bufio.NewReaderSize(conn, bufferSize), deadline: c.deadline, count: func(string, int, int64) {},
		size: limit, whole: limit, idle: time.Hour, frame: time.Hour, endWait: 250 * time.Millisecond, impatient: true,
	}
	return c
}

// deadline bounds the reads that follow, never beyond the exchange.
func (c *Client) deadline(t time.Time) {
	if !c.until.IsZero() && t.After(c.until) {
		t = c.until
	}
	_ = c.conn.SetReadDeadline(t) // fails only when closed: the read says so
	if c.ctx.Err() != nil {
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// Exchange sends raw in a frame and returns the content of the next frame that
// comes back, bounded by ctx. Its errors are *message.Failures: Down when no
// byte left, Unknown when bytes were written and no answer came, Unreadable
// when the answer is damaged; what came of it is returned all the same. It does
// not look into the answer.
func (c *Client) Exchange(ctx context.Context, raw []byte) (reply []byte, err error) {
	return c.exchange(ctx, raw, nil)
}

// exchange is Exchange; while wait, if it is not nil, says that a reply is not
// the one that ends the send, the next one is read.
func (c *Client) exchange(ctx context.Context, raw []byte, wait func(reply []byte) bool) (reply []byte, err error) {
	if c.dead.Load() {
		return nil, &message.Failure{Kind: message.Down, Err: errors.New("the connection was closed after an error")}
	}
	if err := ctx.Err(); err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: err}
	}
	defer func() {
		if err != nil {
			_ = c.Close() // the error says enough
		}
	}()
	c.ctx = ctx
	c.until, _ = ctx.Deadline() // the zero time: none
	if err := c.fresh(); err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: err}
	}
	if err := c.conn.SetDeadline(c.until); err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: err}
	}
	if ctx.Done() != nil {
		hook := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
		defer hook()
	}
	if err := c.put(raw); err != nil {
		return nil, err
	}
	switch {
	case c.mute:
		return nil, nil
	case c.release2:
		return c.committed(raw, wait)
	}
	for {
		reply, err := c.answer()
		if err != nil || wait == nil || !wait(reply) {
			return reply, err
		}
	}
}

// put writes a message in a frame.
func (c *Client) put(raw []byte) error {
	c.out = append(append(append(c.out[:0], startByte), raw...), endByte, carriageReturn)
	n, err := c.conn.Write(c.out)
	if err == nil {
		return nil
	}
	kind := message.Unknown
	if _, secure := c.conn.(*tls.Conn); n == 0 && !secure && !timedOut(err) {
		kind = message.Down
	}
	return &message.Failure{Kind: kind, Err: err}
}

// answer reads the next frame.
func (c *Client) answer() ([]byte, error) {
	c.reader.noise = 0
	f, err := c.reader.next()
	switch {
	case err != nil && c.reader.noise > 0 && !errors.Is(c.ctx.Err(), context.Canceled):
		// Something was said, and it was no answer: a server of another kind.
		return nil, &message.Failure{Kind: message.Unreadable, Err: fmt.Errorf("%d bytes came that are no frame: %w", c.reader.noise, err)}
	case err != nil:
		return nil, &message.Failure{Kind: message.Unknown, Err: err}
	case f.damage != nil && f.mute:
		return f.raw, &message.Failure{Kind: message.Unknown, Err: f.damage}
	case f.damage != nil:
		return f.raw, &message.Failure{Kind: message.Unreadable, Err: f.damage}
	}
	return f.raw, nil
}

var errLate = errors.New("the peer sent an answer that nobody waits for")

// fresh looks at the connection before anything is written: it returns an error
// when the peer has closed it or sent something unasked.
func (c *Client) fresh() error {
	if rest, _ := c.reader.in.Peek(c.reader.in.Buffered()); !blank(rest) {
		return errLate
	}
	for range 5 {
		err := stale(c.conn)
		if !errors.Is(err, errRecords) {
			return err
		}
		// What waits may be the end of the encryption, or only its own affairs:
		// that is read without waiting for more. On a busy machine the time may
		// be over before the reading has begun.
		if err := c.conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
			return err
		}
		_, err = c.reader.in.Peek(c.reader.in.Buffered() + 1)
		switch {
		case err == nil:
			return errLate
		case errors.Is(err, io.EOF):
			return errHungUp
		case !timedOut(err):
			return err
		}
	}
	return nil
}

// blank reports whether bytes between frames are only line ends.
func blank(b []byte) bool { return len(bytes.TrimLeft(b, "\r\n ")) == 0 }

// Close ends the connection.
func (c *Client) Close() error {
	c.dead.Store(true)
	return c.conn.Close()
}
