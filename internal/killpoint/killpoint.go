//go:build !killpoints

// Package killpoint names the durable steps of the line, so that tests can kill
// the process at each of them. Without the build tag `killpoints` it does nothing.
package killpoint

// Hit marks a step.
func Hit(string) {}

// Unsafe reports whether commits of the embedded store are not to be synced.
func Unsafe() bool { return false }
