package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	nethttp "net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/connectors/web/webtest"
	"github.com/plexus-health/plexus/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// payload is payload number n and its control id.
func payload(n int) (raw []byte, control string) {
	return fmt.Appendf(nil, "order %d for %s\r\n\x00\xff", n, connectortest.Canary), fmt.Sprint("C", n)
}

func defaults(address string) *DestinationOptions {
	o := DefaultDestination().(*DestinationOptions)
	o.URL = "http://" + address + "/in"
	return o
}

// openDestination opens a destination that ends with the test.
func openDestination(t testing.TB, o *DestinationOptions, env connectors.Environment) *Destination {
	t.Helper()
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	d, err := o.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Destination)
}

func TestDestination(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			connectortest.RunDestination(t, connectortest.DestinationCase{
				Open: func(t *testing.T, env connectors.Environment) (connectors.Destination, connectortest.Receiver) {
					r := webtest.NewReceiver(t)
					if secure {
						ca := webtest.NewAuthority(t, env.Folder)
						ca.Issue("plexus", "", webtest.Later())
						r.TLS = &tls.Config{
							Certificates: []tls.Certificate{ca.Issue("partner", "", webtest.Later())},
							ClientCAs:    ca.Pool, ClientAuth: tls.RequireAndVerifyClientCert,
						}
					}
					r.Behave(connectortest.Accept)
					o := defaults(r.Address)
					if secure {
						o.URL = "https://" + r.Address + "/in"
						o.TLS = &network.TLSOptions{Cert: "plexus.pem", Key: "plexus.key", CA: "ca.pem"}
					}
					return openDestination(t, o, env), r
				},
				Payload: payload, Connections: 4,
			})
		})
	}
}

// exchange opens a destination, sends one delivery and closes it.
func exchange(t testing.TB, o *DestinationOptions, env connectors.Environment) (message.Reply, error) {
	t.Helper()
	d := openDestination(t, o, env)
	reply, err := send(d, 1)
	if closing := d.Close(); closing != nil {
		t.Errorf("Close: %v", closing)
	}
	if err != nil && strings.Contains(err.Error(), connectortest.Canary) {
		t.Errorf("content of the payload is in the error: %v", err)
	}
	return reply, err
}

func send(d *Destination, n int) (message.Reply, error) {
	ctx, done := context.WithTimeout(context.Background(), webtest.Patience)
	defer done()
	raw, control := payload(n)
	return d.Send(ctx, &message.Delivery{ID: fmt.Sprint("delivery-", n), Control: control, Payload: raw, Attempts: 1})
}

