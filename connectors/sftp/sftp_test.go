package sftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/folder"
	"github.com/plexus-health/plexus/internal/sftptest"
	"github.com/plexus-health/plexus/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds the waits of tests; nothing is measured by it.
const patience = 30 * time.Second

// sample is message number n.
func sample(n int) []byte {
	return fmt.Appendf(nil, "MSH|^~\\&|LAB|NORTH|EHR|NORTH|20260105120000||ORU^R01|M%06d|P|2.5.1\rPID|1||77^^^N^MR||%s^X\r", n, connectortest.Canary)
}

func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it did not come to that", what)
		}
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// names lists a folder.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func wantNames(t testing.TB, dir string, want ...string) {
	t.Helper()
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

func wantContent(t testing.TB, name string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want the %d sent", len(got), err, len(want))
	}
}

// at points options at a server.
func at(t testing.TB, s *sftptest.Server) (host string, port int) {
	t.Helper()
	host, number, err := net.SplitHostPort(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(number); err != nil {
		t.Fatal(err)
	}
	return host, port
}

// toServer are the options of a destination on a server.
func toServer(t testing.TB, s *sftptest.Server) *DestinationOptions {
	o := DefaultDestination().(*DestinationOptions)
	o.Host, o.Port = at(t, s)
	o.User, o.Credential, o.HostKey, o.Folder = s.User, connectors.NewSecret(s.Password), s.HostKey, "/out"
	return o
}

// fromServer are the options of a source on a server.
func fromServer(t testing.TB, s *sftptest.Server) *SourceOptions {
	o := DefaultSource().(*SourceOptions)
	o.Host, o.Port = at(t, s)
	o.User, o.Credential, o.HostKey, o.Folder = s.User, connectors.NewSecret(s.Password), s.HostKey, "/in"
	o.Stable, o.Done, o.Every = 0, folder.Rename, 2*time.Millisecond
	return o
}

// mkdir makes a folder of a server.
func mkdir(t testing.TB, s *sftptest.Server, name string) string {
	t.Helper()
	dir := filepath.Join(s.Root, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// open makes a destination that ends with the test.
func open(t testing.TB, o *DestinationOptions) connectors.Destination {
	t.Helper()
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	d, err := o.Open(connectors.Environment{Folder: t.TempDir()})
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

// send sends the payload as delivery id.
func send(d connectors.Destination, id string, payload []byte) error {
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	_, err := d.Send(ctx, &message.Delivery{ID: id, Control: "C-" + id, Payload: payload})
	return err
}

func wantKind(t testing.TB, err error, want message.Kind) {
	t.Helper()
	if err == nil || message.KindOf(err) != want {
		t.Errorf("Send = %v, kind %s; want %s", err, message.KindOf(err), want)
	}
	if err != nil && (strings.Contains(err.Error(), connectortest.Canary) || strings.Contains(err.Error(), "horse")) {
		t.Errorf("content or a password in the error: %v", err)
	}
}

// A receiver is a server that behaves as it is told.
type receiver struct {
	t      *testing.T
	server *sftptest.Server
	dir    string
	mu     sync.Mutex
}

// foreign is the content of files that stand in the way.
const foreign = "another's file"

func (r *receiver) Behave(b connectortest.Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server.Away(b == connectortest.Away)
	for n := range 10 {
		name := filepath.Join(r.dir, fmt.Sprintf("delivery-%d.hl7", n))
		if text, err := os.ReadFile(name); err == nil && string(text) == foreign {
			if err := os.Remove(name); err != nil {
				r.t.Error(err)
			}
		}
		if b == connectortest.Refuse && !exists(name) {
			write(r.t, name, foreign)
		}
	}
	r.server.Fault(sftptest.Write)
	r.server.Fault(sftptest.Rename)
	switch b {
	case connectortest.TryLater:
		r.server.Fault(sftptest.Write, sftptest.Action{Status: sftptest.Failure})
	case connectortest.HangUp:
		r.server.Fault(sftptest.Rename, sftptest.Action{CutAfter: true})
	case connectortest.StaySilent:
		r.server.Fault(sftptest.Rename, sftptest.Action{Drop: true})
	}
}

func (r *receiver) Taken() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all [][]byte
	for _, name := range names(r.t, r.dir) {
		text, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.t.Error(err)
		}
		if string(text) != foreign {
			all = append(all, text)
		}
	}
	return all
}

func TestDestination(t *testing.T) {
	connectortest.RunDestination(t, connectortest.DestinationCase{
		Open: func(t *testing.T, env connectors.Environment) (connectors.Destination, connectortest.Receiver) {
			s := sftptest.Start(t, sftptest.Options{Sync: true})
			r := &receiver{t: t, server: s, dir: mkdir(t, s, "out")}
			o := toServer(t, s)
			o.Connections = 3
			d, err := o.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			return d, r
		},
		Payload:     func(n int) ([]byte, string) { return sample(n), fmt.Sprintf("M%06d", n) },
		Connections: 3,
		// A broken answer of a server is a broken connection.
		Lacks: []connectortest.Behaviour{connectortest.Babble},
	})
}

// A sender puts files into the folder of a server.
type sender struct {
	dir string
	n   *atomic.Int64
}

// Send writes a file under another name, renames it, and waits until it was
// put away.
func (s sender) Send(ctx context.Context, raw []byte) (bool, error) {
	name := fmt.Sprintf("%06d.hl7", s.n.Add(1))
	whole := filepath.Join(s.dir, name)
	if err := errors.Join(os.WriteFile(whole+".tmp", raw, 0o600), os.Rename(whole+".tmp", whole)); err != nil {
		return false, err
	}
	for {
		switch {
		case exists(filepath.Join(s.dir, "done", name)):
			return true, nil
		case exists(filepath.Join(s.dir, "error", name)):
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func (s sender) Close() {}

func TestSource(t *testing.T) {
	var dir string
	var sent atomic.Int64
	connectortest.RunSource(t, connectortest.SourceCase{
		Open: func(t *testing.T, env connectors.Environment) connectors.Source {
			s := sftptest.Start(t, sftptest.Options{})
			dir = mkdir(t, s, "in")
			o := fromServer(t, s)
			o.Order = "name"
			if problems := o.Validate(); len(problems) > 0 {
				t.Fatal(problems)
			}
			source, err := o.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			return source
		},
		Dial:    func(*testing.T) connectortest.Peer { return sender{dir, &sent} },
		Message: sample,
		Reply: func(_ *message.Message, code message.AnswerCode) message.Reply {
			return message.Reply{Answer: message.Answer{Code: code}}
		},
		OneByOne: true,
	})
}

// A site is a server with a source that picks up from its folder "in".
type site struct {
	t       testing.TB
	server  *sftptest.Server
	dir     string
	options *SourceOptions
	env     connectors.Environment
	log     bytes.Buffer
	mu      sync.Mutex
	events  map[string]int
	got     []string // what was handed over
	cancel  context.CancelFunc
	done    chan error
}

// Write takes the log.
func (s *site) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func newSite(t testing.TB) *site {
	s := &site{t: t, server: sftptest.Start(t, sftptest.Options{}), events: map[string]int{}}
	s.dir, s.options = mkdir(t, s.server, "in"), fromServer(t, s.server)
	s.env = connectors.Environment{
		Log: slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Count: func(event string, n int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events[event] += n
		},
		Size: 4 << 20, Whole: 1 << 20, Now: time.Now,
	}
	t.Cleanup(func() {
		s.stop()
		if text := s.log.String() + fmt.Sprint(s.events); strings.Contains(text, connectortest.Canary) || strings.Contains(text, "horse") {
			t.Errorf("a name, content or password is in log or events:\n%s", text)
		}
	})
	return s
}

// accepted is a handler that takes everything.
func (s *site) accepted(_ context.Context, m *message.Message) (message.Reply, error) {
	raw := m.Raw
	if m.Stream != nil {
		var err error
		if raw, err = io.ReadAll(m.Stream); err != nil {
			return message.Reply{}, err
		}
	}
	if m.Damage != nil {
		return message.Reply{Answer: message.Answer{Code: message.Erroneous, Problems: []message.Problem{message.Explain(m.Damage)}}}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(raw))
	return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
}

func (s *site) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

func (s *site) event(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[name]
}

// start runs the source; a nil handle takes everything.
func (s *site) start(handle connectors.Handler) {
	s.t.Helper()
	if handle == nil {
		handle = s.accepted
	}
	if problems := s.options.Validate(); len(problems) > 0 {
		s.t.Fatal(problems)
	}
	source, err := s.options.Open(s.env)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan error, 1)
	done := s.done
	go func() { done <- source.Run(ctx, handle) }()
}

func (s *site) stop() {
	s.t.Helper()
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.cancel = nil
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Errorf("Run = %v, want nil", err)
		}
	case <-time.After(patience):
		s.t.Error("Run did not end")
	}
}

// in is a path below the folder.
func (s *site) in(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// put writes a file and renames it.
func (s *site) put(name, text string) {
	s.t.Helper()
	write(s.t, s.in(".writing"), text)
	if err := os.Rename(s.in(".writing"), s.in(name)); err != nil {
		s.t.Fatal(err)
	}
}

// until waits until a file is there.
func (s *site) until(elements ...string) {
	s.t.Helper()
	until(s.t, filepath.Join(elements...), func() bool { return exists(s.in(elements...)) })
}
