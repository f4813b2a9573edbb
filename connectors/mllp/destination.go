package mllp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// A Destination sends over a pool of connections, one message in flight on
// each. In client mode it makes them when they are needed, in server mode the
// receiver makes them.
type Destination struct {
	options DestinationOptions
	env     connectors.Environment
	peers   []netip.Prefix
	tls     *network.Certificates // nil: no encryption
	slots   chan struct{}         // one for each call of Send at work
	arrived chan struct{}         // a connection may have become idle
	making  chan struct{}         // one who looks for a pipe at a time

	mu     sync.Mutex
	idle   []*idleClient // the newest last
	pipes  []*pipe       // in place of them, with several messages in flight on each
	server *server       // of server mode, from the first Send on
	closed bool

	sequence sequence // of a receiver with which messages are counted
}

var (
	_ connectors.Destination = (*Destination)(nil)
	_ connectors.Counter     = (*Destination)(nil)
)

// An idleClient is a connection that waits for its next message.
type idleClient struct {
	*Client
	timer *time.Timer // closes it after the idle time; nil: it may wait for ever
}

var errClosed = errors.New("the destination is closed")

// Send sends a payload and reads what the receiver says of it. A connection
// that has ended meanwhile is found before anything is written, and another one
// taken.
func (d *Destination) Send(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	return d.SendCounted(ctx, delivery, 0, nil)
}

// SendCounted is Send where the numbers of deliveries are kept by the caller; with
// a nil keep they are known as long as the destination is open.
func (d *Destination) SendCounted(ctx context.Context, delivery *message.Delivery, had int64, keep func(context.Context, int64) error) (message.Reply, error) {
	if at := bytes.IndexAny(delivery.Payload, "\x0b\x1c"); at >= 0 || len(delivery.Payload) == 0 {
		return message.Reply{}, &message.Failure{Kind: message.RefusedSend, Offset: at + 1, Err: errNoFrame}
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return message.Reply{}, &message.Failure{Kind: message.Down, Err: ctx.Err()}
	}
	switch {
	case d.options.Pipeline > 1:
		return d.pipelined(ctx, delivery)
	case d.options.Sequence:
		return d.numbered(ctx, delivery, had, keep)
	}
	return d.transmit(ctx, delivery)
}

// transmit sends over one of the connections of which each has one message in
// flight.
func (d *Destination) transmit(ctx context.Context, delivery *message.Delivery) (message.Reply, error) {
	connecting, done := context.WithTimeout(ctx, d.options.Connect)
	defer done()
	for {
		client, used, err := d.client(connecting)
		if err != nil {
			return message.Reply{}, err
		}
		reply, err := d.exchange(ctx, client, delivery)
		if message.KindOf(err) == message.Down && err != nil && used && ctx.Err() == nil {
			d.env.Count("stale-connection", 1)
			continue // no byte left
		}
		return reply, err
	}
}

var errNoFrame = errors.New("no MLLP frame can carry this payload: it is empty or holds a byte 0B or 1C")

// controlOf is what MSA-2 of the answer must say.
func controlOf(delivery *message.Delivery) string {
	control, _, end := Control(delivery.Payload)
	if end == 0 {
		return delivery.Control // a batch, whose own number it is
	}
	return control
}

// exchange sends over one connection and keeps it when the answer was one to
// this message.
func (d *Destination) exchange(ctx context.Context, client *Client, delivery *message.Delivery) (message.Reply, error) {
	ctx, done := context.WithTimeout(ctx, d.options.Timeout)
	defer done()
	control := controlOf(delivery)
	var wait func([]byte) bool
	if d.options.Wait == waitApplication {
		wait = func(reply []byte) bool {
			a := readAnswer(reply)
			return a.code == "CA" && a.control == control && !a.several
		}
	}
	raw, err := client.exchange(ctx, delivery.Payload, wait)
	if err != nil {
		return message.Reply{Raw: raw}, err
	}
	if (client.bare || client.mute) && len(raw) == 0 {
		d.put(client)
		return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
	}
	reply, err := classify(raw, control)
	switch message.KindOf(err) {
	case message.Unknown, message.Unreadable:
		_ = client.Close() // what comes next on it may belong to anything
	default:
		d.put(client)
	}
	return reply, err
}

// client takes an idle connection, the newest first, or waits for one that can
// be used. used reports that it may have ended since it was made.
func (d *Destination) client(ctx context.Context) (c *Client, used bool, err error) {
	for {
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return nil, false, &message.Failure{Kind: message.Down, Err: errClosed}
		}
		if n := len(d.idle); n > 0 {
			next := d.idle[n-1]
			d.idle = d.idle[:n-1]
			d.mu.Unlock()
			next.stop()
			return next.Client, true, nil
		}
		d.mu.Unlock()
		if d.options.Mode == modeClient {
			c, err := d.dial(ctx)
			return c, false, err
		}
		if err := d.serve(ctx); err != nil {
			return nil, false, &message.Failure{Kind: message.Down, Err: err}
		}
		select {
		case <-d.arrived:
		case <-ctx.Done():
			return nil, false, &message.Failure{Kind: message.Down, Err: fmt.Errorf("no receiver is connected: %w", ctx.Err())}
		}
	}
}

