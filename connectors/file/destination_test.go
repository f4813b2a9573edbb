package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/folder"
	"github.com/plexus-health/plexus/internal/faults"
	"github.com/plexus-health/plexus/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sample is message number n.
func sample(n int) []byte {
	return fmt.Appendf(nil, "MSH|^~\\&|LAB|NORTH|EHR|NORTH|20260105120000||ORU^R01|M%06d|P|2.5.1\rPID|1||77^^^N^MR||%s^X\r", n, connectortest.Canary)
}

func controlOf(n int) string { return fmt.Sprintf("M%06d", n) }

// open makes a destination of options in a folder.
func open(t testing.TB, dir string, change func(*DestinationOptions)) *Destination {
	t.Helper()
	o := DefaultDestination().(*DestinationOptions)
	o.Folder = dir
	if change != nil {
		change(o)
	}
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	d, err := o.Open(connectors.Environment{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Destination)
}

// send sends the payload as delivery id.
func send(d connectors.Destination, id, control string, payload []byte) error {
	_, err := d.Send(context.Background(), &message.Delivery{ID: id, Control: control, Payload: payload})
	return err
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

// wantNames compares what a folder holds.
func wantNames(t testing.TB, dir string, want ...string) {
	t.Helper()
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

// wantContent compares the content of a file.
func wantContent(t testing.TB, name string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want the %d sent", len(got), err, len(want))
	}
}

func wantKind(t testing.TB, err error, want message.Kind) {
	t.Helper()
	if err == nil || message.KindOf(err) != want {
		t.Errorf("Send = %v, kind %s; want %s", err, message.KindOf(err), want)
	}
	if err != nil && strings.Contains(err.Error(), connectortest.Canary) {
		t.Errorf("content in the error: %v", err)
	}
}

// A faulty target fails where it is told.
type faulty struct {
	target
	step string
	err  error
}

func (f *faulty) Create(name string) (folder.Output, error) {
	if f.step == "create" {
		return nil, &fs.PathError{Op: "openat", Path: connectortest.Canary, Err: f.err}
	}
	out, err := f.target.Create(name)
	return &faultyOutput{out, f}, err
}

func (f *faulty) Publish(from, name string, replace bool) error {
	if f.step == "publish" {
		return &os.LinkError{Op: "link", Old: connectortest.Canary, New: connectortest.Canary, Err: f.err}
	}
	err := f.target.Publish(from, name, replace)
	if err == nil && f.step == "published" {
		return &message.Failure{Kind: message.Unknown, Err: f.err}
	}
	return err
}

type faultyOutput struct {
	folder.Output
	f *faulty
}

func (o *faultyOutput) Write(p []byte) (int, error) {
	if o.f.step == "write" {
		n, _ := o.Output.Write(p[:len(p)/2])
		return n, &fs.PathError{Op: "write", Path: connectortest.Canary, Err: o.f.err}
	}
	return o.Output.Write(p)
}

func (o *faultyOutput) Sync() error {
	if o.f.step == "sync" {
		return &fs.PathError{Op: "sync", Path: connectortest.Canary, Err: o.f.err}
	}
	return o.Output.Sync()
}

// breaks makes a destination's folder fail at a step.
func breaks(d *Destination, step string, err error) {
	d.open = func(path string) (target, error) {
		p, openErr := openPlace(path)
		if openErr != nil {
			return nil, openErr
		}
		return &faulty{target: p, step: step, err: err}, nil
	}
}

// A receiver is a folder that behaves as it is told.
type receiver struct {
	t    *testing.T
	dir  string
	away string
	d    *Destination
	does atomic.Int32
	mu   sync.Mutex
}

// foreign is the content of files that stand in the way.
const foreign = "another's file"

func (r *receiver) Behave(b connectortest.Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away != "" && b != connectortest.Away {
		r.must(os.Rename(r.away, r.dir))
		r.away = ""
	}
	for n := range 10 {
		name := filepath.Join(r.dir, fmt.Sprintf("delivery-%d.hl7", n))
		if text, err := os.ReadFile(name); err == nil && string(text) == foreign {
			r.must(os.Remove(name))
		}
		if _, err := os.Lstat(name); b == connectortest.Refuse && errors.Is(err, fs.ErrNotExist) {
			r.must(os.WriteFile(name, []byte(foreign), 0o600))
		}
	}
	if b == connectortest.Away && r.away == "" {
		r.away = r.dir + ".away"
		r.must(os.Rename(r.dir, r.away))
	}
	r.does.Store(int32(b))
}

func (r *receiver) must(err error) {
	if err != nil {
		r.t.Error(err)
	}
}

func (r *receiver) Taken() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	dir := r.dir
	if r.away != "" {
		dir = r.away
	}
	var all [][]byte
	for _, name := range names(r.t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		r.must(err)
		if string(text) != foreign {
			all = append(all, text)
		}
	}
	return all
}

func (r *receiver) open(path string) (target, error) {
	p, err := openPlace(path)
	if err != nil {
		return nil, err
	}
	switch connectortest.Behaviour(r.does.Load()) {
	case connectortest.TryLater:
		return &faulty{target: p, step: "write", err: syscall.ENOSPC}, nil
	case connectortest.HangUp:
		return &faulty{target: p, step: "published", err: syscall.EIO}, nil
	}
	return p, nil
}

func TestDestination(t *testing.T) {
	connectortest.RunDestination(t, connectortest.DestinationCase{
		Open: func(t *testing.T, env connectors.Environment) (connectors.Destination, connectortest.Receiver) {
			r := &receiver{t: t, dir: filepath.Join(t.TempDir(), "out")}
			r.must(os.Mkdir(r.dir, 0o700))
			o := DefaultDestination().(*DestinationOptions)
			o.Folder = r.dir
			d, err := o.Open(env)
			r.must(err)
			r.d = d.(*Destination)
			r.d.open = r.open
			return d, r
		},
		Payload:     func(n int) ([]byte, string) { return sample(n), controlOf(n) },
		Connections: 4,
		Lacks:       []connectortest.Behaviour{connectortest.Babble, connectortest.StaySilent},
	})
}

func TestRepeats(t *testing.T) {
	t.Run("a repeat adds no file", func(t *testing.T) {
		dir := t.TempDir()
		d := open(t, dir, nil)
		for range 2 {
			if err := send(d, "d-1", "C1", sample(1)); err != nil {
				t.Fatal(err)
			}
		}
		wantNames(t, dir, "d-1.hl7")
	})
	t.Run("a leftover of a shorter or longer attempt is written anew", func(t *testing.T) {
		for _, left := range [][]byte{{}, sample(1)[:20], append(sample(1), sample(2)...)} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "d-1.tmp"), left, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := send(open(t, dir, nil), "d-1", "C1", sample(1)); err != nil {
				t.Fatal(err)
			}
			wantNames(t, dir, "d-1.hl7")
			wantContent(t, filepath.Join(dir, "d-1.hl7"), sample(1))
		}
	})
	t.Run("a crash between the second name and the end of the first", func(t *testing.T) {
		dir := t.TempDir()
		final, temp := filepath.Join(dir, "d-1.hl7"), filepath.Join(dir, "d-1.tmp")
		if err := errors.Join(os.WriteFile(temp, sample(1), 0o600), os.Link(temp, final)); err != nil {
			t.Fatal(err)
		}
		if err := send(open(t, dir, nil), "d-1", "C1", sample(1)); err != nil {
			t.Fatal(err)
		}
		wantNames(t, dir, "d-1.hl7")
		wantContent(t, final, sample(1))
	})
	t.Run("the leftover is no way to another file", func(t *testing.T) {
		dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "victim")
		if err := errors.Join(os.WriteFile(outside, []byte(foreign), 0o600), os.Symlink(outside, filepath.Join(dir, "d-1.tmp"))); err != nil {
			t.Fatal(err)
		}
		if err := send(open(t, dir, nil), "d-1", "C1", sample(1)); err != nil {
			t.Fatal(err)
		}
		wantContent(t, outside, []byte(foreign))
		wantContent(t, filepath.Join(dir, "d-1.hl7"), sample(1))
	})
}

