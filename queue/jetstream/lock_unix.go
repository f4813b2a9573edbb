//go:build unix

package jetstream

import (
	"errors"
	"os"
	"syscall"
)

// A folderLock keeps two engines from using one folder. It stands beside the
// folder, which may be renamed, and ends with the process.
type folderLock struct{ file *os.File }

func lockFolder(path string) (*folderLock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errOther
		}
		return nil, errors.Join(err, f.Close())
	}
	return &folderLock{f}, nil
}

func (l *folderLock) release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
