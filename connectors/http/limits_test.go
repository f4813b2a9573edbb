package http

import (
	"bytes"
	"crypto/tls"
	"io"
	nethttp "net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/connectors/web/webtest"
	"github.com/plexus-health/plexus/message"
)

// TestSlowSenders holds that whoever sends byte by byte is given up, at the
// headers and at the content, and that others are served meanwhile.
func TestSlowSenders(t *testing.T) {
	for name, begun := range map[string]string{
		"nothing": "", "headers": "POST / HTTP/1.1\r\nX-A: ", "content": post(1000) + "x", "a large content": post(60000) + strings.Repeat("x", 20000),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.options.Request = 300 * time.Millisecond
			address := s.run()
			slow := webtest.Dial(t, address, nil)
			if _, err := io.WriteString(slow.Conn, begun); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			var dripping sync.WaitGroup
			dripping.Go(func() {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for begun != "" {
					if _, err := io.WriteString(slow.Conn, "x"); err != nil {
						return
					}
					select {
					case <-tick.C:
					case <-stop:
						return
					}
				}
			})
			if got := s.raw(address, post(4)+"fast"); got != "200 " {
				t.Errorf("the other sender was answered %q", got)
			}
			response, _, err := slow.Read()
			if err == nil && response.StatusCode != nethttp.StatusRequestTimeout {
				t.Errorf("answered %d, want 408 or the end", response.StatusCode)
			}
			close(stop)
			dripping.Wait()
			taken, cut, damaged := strings.Cut(s.contents(), "|")
			if taken != "fast" {
				t.Errorf("taken %q, want only the other's", taken)
			}
			if want := strings.Contains(name, "content"); damaged != want || want && !strings.HasSuffix(cut, " damaged: the content did not come in time") {
				t.Errorf("handed over as damaged: %q", cut)
			}
		})
	}
}

// TestASenderThatReadsNothing holds that an answer which is not read ends the
// connection.
func TestASenderThatReadsNothing(t *testing.T) {
	s := newSite(t)
	s.options.Write = 50 * time.Millisecond
	s.answer = func(*message.Message) (message.Reply, error) {
		return message.Reply{Answer: message.Answer{Code: message.Accepted}, Raw: bytes.Repeat([]byte("x"), 64<<20)}, nil
	}
	sender := webtest.Dial(t, s.run(), nil)
	if _, err := io.WriteString(sender.Conn, post(1)+"x"); err != nil {
		t.Fatal(err)
	}
	s.until("the end of the connection", func() bool { return s.event("reply-failed") == 1 })
}

func TestConnectionsAreLimited(t *testing.T) {
	for name, change := range map[string]func(s *site){
		"of all":         func(s *site) { s.env.Connections = 2 },
		"of one address": func(s *site) { s.options.PeerConnections = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			change(s)
			address := s.run()
			first, second := webtest.Dial(t, address, nil), webtest.Dial(t, address, nil)
			for _, sender := range []*webtest.Sender{first, second} {
				if response, _, err := sender.Post([]byte("x")); err != nil || response.StatusCode != nethttp.StatusOK {
					t.Fatalf("a connection within the limit: %v", err)
				}
			}
			if _, _, err := webtest.Dial(t, address, nil).Post([]byte("x")); err == nil {
				t.Error("a connection above the limit was answered")
			}
			s.until("the refusal", func() bool { return s.event("connection-refused") == 1 })
			first.Close()
			s.until("room for another", func() bool { return s.raw(address, post(1)+"x") == "200 " })
		})
	}
}

// TestASilentConnectionMakesRoom: one that waits between two requests for long
// is closed for a newcomer when all are taken; one whose request is served is
// not.
func TestASilentConnectionMakesRoom(t *testing.T) {
	s := newSite(t)
	s.env.Connections = 1
	var ahead atomic.Int64
	s.env.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	served, goOn := make(chan struct{}), make(chan struct{})
	s.answer = func(m *message.Message) (message.Reply, error) {
		if string(m.Raw) == "slow" {
			close(served)
			<-goOn
		}
		return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
	}
	address := s.run()
	first := webtest.Dial(t, address, nil)
	if response, _, err := first.Post([]byte("x")); err != nil || response.StatusCode != nethttp.StatusOK {
		t.Fatalf("the first: %v", err)
	}
	s.until("room for a newcomer", func() bool {
		ahead.Add(int64(time.Hour)) // it may be noticed as waiting only now
		return s.raw(address, post(1)+"x") == "200 "
	})
	if s.event("connection-displaced") != 1 {
		t.Errorf("%d connections made room, want 1", s.event("connection-displaced"))
	}
	var slow *webtest.Sender
	answered := make(chan error, 1)
	s.until("a connection whose request is served", func() bool {
		slow = webtest.Dial(t, address, nil)
		go func() {
			_, _, err := slow.Post([]byte("slow"))
			answered <- err
		}()
		select {
		case <-served:
			return true
		case <-answered: // the one before had not left yet
			return false
		}
	})
	ahead.Add(int64(time.Hour))
	if got := s.raw(address, post(1)+"x"); got != "closed" {
		t.Errorf("a newcomer while the only connection is served: %q, want closed", got)
	}
	close(goOn)
	if err := <-answered; err != nil {
		t.Errorf("the request that was served: %v", err)
	}
}

