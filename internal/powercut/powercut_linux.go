// Package powercut cuts the power of a disk, for tests: an ext4 file system on a
// loop device that forgets at once whatever was not synced. A kill of the
// process does not test a sync; this does. It needs Linux and root.
package powercut

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/plexus-health/plexus/internal/faults"
)

const (
	inside     = "PLEXUS_POWERCUT_INSIDE"
	shutdown   = 0x8004587d // FS_IOC_SHUTDOWN, _IOR('X', 125, __u32)
	noLogFlush = 2          // without writing the file system's log
	patience   = time.Minute
)

// Alone runs the calling test once more, in a process with mounts of its own,
// and reports whether this is that process: whatever it mounts ends with it,
// even if it is killed. In the first process it returns false when all is done.
// Where this cannot be done the test ends with the reason (faults.NoDisk).
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	if why := missing(); why != "" {
		faults.NoDisk(t, "no power can be cut here: "+why)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pattern := "^" + t.Name() + "$"
	if asked := flag.Lookup("test.run"); asked != nil {
		if _, below, ok := strings.Cut(asked.Value.String(), "/"); ok {
			pattern += "/" + below
		}
	}
	args := []string{"-test.run=" + pattern, "-test.v", "-test.count=1"}
	if end, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+time.Until(end).String())
	}
	cmd := exec.CommandContext(context.Background(), program, args...) //nolint:gosec // the test names its own program
	cmd.Env = append(os.Environ(), inside+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	var reading sync.WaitGroup
	skipped := false
	reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line := lines.Text()
			skipped = skipped || strings.HasPrefix(line, "--- SKIP: "+t.Name()+" ")
			fmt.Fprintln(t.Output(), "| "+line)
		}
		_, _ = io.Copy(io.Discard, out) // after a line that is too long
	})
	runtime.LockOSThread() // the process ends with the thread that started it
	err = cmd.Run()
	runtime.UnlockOSThread()
	_ = in.Close() // it never fails
	reading.Wait()
	switch {
	case err != nil:
		t.Errorf("in the process of its own: %v", err)
	case skipped:
		t.Skip("skipped in the process of its own, see above")
	}
	return false
}

// missing says what this machine lacks.
func missing() string {
	if os.Getuid() != 0 {
		return "mounting needs root"
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return "there are no loop devices (/dev/loop-control)"
	}
	for _, program := range []string{"mkfs.ext4", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is not installed"
		}
	}
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", "-test.run=^$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		return fmt.Sprintf("no mounts of its own for a process (%v)", err)
	}
	return ""
}

// A Disk is a file system whose power can be cut.
type Disk struct {
	// Path is where it is mounted.
	Path string

	t     testing.TB
	image string
	down  bool
}

// New makes an empty disk and mounts it, until the test ends. Where no loop
// device can be had the test ends with the reason (faults.NoDisk).
func New(t testing.TB, megabytes int64) *Disk {
	t.Helper()
	folder, err := os.MkdirTemp("", "plexus-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })  // a temporary folder
	if err := os.Chmod(folder, 0o711); err != nil { // PostgreSQL runs as an ordinary user
		t.Fatal(err)
	}
	d := &Disk{t: t, Path: filepath.Join(folder, "disk"), image: filepath.Join(folder, "image")}
	f, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(megabytes<<20), f.Close(), os.Mkdir(d.Path, 0o755)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(context.Background(), "mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil { //nolint:gosec // an image of our own making
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if err := d.mount(); err != nil {
		faults.NoDisk(t, "no power can be cut here: "+err.Error())
	}
	t.Cleanup(func() {
		if !d.down {
			if err := d.unmount(); err == nil {
				return
			}
		}
		// Who has lost a disk may not be able to close its files: the rest goes
		// with the process.
		if err := syscall.Unmount(d.Path, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return d
}

func (d *Disk) mount() error {
	out, err := exec.CommandContext(context.Background(), "mount", "-t", "ext4", "-o", "loop", d.image, d.Path).CombinedOutput() //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("mount: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// unmount waits for those who have just been killed.
func (d *Disk) unmount() error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Unmount(d.Path, 0)
		if err == nil || !errors.Is(err, syscall.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

// Cut cuts the power: what was not synced is gone, and every read and write
// from now on fails.
func (d *Disk) Cut() {
	d.t.Helper()
	f, err := os.Open(d.Path)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush); err != nil {
		d.t.Fatalf("the file system cannot be shut down: %v", err)
	}
	_ = f.Close() // of a file system that is down
	d.down = true
}

// Restore brings the power back: the file system replays its log. Whoever had
// files open must have ended.
func (d *Disk) Restore() {
	d.t.Helper()
	if err := d.unmount(); err != nil {
		d.t.Fatalf("unmount: %v", err)
	}
	if err := d.mount(); err != nil {
		d.t.Fatal(err)
	}
	d.down = false
}
