package faults

import (
	"os"
	"testing"
)

// NoDisk ends a test that needs a file system of its own and cannot have one
// here. It is skipped with the reason, and fails when CI=true: a suite that is
// left out must not look like one that passed. PLEXUS_NO_MOUNT=yes says that this
// machine cannot mount, and skips it there too.
func NoDisk(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Getenv("PLEXUS_NO_MOUNT") != "yes" {
		t.Fatal(why + " (PLEXUS_NO_MOUNT=yes says that this machine cannot, and skips it)")
	}
	t.Skip(why)
}
