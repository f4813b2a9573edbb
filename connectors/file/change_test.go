package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plexus-health/plexus/message"
)

// A file that changes while it is read is not taken as it was, and then as it is.
func TestChangesWhileReading(t *testing.T) {
	old := strings.Repeat("old ", 1<<20)
	for name, c := range map[string]struct {
		change func(s *site, file string) error
		want   string
		event  string
	}{
		"it grows": {func(_ *site, file string) error {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		}, old + "more", "file-changed"},
		"it shrinks":             {func(_ *site, file string) error { return os.Truncate(file, 5) }, old[:5], "file-changed"},
		"it is written over":     {func(_ *site, file string) error { return os.WriteFile(file, []byte("new"), 0o600) }, "new", "file-changed"},
		"another takes its name": {func(s *site, _ string) error { s.put("a.hl7", "new"); return nil }, "new", "file-changed"},
		"a link takes its name": {func(s *site, file string) error {
			return errors.Join(os.Remove(file), os.Symlink("/etc/hostname", file))
		}, "", "not-a-file"},
		"it vanishes": {func(_ *site, file string) error { return os.Remove(file) }, "", "file-vanished"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.env.Size = 64 << 20
			file := s.put("a.hl7", old)
			var changed atomic.Bool
			s.start(func(ctx context.Context, m *message.Message) (message.Reply, error) {
				if m.Stream != nil && changed.CompareAndSwap(false, true) {
					if _, err := io.CopyN(io.Discard, m.Stream, 100); err != nil {
						return message.Reply{}, err
					}
					if err := c.change(s, file); err != nil {
						t.Error(err)
					}
				}
				return s.accepted(ctx, m)
			})
			until(t, c.event, func() bool { return s.event(c.event) >= 1 })
			if c.want != "" {
				s.until("done", "a.hl7")
				wantContent(t, s.in("done", "a.hl7"), []byte(c.want))
			}
			s.stop()
			if got := strings.Join(s.taken(), "|"); got != c.want {
				t.Errorf("%d bytes were taken, want the %d that stood there at last", len(got), len(c.want))
			}
		})
	}
}

// What a sender puts in the place of a file that was just handed over is not
// put away unread.
func TestReplacedBeforeItIsPutAway(t *testing.T) {
	for _, then := range []string{"move", "delete"} {
		t.Run(then, func(t *testing.T) {
			s := newSite(t)
			s.options.Then = then
			s.put("a.hl7", "old")
			var changed atomic.Bool
			s.start(func(ctx context.Context, m *message.Message) (message.Reply, error) {
				if changed.CompareAndSwap(false, true) {
					s.put("a.hl7", "new")
				}
				return s.accepted(ctx, m)
			})
			until(t, "both", func() bool { return len(s.taken()) == 2 })
			until(t, "the end", func() bool { return !exists(s.in("a.hl7")) && !exists(s.in(".taken-a.hl7")) })
			if got := strings.Join(s.taken(), ","); got != "old,new" {
				t.Errorf("handed over %s, want old,new", got)
			}
		})
	}
}

// A file that is still being written is not picked up before it has stayed as
// it is for the time of stable, by a clock that does not run with the test.
func TestStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.options.Done, s.options.Stable, s.options.Every = "", 5*time.Second, time.Second
		s.start(nil)
		write(t, s.in("a.hl7"), "h")
		for _, text := range []string{"ha", "hal", "half"} {
			time.Sleep(4 * time.Second)
			write(t, s.in("a.hl7"), text)
		}
		time.Sleep(5*time.Second - time.Millisecond)
		synctest.Wait()
		if got := s.taken(); len(got) > 0 {
			t.Errorf("%q was taken before it had been left alone for 5s", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := strings.Join(s.taken(), ","); got != "half" {
			t.Errorf("handed over %q, want half", got)
		}
		s.stop()
	})
}

// heap measures the most memory in use.
type heap struct {
	most uint64
	n    int
}

func (h *heap) look() {
	if h.n++; h.n%64 != 1 {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.most = max(h.most, m.HeapAlloc)
}

// A large file is never in memory, neither as one message nor in its parts.
func TestLargeFilesStayOnDisk(t *testing.T) {
	const size = 300 << 20
	for _, parts := range []bool{false, true} {
		s := newSite(t)
		s.env.Size = 1 << 30
		f, err := os.Create(s.in(".large"))
		if err != nil {
			t.Fatal(err)
		}
		for at := int64(1 << 20); at <= size; at += 1 << 20 { // sparse: a line end in each MB
			if _, err := f.WriteAt([]byte("\n"), at-1); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(f.Close(), os.Rename(s.in(".large"), s.in("large.hl7"))); err != nil {
			t.Fatal(err)
		}
		if parts {
			s.env.Split = func(r io.Reader, take func([]byte) error) error {
				lines := bufio.NewReaderSize(r, 1<<20)
				for {
					line, err := lines.ReadSlice('\n')
					if errors.Is(err, io.EOF) {
						return nil
					}
					if err != nil {
						return err
					}
					if err := take(line); err != nil {
						return err
					}
				}
			}
		}
		runtime.GC()
		var h heap
		var total int64
		h.look()
		before := h.most
		s.start(func(_ context.Context, m *message.Message) (message.Reply, error) {
			total += int64(len(m.Raw))
			for buf := make([]byte, 64<<10); m.Stream != nil; {
				n, err := m.Stream.Read(buf)
				total += int64(n)
				if h.look(); errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return message.Reply{}, err
				}
				if bytes.IndexByte(buf[:n], 0) < 0 && bytes.IndexByte(buf[:n], '\n') < 0 {
					t.Error("other bytes than those of the file")
				}
			}
			h.look()
			return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
		})
		s.until("done", "large.hl7")
		s.stop()
		if total != size {
			t.Errorf("%d bytes came, want %d", total, size)
		}
		if used := h.most - before; h.most > before && used > 32<<20 {
			t.Errorf("%d MB of memory for a file of %d MB", used>>20, size>>20)
		}
	}
}
