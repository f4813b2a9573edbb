package mllp

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// TestNamesOfCertificates: who a peer is decides for whom it may speak.
func TestNamesOfCertificates(t *testing.T) {
	folder := t.TempDir()
	ca := newAuthority(t, folder)
	for _, name := range []string{"server", "north", "south", "stranger"} {
		ca.issue(folder, name)
	}
	for name, c := range map[string]struct {
		cert    string
		names   map[string][]string
		senders []string
		refused bool
	}{
		"one facility":      {"north", map[string][]string{"north": {"NORTH"}}, []string{"NORTH"}, false},
		"of several":        {"south", map[string][]string{"north": {"NORTH"}, "south": {"A|SOUTH", "B|SOUTH"}}, []string{"A|SOUTH", "B|SOUTH"}, false},
		"anyone":            {"north", map[string][]string{"north": {"*"}}, nil, false},
		"not said":          {"north", nil, nil, false},
		"none of the names": {"stranger", map[string][]string{"north": {"NORTH"}}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.env.Folder = folder
			s.options.TLS = &network.TLSOptions{Cert: "server.pem", Key: "server.key", CA: "ca.pem", Names: c.names}
			if problems := s.options.Validate(); len(problems) > 0 {
				t.Fatal(joined(problems))
			}
			var mu sync.Mutex
			got := []string{"no message"}
			s.handle = func(ctx context.Context, m *message.Message) (message.Reply, error) {
				mu.Lock()
				got = m.Senders
				mu.Unlock()
				return s.note(ctx, m)
			}
			options := ClientOptions{Address: s.run()}
			var err error
			if options.TLS, err = ClientTLS(ca.file, filepath.Join(folder, c.cert+".pem"), filepath.Join(folder, c.cert+".key")); err != nil {
				t.Fatal(err)
			}
			code, err := exchange(options)
			if c.refused {
				if err == nil {
					t.Errorf("answered %s, want no answer", code)
				}
				s.until(func() bool { return s.event("peer-unnamed") == 1 })
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil || code != "AA" || !slices.Equal(got, c.senders) {
				t.Errorf("%q, %v; may speak for %q, want %q", code, err, got, c.senders)
			}
		})
	}
}

func TestWordsOfNames(t *testing.T) {
	s := DefaultSource().(*SourceOptions)
	s.PeerConnections = -1
	s.TLS = &network.TLSOptions{Cert: "a", Key: "b", Names: map[string][]string{"north": {}}}
	want := `peer_connections: -1 is not a number of connections, nor 0 for no limit of its own; ` +
		`tls.names: needs ca: without it peers show certificates of their own making, or none; ` +
		`tls.names: "north": a name of a certificate and the senders it may speak for are wanted, such as lab.example.org: [ NORTH ]`
	if got := joined(s.Validate()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	o := defaults()
	o.Address, o.TLS = "127.0.0.1:1", &network.TLSOptions{CA: "c", Names: map[string][]string{"north": {"*"}}}
	if got := joined(o.Validate()); got != "tls.names: is for sources that receive over MLLP" {
		t.Errorf("got %q", got)
	}
}

// TestConnectionsOfOnePeer: one address may have so many, and a new one when one
// has ended.
func TestConnectionsOfOnePeer(t *testing.T) {
	s := newSite(t)
	s.options.PeerConnections = 2
	address := s.run()
	var clients []*Client
	for range 2 {
		c, err := Dial(t.Context(), ClientOptions{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exchange(t.Context(), []byte(m1)); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	if code, err := exchange(ClientOptions{Address: address}); err == nil {
		t.Errorf("a third connection was served: %s", code)
	}
	s.until(func() bool { return s.event("connection-refused") == 1 })
	if err := clients[0].Close(); err != nil {
		t.Fatal(err)
	}
	s.until(func() bool {
		_, err := exchange(ClientOptions{Address: address})
		return err == nil
	})
	_ = clients[1].Close()
}
