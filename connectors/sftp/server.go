package sftp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/plexus-health/plexus/connectors"
)

// A server is how a server is reached.
type server struct {
	host                      string
	port                      int
	user                      string
	password, key, passphrase connectors.Secret
	hostKey, knownHosts       string
	connect, timeout          time.Duration
	keepAlive                 time.Duration

	folder string // of routes.yaml
}

// address is host and port.
func (s server) address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// signer reads the private key. Its errors tell nothing of the key.
func (s server) signer() (ssh.Signer, error) {
	if s.passphrase.IsZero() {
		signer, err := ssh.ParsePrivateKey([]byte(s.key.Reveal()))
		if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
			return nil, errors.New("is encrypted: give its passphrase")
		}
		if err != nil {
			return nil, errors.New("is not a private key in PEM")
		}
		return signer, nil
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase([]byte(s.key.Reveal()), []byte(s.passphrase.Reveal()))
	if err != nil {
		return nil, errors.New("is not a private key in PEM that this passphrase opens")
	}
	return signer, nil
}

// methods are the ways to log in.
func (s server) methods() ([]ssh.AuthMethod, error) {
	var list []ssh.AuthMethod
	if !s.key.IsZero() {
		signer, err := s.signer()
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		list = append(list, ssh.PublicKeys(signer))
	}
	if !s.password.IsZero() {
		list = append(list, ssh.Password(s.password.Reveal()),
			ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range questions {
					if !echos[i] { // a question for a secret
						answers[i] = s.password.Reveal()
					}
				}
				return answers, nil
			}))
	}
	return list, nil
}

// A guard checks the key of the server.
type guard struct {
	check ssh.HostKeyCallback
	// orders are the algorithms to ask for, one list after the other until
	// the server shows the key that is wanted.
	orders [][]string

	passed bool  // the last handshake's key was right
	wrong  error // why it was not
}

// algorithms are those that a key of a type is shown by.
func algorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// guard makes the check that the options ask for.
func (s server) guard() (*guard, error) {
	if s.knownHosts != "" {
		return s.known()
	}
	p, err := parsePin(s.hostKey)
	if err != nil {
		return nil, fmt.Errorf("host-key: %w", err)
	}
	g := &guard{}
	g.check = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		shown := ssh.FingerprintSHA256(key)
		if (p.key != nil && string(p.key.Marshal()) == string(key.Marshal())) || (p.key == nil && shown == p.fingerprint) {
			return nil
		}
		return fmt.Errorf("the server shows another host key than host-key: %s", shown)
	}
	if p.key != nil {
		g.orders = [][]string{algorithms(p.key.Type())}
		return g, nil
	}
	g.orders = [][]string{
		{ssh.KeyAlgoED25519}, {ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}, algorithms(ssh.KeyAlgoRSA),
	}
	return g, nil
}

// known checks against a file of known hosts.
func (s server) known() (*guard, error) {
	file := s.knownHosts
	if !filepath.IsAbs(file) {
		file = filepath.Join(s.folder, file)
	}
	check, err := knownhosts.New(file)
	if err != nil {
		return nil, errors.New("known-hosts: the file cannot be read or has a line that is none of a known host")
	}
	g := &guard{}
	g.check = func(host string, address net.Addr, key ssh.PublicKey) error {
		err := check(host, address, key)
		if err == nil {
			return nil
		}
		shown := ssh.FingerprintSHA256(key)
		if unknown, ok := errors.AsType[*knownhosts.KeyError](err); ok && len(unknown.Want) == 0 {
			return fmt.Errorf("the server is not in known-hosts; it shows the host key %s", shown)
		}
		return fmt.Errorf("the server shows another host key than known-hosts: %s", shown)
	}
	// Which keys are known decides which the server is asked to show.
	nobody := &net.TCPAddr{IP: net.IPv4zero}
	var order []string
	if unknown, ok := errors.AsType[*knownhosts.KeyError](check(s.address(), nobody, noKey{})); ok {
		for _, k := range unknown.Want {
			order = append(order, algorithms(k.Key.Type())...)
		}
	}
	g.orders = [][]string{order}
	return g, nil
}

// noKey is a key that no server has, to ask which are known.
type noKey struct{}

// Type is that of no key.
func (noKey) Type() string { return "none" }

// Marshal is empty.
func (noKey) Marshal() []byte { return []byte("none") }

// Verify verifies nothing.
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// dial connects and logs in. Its errors hold no credential and nothing of a
// message.
func (s server) dial(ctx context.Context) (*link, error) {
	g, err := s.guard()
	if err != nil {
		return nil, err
	}
	methods, err := s.methods()
	if err != nil {
		return nil, err
	}
	ctx, done := context.WithTimeout(ctx, s.connect)
	defer done()
	for i, order := range g.orders {
		var l *link
		if l, err = s.handshake(ctx, g, order, methods); err == nil {
			return l, nil
		}
		if g.passed || i == len(g.orders)-1 || ctx.Err() != nil {
			break
		}
		if _, lost := errors.AsType[net.Error](err); lost {
			break // the server is not there
		}
	}
	switch {
	case g.passed && errors.Is(err, errLogin):
		return nil, errors.New("the server does not let the user in: check user, credential and key")
	case !g.passed && g.wrong != nil:
		return nil, g.wrong
	}
	return nil, err
}

var (
	errLogin     = errors.New("not let in")
	errHandshake = errors.New("the server ended the handshake, or has no algorithm in common")
)

// handshake makes one connection.
func (s server) handshake(ctx context.Context, g *guard, order []string, methods []ssh.AuthMethod) (*link, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address())
	if err != nil {
		return nil, err
	}
	unhook := context.AfterFunc(ctx, func() { _ = conn.Close() }) // the handshake ends with it
	defer unhook()
	config := &ssh.ClientConfig{
		User: s.user, Auth: methods, HostKeyAlgorithms: order,
		HostKeyCallback: func(host string, address net.Addr, key ssh.PublicKey) error {
			err := g.check(host, address, key)
			if g.passed = err == nil; err != nil {
				g.wrong = err
			}
			return err
		},
	}
	counted := &counting{Conn: conn}
	secure, channels, requests, err := ssh.NewClientConn(counted, s.address(), config)
	if err != nil {
		_ = conn.Close() // the error says why
		_, network := errors.AsType[net.Error](err)
		switch {
		case g.passed && ctx.Err() == nil && counted.failure() == nil:
			err = errLogin
		case !network && ctx.Err() == nil && g.wrong == nil:
			err = errHandshake // the error quotes what the server said
		}
		return nil, err
	}
	l := &link{server: s, conn: conn, ssh: ssh.NewClient(secure, channels, requests), ended: make(chan struct{})}
	if l.sftp, err = sftp.NewClient(l.ssh); err != nil {
		_ = l.ssh.Close()                                              // the error says why
		return nil, errors.New("the server has no SFTP for this user") // the error quotes what it said
	}
	if !unhook() {
		l.shut()
		return nil, ctx.Err()
	}
	l.group.Go(l.alive)
	return l, nil
}

// counting notes whether the network ended a connection. The server ends it
// too when it lets nobody in; but then it has said so before.
type counting struct {
	net.Conn
	mu  sync.Mutex
	err error
}

// Read reads, and keeps the first error.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) { // which is our own doing
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err == nil {
			c.err = err
		}
	}
	return n, err
}

func (c *counting) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
