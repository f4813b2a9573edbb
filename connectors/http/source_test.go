package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/connectors/web/webtest"
	"github.com/plexus-health/plexus/message"
)

// openSource opens a listener on a free port, which stays the same when Run is
// called again.
func openSource(t testing.TB, o *SourceOptions, env connectors.Environment, port *webtest.Port) *Source {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	source, err := o.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	s := source.(*Source)
	s.listened = func(a net.Addr) { s.options.Listen = a.String(); port.Listened(a) }
	return s
}

func sourceDefaults() *SourceOptions { return DefaultSource().(*SourceOptions) }

func TestSource(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			port := webtest.NewPort()
			var config *tls.Config
			connectortest.RunSource(t, connectortest.SourceCase{
				Open: func(t *testing.T, env connectors.Environment) connectors.Source {
					port.Again()
					o := sourceDefaults()
					if secure {
						ca := webtest.NewAuthority(t, env.Folder)
						ca.Issue("plexus", "", webtest.Later())
						o.TLS = &network.TLSOptions{Cert: "plexus.pem", Key: "plexus.key", CA: "ca.pem"}
						config = &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{ca.Issue("partner", "", webtest.Later())}}
					}
					return openSource(t, o, env, port)
				},
				Dial: func(t *testing.T) connectortest.Peer {
					s, err := webtest.Connect(port.Wait(t), config)
					if err != nil {
						t.Fatal(err)
					}
					return s
				},
				Message: func(n int) []byte { raw, _ := payload(n); return raw },
				Reply: func(_ *message.Message, code message.AnswerCode) message.Reply {
					return message.Reply{Answer: message.Answer{Code: code}}
				},
			})
		})
	}
}

// A site is a listener of a test with a handler that notes what it is given.
type site struct {
	t       testing.TB
	port    *webtest.Port
	options *SourceOptions
	env     connectors.Environment
	answer  func(m *message.Message) (message.Reply, error) // nil: damaged ones are refused, the others taken
	stop    context.CancelFunc
	ended   chan error

	mu     sync.Mutex
	log    bytes.Buffer
	taken  []string // content, with its damage
	events map[string]int
}

// Write is the log.
func (s *site) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func newSite(t testing.TB) *site {
	s := &site{t: t, port: webtest.NewPort(), options: sourceDefaults(), events: map[string]int{}}
	s.env = connectors.Environment{
		Log:   slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Count: func(event string, n int) { s.mu.Lock(); s.events[event] += n; s.mu.Unlock() },
		Size:  64 << 10, Whole: 16 << 10, Connections: 10, Folder: t.TempDir(),
	}
	return s
}

// run starts the listener until the end of the test.
func (s *site) run() string {
	s.t.Helper()
	source := openSource(s.t, s.options, s.env, s.port)
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.ended = cancel, make(chan error, 1)
	go func() { s.ended <- source.Run(ctx, s.handle) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-s.ended; err != nil {
			s.t.Errorf("Run: %v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if strings.Contains(s.log.String(), connectortest.Canary) {
			s.t.Errorf("content of a message is in the log:\n%s", s.log.String())
		}
	})
	return s.port.Wait(s.t)
}

func (s *site) handle(_ context.Context, m *message.Message) (message.Reply, error) {
	content := string(m.Raw)
	if m.Stream != nil {
		raw, err := io.ReadAll(m.Stream)
		if err != nil {
			return message.Reply{}, err
		}
		content = fmt.Sprintf("stream of %d", len(raw))
	}
	if len(content) > 100 {
		content = fmt.Sprintf("%d bytes", len(content))
	}
	if m.Damage != nil {
		content += " damaged: " + m.Damage.Error()
	}
	s.mu.Lock()
	s.taken = append(s.taken, content)
	s.mu.Unlock()
	switch {
	case s.answer != nil:
		return s.answer(m)
	case m.Damage != nil:
		return message.Reply{Answer: message.Answer{Code: message.Erroneous, Problems: []message.Problem{message.Explain(m.Damage)}}}, nil
	}
	return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
}

// until waits for a condition.
func (s *site) until(what string, condition func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(webtest.Patience); !condition(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s did not happen", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *site) event(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[name]
}

func (s *site) contents() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.taken, "|")
}

// raw sends bytes on a connection of its own and returns status and content of
// the answer, or "closed".
func (s *site) raw(address, text string) string {
	s.t.Helper()
	sender := webtest.Dial(s.t, address, nil)
	defer sender.Close()
	go func() { _, _ = io.WriteString(sender.Conn, text) }() // it may be answered before its end
	response, body, err := sender.Read()
	if err != nil {
		return "closed"
	}
	return fmt.Sprint(response.StatusCode, " ", body)
}

