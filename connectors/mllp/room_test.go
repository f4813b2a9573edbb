package mllp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/internal/partner"
	"github.com/plexus-health/plexus/message"
)

// crowd makes a site of few seats whose time stands still; pass lets some go by.
func crowd(t *testing.T, seats int) (s *site, pass func(time.Duration)) {
	t.Helper()
	s = newSite(t)
	s.env.Connections = seats
	s.options.Idle, s.options.Frame = time.Hour, time.Hour // nothing else makes room
	began, gone := time.Now(), new(atomic.Int64)
	s.env.Now = func() time.Time { return began.Add(time.Duration(gone.Load())) }
	return s, func(d time.Duration) { gone.Add(int64(d)) }
}

// say writes text on a new connection.
func (s *site) say(text string) net.Conn {
	s.t.Helper()
	conn := s.dial()
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// answers sends a message over an open connection and reports its answer.
func answers(conn net.Conn, raw string) (string, error) {
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	reply, err := newClient(conn, 0).Exchange(ctx, []byte(raw))
	return ReadAck(reply).Code, err
}

// mustAnswer holds that a connection is served.
func (s *site) mustAnswer(what string, conn net.Conn) {
	s.t.Helper()
	if code, err := answers(conn, m1); err != nil || code != "AA" {
		s.t.Errorf("%s: answer %q, %v; want AA", what, code, err)
	}
}

// mustEnd holds that a connection was closed without an answer.
func (s *site) mustEnd(what string, conn net.Conn) {
	s.t.Helper()
	if got := strings.Trim(codes(conn), "! "); got != "" {
		s.t.Errorf("%s: answers %q, want only its end", what, got)
	}
}

// TestNobodyKeepsOthersOutBySilence fills a listener with peers that say nothing
// or half a message.
func TestNobodyKeepsOthersOutBySilence(t *testing.T) {
	large := "\x0b" + m1 + strings.Repeat("x", 20<<10) // comes as a stream
	tests := map[string]struct {
		said string
		tls  bool
	}{
		"nothing":                               {"", false},
		"bytes that are no message":             {"x", false},
		"half a message":                        {"\n\x0b" + m1, false},
		"start bytes":                           {"\n\x0b\x0b\x0b", false},
		"half a large message":                  {"\n" + large, false},
		"a message, then half of one":           {framed(m1) + "\n\x0b" + m2, false},
		"a message, then half of a large one":   {framed(m1) + "\n" + large, false},
		"nothing, where a handshake is awaited": {"", true},
		"half a handshake":                      {"\x16\x03\x01", true},
	}
	const seats = 4
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, pass := crowd(t, seats)
			var options ClientOptions
			if test.tls {
				ca := newAuthority(t, s.env.Folder)
				ca.issue(s.env.Folder, "server")
				s.options.TLS = &network.TLSOptions{Cert: "server.pem", Key: "server.key"}
				var err error
				if options.TLS, err = ClientTLS(ca.file, "", ""); err != nil {
					t.Fatal(err)
				}
			}
			options.Address = s.run()
			var silent []net.Conn
			for i := range seats {
				silent = append(silent, s.say(test.said))
				if strings.Contains(test.said, "\n") { // what begins the last frame has been read
					s.until(func() bool { return s.event("gap-bytes") >= i+1 })
				}
			}
			s.mustEnd("a newcomer within the grace", s.dial())
			pass(network.Grace + 1)
			for i, conn := range silent {
				newcomer, err := Dial(context.Background(), options)
				if err != nil {
					t.Fatal(err)
				}
				defer newcomer.Close()
				if reply, err := newcomer.Exchange(context.Background(), []byte(m1)); err != nil || ReadAck(reply).Code != "AA" {
					t.Fatalf("newcomer %d: answer %q, %v; want AA", i, reply, err)
				}
				// No more answers than to the messages that came whole.
				if got, want := strings.Trim(codes(conn), "! "), strings.Repeat("AA:1", strings.Count(test.said, "\x1c")); got != want {
					t.Errorf("silent connection %d got %q, want %q and its end", i, got, want)
				}
			}
			if n := s.event("connection-displaced"); n != seats {
				t.Errorf("%d connections were displaced, want %d", n, seats)
			}
			for _, event := range []string{"frame-cut", "frame-timeout", "tls-failed", "unanswered"} {
				if n := s.event(event); n > 0 {
					t.Errorf("%s was counted for connections that we closed", event)
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, m := range s.taken {
				if m.damage != "" {
					t.Errorf("the journal was given half a message: %s", m.damage)
				}
			}
		})
	}
}

func TestIdleConnectionsKeepTheirSeatsForAWhile(t *testing.T) {
	s, pass := crowd(t, 3)
	s.run()
	var first []net.Conn
	for range 3 {
		conn := s.dial()
		s.mustAnswer("a connection", conn)
		first = append(first, conn)
		pass(time.Second)
	}
	s.mustAnswer("the first again", first[0])
	pass(network.Quiet - 2*time.Second)
	s.mustEnd("a newcomer", s.dial())
	pass(2 * time.Second)
	s.mustAnswer("a newcomer", s.dial())
	s.mustEnd("the one silent for the longest time", first[1])
	s.mustAnswer("the one that spoke last", first[0])
}

