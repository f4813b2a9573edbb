// Package sftptest is an SFTP server on loopback for tests, with a folder of
// the test as its root, and with faults between its client and itself.
package sftptest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Types of packets of SFTP version 3 (draft-ietf-secsh-filexfer-02, 3).
const (
	Init     = 1
	Version  = 2
	Open     = 3
	Close    = 4
	Read     = 5
	Write    = 6
	Lstat    = 7
	Fstat    = 8
	Opendir  = 11
	Remove   = 13
	Rename   = 18
	status   = 101
	Extended = 200
)

// Status codes.
const (
	PermissionDenied = 3
	Failure          = 4
	Unsupported      = 8
)

// An Action is what happens to a packet of the client.
type Action struct {
	// Status answers the packet so, and the server does not see it.
	Status uint32
	// Drop keeps it from the server and answers nothing.
	Drop bool
	// CutBefore closes the connection before the server sees the packet.
	CutBefore bool
	// CutAfter closes it when the server has handled it, in place of the answer.
	CutAfter bool
}

// Options are what a server is like.
type Options struct {
	// Root is its folder. Empty: a fresh one.
	Root string
	// Sync adds fsync@openssh.com.
	Sync bool
	// NoPosixRename leaves out posix-rename@openssh.com: a client is told
	// that there is none, and a plain rename refuses to write over a file.
	NoPosixRename bool
	// Authorized is a public key that may log in, besides the password.
	Authorized ssh.PublicKey
	// Interactive asks for the password in place of taking it at once.
	Interactive bool
}

// A Server is an SFTP server of a test.
type Server struct {
	// Address is host:port, for any process of this machine.
	Address string
	// HostKey is the line of its public key, Fingerprint the SHA256 of it.
	HostKey, Fingerprint string
	// User and Password let in.
	User, Password string
	// Root is the folder that clients see as "/".
	Root string

	options  Options
	config   *ssh.ServerConfig
	listener net.Listener
	group    sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	away    bool
	faults  map[byte][]Action
	seen    map[byte]int
	logins  int
	refused int
}

// Start starts a server; it ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Root == "" {
		o.Root = t.TempDir()
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Address: listener.Addr().String(), User: "plexus", Password: "correct horse", Root: o.Root,
		HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), Fingerprint: ssh.FingerprintSHA256(key),
		options: o, listener: listener, conns: map[net.Conn]struct{}{}, faults: map[byte][]Action{}, seen: map[byte]int{},
	}
	s.config = s.configure()
	s.config.AddHostKey(signer)
	s.group.Go(s.accept)
	t.Cleanup(s.stop)
	return s
}

var errLogin = errors.New("not let in")

// configure says who is let in.
func (s *Server) configure() *ssh.ServerConfig {
	check := func(user, password string) (*ssh.Permissions, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if user == s.User && password == s.Password {
			s.logins++
			return &ssh.Permissions{}, nil
		}
		s.refused++
		return nil, errLogin
	}
	c := &ssh.ServerConfig{}
	if s.options.Interactive {
		c.KeyboardInteractiveCallback = func(m ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, errLogin
			}
			return check(m.User(), answers[0])
		}
	} else {
		c.PasswordCallback = func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return check(m.User(), string(password))
		}
	}
	if s.options.Authorized != nil {
		c.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if m.User() == s.User && string(key.Marshal()) == string(s.options.Authorized.Marshal()) {
				return &ssh.Permissions{}, nil
			}
			return nil, errLogin
		}
	}
	return c
}

// Away makes the server take no connection, and ends those it has; or the
// opposite.
func (s *Server) Away(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
	if away {
		for c := range s.conns {
			_ = c.Close() // on purpose
		}
	}
}

// Fault says what happens to the packets of a type that come next, one each;
// it replaces what was said of the type before.
func (s *Server) Fault(packet byte, actions ...Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[packet] = actions
}

// Seen is how many packets of a type came, those with faults too.
func (s *Server) Seen(packet byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[packet]
}

// Logins is how often somebody was let in by password, and how often not.
func (s *Server) Logins() (in, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins, s.refused
}

// action notes a packet and says what is to happen to it.
func (s *Server) action(packet byte) Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[packet]++
	list := s.faults[packet]
	if len(list) == 0 {
		return Action{}
	}
	s.faults[packet] = list[1:]
	return list[0]
}

func (s *Server) stop() {
	_ = s.listener.Close()
	s.Away(true)
	s.group.Wait()
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		away := s.away
		if !away {
			s.conns[conn] = struct{}{}
		}
		s.mu.Unlock()
		if away {
			_ = conn.Close()
			continue
		}
		s.group.Go(func() {
			defer func() {
				_ = conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			s.serve(conn)
		})
	}
}

// serve speaks SSH on one connection until it ends.
func (s *Server) serve(conn net.Conn) {
	secure, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer func() { _ = secure.Close() }() // the client may be gone
	group.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		group.Go(func() { s.session(conn, channel, requests, &group) })
	}
}

// session waits for the request for SFTP and serves it.
func (s *Server) session(conn net.Conn, channel ssh.Channel, requests <-chan *ssh.Request, group *sync.WaitGroup) {
	for r := range requests {
		ok := r.Type == "subsystem" && len(r.Payload) > 4 && string(r.Payload[4:]) == "sftp"
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if ok {
			group.Go(func() {
				f := &filter{server: s, conn: conn, channel: channel}
				defer func() { _ = channel.Close() }() // as above
				root, err := os.OpenRoot(s.Root)
				if err != nil {
					return
				}
				defer func() { _ = root.Close() }() // as above
				server := sftp.NewRequestServer(f.pipe(group), handlers(root))
				_ = server.Serve() // ends with the connection
				_ = server.Close()
			})
		}
	}
}

// NewKey makes a key pair for a client: the private one as PEM, encrypted when
// a passphrase is given.
func NewKey(t testing.TB, passphrase string) (private string, public ssh.PublicKey) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if public, err = ssh.NewPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), public
}
