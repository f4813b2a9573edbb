package hl7v2

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/internal/spelling"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// Grammar is the path syntax of HL7 v2:
//
//	[GROUP[n]/…]SEG[n]-field[rep].component.subcomponent
//
// Indices count from 1; [*] means all; [5=MR] the first repetition whose
// component 5 is MR. Without an index: the first. A path without a field is
// one of places: all segments, or all groups, of that name.
type Grammar struct{}

var (
	_ message.Grammar = Grammar{}
	_ message.Path    = (*path)(nil)
)

// A path is a compiled path.
type path struct {
	text    string
	groups  []step
	segment step // without a name: the path ends with its last group
	field   int
	rep     selector
	comp    int
	sub     int
	kind    message.PathKind
}

// A step is a segment or group of a path.
type step struct {
	name  string
	index int // 0: not said
	all   bool
}

// A selector chooses repetitions.
type selector struct {
	index int // 0: the first
	all   bool
	comp  int // [5=MR]; 0: by index
	sub   int // [4.2=1.2.3]
	value string
}

// Scan returns the length of the path that text begins with. What has the form
// of a path but is none is taken too, so that Compile says what is wrong.
func (Grammar) Scan(before byte, text string) int {
	if wordByte(before) || before == '.' || before == '"' || before >= 0x80 {
		return 0
	}
	for at := 0; ; {
		n := nameLength(text[at:])
		name := text[at : at+n]
		end := at + n + bracket(text[at+n:])
		if n > 0 && end < len(text) && text[end] == '/' && nameLength(text[end+1:]) > 0 {
			at = end + 1
			continue
		}
		switch {
		case segmentWord(name):
			if end+1 < len(text) && text[end] == '-' && digit(text[end+1]) {
				end = fieldEnd(text, end+1)
			}
		case at == 0 && !definitions.Group(name), n == 0:
			return 0
		}
		if end < len(text) && (wordByte(text[end]) || text[end] == '(' || text[end] >= 0x80) {
			return 0
		}
		return end
	}
}

// fieldEnd is where the field, repetition, component and subcomponent end.
func fieldEnd(text string, at int) int {
	digits := func() {
		for at < len(text) && digit(text[at]) {
			at++
		}
	}
	digits()
	at += bracket(text[at:])
	for at+1 < len(text) && text[at] == '.' && digit(text[at+1]) {
		at++
		digits()
	}
	return at
}

// bracket is the length of […] at the start of text.
func bracket(text string) int {
	if text == "" || text[0] != '[' {
		return 0
	}
	end := strings.IndexAny(text[1:], "[]\r\n")
	if end < 0 || text[1+end] != ']' {
		return 0
	}
	return end + 2
}

func nameLength(text string) int {
	n := 0
	for n < len(text) && (upperDigit(text[n]) || text[n] == '_') {
		n++
	}
	if n < 2 || !upper(text[0]) {
		return 0
	}
	return n
}

