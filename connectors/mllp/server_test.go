package mllp

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/internal/partner"
	"github.com/plexus-health/plexus/message"
)

// serving opens a destination of mode server that listens already.
func serving(t *testing.T, o *DestinationOptions, folder string) (r *route, address string) {
	t.Helper()
	o.Mode = modeServer
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	r = newRoute(t, o, folder)
	if err := r.serve(context.Background()); err != nil {
		t.Fatal(err)
	}
	return r, r.server.listener.Addr().String()
}

func (r *route) until(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("it did not come to that: %s", what)
		}
	}
}

func (r *route) waiting() int {
	r.Destination.mu.Lock()
	defer r.Destination.mu.Unlock()
	return len(r.idle)
}

func TestServerMode(t *testing.T) {
	t.Run("listens from the first send on, and nobody comes", func(t *testing.T) {
		o := defaults()
		o.Mode, o.Address, o.Connect = modeServer, "127.0.0.1:0", 20*time.Millisecond
		r := newRoute(t, o, "")
		if r.server != nil {
			t.Error("it listens before it is used")
		}
		_, err := r.send(1)
		if message.KindOf(err) != message.Down || !strings.Contains(err.Error(), "no receiver is connected") {
			t.Errorf("Send = %v, want down", err)
		}
		if r.server == nil {
			t.Error("it does not go on to listen")
		}
	})
	t.Run("the receiver comes while a send waits", func(t *testing.T) {
		r, address := serving(t, defaults(), "")
		sent := make(chan error, 1)
		go func() {
			_, err := r.send(1)
			sent <- err
		}()
		newPartner(t, partner.Options{Address: address, Dial: 1, Again: time.Millisecond})
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
	t.Run("the address is taken", func(t *testing.T) {
		_, address := serving(t, defaults(), "")
		o := defaults()
		o.Mode, o.Address = modeServer, address
		if _, err := newRoute(t, o, "").send(1); message.KindOf(err) != message.Down {
			t.Errorf("Send = %v, want down", err)
		}
	})
	t.Run("the newest connection counts", func(t *testing.T) {
		r, address := serving(t, defaults(), "")
		old, err := net.Dial("tcp", address) // of a receiver that lost its power
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		r.until("one connection waits", func() bool { return r.waiting() == 1 })
		p := newPartner(t, partner.Options{Address: address, Dial: 1})
		_ = old.SetReadDeadline(time.Now().Add(patience))
		if _, err := old.Read(make([]byte, 1)); err == nil || timedOut(err) {
			t.Errorf("the old connection: %v, want that it was closed", err)
		}
		r.mustSend(1)
		if controls(p) != "M000001" {
			t.Errorf("%s arrived", controls(p))
		}
	})
	t.Run("a stranger gets nothing", func(t *testing.T) {
		o := defaults()
		o.Peers, o.Connect = []string{"192.0.2.0/24"}, 50*time.Millisecond
		r, address := serving(t, o, "")
		p := newPartner(t, partner.Options{Address: address, Dial: 1, Again: time.Millisecond})
		if _, err := r.send(1); message.KindOf(err) != message.Down {
			t.Errorf("Send = %v, want down", err)
		}
		r.until("a peer is refused", func() bool { return r.event("peer-refused") > 0 })
		if controls(p) != "" {
			t.Errorf("%s arrived", controls(p))
		}
	})
}

func TestClosedDestination(t *testing.T) {
	p := newPartner(t, partner.Options{})
	o := defaults()
	o.Address = p.Address()
	r := newRoute(t, o, "")
	r.mustSend(1)
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.send(2); message.KindOf(err) != message.Down {
		t.Errorf("Send = %v, want down", err)
	}
	s, _ := serving(t, defaults(), "")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.serve(context.Background()); err == nil {
		t.Error("a closed destination listens again")
	}
}

// TestCloseDuringSend holds that a send under way when the destination is
// closed ends with its answer, and its connection with it.
func TestCloseDuringSend(t *testing.T) {
	came, leave := make(chan struct{}), make(chan struct{})
	p := newPartner(t, partner.Options{Took: func(partner.Arrival, []byte) { close(came); <-leave }})
	o := defaults()
	o.Address = p.Address()
	r := newRoute(t, o, "")
	sent := make(chan error, 1)
	go func() {
		_, err := r.send(1)
		sent <- err
	}()
	<-came
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	close(leave)
	if err := <-sent; err != nil {
		t.Errorf("Send = %v, want its answer", err)
	}
	if n := r.waiting(); n != 0 {
		t.Errorf("%d connections wait in a closed destination", n)
	}
}

func TestDestinationTLS(t *testing.T) {
	keys, strangers := newKeyring(t), newKeyring(t)
	tests := map[string]struct {
		tls   *network.TLSOptions
		peer  *partner.Options // of the receiver; nil: mutual TLS
		kind  message.Kind     // empty: accepted
		text  string
		after bool // the refusal may come after the message was sent
		short bool // the other side says nothing, for ever
	}{
		"mutual":                        {tls: ours()},
		"mutual, a name given":          {tls: &network.TLSOptions{Cert: "plexus.pem", Key: "plexus.key", CA: "ca.pem", ServerName: "127.0.0.1", Min: "1.3"}},
		"another name":                  {tls: &network.TLSOptions{Cert: "plexus.pem", Key: "plexus.key", CA: "ca.pem", ServerName: "lab.example.org"}, kind: message.Down, text: "lab.example.org"},
		"authorities of the system":     {tls: &network.TLSOptions{Cert: "plexus.pem", Key: "plexus.key"}, kind: message.Down, text: "tls: "},
		"a receiver of strangers":       {tls: ours(), peer: &partner.Options{TLS: strangers.server}, kind: message.Down, text: "tls: "},
		"a receiver that is plain":      {tls: ours(), peer: &partner.Options{}, kind: message.Down, short: true},
		"files that are not there":      {tls: &network.TLSOptions{Cert: "none.pem", Key: "none.key", CA: "ca.pem"}, kind: message.Down, text: "none.pem"},
		"we are plain":                  {kind: message.Unknown, after: true},
		"we have no certificate":        {tls: &network.TLSOptions{CA: "ca.pem"}, kind: message.Unknown, after: true},
		"no certificate, before TLS1.3": {tls: &network.TLSOptions{CA: "ca.pem"}, peer: &partner.Options{TLS: upTo12(keys)}, kind: message.Down},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			options := partner.Options{TLS: keys.server}
			if test.peer != nil {
				options = *test.peer
			}
			p := newPartner(t, options)
			o := defaults()
			o.Address, o.TLS, o.Connect = p.Address(), test.tls, patience
			if test.short {
				o.Connect = 100 * time.Millisecond
			}
			_, err := newRoute(t, o, keys.folder).send(1)
			switch kind := message.KindOf(err); {
			case test.kind == "" && err != nil:
				t.Errorf("Send = %v", err)
			case test.kind != "" && (err == nil || kind != test.kind && (!test.after || kind != message.Down)):
				t.Errorf("Send = %v, kind %s; want %s", err, kind, test.kind)
			case test.kind != "" && !strings.Contains(err.Error(), test.text):
				t.Errorf("Send = %v, want that it says %q", err, test.text)
			}
			if test.kind != "" && controls(p) != "" {
				t.Errorf("%s arrived", controls(p))
			}
		})
	}
	t.Run("server mode, a stranger", func(t *testing.T) {
		o := defaults()
		o.TLS, o.Connect = ours(), 100*time.Millisecond
		r, address := serving(t, o, keys.folder)
		p := newPartner(t, partner.Options{Address: address, Dial: 1, Again: time.Millisecond, TLS: strangers.client})
		if _, err := r.send(1); message.KindOf(err) != message.Down {
			t.Errorf("Send = %v, want down", err)
		}
		r.until("a handshake is refused", func() bool { return r.event("tls-failed") > 0 })
		if controls(p) != "" {
			t.Errorf("%s arrived", controls(p))
		}
	})
	t.Run("server mode, certificates that are not there", func(t *testing.T) {
		o := defaults()
		o.Mode, o.Address, o.TLS = modeServer, "127.0.0.1:0", &network.TLSOptions{Cert: "none.pem", Key: "none.key", CA: "ca.pem"}
		if _, err := newRoute(t, o, keys.folder).send(1); message.KindOf(err) != message.Down {
			t.Errorf("Send = %v, want down", err)
		}
	})
}

