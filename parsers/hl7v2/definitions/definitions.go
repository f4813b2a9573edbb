// Package definitions holds facts of the HL7 v2 standard as data: the grammars
// of message structures, the events that use them, the names of segments.
package definitions

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed structures.txt
var structuresText string

//go:embed structures.tsv
var structuresTable string

//go:embed events.txt
var eventsText string

//go:embed segments.txt
var segmentsText string

// An Element is a segment or group of a structure.
type Element struct {
	Name string
	// Group is true when Elements holds the group's own grammar.
	Group    bool
	Optional bool
	Repeats  bool
	Elements []*Element

	begins, knows map[string]bool
}

// Begins reports whether a group can begin with a segment: everything before
// it is optional.
func (e *Element) Begins(segment string) bool { return e.begins[segment] }

// Knows reports whether a group has a segment, in itself or in a group inside.
func (e *Element) Knows(segment string) bool { return e.knows[segment] }

// Requires reports whether a segment is required in the group, or in one of the
// groups inside whenever that is there.
func (e *Element) Requires(segment string) bool {
	for _, inner := range e.Elements {
		if inner.Group && inner.Requires(segment) || !inner.Group && !inner.Optional && inner.Name == segment {
			return true
		}
	}
	return false
}

// index fills what Begins and Knows look up.
func (e *Element) index() {
	e.begins, e.knows = map[string]bool{}, map[string]bool{}
	start := true
	for _, inner := range e.Elements {
		if inner.Group {
			inner.index()
			maps.Copy(e.knows, inner.knows)
		} else {
			inner.begins = map[string]bool{inner.Name: true}
			e.knows[inner.Name] = true
		}
		if start {
			maps.Copy(e.begins, inner.begins)
		}
		start = start && inner.Optional
	}
}

// A grammar is read when it is first asked for: nobody needs all of them.
type grammar struct {
	name, text string
	once       sync.Once
	top        *Element
}

func (g *grammar) read() *Element {
	g.once.Do(func() {
		p := &reader{text: g.text}
		g.top = &Element{Name: g.name, Group: true, Elements: p.elements(0)}
		g.top.index()
	})
	return g.top
}

// groups takes note of the names of the groups in it.
func (g *grammar) groups(into map[string]bool) {
	for before := range strings.SplitSeq(g.text, "(") {
		if group := before[strings.LastIndexAny(before, " [{(")+1:]; group != "" && strings.Contains(g.text, group+"(") {
			into[group] = true
		}
	}
}

// A grammarRow is the grammar of a structure in the versions from first to last.
type grammarRow struct {
	first, last int8
	*grammar
}

type tables struct {
	structures map[string]*grammar
	versions   map[string][]grammarRow
	events     map[string]string
	groups     map[string]bool
	segments   map[string]bool
	later      map[string]*grammar     // structures of the table of versions alone
	since      map[string][]grammarRow // other grammars of a structure, for later versions
}

// load reads the tables once.
var load = sync.OnceValue(readAll)

func readAll() tables {
	t := tables{
		structures: map[string]*grammar{}, versions: map[string][]grammarRow{}, events: map[string]string{}, groups: map[string]bool{},
		segments: map[string]bool{}, later: map[string]*grammar{}, since: map[string][]grammarRow{},
	}
	for line := range strings.Lines(structuresText) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, text, _ := strings.Cut(line, ":")
		name, from, _ := strings.Cut(name, " ")
		g := &grammar{name: name, text: text}
		g.groups(t.groups)
		if from != "" {
			t.since[name] = append(t.since[name], grammarRow{first: int8(slices.Index(versions, from)), grammar: g})
			continue
		}
		t.structures[name] = g
	}
	for line := range strings.Lines(eventsText) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] != "#" {
			t.events[fields[0]+"^"+fields[1]] = fields[2]
		}
	}
	t.readVersions()
	for line := range strings.Lines(segmentsText) {
		if line[0] != '#' {
			for _, name := range strings.Fields(line) {
				t.segments[name] = true
			}
		}
	}
	return t
}

// settled is the last version before the structures took ARV and PRT nearly
// everywhere: what is older is grouped by no newer grammar than that of it.
const settled = "2.7"

