//go:build killpoints

package file

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// childFolder names the folder of a process that is to be killed.
const childFolder = "PLEXUS_TEST_FOLDER"

// TestKilled is both: it starts itself as a process that is killed at a step,
// and sees that the repeat leaves one whole file.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(childFolder); dir != "" {
		t.Fatalf("the process was to be killed: %v", send(open(t, dir, nil), "d-1", "C1", sample(1)))
	}
	for step, want := range map[string][]string{"file_written": {"d-1.tmp"}, "file_renamed": {"d-1.hl7"}} {
		t.Run(step, func(t *testing.T) {
			dir := t.TempDir()
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
			child.Env = append(os.Environ(), childFolder+"="+dir, "PLEXUS_KILL_AT="+step+":1")
			out, err := child.CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || !exit.Sys().(syscall.WaitStatus).Signaled() {
				t.Fatalf("the process ended with %v:\n%s", err, out)
			}
			wantNames(t, dir, want...)
			if err := send(open(t, dir, nil), "d-1", "C1", sample(1)); err != nil {
				t.Fatal(err)
			}
			wantNames(t, dir, "d-1.hl7")
			wantContent(t, dir+"/d-1.hl7", sample(1))
		})
	}
}
