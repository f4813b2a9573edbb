//go:build killpoints

// Package killpoint names the durable steps of the line, so that tests can kill
// the process at each of them. PLEXUS_KILL_AT=name:n ends the process, without
// any clean-up, when it passes the step called name for the n-th time;
// PLEXUS_STOP_AT=name:n stops it there (SIGSTOP), so that its disk can be taken away.
package killpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// A wish is a step and how often it is passed before something is done there.
type wish struct {
	name   string
	times  int64
	signal syscall.Signal
	passed atomic.Int64
}

var wanted = sync.OnceValue(func() []*wish {
	return []*wish{wishOf("PLEXUS_KILL_AT", syscall.SIGKILL), wishOf("PLEXUS_STOP_AT", syscall.SIGSTOP)}
})

func wishOf(variable string, signal syscall.Signal) *wish {
	name, n, _ := strings.Cut(os.Getenv(variable), ":")
	times, err := strconv.ParseInt(n, 10, 64)
	if err != nil || times < 1 {
		times = 1
	}
	return &wish{name: name, times: times, signal: signal}
}

// Hit ends or stops the process if this is the step and the time asked for.
func Hit(name string) {
	for _, w := range wanted() {
		if w.name == "" || name != w.name || w.passed.Add(1) != w.times {
			continue
		}
		_ = syscall.Kill(os.Getpid(), w.signal) // there is nobody to tell
		if w.signal == syscall.SIGKILL {
			select {}
		}
	}
}

// Unsafe reports whether commits of the embedded store are not to be synced:
// PLEXUS_TEST_UNSAFE_SYNC=yes, for the test that has to lose messages.
func Unsafe() bool { return os.Getenv("PLEXUS_TEST_UNSAFE_SYNC") == "yes" }