func post(length int, headers ...string) string {
	return "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + fmt.Sprint(length) + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// lines is what a format with files of several messages lends to a source.
func lines(r io.Reader, take func([]byte) error) error {
	raw, err := io.ReadAll(r)
	if err != nil { // the last line did not come whole, those before it did
		last := bytes.LastIndexByte(raw, '\n') + 1
		for line := range bytes.Lines(raw[:last]) {
			if err := take(bytes.TrimSpace(line)); err != nil {
				return err
			}
		}
		return message.PartialOf(raw[last:], err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(raw)), "\n") {
		if line == "too long" {
			return message.PartialOf([]byte(line), &message.Failure{Kind: message.Malformed, Code: 102, Err: errors.New("a line too long")})
		}
		if line == "broken" {
			return &message.Failure{Kind: message.Malformed, Code: 100, Err: errors.New("not a line")}
		}
		if line != "" {
			if err := take([]byte(line)); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestRequests(t *testing.T) {
	can := connectortest.Canary
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("lab:pw"))
	withAuth := func(s *site) {
		s.options.Auth = &web.AuthOptions{Basic: &web.BasicOptions{User: "lab", Password: connectors.NewSecret("pw")}, Bearer: connectors.NewSecret("t-1")}
	}
	split := func(s *site) { s.env.Split = lines }
	tests := map[string]struct {
		change func(*site)
		sent   string
		want   string // status and content of the answer
		taken  string
		event  string
	}{
		"content":             {sent: post(5) + "hello", want: "200 ", taken: "hello"},
		"chunks":              {sent: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: "200 ", taken: "hello"},
		"no content":          {sent: post(0), want: "400 the request has no content\n", event: "empty-body"},
		"another path":        {sent: strings.Replace(post(5), "/", "/other", 1) + "hello", want: "404 there is nothing at this path\n", event: "path-unknown"},
		"two slashes":         {sent: strings.Replace(post(5), "/", "//", 1) + "hello", want: "404 there is nothing at this path\n", event: "path-unknown"},
		"GET":                 {sent: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", want: "405 this method is not taken here\n", event: "method-refused"},
		"DELETE":              {sent: "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", want: "405 this method is not taken here\n", event: "method-refused"},
		"a method override":   {sent: "GET / HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: POST\r\n\r\n", want: "405 this method is not taken here\n", event: "method-refused"},
		"OPTIONS":             {sent: "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", want: "404 there is nothing at this path\n", event: "path-unknown"},
		"compressed":          {sent: post(5, "Content-Encoding: gzip") + "hello", want: "415 compressed content is not taken\n", event: "content-refused"},
		"too large by length": {sent: post(64<<10+1) + strings.Repeat("x", 64<<10+1), want: "413 102: the content is larger than this channel takes: more than 65536 bytes\n", taken: "65536 bytes damaged: the content is larger than this channel takes: more than 65536 bytes", event: "body-too-large"},
		"too large by far":    {sent: post(1<<40) + strings.Repeat("x", 1<<20), want: "413 102: the content is larger than this channel takes: more than 65536 bytes\n", taken: "65536 bytes damaged: the content is larger than this channel takes: more than 65536 bytes", event: "body-too-large"},
		"too large by chunks": {sent: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat("x", 0x20000) + "\r\n0\r\n\r\n", want: "413 102: the content is larger than this channel takes: more than 65536 bytes\n", taken: "16385 bytes damaged: the content is larger than this channel takes: more than 65536 bytes", event: "body-too-large"},
		"too large by chunks, below what is whole": {
			change: func(s *site) { s.env.Size, s.env.Whole = 8<<10, 8<<10 },
			sent:   "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat("x", 0x20000) + "\r\n0\r\n\r\n",
			want:   "413 102: the content is larger than this channel takes: more than 8192 bytes\n",
			taken:  "8192 bytes damaged: the content is larger than this channel takes: more than 8192 bytes", event: "body-too-large",
		},
		"several, the last too large": {
			change: func(s *site) { split(s); s.env.Size, s.env.Whole = 16, 8 },
			sent:   "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\none\nxxxxxxxxxxxxxxxx\r\n0\r\n\r\n",
			want:   "413 102: message 2: the content is larger than this channel takes: more than 16 bytes\n",
			taken:  "one|xxxxxxxxxxxx damaged: the content is larger than this channel takes: more than 16 bytes", event: "body-too-large",
		},
		"as large as it may be":                {sent: post(64<<10) + strings.Repeat("x", 64<<10), want: "200 ", taken: "stream of 65536"},
		"no credential":                        {change: withAuth, sent: post(5) + "hello", want: "401 a credential is needed\n", event: "auth-failed"},
		"no credential elsewhere":              {change: withAuth, sent: "GET /%2e/other HTTP/1.1\r\nHost: x\r\n\r\n", want: "401 a credential is needed\n", event: "auth-failed"},
		"no credential and no content to read": {change: withAuth, sent: post(1 << 40), want: "401 a credential is needed\n", event: "auth-failed"},
		"name and password":                    {change: withAuth, sent: post(5, basic) + "hello", want: "200 ", taken: "hello"},
		"a wrong password":                     {change: withAuth, sent: post(5, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("lab:"+can))) + "hello", want: "401 a credential is needed\n", event: "auth-failed"},
		"a wrong name":                         {change: withAuth, sent: post(5, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("x:pw"))) + "hello", want: "401 a credential is needed\n", event: "auth-failed"},
		"a token":                              {change: withAuth, sent: post(5, "Authorization: bearer t-1") + "hello", want: "200 ", taken: "hello"},
		"a wrong token":                        {change: withAuth, sent: post(5, "Authorization: Bearer t-2") + "hello", want: "401 a credential is needed\n", event: "auth-failed"},
		"an empty token":                       {change: withAuth, sent: post(5, "Authorization: Bearer ") + "hello", want: "401 a credential is needed\n", event: "auth-failed"},
		"no token configured, an empty one given": {
			change: func(s *site) { withAuth(s); s.options.Auth.Bearer = connectors.Secret{} },
			sent:   post(5, "Authorization: Bearer ") + "hello", want: "401 a credential is needed\n", event: "auth-failed",
		},
		"a listed type":    {change: func(s *site) { s.options.Content = []string{"application/json"} }, sent: post(5, "Content-Type: Application/JSON; charset=utf-8") + "hello", want: "200 ", taken: "hello"},
		"an unlisted one":  {change: func(s *site) { s.options.Content = []string{"application/json"} }, sent: post(5, "Content-Type: text/plain") + "hello", want: "415 this type of content is not taken here\n", event: "content-refused"},
		"no type":          {change: func(s *site) { s.options.Content = []string{"application/json"} }, sent: post(5) + "hello", want: "415 this type of content is not taken here\n", event: "content-refused"},
		"several messages": {change: split, sent: post(7) + "one\ntwo", want: "200 ", taken: "one|two"},
		"several, one refused": {
			change: func(s *site) {
				split(s)
				s.answer = refuse("two", message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "L-1", Code: 101, Text: "missing"}}})
			},
			sent: post(13) + "one\ntwo\nthree", want: "422 L-1: 101: message 2: missing\n", taken: "one|two|three",
		},
		"several, one refused and one not now": {
			change: func(s *site) {
				split(s)
				not, now := refuse("one", message.Answer{Code: message.Erroneous}), refuse("two", message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Code: 207, Text: "later"}}})
				s.answer = func(m *message.Message) (message.Reply, error) {
					if string(m.Raw) == "one" {
						return not(m)
					}
					return now(m)
				}
			},
			sent: post(13) + "one\ntwo\nthree", want: "503 message 1: refused without a reason\n207: message 2: later\n", taken: "one|two|three",
		},
		"several, a fault of ours ends it": {
			change: func(s *site) { split(s); s.answer = fail("two") },
			sent:   post(13) + "one\ntwo\nthree", want: "503 not taken now, send it again later\n", taken: "one|two", event: "unanswered",
		},
		"several, then nonsense": {change: split, sent: post(10) + "one\nbroken", want: "422 100: message 2: not a line\n", taken: "one"},
		"several, one too long":  {change: split, sent: post(16) + "one\ntoo long\ntwo", want: "400 102: message 2: a line too long\n", taken: "one|too long damaged: a line too long", event: "message-too-large"},
		"one too long":           {change: split, sent: post(8) + "too long", want: "400 102: a line too long\n", taken: "too long damaged: a line too long", event: "message-too-large"},
		"nonsense":               {change: split, sent: post(6) + "broken", want: "400 100: not a line\n", taken: "broken damaged: not a line"},
		"none of several":        {change: split, sent: post(3) + " \n ", want: "400 100: there is no message in the content\n", taken: " \n  damaged: there is no message in the content"},
		"several too large":      {change: split, sent: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat("x", 0x20000) + "\r\n0\r\n\r\n", want: "413 102: the content is larger than this channel takes: more than 65536 bytes\n", taken: "16385 bytes damaged: the content is larger than this channel takes: more than 65536 bytes", event: "body-too-large"},
		"a fault of ours":        {change: func(s *site) { s.answer = fail("hello") }, sent: post(5) + "hello", want: "503 not taken now, send it again later\n", taken: "hello", event: "unanswered"},
		"a panic":                {change: func(s *site) { s.answer = func(*message.Message) (message.Reply, error) { panic(can) } }, sent: post(5) + "hello", want: "closed", taken: "hello", event: "panic"},
		"no answer":              {change: func(s *site) { s.answer = refuse("hello", message.Answer{}) }, sent: post(5) + "hello", want: "503 not taken now, send it again later\n", taken: "hello", event: "unanswered"},
		"rejected": {change: func(s *site) {
			s.answer = refuse("hello", message.Answer{Code: message.Rejected, Problems: []message.Problem{{Code: 200, Text: "not ours"}}})
		}, sent: post(5) + "hello", want: "400 200: not ours\n", taken: "hello"},
		"again": {change: func(s *site) { s.answer = refuse("hello", message.Answer{Code: message.Erroneous, Again: true}) }, sent: post(5) + "hello", want: "503 refused without a reason\n", taken: "hello"},
		"locked": {change: func(s *site) {
			s.answer = refuse("hello", message.Answer{Code: message.Rejected, Problems: []message.Problem{{Code: 206, Text: "locked"}}})
		}, sent: post(5) + "hello", want: "503 206: locked\n", taken: "hello"},
		"problems as JSON": {
			change: func(s *site) {
				s.answer = refuse("hello", message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "L-1", Code: 101, Text: "missing"}}})
			},
			sent: post(5, "Accept: application/json") + "hello", want: `422 {"problems":[{"where":"L-1","code":101,"text":"missing"}]}`, taken: "hello",
		},
		"half of the content":     {sent: post(50000) + strings.Repeat("x", 30000), want: "closed", taken: "16384 bytes damaged: the content did not come whole", event: "body-cut"},
		"half of a small content": {sent: post(50) + can, want: "closed", taken: can[:len(can)-1] + " damaged: the content did not come whole", event: "body-cut"},
		"no byte of the content":  {sent: post(50), want: "closed", event: "body-cut"},
		"half of a chunk":         {sent: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello", want: "closed", taken: "hell damaged: the content did not come whole", event: "body-cut"},
		"half of several":         {change: split, sent: post(50) + "one\ntwo", want: "closed", taken: "one\ntw damaged: the content did not come whole", event: "body-cut"},
		"a whole one and a half":  {change: func(s *site) { split(s); s.env.Whole = 4 }, sent: post(50) + "one\ntwo", want: "closed", taken: "one|tw damaged: the content did not come whole", event: "body-cut"},
		"chunks that are none":    {sent: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello", want: "400 the content did not come whole\n", event: "body-cut"},
		"length and chunks":       {sent: post(5, "Transfer-Encoding: chunked") + "0\r\n\r\n", want: "400 the request has no content\n", event: "empty-body"},
		"headers above the limit": {sent: post(5, "X-Y: "+strings.Repeat("z", 100<<10)) + "hello", want: "431 431 Request Header Fields Too Large"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if test.change != nil {
				test.change(s)
			}
			address := s.run()
			if test.want == "closed" && strings.HasPrefix(test.event, "body-cut") {
				s.hangUpAfter(address, test.sent)
			} else if got := s.raw(address, test.sent); got != test.want {
				t.Errorf("answered %q, want %q", got, test.want)
			}
			if test.event != "" {
				s.until(test.event, func() bool { return s.event(test.event) == 1 })
			}
			s.until("the content is taken", func() bool { return len(s.contents()) >= len(test.taken) })
			if got := s.contents(); got != test.taken {
				t.Errorf("taken %q, want %q", got, test.taken)
			}
		})
	}
}

