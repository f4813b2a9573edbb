package mllp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/internal/faults"
	"github.com/plexus-health/plexus/message"
)

func TestSlowPeers(t *testing.T) {
	tests := map[string]struct {
		sent   string
		event  string
		damage string
	}{
		"a frame that does not end in time":  {"\x0b" + m1, "frame-timeout", "byte 41: the message did not end within the time for a frame"},
		"a connection that says nothing":     {"", "idle-closed", ""},
		"line ends do not keep a connection": {"\r\n", "idle-closed", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.options.Idle, s.options.Frame = 50*time.Millisecond, 50*time.Millisecond
			s.run()
			conn := s.dial()
			if _, err := io.WriteString(conn, test.sent); err != nil {
				t.Fatal(err)
			}
			if got := codes(conn); got != "" { // until the listener closes
				t.Errorf("answers %q, want none", got)
			}
			if s.event(test.event) != 1 {
				t.Errorf("%s was not counted", test.event)
			}
			if test.damage != "" {
				s.mu.Lock()
				defer s.mu.Unlock()
				if len(s.taken) != 1 || s.taken[0].damage != test.damage {
					t.Errorf("came %d messages, want one with damage %q", len(s.taken), test.damage)
				}
			}
		})
	}
}

func TestTrickle(t *testing.T) {
	t.Run("a peer that sends byte by byte harms no other", func(t *testing.T) {
		s := newSite(t)
		proxy := faults.NewProxy(t, s.run())
		proxy.Next(faults.Faults{Forth: faults.Fault{Chunk: 1, Pause: time.Millisecond}, Back: faults.Fault{Chunk: 1}})
		slow, err := Dial(context.Background(), ClientOptions{Address: proxy.Address()})
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		done := make(chan string, 1)
		go func() {
			reply, err := slow.Exchange(context.Background(), sample(1))
			done <- fmt.Sprint(ReadAck(reply).Code, err)
		}()
		quick, err := Dial(context.Background(), ClientOptions{Address: s.port.wait(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer quick.Close()
		for i := range 20 {
			if _, err := quick.Exchange(context.Background(), sample(100+i)); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-done; got != "AA<nil>" {
			t.Errorf("the slow peer got %s, want AA", got)
		}
	})
	t.Run("a peer that does not read its answers is given up", func(t *testing.T) {
		s := newSite(t)
		s.options.Write = 50 * time.Millisecond
		huge := strings.Repeat("NTE|1||x\r", 1<<20)
		s.handle = func(_ context.Context, m *message.Message) (message.Reply, error) {
			r := ack(m, message.Accepted)
			r.Raw = append(r.Raw, huge...)
			return r, nil
		}
		s.run()
		conn := s.dial()
		if _, err := io.WriteString(conn, framed(m1)); err != nil {
			t.Fatal(err)
		}
		s.until(func() bool { return s.event("reply-failed") == 1 })
	})
}

// until waits for what the listener does on its own.
func (s *site) until(done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		if done() {
			return
		}
	}
	s.t.Fatal("it did not come to that")
}

func TestBrokenConnections(t *testing.T) {
	tests := map[string]faults.Faults{
		"an orderly end in the middle of a frame": {Forth: faults.Fault{After: 30, Cut: true}},
		"a reset in the middle of a frame":        {Forth: faults.Fault{After: 30, Cut: true, Reset: true}},
	}
	for name, broken := range tests {
		t.Run(name+" hands over no message and the sender sends again", func(t *testing.T) {
			s := newSite(t)
			proxy := faults.NewProxy(t, s.run())
			proxy.Next(broken)
			client, err := Dial(context.Background(), ClientOptions{Address: proxy.Address()})
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Exchange(context.Background(), sample(1))
			if message.KindOf(err) != message.Unknown {
				t.Fatalf("Exchange = %v, kind %s, want unknown", err, message.KindOf(err))
			}
			<-s.came // the remains
			if client, err = Dial(context.Background(), ClientOptions{Address: proxy.Address()}); err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Exchange(context.Background(), sample(1)); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.taken) != 2 || s.taken[0].damage == "" || s.taken[1].raw != string(sample(1)) {
				t.Errorf("%d messages came, want the remains with damage, then the message", len(s.taken))
			}
		})
	}
	t.Run("an answer lost on its way is asked for again", func(t *testing.T) {
		s := newSite(t)
		proxy := faults.NewProxy(t, s.run())
		proxy.Next(faults.Faults{Back: faults.Fault{After: 10, Cut: true}})
		client, err := Dial(context.Background(), ClientOptions{Address: proxy.Address()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = client.Exchange(context.Background(), sample(1)); message.KindOf(err) != message.Unknown {
			t.Errorf("Exchange = %v, kind %s, want unknown", err, message.KindOf(err))
		}
		if _, err = client.Exchange(context.Background(), sample(2)); message.KindOf(err) != message.Down {
			t.Errorf("Exchange after an error = %v, kind %s, want down", err, message.KindOf(err))
		}
	})
}

func TestConnectionLimit(t *testing.T) {
	limit, extra := 50, 10
	s := newSite(t)
	s.env.Connections = limit
	s.run()
	var conns []net.Conn
	for range limit {
		conn := s.dial()
		conns = append(conns, conn)
		if _, err := io.WriteString(conn, framed(m1)); err != nil {
			t.Fatal(err)
		}
		<-s.came // it has its slot
	}
	for range extra {
		if got := codes(s.dial()); strings.Trim(got, "! ") != "" {
			t.Errorf("a connection above the limit got %q", got)
		}
	}
	if got := s.event("connection-refused"); got != extra {
		t.Errorf("%d connections were refused, want %d", got, extra)
	}
	for _, conn := range conns {
		if _, err := io.WriteString(conn, framed(m2)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := codes(conn); got != "AA:1 AA:2" {
			t.Errorf("a connection within the limit got %q", got)
		}
	}
	s.until(func() bool {
		conn, err := Dial(context.Background(), ClientOptions{Address: s.port.wait(t)})
		if err != nil {
			return false
		}
		defer conn.Close()
		_, err = conn.Exchange(context.Background(), []byte(m1))
		return err == nil
	})
}

func TestHugeFrame(t *testing.T) {
	s := newSite(t)
	s.env.Size, s.env.Whole = 8<<20, 1<<20
	s.run()
	conn := s.dial()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	go func() {
		part := bytes.Repeat([]byte("x"), 1<<20)
		_, _ = io.WriteString(conn, "\x0b"+m1)
		for range 100 {
			_, _ = conn.Write(part)
		}
		_, _ = io.WriteString(conn, "\x1c\r"+framed(m2))
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	if got := codes(conn); got != "AE:1 AA:2" {
		t.Errorf("answers %q, want the refusal of the large one and AA of the next", got)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes were allocated for a frame of 100 MB, want less than 16 MB", used)
	}
}

func TestNoise(t *testing.T) {
	s := newSite(t)
	s.run()
	conn := s.dial()
	go func() {
		part := strings.Repeat("x", 16<<10)
		for {
			if _, err := io.WriteString(conn, part); err != nil {
				return
			}
		}
	}()
	if got := codes(conn); strings.Trim(got, "! ") != "" {
		t.Errorf("noise was answered with %q", got)
	}
}

func TestPeers(t *testing.T) {
	for peers, want := range map[string]string{"127.0.0.1": "AA:1", "127.0.0.0/8": "AA:1", "192.0.2.0/24": ""} {
		t.Run(peers, func(t *testing.T) {
			s := newSite(t)
			s.options.Peers = []string{peers}
			s.run()
			conn := s.dial()
			_, _ = io.WriteString(conn, framed(m1))
			_ = conn.(*net.TCPConn).CloseWrite()
			if got := strings.Trim(codes(conn), "! "); got != want {
				t.Errorf("answers %q, want %q", got, want)
			}
		})
	}
}

// A poorListener has no file descriptor at first.
type poorListener struct {
	net.Listener
	mu    sync.Mutex
	fails int
}

func (l *poorListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	poor := l.fails > 0
	l.fails--
	l.mu.Unlock()
	if poor {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestNoFileDescriptorLeft(t *testing.T) {
	s := newSite(t)
	source, err := s.options.Open(s.env)
	if err != nil {
		t.Fatal(err)
	}
	s.source = source.(*Source)
	s.source.listened = s.port.listened
	s.source.listen = func(ctx context.Context, address string) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		return &poorListener{Listener: l, fails: 3}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.source.Run(ctx, s.handle) }()
	conn := s.dial()
	_, _ = io.WriteString(conn, framed(m1))
	_ = conn.(*net.TCPConn).CloseWrite()
	if got := codes(conn); got != "AA:1" {
		t.Errorf("answers %q, want AA:1", got)
	}
	if got := s.event("accept-error"); got != 3 {
		t.Errorf("%d errors were counted, want 3", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAddressTaken(t *testing.T) {
	s := newSite(t)
	options := *s.options
	options.Listen = s.run()
	source, err := options.Open(s.env)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Run(context.Background(), s.handle); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Run = %v, want that the address is in use", err)
	}
}

func TestDamagedIsNeverAccepted(t *testing.T) {
	s := newSite(t)
	s.handle = func(_ context.Context, m *message.Message) (message.Reply, error) {
		return ack(m, message.Accepted), nil
	}
	s.run()
	conn := s.dial()
	_, _ = io.WriteString(conn, "\x0b"+m1+"a\x0bb\r\x1c\r")
	if got := strings.Trim(codes(conn), "! "); got != "" {
		t.Errorf("a damaged message was answered %q", got)
	}
}

func TestAnswerHoldsNoFrameBytes(t *testing.T) {
	got := string(appendFrame(nil, []byte("MSA|AE|a\x0bb\x1cc")))
	if want := "\x0bMSA|AE|a b c\x1c\r"; got != want {
		t.Errorf("appendFrame = %q, want %q", got, want)
	}
}

// TestCorpus holds what the notes of the collection expect.
func TestCorpus(t *testing.T) {
	folder := corpus.Dir(t, "hl7v2", "mllp-frames")
	want := map[string]string{
		"good-one.bin": "AA", "good-two-in-one-write.bin": "AA AA", "fs-without-cr.bin": "AA",
		"fs-then-next-vt.bin": "AA AA", "junk-before-vt.bin": "AA", "no-vt-at-all.bin": "AE",
		"eof-mid-message.bin": "", "empty-block.bin": "", "lf-segments.bin": "AA", "crlf-segments.bin": "AA",
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.bin"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files, %v; want %d", len(files), err, len(want))
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "hl7v2.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if row := "\n| " + name + " | " + cmp.Or(want[name], "-") + " |\n"; !strings.Contains(string(page), row) {
			t.Errorf("docs/hl7v2.md lacks the row%s", row)
		}
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newSite(t)
			s.run()
			conn := s.dial()
			_, _ = conn.Write(data)
			_ = conn.(*net.TCPConn).CloseWrite()
			var got []string
			for _, code := range strings.Fields(codes(conn)) {
				word, _, _ := strings.Cut(code, ":")
				got = append(got, word)
			}
			if strings.Join(got, " ") != want[name] {
				t.Errorf("answers %q, want %q", got, want[name])
			}
		})
	}
}

func TestEndInTheMiddle(t *testing.T) {
	s := newSite(t)
	source, err := s.options.Open(s.env)
	if err != nil {
		t.Fatal(err)
	}
	s.source = source.(*Source)
	s.source.listened = s.port.listened
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.source.Run(ctx, s.handle) }()
	conn := s.dial()
	_, _ = io.WriteString(conn, framed(m1)+"\x0b"+m2[:10])
	<-s.came
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := strings.Trim(codes(conn), "! "); got != "AA:1" {
		t.Errorf("answers %q, want AA:1 and the half message left to its sender", got)
	}
	if s.event("frame-cut")+s.event("frame-timeout") > 0 || len(s.taken) != 1 {
		t.Error("the peer was blamed for our end")
	}
}

func TestCanaryIsInTheSamples(t *testing.T) {
	if !strings.Contains(string(sample(1)), connectortest.Canary) {
		t.Error("the canary is not in the samples")
	}
}

// answering listens and answers the first message on each connection with
// these bytes, then ends the connection.
func answering(t *testing.T, answer string) string {
	t.Helper()
	return listening(t, func(c *visitor) {
		if _, ok := c.next(); !ok {
			t.Error("the connection ended before a message came")
		}
		c.say(answer)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		c.listen()
	})
}

func TestStaleConnections(t *testing.T) {
	s := newSite(t)
	s.run()
	for name, sent := range map[string]string{"a connection that the peer closed": "", "an answer that nobody waits for": framed("MSA|AA|9\r")} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			client, err := Dial(context.Background(), ClientOptions{Address: listener.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			conn, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if sent == "" {
				_ = conn.Close()
			} else if _, err := io.WriteString(conn, sent); err != nil {
				t.Fatal(err)
			}
			s.until(func() bool { return stale(client.conn) != nil })
			_, err = client.Exchange(context.Background(), []byte(m1))
			if message.KindOf(err) != message.Down {
				t.Errorf("Exchange = %v, kind %s, want down: no byte left", err, message.KindOf(err))
			}
		})
	}
}
