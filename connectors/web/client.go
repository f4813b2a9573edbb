package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// ClientOptions are how a Client sends. They stand in routes.yaml as options of
// the connectors, under the names that Validate gives.
type ClientOptions struct {
	URL         string
	URLField    string // the option that holds URL
	Connections int
	Connect     time.Duration // to make a connection
	Timeout     time.Duration // for the server to read a request and answer it
	Idle        time.Duration // silence between two requests; 0: for ever
	Answer      int64         // largest content of an answer in bytes
	Credential  *CredentialOptions
	TLS         *network.TLSOptions
	Proxy       string
	Insecure    string
}

// connectionsMost bounds the connections of one destination.
const connectionsMost = 256

// Validate checks the words of the options.
func (o *ClientOptions) Validate() connectors.Problems {
	var p connectors.Problems
	o.validateURL(&p)
	if o.Connections < 1 || o.Connections > connectionsMost {
		p.Add("connections", "%d is not between 1 and %d", o.Connections, connectionsMost)
	}
	p.Time("connect", o.Connect)
	p.Time("timeout", o.Timeout)
	if o.Idle < 0 {
		p.Add("idle", "%s is not a time, such as 1m, nor 0 for never", o.Idle)
	}
	if o.Answer < 1 {
		p.Add("answer", "%d is not a size above zero, such as 1MB", o.Answer)
	}
	if o.Credential != nil {
		o.Credential.validate(&p)
	}
	if o.TLS != nil {
		o.TLS.Validate(false, &p)
		o.TLS.WithoutNames(&p)
	}
	return p
}

// validateURL checks where messages go, and that nobody reads them on the way
// unless that was said. A password in a URL would be printed with it.
func (o *ClientOptions) validateURL(p *connectors.Problems) {
	if o.URL == "" {
		p.Add(o.URLField, "is missing: where to, such as https://partner.example.org/inbox")
		return
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Opaque != "":
		p.Add(o.URLField, "is not a URL such as https://partner.example.org/inbox")
	case u.User != nil:
		p.Add(o.URLField, "has a name or password in it: give credential, whose value stands in a secret")
	case u.Fragment != "":
		p.Add(o.URLField, "has a part after #, which is never sent")
	case o.Insecure != "" && o.Insecure != network.Understood:
		p.Add("insecure", "%q is not known; the only word is i-understand", o.Insecure)
	case u.Scheme == "http" && o.TLS != nil:
		p.Add("tls", "is given, but %s begins with http: write https", o.URLField)
	case u.Scheme == "http" && o.Insecure == "" && !network.Loopback(u.Hostname()):
		p.Add(o.URLField, "%q leads to another machine and messages would travel unencrypted: "+
			"write https, or say insecure: i-understand", u.Host)
	case u.Scheme == "http" && o.Proxy != "":
		p.Add("proxy", "would read the messages: write https in %s", o.URLField)
	}
	if o.Proxy == "" {
		return
	}
	if proxy, err := url.Parse(o.Proxy); err != nil || proxy.Scheme != "http" || proxy.Port() == "" || proxy.User != nil ||
		strings.Trim(proxy.Path, "/") != "" || proxy.RawQuery != "" {
		p.Add("proxy", "is not a URL such as http://proxy.example.org:3128")
	}
}

// A Client sends requests over a pool of connections, HTTP/1.1, one request at
// a time on each. It sends none a second time by itself once a byte of it has
// left, and goes nowhere that an answer points to.
type Client struct {
	options ClientOptions
	env     connectors.Environment
	url     *url.URL
	tls     *network.Certificates
	slots   chan struct{} // one for each request under way

	mu      sync.Mutex
	idle    []*conn // the newest last
	closed  bool
	waiting sync.WaitGroup // of connections that wait idle
}

// NewClient makes a client. It connects when it is first used.
func NewClient(o ClientOptions, env connectors.Environment) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	c := &Client{options: o, env: env.WithDefaults(), url: u, slots: make(chan struct{}, o.Connections)}
	if u.Scheme == "https" {
		c.tls = &network.Certificates{Folder: c.env.Folder, Log: c.env.Log, Count: c.env.Count, Protocols: protocols}
		if o.TLS != nil {
			c.tls.Options = *o.TLS
		}
	}
	return c, nil
}

// URL is a copy of the address requests go to.
func (c *Client) URL() *url.URL {
	u := *c.url
	return &u
}

