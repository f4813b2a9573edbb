package folder

import (
	"errors"
	"io"
	"time"
)

// A Shelf is one of the folders that a file stands in on its way.
type Shelf int

// The shelves of a place.
const (
	Here   Shelf = iota // where files arrive
	Done                // where those go that were taken
	Failed              // where those go that were not
)

// A Place is where files are picked up. It is used by one goroutine at a time.
// Errors hold no names of files; those that wrap ErrLost say that the place has
// to be reached anew.
type Place interface {
	// List returns what stands here of the names that wanted wants, at most Most.
	List(wanted func(name string) bool) ([]Info, error)
	// Open opens the file info was read of; fs.ErrNotExist when it is gone.
	// Whether it is another by now is found out when it is read.
	Open(info Info) (File, error)
	// Stat says what a name is, without following a link.
	Stat(shelf Shelf, name string) (Info, error)
	// Move gives a file that stands on a shelf another place and name, and
	// has that on disk; ErrExists when the name is taken.
	Move(from Shelf, name string, to Shelf, as string) error
	// Remove removes a file that stands here.
	Remove(name string) error
	// Note writes a small file beside those that were not taken.
	Note(name, text string) error
	Close() error
}

// ErrLost says that a place cannot be reached any more.
var ErrLost = errors.New("connection lost")

// A File is a file being read.
type File interface {
	io.ReadCloser
	// Stat says what the file is now.
	Stat() (Info, error)
}

// Info is what a file is known by. Two equal ones are the same content, as far
// as a place can tell without reading it.
type Info struct {
	Name     string
	Size     int64
	Modified time.Time
	// ID is the number of the file on its disk; zero where there is none.
	ID [2]uint64
	// Regular is false for whatever is no file and no folder; Folder is true
	// for a folder.
	Regular, Folder bool
}

// same reports whether two looks at a file saw the same, whatever its name.
func (i Info) same(other Info) bool {
	return i.Size == other.Size && i.Modified.Equal(other.Modified) && i.ID == other.ID && i.Regular == other.Regular
}