func TestNameTaken(t *testing.T) {
	fixed := func(o *DestinationOptions) { o.Name = "census.txt" }
	for name, c := range map[string]struct {
		there  func(t *testing.T, name string)
		change func(*DestinationOptions)
		kind   message.Kind
		want   string
	}{
		"the same bytes are no second file": {
			func(t *testing.T, name string) { write(t, name, string(sample(1))) }, fixed, "", string(sample(1)),
		},
		"other bytes are not written over": {
			func(t *testing.T, name string) { write(t, name, foreign) }, fixed, message.RefusedSend, foreign,
		},
		"the beginning of ours is another file": {
			func(t *testing.T, name string) { write(t, name, string(sample(1)[:9])) }, fixed, message.RefusedSend, string(sample(1)[:9]),
		},
		"replace writes over it": {
			func(t *testing.T, name string) { write(t, name, foreign) },
			func(o *DestinationOptions) { fixed(o); o.Exists = "replace" }, "", string(sample(1)),
		},
		"a link is another file": {
			func(t *testing.T, name string) {
				write(t, name+".target", string(sample(1)))
				if err := os.Symlink("census.txt.target", name); err != nil {
					t.Fatal(err)
				}
			}, fixed, message.RefusedSend, string(sample(1)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "census.txt")
			c.there(t, file)
			err := send(open(t, dir, c.change), "d-1", "C1", sample(1))
			switch {
			case c.kind == "" && err != nil:
				t.Errorf("Send = %v, want no error", err)
			case c.kind != "":
				wantKind(t, err, c.kind)
			}
			wantContent(t, file, []byte(c.want))
			if _, err := os.Lstat(filepath.Join(dir, "d-1.tmp")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the temporary file is left: %v", err)
			}
		})
	}
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A race for a name ends with one file and one refusal, or with two that are
// the same.
func TestRaceForAName(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, func(o *DestinationOptions) { o.Name = "one.txt" })
	var group sync.WaitGroup
	var accepted atomic.Int32
	for n := range 8 {
		group.Go(func() {
			err := send(d, fmt.Sprint("d-", n), "", sample(n))
			if err == nil {
				accepted.Add(1)
			} else if message.KindOf(err) != message.RefusedSend {
				t.Errorf("Send = %v, want refused", err)
			}
		})
	}
	group.Wait()
	if accepted.Load() != 1 {
		t.Errorf("%d of 8 were accepted, want 1", accepted.Load())
	}
	wantNames(t, dir, "one.txt")
}

