//go:build !unix

package jetstream

// A folderLock cannot be had here: two engines must be given two folders.
type folderLock struct{}

func lockFolder(string) (*folderLock, error) { return &folderLock{}, nil }

func (l *folderLock) release() error { return nil }