// hangUpAfter sends bytes and ends the connection.
func (s *site) hangUpAfter(address, text string) {
	s.t.Helper()
	sender := webtest.Dial(s.t, address, nil)
	if _, err := io.WriteString(sender.Conn, text); err != nil {
		s.t.Fatal(err)
	}
	sender.Close()
}

// refuse answers content with an answer, and takes everything else.
func refuse(content string, answer message.Answer) func(*message.Message) (message.Reply, error) {
	return func(m *message.Message) (message.Reply, error) {
		if string(m.Raw) == content {
			return message.Reply{Answer: answer}, nil
		}
		return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
	}
}

// fail fails on content, and takes everything else.
func fail(content string) func(*message.Message) (message.Reply, error) {
	return func(m *message.Message) (message.Reply, error) {
		if string(m.Raw) == content {
			return message.Reply{}, errors.New("the store is away")
		}
		return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
	}
}

func TestHeadersOfAnswers(t *testing.T) {
	s := newSite(t)
	s.options.Methods = []string{"POST", "PUT"}
	s.options.Auth = &web.AuthOptions{Basic: &web.BasicOptions{User: "lab", Password: connectors.NewSecret("pw")}, Bearer: connectors.NewSecret("t-1")}
	s.answer = fail("away")
	sender := webtest.Dial(t, s.run(), nil)
	sender.Header.Set("Authorization", "Bearer t-1")
	header := func(method, body, name string, want ...string) {
		t.Helper()
		sender.Method = method
		response, _, err := sender.Post([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := response.Header.Values(name); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s %s: %s is %q, want %q", method, body, name, got, want)
		}
	}
	header("HEAD", "", "Allow", "POST, PUT")
	header("POST", "away", "Retry-After", "5")
	header("POST", "x", "Cache-Control", "no-store")
	header("GET", "", "X-Content-Type-Options", "nosniff")
	sender.Header.Del("Authorization")
	header("POST", "", "WWW-Authenticate", `Basic realm="plexus", charset="UTF-8"`, `Bearer realm="plexus"`)
}

// TestOwnAnswers holds that a channel's own answer goes out as it stands.
func TestOwnAnswers(t *testing.T) {
	reply := func(m *message.Message) (message.Reply, error) {
		r := message.Reply{Answer: message.Answer{Code: message.Accepted}, Raw: []byte("ACK " + string(m.Raw))}
		switch string(m.Raw) {
		case "bad":
			r.Answer.Code = message.Erroneous
		case "mute":
			r.Raw = nil
		case "applied", "never applied":
			r.Raw, r.Later = nil, func(context.Context) []byte {
				if string(m.Raw) == "applied" {
					return []byte("AE later")
				}
				return nil
			}
		case "both":
			r.Later = func(context.Context) []byte { return []byte("none") }
		}
		return r, nil
	}
	tests := map[string]struct {
		change      func(*SourceOptions)
		split       bool
		sent        string
		want, media string
	}{
		"as the type of the request, where it is listed": {change: func(o *SourceOptions) { o.Content = []string{"x-application/hl7-v2+er7"} }, sent: "one", want: "200 ACK one", media: "x-application/hl7-v2+er7"},
		"as bytes where any type is taken":               {sent: "one", want: "200 ACK one", media: "application/octet-stream"},
		"as the type that was said":                      {change: func(o *SourceOptions) { o.Reply = "text/plain" }, sent: "one", want: "200 ACK one", media: "text/plain"},
		"with the status of a refusal":                   {sent: "bad", want: "422 ACK bad", media: "application/octet-stream"},
		"one after the other":                            {split: true, sent: "one\nbad\ntwo", want: "422 ACK one\nACK bad\nACK two", media: "application/octet-stream"},
		"what became of it, where there is no other":     {sent: "applied", want: "200 AE later", media: "application/octet-stream"},
		"and of several":                                 {split: true, sent: "one\napplied", want: "200 ACK one\nAE later", media: "application/octet-stream"},
		"nothing, where that is not known":               {sent: "never applied", want: "200 ", media: ""},
		"the first of two":                               {sent: "both", want: "200 ACK both", media: "application/octet-stream"},
		"not at all where one is missing":                {split: true, sent: "one\nbad\nmute", want: "422 message 2: refused", media: "text/plain; charset=utf-8"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.answer = reply
			if test.change != nil {
				test.change(s.options)
			}
			if test.split {
				s.env.Split = lines
			}
			sender := webtest.Dial(t, s.run(), nil)
			sender.Header.Set("Content-Type", "x-application/hl7-v2+er7")
			response, body, err := sender.Post([]byte(test.sent))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(response.StatusCode, " ", body); !strings.HasPrefix(got, test.want) {
				t.Errorf("answered %q, want %q", got, test.want)
			}
			if got := response.Header.Get("Content-Type"); got != test.media {
				t.Errorf("type %q, want %q", got, test.media)
			}
		})
	}
}
