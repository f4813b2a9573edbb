package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/pkg/sftp"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/folder"
)

// Open makes the source. It connects in Run.
func (o *SourceOptions) Open(env connectors.Environment) (connectors.Source, error) {
	s := o.server()
	s.folder = env.Folder
	p := o.pickup().Pickup(env, "sftp://"+s.address()+"/"+strings.TrimPrefix(o.Folder, "/"))
	p.Connect = func(dial, life context.Context) (folder.Place, error) {
		l, err := s.dial(dial)
		if err != nil {
			return nil, err
		}
		b := &inbox{remote: &remote{link: l, folder: o.Folder}, shelves: [3]string{
			o.Folder, inFolder(o.Folder, o.To), inFolder(o.Folder, o.Errors),
		}}
		b.unhook = l.watch(life)
		if err := b.prepare(o); err != nil {
			_ = b.Close() // nothing was done in it
			return nil, err
		}
		return b, nil
	}
	return p, nil
}

// An inbox is a folder of a server that files are picked up from.
type inbox struct {
	*remote
	shelves [3]string
	unhook  func() bool
}

var _ folder.Place = (*inbox)(nil)

// prepare looks whether the folder is there and makes the shelves in it.
func (b *inbox) prepare(o *SourceOptions) error {
	if err := b.isFolder(b.folder); err != nil {
		return fmt.Errorf("folder: %w", err)
	}
	if o.Then == folder.ThenKeep {
		return nil
	}
	for _, s := range []struct {
		field, name string
		shelf       folder.Shelf
	}{{"to", o.To, folder.Done}, {"errors", o.Errors, folder.Failed}} {
		err := b.isFolder(b.shelves[s.shelf])
		if errors.Is(err, fs.ErrNotExist) && !path.IsAbs(s.name) {
			err = b.bounded(func() error { return b.sftp.MkdirAll(b.shelves[s.shelf]) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.field, err)
		}
	}
	return nil
}

func (b *inbox) isFolder(name string) error {
	return b.bounded(func() error {
		info, err := b.sftp.Stat(name)
		if err == nil && !info.IsDir() {
			err = fs.ErrExist
		}
		return err
	})
}

// Close ends the connection.
func (b *inbox) Close() error {
	b.unhook()
	b.shut()
	return nil
}

// infoOf is what a server says of a file.
func infoOf(name string, info fs.FileInfo) folder.Info {
	return folder.Info{
		Name: name, Size: info.Size(), Modified: info.ModTime(),
		Regular: info.Mode().IsRegular(), Folder: info.IsDir(),
	}
}

// List returns what stands in the folder.
func (b *inbox) List(wanted func(string) bool) ([]folder.Info, error) {
	var list []folder.Info
	err := b.bounded(func() error {
		all, err := b.sftp.ReadDir(b.folder)
		for _, info := range all {
			if name := info.Name(); wanted(name) && len(list) < folder.Most {
				list = append(list, infoOf(name, info))
			}
		}
		return err
	})
	return list, err
}

// Stat says what a name is.
func (b *inbox) Stat(on folder.Shelf, name string) (info folder.Info, err error) {
	err = b.bounded(func() error {
		found, err := b.sftp.Lstat(path.Join(b.shelves[on], name))
		if err == nil {
			info = infoOf(name, found)
		}
		return err
	})
	return info, err
}

// A file is an open file of a server.
type file struct {
	*sftp.File
	b    *inbox
	name string
}

// Read reads.
func (f *file) Read(p []byte) (n int, err error) {
	end := false
	err = f.b.bounded(func() error {
		n, err = f.File.Read(p)
		if end = atEnd(err); end {
			return nil
		}
		return err
	})
	if end && err == nil {
		err = io.EOF
	}
	return n, err
}

// Stat says what the file is now.
func (f *file) Stat() (info folder.Info, err error) {
	err = f.b.bounded(func() error {
		now, err := f.File.Stat()
		if err == nil {
			info = infoOf(f.name, now)
		}
		return err
	})
	return info, err
}

// Close ends the reading.
func (f *file) Close() error { return f.b.bounded(f.File.Close) }

// Open opens a file.
func (b *inbox) Open(info folder.Info) (folder.File, error) {
	var opened *file
	err := b.bounded(func() error {
		f, err := b.sftp.Open(b.path(info.Name))
		if err == nil {
			opened = &file{f, b, info.Name}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// Move gives a file another place or name. The rename of version 3 does not
// write over a file; where a server's does, the look before it is what holds.
func (b *inbox) Move(from folder.Shelf, name string, to folder.Shelf, as string) error {
	_, err := b.Stat(to, as)
	if err == nil {
		return folder.ErrExists
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return b.bounded(func() error {
		return b.sftp.Rename(path.Join(b.shelves[from], name), path.Join(b.shelves[to], as))
	})
}

// Remove removes a file; that there is none is no error.
func (b *inbox) Remove(name string) error {
	err := b.bounded(func() error { return b.sftp.Remove(b.path(name)) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Note writes a reason beside a file that was not taken.
func (b *inbox) Note(name, text string) error {
	return b.bounded(func() error {
		f, err := b.sftp.OpenFile(path.Join(b.shelves[folder.Failed], name), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return err
		}
		_, err = f.Write([]byte(text))
		if err == nil {
			err = b.sync(f)
		}
		if closed := f.Close(); err == nil {
			err = closed
		}
		return err
	})
}
