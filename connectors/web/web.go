// Package web is what the connectors that speak HTTP have in common: a client
// that knows whether a byte has left, a server with limits, who may call it, and
// encryption.
package web

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/plexus-health/plexus/connectors"
)

// TLS is the encryption of connections.
type TLS struct {
	// File of the certificate of this side, PEM, with its chain. Needed where
	// we listen; where we connect only if the peer wants one.
	Cert string `yaml:"cert"`
	// File of the certificate's private key, PEM.
	Key string `yaml:"key"`
	// File of the authorities that certificates of peers must come from, PEM.
	// Default: where we listen peers need no certificate, where we connect the
	// authorities of the system are trusted.
	CA string `yaml:"ca"`
	// Lowest version of TLS that is spoken: 1.2 (the default) or 1.3.
	Min string `yaml:"min"`
	// Name that the certificate of the peer must bear, where we connect.
	// Default: the host of the address.
	ServerName string `yaml:"server_name"`
}

// Login is how a caller shows who it is. Give user and password, or token.
type Login struct {
	// Name of the user (basic authentication).
	User string `yaml:"user"`
	// Password of the user.
	Password connectors.Secret `yaml:"password"`
	// Token in the Authorization header (bearer).
	Token connectors.Secret `yaml:"token"`
}

const understood = "i-understand"

// validate checks the words; listening says that peers connect to us.
func (t *TLS) validate(listening bool) []connectors.Problem {
	var p []connectors.Problem
	if t.Cert == "" && (listening || t.Key != "") {
		p = append(p, connectors.Problem{Field: "tls.cert", Text: "is missing: the file of the certificate"})
	}
	if t.Key == "" && (listening || t.Cert != "") {
		p = append(p, connectors.Problem{Field: "tls.key", Text: "is missing: the file of the certificate's private key"})
	}
	if listening && t.ServerName != "" {
		p = append(p, connectors.Problem{Field: "tls.server_name", Text: "names the peer we connect to; here the peers connect to us"})
	}
	if _, ok := versions[t.Min]; !ok {
		p = append(p, connectors.Problem{Field: "tls.min", Text: fmt.Sprintf("%q is not known; known: 1.2, 1.3", t.Min)})
	}
	return p
}

var versions = map[string]uint16{"": tls.VersionTLS12, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// config makes the configuration of files that are relative to folder.
func (t *TLS) config(folder string, listening bool) (*tls.Config, error) {
	c := &tls.Config{MinVersion: versions[t.Min], ServerName: t.ServerName}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(in(folder, t.Cert), in(folder, t.Key))
		if err != nil {
			return nil, fmt.Errorf("tls: certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if t.CA == "" {
		return c, nil
	}
	text, err := os.ReadFile(in(folder, t.CA))
	if err != nil {
		return nil, fmt.Errorf("tls: authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("tls: authorities: the file holds no certificate")
	}
	if c.RootCAs = pool; listening {
		c.RootCAs, c.ClientCAs, c.ClientAuth = nil, pool, tls.RequireAndVerifyClientCert
	}
	return c, nil
}

func in(folder, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(folder, file)
}

// validate checks the words of a login.
func (l *Login) validate(field string) []connectors.Problem {
	switch {
	case l.User != "" && !l.Token.IsZero():
		return []connectors.Problem{{Field: field, Text: "has a user and a token: one or the other"}}
	case l.User == "" && l.Token.IsZero():
		return []connectors.Problem{{Field: field, Text: "needs user and password, or token"}}
	case l.User != "" && l.Password.IsZero():
		return []connectors.Problem{{Field: field + ".password", Text: "is missing"}}
	}
	return nil
}

// Loopback reports whether only this machine reaches host.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// ValidateListen checks where a source listens, and that nobody reads what
// travels unless that was said.
func ValidateListen(listen string, t *TLS, login *Login, insecure string) []connectors.Problem {
	var p []connectors.Problem
	host, port, err := net.SplitHostPort(listen)
	switch {
	case err != nil || port == "":
		p = append(p, connectors.Problem{Field: "listen", Text: fmt.Sprintf("%q is not host:port, such as 127.0.0.1:8090", listen)})
	case insecure != "" && insecure != understood:
		p = append(p, connectors.Problem{Field: "insecure", Text: fmt.Sprintf("%q is not known; the only word is i-understand", insecure)})
	case t == nil && insecure == "" && !Loopback(host):
		p = append(p, connectors.Problem{Field: "listen", Text: fmt.Sprintf("%q is reachable from other machines and messages would travel unencrypted: add tls, or say insecure: i-understand", listen)})
	case login == nil && (t == nil || t.CA == "") && insecure == "" && !Loopback(host):
		p = append(p, connectors.Problem{Field: "listen", Text: fmt.Sprintf("%q is reachable from other machines and anybody could send: add login, or tls.ca for certificates of the callers", listen)})
	}
	if t != nil {
		p = append(p, t.validate(true)...)
	}
	if login != nil {
		p = append(p, login.validate("login")...)
	}
	return p
}

// ValidateURL checks where a destination sends to.
func ValidateURL(field, text string, t *TLS, login *Login, insecure string) []connectors.Problem {
	var p []connectors.Problem
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		p = append(p, connectors.Problem{Field: field, Text: fmt.Sprintf("%q is no address: write https://host/path", strip(text))})
	case u.User != nil:
		p = append(p, connectors.Problem{Field: field, Text: "has a user in it: write login: { user: …, password: { secret: … } }"})
	case insecure != "" && insecure != understood:
		p = append(p, connectors.Problem{Field: "insecure", Text: fmt.Sprintf("%q is not known; the only word is i-understand", insecure)})
	case u.Scheme == "http" && insecure == "" && !Loopback(u.Hostname()):
		p = append(p, connectors.Problem{Field: field, Text: fmt.Sprintf("%q is another machine and messages would travel unencrypted: write https, or say insecure: i-understand", text)})
	case u.Scheme == "http" && t != nil:
		p = append(p, connectors.Problem{Field: "tls", Text: "is for https addresses"})
	}
	if t != nil {
		p = append(p, t.validate(false)...)
	}
	if login != nil {
		p = append(p, login.validate("login")...)
	}
	return p
}

// strip removes what may be a password from an address that cannot be read.
func strip(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}
