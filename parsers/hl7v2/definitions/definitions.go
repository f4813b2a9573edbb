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

// index fills what Begins and Knows look up.
func (e *Element) index(groups map[string]bool) {
	e.begins, e.knows = map[string]bool{}, map[string]bool{}
	start := true
	for _, inner := range e.Elements {
		if inner.Group {
			inner.index(groups)
			groups[inner.Name] = true
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

type tables struct {
	structures map[string]*Element
	events     map[string]string
	groups     map[string]bool
	segments   map[string]bool
}

// load parses the tables once; a fault in them is met by every test.
var load = sync.OnceValue(func() tables {
	t := tables{structures: map[string]*Element{}, events: map[string]string{}, groups: map[string]bool{}, segments: map[string]bool{}}
	for line := range strings.Lines(structuresText) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, grammar, _ := strings.Cut(line, ":")
		p := &reader{text: grammar}
		top := &Element{Name: name, Group: true, Elements: p.elements(0)}
		top.index(t.groups)
		t.structures[name] = top
	}
	for line := range strings.Lines(eventsText) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] != "#" {
			t.events[fields[0]+"^"+fields[1]] = fields[2]
		}
	}
	for line := range strings.Lines(segmentsText) {
		if line[0] != '#' {
			for _, name := range strings.Fields(line) {
				t.segments[name] = true
			}
		}
	}
	return t
})

// Structure returns the grammar of a message structure, nil when it is not known.
func Structure(name string) *Element { return load().structures[name] }

// Structures lists the names known, sorted.
func Structures() []string { return slices.Sorted(maps.Keys(load().structures)) }

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
	if s := code + "_" + event; t.structures[s] != nil {
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