// Limits bound the sends of a destination with these options.
func (o *ClientOptions) Limits() connectors.SendLimits {
	return connectors.SendLimits{Connections: o.Connections, Timeout: o.Connect + o.Timeout}
}

// A Request is what a Client sends.
type Request struct {
	Method string
	URL    *url.URL // with the host of the client
	Header http.Header
	Body   []byte
}

// A Response is what a server answered.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

var errClosed = errors.New("the destination is closed")

// Do sends a request and reads the answer. Its errors are *message.Failures:
// Down when no byte left, Unknown when bytes were written and no whole answer
// came, Unreadable when what came is no answer, or too large. It does not judge
// the status.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: err}
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, &message.Failure{Kind: message.Down, Err: ctx.Err()}
	}
	request := c.request(r)
	for {
		conn, used, err := c.take(ctx)
		if err != nil {
			return nil, &message.Failure{Kind: message.Down, Err: err}
		}
		bounded, done := context.WithTimeout(ctx, c.options.Timeout)
		response, err := conn.exchange(bounded, request, r.Body)
		done()
		if err == nil && conn.reusable {
			c.put(conn)
		} else {
			_ = conn.Close() // what comes next on it may belong to anything
		}
		if err != nil && used && message.KindOf(err) == message.Down && ctx.Err() == nil {
			c.env.Count("stale-connection", 1)
			continue // no byte left
		}
		return response, err
	}
}

// request is the head of a request.
func (c *Client) request(r *Request) *http.Request {
	request := &http.Request{Method: r.Method, URL: r.URL, Host: r.URL.Host, Header: http.Header{}}
	maps.Copy(request.Header, r.Header)
	request.Header.Set("User-Agent", "Plexus")
	c.options.Credential.prove(request)
	return request
}

// take returns an idle connection, the newest first, or makes one. used reports
// that it may have ended since it was made.
func (c *Client) take(ctx context.Context) (conn *conn, used bool, err error) {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, false, errClosed
		}
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			conn, err = c.dial(ctx)
			return conn, false, err
		}
		conn = c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		if conn.wake() {
			return conn, true, nil
		}
		_ = conn.Close() // the server ended it, or said something unasked
	}
}

// put makes a connection idle until it is taken or ends.
func (c *Client) put(conn *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close() // nothing is in flight
		return
	}
	conn.sleep(c.options.Idle)
	c.idle = append(c.idle, conn)
	c.waiting.Go(func() {
		if conn.watch() {
			c.drop(conn)
		}
	})
}

// drop forgets a connection that ended while it was idle.
func (c *Client) drop(conn *conn) {
	c.mu.Lock()
	at := slices.Index(c.idle, conn)
	if at >= 0 {
		c.idle = slices.Delete(c.idle, at, at+1)
	}
	c.mu.Unlock()
	if at >= 0 { // else it was taken meanwhile, and whoever took it sees
		_ = conn.Close() // nothing is in flight
	}
}

// Close ends the connections that wait; one at work ends with its request.
func (c *Client) Close() error {
	c.mu.Lock()
	idle := c.idle
	c.idle, c.closed = nil, true
	c.mu.Unlock()
	for _, conn := range idle {
		_ = conn.Close() // nothing is in flight
	}
	c.waiting.Wait()
	return nil
}

// dial makes a connection: no byte of a request has left.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	ctx, done := context.WithTimeout(ctx, c.options.Connect)
	defer done()
	address := hostPort(c.url)
	first := address
	if c.options.Proxy != "" {
		proxy, err := url.Parse(c.options.Proxy)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		first = proxy.Host
	}
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 20 * time.Second, Count: 3}}
	raw, err := dialer.DialContext(ctx, "tcp", first)
	if err != nil {
		return nil, err
	}
	if first != address {
		if err := tunnel(ctx, raw, address); err != nil {
			_ = raw.Close() // nothing was sent
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	if c.tls == nil {
		return newConn(raw, c.options.Answer), nil
	}
	secure, err := c.secure(ctx, raw)
	if err != nil {
		_ = raw.Close() // nothing was sent
		return nil, err
	}
	return newConn(secure, c.options.Answer), nil
}

// secure has the handshake with the server, whose name must be that of the URL.
func (c *Client) secure(ctx context.Context, raw net.Conn) (net.Conn, error) {
	config, err := c.tls.Current()
	if err != nil {
		return nil, err
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = c.url.Hostname()
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return secure, nil
}

// hostPort is where a URL leads.
func hostPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}
