package sftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/folder"
	"github.com/plexus-health/plexus/internal/sftptest"
	"github.com/plexus-health/plexus/message"
)

// What a break at each packet leaves, by which class it is told, and that the
// repeat leaves one whole file.
func TestBreaks(t *testing.T) {
	large := bytes.Repeat([]byte("large "), 200<<10)
	for name, c := range map[string]struct {
		packet byte
		action sftptest.Action
		want   message.Kind
	}{
		"cut before the file is made":  {sftptest.Open, sftptest.Action{CutBefore: true}, message.Down},
		"cut while it is written":      {sftptest.Write, sftptest.Action{CutAfter: true}, message.Down},
		"cut before it is synced":      {sftptest.Extended, sftptest.Action{CutBefore: true}, message.Down},
		"cut before it is closed":      {sftptest.Close, sftptest.Action{CutBefore: true}, message.Down},
		"cut before the rename":        {sftptest.Rename, sftptest.Action{CutBefore: true}, message.Unknown},
		"cut after the rename":         {sftptest.Rename, sftptest.Action{CutAfter: true}, message.Unknown},
		"no answer to the rename":      {sftptest.Rename, sftptest.Action{Drop: true}, message.Unknown},
		"no answer to a write":         {sftptest.Write, sftptest.Action{Drop: true}, message.Down},
		"no right to make the file":    {sftptest.Open, sftptest.Action{Status: sftptest.PermissionDenied}, message.Down},
		"no room while it is written":  {sftptest.Write, sftptest.Action{Status: sftptest.Failure}, message.Busy},
		"no room when it is closed":    {sftptest.Close, sftptest.Action{Status: sftptest.Failure}, message.Busy},
		"no room when it is synced":    {sftptest.Extended, sftptest.Action{Status: sftptest.Failure}, message.Busy},
		"the rename fails":             {sftptest.Rename, sftptest.Action{Status: sftptest.Failure}, message.Busy},
		"no right to rename":           {sftptest.Rename, sftptest.Action{Status: sftptest.PermissionDenied}, message.Down},
		"a request that is not known":  {sftptest.Rename, sftptest.Action{Status: sftptest.Unsupported}, message.Down},
		"the look at the name is lost": {sftptest.Lstat, sftptest.Action{CutBefore: true}, message.Down},
	} {
		t.Run(name, func(t *testing.T) {
			s := sftptest.Start(t, sftptest.Options{Sync: true})
			dir := mkdir(t, s, "out")
			o := toServer(t, s)
			o.Timeout = time.Second
			if !c.action.Drop {
				o.Timeout = patience
			}
			d := open(t, o)
			actions := []sftptest.Action{c.action}
			if c.action.Status == sftptest.PermissionDenied && c.packet == sftptest.Open {
				actions = append(actions, c.action) // it is tried once more after the leftover is removed
			}
			s.Fault(c.packet, actions...)
			wantKind(t, send(d, "d-1", large), c.want)
			s.Fault(c.packet)
			for range 2 {
				if err := send(d, "d-1", large); err != nil {
					t.Fatalf("the repeat: %v", err)
				}
			}
			wantNames(t, dir, "d-1.txt")
			wantContent(t, filepath.Join(dir, "d-1.txt"), large)
		})
	}
}

func TestLeftovers(t *testing.T) {
	s := sftptest.Start(t, sftptest.Options{})
	dir := mkdir(t, s, "out")
	d := open(t, toServer(t, s))
	write(t, filepath.Join(dir, "d-1.tmp"), string(sample(1))+"and more than that")
	if err := send(d, "d-1", sample(1)); err != nil {
		t.Fatal(err)
	}
	// An end between the two halves of a server's rename: two names of one file.
	if err := os.Link(filepath.Join(dir, "d-1.hl7"), filepath.Join(dir, "d-1.tmp")); err != nil {
		t.Fatal(err)
	}
	if err := send(d, "d-1", sample(1)); err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir, "d-1.hl7")
	wantContent(t, filepath.Join(dir, "d-1.hl7"), sample(1))
}

func TestNameTaken(t *testing.T) {
	for _, plainRename := range []bool{false, true} {
		s := sftptest.Start(t, sftptest.Options{NoPosixRename: plainRename})
		dir := mkdir(t, s, "out")
		o := toServer(t, s)
		o.Name = "census.csv"
		d := open(t, o)
		write(t, filepath.Join(dir, "census.csv"), foreign)
		wantKind(t, send(d, "d-1", sample(1)), message.RefusedSend)
		wantContent(t, filepath.Join(dir, "census.csv"), []byte(foreign))
		o.Exists = "replace"
		if err := send(open(t, o), "d-1", sample(1)); err != nil {
			t.Error(err)
		}
		wantNames(t, dir, "census.csv")
		wantContent(t, filepath.Join(dir, "census.csv"), sample(1))
	}
}