func segmentWord(name string) bool {
	return len(name) == 3 && upper(name[0]) && upperDigit(name[1]) && upperDigit(name[2])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func allDigits(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

func wordByte(c byte) bool {
	return c == '_' || digit(c) || upper(c) || (c >= 'a' && c <= 'z')
}

// Compile compiles a path.
func (Grammar) Compile(text string) (message.Path, error) {
	p := &path{text: text}
	rest := text
	for more := true; more; {
		s, after, err := readStep(rest)
		if err != nil {
			return nil, err
		}
		if segmentWord(s.name) && (after == "" || after[0] != '/') {
			if !definitions.Segment(s.name) && s.name[0] != 'Z' {
				return nil, fmt.Errorf("%s is not a segment of the standard%s", s.name, meant(s.name, definitions.Segments()))
			}
			p.segment, rest = s, after
			break
		}
		if !definitions.Group(s.name) {
			return nil, fmt.Errorf("%s is neither a segment nor a group of a message structure%s", s.name, meant(s.name, definitions.Groups()))
		}
		p.groups = append(p.groups, s)
		if rest, more = strings.CutPrefix(after, "/"); after != "" && !more {
			return nil, fmt.Errorf("%q: after a group follows a segment, as in %s/OBX-5", after, s.name)
		}
	}
	if rest == "" {
		p.kind = message.Places
		return p, nil
	}
	if err := p.compileField(rest); err != nil {
		return nil, err
	}
	p.kind = message.One
	if p.segment.all || p.rep.all {
		p.kind = message.Several
	}
	for _, g := range p.groups {
		if g.all {
			p.kind = message.Several
		}
	}
	return p, nil
}

// readStep reads NAME or NAME[index].
func readStep(text string) (step, string, error) {
	n := nameLength(text)
	if n == 0 {
		return step{}, "", fmt.Errorf("%q does not begin with the name of a segment or group, in capitals", text)
	}
	name, rest := text[:n], text[n:]
	if rest == "" || rest[0] != '[' {
		return step{name: name}, rest, nil
	}
	inner, rest, found := strings.Cut(rest[1:], "]")
	switch {
	case !found:
		return step{}, "", errors.New(`"]" is missing`)
	case inner == "*":
		return step{name: name, all: true}, rest, nil
	case allDigits(inner):
		i, err := strconv.Atoi(inner)
		if err != nil || i < 1 {
			return step{}, "", fmt.Errorf("%s[%s]: indices count from 1", name, inner)
		}
		return step{name: name, index: i}, rest, nil
	}
	return step{}, "", fmt.Errorf("[%s] is not an index of %s: a number from 1, or *", inner, name)
}

func (p *path) compileField(rest string) error {
	if rest[0] != '-' {
		return fmt.Errorf("%q: a field follows, as in %s-5", rest, p.segment.name)
	}
	var err error
	if p.field, rest, err = leading(rest[1:], "field"); err != nil {
		return err
	}
	if rest != "" && rest[0] == '[' {
		inner, after, found := strings.Cut(rest[1:], "]")
		if !found {
			return errors.New(`"]" is missing`)
		}
		rest = after
		if err := p.rep.compile(inner); err != nil {
			return err
		}
	}
	if rest != "" && rest[0] == '.' {
		if p.comp, rest, err = leading(rest[1:], "component"); err != nil {
			return err
		}
	}
	if rest != "" && rest[0] == '.' {
		if p.sub, rest, err = leading(rest[1:], "subcomponent"); err != nil {
			return err
		}
	}
	if rest != "" {
		return fmt.Errorf("%q is left over at the end of the path", rest)
	}
	return nil
}

// compile reads what stands in the brackets after a field.
func (s *selector) compile(inner string) error {
	comp, value, equal := strings.Cut(inner, "=")
	comp, sub, below := strings.Cut(comp, ".")
	switch {
	case inner == "*":
		s.all = true
		return nil
	case equal && allDigits(comp) && (!below || allDigits(sub)):
		s.comp, _ = strconv.Atoi(comp) // too large a number: as 0, below
		s.sub, _ = strconv.Atoi(sub)
		if s.value = strings.Trim(value, `"'`); s.comp < 1 || s.comp > 999 || below && s.sub < 1 {
			return fmt.Errorf("[%s]: components count from 1", inner)
		}
		return nil
	case allDigits(inner):
		var err error
		if s.index, err = strconv.Atoi(inner); err != nil || s.index < 1 {
			return fmt.Errorf("repetition %s: repetitions count from 1", inner)
		}
		return nil
	}
	return fmt.Errorf("[%s] is not a repetition: a number from 1, *, or 5=MR", inner)
}

func leading(text, what string) (int, string, error) {
	n := 0
	for n < len(text) && digit(text[n]) {
		n++
	}
	v, err := strconv.Atoi(text[:n])
	if err != nil || v < 1 || v > 999 {
		return 0, "", fmt.Errorf("%q is not a %s number from 1 to 999", text[:n], what)
	}
	return v, text[n:], nil
}

// meant is the name of a list that a wrong one is nearest to, as a question.
func meant(wrong string, names []string) string {
	if found := spelling.Nearest(wrong, names); found != "" {
		return ", did you mean " + found + "?"
	}
	return ""
}
