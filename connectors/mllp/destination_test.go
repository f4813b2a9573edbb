package mllp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// A receiver is a partner's system that behaves as it is told: it listens, or
// connects again and again. It is written apart from the reader of this package.
type receiver struct {
	t       testing.TB
	tls     *tls.Config // nil: none
	dials   int         // number of connections it keeps to us; 0: it listens
	group   sync.WaitGroup
	address string

	mu        sync.Mutex
	connected *sync.Cond
	listener  net.Listener
	away      chan struct{} // closed when it stops to dial
	conns     map[net.Conn]struct{}
	does      connectortest.Behaviour
	taken     [][]byte
}

func newReceiver(t testing.TB, address string) *receiver {
	r := &receiver{t: t, address: address, conns: map[net.Conn]struct{}{}, does: connectortest.Away}
	r.connected = sync.NewCond(&r.mu)
	t.Cleanup(func() { r.Behave(connectortest.Away); r.group.Wait() })
	return r
}

func (r *receiver) Behave(b connectortest.Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.does
	r.does = b
	switch {
	case b == connectortest.Away && was != connectortest.Away:
		if r.listener != nil {
			_ = r.listener.Close()
			r.listener = nil
		}
		if r.away != nil {
			close(r.away)
		}
		for c := range r.conns {
			_ = c.Close()
		}
	case b == connectortest.Away || was != connectortest.Away:
	case r.dials > 0:
		r.away = make(chan struct{})
		for range r.dials {
			r.group.Go(func() { r.dial(r.away) })
		}
		for len(r.conns) < r.dials {
			r.connected.Wait()
		}
	default:
		listener, err := net.Listen("tcp", r.address)
		if err != nil {
			r.t.Error(err)
			return
		}
		r.listener, r.address = listener, listener.Addr().String()
		r.group.Go(func() { r.accept(listener) })
	}
}

func (r *receiver) Taken() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.taken...)
}

func (r *receiver) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if r.tls != nil {
			conn = tls.Server(conn, r.tls)
		}
		r.group.Go(func() { r.serve(conn, nil) })
	}
}

// dial connects until it is told to be away.
func (r *receiver) dial(away chan struct{}) {
	for {
		select {
		case <-away:
			return
		default:
		}
		conn, err := net.Dial("tcp", r.address)
		if err == nil && r.tls != nil {
			secure := tls.Client(conn, r.tls)
			if err = secure.Handshake(); err != nil {
				_ = conn.Close()
			}
			conn = secure
		}
		if err != nil {
			time.Sleep(time.Millisecond) // nobody listens yet
			continue
		}
		r.serve(conn, away)
	}
}

// keep notes a connection so that Away ends it.
func (r *receiver) keep(conn net.Conn, away chan struct{}) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-away:
		return false
	default:
	}
	if r.does == connectortest.Away {
		return false
	}
	r.conns[conn] = struct{}{}
	r.connected.Broadcast()
	return true
}

func (r *receiver) serve(conn net.Conn, away chan struct{}) {
	defer func() {
		r.mu.Lock()
		delete(r.conns, conn)
		r.mu.Unlock()
		_ = conn.Close()
	}()
	if !r.keep(conn, away) {
		return
	}
	in := bufio.NewReader(conn)
	for {
		content, err := in.ReadBytes(0x0d)
		for err == nil && !bytes.HasSuffix(content, []byte("\x1c\r")) {
			var more []byte
			more, err = in.ReadBytes(0x0d)
			content = append(content, more...)
		}
		if err != nil {
			return
		}
		payload := bytes.TrimSuffix(bytes.TrimPrefix(content, []byte("\x0b")), []byte("\x1c\r"))
		r.mu.Lock()
		r.taken = append(r.taken, payload)
		does := r.does
		r.mu.Unlock()
		control, _, _ := Control(payload)
		switch does {
		case connectortest.HangUp:
			return
		case connectortest.StaySilent:
			continue
		}
		word := map[connectortest.Behaviour]string{connectortest.TryLater: "AE", connectortest.Refuse: "AR", connectortest.Babble: "??"}[does]
		if word == "" {
			word = "AA"
		}
		_, _ = io.WriteString(conn, "\x0bMSH|^~\\&|R|R|S|S|||ACK|1|P|2.5\rMSA|"+word+"|"+control+"\r\x1c\r")
	}
}

