package tables

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"time"
)

// A Problem is something wrong with a file of tables.
type Problem struct {
	File         string
	Line, Column int
	Text         string
}

// Error gives place and reason.
func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// Limits of what is read: a file that is larger is no code table.
const maxFile = 64 << 20

//go:embed *.yaml *.csv
var shipped embed.FS

// Shipped returns the tables the engine brings. The problems are those of the
// shipped files themselves: none, as a test shows.
func Shipped() (*Set, []Problem) { return Load(shipped) }

// Load reads every table of fsys: the code systems first (systems.yaml or
// systems.csv), then all other files named *.yaml, *.yml and *.csv, and checks
// them. What is wrong with one table leaves the others usable.
func Load(fsys fs.FS) (*Set, []Problem) {
	l := &loader{set: &Set{systems: &Systems{}, tables: map[string]*Table{}}}
	var names []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch path.Ext(name) {
		case ".yaml", ".yml", ".csv":
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		l.problem(Problem{File: ".", Text: err.Error()})
	}
	sort.SliceStable(names, func(i, j int) bool { return isSystems(names[i]) && !isSystems(names[j]) })
	for _, name := range names {
		data, err := readLimited(fsys, name)
		if err != nil {
			l.problem(Problem{File: name, Line: 1, Column: 1, Text: err.Error()})
			continue
		}
		l.file(name, data)
	}
	return l.set, l.problems
}

// Read returns s with the tables of one more file, which replace those of the
// same name. A CSV file is one table named after the file.
func (s *Set) Read(name string, data []byte) (*Set, []*Table, []Problem) {
	next := &Set{systems: s.Systems(), tables: map[string]*Table{}}
	l := &loader{set: next}
	l.file(name, data)
	added := make([]*Table, 0, len(next.tables))
	for _, table := range next.tables {
		added = append(added, table)
	}
	sort.Slice(added, func(i, j int) bool { return added[i].Name < added[j].Name })
	if s != nil {
		for n, old := range s.tables {
			if next.tables[n] == nil {
				next.tables[n] = old
			}
		}
	}
	return next, added, l.problems
}

func readLimited(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, errors.New("the file is larger than 64 MiB")
	}
	return fs.ReadFile(fsys, name)
}

func isSystems(name string) bool {
	return strings.TrimSuffix(path.Base(name), path.Ext(name)) == "systems"
}

type loader struct {
	set      *Set
	problems []Problem
}

func (l *loader) problem(p Problem) { l.problems = append(l.problems, p) }

func (l *loader) file(name string, data []byte) {
	switch {
	case path.Ext(name) == ".csv" && isSystems(name):
		l.systemsCSV(name, data)
	case path.Ext(name) == ".csv":
		l.tableCSV(name, data)
	default:
		l.yamlFile(name, data)
	}
}

// A draft is a table as read, before it is checked.
type draft struct {
	table    Table
	from, to place
	other    place
	ignore   []string
	entries  []entry
	line     int
	column   int
}

// A place is a text and where it stands.
type place struct {
	text         string
	line, column int
}

// An entry is an Entry as typed.
type entry struct {
	from, display, to, toDisplay, system, units, both, since, until place
}

// add checks d and takes it into the set.
func (l *loader) add(file string, d *draft) {
	before := len(l.problems)
	wrong := func(p place, format string, args ...any) {
		l.problem(Problem{File: file, Line: p.line, Column: p.column, Text: "table " + d.table.Name + ": " + fmt.Sprintf(format, args...)})
	}
	t := d.table
	t.File, t.Line = file, d.line
	t.From, t.To = l.system(d.from, wrong), l.system(d.to, wrong)
	t.forward, t.back, t.ignore = map[string][]Entry{}, map[string][]Entry{}, map[string]bool{}
	for _, code := range d.ignore {
		t.ignore[code] = true
	}
	for i := range d.entries {
		l.entry(&t, &d.entries[i], wrong)
	}
	checkBack(&t, wrong)
	if old := l.set.tables[t.Name]; old != nil {
		wrong(place{line: d.line, column: d.column}, "stands also in %s:%d", old.File, old.Line)
	}
	if len(l.problems) == before {
		l.set.tables[t.Name] = &t
	}
}

func (l *loader) system(p place, wrong func(place, string, ...any)) *System {
	if p.text == "" {
		return nil
	}
	if found := l.set.systems.V2(p.text); found != nil {
		return found
	}
	if strings.Contains(p.text, ":") {
		return &System{Name: p.text, URI: p.text}
	}
	wrong(p, "code system %q is not known%s", p.text, near(p.text, l.set.systems.Names()))
	return nil
}

func (l *loader) entry(t *Table, raw *entry, wrong func(place, string, ...any)) {
	e := Entry{
		From: raw.from.text, FromDisplay: raw.display.text, To: raw.to.text, ToDisplay: raw.toDisplay.text,
		Units: raw.units.text, Line: raw.from.line,
	}
	if e.From == "" {
		wrong(raw.from, "an entry without from")
		return
	}
	if raw.system.text != "" {
		e.System = l.system(raw.system, wrong)
	}
	e.Since, e.Until = day(raw.since, wrong), day(raw.until, wrong)
	switch raw.both.text {
	case "", "false", "no":
	case "true", "yes":
		e.Both = true
	default:
		wrong(raw.both, "both is true or false, not %q", raw.both.text)
	}
	if !e.Until.IsZero() && !e.Until.After(e.Since) {
		wrong(raw.until, "until is not after since")
	}
	for _, old := range t.forward[e.From] {
		if overlap(&old, &e) {
			wrong(raw.from, "%q has two entries for the same time, the other in line %d", e.From, old.Line)
			return
		}
	}
	t.size++
	t.forward[e.From] = append(t.forward[e.From], e)
	if key := fold(e.From); len(t.forward[key]) == 0 || t.forward[key][0].From == e.From {
		t.forward[key] = append(t.forward[key], e)
	}
	if e.To != "" {
		t.back[e.To] = append(t.back[e.To], e)
	}
}

// checkBack holds the law of `both:`: once for each target code and time.
func checkBack(t *Table, wrong func(place, string, ...any)) {
	for code, list := range t.back {
		var both []Entry
		for i := range list {
			if !list[i].Both {
				continue
			}
			for j := range both {
				if overlap(&both[j], &list[i]) {
					wrong(place{line: list[i].Line, column: 1}, "both is said twice for %q, the other in line %d", code, both[j].Line)
				}
			}
			both = append(both, list[i])
		}
		switch {
		case len(both) > 0:
			t.back[code] = both
		case len(list) > 1:
			delete(t.back, code) // several lead here and none is named: there is no way back
		}
	}
}

func overlap(a, b *Entry) bool {
	return (a.Until.IsZero() || b.Since.Before(a.Until)) && (b.Until.IsZero() || a.Since.Before(b.Until))
}

func day(p place, wrong func(place, string, ...any)) time.Time {
	if p.text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.DateOnly, p.text)
	if err != nil {
		wrong(p, "%q is not a day like 2026-01-31", p.text)
	}
	return at
}