func TestDestinationProblems(t *testing.T) {
	pair := &network.TLSOptions{Cert: "c", Key: "k"}
	tests := map[string]struct {
		change func(o *DestinationOptions)
		want   string
	}{
		"as it is":        {func(*DestinationOptions) {}, ""},
		"no address":      {func(o *DestinationOptions) { o.Address = "" }, "address: is missing: host:port, such as lab.example.org:2575"},
		"no port":         {func(o *DestinationOptions) { o.Address = "lab" }, `address: "lab" is not host:port, such as 127.0.0.1:2575`},
		"port":            {func(o *DestinationOptions) { o.Address = "127.0.0.1:70000" }, "address: port 70000 is not between 0 and 65535"},
		"no host":         {func(o *DestinationOptions) { o.Address = ":2575" }, `address: ":2575" has no host to connect to`},
		"plain far away":  {func(o *DestinationOptions) { o.Address = "lab.example.org:1" }, `address: "lab.example.org:1" is another machine, or reachable from others, and messages would travel unencrypted: add tls, or say insecure: i-understand`},
		"understood":      {func(o *DestinationOptions) { o.Address, o.Insecure = "lab.example.org:1", "i-understand" }, ""},
		"misunderstood":   {func(o *DestinationOptions) { o.Address, o.Insecure = "lab.example.org:1", "yes" }, `insecure: "yes" is not known; the only word is i-understand`},
		"encrypted":       {func(o *DestinationOptions) { o.Address, o.TLS = "lab.example.org:1", &network.TLSOptions{} }, ""},
		"mode":            {func(o *DestinationOptions) { o.Mode = "x" }, `mode: "x" is not known; known: client, server`},
		"wait":            {func(o *DestinationOptions) { o.Wait = "x" }, `wait: "x" is not known; known: accept, application, commit, none`},
		"no connections":  {func(o *DestinationOptions) { o.Connections = 0 }, "connections: 0 is not between 1 and 256"},
		"connections":     {func(o *DestinationOptions) { o.Connections = 257 }, "connections: 257 is not between 1 and 256"},
		"times":           {func(o *DestinationOptions) { o.Connect, o.Timeout, o.KeepAlive = 0, -1, 0 }, "connect: 0s is not a time above zero, such as 30s; timeout: -1ns is not a time above zero, such as 30s; keepalive: 0s is not a time above zero, such as 30s"},
		"idle":            {func(o *DestinationOptions) { o.Idle = -1 }, "idle: -1ns is not a time, such as 5m, nor 0 for never"},
		"never idle":      {func(o *DestinationOptions) { o.Idle = 0 }, ""},
		"peers of client": {func(o *DestinationOptions) { o.Peers = []string{"10.0.0.1"} }, "peers: say who may connect; with mode: client nobody does"},
		"peers":           {func(o *DestinationOptions) { o.Mode, o.Peers = modeServer, []string{"x"} }, `peers[0]: "x" is not an address or network, such as 192.0.2.17 or 10.1.0.0/16`},
		"key alone":       {func(o *DestinationOptions) { o.TLS = &network.TLSOptions{Key: "k"} }, "tls.cert: is missing: the file of the certificate"},
		"cert alone":      {func(o *DestinationOptions) { o.TLS = &network.TLSOptions{Cert: "c"} }, "tls.key: is missing: the file of the certificate's private key"},
		"min":             {func(o *DestinationOptions) { o.TLS = &network.TLSOptions{Min: "1.1"} }, `tls.min: "1.1" is not known; known: 1.2, 1.3`},
		"server":          {func(o *DestinationOptions) { o.Mode, o.Address, o.TLS = modeServer, ":2575", pair }, "tls.ca: is missing: whoever connects would get the messages. Name the authorities of the receiver's certificate, or say insecure: i-understand"},
		"server, name": {func(o *DestinationOptions) {
			o.Mode, o.TLS = modeServer, &network.TLSOptions{Cert: "c", Key: "k", ServerName: "n"}
		}, "tls.server_name: names the peer we connect to; here the peers connect to us"},
		"server, mutual": {func(o *DestinationOptions) {
			o.Mode, o.Address, o.TLS = modeServer, ":1", &network.TLSOptions{Cert: "c", Key: "k", CA: "a"}
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := defaults()
			o.Address = "127.0.0.1:2575"
			test.change(o)
			if got := joined(o.Validate()); got != test.want {
				t.Errorf("Validate:\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func joined(problems []connectors.Problem) string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Field+": "+p.Text)
	}
	return strings.Join(out, "; ")
}

func TestLimits(t *testing.T) {
	o := defaults()
	o.Connections, o.Connect, o.Timeout = 3, time.Second, 5*time.Second
	if got, want := o.Limits(), (connectors.SendLimits{Connections: 3, Timeout: 6 * time.Second}); got != want {
		t.Errorf("Limits = %+v, want %+v", got, want)
	}
}
