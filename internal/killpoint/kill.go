//go:build killpoints

// Package killpoint names the durable steps of the line, so that tests can kill
// the process at each of them. PLEXUS_KILL_AT=name:n ends the process, without
// any clean-up, when it passes the step called name for the n-th time.
package killpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

var wanted = sync.OnceValues(func() (string, int64) {
	name, n, _ := strings.Cut(os.Getenv("PLEXUS_KILL_AT"), ":")
	times, err := strconv.ParseInt(n, 10, 64)
	if err != nil || times < 1 {
		times = 1
	}
	return name, times
})

var passed atomic.Int64

// Hit ends the process if this is the step and the time asked for.
func Hit(name string) {
	at, times := wanted()
	if name != at || at == "" || passed.Add(1) != times {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // there is nobody to tell
	select {}
}
