package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/plexus-health/plexus/tables"
)

// A library is a set of maps by name, with overrides applied.
type library struct {
	maps   map[string]*definition
	model  model
	tables *tables.Set
	// segments are those that sites declare.
	segments map[string]segmentDef
	// changed says which file changed a row of a map, to find two that do.
	changed map[string]*row
	made    map[string]bool // names that any message map makes
	// standard are the segments of the standard.
	standard map[string]bool
	// identifiers are the types of the fields that hold numbers.
	identifiers map[string]string
}

// names lists the maps, sorted.
func (lib *library) names() []string {
	out := make([]string, 0, len(lib.maps))
	for name := range lib.maps {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// versionOf is the version of a map: that of its file's bytes.
func versionOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// load reads every *.yaml of a family of maps.
func (lib *library) load(fsys fs.FS, family string, probs *problems) {
	var files []string
	err := fs.WalkDir(fsys, family, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".yaml" {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		probs.add(place{file: family}, "the maps of %q cannot be read: %s", family, err)
	}
	sort.Strings(files)
	for _, name := range files {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			probs.add(place{file: name}, "not readable: %s", err)
			continue
		}
		lib.add(readFile("maps/"+name, data, versionOf(data), probs), probs)
	}
}

// add takes definitions that override nothing.
func (lib *library) add(defs []*definition, probs *problems) {
	for _, d := range defs {
		lib.declare(d)
		if d.name == "" {
			continue
		}
		if d.override != "" {
			probs.add(d.at, "%soverride stands only in files named under with", d.prefix())
			continue
		}
		if old := lib.maps[d.name]; old != nil {
			probs.add(d.at, "%sstands also in %s:%d; to change its rows write override", d.prefix(), old.at.file, old.at.line)
			continue
		}
		lib.maps[d.name] = d
	}
}

// declare takes the segments a map declares.
func (lib *library) declare(d *definition) {
	for _, s := range d.segments {
		lib.segments[s.name] = s
	}
}

// apply lays a file named under with over the library.
func (lib *library) apply(defs []*definition, probs *problems) {
	for _, d := range defs {
		lib.declare(d)
		switch {
		case d.name == "":
		case d.override != "":
			lib.override(d, probs)
		case d.extends != "" && lib.maps[d.extends] != nil && lib.maps[d.extends].outbound():
			over := *d
			over.override, over.extends = d.extends, ""
			lib.override(&over, probs)
		case d.extends != "" && lib.maps[d.extends] != nil:
			// The name of the map extended dispatches; what it makes grows.
			base := lib.maps[d.extends]
			extended := *base
			extended.make = mergeScopes(base.make, d.make)
			lib.maps[d.extends] = &extended
		case d.extends != "":
			probs.add(d.at, "%sextends %q, which is not known%s", d.prefix(), d.extends, near(d.extends, lib.names()))
		case lib.maps[d.name] != nil:
			old := lib.maps[d.name]
			probs.add(d.at, "%sstands also in %s:%d; to change its rows write override", d.prefix(), old.at.file, old.at.line)
		default:
			lib.maps[d.name] = d
		}
	}
}

// override replaces single rows of a map: a new definition takes its place.
func (lib *library) override(d *definition, probs *problems) {
	base := lib.maps[d.override]
	if base == nil {
		probs.add(d.at, "map %q is not known%s", d.override, near(d.override, lib.names()))
		return
	}
	next := *base
	next.rows = append([]*target(nil), base.rows...)
	if len(d.keys) > 0 {
		next.keys = d.keys
	}
	next.gathers = append(append([]gatherDef(nil), base.gathers...), d.gathers...)
	next.params = append(append([]param(nil), base.params...), d.params...)
	for _, t := range d.rows {
		at := -1
		for i := range next.rows {
			if next.rows[i].path == t.path {
				at = i
			}
		}
		var shipped *target
		if at >= 0 {
			shipped = next.rows[at]
		}
		lib.checkOverride(d, t, shipped, probs)
		replaced := expandInherited(t, shipped, d, probs)
		if at >= 0 {
			next.rows[at] = replaced
		} else {
			next.rows = append(next.rows, replaced)
		}
	}
	lib.maps[d.override] = &next
}

// checkOverride holds expects:, and that two files change one row only where
// the later says inherited.
func (lib *library) checkOverride(d *definition, t, shipped *target, probs *problems) {
	inherits := false
	for _, r := range t.rows {
		inherits = inherits || len(r.sources) > 0 && r.sources[0].kind == inherited
		if r.expects == "" {
			continue
		}
		if have := sentences(shipped); have != normal(r.expects) {
			probs.add(r.at, "%s%s expects %q, but the row is now %q", d.prefix(), t.path, r.expects, have)
		}
	}
	id := d.override + "\x00" + t.path
	if old := lib.changed[id]; old != nil && old.owner != d && !inherits {
		probs.add(t.at, "%s%s is changed in %s:%d too; the later says inherited to build on it", d.prefix(), t.path, old.at.file, old.at.line)
	}
	if len(t.rows) > 0 {
		lib.changed[id] = t.rows[0]
	}
}

func sentences(t *target) string {
	if t == nil {
		return ""
	}
	texts := make([]string, len(t.rows))
	for i, r := range t.rows {
		texts[i] = normal(r.text)
	}
	return strings.Join(texts, ", ")
}

func normal(text string) string { return strings.Join(strings.Fields(text), " ") }

// expandInherited puts the rows of the shipped target where inherited stands.
func expandInherited(t, shipped *target, d *definition, probs *problems) *target {
	out := &target{path: t.path, at: t.at}
	for _, r := range t.rows {
		if len(r.sources) == 0 || r.sources[0].kind != inherited {
			out.rows = append(out.rows, r)
			continue
		}
		if shipped == nil {
			probs.add(r.at, "%s%s: there is no row to inherit", d.prefix(), t.path)
			continue
		}
		out.rows = append(out.rows, shipped.rows...)
	}
	return out
}

// scopeOf is what a message map makes, with that of the map it extends.
func (lib *library) scopeOf(d *definition, probs *problems) *scope {
	seen := map[*definition]bool{}
	whole := d.make
	for base := d; base.extends != ""; {
		next := lib.maps[base.extends]
		if next == nil || seen[next] {
			probs.add(d.at, "%sextends %q, which is not known%s", d.prefix(), base.extends, near(base.extends, lib.names()))
			return nil
		}
		seen[next] = true
		whole = mergeScopes(next.make, whole)
		base = next
	}
	if whole == nil {
		probs.add(d.at, "%smakes nothing", d.prefix())
	}
	return whole
}

// structuresOf are those a message map takes: its own, else those of the map
// it extends.
func (lib *library) structuresOf(d *definition) []string {
	for range 16 {
		if len(d.structures) > 0 || d.extends == "" || lib.maps[d.extends] == nil {
			return d.structures
		}
		d = lib.maps[d.extends]
	}
	return nil
}

// mergeScopes adds the names of over to those of base; a name that stands in
// both is that of over.
func mergeScopes(base, over *scope) *scope {
	switch {
	case base == nil:
		return over
	case over == nil:
		return base
	}
	out := &scope{group: base.group, at: base.at, makes: append([]*making(nil), base.makes...)}
	for _, m := range over.makes {
		replaced := false
		for i := range out.makes {
			if out.makes[i].name == m.name {
				out.makes[i], replaced = m, true
			}
		}
		if !replaced {
			out.makes = append(out.makes, m)
		}
	}
	used := map[string]bool{}
	for _, inner := range base.inner {
		var same *scope
		for _, o := range over.inner {
			if o.group == inner.group {
				same = o
			}
		}
		used[inner.group] = true
		out.inner = append(out.inner, mergeScopes(inner, same))
	}
	for _, o := range over.inner {
		if !used[o.group] {
			out.inner = append(out.inner, o)
		}
	}
	return out
}

// makes reports whether any message map makes a name.
func (lib *library) makes(name string) bool {
	if lib.made == nil {
		lib.made = map[string]bool{}
		for _, d := range lib.maps {
			collectNames(d.make, lib.made)
		}
	}
	return lib.made[name]
}

func (lib *library) makeNames() []string {
	var out []string
	for name := range lib.made {
		out = append(out, name)
	}
	return out
}

func collectNames(s *scope, into map[string]bool) {
	if s == nil {
		return
	}
	for _, m := range s.makes {
		into[m.name] = true
	}
	for _, inner := range s.inner {
		collectNames(inner, into)
	}
}

// messageMaps lists the message maps of a family, sorted.
func (lib *library) messageMaps(family string) []*definition {
	var out []*definition
	for _, name := range lib.names() {
		d := lib.maps[name]
		if (d.make != nil || d.extends != "") && (family == "" || strings.HasPrefix(name, family+"/")) {
			out = append(out, d)
		}
	}
	return out
}
