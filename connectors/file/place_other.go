//go:build !unix

package file

const nonBlocking = 0

func noLinks(error) bool { return false }
