// Package corpus finds the folder of messages that nobody here wrote, for
// tests. The folder is never part of the project.
package corpus

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir returns the corpus folder, or the folder or file below it that parts
// name: PLEXUS_CORPUS, or shared/corpus beside the project. Where it is absent
// the test is skipped with a message, and fails when CI=true.
func Dir(t testing.TB, parts ...string) string {
	t.Helper()
	root := os.Getenv("PLEXUS_CORPUS")
	if root == "" {
		root = beside()
	}
	dir := filepath.Join(append([]string{root}, parts...)...)
	if _, err := os.Stat(dir); root == "" || err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the corpus is absent: set PLEXUS_CORPUS")
		}
		t.Skip("the corpus is absent: set PLEXUS_CORPUS to run this test")
	}
	return dir
}

// beside looks for shared/corpus beside the module's root.
func beside() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(filepath.Dir(dir), "shared", "corpus")
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
