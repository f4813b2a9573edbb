package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
)

// A Server receives requests until its end.
type Server struct {
	// Listen is host:port; TLS is nil for none, Login where everybody may call.
	Listen string
	TLS    *TLS
	Login  *Login
	// Read is how long a request may take to arrive, Grace how long those
	// under way have at the end.
	Read, Grace time.Duration
	Environment connectors.Environment
	// Listening, if it is not nil, is told the address.
	Listening func(net.Addr)
}

// Run serves until ctx ends, and returns when every request has been answered
// or its time has run out. The context of requests does not end with ctx, nor
// with the connection: what was received whole is taken.
func (s *Server) Run(ctx context.Context, handler http.Handler) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return err
	}
	address := listener.Addr()
	config := s.TLS
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := &http.Server{
		Handler: s.allowed(life, handler), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: s.Read, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // it may quote what a peer sent
	}
	listener = &limited{Listener: listener, room: make(chan struct{}, max(s.Environment.Connections, 1)), closed: make(chan struct{})}
	serve := func() error { return server.Serve(listener) }
	if config != nil {
		if server.TLSConfig, err = config.config(s.Environment.Folder, true); err != nil {
			return errors.Join(err, listener.Close())
		}
		server.TLSNextProto = nil
		serve = func() error { return server.ServeTLS(listener, "", "") }
	}
	if s.Listening != nil {
		s.Listening(address)
	}
	s.Environment.Log.Info("listening", "address", address.String(), "tls", config != nil)
	if s.Environment.Receiving != nil {
		s.Environment.Receiving()
	}
	var serving sync.WaitGroup
	failed := make(chan error, 1)
	serving.Go(func() {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	ending, done := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
	defer done()
	if server.Shutdown(ending) != nil {
		end() // those who wait for an outcome wait no longer
		last, over := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		if server.Shutdown(last) != nil {
			_ = server.Close() // they have had their time
		}
		over()
	}
	serving.Wait()
	return err
}

// limited takes no more connections than there is room for.
type limited struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept waits for room, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &roomConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.room })}, nil
}

// Close ends the listening.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type roomConn struct {
	net.Conn
	leave func()
}

// Close gives the room back.
func (c *roomConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// allowed asks who calls before anything of the body is read. Requests get the
// life of the server as their context.
func (s *Server) allowed(life context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if s.Login != nil && !s.Login.shown(r) {
			s.Environment.Count("not-allowed", 1)
			scheme := "Bearer"
			if s.Login.User != "" {
				scheme = `Basic realm="plexus"`
			}
			w.Header().Set("WWW-Authenticate", scheme)
			Refuse(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(life))
	})
}

// Refuse answers a request whose body is not wanted, without waiting for it.
func Refuse(w http.ResponseWriter, text string, status int) {
	_ = http.NewResponseController(w).EnableFullDuplex() // else the answer waits for the body
	w.Header().Set("Connection", "close")
	http.Error(w, text, status)
}

