// Package webtest holds the other side of connectors that speak HTTP, for their
// tests: certificates, a server that behaves as it is told, and a sender. It is
// written apart from package web.
package webtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors/connectortest"
)

// Patience bounds the waits of tests; nothing is measured by it.
const Patience = 30 * time.Second

// An Authority makes certificates.
type Authority struct {
	// File holds its own certificate, PEM.
	File string
	// Pool is that certificate as what is trusted.
	Pool *x509.CertPool

	t      testing.TB
	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	next   int64
}

// NewAuthority makes an authority that keeps its files in folder.
func NewAuthority(t testing.TB, folder string) *Authority {
	t.Helper()
	a := &Authority{t: t, folder: folder, next: 1, File: filepath.Join(folder, "ca.pem"), Pool: x509.NewCertPool()}
	a.key = a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Pool.AddCert(a.cert)
	a.write(a.File, "CERTIFICATE", der)
	return a
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *Authority) write(file, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// Issue writes name.pem and name.key for the address 127.0.0.1, or for host if
// it is given, good until the time given.
func (a *Authority) Issue(name, host string, until time.Time) tls.Certificate {
	a.t.Helper()
	a.next++
	key := a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if host == "" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	file, keyFile := filepath.Join(a.folder, name+".pem"), filepath.Join(a.folder, name+".key")
	a.write(file, "CERTIFICATE", der)
	a.write(keyFile, "PRIVATE KEY", secret)
	pair, err := tls.LoadX509KeyPair(file, keyFile)
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

// Later is a time at which certificates of a test are still good.
func Later() time.Time { return time.Now().Add(time.Hour) }

// A Receiver is a server that behaves as it is told.
type Receiver struct {
	// Address is where it listens, host and port.
	Address string
	// TLS encrypts its connections; nil: none.
	TLS *tls.Config
	// Answer, if it is not nil, makes the bytes of the answer to a request
	// where the behaviour is Accept; empty: the connection ends.
	Answer func(r *http.Request, body []byte) string
	// Once ends a connection after its first answer.
	Once bool
	// Closed, if it is not nil, is called when a connection has ended.
	Closed func()
	// SIP is how much of a content is read before it is answered; 0: all.
	SIP int64

	t     testing.TB
	group sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
	does     connectortest.Behaviour
	requests []*http.Request
	taken    [][]byte
	accepted int
}

var _ connectortest.Receiver = (*Receiver)(nil)

// NewReceiver makes a receiver that ends with the test. It listens from the
// first Behave on.
func NewReceiver(t testing.TB) *Receiver {
	r := &Receiver{t: t, Address: "127.0.0.1:0", conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() { r.Behave(connectortest.Away); r.group.Wait() })
	return r
}

// Behave says what happens to what comes next.
func (r *Receiver) Behave(b connectortest.Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.does = b
	switch {
	case b == connectortest.Away && r.listener != nil:
		_ = r.listener.Close()
		r.listener = nil
		r.hangUp()
	case b != connectortest.Away && r.listener == nil:
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", r.Address)
		if err != nil {
			r.t.Errorf("listen: %v", err)
			return
		}
		r.listener, r.Address = listener, listener.Addr().String()
		r.group.Go(func() { r.accept(listener) })
	}
}

func (r *Receiver) hangUp() {
	for c := range r.conns {
		_ = c.Close()
	}
}

// Drain takes no connection any more, and waits until the others have been read
// to their end.
func (r *Receiver) Drain() {
	r.mu.Lock()
	if r.listener != nil {
		_ = r.listener.Close()
		r.listener = nil
	}
	r.mu.Unlock()
	r.group.Wait()
}

// HangUp closes the connections there are.
func (r *Receiver) HangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangUp()
}

// Taken returns the contents read so far.
func (r *Receiver) Taken() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.taken...)
}

// Requests returns the requests so far, without their content.
func (r *Receiver) Requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*http.Request(nil), r.requests...)
}

// Accepted is the number of connections so far.
func (r *Receiver) Accepted() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}

func (r *Receiver) accept(listener net.Listener) {
	for {
		raw, err := listener.Accept()
		if err != nil {
			return
		}
		conn := raw
		if r.TLS != nil {
			conn = tls.Server(raw, r.TLS)
		}
		r.mu.Lock()
		r.accepted++
		if r.does == connectortest.Away {
			_ = raw.Close()
		}
		r.conns[conn] = struct{}{}
		r.mu.Unlock()
		r.group.Go(func() {
			r.serve(conn)
			_ = conn.Close()
			r.mu.Lock()
			delete(r.conns, conn)
			r.mu.Unlock()
			if r.Closed != nil {
				r.Closed()
			}
		})
	}
}

