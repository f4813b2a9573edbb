//go:build unix

package file

import (
	"errors"
	"io/fs"
	"syscall"
)

// nonBlocking keeps an open from waiting for the other end of a pipe.
const nonBlocking = syscall.O_NONBLOCK

// noLinks reports whether a file system has no second names for files.
func noLinks(err error) bool {
	return errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EMLINK)
}

// number is the number of a file on its disk.
func number(info fs.FileInfo) [2]uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return [2]uint64{uint64(s.Dev), s.Ino} //nolint:unconvert // signed on some systems
	}
	return [2]uint64{}
}

// sameDisk reports whether a file can be moved from one folder to another.
func sameDisk(a, b fs.FileInfo) bool { return number(a)[0] == number(b)[0] }
