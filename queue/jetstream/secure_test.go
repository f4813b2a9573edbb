package jetstream_test

import (
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
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/plexus-health/plexus/queue/jetstream"
)

// An authority signs certificates.
type authority struct {
	t      *testing.T
	folder string
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	serial int64
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t, folder: t.TempDir(), serial: 1}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(raw); err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", raw)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) file(name string) string { return filepath.Join(a.folder, name) }

func (a *authority) write(name, kind string, raw []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes name.pem and name.key for this machine.
func (a *authority) issue(name string) (certificate, key string) {
	a.t.Helper()
	a.serial++
	own := newKey(a.t)
	raw, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", raw)
	a.write(name+".key", "EC PRIVATE KEY", der)
	return a.file(name + ".pem"), a.file(name + ".key")
}

// An operator signs accounts, and an account its users.
type operator struct {
	t    *testing.T
	keys nkeys.KeyPair
}

func pair(t *testing.T, create func() (nkeys.KeyPair, error)) (keys nkeys.KeyPair, public string) {
	t.Helper()
	keys, err := create()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = keys.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return keys, public
}

// account makes an account that the resolver knows, with or without JetStream.
func (o *operator) account(r server.AccountResolver, streams bool) (keys nkeys.KeyPair, public string) {
	o.t.Helper()
	keys, public = pair(o.t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(public)
	if streams {
		claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1, MaxAckPending: -1}
	}
	token, err := claims.Encode(o.keys)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := r.Store(public, token); err != nil {
		o.t.Fatal(err)
	}
	return keys, public
}

// credentials writes the file of a new user of an account.
func credentials(t *testing.T, account nkeys.KeyPair) string {
	t.Helper()
	keys, public := pair(t, nkeys.CreateUser)
	token, err := jwt.NewUserClaims(public).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := keys.Seed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "engine.creds")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestEncryptedWithUsers works with a server that speaks TLS alone, wants a
// certificate and knows its users by their keys; whoever lacks one of them is
// told what is wrong, and the engine goes on without tickets.
func TestEncryptedWithUsers(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	o := &operator{t: t}
	operatorKeys, trusted := pair(t, nkeys.CreateOperator)
	o.keys = operatorKeys
	resolver := &server.MemAccResolver{}
	_, system := o.account(resolver, false)
	engines, _ := o.account(resolver, true)
	stranger, _ := pair(t, nkeys.CreateAccount)
	certificate, key := ours.issue("server")
	shown, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 64 << 20,
		TrustedKeys: []string{trusted}, SystemAccount: system, AccountResolver: resolver,
		TLS: true, TLSVerify: true, TLSTimeout: 10,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{shown}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	mine, mineKey := ours.issue("engine")
	foreign, foreignKey := others.issue("engine")
	good := jetstream.Options{
		URL: s.ClientURL(), Patience: patience, Credentials: credentials(t, engines), CA: ours.file("ca.pem"), Certificate: mine, Key: mineKey,
	}

	t.Run("all in order", func(t *testing.T) {
		q := open(t, good)
		found(t, q)
		w := work(t, q, nil)
		w.used()
		w.works("lab")
	})
	for name, c := range map[string]struct {
		change func(o *jetstream.Options)
		says   string
	}{
		"no certificate of ours":             {func(o *jetstream.Options) { o.Certificate, o.Key = "", "" }, "tls"},
		"a certificate of another authority": {func(o *jetstream.Options) { o.Certificate, o.Key = foreign, foreignKey }, "tls"},
		"a server of another authority":      {func(o *jetstream.Options) { o.CA = others.file("ca.pem") }, "unknown authority"},
		"no user":                            {func(o *jetstream.Options) { o.Credentials = "" }, "Authorization"},
		"a user nobody vouches for":          {func(o *jetstream.Options) { o.Credentials = credentials(t, stranger) }, "Authorization"},
	} {
		t.Run(name, func(t *testing.T) {
			options := good
			c.change(&options)
			q := open(t, options)
			w := work(t, q, nil)
			w.works("lab") // without the stream: nothing stands still
			eventually(t, "it says why there is no stream", func() bool {
				err := q.Failing()
				return err != nil && strings.Contains(err.Error(), c.says)
			})
		})
	}
}