func TestSyncedWhereTheServerCan(t *testing.T) {
	for _, can := range []bool{true, false} {
		s := sftptest.Start(t, sftptest.Options{Sync: can})
		mkdir(t, s, "out")
		o := toServer(t, s)
		if err := send(open(t, o), "d-1", sample(1)); err != nil {
			t.Fatal(err)
		}
		if got := s.Seen(sftptest.Extended); (got == 1) != can {
			t.Errorf("%d requests to sync a file, server can: %v", got, can)
		}
	}
}

// One connection serves many sends, and one that the server ended is made
// again without an error.
func TestConnectionsStay(t *testing.T) {
	s := sftptest.Start(t, sftptest.Options{})
	mkdir(t, s, "out")
	d := open(t, toServer(t, s))
	for n := range 3 {
		if err := send(d, fmt.Sprint("d-", n), sample(n)); err != nil {
			t.Fatal(err)
		}
	}
	if in, _ := s.Logins(); in != 1 {
		t.Errorf("%d logins for three sends, want 1", in)
	}
	s.Away(true)
	s.Away(false)
	if err := send(d, "d-4", sample(4)); err != nil {
		t.Errorf("after the server had ended the connection: %v", err)
	}
}

// A server that says nothing more is found out by the questions.
func TestKeepAlive(t *testing.T) {
	s := sftptest.Start(t, sftptest.Options{})
	mkdir(t, s, "out")
	o := toServer(t, s)
	o.KeepAlive = 10 * time.Millisecond
	opened, err := o.Open(connectors.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	d := opened.(*Destination)
	t.Cleanup(func() { _ = d.Close() })
	if err := send(d, "d-1", sample(1)); err != nil {
		t.Fatal(err)
	}
	l := d.idle[0]
	s.Away(true)
	ended := make(chan struct{})
	go func() { l.group.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the end of the connection was not noticed")
	}
}

func TestFolderMissing(t *testing.T) {
	s := sftptest.Start(t, sftptest.Options{})
	wantKind(t, send(open(t, toServer(t, s)), "d-1", sample(1)), message.Down)
	o := fromServer(t, s)
	source, err := o.Open(connectors.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Run(t.Context(), nil); err == nil || err.Error() != "folder: file does not exist" {
		t.Errorf("Run = %v, want folder: file does not exist", err)
	}
}

func TestPickup(t *testing.T) {
	refuse := func(context.Context, *message.Message) (message.Reply, error) {
		return message.Reply{Answer: message.Answer{Code: message.Rejected, Problems: []message.Problem{{Where: "MSH-9", Code: 200, Text: "not taken"}}}}, nil
	}
	for name, c := range map[string]struct {
		text   string
		handle connectors.Handler
		want   string
	}{
		"empty":     {"", nil, "100: the file is empty"},
		"refused":   {"x", refuse, "MSH-9: 200: not taken"},
		"too large": {strings.Repeat("x", 4<<20+1), refuse, "MSH-9: 200: not taken"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			file := connectortest.Canary + ".hl7"
			s.put(file, c.text)
			s.start(c.handle)
			s.until("error", file+".reason.txt")
			until(t, "the reason", func() bool {
				text, _ := os.ReadFile(s.in("error", file+".reason.txt"))
				return string(text) == "This file was not taken.\n"+c.want+"\n"
			})
			wantContent(t, s.in("error", file), []byte(c.text))
			wantNames(t, s.dir, "done", "error")
		})
	}
}

func TestLinksAreRefused(t *testing.T) {
	s := newSite(t)
	write(t, filepath.Join(s.server.Root, "secret"), "secret")
	if err := os.Symlink("../secret", s.in(connectortest.Canary)); err != nil {
		t.Fatal(err)
	}
	s.put("z", "z")
	s.start(nil)
	s.until("done", "z")
	if got := strings.Join(s.taken(), ","); got != "z" || s.event("not-a-file") != 1 {
		t.Errorf("handed over %s, events %v", got, s.events)
	}
}

func TestOddNames(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"a\nb", "\xff\xfe", `a\..\b`} {
		s.put(name, "odd")
	}
	s.start(nil)
	until(t, "three files", func() bool { return len(s.taken()) == 3 && exists(s.in("done")) && len(names(t, s.in("done"))) == 3 })
}

