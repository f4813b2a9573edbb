package mllp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

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
}

// ClientTLS makes a TLS configuration of files: ca holds the authorities to
// trust (empty: those of the system), cert and key are the client's own for
// mutual TLS (both empty: none).
func ClientTLS(ca, cert, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if ca != "" {
		if config.RootCAs, err = readAuthorities(ca); err != nil {
			return nil, err
		}
	}
	if (cert == "") != (key == "") {
		return nil, errors.New("a certificate needs its key, and a key its certificate")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// A Client is one connection to a peer, with at most one message in flight. It
// is used by one goroutine at a time. After any error of Exchange it is closed:
// a late answer could otherwise pass for the answer to another message.
type Client struct {
	conn   net.Conn
	reader *reader
	out    []byte
	dead   bool
}

// Dial connects. The error is a *message.Failure of kind Down: no byte of a
// message has left.
func Dial(ctx context.Context, o ClientOptions) (*Client, error) {
	if o.Connect == 0 {
		o.Connect = 10 * time.Second
	}
	if o.Limit == 0 {
		o.Limit = 16 << 20
	}
	ctx, done := context.WithTimeout(ctx, o.Connect)
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", o.Address)
	if err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: err}
	}
	if o.TLS != nil {
		config := o.TLS
		if config.ServerName == "" && !config.InsecureSkipVerify {
			host, _, err := net.SplitHostPort(o.Address)
			if err != nil {
				_ = conn.Close() // nothing was sent
				return nil, &message.Failure{Kind: message.Down, Err: err}
			}
			config = config.Clone()
			config.ServerName = host
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // nothing was sent
			return nil, &message.Failure{Kind: message.Down, Err: fmt.Errorf("tls: %w", err)}
		}
		conn = secure
	}
	c := &Client{conn: conn}
	c.reader = &reader{
		in:       bufio.NewReaderSize(conn, bufferSize),
		deadline: func(time.Time) {}, // Exchange bounds the whole of it
		count:    func(string, int, int64) {},
		size:     o.Limit, whole: o.Limit, idle: time.Hour, frame: time.Hour, endWait: time.Hour,
	}
	return c, nil
}

// Exchange sends raw in a frame and returns the content of the next frame that
// comes back, bounded by ctx. Its errors are *message.Failures: Down when no
// byte left, Unknown when bytes were written and no answer came, Unreadable
// when the answer is damaged. It does not look into the answer.
func (c *Client) Exchange(ctx context.Context, raw []byte) (reply []byte, err error) {
	if c.dead {
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
	deadline, _ := ctx.Deadline() // the zero time: none
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: err}
	}
	if ctx.Done() != nil {
		hook := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
		defer hook()
	}
	if rest, _ := c.reader.in.Peek(c.reader.in.Buffered()); !blank(rest) {
		return nil, &message.Failure{Kind: message.Down, Err: errLate}
	}
	if err := stale(c.conn); err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: err}
	}
	c.out = append(append(append(c.out[:0], startByte), raw...), endByte, carriageReturn)
	if n, err := c.conn.Write(c.out); err != nil {
		kind := message.Unknown
		if _, secure := c.conn.(*tls.Conn); n == 0 && !secure && !timedOut(err) {
			kind = message.Down
		}
		return nil, &message.Failure{Kind: kind, Err: err}
	}
	f, err := c.reader.next()
	switch {
	case err != nil:
		return nil, &message.Failure{Kind: message.Unknown, Err: err}
	case f.damage != nil && f.mute:
		return nil, &message.Failure{Kind: message.Unknown, Err: f.damage}
	case f.damage != nil:
		return nil, &message.Failure{Kind: message.Unreadable, Err: f.damage}
	}
	return f.raw, nil
}

var errLate = errors.New("the peer sent an answer that nobody waits for")

// blank reports whether bytes between frames are only line ends.
func blank(b []byte) bool { return len(bytes.TrimLeft(b, "\r\n ")) == 0 }

// Close ends the connection.
func (c *Client) Close() error {
	c.dead = true
	return c.conn.Close()
}
