package http

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/connectors/web/webtest"
	"github.com/plexus-health/plexus/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func environment(log io.Writer) connectors.Environment {
	return connectors.Environment{
		Log: slog.New(slog.NewTextHandler(log, nil)), Count: func(string, int) {}, Size: 1 << 20, Whole: 64 << 10, Connections: 50, Now: time.Now,
	}
}

func open(t testing.TB, r *webtest.Receiver, change func(o *DestinationOptions)) connectors.Destination {
	t.Helper()
	o, _ := DefaultDestination().(*DestinationOptions)
	o.URL, o.Content = "http://"+r.Address()+"/in", "application/hl7-v2"
	if change != nil {
		change(o)
	}
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	d, err := o.Open(environment(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDestination(t *testing.T) {
	connectortest.RunDestination(t, connectortest.DestinationCase{
		Connections: 4,
		Open: func(t *testing.T, env connectors.Environment) (connectors.Destination, connectortest.Receiver) {
			r := webtest.NewReceiver(t)
			o, _ := DefaultDestination().(*DestinationOptions)
			o.URL, o.Connections = "http://"+r.Address()+"/in", 4
			d, err := o.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			return d, r
		},
		Payload: func(n int) ([]byte, string) {
			return fmt.Appendf(nil, "payload %d of %s", n, connectortest.Canary), fmt.Sprint("C", n)
		},
	})
}

func delivery(n int) *message.Delivery {
	return &message.Delivery{ID: fmt.Sprint("delivery-", n), Control: fmt.Sprint("C", n), Payload: []byte("content"), Attempts: 1}
}

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   message.Kind
		after  time.Duration
	}{
		"created":          {"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "", 0},
		"no content":       {"HTTP/1.1 204 No\r\n\r\n", "", 0},
		"redirect":         {"HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", message.RefusedSend, 0},
		"not allowed":      {"HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n", message.RefusedSend, 0},
		"conflict":         {"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n", message.RefusedSend, 0},
		"too many":         {"HTTP/1.1 429 Slow\r\nRetry-After: 12\r\nContent-Length: 0\r\n\r\n", message.Busy, 12 * time.Second},
		"a century":        {"HTTP/1.1 503 Slow\r\nRetry-After: 999999999\r\nContent-Length: 0\r\n\r\n", message.Busy, 24 * time.Hour},
		"nonsense to wait": {"HTTP/1.1 503 Slow\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", message.Busy, 0},
		"bad gateway":      {"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", message.Busy, 0},
		"too large":        {"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + strings.Repeat("x", 3000000), message.Unreadable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := webtest.NewReceiver(t)
			r.Says(c.answer)
			_, err := open(t, r, nil).Send(t.Context(), delivery(1))
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			f, _ := errors.AsType[*message.Failure](err)
			if f == nil || f.Kind != c.want || f.After != c.after {
				t.Errorf("got %v (%+v), want %s after %s", err, f, c.want, c.after)
			}
		})
	}
}

func TestAnAnswerThatBreaksOffIsNotKnown(t *testing.T) {
	r := webtest.NewReceiver(t)
	o := open(t, r, func(o *DestinationOptions) { o.Timeout = 500 * time.Millisecond })
	r.Says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	if _, err := o.Send(t.Context(), delivery(1)); message.KindOf(err) != message.Unknown {
		t.Errorf("got %v of kind %s", err, message.KindOf(err))
	}
}

// TestNothingIsSentTwice has the peer close connections after a request was
// read: the transport must not repeat it by itself.
func TestNothingIsSentTwice(t *testing.T) {
	r := webtest.NewReceiver(t)
	d := open(t, r, nil)
	if _, err := d.Send(t.Context(), delivery(1)); err != nil {
		t.Fatal(err)
	}
	r.Behave(connectortest.HangUp) // the connection that is kept is used again
	if _, err := d.Send(t.Context(), delivery(2)); message.KindOf(err) != message.Unknown {
		t.Errorf("got %v of kind %s", err, message.KindOf(err))
	}
	if n := len(r.Taken()); n != 2 {
		t.Errorf("%d requests arrived, want 2", n)
	}
}

func TestHeadersAndLogin(t *testing.T) {
	r := webtest.NewReceiver(t)
	d := open(t, r, func(o *DestinationOptions) { o.Login = &web.Login{Token: connectors.NewSecret("t0ken")} })
	if _, err := d.Send(t.Context(), delivery(1)); err != nil {
		t.Fatal(err)
	}
	if want := "delivery-1 application/hl7-v2 Bearer t0ken"; r.Heads()[0] != want {
		t.Errorf("got %q, want %q", r.Heads()[0], want)
	}
}

func TestValidate(t *testing.T) {
	source := func(change func(o *SourceOptions)) []connectors.Problem {
		o, _ := DefaultSource().(*SourceOptions)
		change(o)
		return o.Validate()
	}
	target := func(change func(o *DestinationOptions)) []connectors.Problem {
		o, _ := DefaultDestination().(*DestinationOptions)
		o.URL = "https://lab.example.org/in"
		change(o)
		return o.Validate()
	}
	for name, c := range map[string]struct {
		got  []connectors.Problem
		want string
	}{
		"open to all":     {source(func(o *SourceOptions) { o.Listen = "0.0.0.0:80" }), "unencrypted"},
		"nobody asked":    {source(func(o *SourceOptions) { o.Listen = "0.0.0.0:80"; o.TLS = &web.TLS{Cert: "c", Key: "k"} }), "anybody could send"},
		"method":          {source(func(o *SourceOptions) { o.Methods = []string{"GET"} }), `"GET" is not known`},
		"content":         {source(func(o *SourceOptions) { o.Content = []string{"hl7"} }), "no media type"},
		"path":            {source(func(o *SourceOptions) { o.Path = "in" }), "does not begin"},
		"login":           {source(func(o *SourceOptions) { o.Login = &web.Login{User: "ann"} }), "is missing"},
		"plain elsewhere": {target(func(o *DestinationOptions) { o.URL = "http://lab.example.org" }), "unencrypted"},
		"user in it":      {target(func(o *DestinationOptions) { o.URL = "https://ann:pw@lab.example.org" }), "write login"},
		"no address":      {target(func(o *DestinationOptions) { o.URL = "lab" }), "is no address"},
		"header":          {target(func(o *DestinationOptions) { o.Headers = map[string]string{"authorization": "x"} }), "written by login"},
		"connections":     {target(func(o *DestinationOptions) { o.Connections = 0 }), "not between"},
	} {
		if len(c.got) != 1 || !strings.Contains(c.got[0].Text, c.want) {
			t.Errorf("%s: got %+v, want %q", name, c.got, c.want)
		}
		if strings.Contains(fmt.Sprint(c.got), "pw@") {
			t.Errorf("%s: a password stands in %v", name, c.got)
		}
	}
}

// caller is a sender to the source.
type caller struct {
	client  *http.Client
	address string
}

func (c caller) Send(ctx context.Context, raw []byte) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.address+"/", bytes.NewReader(raw))
	if err != nil {
		return false, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return false, err
	}
	return response.StatusCode == http.StatusOK, nil
}

