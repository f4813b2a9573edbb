package mllp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// An authority makes certificates for tests.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
	file string
}

func newAuthority(t testing.TB, folder string) *authority {
	t.Helper()
	a := &authority{t: t, next: 1, file: filepath.Join(folder, "ca.pem")}
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
	a.write(a.file, "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) write(file, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes name.pem and name.key and returns the serial number.
func (a *authority) issue(folder, name string) int64 {
	a.t.Helper()
	a.next++
	key := a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(filepath.Join(folder, name+".pem"), "CERTIFICATE", der)
	a.write(filepath.Join(folder, name+".key"), "PRIVATE KEY", secret)
	return a.next
}

func TestTLS(t *testing.T) {
	s := newSite(t)
	folder := s.env.Folder
	ca := newAuthority(t, folder)
	ca.issue(folder, "server")
	ca.issue(folder, "client")
	strangers := t.TempDir()
	newAuthority(t, strangers).issue(strangers, "client")
	file := func(name string) string { return filepath.Join(folder, name) }

	tests := map[string]struct {
		clientCA       string // of the listener
		ca, cert, key  string // of the client
		plain, refused bool
	}{
		"encrypted": {ca: ca.file},
		"a client that does not know the authority": {ca: filepath.Join(strangers, "ca.pem"), refused: true},
		"a client without encryption":               {plain: true, refused: true},
		"mutual":                                    {clientCA: "ca.pem", ca: ca.file, cert: file("client.pem"), key: file("client.key")},
		"mutual without a certificate":              {clientCA: "ca.pem", ca: ca.file, refused: true},
		"mutual with a stranger's certificate": {
			clientCA: "ca.pem", ca: ca.file, refused: true,
			cert: filepath.Join(strangers, "client.pem"), key: filepath.Join(strangers, "client.key"),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.env.Folder = folder
			s.options.TLS = &network.TLSOptions{Cert: "server.pem", Key: "server.key", CA: test.clientCA}
			options := ClientOptions{Address: s.run()}
			if !test.plain {
				var err error
				if options.TLS, err = ClientTLS(test.ca, test.cert, test.key); err != nil {
					t.Fatal(err)
				}
			}
			code, err := exchange(options)
			if test.refused {
				if err == nil {
					t.Fatalf("answered %s, want no connection", code)
				}
				s.until(func() bool { return s.event("tls-failed") == 1 })
				return
			}
			if err != nil || code != "AA" {
				t.Errorf("answer %q, %v; want AA", code, err)
			}
		})
	}
}

// exchange sends one message over a connection of its own.
func exchange(options ClientOptions) (string, error) {
	client, err := Dial(context.Background(), options)
	if err != nil {
		return "", err
	}
	defer client.Close()
	reply, err := client.Exchange(context.Background(), []byte(m1))
	return ReadAck(reply).Code, err
}

func TestCertificatesAreReadAgain(t *testing.T) {
	s := newSite(t)
	folder := s.env.Folder
	ca := newAuthority(t, folder)
	want := ca.issue(folder, "server")
	s.options.TLS = &network.TLSOptions{Cert: "server.pem", Key: "server.key", Min: "1.3"}
	config, err := ClientTLS(ca.file, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var serial int64
	config.VerifyConnection = func(state tls.ConnectionState) error {
		serial = state.PeerCertificates[0].SerialNumber.Int64()
		return nil
	}
	options := ClientOptions{Address: s.run(), TLS: config}
	check := func(what string) {
		t.Helper()
		if code, err := exchange(options); err != nil || code != "AA" || serial != want {
			t.Errorf("%s: answer %q, certificate %d, %v; want AA from %d", what, code, serial, err, want)
		}
	}
	check("at first")
	stampedLater := func(n int) {
		later := time.Now().Add(time.Duration(n) * time.Hour) // the files' times must differ
		for _, name := range []string{"server.pem", "server.key"} {
			if err := os.Chtimes(filepath.Join(folder, name), later, later); err != nil {
				t.Fatal(err)
			}
		}
	}
	want = ca.issue(folder, "server")
	stampedLater(1)
	check("after a change")
	if err := os.WriteFile(filepath.Join(folder, "server.pem"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("after a change to something that is none")
}

func TestClientTLS(t *testing.T) {
	folder := t.TempDir()
	ca := newAuthority(t, folder)
	ca.issue(folder, "client")
	for name, files := range map[string][3]string{
		"no such authority":        {filepath.Join(folder, "none.pem"), "", ""},
		"an authority without any": {filepath.Join(folder, "client.key"), "", ""},
		"a certificate alone":      {ca.file, filepath.Join(folder, "client.pem"), ""},
		"a key alone":              {ca.file, "", filepath.Join(folder, "client.key")},
	} {
		if _, err := ClientTLS(files[0], files[1], files[2]); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDialDown(t *testing.T) {
	s := newSite(t)
	address := s.run()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string]ClientOptions{
		"nobody listens":  {Address: net.JoinHostPort(host, "1")},
		"no TLS is there": {Address: address, TLS: &tls.Config{InsecureSkipVerify: true}},
	} {
		if _, err := Dial(context.Background(), options); message.KindOf(err) != message.Down {
			t.Errorf("%s: %v, kind %s, want down", name, err, message.KindOf(err))
		}
	}
}
