package mllp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds the waits of tests; nothing is measured by it.
const patience = 30 * time.Second

// sample is message number n.
func sample(n int) []byte {
	return fmt.Appendf(nil, "MSH|^~\\&|LAB|NORTH|EHR|NORTH|20260105120000||ORU^R01|M%06d|P|2.5.1\rPID|1||77^^^N^MR||%s^X\r", n, connectortest.Canary)
}

// ack is an acknowledgement of a message.
func ack(m *message.Message, code message.AnswerCode) message.Reply {
	word := map[message.AnswerCode]string{message.Accepted: "AA", message.Erroneous: "AE", message.Rejected: "AR"}[code]
	control, _, _ := Control(m.Raw)
	return message.Reply{Answer: message.Answer{Code: code}, Raw: fmt.Appendf(nil, "MSH|^~\\&|EHR|NORTH|LAB|NORTH|20260105120000||ACK|A1|P|2.5.1\rMSA|%s|%s\r", word, control)}
}

// A port says where a listener of a test listens.
type port struct {
	mu      sync.Mutex
	address string
	ready   chan struct{}
}

func newPort() *port { return &port{ready: make(chan struct{})} }

func (p *port) listened(a net.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.address == "" {
		close(p.ready)
	}
	p.address = a.String()
}

func (p *port) wait(t testing.TB) string {
	t.Helper()
	select {
	case <-p.ready:
	case <-time.After(patience):
		t.Fatal("the listener did not come up")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// again makes wait wait for the next listener.
func (p *port) again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address, p.ready = "", make(chan struct{})
}

// testPeer is a Client that reads the code of an acknowledgement.
type testPeer struct{ *Client }

func (p testPeer) Send(ctx context.Context, raw []byte) (bool, error) {
	reply, err := p.Exchange(ctx, raw)
	if err != nil {
		return false, err
	}
	return ReadAck(reply).Code == "AA", nil
}

func (p testPeer) Close() { _ = p.Client.Close() }

func TestSource(t *testing.T) {
	p := newPort()
	connectortest.RunSource(t, connectortest.SourceCase{
		Open: func(t *testing.T, env connectors.Environment) connectors.Source {
			p.again()
			options := DefaultSource().(*SourceOptions)
			options.Listen = "127.0.0.1:0"
			source, err := options.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			// The same port again when Run is called again.
			s := source.(*Source)
			s.listened = func(a net.Addr) { s.options.Listen = a.String(); p.listened(a) }
			return s
		},
		Dial: func(t *testing.T) connectortest.Peer {
			c, err := dialUntil(p.wait(t))
			if err != nil {
				t.Fatal(err)
			}
			return testPeer{c}
		},
		Message: sample,
		Reply:   ack,
	})
}

// dialUntil dials until the listener is there.
func dialUntil(address string) (*Client, error) {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var c *Client
		if c, err = Dial(context.Background(), ClientOptions{Address: address}); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// A taken is what a handler was given.
type taken struct {
	raw    string
	damage string
	stream error
}

// A site is a listener of a test with a handler that notes what it is given.
type site struct {
	t       testing.TB
	port    *port
	options *SourceOptions
	env     connectors.Environment
	handle  connectors.Handler
	source  *Source
	log     bytes.Buffer

	mu     sync.Mutex
	taken  []taken
	events map[string]int
	came   chan struct{}
}

func newSite(t testing.TB) *site {
	s := &site{t: t, port: newPort(), options: DefaultSource().(*SourceOptions), events: map[string]int{}, came: make(chan struct{}, 10_000)}
	s.options.Listen = "127.0.0.1:0"
	s.env = connectors.Environment{
		Log:   slog.New(slog.NewTextHandler(locked{&s.mu, &s.log}, nil)),
		Count: func(event string, n int) { s.mu.Lock(); s.events[event] += n; s.mu.Unlock() },
		Size:  64 << 10, Whole: 16 << 10, Connections: 10, Folder: t.TempDir(),
	}
	s.handle = s.note
	return s
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// note is the handler: damaged messages are refused, others accepted.
func (s *site) note(_ context.Context, m *message.Message) (message.Reply, error) {
	var n taken
	code := message.Accepted
	if m.Stream != nil {
		hash := newSum()
		_, n.stream = io.Copy(hash, m.Stream)
		n.raw = hash.String()
	} else {
		n.raw = string(m.Raw)
	}
	if m.Damage != nil {
		n.damage, code = m.Damage.Error(), message.Erroneous
	}
	s.mu.Lock()
	s.taken = append(s.taken, n)
	s.mu.Unlock()
	s.came <- struct{}{}
	if n.stream != nil {
		return message.Reply{}, n.stream
	}
	return ack(m, code), nil
}

// run starts the listener until the end of the test.
func (s *site) run() string {
	s.t.Helper()
	source, err := s.options.Open(s.env)
	if err != nil {
		s.t.Fatal(err)
	}
	s.source = source.(*Source)
	s.source.listened = s.port.listened
	s.source.endWait = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.source.Run(ctx, s.handle) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Run: %v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if strings.Contains(s.log.String(), connectortest.Canary) {
			s.t.Errorf("content of a message is in the log:\n%s", s.log.String())
		}
	})
	return s.port.wait(s.t)
}

func (s *site) dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.port.wait(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

func (s *site) event(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[name]
}

// codes reads answers until the connection ends.
func codes(conn net.Conn) string {
	var out []string
	in := bufio.NewReader(conn)
	for {
		reply, err := in.ReadBytes(endByte)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				out = append(out, "!")
			}
			return strings.Join(out, " ")
		}
		a := ReadAck(bytes.TrimLeft(reply, "\r\x0b"))
		out = append(out, a.Code+":"+a.Control)
	}
}

