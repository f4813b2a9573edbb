// Package folder is what the connectors of files have in common, on this
// machine or on a server: files are picked up once they are whole and put away
// once they are recorded, and are put into place under their name only when
// every byte is there.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/plexus-health/plexus/message"
)

// Errors of places that files are kept in.
var (
	// ErrExists says that the name is taken by another file.
	ErrExists = errors.New("the name is taken by another file")
	// ErrChanged says that a file is no longer what it was when it was looked at.
	ErrChanged = errors.New("the file changed while it was being read")
)

// maxName is the longest name of a file that is made, in bytes; file systems
// take 255, and a suffix must still fit.
const maxName = 200

// Plain reports whether a name is one plain name: no separator, no "..", no
// control character, UTF-8.
func Plain(name string) bool {
	if name == "" || len(name) > 255 || name == "." || name == ".." || !utf8.ValidString(name) {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }) < 0
}

// Reason is the cause of an error of the operating system without the names of
// files that it mentions: they may say who a file is about.
func Reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return Reason(e.Err)
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return Reason(e.Err)
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return Reason(e.Err)
	}
	return err
}

// Full reports whether an error says that something of the machine is used up
// and may be free again: space, quota, files, memory.
func Full(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.EBUSY,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// fail is a failure of a step of a send. What a place says of itself stands.
func fail(kind message.Kind, step string, err error) error {
	if f, ok := errors.AsType[*message.Failure](err); ok {
		return f
	}
	return &message.Failure{Kind: kind, Err: fmt.Errorf("%s: %w", step, Reason(err))}
}
