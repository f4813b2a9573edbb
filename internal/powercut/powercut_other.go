//go:build !linux

// Package powercut cuts the power of a disk, for tests. It needs Linux.
package powercut

import (
	"testing"

	"github.com/plexus-health/plexus/internal/faults"
)

// Alone ends the test (faults.NoDisk): this is not Linux.
func Alone(t *testing.T) bool {
	faults.NoDisk(t, "no power can be cut here: this is not Linux")
	return false
}

// A Disk is a file system whose power can be cut.
type Disk struct {
	// Path is where it is mounted.
	Path string
}

// New ends the test (faults.NoDisk): this is not Linux.
func New(t testing.TB, _ int64) *Disk {
	faults.NoDisk(t, "no power can be cut here: this is not Linux")
	return nil
}

// Cut does nothing.
func (*Disk) Cut() {}

// Restore does nothing.
func (*Disk) Restore() {}
