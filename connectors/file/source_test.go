package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/folder"
	"github.com/plexus-health/plexus/message"
)

// patience bounds the waits of tests; nothing is measured by it.
const patience = 30 * time.Second

// until waits for a condition.
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

// A sender puts files into a folder and sees what becomes of them.
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
			dir = t.TempDir()
			o := DefaultSource().(*SourceOptions)
			o.Folder, o.Stable, o.Done, o.Every, o.Order = dir, 0, folder.Rename, 2*time.Millisecond, "name"
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

// canary is a name that nobody may read in a log.
func canary(rest string) string { return connectortest.Canary + rest }

// lines splits at line ends and refuses nothing.
func lines(r io.Reader, take func([]byte) error) error {
	all, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	for line := range bytes.Lines(all) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if string(line) == "too long" {
			return message.PartialOf(line, &message.Failure{Kind: message.Malformed, Code: 102, Err: errors.New("the message is longer than 9 bytes")})
		}
		if err := take(line); err != nil {
			return err
		}
	}
	return nil
}

func TestFilesThatAreNotTaken(t *testing.T) {
	refuse := func(_ context.Context, m *message.Message) (message.Reply, error) {
		return message.Reply{Answer: message.Answer{Code: message.Rejected, Problems: []message.Problem{
			{Where: "MSH-9", Code: 200, Text: "not a type that is taken"}, {Code: 207, Text: "and no more"},
		}}}, nil
	}
	for name, c := range map[string]struct {
		text   string
		handle connectors.Handler
		split  bool
		want   string
		event  string
		kept   string // what is journaled as refused beside what was taken
	}{
		"no bytes":      {"", nil, false, "100: the file is empty", "empty-file", "0 bytes: the file is empty"},
		"refused":       {"x", refuse, false, "MSH-9: 200: not a type that is taken\n207: and no more", "file-refused", ""},
		"too large":     {strings.Repeat("x", 4<<20+1), nil, false, "102: the file has 4194305 bytes, more than the 4194304 that are taken", "file-too-large", "65536 bytes: the file has 4194305 bytes, more than the 4194304 that are taken"},
		"blank":         {" \n\n", nil, true, "there is no message in the file", "file-refused", ""},
		"part":          {"a\ntoo long\nb", nil, true, "message 2: 102: the message is longer than 9 bytes", "message-too-large", "8 bytes: the message is longer than 9 bytes"},
		"the only part": {"too long", nil, true, "102: the message is longer than 9 bytes", "message-too-large", "8 bytes: the message is longer than 9 bytes"},
		"all parts": {"a\nb", refuse, true, "message 1: MSH-9: 200: not a type that is taken\nmessage 1: 207: and no more\n" +
			"message 2: MSH-9: 200: not a type that is taken\nmessage 2: 207: and no more", "file-refused", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if c.split {
				s.env.Split = lines
			}
			file := canary(".hl7")
			s.put(file, c.text)
			s.start(c.handle)
			s.wantReason(file, c.want)
			wantContent(t, s.in("error", file), []byte(c.text))
			if s.event(c.event) != 1 {
				t.Errorf("events %v, want one %s", s.events, c.event)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if got := strings.Join(s.damaged, ";"); got != c.kept {
				t.Errorf("handed over as damaged: %q, want %q", got, c.kept)
			}
			wantNames(t, s.dir, "done", "error")
		})
	}
}

// One refused message of a file holds up no other, and the whole file goes
// where people look.
func TestPartsOfAFile(t *testing.T) {
	s := newSite(t)
	s.env.Split = lines
	s.put("batch.txt", "a\nbad\nc\n")
	s.start(func(ctx context.Context, m *message.Message) (message.Reply, error) {
		reply, err := s.accepted(ctx, m)
		if string(m.Raw) == "bad" {
			reply.Answer = message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "PID-3", Code: 101, Text: "missing"}}}
		}
		return reply, err
	})
	s.wantReason("batch.txt", "message 2: PID-3: 101: missing")
	if got := strings.Join(s.taken(), ","); got != "a,bad,c" {
		t.Errorf("handed over %s, want a,bad,c", got)
	}
}

func TestOrders(t *testing.T) {
	base := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	for order, want := range map[string]string{"time": "b,c,a", "name": "a,b,c"} {
		t.Run(order, func(t *testing.T) {
			s := newSite(t)
			s.options.Order = order
			for name, age := range map[string]int{"a": 2, "b": 0, "c": 1} {
				at := base.Add(time.Duration(age) * time.Minute)
				if err := os.Chtimes(s.put(name, name), at, at); err != nil {
					t.Fatal(err)
				}
			}
			s.start(nil)
			until(t, "all", func() bool { return len(s.taken()) == 3 })
			if got := strings.Join(s.taken(), ","); got != want {
				t.Errorf("handed over %s, want %s", got, want)
			}
		})
	}
}