// readVersions finds the grammars of the versions. Structures that have none for
// all versions get that of the newest one up to 2.7, messages of later versions
// their own; a name that stands for an event whose structure is another is no
// structure.
func (t tables) readVersions() {
	last := int8(slices.Index(versions, settled))
	for line := range strings.Lines(structuresTable) {
		cells := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 5)
		if line[0] == '#' || len(cells) != 4 {
			continue
		}
		name := cells[0]
		row := grammarRow{int8(slices.Index(versions, cells[1])), int8(slices.Index(versions, cells[2])), &grammar{name: name, text: cells[3]}}
		t.versions[name] = append(t.versions[name], row)
		code, event, _ := strings.Cut(name, "_")
		usual := t.events[code+"^"+event]
		if usual == "" {
			usual = t.events[code+"^*"]
		}
		if usual != "" && usual != name || t.structures[name] != nil {
			continue
		}
		if row.first <= last || t.later[name] == nil {
			t.later[name] = row.grammar
		}
		if row.first > last {
			t.since[name] = append(t.since[name], row)
		}
		row.groups(t.groups)
	}
}

// StructureIn returns the grammar of a structure as a version has it; nil when it
// does not, or is not known.
func StructureIn(version, name string) *Element {
	at := int8(slices.Index(versions, Version(version)))
	for _, r := range load().versions[name] {
		if r.first <= at && at <= r.last {
			return r.read()
		}
	}
	return nil
}

// Structure returns the grammar of a message structure by which messages of any
// version are grouped, nil when it is not known.
func Structure(name string) *Element {
	t := load()
	if g := t.structures[name]; g != nil {
		return g.read()
	}
	if g := t.later[name]; g != nil {
		return g.read()
	}
	return nil
}

// StructureFor returns the grammar by which a message of a version is grouped,
// nil when the structure is not known. Only versions from 2.8 on have others than
// Structure returns.
func StructureFor(version, name string) *Element {
	if of := load().since[name]; len(of) > 0 {
		at := int8(slices.Index(versions, Version(version)))
		for _, row := range slices.Backward(of) {
			if row.first <= at {
				return row.read()
			}
		}
	}
	return Structure(name)
}

// Structures lists the names known, sorted.
func Structures() []string {
	t := load()
	return slices.Sorted(func(yield func(string) bool) {
		maps.Keys(t.structures)(yield)
		maps.Keys(t.later)(yield)
	})
}

// Group reports whether a structure has a group of this name.
func Group(name string) bool { return load().groups[name] }

// Groups lists the names of groups, sorted.
func Groups() []string { return slices.Sorted(maps.Keys(load().groups)) }

// Segment reports whether the standard has, or once had, a segment of this name.
func Segment(name string) bool { return load().segments[name] }

// Segments lists the names of segments, sorted.
func Segments() []string { return slices.Sorted(maps.Keys(load().segments)) }

// StructureOf returns the structure of a message code and event: "ADT", "A08"
// gives "ADT_A01". "" when it is not known.
func StructureOf(code, event string) string {
	t := load()
	for _, key := range []string{code + "^" + event, code + "^*"} {
		if s := t.events[key]; s != "" {
			return s
		}
	}
	if s := code + "_" + event; t.structures[s] != nil || t.later[s] != nil {
		return s
	}
	if event == "" {
		return t.events[code+"^-"]
	}
	return ""
}

// reader reads the notation of structures.txt.
type reader struct {
	text string
	at   int
}

func (p *reader) elements(until byte) []*Element {
	var out []*Element
	for {
		for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\n') {
			p.at++
		}
		if p.at == len(p.text) {
			if until != 0 {
				panic(fmt.Sprintf("structures: %q is missing", until))
			}
			return out
		}
		switch c := p.text[p.at]; c {
		case until:
			p.at++
			return out
		case '[', '{':
			p.at++
			end := byte(']')
			if c == '{' {
				end = '}'
			}
			for _, e := range p.elements(end) {
				e.Optional = e.Optional || c == '['
				e.Repeats = e.Repeats || c == '{'
				out = append(out, e)
			}
		default:
			start := p.at
			for p.at < len(p.text) && !strings.ContainsRune(" ()[]{}", rune(p.text[p.at])) {
				p.at++
			}
			e := &Element{Name: p.text[start:p.at]}
			if p.at < len(p.text) && p.text[p.at] == '(' {
				p.at++
				e.Group, e.Elements = true, p.elements(')')
			}
			out = append(out, e)
		}
	}
}
