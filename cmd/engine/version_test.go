package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestVersionLine(t *testing.T) {
	noted := func(module string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: module}, Settings: settings}
	}
	vcs := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "0a1b2c"}, {Key: "vcs.time", Value: "2026-01-05T12:00:00Z"}, {Key: "vcs.modified", Value: "false"}}
	changed := append(vcs[:3:3], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	for name, c := range map[string]struct {
		set  build
		info *debug.BuildInfo
		want string
	}{
		"by make":                {build{"v0.1.0-3-g0a1b2c", "0a1b2c", "2026-01-05T12:00:00Z"}, noted("(devel)"), "plexus v0.1.0-3-g0a1b2c (revision 0a1b2c of 2026-01-05T12:00:00Z, "},
		"by make, noted as well": {build{"v1", "0a1b2c", "2026-01-05T12:00:00Z"}, noted("v1.0.1-0.2026", changed...), "plexus v1 (revision 0a1b2c of 2026-01-05T12:00:00Z, "},
		"by go build":            {build{version: "dev"}, noted("(devel)", vcs...), "plexus dev (revision 0a1b2c of 2026-01-05T12:00:00Z, "},
		"with changes":           {build{version: "dev"}, noted("", changed...), "plexus dev (revision 0a1b2c with changes of 2026-01-05T12:00:00Z, "},
		"as a module":            {build{version: "dev"}, noted("v1.2.3"), "plexus v1.2.3 ("},
		"nothing is known":       {build{version: "dev"}, noted("(devel)"), "plexus dev ("},
		"not even that":          {build{version: "dev"}, nil, "plexus dev ("},
	} {
		if got, want := c.set.line(c.info), c.want+runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+")"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
