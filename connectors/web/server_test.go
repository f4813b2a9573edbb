package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/connectors/web/webtest"
	"github.com/plexus-health/plexus/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server until the test ends it or is over.
func start(t *testing.T, s *Server, handle connectors.Handler) (address string, end func()) {
	t.Helper()
	port := webtest.NewPort()
	s.Listened = port.Listened
	o := &s.Options
	o.Listen, o.Idle, o.Request, o.Write = "127.0.0.1:0", time.Minute, time.Minute, time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Run(ctx, func(x *Exchange) {
			out := x.Take(handle, nil)
			x.Answer(out.Status, "text/plain", out.Text())
		})
	}()
	end = func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
			ended <- nil
		case <-time.After(webtest.Patience):
			t.Fatal("Run did not end")
		}
	}
	t.Cleanup(end)
	return port.Wait(t), end
}

func accept(context.Context, *message.Message) (message.Reply, error) {
	return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
}

// TestHandlersAreGivenUp holds that a handler which waits for what does not
// happen ends with its context, a grace after the end, and claims nothing.
func TestHandlersAreGivenUp(t *testing.T) {
	entered := make(chan struct{})
	address, end := start(t, &Server{grace: 10 * time.Millisecond}, func(ctx context.Context, _ *message.Message) (message.Reply, error) {
		close(entered)
		<-ctx.Done()
		return message.Reply{}, ctx.Err()
	})
	sender := webtest.Dial(t, address, nil)
	status := make(chan int, 1)
	go func() {
		response, _, err := sender.Post([]byte("x"))
		if err != nil {
			status <- 0
			return
		}
		status <- response.StatusCode
	}()
	<-entered
	end()
	if got := <-status; got != http.StatusServiceUnavailable {
		t.Errorf("answered %d, want 503", got)
	}
}

// TestCertificatesAreReadAgain holds that changed files count for the next
// connection, on both sides, and that what is no certificate changes nothing.
func TestCertificatesAreReadAgain(t *testing.T) {
	folder := t.TempDir()
	ca := webtest.NewAuthority(t, folder)
	ca.Issue("server", "", webtest.Later())
	options := &network.TLSOptions{Cert: "server.pem", Key: "server.key", CA: "ca.pem"}
	address, _ := start(t, &Server{Options: ServerOptions{TLS: options}, Env: connectors.Environment{Folder: folder}}, accept)
	client := func() *tls.Config {
		return &tls.Config{RootCAs: ca.Pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{ca.Issue("client", "", webtest.Later())}}
	}
	serial := func() string {
		config := client()
		var seen string
		config.VerifyConnection = func(state tls.ConnectionState) error {
			seen = state.PeerCertificates[0].SerialNumber.String()
			return nil
		}
		if response, _, err := webtest.Dial(t, address, config).Post([]byte("x")); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("not taken: %v", err)
		}
		return seen
	}
	stamp := func(hours int) { // the files' times must differ
		later := time.Now().Add(time.Duration(hours) * time.Hour)
		for _, name := range []string{"server.pem", "server.key"} {
			if err := os.Chtimes(filepath.Join(folder, name), later, later); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := serial()
	ca.Issue("server", "", webtest.Later())
	stamp(1)
	second := serial()
	if first == second {
		t.Error("the changed certificate does not count")
	}
	if err := os.WriteFile(filepath.Join(folder, "server.pem"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	stamp(2)
	if got := serial(); got != second {
		t.Errorf("certificate %s after a change to something that is none, want %s", got, second)
	}
}

// TestALogOfNetHTTPIsOneLine holds that what net/http says of a connection is
// counted, and that nothing beyond its first line is logged.
func TestALogOfNetHTTPIsOneLine(t *testing.T) {
	var log strings.Builder
	events := 0
	f := &faults{slog.New(slog.NewTextHandler(&log, nil)), func(string, int) { events++ }}
	if _, err := f.Write([]byte("http: something\n" + connectortest.Canary)); err != nil {
		t.Fatal(err)
	}
	if events != 1 || !strings.Contains(log.String(), "http: something") || strings.Contains(log.String(), connectortest.Canary) {
		t.Errorf("%d events, log %s", events, log.String())
	}
}

// TestIdleConnectionsEnd holds that a connection is closed when it was silent
// for long enough, and the next request makes another.
func TestIdleConnectionsEnd(t *testing.T) {
	r := webtest.NewReceiver(t)
	r.Behave(connectortest.Accept)
	closed := make(chan struct{}, 2)
	r.Closed = func() { closed <- struct{}{} }
	c, err := NewClient(ClientOptions{
		URL: "http://" + r.Address, Connections: 1, Connect: time.Minute, Timeout: time.Minute, Idle: time.Millisecond, Answer: 1 << 10,
	}, connectors.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if _, err := c.Do(t.Context(), &Request{Method: http.MethodPost, URL: c.URL(), Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-closed:
		case <-time.After(webtest.Patience):
			t.Fatal("the connection was not closed")
		}
	}
	if n := r.Accepted(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// TestAClosedClient holds that nothing is sent any more, and that a request
// under way ends as it would have.
func TestAClosedClient(t *testing.T) {
	r := webtest.NewReceiver(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	r.Answer = func(*http.Request, []byte) string {
		close(entered)
		<-leave
		return webtest.Answer(http.StatusOK, "text/plain", "")
	}
	r.Behave(connectortest.Accept)
	c, err := NewClient(ClientOptions{
		URL: "http://" + r.Address, Connections: 2, Connect: time.Minute, Timeout: time.Minute, Answer: 1 << 10,
	}, connectors.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	request := &Request{Method: http.MethodPost, URL: c.URL(), Body: []byte("x")}
	done := make(chan error, 1)
	go func() {
		_, err := c.Do(context.Background(), request)
		done <- err
	}()
	<-entered
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if _, err := c.Do(t.Context(), request); message.KindOf(err) != message.Down || !errors.Is(err, errClosed) {
		t.Errorf("a request after the end: %v, want down", err)
	}
}
