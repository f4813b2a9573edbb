package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/plexus-health/plexus/connectors/folder"
)

// An inbox is a folder that files are picked up from, with its shelves.
type inbox struct {
	*place
	path    string
	shelves [3]shelf
}

// A shelf is a folder below an opened one.
type shelf struct {
	root *os.Root
	dir  string // "." or a path below root
}

var _ folder.Place = (*inbox)(nil)

// openInbox opens a folder. Shelves below it are made when they are missing,
// and are reached through it, so that a link put there leads nowhere.
func openInbox(path, done, failed string, moves bool) (*inbox, error) {
	p, err := openPlace(path)
	if err != nil {
		return nil, fmt.Errorf("folder: %w", folder.Reason(err))
	}
	b := &inbox{place: p, path: path}
	b.shelves[folder.Here] = shelf{p.root, "."}
	if !moves {
		return b, nil
	}
	for _, s := range []struct {
		shelf       folder.Shelf
		field, path string
	}{{folder.Done, "to", done}, {folder.Failed, "errors", failed}} {
		if b.shelves[s.shelf], err = b.openShelf(path, s.path); err != nil {
			_ = b.Close() // nothing was done in it
			return nil, fmt.Errorf("%s: %w", s.field, err)
		}
	}
	return b, nil
}

// openShelf opens a shelf.
func (b *inbox) openShelf(path, dir string) (shelf, error) {
	s := shelf{dir: "."}
	if rel, err := filepath.Rel(path, dir); err == nil && filepath.IsLocal(rel) {
		s = shelf{b.root, rel}
		if err := b.root.MkdirAll(rel, 0o770); err != nil {
			return s, folder.Reason(err)
		}
		// The names of what was made; Move syncs the shelf itself.
		for above := rel; above != "."; {
			above = filepath.Dir(above)
			if err := syncFolder(b.root, above); err != nil {
				return s, folder.Reason(err)
			}
		}
	} else {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return s, folder.Reason(err)
		}
		s.root = root
	}
	here, err := b.root.Stat(".")
	if err != nil {
		return s, folder.Reason(err)
	}
	there, err := s.root.Stat(s.dir)
	switch {
	case err != nil:
		return s, folder.Reason(err)
	case !there.IsDir():
		return s, errors.New("not a folder")
	case !sameDisk(here, there):
		return s, errors.New("on another disk than folder; files could not be moved there in one step")
	}
	return s, nil
}

// Close lets go of the folders.
func (b *inbox) Close() error {
	for _, s := range b.shelves[folder.Done:] {
		if s.root != nil && s.root != b.root {
			_ = s.root.Close() // what was moved there is on disk already
		}
	}
	return b.place.Close()
}

// moved reports whether the path leads to another folder by now, or to none: a
// disk was taken away or came back.
func (b *inbox) moved() error {
	opened, err := b.root.Stat(".")
	if err != nil {
		return folder.Reason(err)
	}
	named, err := os.Stat(b.path)
	if err != nil {
		return folder.Reason(err)
	}
	if !os.SameFile(opened, named) {
		return fmt.Errorf("another folder is there: %w", folder.ErrLost)
	}
	return nil
}

// List returns what stands in the folder.
func (b *inbox) List(wanted func(string) bool) ([]folder.Info, error) {
	if err := b.moved(); err != nil {
		return nil, err
	}
	dir, err := b.root.Open(".")
	if err != nil {
		return nil, folder.Reason(err)
	}
	defer func() { _ = dir.Close() }() // it was only read
	var list []folder.Info
	for {
		names, err := dir.Readdirnames(1000)
		for _, name := range names {
			if !wanted(name) {
				continue
			}
			info, err := b.Stat(folder.Here, name)
			switch {
			case err == nil:
				list = append(list, info)
			case !errors.Is(err, fs.ErrNotExist): // else it went in the meantime
				return nil, err
			}
			if len(list) >= folder.Most {
				return list, nil
			}
		}
		if len(names) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, folder.Reason(err)
			}
			return list, nil
		}
	}
}

// infoOf is what the machine says of a file.
func infoOf(name string, info fs.FileInfo) folder.Info {
	return folder.Info{
		Name: name, Size: info.Size(), Modified: info.ModTime(), ID: number(info),
		Regular: info.Mode().IsRegular(), Folder: info.IsDir(),
	}
}

// Stat says what a name is.
func (b *inbox) Stat(on folder.Shelf, name string) (folder.Info, error) {
	s := b.shelves[on]
	info, err := s.root.Lstat(filepath.Join(s.dir, name))
	if err != nil {
		return folder.Info{}, folder.Reason(err)
	}
	return infoOf(name, info), nil
}

// A file is an open file.
type file struct {
	*os.File
	name string
}

// Stat says what the file is now.
func (f file) Stat() (folder.Info, error) {
	info, err := f.File.Stat()
	if err != nil {
		return folder.Info{}, folder.Reason(err)
	}
	return infoOf(f.name, info), nil
}

// Open opens the file that info was read of.
func (b *inbox) Open(info folder.Info) (folder.File, error) {
	now, err := b.root.Lstat(info.Name)
	if err != nil {
		return nil, folder.Reason(err)
	}
	if !now.Mode().IsRegular() {
		return nil, folder.ErrChanged
	}
	f, err := b.place.open(info.Name, now)
	if err != nil {
		return nil, folder.Reason(err)
	}
	return file{f, info.Name}, nil
}

// Move gives a file another place or name.
func (b *inbox) Move(from folder.Shelf, name string, to folder.Shelf, as string) error {
	source, target := b.shelves[from], b.shelves[to]
	old, next := filepath.Join(source.dir, name), filepath.Join(target.dir, as)
	if _, err := target.root.Lstat(next); err == nil {
		return folder.ErrExists
	} else if !errors.Is(err, fs.ErrNotExist) {
		return folder.Reason(err)
	}
	rename := source.root.Rename
	if source.root != target.root {
		rename, old, next = os.Rename, filepath.Join(source.root.Name(), old), filepath.Join(target.root.Name(), next)
	}
	if err := rename(old, next); err != nil {
		return folder.Reason(err)
	}
	for _, s := range []shelf{target, source} {
		if err := syncFolder(s.root, s.dir); err != nil {
			return folder.Reason(err)
		}
	}
	return nil
}

// Remove removes a file; that there is none is no error.
func (b *inbox) Remove(name string) error {
	if err := b.place.Remove(name); err != nil {
		return folder.Reason(err)
	}
	return folder.Reason(syncFolder(b.root, "."))
}

// Note writes a reason beside a file that was not taken.
func (b *inbox) Note(name, text string) error {
	s := b.shelves[folder.Failed]
	f, err := s.root.OpenFile(filepath.Join(s.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return folder.Reason(err)
	}
	_, err = strings.NewReader(text).WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = syncFolder(s.root, s.dir)
	}
	return folder.Reason(err)
}
