package mllp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/message"
)

// A caller is a sender that waits to be connected to.
type caller struct {
	t        *testing.T
	listener net.Listener
	tls      *tls.Config
}

func newCaller(t *testing.T, address string) *caller {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return &caller{t: t, listener: listener}
}

// taken is the connection that the engine made next.
func (c *caller) taken() *Client {
	c.t.Helper()
	_ = c.listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := c.listener.Accept()
	if err != nil {
		c.t.Fatal(err)
	}
	if c.tls != nil {
		secure := tls.Server(conn, c.tls)
		ctx, done := context.WithTimeout(context.Background(), patience)
		defer done()
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			c.t.Fatal(err)
		}
		conn = secure
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	return newClient(conn, 0)
}

func (c *caller) mustSend(client *Client, n int) {
	c.t.Helper()
	raw, control := payload(n)
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	reply, err := client.Exchange(ctx, raw)
	if a := ReadAck(reply); err != nil || a.Code != "AA" || a.Control != control {
		c.t.Errorf("message %d: answer %q, %v", n, reply, err)
	}
}

// dialing runs a source that connects, until the end of the test.
func dialing(t *testing.T, s *site) {
	t.Helper()
	source, err := s.options.Open(s.env)
	if err != nil {
		t.Fatal(err)
	}
	s.source = source.(*Source)
	s.source.soon, s.source.late = time.Millisecond, 5*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.source.Run(ctx, s.handle) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if strings.Contains(s.log.String(), "77^^^N^MR") {
			t.Error("content of a message is in the log")
		}
	})
}

func TestDialingSource(t *testing.T) {
	s := newSite(t)
	c := newCaller(t, "127.0.0.1:0")
	s.options.Dial = c.listener.Addr().String()
	var receiving atomic.Int32
	s.env.Receiving = func() { receiving.Add(1) }
	dialing(t, s)
	for round := range 3 { // the connection is made again each time
		client := c.taken()
		for n := range 5 {
			c.mustSend(client, 10*round+n)
		}
		if round == 1 {
			_, _ = client.conn.Write([]byte("\x0b" + m1)) // half a message
		}
		_ = client.Close()
	}
	client := c.taken()
	c.mustSend(client, 99)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.taken) != 17 || s.events["frame-cut"] != 1 {
		t.Errorf("%d messages came, %v; want 16 and a half", len(s.taken), s.events)
	}
	var last string
	for _, m := range s.taken {
		if m.damage != "" {
			continue
		}
		control, _, _ := Control([]byte(m.raw))
		if control <= last {
			t.Errorf("%s came after %s", control, last)
		}
		last = control
	}
	if n := receiving.Load(); n != 1 {
		t.Errorf("Receiving was called %d times, want once", n)
	}
}

func TestDialingUntilThePeerIsThere(t *testing.T) {
	c := newCaller(t, "127.0.0.1:0")
	address := c.listener.Addr().String()
	_ = c.listener.Close()
	s := newSite(t)
	s.options.Dial = address
	dialing(t, s)
	s.until(func() bool { return s.event("dial-failed") > 3 })
	c = newCaller(t, address)
	c.mustSend(c.taken(), 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := strings.Count(s.log.String(), "peer cannot be reached"); n != 1 {
		t.Errorf("a peer that is away was logged %d times, want once", n)
	}
}

func TestDialingUnansweredIsGivenUp(t *testing.T) {
	s := newSite(t)
	c := newCaller(t, "127.0.0.1:0")
	s.options.Dial = c.listener.Addr().String()
	var calls atomic.Int32
	take := s.handle
	s.handle = func(ctx context.Context, m *message.Message) (message.Reply, error) {
		if calls.Add(1) == 1 {
			return message.Reply{}, errors.New("the store is away")
		}
		return take(ctx, m)
	}
	dialing(t, s)
	raw, _ := payload(1)
	if _, err := c.taken().Exchange(context.Background(), raw); message.KindOf(err) != message.Unknown {
		t.Errorf("Exchange = %v, want that the connection ended without an answer", err)
	}
	c.mustSend(c.taken(), 1)
}

func TestDialingTLS(t *testing.T) {
	keys := newKeyring(t)
	c := newCaller(t, "127.0.0.1:0")
	c.tls = keys.server
	s := newSite(t)
	s.options.Dial, s.options.TLS, s.env.Folder = c.listener.Addr().String(), ours(), keys.folder
	dialing(t, s)
	c.mustSend(c.taken(), 1)

	bad := newSite(t)
	bad.options.Dial, bad.options.TLS = c.listener.Addr().String(), &network.TLSOptions{CA: "none.pem"}
	source, err := bad.options.Open(bad.env)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Run(context.Background(), bad.handle); err == nil {
		t.Error("it ran without the authorities that it was told to trust")
	}
}

// TestDialingPlainPeer holds that a peer that does not encrypt gets no answer.
func TestDialingPlainPeer(t *testing.T) {
	keys := newKeyring(t)
	c := newCaller(t, "127.0.0.1:0")
	s := newSite(t)
	s.options.Dial, s.options.TLS, s.env.Folder = c.listener.Addr().String(), ours(), keys.folder
	dialing(t, s)
	client := c.taken()
	raw, _ := payload(1)
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	if reply, err := client.Exchange(ctx, raw); err == nil {
		t.Errorf("answered %q", reply)
	}
	s.until(func() bool { return s.event("dial-failed") > 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.taken) != 0 {
		t.Errorf("%d messages came", len(s.taken))
	}
}

func TestDialingProblems(t *testing.T) {
	tests := map[string]struct {
		change func(o *SourceOptions)
		want   string
	}{
		"as it is":   {func(*SourceOptions) {}, ""},
		"no host":    {func(o *SourceOptions) { o.Dial = ":1" }, `dial: ":1" has no host to connect to`},
		"no port":    {func(o *SourceOptions) { o.Dial = "lab" }, `dial: "lab" is not host:port, such as 127.0.0.1:2575`},
		"far away":   {func(o *SourceOptions) { o.Dial = "lab.example.org:1" }, `dial: "lab.example.org:1" is another machine and messages would travel unencrypted: add tls, or say insecure: i-understand`},
		"encrypted":  {func(o *SourceOptions) { o.Dial, o.TLS = "lab.example.org:1", &network.TLSOptions{} }, ""},
		"understood": {func(o *SourceOptions) { o.Dial, o.Insecure = "lab.example.org:1", "i-understand" }, ""},
		"peers":      {func(o *SourceOptions) { o.Peers = []string{"10.0.0.1"} }, "peers: say who may connect; with dial nobody does"},
		"key alone":  {func(o *SourceOptions) { o.TLS = &network.TLSOptions{Key: "k"} }, "tls.cert: is missing: the file of the certificate"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := DefaultSource().(*SourceOptions)
			o.Dial = "127.0.0.1:2575"
			test.change(o)
			if got := joined(o.Validate()); got != test.want {
				t.Errorf("Validate:\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestJitter(t *testing.T) {
	for range 1000 {
		if d := jitter(time.Second); d < time.Second/2 || d > time.Second {
			t.Fatalf("jitter(1s) = %s", d)
		}
	}
}
