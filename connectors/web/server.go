package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
)

// ServerOptions are the options of a listener. They stand in routes.yaml as
// options of the connectors, under the names that Validate gives.
type ServerOptions struct {
	Listen          string
	Idle            time.Duration // silence between two requests
	Request         time.Duration // from the first byte of a request to its last
	Write           time.Duration // for the peer to read an answer
	Peers           []string
	PeerConnections int // of one address; 0: as many as there are
	Auth            *AuthOptions
	TLS             *network.TLSOptions
	Insecure        string
}

// Validate checks the words of the options.
func (o *ServerOptions) Validate() connectors.Problems {
	var p connectors.Problems
	host, text := network.SplitAddress(o.Listen, "127.0.0.1:8090")
	near := network.Loopback(host)
	switch {
	case text != "":
		p.Add("listen", "%s", text)
	case o.Insecure != "" && o.Insecure != network.Understood:
		p.Add("insecure", "%q is not known; the only word is i-understand", o.Insecure)
	case o.TLS == nil && o.Insecure == "" && !near:
		p.Add("listen", "%q is reachable from other machines and messages would travel unencrypted: "+
			"add tls, or say insecure: i-understand", o.Listen)
	case o.Auth == nil && !near && (o.TLS == nil || o.TLS.CA == ""):
		p.Add("auth", "is missing: whoever connects could send messages. "+
			"Give auth or tls.ca, or say auth: { none: i-understand }")
	}
	p.Time("idle", o.Idle)
	p.Time("request", o.Request)
	p.Time("write", o.Write)
	if o.PeerConnections < 0 {
		p.Add("peer_connections", "%d is not a number of connections, nor 0 for no limit of its own", o.PeerConnections)
	}
	network.CheckPeers(&p, o.Peers)
	if o.Auth != nil {
		o.Auth.validate(&p)
	}
	if o.TLS != nil {
		o.TLS.Validate(true, &p)
		o.TLS.WithoutNames(&p)
	}
	return p
}

// A Server receives requests: as many connections as it is allowed, one request
// at a time on each, HTTP/1.1.
type Server struct {
	Options ServerOptions
	Env     connectors.Environment
	// Listened is told the address that was bound; nil when nobody asks.
	Listened func(net.Addr)
	// Deny answers a request without the right credential; nil: in plain text.
	Deny func(*Exchange)

	grace time.Duration // for tests: how long a handler may go on when Run is to end
}

// handlerGrace is how long a handler may go on when Run is to end.
const handlerGrace = 5 * time.Second

// maxHeader bounds the headers of a request and of an answer, in bytes.
const maxHeader = 64 << 10

// A run is one call of Run.
type run struct {
	*Server
	ctx    context.Context //nolint:containedctx // the life of one Run
	work   context.Context //nolint:containedctx // of handlers: ends a grace after ctx
	serve  func(*Exchange)
	server *http.Server
}

// Run listens until ctx ends, and passes every request that proves who sent it
// to serve. Then it takes no connection and no request any more; a request that
// has come whole has a few seconds to be served and is answered.
func (s *Server) Run(ctx context.Context, serve func(*Exchange)) error {
	s.Env = s.Env.WithDefaults()
	r := &run{Server: s, serve: serve}
	d := &door{
		run: r, ready: make(chan net.Conn), links: map[*link]struct{}{},
		room: &network.Room{Seats: s.Env.Connections, Each: s.Options.PeerConnections, Env: s.Env},
	}
	if err := d.open(ctx); err != nil {
		return err
	}
	r.server = &http.Server{
		Handler: r, ReadHeaderTimeout: s.Options.Request, IdleTimeout: s.Options.Idle, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(&faults{s.Env.Log, s.Env.Count}, "", 0), Protocols: new(http.Protocols),
		DisableGeneralOptionsHandler: true, ConnState: noticed,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, seatKey{}, linkOf(conn).seat)
		},
	}
	r.server.Protocols.SetHTTP1(true)
	s.Env.Log.Info("listening", "address", d.listener.Addr().String(), "tls", d.tls != nil)
	if s.Env.Receiving != nil {
		s.Env.Receiving()
	}
	if s.Listened != nil {
		s.Listened(d.listener.Addr())
	}
	err := d.run.until(ctx, d)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// until serves until ctx ends, and waits for all connections to end.
func (r *run) until(ctx context.Context, d *door) error {
	var cancel, giveUp context.CancelFunc
	r.ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	r.work, giveUp = context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	grace := r.grace
	if grace == 0 {
		grace = handlerGrace
	}
	unhook := context.AfterFunc(r.ctx, func() {
		r.server.SetKeepAlivesEnabled(false)
		d.end()
		time.AfterFunc(grace, giveUp)
	})
	defer unhook()
	d.conns.Go(d.accept)
	err := r.server.Serve(d)
	cancel()
	d.end()
	d.conns.Wait()
	return err
}

// ServeHTTP admits a request before anything of its body is read.
func (r *run) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	x := &Exchange{Request: request, run: r, w: w, control: http.NewResponseController(w)}
	defer func() {
		if fault := recover(); fault == http.ErrAbortHandler { //nolint:errorlint // net/http compares so, too
			panic(fault)
		} else if fault != nil {
			// What it says may hold something of the message.
			r.Env.Count("panic", 1)
			r.Env.Log.Error("internal fault while a request was served", "peer", request.RemoteAddr)
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
	}()
	if err := x.control.SetReadDeadline(time.Now().Add(r.Options.Request)); err != nil {
		r.Env.Log.Info("connection lost", "peer", request.RemoteAddr, "error", err.Error())
		panic(http.ErrAbortHandler)
	}
	if !r.Options.Auth.admits(request) {
		r.Env.Count("auth-failed", 1)
		r.Env.Log.Warn("request without the right credential refused", "peer", request.RemoteAddr)
		r.Options.Auth.challenge(w.Header())
		x.Unread()
		if r.Deny != nil {
			r.Deny(x)
			return
		}
		x.Answer(http.StatusUnauthorized, "text/plain; charset=utf-8", []byte("a credential is needed\n"))
		return
	}
	if seat, _ := request.Context().Value(seatKey{}).(*network.Seat); !seat.Hold() {
		panic(http.ErrAbortHandler) // the connection was closed in favour of another
	}
	r.serve(x)
}