func TestAnswersAreClassed(t *testing.T) {
	now := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	date := "Retry-After: " + now.Add(90*time.Second).Format(nethttp.TimeFormat)
	cut := "HTTP/1.1 %d X\r\nContent-Length: 100\r\n\r\n" + connectortest.Canary
	tests := map[string]struct {
		answer string
		kind   message.Kind
		after  time.Duration
		text   string // of the error
		raw    string // of the reply
	}{
		"200":                                 {answer: webtest.Answer(200, "text/plain", "ok"), raw: "ok"},
		"204":                                 {answer: "HTTP/1.1 204 No Content\r\n\r\n"},
		"299":                                 {answer: webtest.Answer(299, "text/plain", "")},
		"301 is not followed":                 {answer: webtest.Answer(301, "text/plain", "", "Location: http://127.0.0.1:1/"), kind: message.RefusedSend, text: "answered 301, which points to another address; it is not followed: correct the address"},
		"307 is not followed":                 {answer: webtest.Answer(307, "text/plain", "", "Location: /elsewhere"), kind: message.RefusedSend, text: "answered 307, which points to another address; it is not followed: correct the address"},
		"400":                                 {answer: webtest.Answer(400, "text/plain", connectortest.Canary), kind: message.RefusedSend, text: "answered 400", raw: connectortest.Canary},
		"401":                                 {answer: webtest.Answer(401, "text/plain", ""), kind: message.RefusedSend, text: "answered 401"},
		"404":                                 {answer: webtest.Answer(404, "text/plain", ""), kind: message.RefusedSend, text: "answered 404"},
		"429":                                 {answer: webtest.Answer(429, "text/plain", ""), kind: message.Busy, text: "answered 429"},
		"429 with seconds":                    {answer: webtest.Answer(429, "text/plain", "", "Retry-After: 120"), kind: message.Busy, after: 2 * time.Minute, text: "answered 429"},
		"503 with a date":                     {answer: webtest.Answer(503, "text/plain", "", date), kind: message.Busy, after: 90 * time.Second, text: "answered 503"},
		"503 with a date that is over":        {answer: webtest.Answer(503, "text/plain", "", "Retry-After: Mon, 05 Jan 2015 12:00:00 GMT"), kind: message.Busy, text: "answered 503"},
		"503 with seconds beyond belief":      {answer: webtest.Answer(503, "text/plain", "", "Retry-After: 4000000000"), kind: message.Busy, after: 24 * time.Hour, text: "answered 503"},
		"503 with a word":                     {answer: webtest.Answer(503, "text/plain", "", "Retry-After: soon"), kind: message.Busy, text: "answered 503"},
		"500":                                 {answer: webtest.Answer(500, "text/plain", connectortest.Canary), kind: message.Busy, text: "answered 500", raw: connectortest.Canary},
		"a status that is none":               {answer: webtest.Answer(999, "text/plain", ""), kind: message.Unreadable, text: "answered 999"},
		"an interim answer first":             {answer: "HTTP/1.1 103 Early Hints\r\n\r\n" + webtest.Answer(201, "text/plain", "ok"), raw: "ok"},
		"interim answers only":                {answer: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20), kind: message.Unreadable, text: "what came is no answer of HTTP"},
		"another protocol":                    {answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", kind: message.Unreadable, text: "answered 101: another protocol was not asked for"},
		"no answer":                           {answer: "", kind: message.Unknown, text: "the connection ended before the answer did"},
		"half a line":                         {answer: "HTTP/1.1 20", kind: message.Unknown, text: "the connection ended before the answer did"},
		"half of the headers":                 {answer: "HTTP/1.1 200 OK\r\nContent-", kind: message.Unknown, text: "the connection ended before the answer did"},
		"200 and half of its content":         {answer: fmt.Sprintf(cut, 200), kind: message.Unknown, text: "the connection ended before the answer did", raw: connectortest.Canary},
		"503 and half of its content":         {answer: fmt.Sprintf(cut, 503), kind: message.Busy, text: "answered 503", raw: connectortest.Canary},
		"no HTTP":                             {answer: connectortest.Canary + " is not here\r\n\r\n", kind: message.Unreadable, text: "what came is no answer of HTTP"},
		"a header without a colon":            {answer: "HTTP/1.1 200 OK\r\n" + connectortest.Canary + "\r\n\r\n", kind: message.Unreadable, text: "what came is no answer of HTTP"},
		"two lengths":                         {answer: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", kind: message.Unreadable, text: "what came is no answer of HTTP"},
		"a chunk that is none":                {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", kind: message.Unreadable, text: "what came is no answer of HTTP"},
		"content as large as is read":         {answer: webtest.Answer(200, "text/plain", strings.Repeat("x", 2000)), raw: strings.Repeat("x", 2000)},
		"content larger than is read":         {answer: webtest.Answer(200, "text/plain", strings.Repeat("x", 2001)), kind: message.Unreadable, text: "the answer is larger than is read", raw: strings.Repeat("x", 2000)},
		"content without an end":              {answer: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 1<<20), kind: message.Unreadable, text: "the answer is larger than is read", raw: strings.Repeat("x", 2000)},
		"headers without an end":              {answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Y: zzzzzzzzzzzzzzzzzzzzzzzzz\r\n", 1<<16), kind: message.Unreadable, text: "the answer is larger than is read"},
		"a refusal larger than is read":       {answer: webtest.Answer(422, "text/plain", strings.Repeat("x", 5000)), kind: message.RefusedSend, text: "answered 422", raw: strings.Repeat("x", 2000)},
		"HTTP/1.0, which ends with its bytes": {answer: "HTTP/1.0 200 OK\r\n\r\nok", raw: "ok"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := webtest.NewReceiver(t)
			r.Once = true
			r.Answer = func(*nethttp.Request, []byte) string { return test.answer }
			r.Behave(connectortest.Accept)
			o := defaults(r.Address)
			o.Answer = 2000
			reply, err := exchange(t, o, connectors.Environment{Now: func() time.Time { return now }})
			f, _ := errors.AsType[*message.Failure](err)
			switch {
			case test.kind == "" && (err != nil || reply.Answer.Code != message.Accepted):
				t.Errorf("Send = %q, %v; want accepted", reply.Answer.Code, err)
			case test.kind != "" && (f == nil || f.Kind != test.kind || f.After != test.after || f.Error() != test.text):
				t.Errorf("Send = %v of kind %s, after %+v; want %q of kind %s, after %s", err, message.KindOf(err), f, test.text, test.kind, test.after)
			case test.kind != "" && reply.Answer.Code == message.Accepted:
				t.Error("an error beside a positive answer")
			}
			if string(reply.Raw) != test.raw {
				t.Errorf("reply of %d bytes, want %d", len(reply.Raw), len(test.raw))
			}
			if n := len(r.Taken()); n != 1 {
				t.Errorf("the payload was sent %d times, want once", n)
			}
		})
	}
}

func TestWhatIsSent(t *testing.T) {
	r := webtest.NewReceiver(t)
	r.Behave(connectortest.Accept)
	o := defaults(r.Address)
	o.URL = "http://" + r.Address + "/a/b%20c?d=e"
	o.Method, o.Content = nethttp.MethodPut, "application/hl7-v2; charset=utf-8"
	o.Headers = map[string]string{"accept": "text/plain", "X-Site": "north"}
	o.SecretHeaders = map[string]connectors.Secret{"X-API-Key": connectors.NewSecret("k-1")}
	o.Credential = &web.CredentialOptions{Bearer: connectors.NewSecret("t-1")}
	d := openDestination(t, o, connectors.Environment{})
	defer d.Close()
	for range 2 { // a repeat is the same
		if _, err := d.Send(t.Context(), &message.Delivery{ID: "id-1", Control: "C 1\u00e4", Payload: []byte("x"), Attempts: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for _, request := range r.Requests() {
		got := []string{request.Method, request.RequestURI, request.Host}
		want := []string{"PUT", "/a/b%20c?d=e", r.Address}
		for name, value := range map[string]string{
			"Content-Type": "application/hl7-v2; charset=utf-8", "Accept": "text/plain", "X-Site": "north", "X-Api-Key": "k-1",
			"Authorization": "Bearer t-1", "Idempotency-Key": "id-1", "X-Plexus-Control": "C%201%C3%A4", "User-Agent": "Plexus",
		} {
			got, want = append(got, request.Header.Get(name)), append(want, value)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("came %v\nwant %v", got, want)
		}
		if request.ContentLength != 1 {
			t.Errorf("length %d, want 1", request.ContentLength)
		}
	}
	if n := r.Accepted(); n != 1 {
		t.Errorf("%d connections for two requests, want 1", n)
	}
	if _, err := d.Send(t.Context(), &message.Delivery{ID: "id-2"}); message.KindOf(err) != message.RefusedSend {
		t.Errorf("an empty payload: %v, want refused", err)
	}
}

func TestBasicCredential(t *testing.T) {
	r := webtest.NewReceiver(t)
	r.Behave(connectortest.Accept)
	o := defaults(r.Address)
	o.Credential = &web.CredentialOptions{Basic: &web.BasicOptions{User: "lab", Password: connectors.NewSecret("pw")}}
	if _, err := exchange(t, o, connectors.Environment{}); err != nil {
		t.Fatal(err)
	}
	if user, password, _ := r.Requests()[0].BasicAuth(); user != "lab" || password != "pw" {
		t.Errorf("came %q, %q", user, password)
	}
}

// TestAcceptedStatuses holds that accept decides, and nothing else.
func TestAcceptedStatuses(t *testing.T) {
	for status, want := range map[int]message.Kind{200: message.RefusedSend, 202: "", 409: "", 410: "", 500: message.Busy} {
		r := webtest.NewReceiver(t)
		r.Answer = func(*nethttp.Request, []byte) string { return webtest.Answer(status, "text/plain", "") }
		r.Behave(connectortest.Accept)
		o := defaults(r.Address)
		o.Accept = []string{"202", "409-410"}
		_, err := exchange(t, o, connectors.Environment{})
		if got := message.KindOf(err); (err == nil) != (want == "") || (err != nil && got != want) {
			t.Errorf("%d: %v, want %q", status, err, want)
		}
	}
}

// TestAnEndedConnectionIsReplaced holds that a connection which the server
// ended while it was idle costs nothing.
func TestAnEndedConnectionIsReplaced(t *testing.T) {
	r := webtest.NewReceiver(t)
	r.Behave(connectortest.Accept)
	o := defaults(r.Address)
	o.Connections = 1
	d := openDestination(t, o, connectors.Environment{})
	defer d.Close()
	for n := range 20 {
		if _, err := send(d, n); err != nil {
			t.Fatalf("send %d: %v", n, err)
		}
		r.HangUp()
	}
	if n := len(r.Taken()); n != 20 {
		t.Errorf("%d payloads arrived, want 20", n)
	}
}

// TestWordsUnasked holds that what a server says after its answer is never taken
// for the answer to the next request.
func TestWordsUnasked(t *testing.T) {
	r := webtest.NewReceiver(t)
	n := 0
	r.Answer = func(*nethttp.Request, []byte) string {
		if n++; n == 1 {
			return webtest.Answer(200, "text/plain", "one") + webtest.Answer(422, "text/plain", connectortest.Canary)
		}
		return webtest.Answer(200, "text/plain", "two")
	}
	r.Behave(connectortest.Accept)
	d := openDestination(t, defaults(r.Address), connectors.Environment{})
	defer d.Close()
	for _, want := range []string{"one", "two"} {
		if reply, err := send(d, 1); err != nil || string(reply.Raw) != want {
			t.Errorf("Send = %q, %v; want %q", reply.Raw, err, want)
		}
	}
}

// TestAnEarlyRefusalIsRead holds that a server may refuse before it has read
// everything.
func TestAnEarlyRefusalIsRead(t *testing.T) {
	for status, want := range map[int]message.Kind{413: message.RefusedSend, 503: message.Busy, 200: message.Unknown} {
		r := webtest.NewReceiver(t)
		r.SIP = 100
		r.Answer = func(*nethttp.Request, []byte) string { return webtest.Answer(status, "text/plain", "") }
		r.Behave(connectortest.Accept)
		d := openDestination(t, defaults(r.Address), connectors.Environment{})
		ctx, done := context.WithTimeout(context.Background(), webtest.Patience)
		_, err := d.Send(ctx, &message.Delivery{ID: "d", Payload: bytes.Repeat([]byte("x"), 32<<20)})
		done()
		if got := message.KindOf(err); err == nil || got != want {
			t.Errorf("%d: %v of kind %s, want %s", status, err, got, want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDown(t *testing.T) {
	r := webtest.NewReceiver(t)
	r.Behave(connectortest.Accept)
	tests := map[string]func(o *DestinationOptions){
		"nobody listens":  func(o *DestinationOptions) { o.URL = "http://127.0.0.1:1/" },
		"no such host":    func(o *DestinationOptions) { o.URL = "https://nobody.invalid/" },
		"no TLS is there": func(o *DestinationOptions) { o.URL = "https://" + r.Address + "/" },
		"no authority file": func(o *DestinationOptions) {
			o.URL = "https://" + r.Address + "/"
			o.TLS = &network.TLSOptions{CA: "none.pem"}
		},
		"the proxy is away":     func(o *DestinationOptions) { o.URL = "https://" + r.Address + "/"; o.Proxy = "http://127.0.0.1:1" },
		"the proxy is no proxy": func(o *DestinationOptions) { o.URL = "https://partner.invalid/"; o.Proxy = "http://" + r.Address },
		"connecting takes ages": func(o *DestinationOptions) { o.Connect = time.Nanosecond },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			o := defaults(r.Address)
			change(o)
			if _, err := exchange(t, o, connectors.Environment{Folder: t.TempDir()}); message.KindOf(err) != message.Down {
				t.Errorf("Send = %v of kind %s, want down", err, message.KindOf(err))
			}
		})
	}
}

// TestAProxyIsNotQuoted holds that an error tells nothing of what came from an
// address that is no proxy: it may be a message.
func TestAProxyIsNotQuoted(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("MSH|" + connectortest.Canary + "\r\n\r\n")) // the reader may be gone
			_ = conn.Close()
		}
	}()
	o := defaults("127.0.0.1:1")
	o.URL, o.Proxy = "https://partner.invalid/", "http://"+listener.Addr().String()
	_, err = exchange(t, o, connectors.Environment{})
	if message.KindOf(err) != message.Down || strings.Contains(err.Error(), connectortest.Canary) {
		t.Errorf("Send = %v of kind %s, want down and nothing of what came", err, message.KindOf(err))
	}
}

func TestDestinationTLS(t *testing.T) {
	folder, strangers := t.TempDir(), t.TempDir()
	ca, other := webtest.NewAuthority(t, folder), webtest.NewAuthority(t, strangers)
	ca.Issue("plexus", "", webtest.Later())
	other.Issue("plexus", "", webtest.Later())
	stranger := func(name string) string { return filepath.Join(strangers, name) }
	good := ca.Issue("partner", "", webtest.Later())
	named := ca.Issue("named", "partner.example.org", webtest.Later())
	mutual := &tls.Config{Certificates: []tls.Certificate{good}, ClientCAs: ca.Pool, ClientAuth: tls.RequireAndVerifyClientCert}
	mutual12 := mutual.Clone()
	mutual12.MaxVersion = tls.VersionTLS12
	one := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	old := one(good)
	old.MaxVersion = tls.VersionTLS12
	tests := map[string]struct {
		server  *tls.Config
		options network.TLSOptions
		kind    message.Kind
	}{
		"the right authority":         {server: one(good), options: network.TLSOptions{CA: "ca.pem"}},
		"a wrong authority":           {server: one(good), options: network.TLSOptions{CA: stranger("ca.pem")}, kind: message.Down},
		"the system's authorities":    {server: one(good), kind: message.Down},
		"a wrong name":                {server: one(named), options: network.TLSOptions{CA: "ca.pem"}, kind: message.Down},
		"the name that was said":      {server: one(named), options: network.TLSOptions{CA: "ca.pem", ServerName: "partner.example.org"}},
		"an expired certificate":      {server: one(ca.Issue("expired", "", time.Now().Add(-time.Hour))), options: network.TLSOptions{CA: "ca.pem"}, kind: message.Down},
		"an old version":              {server: old, options: network.TLSOptions{CA: "ca.pem", Min: "1.3"}, kind: message.Down},
		"mutual":                      {server: mutual, options: network.TLSOptions{CA: "ca.pem", Cert: "plexus.pem", Key: "plexus.key"}},
		"mutual without certificate":  {server: mutual12, options: network.TLSOptions{CA: "ca.pem"}, kind: message.Down},
		"mutual with a stranger's":    {server: mutual12, options: network.TLSOptions{CA: "ca.pem", Cert: stranger("plexus.pem"), Key: stranger("plexus.key")}, kind: message.Down},
		"mutual, noticed after bytes": {server: mutual, options: network.TLSOptions{CA: "ca.pem"}, kind: message.Unknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := webtest.NewReceiver(t)
			r.TLS = test.server
			r.Behave(connectortest.Accept)
			o := defaults(r.Address)
			o.URL, o.TLS = "https://"+r.Address+"/", &test.options
			_, err := exchange(t, o, connectors.Environment{Folder: folder})
			if (err == nil) != (test.kind == "") || (err != nil && message.KindOf(err) != test.kind) {
				t.Errorf("Send = %v of kind %s, want %q", err, message.KindOf(err), test.kind)
			}
			if n := len(r.Taken()); (n == 1) != (test.kind == "") {
				t.Errorf("%d payloads arrived", n)
			}
		})
	}
}

// TestProxy sends through a proxy that does what a proxy does.
func TestProxy(t *testing.T) {
	folder := t.TempDir()
	ca := webtest.NewAuthority(t, folder)
	r := webtest.NewReceiver(t)
	r.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue("partner", "", webtest.Later())}}
	r.Behave(connectortest.Accept)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	asked := make(chan string, 1)
	group.Go(func() {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		defer near.Close()
		head := make([]byte, 0, 1<<10)
		for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one[0]) {
			if _, err := near.Read(one); err != nil {
				return
			}
		}
		asked <- strings.SplitN(string(head), "\r\n", 2)[0]
		far, err := net.Dial("tcp", r.Address)
		if err != nil {
			return
		}
		defer far.Close()
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		group.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() })
		_, _ = io.Copy(far, near)
	})
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	o := defaults(r.Address)
	o.URL, o.Proxy, o.TLS = "https://"+r.Address+"/", "http://"+listener.Addr().String(), &network.TLSOptions{CA: "ca.pem"}
	if _, err := exchange(t, o, connectors.Environment{Folder: folder}); err != nil {
		t.Fatal(err)
	}
	if got, want := <-asked, "CONNECT "+r.Address+" HTTP/1.1"; got != want {
		t.Errorf("the proxy was asked %q, want %q", got, want)
	}
}