func TestFaultsOfFolders(t *testing.T) {
	for _, c := range []struct {
		step string
		err  error
		want message.Kind
		left []string
	}{
		{"create", syscall.EACCES, message.Down, nil},
		{"create", syscall.EROFS, message.Down, nil},
		{"create", syscall.EMFILE, message.Busy, nil},
		{"create", syscall.ENOSPC, message.Busy, nil},
		{"write", syscall.ENOSPC, message.Busy, nil},
		{"write", syscall.EDQUOT, message.Busy, nil},
		{"write", syscall.EIO, message.Down, nil},
		{"sync", syscall.EIO, message.Down, nil},
		{"sync", syscall.ENOSPC, message.Busy, nil},
		{"publish", syscall.EACCES, message.Down, nil},
		{"published", syscall.EIO, message.Unknown, []string{"d-1.hl7"}},
	} {
		t.Run(c.step+" "+c.err.Error(), func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir, nil)
			whole := d.open
			breaks(d, c.step, c.err)
			wantKind(t, send(d, "d-1", "C1", sample(1)), c.want)
			wantNames(t, dir, c.left...)
			d.open = whole
			if err := send(d, "d-1", "C1", sample(1)); err != nil {
				t.Errorf("the repeat: %v", err)
			}
			wantNames(t, dir, "d-1.hl7")
		})
	}
	t.Run("a folder that is not there", func(t *testing.T) {
		wantKind(t, send(open(t, filepath.Join(t.TempDir(), "none"), nil), "d-1", "", sample(1)), message.Down)
	})
	t.Run("a folder that is a file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "file")
		write(t, name, "")
		wantKind(t, send(open(t, name, nil), "d-1", "", sample(1)), message.Down)
	})
}

// A full file system, not one that pretends to be: it needs root to mount one.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		faults.NoDisk(t, fmt.Sprintf("no file system of 64 KB can be mounted here: %v", err))
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	d := open(t, dir, nil)
	if err := send(d, "d-1", "C1", sample(1)); err != nil {
		t.Fatal(err)
	}
	wantKind(t, send(d, "d-2", "C2", bytes.Repeat([]byte("x"), 256<<10)), message.Busy)
	wantNames(t, dir, "d-1.hl7")
	if err := send(d, "d-3", "C3", sample(3)); err != nil {
		t.Errorf("after the space was given back: %v", err)
	}
}