// TestPendingAnswersKeepTheirSeats holds that a message which came whole is
// answered, whoever waits.
func TestPendingAnswersKeepTheirSeats(t *testing.T) {
	for name, raw := range map[string]string{"a message": m1, "a large message": m1 + strings.Repeat("x", 20<<10)} {
		t.Run(name, func(t *testing.T) {
			const seats = 3
			s, pass := crowd(t, seats)
			whole, leave := make(chan struct{}, seats), make(chan struct{})
			s.handle = func(_ context.Context, m *message.Message) (message.Reply, error) {
				if m.Stream != nil {
					if _, err := io.Copy(io.Discard, m.Stream); err != nil {
						return message.Reply{}, err
					}
				}
				whole <- struct{}{}
				<-leave
				return message.Reply{Answer: message.Answer{Code: message.Accepted}, Raw: []byte(ackHead + "MSA|AA|1\r")}, nil
			}
			s.run()
			var conns []net.Conn
			for range seats {
				conns = append(conns, s.say(framed(raw)))
				<-whole
			}
			pass(time.Hour)
			for range 5 {
				s.mustEnd("a newcomer", s.dial())
			}
			close(leave)
			for i, conn := range conns {
				_ = conn.(*net.TCPConn).CloseWrite()
				if got := codes(conn); got != "AA:1" {
					t.Errorf("connection %d got %q, want its answer", i, got)
				}
			}
			if n := s.event("connection-displaced"); n > 0 {
				t.Errorf("%d connections were displaced", n)
			}
		})
	}
}

// TestOneAddressKeepsNoOtherOut needs a second address of this machine.
func TestOneAddressKeepsNoOtherOut(t *testing.T) {
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	s, _ := crowd(t, 8)
	address := s.run()
	for range 8 {
		s.mustAnswer("a connection of the first address", s.dial())
	}
	s.mustEnd("one more of the first address", s.dial())
	for i := range 4 {
		conn, err := other.Dial("tcp", address)
		if err != nil && i == 0 {
			t.Skipf("no second address on this machine: %v", err)
		} else if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s.mustAnswer("the other address", conn)
		s.mustEnd("one more of the first address", s.dial())
	}
	if n := s.event("connection-displaced"); n != 4 {
		t.Errorf("%d connections were displaced, want 4", n)
	}
}

// TestDisplacedMessagesAreSentAgain has many senders on few seats while time
// leaps, so that whatever is not held is displaced: each message is taken once,
// and answered to the sender who sent it.
func TestDisplacedMessagesAreSentAgain(t *testing.T) {
	const senders, each = 12, 20
	s, pass := crowd(t, 3)
	s.handle = func(ctx context.Context, m *message.Message) (message.Reply, error) {
		pass(2 * network.Quiet)
		return s.note(ctx, m)
	}
	address := s.run()
	for range s.env.Connections {
		s.dial() // says nothing
	}
	s.mustEnd("a newcomer within the grace", s.dial()) // those before it have their seats
	pass(2 * network.Quiet)
	var group sync.WaitGroup
	for sender := range senders {
		group.Go(func() {
			for n := range each {
				raw, control := payload(sender*each + n)
				if err := sendUntil(address, raw, control); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	came := map[string]int{}
	for _, m := range s.taken {
		control, _, _ := Control([]byte(m.raw))
		if came[control]++; m.damage != "" || came[control] > 1 {
			t.Errorf("%s was taken %d times, damage %q", control, came[control], m.damage)
		}
	}
	if len(came) != senders*each || s.events["connection-displaced"] == 0 {
		t.Errorf("%d messages came, %v; want %d and some displaced", len(came), s.events, senders*each)
	}
}

// sendUntil sends a message over connections of its own until it is answered.
func sendUntil(address string, raw []byte, control string) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		client, err := Dial(context.Background(), ClientOptions{Address: address})
		if err != nil {
			continue
		}
		reply, err := client.Exchange(context.Background(), raw)
		_ = client.Close()
		if a := ReadAck(reply); err == nil && (a.Code != "AA" || a.Control != control) {
			return fmt.Errorf("%s was answered %s for %s", control, a.Code, a.Control)
		} else if err == nil {
			return nil
		}
	}
	return errors.New(control + " was never answered")
}

// TestHandshakesThatDoNotEnd holds that a receiver reaches a destination of mode
// server whoever else has begun to connect.
func TestHandshakesThatDoNotEnd(t *testing.T) {
	keys := newKeyring(t)
	o := defaults()
	o.Mode, o.Address, o.TLS, o.Connect = modeServer, "127.0.0.1:0", ours(), time.Hour
	r := newRoute(t, o, keys.folder)
	began, gone := time.Now(), new(atomic.Int64)
	r.env.Now = func() time.Time { return began.Add(time.Duration(gone.Load())) }
	if err := r.serve(context.Background()); err != nil {
		t.Fatal(err)
	}
	address := r.server.listener.Addr().String()
	var silent []net.Conn
	for range handshakes + 1 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	r.until("one is too many", func() bool { return r.event("connection-refused") == 1 })
	gone.Add(int64(network.Grace + 1))
	p := newPartner(t, partner.Options{Address: address, Dial: 1, TLS: keys.client})
	r.mustSend(1)
	if controls(p) != "M000001" || r.event("connection-displaced") != 1 || r.event("tls-failed") != 0 {
		t.Errorf("%s arrived, %d displaced, %d failed", controls(p), r.event("connection-displaced"), r.event("tls-failed"))
	}
	_ = silent[0].SetReadDeadline(time.Now().Add(patience))
	if _, err := silent[0].Read(make([]byte, 1)); err == nil || timedOut(err) {
		t.Errorf("the oldest handshake: %v, want that it was closed", err)
	}
}
