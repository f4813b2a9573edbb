package mllp

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/partner"
)

// A renewal changes our certificates while a peer notes which we show.
type renewal struct {
	t      *testing.T
	ca     *authority
	folder string
	peer   *tls.Config
	shown  *atomic.Int64 // the serial number of our certificate in the last handshake
	hours  int
}

func newRenewal(t *testing.T) *renewal {
	t.Helper()
	keys := newKeyring(t)
	r := &renewal{t: t, folder: keys.folder, peer: keys.server.Clone(), shown: new(atomic.Int64)}
	r.ca = newAuthority(t, r.folder) // of all that is issued from now on
	r.ca.issue(r.folder, "partner")
	pair, err := tls.LoadX509KeyPair(filepath.Join(r.folder, "partner.pem"), filepath.Join(r.folder, "partner.key"))
	if err != nil {
		t.Fatal(err)
	}
	r.peer.Certificates = []tls.Certificate{pair}
	r.peer.ClientCAs.AddCert(r.ca.cert)
	r.peer.VerifyConnection = func(state tls.ConnectionState) error {
		r.shown.Store(state.PeerCertificates[0].SerialNumber.Int64())
		return nil
	}
	return r
}

// issue writes a certificate of ours that is good.
func (r *renewal) issue() int64 {
	serial := r.ca.issue(r.folder, "plexus")
	r.touch()
	return serial
}

// spoil writes half of the file of our certificate.
func (r *renewal) spoil() {
	r.t.Helper()
	file := filepath.Join(r.folder, "plexus.pem")
	text, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, text[:len(text)/2], 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.touch()
}

// touch makes the times of the files others than before.
func (r *renewal) touch() {
	r.t.Helper()
	r.hours++
	for _, name := range []string{"plexus.pem", "plexus.key"} {
		later := time.Now().Add(time.Duration(r.hours) * time.Hour)
		if err := os.Chtimes(filepath.Join(r.folder, name), later, later); err != nil {
			r.t.Fatal(err)
		}
	}
}

// TestRenewedCertificates holds that certificates of a connection we make are
// taken when they change, and that a change which cannot be used leaves the old
// ones in force.
func TestRenewedCertificates(t *testing.T) {
	check := func(t *testing.T, r *renewal, want int64, connect func(), event func(string) int, log func() string) {
		t.Helper()
		step := func(what string, unusable bool) {
			t.Helper()
			before := event("certificates-unusable")
			connect()
			if got := r.shown.Load(); got != want {
				t.Errorf("%s: certificate %d was shown, want %d", what, got, want)
			}
			if told := event("certificates-unusable") > before; told != unusable {
				t.Errorf("%s: counted as unusable: %v", what, told)
			}
		}
		step("at first", false)
		r.spoil()
		step("half written", true)
		step("half written still", true)
		if n := strings.Count(log(), "changed certificates are not usable"); n != 1 {
			t.Errorf("a file half written was logged %d times, want once", n)
		}
		want = r.issue()
		step("written whole", false)
		if err := os.Remove(filepath.Join(r.folder, "plexus.key")); err != nil {
			t.Fatal(err)
		}
		step("the key is away", true)
		want = r.issue()
		step("it is there again", false)
	}
	t.Run("destination", func(t *testing.T) {
		keys := newRenewal(t)
		first := keys.issue()
		p := newPartner(t, partner.Options{TLS: keys.peer})
		o := defaults()
		o.Address, o.TLS = p.Address(), ours()
		r, n := newRoute(t, o, keys.folder), 0
		connect := func() {
			p.Drop() // the next message needs a new connection
			n++
			r.mustSend(n)
		}
		check(t, keys, first, connect, r.event, func() string {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.log.String()
		})
	})
	t.Run("source that connects", func(t *testing.T) {
		keys := newRenewal(t)
		first := keys.issue()
		c := newCaller(t, "127.0.0.1:0")
		c.tls = keys.peer
		s := newSite(t)
		s.options.Dial, s.options.TLS, s.env.Folder = c.listener.Addr().String(), ours(), keys.folder
		dialing(t, s)
		var last *Client
		n := 0
		connect := func() {
			if last != nil {
				_ = last.Close() // it is made again
			}
			n++
			last = c.taken()
			c.mustSend(last, n)
		}
		check(t, keys, first, connect, s.event, func() string {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.log.String()
		})
	})
}