// What a message says ends in names only as plain text.
func TestNamesOfFiles(t *testing.T) {
	long := strings.Repeat("n", 300)
	for _, value := range []string{
		"../../etc/passwd", "a/b", `a\b`, "..", ".", "", " ", "\x00", "a\nb", "\xff\xfe", ".hidden", long, "C:\\x", "ä€", "a\u202eb",
	} {
		dir := t.TempDir()
		d := open(t, dir, func(o *DestinationOptions) { o.Name = "{control}.{ext}" })
		if err := send(d, "d-1", value, sample(1)); err != nil {
			t.Errorf("control %q: %v", value, err)
			continue
		}
		if err := send(d, "d-1", value, sample(1)); err != nil {
			t.Errorf("control %q again: %v", value, err)
		}
		got := names(t, dir)
		if len(got) != 1 || !folder.Plain(got[0]) || len(got[0]) > 200 || strings.HasPrefix(got[0], ".") || !strings.HasSuffix(got[0], ".hl7") {
			t.Errorf("control %q made %q", value, got)
		}
		if strings.TrimSpace(value) == "" && got[0] != "d-1.hl7" {
			t.Errorf("control %q made %q, want the id", value, got)
		}
	}
}

func TestEndedDuringAWrite(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, nil)
	ctx, cancel := context.WithCancel(context.Background())
	d.open = func(path string) (target, error) {
		p, err := openPlace(path)
		return &cancelling{p, cancel}, err
	}
	_, err := d.Send(ctx, &message.Delivery{ID: "d-1", Payload: bytes.Repeat([]byte("x"), 1<<20)})
	wantKind(t, err, message.Down)
	wantNames(t, dir)
}

// cancelling ends a context once the file is made.
type cancelling struct {
	*place
	cancel context.CancelFunc
}

func (c *cancelling) Create(name string) (folder.Output, error) {
	c.cancel()
	return c.place.Create(name)
}

func TestValidateDestination(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*DestinationOptions)
		want   string
	}{
		"no folder":         {func(o *DestinationOptions) { o.Folder = "" }, "folder: is missing: the folder"},
		"control character": {func(o *DestinationOptions) { o.Folder = "a\nb" }, `folder: "a\nb" has a control character in it`},
		"no name":           {func(o *DestinationOptions) { o.Name = "" }, `name: is empty; give a name such as "{id}.{ext}"`},
		"unknown word":      {func(o *DestinationOptions) { o.Name = "{patient}" }, "name: {patient} is not known; known: {id}, {control}, {date}, {part}, {ext}"},
		"open brace":        {func(o *DestinationOptions) { o.Name = "{id" }, `name: "{id" has a { without its }`},
		"separator":         {func(o *DestinationOptions) { o.Name = "x/{id}" }, `name: "x/{id}" is not a plain name: no separator, no "..", no control character, no dot in front`},
		"parent":            {func(o *DestinationOptions) { o.Name = "..{id}" }, `name: "..{id}" is not a plain name: no separator, no "..", no control character, no dot in front`},
		"long":              {func(o *DestinationOptions) { o.Name = strings.Repeat("n", 101) }, "name: is longer than 100 bytes"},
		"like temp":         {func(o *DestinationOptions) { o.Name = "{id}.tmp" }, `name: "{id}.tmp" ends like the temporary names; choose another name or another temp`},
		"temp":              {func(o *DestinationOptions) { o.Temp = "x" }, `temp: "x" is not the ending of a name, such as .tmp`},
		"exists":            {func(o *DestinationOptions) { o.Exists = "append" }, `exists: "append" is not known; known: error, replace`},
		"connections":       {func(o *DestinationOptions) { o.Connections = 0 }, "connections: 0 is not between 1 and 64"},
		"timeout":           {func(o *DestinationOptions) { o.Timeout = -time.Second }, "timeout: -1s is not a time above zero, such as 30s"},
	} {
		t.Run(name, func(t *testing.T) {
			o := DefaultDestination().(*DestinationOptions)
			o.Folder = "out"
			if problems := o.Validate(); len(problems) > 0 {
				t.Fatalf("the defaults: %v", problems)
			}
			c.change(o)
			got := o.Validate()
			if len(got) != 1 || got[0].Field+": "+got[0].Text != c.want {
				t.Errorf("Validate() = %q, want %q", got, c.want)
			}
		})
	}
	if l := DefaultDestination().Limits(); l.Connections != 1 || l.Timeout != 30*time.Second {
		t.Errorf("Limits() = %+v", l)
	}
}
