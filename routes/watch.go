package routes

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long the files have to be quiet before a change is told:
// editors write a file in several steps.
const settle = 150 * time.Millisecond

// Watch calls changed after one of the files, or one that fits a pattern among
// them, was written, replaced, made or removed, once for a burst of changes. It
// watches their folders, those of a pattern that are there, so that it
// survives editors that write a new file and rename it, and mounted folders
// that are links. It returns nil when ctx ends, an error when it cannot watch.
func Watch(ctx context.Context, files []string, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer watcher.Close() //nolint:errcheck // nothing is written by it
	w := &watch{wanted: map[string]bool{}, links: map[string]string{}}
	folders := map[string]bool{}
	for _, file := range files {
		name, err := filepath.Abs(file)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if strings.ContainsAny(filepath.Base(name), patternSigns) {
			w.patterns = append(w.patterns, name)
		} else {
			w.wanted[name] = true
			w.links[name] = target(name)
		}
		for _, folder := range foldersOf(filepath.Dir(name)) {
			folders[folder] = true
		}
	}
	for folder := range folders {
		// A folder that is not there cannot be watched; its file was a problem
		// or was only looked for.
		_ = watcher.Add(folder)
	}
	if len(watcher.WatchList()) == 0 && len(folders) > 0 {
		return fmt.Errorf("watch: none of the folders of the configuration can be watched")
	}
	return w.run(ctx, watcher, changed)
}

// patternSigns make a name a pattern.
const patternSigns = "*?["

// foldersOf are the folders that a name fits: itself, unless it is a pattern.
func foldersOf(name string) []string {
	if !strings.ContainsAny(name, patternSigns) {
		return []string{name}
	}
	found, err := filepath.Glob(name)
	if err != nil {
		return nil // it was told as a problem
	}
	return found
}

type watch struct {
	wanted   map[string]bool
	patterns []string
	links    map[string]string // what each file is a link to
}

// wants reports whether a file is one of those watched.
func (w *watch) wants(name string) bool {
	return w.wanted[name] || slices.ContainsFunc(w.patterns, func(pattern string) bool {
		fits, err := filepath.Match(pattern, name)
		return fits && err == nil
	})
}

func (w *watch) run(ctx context.Context, watcher *fsnotify.Watcher, changed func()) error {
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-watcher.Events:
			if !ok {
				return nil
			}
			if event.Op != fsnotify.Chmod && (w.wants(event.Name) || w.moved()) {
				quiet.Reset(settle)
			}
		case err, ok := <-watcher.Errors:
			if !ok {
				return nil
			}
			if err != nil {
				quiet.Reset(settle) // events may have been lost: look
			}
		case <-quiet.C:
			changed()
		}
	}
}

// moved reports whether a file that is a link now leads elsewhere: mounted
// configuration is exchanged by moving a link above it.
func (w *watch) moved() bool {
	found := false
	for name, old := range w.links {
		if now := target(name); now != old {
			w.links[name] = now
			found = true
		}
	}
	return found
}

func target(name string) string {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return ""
	}
	return name
}