// A keyring is the certificates of a test: ours in the folder, the other
// side's as a configuration.
type keyring struct {
	folder string
	server *tls.Config // of a receiver that listens and wants certificates
	client *tls.Config // of a receiver that connects
}

func newKeyring(t testing.TB) keyring {
	t.Helper()
	k := keyring{folder: t.TempDir()}
	ca := newAuthority(t, k.folder)
	ca.issue(k.folder, "plexus")
	ca.issue(k.folder, "partner")
	pair, err := tls.LoadX509KeyPair(filepath.Join(k.folder, "partner.pem"), filepath.Join(k.folder, "partner.key"))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(ca.file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	k.server = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	k.client = &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "127.0.0.1"}
	return k
}

// ours are the TLS options of our side of a mutual connection.
func ours() *network.TLSOptions {
	return &network.TLSOptions{Cert: "plexus.pem", Key: "plexus.key", CA: "ca.pem"}
}

// openDestination opens a destination of options, which hold an address at least.
func openDestination(t testing.TB, o *DestinationOptions, env connectors.Environment) *Destination {
	t.Helper()
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	d, err := o.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Destination)
}

func defaults() *DestinationOptions { return DefaultDestination().(*DestinationOptions) }

func payload(n int) ([]byte, string) {
	raw := sample(n)
	control, _, _ := Control(raw)
	return raw, control
}

// An unhurried destination waits for its receiver as long as it takes, and hardly
// when that is away for sure. It is the receiver of the suite, too.
type unhurried struct {
	*Destination
	*receiver
	away atomic.Bool
}

func (p *unhurried) Behave(b connectortest.Behaviour) {
	p.away.Store(b == connectortest.Away)
	p.receiver.Behave(b)
}

func (p *unhurried) Send(ctx context.Context, d *message.Delivery) (message.Reply, error) {
	if p.away.Load() {
		short, done := context.WithTimeout(ctx, 20*time.Millisecond)
		defer done()
		ctx = short
	}
	return p.Destination.Send(ctx, d)
}

func TestDestination(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		for kind, change := range map[string]func(o *DestinationOptions){
			"client":   func(o *DestinationOptions) { o.Connections = 4 },
			"pipeline": func(o *DestinationOptions) { o.Pipeline = 4 },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				connectortest.RunDestination(t, connectortest.DestinationCase{
					Open: func(t *testing.T, env connectors.Environment) (connectors.Destination, connectortest.Receiver) {
						r := newReceiver(t, "127.0.0.1:0")
						o := defaults()
						change(o)
						if secure {
							keys := newKeyring(t)
							r.tls, o.TLS, env.Folder = keys.server, ours(), keys.folder
						}
						r.Behave(connectortest.Accept)
						o.Address = r.address
						return openDestination(t, o, env), r
					},
					Payload:     payload,
					Connections: 4,
				})
			})
		}
		t.Run("server "+name, func(t *testing.T) {
			connectortest.RunDestination(t, connectortest.DestinationCase{
				Open: func(t *testing.T, env connectors.Environment) (connectors.Destination, connectortest.Receiver) {
					o := defaults()
					o.Connections, o.Mode, o.Address, o.Connect = 4, modeServer, "127.0.0.1:0", patience
					r := newReceiver(t, "")
					r.dials = 4
					if secure {
						keys := newKeyring(t)
						r.tls, o.TLS, env.Folder = keys.client, ours(), keys.folder
					}
					d := openDestination(t, o, env)
					if err := d.serve(t.Context()); err != nil { // the port must be known to the receiver
						t.Fatal(err)
					}
					r.address = d.server.listener.Addr().String()
					waits := &unhurried{receiver: r, Destination: d}
					waits.Behave(connectortest.Accept)
					return waits, waits
				},
				Payload:     payload,
				Connections: 4,
			})
		})
	}
}

// upTo12 is a receiver that speaks no TLS 1.3, where certificates are looked at
// before anything else may be said.
func upTo12(k keyring) *tls.Config {
	config := k.server.Clone()
	config.MaxVersion = tls.VersionTLS12
	return config
}