func TestMarkersAndDelete(t *testing.T) {
	s := newSite(t)
	s.options.Done, s.options.Then = "*.ok", "delete"
	write(t, s.in("a.hl7"), "a")
	write(t, s.in("b.hl7"), "b")
	s.start(nil)
	write(t, s.in("a.ok"), "")
	until(t, "the file", func() bool { return len(s.taken()) == 1 && !exists(s.in("a.hl7")) && !exists(s.in(".taken-a.hl7")) })
	s.stop()
	wantNames(t, s.dir, "b.hl7", "done", "error")
}

// A file is looked at twice before it is taken, and what changed between waits.
func TestStableAcrossTwoLooks(t *testing.T) {
	s := newSite(t)
	s.options.Done, s.options.Stable = "", time.Millisecond
	s.put("a", "a")
	s.start(nil)
	s.until("done", "a")
	if n := s.server.Seen(sftptest.Opendir); n < 2 {
		t.Errorf("taken at look number %d, want the second or later", n)
	}
}

// A connection that breaks at any request costs no file and hands none over
// whose place is already changed.
func TestPickupBreaks(t *testing.T) {
	for name, packet := range map[string]byte{
		"list": sftptest.Opendir, "open": sftptest.Open, "read": sftptest.Read, "stat": sftptest.Fstat, "move": sftptest.Rename,
	} {
		for when, action := range map[string]sftptest.Action{"before": {CutBefore: true}, "after": {CutAfter: true}} {
			t.Run(name+" "+when, func(t *testing.T) {
				s := newSite(t)
				s.options.Order = "name"
				s.start(nil)
				until(t, "a look", func() bool { return s.server.Seen(sftptest.Opendir) > 0 })
				s.server.Fault(packet, action)
				s.put("a", "content of a")
				s.put("b", "content of b")
				s.until("done", "a")
				s.until("done", "b")
				s.stop()
				if got := strings.Join(s.taken(), ","); got != "content of a,content of b" {
					t.Errorf("handed over %q, want each once", got)
				}
			})
		}
	}
}

func TestServerAwayAndBack(t *testing.T) {
	s := newSite(t)
	s.start(nil)
	s.put("a", "a")
	s.until("done", "a")
	s.server.Away(true)
	until(t, "a fault", func() bool { return s.event("pickup-failed") > 0 })
	s.put("b", "b")
	s.server.Away(false)
	s.until("done", "b")
}

func TestChangedWhileReading(t *testing.T) {
	s := newSite(t)
	s.env.Size = 64 << 20
	s.put("a", strings.Repeat("old ", 1<<20))
	changed := false
	s.start(func(ctx context.Context, m *message.Message) (message.Reply, error) {
		if m.Stream != nil && !changed {
			changed = true
			if _, err := io.CopyN(io.Discard, m.Stream, 100); err != nil {
				return message.Reply{}, err
			}
			s.put("a", "new")
		}
		return s.accepted(ctx, m)
	})
	s.until("done", "a")
	if got := strings.Join(s.taken(), ","); got != "new" || s.event("file-changed") == 0 {
		t.Errorf("%d bytes were taken, events %v; want new alone", len(got), s.events)
	}
}

// A large file is never in memory.
func TestLargeFileIsStreamed(t *testing.T) {
	const size = 300 << 20
	s := newSite(t)
	s.env.Size = 1 << 30
	f, err := os.Create(s.in(".large"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close(), os.Rename(s.in(".large"), s.in("large"))); err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most, total := m.HeapAlloc, uint64(0), int64(0)
	s.start(func(_ context.Context, msg *message.Message) (message.Reply, error) {
		for buf, n := make([]byte, 256<<10), 0; ; n++ {
			got, err := msg.Stream.Read(buf)
			total += int64(got)
			if n%32 == 0 {
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
			if errors.Is(err, io.EOF) {
				return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
			}
			if err != nil {
				return message.Reply{}, err
			}
		}
	})
	s.until("done", "large")
	s.stop()
	if total != size {
		t.Errorf("%d bytes came, want %d", total, size)
	}
	// Client and server share this process.
	if most > before && most-before > 64<<20 {
		t.Errorf("%d MB of memory for a file of %d MB", (most-before)>>20, size>>20)
	}
}

// A connection that ends in the middle of a request is lost, not at its end:
// the client wraps the end of the socket into its own words.
func TestEndOfConnection(t *testing.T) {
	for _, err := range []error{io.EOF, fmt.Errorf("failed to send packet: %w", io.EOF), io.ErrUnexpectedEOF} {
		if got := plain(err); !errors.Is(got, folder.ErrLost) {
			t.Errorf("%v became %v, want a lost connection", err, got)
		}
	}
}
