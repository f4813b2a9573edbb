//go:build killpoints

package sftp

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/plexus-health/plexus/internal/sftptest"
)

// TestKilled is both: it starts itself as a process that is killed at a step,
// and sees that the repeat leaves one whole file.
func TestKilled(t *testing.T) {
	if address := os.Getenv("PLEXUS_TEST_SERVER"); address != "" {
		s := &sftptest.Server{
			Address: address, HostKey: os.Getenv("PLEXUS_TEST_KEY"), User: "plexus", Password: os.Getenv("PLEXUS_TEST_PASSWORD"),
		}
		t.Fatalf("the process was to be killed: %v", send(open(t, toServer(t, s)), "d-1", sample(1)))
	}
	for step, want := range map[string][]string{"sftp_written": {"d-1.tmp"}, "sftp_renamed": {"d-1.hl7"}} {
		t.Run(step, func(t *testing.T) {
			s := sftptest.Start(t, sftptest.Options{})
			dir := mkdir(t, s, "out")
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
			child.Env = append(os.Environ(), "PLEXUS_TEST_SERVER="+s.Address, "PLEXUS_TEST_KEY="+s.HostKey,
				"PLEXUS_TEST_PASSWORD="+s.Password, "PLEXUS_KILL_AT="+step+":1")
			out, err := child.CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || !exit.Sys().(syscall.WaitStatus).Signaled() {
				t.Fatalf("the process ended with %v:\n%s", err, out)
			}
			wantNames(t, dir, want...)
			if err := send(open(t, toServer(t, s)), "d-1", sample(1)); err != nil {
				t.Fatal(err)
			}
			wantNames(t, dir, "d-1.hl7")
			wantContent(t, filepath.Join(dir, "d-1.hl7"), sample(1))
		})
	}
}
