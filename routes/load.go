package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
)

// Load reads the files and returns the configuration, or everything that is
// wrong with them. The configuration is nil when there is a problem.
func Load(o LoadOptions) (*Config, Problems) {
	l := newLoader(o)
	l.load()
	if o.Looked != nil {
		o.Looked(l.config.Files)
	}
	if len(l.problems) > 0 {
		return nil, l.sorted()
	}
	return l.config, nil
}

// A loader reads one configuration.
type loader struct {
	o          LoadOptions
	folder     string
	config     *Config
	problems   Problems
	seen       map[Problem]bool
	unset      map[Place]bool // values with a variable that is not set: nothing more is said of them
	hash       hash.Hash
	everything bool // accept what is not run yet, for tests

	read      map[string]bool
	variables map[string]*node
	templates map[string]template
	defaults  map[string]*node // "channel", "route"
	tables    *tables.Set
	siteFiles map[string]string // tables of the site: name to file
	entries   []*node
	zone      *node

	steps    map[string]madeStep
	channels []*node // with every reference replaced and defaults filled in
	names    map[string]Place
	later    []func() // what is checked once every channel is known
	lost     lost     // what could not be read, of which nothing is said to be missing
}

// A madeStep is a step that was compiled, for channels that have the same.
type madeStep struct {
	step     transforms.Transform
	problems []transforms.Problem
	digest   string
}

func newLoader(o LoadOptions) *loader {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.Glob == nil {
		o.Glob = filepath.Glob
	}
	if o.Environ == nil {
		o.Environ = func(string) (string, bool) { return "", false }
	}
	return &loader{
		o: o, folder: filepath.Dir(o.File), config: &Config{}, seen: map[Problem]bool{}, unset: map[Place]bool{}, hash: sha256.New(),
		read: map[string]bool{}, variables: map[string]*node{}, templates: map[string]template{},
		defaults: map[string]*node{}, tables: o.Parts.Tables, siteFiles: map[string]string{},
		steps: map[string]madeStep{}, names: map[string]Place{}, lost: lost{},
	}
}

func (l *loader) scope() scope { return scope{l: l} }

func (l *loader) report(at Place, text string) {
	p := Problem{Place: at, Text: text}
	if !l.seen[p] && !l.unset[at] {
		l.seen[p] = true
		l.problems = append(l.problems, p)
	}
}

