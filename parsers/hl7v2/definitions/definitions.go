// Package definitions holds facts of the HL7 v2 standard as data: the grammars
// of message structures.
package definitions

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed structures.txt
var structuresText string

//go:embed events.txt
var eventsText string

// An Element is a segment or group of a structure.
type Element struct {
	Name string
	// Group is true when Elements holds the group's own grammar.
	Group    bool
	Optional bool
	Repeats  bool
	Elements []*Element
}

type tables struct {
	structures map[string]*Element
	events     map[string]string
}

// load parses the tables once; a fault in them is met by every test.
var load = sync.OnceValue(func() tables {
	t := tables{structures: map[string]*Element{}, events: map[string]string{}}
	for line := range strings.Lines(structuresText) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, grammar, _ := strings.Cut(line, ":")
		p := &reader{text: grammar}
		t.structures[name] = &Element{Name: name, Group: true, Elements: p.elements(0)}
	}
	for line := range strings.Lines(eventsText) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] != "#" {
			t.events[fields[0]+"^"+fields[1]] = fields[2]
		}
	}
	return t
})

// Structure returns the grammar of a message structure, nil when it is not known.
func Structure(name string) *Element { return load().structures[name] }

// Structures lists the names known.
func Structures() []string {
	var names []string
	for name := range load().structures {
		names = append(names, name)
	}
	return names
}

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
		for p.at < len(p.text) && p.text[p.at] == ' ' {
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
