package file

import (
	"runtime"
	"syscall"
)

// asNobody does something as a user who owns nothing, where the tests run as
// root. The goroutine's thread is never used again.
func asNobody(do func() error) error {
	if syscall.Getuid() == 0 {
		runtime.LockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			return err
		}
	}
	return do()
}