// framed is raw in a frame.
func framed(raw string) string { return "\x0b" + raw + "\x1c\r" }

const (
	m1 = "MSH|^~\\&|A|B|C|D|||ADT^A01|1|P|2.5\rPID|1\r"
	m2 = "MSH|^~\\&|A|B|C|D|||ADT^A01|2|P|2.5\rPID|2\r"
)

func TestFraming(t *testing.T) {
	big := m1 + strings.Repeat("x", 70<<10)
	middle := m1 + strings.Repeat("y", 40<<10)
	tests := map[string]struct {
		sent    string
		taken   []taken
		answers string
		events  map[string]int
		strict  string // answers in strict mode, where they are others
	}{
		"one frame": {sent: framed(m1), taken: []taken{{raw: m1}}, answers: "AA:1"},
		"two frames in one write": {
			sent: framed(m1) + framed(m2), taken: []taken{{raw: m1}, {raw: m2}}, answers: "AA:1 AA:2",
		},
		"bytes before the start byte belong to no frame": {
			sent:    "\r\nGET / HTTP/1.0\r\n\r\n" + framed(m1),
			taken:   []taken{{raw: "GET / HTTP/1.0\r\n\r\n", damage: "byte 0: bytes outside of frames"}, {raw: m1}},
			answers: "AA:1", events: map[string]int{"gap-bytes": 20}, strict: "none",
		},
		"bytes behind a frame, then the connection ends": {
			sent:    framed(m1) + "PID|1\r",
			taken:   []taken{{raw: m1}, {raw: "PID|1\r", damage: "byte 0: bytes outside of frames"}},
			answers: "AA:1", events: map[string]int{"gap-bytes": 6},
		},
		"controls between frames do no harm": {
			sent: framed(m1) + "\x1c\r\x00" + framed(m2), taken: []taken{{raw: m1}, {raw: m2}}, answers: "AA:1 AA:2",
			events: map[string]int{"gap-bytes": 3}, strict: "AA:1",
		},
		"bytes around every frame": {
			sent:    strings.Repeat("x"+framed(m1), strays+1) + "x",
			taken:   slices.Concat(slices.Repeat([]taken{{raw: "x", damage: "byte 0: bytes outside of frames"}, {raw: m1}}, strays), []taken{{raw: m1}}),
			answers: strings.TrimSpace(strings.Repeat("AA:1 ", strays+1)), events: map[string]int{"gap-bytes": strays + 2}, strict: "none",
		},
		"line ends between frames do no harm": {
			sent: framed(m1) + "\r\n" + framed(m2), taken: []taken{{raw: m1}, {raw: m2}}, answers: "AA:1 AA:2",
			events: map[string]int{"gap-bytes": 2}, strict: "AA:1 AA:2",
		},
		"end byte without carriage return, then the next frame": {
			sent: "\x0b" + m1 + "\x1c" + framed(m2), taken: []taken{{raw: m1}, {raw: m2}}, answers: "AA:1 AA:2",
			events: map[string]int{"end-without-cr": 1}, strict: "none",
		},
		"end byte without carriage return, then nothing": {
			sent: "\x0b" + m1 + "\x1c", taken: []taken{{raw: m1}}, answers: "AA:1",
			events: map[string]int{"end-without-cr": 1}, strict: "none",
		},
		"end byte with a line feed": {
			sent: "\x0b" + m1 + "\x1c\n" + framed(m2) + "\n", taken: []taken{{raw: m1}, {raw: m2}}, answers: "AA:1 AA:2",
			events: map[string]int{"end-without-cr": 1, "gap-bytes": 1}, strict: "none",
		},
		"end byte inside the message": {
			sent:   "\x0b" + m1 + "\x1cNTE|1\r\x1c\r" + framed(m2),
			taken:  []taken{{raw: m1 + "\x1cNTE|1\r", damage: "byte 41: end byte 1C inside the message, without the carriage return that ends a frame"}, {raw: m2}},
			events: map[string]int{"end-inside": 1}, answers: "AE:1 AA:2", strict: "AE:1",
		},
		"a message broken off by the next": {
			sent:  "\x0b" + m1 + framed(m2),
			taken: []taken{{raw: m1, damage: "byte 41: the message was broken off by the start of another"}, {raw: m2}},
			// One answer: a second would pass for the answer to another message.
			answers: "AA:2", events: map[string]int{"start-inside": 1}, strict: "none",
		},
		"a start byte in the middle of a message": {
			sent:   "\x0b" + m1 + "NTE|1||a\x0bb\r\x1c\r" + framed(m2),
			taken:  []taken{{raw: m1 + "NTE|1||a\x0bb\r", damage: "byte 49: start byte 0B inside the message"}, {raw: m2}},
			events: map[string]int{"start-inside": 1}, answers: "AE:1 AA:2", strict: "AE:1",
		},
		"the start byte twice": {
			sent: "\x0b" + framed(m1), taken: []taken{{raw: m1}}, answers: "AA:1",
			events: map[string]int{"start-twice": 1}, strict: "AA:1",
		},
		"a frame without content": {
			sent: "\x0b\x1c\r" + framed(m1), taken: []taken{{raw: m1}}, answers: "AA:1",
			events: map[string]int{"empty-frame": 1}, strict: "AA:1",
		},
		"the connection ends inside a frame": {
			sent:   framed(m1) + "\x0b" + m2[:20],
			taken:  []taken{{raw: m1}, {raw: m2[:20], damage: "byte 20: the connection ended inside the message"}},
			events: map[string]int{"frame-cut": 1}, answers: "AA:1", strict: "AA:1",
		},
		"the connection ends after a start byte": {
			sent: framed(m1) + "\x0b", taken: []taken{{raw: m1}}, answers: "AA:1",
			events: map[string]int{"frame-cut": 1}, strict: "AA:1",
		},
		"a message without a frame": {
			sent:   m1,
			taken:  []taken{{raw: m1, damage: "byte 0: the message came without an MLLP frame: start byte 0B is missing"}},
			events: map[string]int{"unframed": 1}, answers: "AE:1", strict: "AE:1",
		},
		"a message whose start byte is missing": {
			sent:   m1 + "\x1c\r" + framed(m2),
			taken:  []taken{{raw: m1, damage: "byte 0: the message came without an MLLP frame: start byte 0B is missing"}},
			events: map[string]int{"unframed": 1}, answers: "AE:1", strict: "AE:1",
		},
		"a frame above the size limit": {
			sent: framed(big) + framed(m2),
			taken: []taken{
				{raw: sumOf(big[:64<<10]), stream: errTest("byte 65536: the message is larger than this channel takes")},
				{raw: big[:16<<10], damage: "byte 65536: the message is larger than this channel takes"},
				{raw: m2},
			},
			events: map[string]int{"frame-too-large": 1}, answers: "AE:1 AA:2", strict: "AE:1",
		},
		"a large frame comes as a stream": {
			sent: framed(middle) + framed(m2), taken: []taken{{raw: sumOf(middle)}, {raw: m2}}, answers: "AA: AA:2",
		},
		"a large frame broken off by the next": {
			sent: "\x0b" + middle + framed(m2),
			taken: []taken{
				{raw: sumOf(middle), stream: errTest("byte 41001: the message was broken off by the start of another")},
				{raw: middle[:16<<10], damage: "byte 41001: the message was broken off by the start of another"},
				{raw: m2},
			},
			events: map[string]int{"start-inside": 1}, answers: "AA:2", strict: "none",
		},
		"NUL bytes and high bytes are content": {
			sent: framed(m1 + "\x00\xff\x80\n\r"), taken: []taken{{raw: m1 + "\x00\xff\x80\n\r"}}, answers: "AA:1",
		},
	}
	for name, test := range tests {
		for _, framing := range []string{tolerant, strict} {
			t.Run(name+" "+framing, func(t *testing.T) {
				s := newSite(t)
				s.options.Framing = framing
				s.options.Frame = 2 * time.Second
				s.run()
				conn := s.dial()
				if _, err := io.WriteString(conn, test.sent); err != nil {
					t.Fatal(err)
				}
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil && framing == tolerant {
					t.Fatal(err)
				}
				answers := codes(conn)
				if framing == strict {
					want := test.strict
					if want == "" {
						want = test.answers
					}
					if want == "none" {
						want = ""
					}
					if strings.Trim(answers, "! ") != want {
						t.Errorf("answers %q, want %q", answers, want)
					}
					return
				}
				if answers != test.answers {
					t.Errorf("answers %q, want %q", answers, test.answers)
				}
				s.compare(test.taken, test.events)
			})
		}
	}
}

