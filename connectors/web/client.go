package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/plexus-health/plexus/message"
)

// ClientOptions are how a Client connects.
type ClientOptions struct {
	// TLS is nil where the authorities of the system and no certificate of
	// ours will do; its files are relative to Folder.
	TLS    *TLS
	Folder string
	// Login is nil where the peer asks for none.
	Login *Login
	// Connections is how many requests are under way at most.
	Connections int
	// Connect is how long making a connection may take.
	Connect time.Duration
	// Answer is the largest answer that is read, in bytes.
	Answer int64
	// Now tells the time.
	Now func() time.Time
}

// A Client sends requests over HTTP/1.1. It follows no redirect, uses no proxy
// and never repeats a request of which a byte has left.
type Client struct {
	o    ClientOptions
	http *http.Client
}

// NewClient makes a client. It connects when it is first used.
func NewClient(o ClientOptions) (*Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		var err error
		if config, err = o.TLS.config(o.Folder, false); err != nil {
			return nil, err
		}
	}
	dialer := &net.Dialer{Timeout: o.Connect, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &countingConn{Conn: conn}, nil
		},
		TLSClientConfig: config, TLSHandshakeTimeout: o.Connect, DisableCompression: true,
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{}, // one request at a time a connection: what has left is known
		MaxConnsPerHost: o.Connections, MaxIdleConnsPerHost: o.Connections, IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &Client{o: o, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close ends the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// countingConn counts the bytes of requests that were handed to the system.
type countingConn struct {
	net.Conn
	written atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// A Request is one request.
type Request struct {
	Method, URL string
	Header      map[string]string
	Body        []byte
}

// An Answer is what the peer answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request and reads the answer. Its errors are *message.Failures:
// Down when no byte of the request left, Unknown when some did and no whole
// answer came, Unreadable when the answer is too large. It does not look at the
// status.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	var conn *countingConn
	var before int64
	var begun atomic.Bool // an answer has begun
	trace := &httptrace.ClientTrace{
		GotFirstResponseByte: func() { begun.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			plain := info.Conn
			if secure, ok := plain.(*tls.Conn); ok {
				plain = secure.NetConn()
			}
			if conn, _ = plain.(*countingConn); conn != nil {
				before = conn.written.Load()
			}
		},
	}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, &message.Failure{Kind: message.Down, Err: errors.New("the address cannot be called")}
	}
	request.GetBody = nil // or the transport would repeat what it takes to be repeatable
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	c.authorize(request)
	response, err := c.http.Do(request)
	if err != nil {
		kind := message.Unknown
		switch {
		case conn == nil || conn.written.Load() == before:
			kind = message.Down
		case begun.Load() && ctx.Err() == nil && !broken(err):
			kind = message.Unreadable // it answers, and not in HTTP
			err = errors.New("the answer is no HTTP")
		}
		return Answer{}, &message.Failure{Kind: kind, Err: plainly(err)}
	}
	defer func() { _ = response.Body.Close() }() // what is left is not wanted
	answer := Answer{Status: response.StatusCode, Header: response.Header}
	answer.Body, err = io.ReadAll(io.LimitReader(response.Body, c.o.Answer+1))
	switch {
	case err != nil:
		return answer, &message.Failure{Kind: message.Unknown, Err: fmt.Errorf("the answer broke off: %w", plainly(err))}
	case int64(len(answer.Body)) > c.o.Answer:
		answer.Body = nil
		return answer, &message.Failure{Kind: message.Unreadable, Err: fmt.Errorf("the answer is larger than %d bytes", c.o.Answer)}
	}
	return answer, nil
}

func (c *Client) authorize(r *http.Request) {
	switch l := c.o.Login; {
	case l == nil:
	case l.User != "":
		r.SetBasicAuth(l.User, l.Password.Reveal())
	default:
		r.Header.Set("Authorization", "Bearer "+l.Token.Reveal())
	}
}

// broken reports whether a connection broke off or its time ran out.
func broken(err error) bool {
	if _, network := errors.AsType[net.Error](plainly(err)); network {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// plainly is an error of net/http without the address, which may name a
// patient.
func plainly(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// Classify is the class of an answer's status; nil when it says that the
// request was taken. 429, 408, 425 and 5xx may be tried again, as late as the
// peer says.
func (c *Client) Classify(a Answer) error {
	kind := message.RefusedSend
	switch {
	case a.Status >= 200 && a.Status < 300:
		return nil
	case a.Status >= 500, a.Status == http.StatusTooManyRequests, a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly:
		kind = message.Busy
	}
	text := "answered " + strconv.Itoa(a.Status)
	if a.Status >= 300 && a.Status < 400 {
		text += ": redirects are not followed; write the address it leads to"
	}
	f := &message.Failure{Kind: kind, Err: errors.New(text)}
	if kind == message.Busy {
		f.After = c.after(a.Header.Get("Retry-After"))
	}
	return f
}

// after reads Retry-After: seconds or a date (RFC 9110, 10.2.3), at most a day.
func (c *Client) after(text string) time.Duration {
	text = strings.TrimSpace(text)
	wait := time.Duration(0)
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(c.o.Now())
	}
	return min(max(wait, 0), 24*time.Hour)
}
