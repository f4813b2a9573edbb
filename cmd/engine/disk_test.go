package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/faults"
)

// TestDiskFull fills the disk under a running engine: intake refuses truthfully,
// the process lives, and it recovers alone when there is room again.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		faults.NoDisk(t, "mounting a small tmpfs needs root: run as root to see what a full disk does")
	}
	s := newSite(t, "")
	disk := filepath.Join(s.folder, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=48m"); err != nil {
		faults.NoDisk(t, fmt.Sprintf("no tmpfs can be mounted here (%v): run where mount is allowed to see what a full disk does", err))
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	s.data = filepath.Join(disk, "data")
	l := s.mustReady()
	if code := s.send(s.results, oru("D-first", "MD", "1", 1)); code != "AA" {
		t.Fatalf("answered %s, want AA", code)
	}
	filler := filepath.Join(disk, "filler")
	fillUp(t, filler)
	accepted := []string{"D-first"}
	refused := ""
	for n := 0; refused == "" && n < 5000; n++ {
		control := fmt.Sprintf("D%d", n)
		raw := oru(control, fmt.Sprintf("MD%d", n), fmt.Sprint(n), 1) + "NTE|1||" + strings.Repeat("text ", 4000) + "\r"
		p, err := dial(s.results)
		if err != nil {
			t.Fatalf("the engine takes no connections any more: %v\n%s", err, l.log)
		}
		code, err := p.exchange(raw)
		p.close()
		switch {
		case err != nil:
			t.Fatalf("a full disk is answered by silence: %v\n%s", err, l.log)
		case code == "AA":
			accepted = append(accepted, control)
		default:
			refused = code
		}
	}
	if refused != "AE" {
		t.Fatalf("a full disk is answered %q, want AE", refused)
	}
	if status, _ := s.get("/healthz", nil); status != http.StatusOK {
		t.Errorf("healthz is %d while the disk is full, want 200: the process lives", status)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "taking messages again", func() bool {
		code := s.send(s.results, oru("D-last", "MD", "2", 1))
		return code == "AA"
	})
	found := map[string]bool{}
	for _, r := range s.settled() {
		found[r.Control] = true
	}
	for _, control := range append(accepted, "D-last") {
		if !found[control] {
			t.Errorf("%s was answered AA and is not in the journal", control)
		}
	}
	l.stop()
}

// fillUp writes until the disk holds no more.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
	t.Fatal("the disk was not full after a minute")
}