func TestNamesThatAreIgnored(t *testing.T) {
	s := newSite(t)
	ignored := []string{".hidden", "a.TMP", "a.part", "a.partial", "a.filepart", "a.crdownload", "a~"}
	for _, name := range ignored {
		write(t, s.in(name), "x")
	}
	if err := os.Mkdir(s.in("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.start(nil)
	s.put("z.hl7", "z")
	s.until("done", "z.hl7")
	if got := strings.Join(s.taken(), ","); got != "z" {
		t.Errorf("handed over %s, want z alone", got)
	}
	want := append(ignored, "done", "error", "folder")
	slices.Sort(want)
	wantNames(t, s.dir, want...)
}

func TestLinksAndPipesAreRefused(t *testing.T) {
	s := newSite(t)
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, "secret")
	write(t, s.in(".inside"), "inside")
	if err := errors.Join(os.Symlink(outside, s.in(canary("-out"))), os.Symlink(".inside", s.in(canary("-in"))),
		os.Symlink(t.TempDir(), s.in(canary("-dir"))), syscall.Mkfifo(s.in(canary("-pipe")), 0o600)); err != nil {
		t.Fatal(err)
	}
	s.start(nil)
	s.put("z.hl7", "z")
	s.until("done", "z.hl7")
	until(t, "four refusals", func() bool { return s.event("not-a-file") == 4 })
	if got := strings.Join(s.taken(), ","); got != "z" {
		t.Errorf("handed over %s, want z alone", got)
	}
}

// A link in the place of a shelf leads nowhere.
func TestShelvesThatAreLinks(t *testing.T) {
	s := newSite(t)
	if err := os.Symlink(t.TempDir(), s.in("done")); err != nil {
		t.Fatal(err)
	}
	source, err := s.options.Open(s.env)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Run(t.Context(), s.accepted); err == nil || !strings.HasPrefix(err.Error(), "to: ") {
		t.Errorf("Run = %v, want an error of to", err)
	}
}

// A link that takes the place of a shelf later leads nowhere either.
func TestShelfBecomesALink(t *testing.T) {
	s := newSite(t)
	outside := t.TempDir()
	s.start(nil)
	s.put("a", "a")
	s.until("done", "a")
	if err := errors.Join(os.RemoveAll(s.in("done")), os.Symlink(outside, s.in("done"))); err != nil {
		t.Fatal(err)
	}
	s.put("b", "b")
	until(t, "a failing move", func() bool { return s.event("file-stuck") > 1 })
	s.stop()
	wantNames(t, outside)
	if got := strings.Join(s.taken(), ","); got != "a,b" || !exists(s.in("b")) {
		t.Errorf("handed over %s, want a,b each once, and b still there", got)
	}
}

func TestOddNamesArePutAwayUnderPlainOnes(t *testing.T) {
	for _, name := range []string{"a\nb.hl7", "a\x1b[31m.hl7", "\xff\xfe.hl7", `a\..\b.hl7`, strings.Repeat("n", 250)} {
		s := newSite(t)
		s.put2(name, "odd")
		s.start(nil)
		until(t, "the file", func() bool { return exists(s.in("done")) && len(names(t, s.in("done"))) == 1 })
		if as := names(t, s.in("done"))[0]; !folder.Plain(as) {
			t.Errorf("%q was put away as %q", name, as)
		}
		s.stop()
	}
}

// put2 is put for names that have no room for an ending.
func (s *site) put2(name, text string) {
	s.t.Helper()
	write(s.t, s.in(".writing"), text)
	if err := os.Rename(s.in(".writing"), s.in(name)); err != nil {
		s.t.Fatal(err)
	}
}

func TestSameNameTwice(t *testing.T) {
	s := newSite(t)
	s.env.Now = func() time.Time { return time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC) }
	s.start(nil)
	for n := range 3 {
		s.put("a.hl7", fmt.Sprint("content ", n))
		until(t, "the file", func() bool { return len(s.taken()) == n+1 && !exists(s.in("a.hl7")) })
	}
	s.stop()
	wantNames(t, s.in("done"), "a.hl7", "a.hl7.20260105T120000.000", "a.hl7.20260105T120000.000-2")
	wantContent(t, s.in("done", "a.hl7"), []byte("content 0"))
}

func TestMarkers(t *testing.T) {
	for _, marker := range []string{"a.hl7.ok", "a.ok"} {
		s := newSite(t)
		s.options.Done = "*.ok"
		write(t, s.in("a.hl7"), "a")
		write(t, s.in("b.hl7"), "b")
		s.start(nil)
		write(t, s.in(marker), "")
		s.until("done", "a.hl7")
		s.stop()
		wantNames(t, s.dir, "b.hl7", "done", "error")
	}
}