// TestSilence holds that a server that takes its time is given up, and that one
// which reads nothing is, too.
func TestSilence(t *testing.T) {
	t.Run("no answer", func(t *testing.T) {
		r := webtest.NewReceiver(t)
		r.Behave(connectortest.StaySilent)
		o := defaults(r.Address)
		o.Timeout = 50 * time.Millisecond
		if _, err := exchange(t, o, connectors.Environment{}); message.KindOf(err) != message.Unknown || err.Error() != "no answer came in time" {
			t.Errorf("Send = %v of kind %s, want unknown", err, message.KindOf(err))
		}
	})
	t.Run("nothing is read", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		o := defaults(listener.Addr().String())
		o.Timeout = 200 * time.Millisecond
		d := openDestination(t, o, connectors.Environment{})
		defer d.Close()
		_, err = d.Send(t.Context(), &message.Delivery{ID: "d", Payload: bytes.Repeat([]byte("x"), 32<<20)})
		if message.KindOf(err) != message.Unknown {
			t.Errorf("Send = %v of kind %s, want unknown", err, message.KindOf(err))
		}
	})
}

// TestDownIsTrue holds that nothing arrived of what is said not to have left,
// wherever a send is broken off.
func TestDownIsTrue(t *testing.T) {
	r := webtest.NewReceiver(t)
	r.Behave(connectortest.Accept)
	d := openDestination(t, defaults(r.Address), connectors.Environment{})
	random := rand.New(rand.NewPCG(1, 2))
	kinds, down := map[message.Kind]int{}, map[string]bool{}
	for n := range 1000 {
		raw := fmt.Sprint("payload ", n)
		ctx, done := context.WithTimeout(context.Background(), time.Duration(random.IntN(600))*time.Microsecond)
		_, err := d.Send(ctx, &message.Delivery{ID: "d", Payload: []byte(raw)})
		done()
		if err != nil {
			kinds[message.KindOf(err)]++
			down[raw] = message.KindOf(err) == message.Down
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	r.Drain()
	for _, raw := range r.Taken() {
		if down[string(raw)] {
			t.Errorf("%q arrived, and was said not to have left", raw)
		}
	}
	if kinds[message.Down] == 0 {
		t.Errorf("kinds %v: no send was broken off in time", kinds)
	}
}
