package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/plexus-health/plexus/internal/powercut"
	"github.com/plexus-health/plexus/message"
)

// What was answered positively is there, whole, after the power was cut; what
// was not is there whole or not at all under its name.
func TestPowerCutWhilePutting(t *testing.T) {
	if !powercut.Alone(t) {
		return
	}
	disk := powercut.New(t, 64)
	for round := range 5 {
		dir := filepath.Join(disk.Path, fmt.Sprint("out-", round))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		parent, err := os.Open(disk.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
			t.Fatal(err)
		}
		d := open(t, dir, nil)
		var accepted atomic.Int64
		ended := make(chan error, 1)
		go func() {
			for n := 0; ; n++ {
				if err := send(d, fmt.Sprint("d-", n), "", sample(n)); err != nil {
					ended <- err
					return
				}
				accepted.Store(int64(n) + 1)
			}
		}()
		until(t, "some deliveries", func() bool { return accepted.Load() >= int64(20+7*round) })
		promised := accepted.Load() // before the cut began
		disk.Cut()
		if err := <-ended; message.KindOf(err) != message.Down && message.KindOf(err) != message.Unknown {
			t.Errorf("after the cut: %v, kind %s; want down or unknown", err, message.KindOf(err))
		}
		disk.Restore()
		for n := range int(promised) + 10 {
			got, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("d-%d.hl7", n)))
			switch {
			case n >= int(promised) && errors.Is(err, fs.ErrNotExist):
			case err != nil:
				t.Errorf("delivery %d of %d that were accepted: %v", n, promised, err)
			case string(got) != string(sample(n)):
				t.Errorf("delivery %d of %d that were accepted has %d bytes", n, promised, len(got))
			}
		}
		if err := send(d, "d-0", "", sample(0)); err != nil {
			t.Errorf("a repeat after the cut: %v", err)
		}
	}
}

// A file that a sender had synced is in the folder or on a shelf after the
// power was cut, and whole.
func TestPowerCutWhilePickingUp(t *testing.T) {
	if !powercut.Alone(t) {
		return
	}
	disk := powercut.New(t, 64)
	s := newSite(t)
	s.dir = filepath.Join(disk.Path, "in")
	s.options.Folder = s.dir
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const files = 200
	for n := range files {
		f, err := os.Create(s.in(fmt.Sprintf("%03d.hl7", n)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(sample(n))
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{s.dir, disk.Path} {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	s.start(nil)
	until(t, "some files", func() bool { return len(s.taken()) > files/2 })
	disk.Cut()
	s.stop()
	disk.Restore()
	for n := range files {
		name := fmt.Sprintf("%03d.hl7", n)
		here, err := os.ReadFile(s.in(name))
		if errors.Is(err, fs.ErrNotExist) {
			here, err = os.ReadFile(s.in("done", name))
		}
		if err != nil || string(here) != string(sample(n)) {
			t.Errorf("file %d: %d bytes, %v", n, len(here), err)
		}
	}
	s.start(nil)
	until(t, "all files", func() bool { list, err := os.ReadDir(s.in("done")); return err == nil && len(list) == files })
}