func (r *Receiver) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		content := io.Reader(request.Body)
		if r.SIP > 0 {
			content = io.LimitReader(content, r.SIP)
		}
		body, err := io.ReadAll(content)
		if err != nil {
			return
		}
		r.mu.Lock()
		does := r.does
		r.requests, r.taken = append(r.requests, request), append(r.taken, body)
		r.mu.Unlock()
		answer := r.words(does, request, body)
		if answer == "" && does != connectortest.StaySilent {
			return
		}
		if _, err := io.WriteString(conn, answer); err != nil || r.SIP > 0 || r.Once || does == connectortest.Babble {
			return
		}
	}
}

// words is an answer. What is no acceptance holds the payload, which must not
// get into an error or a log.
func (r *Receiver) words(does connectortest.Behaviour, request *http.Request, body []byte) string {
	switch does {
	case connectortest.Refuse:
		return Answer(422, "text/plain", string(body))
	case connectortest.TryLater:
		return Answer(503, "text/plain", string(body))
	case connectortest.Babble:
		return string(body[:min(len(body), 200)]) + "\r\n\r\n"
	case connectortest.HangUp, connectortest.StaySilent, connectortest.Away:
		return ""
	}
	if r.Answer != nil {
		return r.Answer(request, body)
	}
	return Answer(200, "text/plain", "taken")
}

// Answer is an answer of HTTP with further headers.
func Answer(status int, media, body string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n", status, http.StatusText(status), media, len(body))
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String() + "\r\n" + body
}

// A Port says where a listener of a test listens.
type Port struct {
	mu      sync.Mutex
	address string
	ready   chan struct{}
}

// NewPort returns a port that is not known yet.
func NewPort() *Port { return &Port{ready: make(chan struct{})} }

// Listened is told the address.
func (p *Port) Listened(a net.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.address == "" {
		close(p.ready)
	}
	p.address = a.String()
}

// Again makes Wait wait for the next listener.
func (p *Port) Again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address, p.ready = "", make(chan struct{})
}

// Wait returns the address once something listens.
func (p *Port) Wait(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	ready := p.ready
	p.mu.Unlock()
	select {
	case <-ready:
	case <-time.After(Patience):
		t.Fatal("the listener did not come up")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// A Sender is one connection to a listener.
type Sender struct {
	// Method, Path and Header are those of its requests. Method is POST by
	// default.
	Method, Path string
	Header       http.Header
	// Conn is the connection, for what no request says.
	Conn net.Conn

	in *bufio.Reader
}

// Dial connects, and does so again until there is a listener.
func Dial(t testing.TB, address string, config *tls.Config) *Sender {
	t.Helper()
	s, err := Connect(address, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Connect connects, and does so again until there is a listener.
func Connect(address string, config *tls.Config) (*Sender, error) {
	for deadline := time.Now().Add(Patience); ; {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
		if err != nil {
			if time.Now().After(deadline) {
				return nil, err
			}
			continue
		}
		if config != nil {
			conn = tls.Client(conn, config)
		}
		if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
			return nil, err
		}
		return &Sender{Method: http.MethodPost, Path: "/", Header: http.Header{}, Conn: conn, in: bufio.NewReader(conn)}, nil
	}
}

// Post sends a content and returns the answer with its content.
func (s *Sender) Post(body []byte) (*http.Response, string, error) {
	var out bytes.Buffer
	request, err := http.NewRequestWithContext(context.Background(), s.Method, "http://listener.test"+s.Path, bytes.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	request.Header = s.Header
	if err := request.Write(&out); err != nil {
		return nil, "", err
	}
	if _, err := s.Conn.Write(out.Bytes()); err != nil {
		// It may have been answered before it was read to its end.
		response, text, readErr := s.Read()
		if readErr != nil {
			return nil, "", err
		}
		return response, text, nil
	}
	return s.Read()
}

// Read reads an answer.
func (s *Sender) Read() (*http.Response, string, error) {
	response, err := http.ReadResponse(s.in, &http.Request{Method: s.Method})
	if err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(response.Body)
	return response, string(text), err
}

// Send sends one message: a sender is a connectortest.Peer.
func (s *Sender) Send(ctx context.Context, raw []byte) (bool, error) {
	defer context.AfterFunc(ctx, func() { _ = s.Conn.SetDeadline(time.Unix(1, 0)) })()
	response, _, err := s.Post(raw) //nolint:bodyclose // Read has read it whole
	return err == nil && response.StatusCode == http.StatusOK, err
}

// Close ends the connection.
func (s *Sender) Close() { _ = s.Conn.Close() }