func (l *loader) sorted() Problems {
	order := map[string]int{l.o.File: -1}
	for i, f := range l.config.Files {
		if _, known := order[f]; !known {
			order[f] = i
		}
	}
	sort.SliceStable(l.problems, func(i, j int) bool {
		a, b := l.problems[i], l.problems[j]
		if a.File != b.File {
			return order[a.File] < order[b.File]
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return l.problems
}

func (l *loader) load() {
	l.file(l.o.File, Place{l.o.File, 1, 1})
	l.environment()
	if l.zone != nil {
		if zone, err := parseZone(l.fill(l.zone, nil).text); err == nil {
			l.config.Zone = zone
		}
	}
	l.checkDefaults()
	if !l.lost.has("defaults") { // else what a channel has is not known
		l.resolve()
	}
	for _, r := range l.channels {
		if c := l.channel(r); c != nil {
			l.config.Channels = append(l.config.Channels, c)
		}
	}
	l.across()
	sum := l.hash.Sum(nil)
	l.config.Version = hex.EncodeToString(sum[:6])
}

// bytes reads a file and takes it into the version and the list to watch.
func (l *loader) bytes(name string) ([]byte, error) {
	data, err := l.o.ReadFile(name)
	if l.watch(name) {
		fmt.Fprintf(l.hash, "%q %d\n", filepath.Base(name), len(data))
		l.hash.Write(data)
	}
	return data, err
}

// watch puts a file on the list, and reports whether it was not there yet.
func (l *loader) watch(name string) bool {
	if l.read[name] {
		return false
	}
	l.read[name] = true
	l.config.Files = append(l.config.Files, name)
	return true
}

// fileError is what people are told of a file that cannot be read.
func fileError(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "there is no such file"
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return err.Error()
}

// file reads one file of channels; from is where its name stands.
func (l *loader) file(name string, from Place) {
	if l.read[name] {
		return
	}
	data, err := l.bytes(name)
	if err != nil {
		text := fileError(err)
		if from.File != name {
			text = fmt.Sprintf("include: %q: %s", name, text)
		}
		l.report(from, text)
		return
	}
	before := len(l.problems)
	root := readYAML(name, data, l.lost, l.report)
	if root == nil {
		if len(l.problems) == before {
			l.report(Place{name, 1, 1}, "the file is empty: write channels:")
		}
		return
	}
	s := l.scope()
	if !s.check(root, with(topWords()...)) && root.form != object {
		return
	}
	l.top(s, root)
	l.includes(s, root.get("include"), name)
}

// top takes the keys of one file.
func (l *loader) top(s scope, root *node) {
	if n := root.get("zone"); n != nil {
		if l.zone != nil {
			s.problem(n, "zone: said twice, first in %s", l.zone.at)
		} else {
			l.zone = n
		}
	}
	for _, m := range members(root.get("variables")) {
		if m.value.form != scalar {
			continue
		}
		if first := l.variables[m.key]; first != nil {
			s.at(m.at, "", "variables: %q is defined twice, first in %s", m.key, first.at)
			continue
		}
		l.variables[m.key] = m.value
	}
	for _, m := range members(root.get("defaults")) {
		if first := l.defaults[m.key]; first != nil {
			s.at(m.at, "", "defaults: %q is said twice, first in %s", m.key, first.at)
			continue
		}
		l.defaults[m.key] = m.value
	}
	for _, m := range members(root.get("templates")) {
		l.template(s.in("template "+m.key), m)
	}
	for _, m := range members(root.get("tables")) {
		l.table(s.in("tables").in(m.key), m)
	}
	if list := root.get("channels"); list != nil && list.form == sequence {
		l.entries = append(l.entries, list.items...)
	}
}

func members(n *node) []member {
	if n == nil {
		return nil
	}
	return n.members
}

// table reads a code table of the site.
func (l *loader) table(s scope, m member) {
	if m.value.form != scalar || m.value.text == "" {
		return
	}
	if _, twice := l.siteFiles[m.key]; twice {
		s.at(m.at, "", "defined twice")
		return
	}
	name := l.inFolder(l.fill(m.value, nil).text)
	l.siteFiles[m.key] = name
	data, err := l.bytes(name)
	if err != nil {
		s.problem(m.value, "%q: %s", m.value.text, fileError(err))
		return
	}
	_, read, problems := l.tables.Read(name, data)
	for _, p := range problems {
		l.report(Place{p.File, p.Line, p.Column}, p.Text)
	}
	switch {
	case len(read) == 1:
		l.tables = l.tables.With(m.key, read[0])
	case len(problems) == 0:
		s.problem(m.value, "%q holds %d tables; one is wanted", m.value.text, len(read))
	}
}

// inFolder is a name of the files as seen from here.
func (l *loader) inFolder(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(l.folder, name)
}

// includes reads further files; patterns are relative to the file they stand in.
func (l *loader) includes(s scope, n *node, from string) {
	if n == nil {
		return
	}
	list := n.items
	if n.form == scalar {
		list = []*node{n}
	}
	for _, item := range list {
		if item.form != scalar || item.text == "" {
			continue
		}
		pattern := l.fill(item, nil).text
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(from), pattern)
		}
		if !strings.ContainsAny(pattern, patternSigns) {
			l.file(pattern, item.at)
			continue
		}
		l.watch(pattern)
		found, err := l.o.Glob(pattern)
		if err != nil {
			s.problem(item, "include: %q is not a pattern", item.text)
			continue
		}
		if len(found) == 0 {
			s.problem(item, "include: no file fits %q", item.text)
		}
		for _, name := range found {
			if strings.HasSuffix(name, "_test.yaml") {
				continue
			}
			l.file(name, item.at)
		}
	}
}

// across checks what concerns several channels.
func (l *loader) across() {
	if len(l.entries) == 0 && len(l.problems) == 0 {
		l.report(Place{l.o.File, 1, 1}, "no channels")
	}
	l.feeds()
	for _, check := range l.later {
		check()
	}
	l.renames()
	listeners := map[string]string{}
	for _, r := range l.channels {
		name := r.get("name")
		source := r.get("source")
		if name == nil || source == nil || len(source.members) != 1 || source.members[0].key != "mllp" {
			continue
		}
		listen := source.members[0].value.get("listen")
		if listen == nil || strings.HasSuffix(listen.text, ":0") {
			continue
		}
		if other := listeners[listen.text]; other != "" {
			l.scope().in("channel "+name.text).in("source mllp").problem(listen, "%s is taken by channel %s", listen.text, other)
			continue
		}
		listeners[listen.text] = name.text
	}
}

// location is the zone of a channel.
func (l *loader) location(n *node) *time.Location {
	if n != nil {
		if zone, err := parseZone(n.text); err == nil {
			return zone
		}
	}
	return l.config.Zone
}
