package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// files are the database and its log as they were opened. The system lets
// somebody delete or replace a file that is open, and writing and syncing it go
// on as if nothing had happened: then a commit is kept nowhere.
type files struct {
	paths  []string
	opened []os.FileInfo
}

// errReplaced: what was committed is not in the data folder.
var errReplaced = errors.New("the database in the data folder is not the one that was opened: somebody has deleted, moved or replaced it")

func openedFiles(folder string) (files, error) {
	var f files
	for _, name := range []string{"plexus.db", "plexus.db-wal"} {
		path := filepath.Join(folder, name)
		info, err := os.Stat(path)
		if err != nil {
			return f, fmt.Errorf("data folder: %w", err)
		}
		f.paths, f.opened = append(f.paths, path), append(f.opened, info)
	}
	return f, nil
}

// there reports whether the files are still where they were opened. It is asked
// after each commit, before anybody is told of it.
func (f files) there() error {
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil || !os.SameFile(info, f.opened[i]) {
			return errReplaced
		}
	}
	return nil
}