func TestThenDelete(t *testing.T) {
	s := newSite(t)
	s.options.Then = "delete"
	write(t, s.in(".taken-left.hl7"), "left by an end in the middle")
	s.put("a.hl7", "a")
	s.start(nil)
	until(t, "both", func() bool { return len(s.taken()) == 2 })
	until(t, "their end", func() bool { return len(names(t, s.dir)) == 2 })
	wantNames(t, s.dir, "done", "error")
	wantNames(t, s.in("done"))
}

func TestThenKeep(t *testing.T) {
	s := newSite(t)
	s.options.Then = "keep"
	file := s.put("a.hl7", "a")
	s.start(nil)
	until(t, "the file", func() bool { return len(s.taken()) == 1 })
	s.put("b.hl7", "b")
	until(t, "the second", func() bool { return len(s.taken()) == 2 })
	write(t, file, "a again")
	until(t, "the changed one", func() bool { return len(s.taken()) >= 3 })
	s.stop()
	if got := strings.Join(s.taken()[:3], ","); got != "a,b,a again" && got != "a,b," {
		t.Errorf("handed over %q", got)
	}
	wantNames(t, s.dir, "a.hl7", "b.hl7")
}

// A handler that fails holds up the folder, in order, and nothing is lost.
func TestHandlerFails(t *testing.T) {
	for name, fault := range map[string]func() (message.Reply, error){
		"with an error": func() (message.Reply, error) { return message.Reply{}, errors.New("the store is away") },
		"and says again": func() (message.Reply, error) {
			return message.Reply{Answer: message.Answer{Code: message.Erroneous, Again: true}}, nil
		},
		"without an answer": func() (message.Reply, error) { return message.Reply{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.options.Order = "name"
			s.put("a", "a")
			s.put("b", "b")
			var calls atomic.Int32
			s.start(func(ctx context.Context, m *message.Message) (message.Reply, error) {
				if calls.Add(1) == 1 {
					return fault()
				}
				return s.accepted(ctx, m)
			})
			s.until("done", "b")
			if got := strings.Join(s.taken(), ","); got != "a,b" {
				t.Errorf("handed over %s, want a,b", got)
			}
		})
	}
}

// An end between two parts leaves the file; it comes again as a whole.
func TestEndBetweenParts(t *testing.T) {
	s := newSite(t)
	s.env.Split = lines
	s.put("batch", "a\nb\nc")
	s.start(func(ctx context.Context, m *message.Message) (message.Reply, error) {
		if string(m.Raw) == "b" {
			s.cancel()
		}
		return s.accepted(ctx, m)
	})
	until(t, "two parts", func() bool { return len(s.taken()) == 2 })
	s.stop()
	if !exists(s.in("batch")) {
		t.Fatal("the file was put away although a part of it was not handed over")
	}
	s.start(nil)
	s.until("done", "batch")
	if got := strings.Join(s.taken(), ","); got != "a,b,a,b,c" {
		t.Errorf("handed over %s, want a,b,a,b,c", got)
	}
}

func TestFoldersThatAreNotThere(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *site)
		want   string
	}{
		"folder":     {func(s *site) { s.options.Folder = s.in("none") }, "folder: no such file or directory"},
		"to outside": {func(s *site) { s.options.To = filepath.Join(filepath.Dir(s.dir), "none") }, "to: no such file or directory"},
		"a file":     {func(s *site) { write(s.t, s.in("error"), "") }, "errors: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			c.change(s)
			source, err := s.options.Open(s.env)
			if err != nil {
				t.Fatal(err)
			}
			if err := source.Run(t.Context(), s.accepted); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("Run = %v, want %s", err, c.want)
			}
		})
	}
	t.Run("it goes and comes back", func(t *testing.T) {
		s := newSite(t)
		s.start(nil)
		s.put("a", "a")
		s.until("done", "a")
		if err := os.Rename(s.dir, s.dir+".away"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(s.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s.put("b", "b")
		s.until("done", "b")
	})
	t.Run("shelves elsewhere", func(t *testing.T) {
		s := newSite(t)
		s.options.To, s.options.Errors = t.TempDir(), t.TempDir()
		s.put("a", "a")
		s.put("empty", "")
		s.start(nil)
		until(t, "both", func() bool {
			return exists(filepath.Join(s.options.To, "a")) && exists(filepath.Join(s.options.Errors, "empty.reason.txt"))
		})
		wantNames(t, s.dir)
	})
}

// A file that this user may not read is set aside with the reason.
func TestUnreadableFile(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root reads everything: the file system user of one thread is changed")
	}
	s := newSite(t)
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(s.dir); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := s.put(canary(""), "x")
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	source, err := s.options.Open(s.env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		// Run does its work on this goroutine, and the thread ends with it.
		done <- asNobody(func() error { return source.Run(ctx, s.accepted) })
	}()
	s.wantReason(canary(""), "the file cannot be read: permission denied")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s.event("file-unreadable") != 3 {
		t.Errorf("events %v, want three file-unreadable", s.events)
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}
