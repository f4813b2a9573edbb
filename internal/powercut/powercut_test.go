package powercut_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/plexus-health/plexus/internal/powercut"
)

// TestCut shows that a cut loses what was not synced, keeps what was, and that
// the disk fails until the power is back.
func TestCut(t *testing.T) {
	if !powercut.Alone(t) {
		return
	}
	d := powercut.New(t, 64)
	synced, forgotten := filepath.Join(d.Path, "synced"), filepath.Join(d.Path, "forgotten")
	data := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for round := range 3 {
		write(t, synced, data, true)
		write(t, forgotten, data, false)
		d.Cut()
		if err := os.WriteFile(filepath.Join(d.Path, "later"), data, 0o600); err == nil {
			t.Error("a disk without power takes a file")
		}
		d.Restore()
		if got, err := os.ReadFile(synced); err != nil || !bytes.Equal(got, data) {
			t.Errorf("round %d: what was synced: %d bytes, %v, want %d", round, len(got), err, len(data))
		}
		if got, err := os.ReadFile(forgotten); err == nil && bytes.Equal(got, data) {
			t.Errorf("round %d: what was not synced outlived the cut: the cut is none", round)
		}
		if err := os.RemoveAll(forgotten); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path string, data []byte, sync bool) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if !sync {
		return
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		t.Fatal(err)
	}
}
