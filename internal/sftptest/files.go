package sftptest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/pkg/sftp"
)

// files serve a folder; nothing outside of it is reached.
type files struct {
	root *os.Root
}

// handlers serve a folder.
func handlers(root *os.Root) sftp.Handlers {
	f := &files{root: root}
	return sftp.Handlers{FileGet: f, FilePut: f, FileCmd: f, FileList: f}
}

// in is a path below the root.
func in(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "."
	}
	return name
}

// statusOf is what a server answers to an error.
func statusOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, fs.ErrPermission):
		return sftp.ErrSSHFxPermissionDenied
	}
	return sftp.ErrSSHFxFailure
}

// Fileread opens a file to be read.
func (f *files) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	file, err := f.root.Open(in(r.Filepath))
	if err != nil {
		return nil, statusOf(err)
	}
	return file, nil
}

// Filewrite opens a file to be written.
func (f *files) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	flags, asked := os.O_WRONLY, r.Pflags()
	if asked.Creat {
		flags |= os.O_CREATE
	}
	if asked.Trunc {
		flags |= os.O_TRUNC
	}
	if asked.Excl {
		flags |= os.O_EXCL
	}
	file, err := f.root.OpenFile(in(r.Filepath), flags, 0o600)
	if err != nil {
		return nil, statusOf(err)
	}
	return file, nil
}

// Filecmd changes names.
func (f *files) Filecmd(r *sftp.Request) error {
	switch r.Method {
	case "Rename": // as the servers of OpenSSH: never over another file
		if _, err := f.root.Lstat(in(r.Target)); err == nil {
			return sftp.ErrSSHFxFailure
		}
		return statusOf(f.root.Rename(in(r.Filepath), in(r.Target)))
	case "Remove":
		return statusOf(f.root.Remove(in(r.Filepath)))
	case "Mkdir":
		return statusOf(f.root.Mkdir(in(r.Filepath), 0o700))
	}
	return sftp.ErrSSHFxOpUnsupported
}

// PosixRename renames over another file.
func (f *files) PosixRename(r *sftp.Request) error {
	return statusOf(f.root.Rename(in(r.Filepath), in(r.Target)))
}

// Filelist lists a folder or says what a file is.
func (f *files) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method != "List" {
		info, err := f.root.Stat(in(r.Filepath))
		return list{info}, statusOf(err)
	}
	dir, err := f.root.Open(in(r.Filepath))
	if err != nil {
		return nil, statusOf(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, statusOf(err)
	}
	var all list
	for _, name := range names {
		if info, err := f.root.Lstat(path.Join(in(r.Filepath), name)); err == nil {
			all = append(all, info)
		}
	}
	return all, nil
}

// Lstat says what a name is, without following a link.
func (f *files) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	info, err := f.root.Lstat(in(r.Filepath))
	return list{info}, statusOf(err)
}

// list is what a folder holds.
type list []fs.FileInfo

// ListAt gives a part of the list.
func (l list) ListAt(out []fs.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(out, l[offset:])
	if n < len(out) {
		return n, io.EOF
	}
	return n, nil
}