func (c caller) Close() { c.client.CloseIdleConnections() }

// A spot says where a source of a test listens.
type spot struct{ came chan string }

func (s *spot) listening(a net.Addr) {
	select {
	case <-s.came:
	default:
	}
	s.came <- a.String()
}

func (s *spot) wait(t testing.TB) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		select {
		case address := <-s.came:
			select {
			case s.came <- address:
			default: // a newer one came
			}
			if c, err := net.Dial("tcp", address); err == nil {
				_ = c.Close() // it listens
				return address
			}
		default:
		}
	}
	t.Fatal("it does not listen")
	return ""
}

func TestSource(t *testing.T) {
	var s *spot
	connectortest.RunSource(t, connectortest.SourceCase{
		Open: func(t *testing.T, env connectors.Environment) connectors.Source {
			s = &spot{came: make(chan string, 1)}
			o, _ := DefaultSource().(*SourceOptions)
			o.Listen = "127.0.0.1:0"
			source, err := o.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			p, _ := source.(*Source)
			p.listening, p.grace = s.listening, time.Second
			return p
		},
		Dial: func(t *testing.T) connectortest.Peer {
			return caller{client: &http.Client{Transport: &http.Transport{}}, address: s.wait(t)}
		},
		Message: func(n int) []byte { return fmt.Appendf(nil, "message %d of %s", n, connectortest.Canary) },
		Reply: func(_ *message.Message, code message.AnswerCode) message.Reply {
			return message.Reply{Answer: message.Answer{Code: code}}
		},
	})
}

// serve runs a source with a handler and returns its address.
func serve(t *testing.T, change func(*SourceOptions, *connectors.Environment), handle connectors.Handler) string {
	t.Helper()
	o, _ := DefaultSource().(*SourceOptions)
	o.Listen = "127.0.0.1:0"
	env := environment(io.Discard)
	if change != nil {
		change(o, &env)
	}
	source, err := o.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	s := &spot{came: make(chan string, 1)}
	p, _ := source.(*Source)
	p.listening, p.grace = s.listening, 100*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, handle) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.wait(t)
}

