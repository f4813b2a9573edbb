package faults_test

import (
	"runtime"
	"testing"

	"github.com/plexus-health/plexus/internal/faults"
)

// An ending notes how a test ends.
type ending struct {
	testing.TB
	how string
}

func (e *ending) Helper() {}

func (e *ending) Skip(...any) {
	e.how = "skipped"
	runtime.Goexit()
}

func (e *ending) Fatal(...any) {
	e.how = "failed"
	runtime.Goexit()
}

// A build must not be green that could not try what a disk does, unless somebody
// has said that it cannot.
func TestNoDisk(t *testing.T) {
	for _, c := range []struct{ ci, no, want string }{
		{"", "", "skipped"}, {"true", "", "failed"}, {"true", "1", "failed"}, {"true", "yes", "skipped"}, {"", "yes", "skipped"},
	} {
		t.Setenv("CI", c.ci)
		t.Setenv("PLEXUS_NO_MOUNT", c.no)
		e := &ending{TB: t}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			faults.NoDisk(e, "why")
		}()
		if <-ended; e.how != c.want {
			t.Errorf("CI=%q PLEXUS_NO_MOUNT=%q: %q, want %s", c.ci, c.no, e.how, c.want)
		}
	}
}
