package file

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/folder"
	"github.com/plexus-health/plexus/message"
)

// A site is a folder with a source that picks up from it.
type site struct {
	t       testing.TB
	dir     string
	options *SourceOptions
	env     connectors.Environment
	log     bytes.Buffer
	mu      sync.Mutex
	events  map[string]int
	damaged []string // length and reason of what came damaged
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
	s := &site{t: t, dir: t.TempDir(), events: map[string]int{}, options: DefaultSource().(*SourceOptions)}
	s.options.Folder, s.options.Stable, s.options.Done, s.options.Every = s.dir, 0, folder.Rename, 2*time.Millisecond
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
		for _, text := range []string{s.log.String(), fmt.Sprint(s.events)} {
			if strings.Contains(text, connectortest.Canary) {
				t.Errorf("a name or content is in log or events:\n%s", text)
			}
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
		s.mu.Lock()
		s.damaged = append(s.damaged, fmt.Sprintf("%d bytes: %s", len(raw), m.Damage.Error()))
		s.mu.Unlock()
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

// put writes a file and renames it.
func (s *site) put(name, text string) string {
	s.t.Helper()
	whole := filepath.Join(s.dir, name)
	write(s.t, whole+".tmp", text)
	if err := os.Rename(whole+".tmp", whole); err != nil {
		s.t.Fatal(err)
	}
	return whole
}

// in is a path below the folder.
func (s *site) in(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// until waits until a file is there.
func (s *site) until(elements ...string) {
	s.t.Helper()
	until(s.t, filepath.Join(elements...), func() bool { return exists(s.in(elements...)) })
}

// wantReason compares a reason file.
func (s *site) wantReason(name, want string) {
	s.t.Helper()
	s.until("error", name+".reason.txt")
	var text []byte
	until(s.t, "the reason", func() bool {
		text, _ = os.ReadFile(s.in("error", name+".reason.txt"))
		return strings.HasSuffix(string(text), "\n")
	})
	if want = "This file was not taken.\n" + want + "\n"; string(text) != want {
		s.t.Errorf("the reason is %q, want %q", text, want)
	}
}
