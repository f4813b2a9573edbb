package network

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/plexus-health/plexus/connectors"
)

// TLSOptions are the encryption of connections.
type TLSOptions struct {
	// File of the certificate of this side, PEM, with its chain; needed where
	// we listen, and where we connect if the peer wants one. It is read again
	// when it changes.
	Cert string `yaml:"cert"`
	// File of the certificate's private key, PEM.
	Key string `yaml:"key"`
	// File of the authorities that certificates of peers must come from, PEM.
	// Default: where we listen peers need no certificate, where we connect the
	// authorities of the system are trusted.
	CA string `yaml:"ca"`
	// Lowest version of TLS that is spoken: 1.2 (the default) or 1.3.
	Min string `yaml:"min"`
	// Names of certificates and for which senders their holders may speak, where
	// messages are received over MLLP: a DNS name or common name, then sending
	// facilities (MSH-4), or applications and facilities as in LAB|NORTH (MSH-3
	// and MSH-4); * for any. A peer whose certificate has none of the names is
	// not served, a message of another sender is refused. It needs ca. Default:
	// whoever has a certificate of the authorities may send for anyone.
	Names map[string][]string `yaml:"names"`
	// Name that the certificate of the peer must bear, where we connect.
	// Default: the host of the address.
	ServerName string `yaml:"server_name"`
}

// Validate checks the words; listening says that the peers connect to us.
func (o *TLSOptions) Validate(listening bool, p *connectors.Problems) {
	if o.Cert == "" && (listening || o.Key != "") {
		p.Add("tls.cert", "is missing: the file of the certificate")
	}
	if o.Key == "" && (listening || o.Cert != "") {
		p.Add("tls.key", "is missing: the file of the certificate's private key")
	}
	if listening && o.ServerName != "" {
		p.Add("tls.server_name", "names the peer we connect to; here the peers connect to us")
	}
	o.validateNames(p)
	if _, ok := versionOf(o.Min); !ok {
		p.Add("tls.min", "%q is not known; known: 1.2, 1.3", o.Min)
	}
}

// validateNames checks the words of names.
func (o *TLSOptions) validateNames(p *connectors.Problems) {
	if len(o.Names) > 0 && o.CA == "" {
		p.Add("tls.names", "needs ca: without it peers show certificates of their own making, or none")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Names)) {
		senders := o.Names[name]
		if name == "" || len(senders) == 0 || slices.Contains(senders, "") {
			p.Add("tls.names", "%q: a name of a certificate and the senders it may speak for are wanted, such as lab.example.org: [ NORTH ]", name)
		}
	}
}

// WithoutNames adds a problem where names have no meaning.
func (o *TLSOptions) WithoutNames(p *connectors.Problems) {
	if o != nil && len(o.Names) > 0 {
		p.Add("tls.names", "is for sources that receive over MLLP")
	}
}

// Senders are those for whom the peer of a connection may speak; nil: for anyone.
// known is false where its certificate has none of the names.
func (o *TLSOptions) Senders(conn net.Conn) (senders []string, known bool) {
	if o == nil || len(o.Names) == 0 {
		return nil, true
	}
	secure, ok := conn.(*tls.Conn)
	if !ok || len(secure.ConnectionState().PeerCertificates) == 0 {
		return nil, false
	}
	certificate := secure.ConnectionState().PeerCertificates[0]
	for _, name := range append([]string{certificate.Subject.CommonName}, certificate.DNSNames...) {
		if of := o.Names[name]; len(of) > 0 {
			senders = append(senders, of...)
		}
	}
	if slices.Contains(senders, "*") {
		return nil, true
	}
	return senders, len(senders) > 0
}

func versionOf(word string) (uint16, bool) {
	switch word {
	case "", "1.2":
		return tls.VersionTLS12, true
	case "1.3":
		return tls.VersionTLS13, true
	}
	return 0, false
}

// Read makes a configuration of the files, which are relative to folder;
// listening asks peers for a certificate of the authorities.
func (o *TLSOptions) Read(folder string, listening bool) (*tls.Config, error) {
	version, _ := versionOf(o.Min)
	config := &tls.Config{MinVersion: version, ServerName: o.ServerName}
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(fileIn(folder, o.Cert), fileIn(folder, o.Key))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if o.CA == "" {
		return config, nil
	}
	pool, err := readAuthorities(fileIn(folder, o.CA))
	switch {
	case err != nil:
		return nil, err
	case listening:
		config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	default:
		config.RootCAs = pool
	}
	return config, nil
}

var errNoAuthority = errors.New("no certificate in the file of authorities")

func readAuthorities(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errNoAuthority
	}
	return pool, nil
}

// Certificates keep the configuration made of files and make it anew when one of
// them has changed. A change that cannot be read leaves the old one in place.
type Certificates struct {
	Options   TLSOptions
	Folder    string // that relative files start at
	Log       *slog.Logger
	Count     func(event string, n int)
	Listening bool
	Protocols []string // spoken inside, by RFC 7301; none: not said

	mu     sync.Mutex
	stamps [3]stamp
	config *tls.Config
	fault  string // of the files as they are, once it was logged
}

// A stamp tells whether a file has changed.
type stamp struct {
	time time.Time
	size int64
}

// Listener is the configuration of a listener: each handshake asks for the
// certificates in force.
func (c *Certificates) Listener() (*tls.Config, error) {
	first, err := c.Current()
	if err != nil {
		return nil, err
	}
	config := first.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.Current() }
	return config, nil
}

// Current returns the configuration for one handshake.
func (c *Certificates) Current() (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var now [3]stamp
	for i, name := range []string{c.Options.Cert, c.Options.Key, c.Options.CA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(fileIn(c.Folder, name))
		if err != nil {
			return c.keep(err)
		}
		now[i] = stamp{info.ModTime(), info.Size()}
	}
	if c.config != nil && now == c.stamps {
		c.fault = ""
		return c.config, nil
	}
	config, err := c.Options.Read(c.Folder, c.Listening)
	if err != nil {
		return c.keep(err)
	}
	config.NextProtos = c.Protocols
	if c.config != nil {
		c.Log.Info("certificates were read again")
	}
	c.config, c.stamps, c.fault = config, now, ""
	return config, nil
}

// keep answers with the configuration in use when the files are not usable. That
// is counted each time, and logged when the reason is another.
func (c *Certificates) keep(err error) (*tls.Config, error) {
	if c.config == nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c.Count("certificates-unusable", 1)
	if text := err.Error(); text != c.fault {
		c.fault = text
		c.Log.Warn("changed certificates are not usable, the old ones stay", "error", text)
	}
	return c.config, nil
}