func (c *idleClient) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// dial makes a connection.
func (d *Destination) dial(ctx context.Context) (*Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, &message.Failure{Kind: message.Down, Err: err}
	}
	o := ClientOptions{Address: d.options.Address, Connect: d.options.Connect, Limit: d.env.Size, KeepAlive: d.options.KeepAlive}
	if d.tls != nil {
		config, err := d.tls.Current()
		if err != nil {
			return nil, &message.Failure{Kind: message.Down, Err: err}
		}
		o.TLS = config
	}
	client, err := Dial(ctx, o)
	if err != nil {
		return nil, err
	}
	d.agree(client)
	return client, nil
}

// agree tells a connection what its two sides have agreed on.
func (d *Destination) agree(client *Client) {
	client.release2, client.retries, client.count = d.options.Release == 2, d.options.Retries, d.env.Count
	client.bare = d.options.Wait == waitCommit
	client.mute = d.options.Wait == waitNone
}

// put makes a connection idle. The oldest ones make room: of a receiver that
// connects again and again only the newest connections can be alive.
func (d *Destination) put(client *Client) {
	if client.dead.Load() {
		return // it ended behind its answer
	}
	c := &idleClient{Client: client}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		_ = client.Close() // nothing is in flight
		return
	}
	if d.options.Mode == modeClient && d.options.Idle > 0 {
		c.timer = time.AfterFunc(d.options.Idle, func() { d.expire(c) })
	}
	d.idle = append(d.idle, c)
	var oldest *idleClient
	if len(d.idle) > d.options.Connections {
		oldest = d.idle[0]
		d.idle = slices.Delete(d.idle, 0, 1)
	}
	d.mu.Unlock()
	if oldest != nil {
		oldest.stop()
		_ = oldest.Close() // nothing is in flight
	}
	select {
	case d.arrived <- struct{}{}:
	default: // as many are told as can wait
	}
}

// expire closes a connection that was silent for too long.
func (d *Destination) expire(c *idleClient) {
	d.mu.Lock()
	at := slices.Index(d.idle, c)
	if at >= 0 {
		d.idle = slices.Delete(d.idle, at, at+1)
	}
	d.mu.Unlock()
	if at >= 0 { // else it was taken meanwhile
		d.env.Count("idle-closed", 1)
		_ = c.Close() // nothing is in flight
	}
}

// Close ends the connections that wait; one at work ends with its Send.
func (d *Destination) Close() error {
	d.mu.Lock()
	idle, server, pipes := d.idle, d.server, slices.Clone(d.pipes)
	d.idle, d.server, d.closed = nil, nil, true
	d.mu.Unlock()
	for _, p := range pipes {
		p.close()
	}
	for _, c := range idle {
		c.stop()
		_ = c.Close() // nothing is in flight
	}
	if server != nil {
		server.end()
	}
	return nil
}

// A server is the listener of server mode.
type server struct {
	d        *Destination
	listener net.Listener
	tls      *tls.Config
	conns    sync.WaitGroup
	ctx      context.Context //nolint:containedctx // the life of the listener
	cancel   context.CancelFunc
	greeting *network.Room // of handshakes under way
}

// handshakes is how many connections may be at their handshake at once.
const handshakes = 16

// serve listens, if that is not done yet.
func (d *Destination) serve(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server != nil {
		return nil
	}
	if d.closed {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s := &server{d: d, greeting: &network.Room{Seats: handshakes, Env: d.env}}
	if d.tls != nil {
		var err error
		if s.tls, err = d.tls.Listener(); err != nil {
			return err
		}
	}
	config := net.ListenConfig{KeepAliveConfig: keepAlive(d.options.KeepAlive)}
	listener, err := config.Listen(ctx, "tcp", d.options.Address)
	if err != nil {
		return err
	}
	s.listener = listener
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it outlives the Send that began it
	d.server = s
	d.env.Log.Info("listening for the receiver", "address", listener.Addr().String(), "tls", s.tls != nil)
	s.conns.Go(s.accept)
	return nil
}

// accept takes connections until the listener is closed.
func (s *server) accept() {
	err := network.Accept(s.ctx, s.listener, s.d.peers, s.d.env, func(conn net.Conn) {
		seat := s.greeting.Enter(conn)
		if seat == nil {
			return
		}
		s.conns.Go(func() {
			defer seat.Leave()
			s.greet(conn, seat)
		})
	})
	if err != nil {
		s.d.env.Log.Error("the listener has ended", "error", err.Error())
	}
}

// greet makes a connection of the receiver one of the pool.
func (s *server) greet(conn net.Conn, seat *network.Seat) {
	secure := conn
	if s.tls != nil {
		encrypted := tls.Server(conn, s.tls)
		ctx, done := context.WithTimeout(s.ctx, s.d.options.Connect)
		err := encrypted.HandshakeContext(ctx)
		done()
		if err != nil && !seat.Lost() {
			s.d.env.Count("tls-failed", 1)
			s.d.env.Log.Warn("no encrypted connection", "peer", conn.RemoteAddr().String(), "error", err.Error())
		}
		if err != nil {
			_ = conn.Close() // nothing was sent
			return
		}
		secure = encrypted
	}
	if seat.Hold() { // else it was closed
		client := newClient(secure, s.d.env.Size)
		s.d.agree(client)
		s.d.put(client)
	}
}

// end closes the listener and waits for what it started.
func (s *server) end() {
	s.cancel()
	_ = s.listener.Close() // ends accept; there is nobody to tell more
	s.conns.Wait()
}
