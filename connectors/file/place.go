package file

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/plexus-health/plexus/connectors/folder"
	"github.com/plexus-health/plexus/message"
)

// fileMode is that of the files we make, less what the process's umask takes.
const fileMode = 0o660

// A place is an opened folder. Nothing outside of it is reached through it,
// whatever stands in it.
type place struct{ root *os.Root }

var _ folder.Target = (*place)(nil)

func openPlace(path string) (*place, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &place{root: root}, nil
}

// Close lets go of the folder.
func (p *place) Close() error { return p.root.Close() }

// Create makes an empty file under a name of ours.
func (p *place) Create(name string) (folder.Output, error) {
	// A leftover may be another name of a file that is in place already (see
	// link): it is removed, never written to.
	if err := p.Remove(name); err != nil {
		return nil, err
	}
	return p.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
}

// Find opens a file to be read.
func (p *place) Find(name string) (io.ReadCloser, int64, error) {
	info, err := p.root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, folder.ErrExists
	}
	f, err := p.open(name, info)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// open opens the file that info was read of, and no other: a link or a pipe
// put there since is not followed or waited for.
func (p *place) open(name string, info fs.FileInfo) (*os.File, error) {
	f, err := p.root.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(info, now) {
		err = folder.ErrChanged
	}
	if err != nil {
		_ = f.Close() // nothing was read from it
		return nil, err
	}
	return f, nil
}

// Publish gives a file its name.
func (p *place) Publish(from, name string, replace bool) error {
	rename := p.link
	if replace {
		rename = p.root.Rename
	}
	if err := rename(from, name); err != nil {
		return err
	}
	if err := syncFolder(p.root, "."); err != nil {
		return &message.Failure{Kind: message.Unknown, Err: folder.Reason(err)}
	}
	return nil
}

// link renames without ever writing over a file: rename(2) would. Where the
// file system knows no second names, it looks first.
func (p *place) link(from, name string) error {
	err := p.root.Link(from, name)
	switch {
	case err == nil:
		if err := p.root.Remove(from); err != nil {
			return &message.Failure{Kind: message.Unknown, Err: folder.Reason(err)} // it has its name
		}
		return nil
	case errors.Is(err, fs.ErrExist):
		return folder.ErrExists
	case !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) && !noLinks(err):
		return err
	}
	if _, err := p.root.Lstat(name); err == nil {
		return folder.ErrExists
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return p.root.Rename(from, name)
}

// Sync has a file and its name on disk.
func (p *place) Sync(name string) error {
	f, err := p.root.Open(name)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return syncFolder(p.root, ".")
}

// Remove removes a file; that there is none is no error.
func (p *place) Remove(name string) error {
	if err := p.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncFolder has the names of a folder on disk.
func syncFolder(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