// compare compares what came with what was to come.
func (s *site) compare(want []taken, events map[string]int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.taken) != len(want) {
		s.t.Fatalf("%d messages came, want %d", len(s.taken), len(want))
	}
	for i, got := range s.taken {
		if got.raw != want[i].raw || got.damage != want[i].damage || fmt.Sprint(got.stream) != fmt.Sprint(want[i].stream) {
			s.t.Errorf("message %d: %d bytes, damage %q, stream %v; want %d bytes, damage %q, stream %v", i,
				len(got.raw), got.damage, got.stream, len(want[i].raw), want[i].damage, want[i].stream)
		}
	}
	if events == nil {
		events = map[string]int{}
	}
	delete(s.events, "unanswered")
	if fmt.Sprint(s.events) != fmt.Sprint(events) {
		s.t.Errorf("counted %v, want %v", s.events, events)
	}
}

type errTest string

func (e errTest) Error() string { return string(e) }

// A sum stands for content too long to be shown.
type sum struct {
	n    int
	last []byte
	h    uint64
}

func newSum() *sum { return &sum{h: 14695981039346656037} }

func (s *sum) Write(p []byte) (int, error) {
	for _, b := range p {
		s.h = (s.h ^ uint64(b)) * 1099511628211
	}
	s.n += len(p)
	return len(p), nil
}

func (s *sum) String() string { return fmt.Sprintf("%d bytes %x", s.n, s.h) }

func sumOf(text string) string {
	s := newSum()
	_, _ = s.Write([]byte(text))
	return s.String()
}