type seatKey struct{}

// linkOf is the link below a connection that net/http serves.
func linkOf(conn net.Conn) *link {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	l, ok := conn.(*link)
	if !ok {
		return &link{} // not one of ours; a nil seat is nobody's
	}
	return l
}

// noticed tells the room what a connection does: one that waits between two
// requests, or has not sent a whole header, makes room for others; one whose
// request is served does not.
func noticed(conn net.Conn, state http.ConnState) {
	switch seat := linkOf(conn).seat; state {
	case http.StateActive:
		seat.Begin()
	case http.StateIdle:
		seat.Rest()
	}
}

// faults logs what net/http says of connections, its first line only.
type faults struct {
	log   *slog.Logger
	count func(string, int)
}

// Write logs one text.
func (f *faults) Write(text []byte) (int, error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	f.count("http-fault", 1)
	f.log.Warn("fault of a connection", "error", string(line))
	return len(text), nil
}

// A door lets connections in: a listener whose connections have had their
// handshake and are not too many.
type door struct {
	*run
	listener net.Listener
	peers    []netip.Prefix
	tls      *tls.Config
	ready    chan net.Conn
	conns    sync.WaitGroup // of links and of accept

	room  *network.Room
	mu    sync.Mutex
	links map[*link]struct{}
}

var _ net.Listener = (*door)(nil)

// open binds the address.
func (d *door) open(ctx context.Context) error {
	var err error
	if d.peers, err = network.ParsePeers(d.Options.Peers); err != nil {
		return err
	}
	if o := d.Options.TLS; o != nil {
		certificates := &network.Certificates{
			Options: *o, Folder: d.Env.Folder, Log: d.Env.Log, Count: d.Env.Count, Listening: true, Protocols: protocols,
		}
		if d.tls, err = certificates.Listener(); err != nil {
			return err
		}
	}
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 20 * time.Second, Count: 3}}
	d.listener, err = config.Listen(ctx, "tcp", d.Options.Listen)
	return err
}

// Accept returns the next connection that is ready for requests.
func (d *door) Accept() (net.Conn, error) {
	select {
	case conn := <-d.ready:
		return conn, nil
	case <-d.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the listener.
func (d *door) Close() error { return d.listener.Close() }

// Addr is the address that was bound.
func (d *door) Addr() net.Addr { return d.listener.Addr() }

// end takes no connection any more and ends the reads of those there are.
func (d *door) end() {
	_ = d.listener.Close() // ends accept; there is nobody to tell more
	d.mu.Lock()
	defer d.mu.Unlock()
	for l := range d.links {
		_ = l.SetReadDeadline(longAgo) // fails only when closed
	}
}

var longAgo = time.Unix(1, 0)

// accept takes connections until the listener is closed.
func (d *door) accept() {
	if err := network.Accept(d.ctx, d.listener, d.peers, d.Env, d.admit); err != nil {
		d.Env.Log.Error("the listener has ended", "error", err.Error())
	}
}

// admit starts a connection if there is room, or room can be made.
func (d *door) admit(conn net.Conn) {
	seat := d.room.Enter(conn)
	if seat == nil {
		return
	}
	l := &link{Conn: conn, door: d, seat: seat}
	d.mu.Lock()
	d.links[l] = struct{}{}
	d.mu.Unlock()
	d.conns.Add(1)
	d.conns.Go(func() { d.greet(l) })
}

// greet has the handshake, and hands the connection over.
func (d *door) greet(l *link) {
	var conn net.Conn = l
	if d.tls != nil {
		secure := tls.Server(l, d.tls)
		ctx, done := context.WithTimeout(d.ctx, d.Options.Request)
		err := secure.HandshakeContext(ctx)
		done()
		if err != nil {
			if d.ctx.Err() == nil {
				d.Env.Count("tls-failed", 1)
				d.Env.Log.Warn("no encrypted connection", "peer", l.RemoteAddr().String(), "error", err.Error())
			}
			_ = l.Close() // nothing was read from it
			return
		}
		conn = secure
	}
	select {
	case d.ready <- conn:
	case <-d.ctx.Done():
		_ = l.Close() // nothing was read from it
	}
}

// A link is a connection whose reads end with the run.
type link struct {
	net.Conn
	door *door
	seat *network.Seat
	once sync.Once
}

// SetReadDeadline bounds the reads that follow; when the run is to end they end
// at once.
func (l *link) SetReadDeadline(t time.Time) error {
	err := l.Conn.SetReadDeadline(t)
	if l.door.ctx.Err() != nil {
		return l.Conn.SetReadDeadline(longAgo)
	}
	return err
}

// SetDeadline bounds reads and writes.
func (l *link) SetDeadline(t time.Time) error {
	return errors.Join(l.SetReadDeadline(t), l.SetWriteDeadline(t))
}

// CloseWrite tells the peer that nothing more comes.
func (l *link) CloseWrite() error {
	if half, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close ends the connection and makes room for another.
func (l *link) Close() error {
	err := l.Conn.Close()
	l.once.Do(func() {
		d := l.door
		d.mu.Lock()
		delete(d.links, l)
		d.mu.Unlock()
		l.seat.Leave()
		d.conns.Done()
	})
	return err
}