// shown reports whether a request shows the login. How long it takes says
// nothing of what is right.
func (l *Login) shown(r *http.Request) bool {
	same := func(a, b string) bool {
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return subtle.ConstantTimeCompare(x[:], y[:]) == 1
	}
	if l.User != "" {
		user, password, ok := r.BasicAuth()
		right := same(user, l.User)
		return same(password, l.Password.Reveal()) && right && ok
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return same(token, l.Token.Reveal()) && strings.EqualFold(scheme, "Bearer")
}

// Errors of bodies.
var (
	// ErrCut says that a body did not arrive whole.
	ErrCut = errors.New("the body did not arrive whole")
	// ErrLarge says that a body is larger than the channel takes.
	ErrLarge = errors.New("the body is larger than this channel takes")
)

// Take hands the body of a request over to handle: as one message, or one after
// the other where the channel's format may hold several in a file. It returns
// the replies. ErrCut: nothing whole came. ErrLarge: it was refused and is in
// the journal as such. Any other error: nothing may be claimed.
func Take(ctx context.Context, env connectors.Environment, r *http.Request, handle connectors.Handler) ([]message.Reply, error) {
	hand := func(m *message.Message) (message.Reply, error) {
		m.Peer, m.Received = r.RemoteAddr, env.Now()
		return handle(ctx, m)
	}
	body := &body{in: r.Body, left: env.Size}
	head := make([]byte, min(env.Whole, env.Size)+1)
	n, err := io.ReadFull(body, head)
	head = head[:n]
	switch {
	case errors.Is(err, ErrLarge):
		return tooLarge(env, head, hand)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		if env.Split == nil {
			reply, err := hand(&message.Message{Raw: head})
			return []message.Reply{reply}, err
		}
		return split(env, strings.NewReader(string(head)), hand)
	case err != nil:
		return nil, ErrCut
	}
	rest := io.MultiReader(strings.NewReader(string(head)), body)
	if env.Split != nil {
		return split(env, rest, hand)
	}
	reply, err := hand(&message.Message{Stream: rest})
	switch {
	case errors.Is(body.err, ErrLarge):
		return tooLarge(env, head, hand)
	case body.err != nil && !errors.Is(body.err, io.EOF):
		return nil, ErrCut
	}
	return []message.Reply{reply}, err
}

// body reads a request up to the size that is taken.
type body struct {
	in   io.Reader
	left int64
	err  error
}

// Read fails with ErrLarge beyond the size.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.in.Read(p)
	if b.left -= int64(n); b.left < 0 {
		n += int(b.left)
		err = ErrLarge
	}
	b.err = err
	return max(n, 0), err
}

// tooLarge journals the beginning of what is refused.
func tooLarge(env connectors.Environment, head []byte, hand func(*message.Message) (message.Reply, error)) ([]message.Reply, error) {
	env.Count("too-large", 1)
	m := &message.Message{Raw: head[:min(len(head), 4096)], Damage: &message.Failure{
		Kind: message.Malformed, Offset: int(env.Size) + 1, Code: 102, Err: fmt.Errorf("larger than %d bytes", env.Size),
	}}
	reply, err := hand(m)
	if err != nil {
		return nil, err
	}
	return []message.Reply{reply}, ErrLarge
}

// split hands over the messages of a body one after the other.
func split(env connectors.Environment, r io.Reader, hand func(*message.Message) (message.Reply, error)) ([]message.Reply, error) {
	var replies []message.Reply
	err := env.Split(r, func(raw []byte) error {
		m := &message.Message{Raw: raw}
		if int64(len(raw)) > env.Whole {
			m = &message.Message{Stream: strings.NewReader(string(raw))}
		}
		reply, err := hand(m)
		replies = append(replies, reply)
		return err
	})
	switch {
	case err == nil && len(replies) == 0: // it holds none: the parser says what is wrong with it
		reply, err := hand(&message.Message{Raw: []byte{}})
		return []message.Reply{reply}, err
	case message.KindOf(err) == message.Malformed && err != nil:
		reply, err := hand(&message.Message{Raw: []byte{}, Damage: asFailure(err)})
		return append(replies, reply), err
	case errors.Is(err, ErrLarge):
		_, err := tooLarge(env, nil, hand)
		return replies, err
	}
	return replies, err
}

func asFailure(err error) *message.Failure {
	f, _ := errors.AsType[*message.Failure](err)
	return f
}

// Status is the status that says what the replies say: the worst of them.
func Status(replies []message.Reply) int {
	status := http.StatusOK
	for i := range replies {
		if s := statusOf(&replies[i].Answer); s > status {
			status = s
		}
	}
	return status
}

func statusOf(a *message.Answer) int {
	switch a.Code {
	case message.Accepted:
		return http.StatusOK
	case message.Rejected:
		return http.StatusBadRequest
	}
	for _, p := range a.Problems {
		if p.Code == 206 || p.Code == 207 {
			return http.StatusServiceUnavailable
		}
	}
	return http.StatusUnprocessableEntity
}
