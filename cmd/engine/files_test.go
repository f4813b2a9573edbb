package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/sftptest"
)

// A folderReceiver is a folder that deliveries are put into.
type folderReceiver struct{ folder, text string }

func newFolderReceiver(t *testing.T) receiver {
	dir := t.TempDir()
	return folderReceiver{dir, fmt.Sprintf(`{ file: { folder: "%s", name: "{control}.{ext}" } }`, dir)}
}

// newServerReceiver is a folder of an SFTP server.
func newServerReceiver(t *testing.T) receiver {
	s := sftptest.Start(t, sftptest.Options{})
	secrets := t.TempDir()
	if err := os.WriteFile(filepath.Join(secrets, "partner"), []byte(s.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PLEXUS_SECRETS", secrets)
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	return folderReceiver{s.Root, fmt.Sprintf(`{ sftp: { host: "%s", port: %s, user: %s, credential: { secret: partner }, host-key: "%s", folder: /, name: "{control}.{ext}" } }`,
		host, port, s.User, s.HostKey)}
}

func (r folderReceiver) to() string { return r.text }

// arrived are the control ids of the files, in the order in which they were
// written. Whatever is not whole is a fault.
func (r folderReceiver) arrived(t *testing.T) []string {
	entries, err := os.ReadDir(r.folder)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]time.Time{}
	var out []string
	for _, e := range entries {
		info, err := e.Info()
		content, readErr := os.ReadFile(filepath.Join(r.folder, e.Name()))
		if err := errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
		control, whole := strings.CutSuffix(e.Name(), ".hl7")
		if !whole || control10(string(content)) != control || !strings.HasSuffix(string(content), "\r") {
			t.Errorf("a file of %d bytes is no whole message, or is left over", len(content))
		}
		times[control] = info.ModTime()
		out = append(out, control)
	}
	slices.SortStableFunc(out, func(a, b string) int { return times[a].Compare(times[b]) })
	return out
}

// pickupRoutes take files of a folder and put each message into another.
const pickupRoutes = `zone: America/New_York
channels:
  - name: lab-results
    source: { file: { folder: in, match: "*.hl7", done: rename, stable: 0s, every: 20ms, order: name } }
    parse: hl7v2
    routes:
      - { name: out, map: original, to: { file: { folder: out, name: "{control}.{ext}" } } }
  - name: admissions
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    routes: [ { to: { drop: { reason: not sent in these tests } } } ]
`

// TestKillPickup kills a real engine at the durable steps between a file and
// the journal: each message is recorded once, each file put away.
func TestKillPickup(t *testing.T) {
	if testing.Short() {
		t.Skip("short: no processes are killed")
	}
	for _, point := range []string{"after_read:4", "before_commit:5", "after_commit:6", "after_commit_before_ack:4", "file_written:3", "file_renamed:3"} {
		t.Run(point, func(t *testing.T) {
			s := newSite(t, "")
			s.tags = "killpoints"
			s.configure(fmt.Sprintf(pickupRoutes, s.admit))
			in, out := filepath.Join(s.folder, "in"), filepath.Join(s.folder, "out")
			if err := errors.Join(os.Mkdir(in, 0o700), os.Mkdir(out, 0o700)); err != nil {
				t.Fatal(err)
			}
			const files, each = 10, 3
			for f := range files {
				var batch strings.Builder
				for n := range each {
					batch.WriteString(oru(fmt.Sprintf("P%02d-%d", f, n), fmt.Sprintf("K%d", n), fmt.Sprintf("%d%d", f, n), 1))
				}
				name := filepath.Join(in, fmt.Sprintf("%02d.hl7", f))
				if err := errors.Join(os.WriteFile(name+".tmp", []byte(batch.String()), 0o600), os.Rename(name+".tmp", name)); err != nil {
					t.Fatal(err)
				}
			}
			first := s.start("PLEXUS_KILL_AT=" + point)
			if !first.killed() {
				t.Fatalf("the engine was not killed: the point is not on the line any more\n%s", first.log)
			}
			second := s.mustReady()
			s.drained("lab-results/out", files*each)
			if rows := s.settled(); len(rows) != files*each {
				t.Errorf("%d messages in the journal, want %d: each once", len(rows), files*each)
			}
			until := time.Now().Add(time.Minute)
			for list := []os.DirEntry{nil}; len(list) < files; {
				var err error
				if list, err = os.ReadDir(filepath.Join(in, "done")); err != nil || time.Now().After(until) {
					t.Fatalf("%d files were put away, %v; want %d", len(list), err, files)
				}
			}
			if got := len(folderReceiver{folder: out}.arrived(t)); got != files*each {
				t.Errorf("%d files were made, want %d", got, files*each)
			}
			second.stop()
		})
	}
}