func TestPeers(t *testing.T) {
	s := newSite(t)
	s.options.Peers = []string{"192.0.2.0/24"}
	if got := s.raw(s.run(), post(1)+"x"); got != "closed" {
		t.Errorf("answered %q, want closed", got)
	}
	if s.event("peer-refused") != 1 {
		t.Error("the refusal was not counted")
	}
}

// TestTheEndWaitsForNobodyWhoIsNotDone holds that a request of which a part is
// missing does not hold up the end, and is not taken.
func TestTheEndWaitsForNobodyWhoIsNotDone(t *testing.T) {
	for name, sent := range map[string]string{"nothing": "", "headers": "POST / HT", "content": post(100) + "x", "a stream": post(50000) + strings.Repeat("x", 20000)} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.options.Request = time.Hour
			sender := webtest.Dial(t, s.run(), nil)
			if _, err := io.WriteString(sender.Conn, sent); err != nil {
				t.Fatal(err)
			}
			s.stop()
			select {
			case err := <-s.ended:
				s.ended <- err
			case <-time.After(webtest.Patience):
				t.Fatal("Run did not end")
			}
			if got := s.contents(); got != "" {
				t.Errorf("taken %q, want nothing", got)
			}
		})
	}
}

func TestSourceTLS(t *testing.T) {
	folder := t.TempDir()
	ca, other := webtest.NewAuthority(t, folder), webtest.NewAuthority(t, t.TempDir())
	ca.Issue("plexus", "", webtest.Later())
	client := ca.Issue("partner", "", webtest.Later())
	expired := ca.Issue("expired", "", time.Now().Add(-time.Hour))
	trust := func(c ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1", Certificates: c}
	}
	tests := map[string]struct {
		mutual bool
		min    string
		client *tls.Config
		taken  bool
	}{
		"encrypted":                            {client: trust(), taken: true},
		"no encryption":                        {},
		"an authority nobody knows":            {client: &tls.Config{RootCAs: other.Pool, ServerName: "127.0.0.1"}},
		"an old version":                       {min: "1.3", client: &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12}},
		"mutual":                               {mutual: true, client: trust(client), taken: true},
		"mutual without a certificate":         {mutual: true, client: trust()},
		"mutual with a stranger's certificate": {mutual: true, client: trust(other.Issue("partner", "", webtest.Later()))},
		"mutual with an expired certificate":   {mutual: true, client: trust(expired)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.env.Folder = folder
			s.options.TLS = &network.TLSOptions{Cert: "plexus.pem", Key: filepath.Join(folder, "plexus.key"), Min: test.min}
			if test.mutual {
				s.options.TLS.CA = "ca.pem"
			}
			response, _, err := webtest.Dial(t, s.run(), test.client).Post([]byte("x"))
			if test.taken {
				if err != nil || response.StatusCode != nethttp.StatusOK {
					t.Errorf("not taken: %v", err)
				}
				return
			}
			if err == nil {
				t.Errorf("answered %d, want no connection", response.StatusCode)
			}
			s.until("the refusal", func() bool { return s.event("tls-failed") == 1 })
			if s.contents() != "" {
				t.Error("a message was taken")
			}
		})
	}
}

// TestAnAddressThatIsTaken holds that Run says so.
func TestAnAddressThatIsTaken(t *testing.T) {
	s := newSite(t)
	o := sourceDefaults()
	o.Listen = s.run()
	source, err := o.Open(s.env)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Run(t.Context(), s.handle); err == nil {
		t.Error("no error")
	}
	o.Listen, o.TLS = "127.0.0.1:0", &network.TLSOptions{Cert: "none.pem", Key: "none.key"}
	if source, err = o.Open(s.env); err != nil {
		t.Fatal(err)
	}
	if err := source.Run(t.Context(), s.handle); err == nil {
		t.Error("no error although the certificate is missing")
	}
}
