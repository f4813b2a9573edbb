//go:build !unix

package file

import "io/fs"

const nonBlocking = 0

func noLinks(error) bool { return false }

func number(fs.FileInfo) [2]uint64 { return [2]uint64{} }

func sameDisk(fs.FileInfo, fs.FileInfo) bool { return true }
