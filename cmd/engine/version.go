package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// What the build was made of, set with -ldflags "-X main.version=…" by `make`.
// Where they are not set, what the compiler noted holds: it notes nothing with
// -buildvcs=false, in a second worktree and outside of a repository.
//
//nolint:gochecknoglobals // the linker can set nothing else
var (
	version   = "dev" // tag, and how far behind it
	revision  string  // the commit
	committed string  // its time, RFC 3339
)

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo() // nil where there is none
			fmt.Fprintln(a.stdout, build{version, revision, committed}.line(info))
			return nil
		},
	}
}

// A build is what was set when the program was linked.
type build struct{ version, revision, committed string }

// line is the version, what it was made from as far as that is known, and the
// compiler.
func (b build) line(info *debug.BuildInfo) string {
	changed := false
	if info != nil {
		if module := info.Main.Version; b.version == "dev" && module != "" && module != "(devel)" {
			b.version = module
		}
		noted := map[string]string{}
		for _, s := range info.Settings {
			noted[s.Key] = s.Value
		}
		if b.revision == "" {
			b.revision, b.committed = noted["vcs.revision"], noted["vcs.time"]
			changed = noted["vcs.modified"] == "true"
		}
	}
	var parts []string
	if b.revision != "" {
		text := "revision " + b.revision
		if changed {
			text += " with changes"
		}
		if b.committed != "" {
			text += " of " + b.committed
		}
		parts = append(parts, text)
	}
	parts = append(parts, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	return "plexus " + b.version + " (" + strings.Join(parts, ", ") + ")"
}