func exchange(t *testing.T, address, request string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func post(body, more string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s", len(body), more, body)
}

func TestStatuses(t *testing.T) {
	var reply message.Reply
	var fault error
	var got []*message.Message
	address := serve(t, func(o *SourceOptions, env *connectors.Environment) {
		env.Size, env.Whole = 1000, 100
		o.Content = []string{"application/hl7-v2"}
		o.Read = 300 * time.Millisecond
	}, func(_ context.Context, m *message.Message) (message.Reply, error) {
		if m.Stream != nil {
			if _, err := io.Copy(io.Discard, m.Stream); err != nil {
				return message.Reply{}, err
			}
		}
		got = append(got, m)
		return reply, fault
	})
	const hl7 = "Content-Type: application/hl7-v2; charset=utf-8\r\n"
	later := message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "MSH-10", Code: 207, Text: "later"}}}
	for _, c := range []struct {
		name, request string
		reply         message.Reply
		fault         error
		status        int
		body          string
		messages      int
	}{
		{"taken", post("MSH", hl7), message.Reply{Answer: message.Answer{Code: message.Accepted}, Raw: []byte("ACK")}, nil, 200, "ACK", 1},
		{"wrong content", post("MSH", hl7), message.Reply{Answer: message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "PID-3", Code: 101, Text: "is missing"}}}}, nil, 422, "PID-3: is missing", 1},
		{"later", post("MSH", hl7), message.Reply{Answer: later}, nil, 503, "later", 1},
		{"rejected", post("MSH", hl7), message.Reply{Answer: message.Answer{Code: message.Rejected}}, nil, 400, "", 1},
		{"a fault of ours", post("MSH", hl7), message.Reply{}, errors.New("disk"), 503, "send again", 1},
		{"another type", post("MSH", "Content-Type: text/plain\r\n"), message.Reply{}, nil, 415, "none of application/hl7-v2", 0},
		{"another method", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", message.Reply{}, nil, 405, "POST", 0},
		{"another path", "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", message.Reply{}, nil, 404, "", 0},
		{"too large", post(strings.Repeat("x", 2000), hl7), message.Reply{Answer: message.Answer{Code: message.Erroneous}}, nil, 413, "larger than 1000 bytes", 1},
		{"slow", "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 50\r\n" + hl7 + "\r\nhalf", message.Reply{}, nil, 400, "not arrive whole", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, reply, fault = nil, c.reply, c.fault
			status, body := exchange(t, address, c.request)
			if status != c.status || !strings.Contains(body, c.body) || len(got) != c.messages {
				t.Errorf("answered %d %q with %d messages taken, want %d %q and %d", status, body, len(got), c.status, c.body, c.messages)
			}
			if c.status == 413 && (got[0].Damage == nil || len(got[0].Raw) == 0) {
				t.Errorf("what is too large is handed over as %+v", got[0])
			}
		})
	}
}

func TestWhoCallsIsAskedBeforeAnythingIsRead(t *testing.T) {
	address := serve(t, func(o *SourceOptions, _ *connectors.Environment) {
		o.Login = &web.Login{User: "lab", Password: connectors.NewSecret("pw")}
	}, func(context.Context, *message.Message) (message.Reply, error) {
		return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
	})
	for header, want := range map[string]int{
		"": 401, "Authorization: Basic bGFiOnB4\r\n": 401, "Authorization: Bearer pw\r\n": 401, "Authorization: Basic bGFiOnB3\r\n": 200, "Authorization: Basic x\r\n": 401,
	} {
		if status, _ := exchange(t, address, post("x", header)); status != want {
			t.Errorf("%q is answered %d, want %d", header, status, want)
		}
	}
	// The body never comes, and the answer does.
	if status, _ := exchange(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"); status != 401 {
		t.Errorf("answered %d", status)
	}
}

func TestABodyOfSeveralMessages(t *testing.T) {
	var got []string
	address := serve(t, func(_ *SourceOptions, env *connectors.Environment) {
		env.Split = func(r io.Reader, take func([]byte) error) error {
			lines := bufio.NewScanner(r)
			for lines.Scan() {
				if err := take([]byte(lines.Text())); err != nil {
					return err
				}
			}
			return lines.Err()
		}
	}, func(_ context.Context, m *message.Message) (message.Reply, error) {
		got = append(got, string(m.Raw))
		code := message.Accepted
		if string(m.Raw) == "two" {
			code = message.Erroneous
		}
		return message.Reply{Answer: message.Answer{Code: code}, Raw: []byte("<" + string(m.Raw) + ">")}, nil
	})
	status, body := exchange(t, address, post("one\ntwo\nthree", ""))
	if status != 422 || body != "<one><two><three>" || strings.Join(got, " ") != "one two three" {
		t.Errorf("answered %d %q for %v", status, body, got)
	}
}
