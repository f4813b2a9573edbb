package hl7v2

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// Grammar is the path syntax of HL7 v2:
//
//	[GROUP[n]/…]SEG[n]-field[rep].component.subcomponent
//
// Indices count from 1; [*] means all; [5=MR] the repetition whose component 5
// is MR. Without an index: the first.
type Grammar struct{}

var (
	_ message.Grammar = Grammar{}
	_ message.Path    = (*path)(nil)
)

// A path is a compiled path.
type path struct {
	text    string
	groups  []step
	segment string
	index   int // of the segment; 0: first, all when places
	all     bool
	field   int
	rep     selector
	comp    int
	sub     int
	kind    message.PathKind
}

type step struct {
	name  string
	index int
	all   bool
}

type selector struct {
	index int // 0: the first
	all   bool
	comp  int // [5=MR]
	value string
}

// Scan returns the length of the path that text begins with.
func (Grammar) Scan(before byte, text string) int {
	if wordByte(before) || before == '.' || before == '"' {
		return 0
	}
	at := 0
	for {
		n := nameLength(text[at:])
		if n == 0 {
			return 0
		}
		name := text[at : at+n]
		end := at + n + bracket(text[at+n:])
		if end < len(text) && text[end] == '/' && groupName(name) && nameLength(text[end+1:]) > 0 {
			at = end + 1
			continue
		}
		if len(name) != 3 || !segmentWord(name) {
			return 0
		}
		if end+1 < len(text) && text[end] == '-' && digit(text[end+1]) {
			end = fieldEnd(text, end+1)
		}
		if end < len(text) && (wordByte(text[end]) || text[end] == '(') {
			return 0
		}
		return end
	}
}

func fieldEnd(text string, at int) int {
	for at < len(text) && digit(text[at]) {
		at++
	}
	at += bracket(text[at:])
	for range 2 {
		if at+1 >= len(text) || text[at] != '.' || !digit(text[at+1]) {
			break
		}
		at++
		for at < len(text) && digit(text[at]) {
			at++
		}
	}
	return at
}

// bracket is the length of […] at the start of text.
func bracket(text string) int {
	if text == "" || text[0] != '[' {
		return 0
	}
	end := strings.IndexByte(text, ']')
	if end < 0 {
		return 0
	}
	inner := text[1:end]
	if inner == "*" || allDigits(inner) {
		return end + 1
	}
	if comp, _, found := strings.Cut(inner, "="); found && allDigits(comp) {
		return end + 1
	}
	return 0
}

func nameLength(text string) int {
	n := 0
	for n < len(text) && (upperDigit(text[n]) || text[n] == '_') {
		n++
	}
	if n == 0 || !upper(text[0]) {
		return 0
	}
	return n
}

func segmentWord(name string) bool {
	return len(name) == 3 && upper(name[0]) && upperDigit(name[1]) && upperDigit(name[2])
}

func groupName(name string) bool { return len(name) > 1 }
func digit(c byte) bool          { return c >= '0' && c <= '9' }

func allDigits(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

func wordByte(c byte) bool {
	return c == '_' || digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
}

// Compile compiles a path.
func (Grammar) Compile(text string) (message.Path, error) {
	p := &path{text: text}
	rest := text
	for {
		name, after, err := nameAndIndex(rest)
		if err != nil {
			return nil, err
		}
		if after.rest != "" && after.rest[0] == '/' {
			p.groups = append(p.groups, step{name, after.index, after.all})
			rest = after.rest[1:]
			continue
		}
		if !segmentWord(name) {
			return nil, fmt.Errorf("%q is not a segment name: three characters, a capital first", name)
		}
		p.segment, p.index, p.all = name, after.index, after.all
		rest = after.rest
		break
	}
	if rest == "" {
		p.kind = message.Places
		return p, nil
	}
	if err := p.compileField(rest); err != nil {
		return nil, err
	}
	p.kind = message.One
	if p.all || p.rep.all {
		p.kind = message.Several
	}
	for _, g := range p.groups {
		if g.all {
			p.kind = message.Several
		}
	}
	return p, nil
}

type indexed struct {
	rest  string
	index int
	all   bool
}

func nameAndIndex(text string) (string, indexed, error) {
	n := nameLength(text)
	if n == 0 {
		return "", indexed{}, fmt.Errorf("%q does not begin with a segment or group name in capitals", text)
	}
	name, rest := text[:n], text[n:]
	if rest == "" || rest[0] != '[' {
		return name, indexed{rest: rest}, nil
	}
	inner, rest, found := strings.Cut(rest[1:], "]")
	switch {
	case !found:
		return "", indexed{}, errors.New(`"]" is missing`)
	case inner == "*":
		return name, indexed{rest: rest, all: true}, nil
	case allDigits(inner):
		i, err := strconv.Atoi(inner)
		if err != nil || i < 1 {
			return "", indexed{}, fmt.Errorf("index %s: indices count from 1", inner)
		}
		return name, indexed{rest: rest, index: i}, nil
	}
	return "", indexed{}, fmt.Errorf("[%s] is not an index: a number from 1, or *", inner)
}

func (p *path) compileField(rest string) error {
	if rest[0] != '-' {
		return fmt.Errorf("%q: a field follows as in %s-5", rest, p.segment)
	}
	rest = rest[1:]
	var err error
	if p.field, rest, err = leading(rest, "field"); err != nil {
		return err
	}
	if rest != "" && rest[0] == '[' {
		inner, after, found := strings.Cut(rest[1:], "]")
		if !found {
			return errors.New(`"]" is missing`)
		}
		rest = after
		comp, value, equal := strings.Cut(inner, "=")
		switch {
		case inner == "*":
			p.rep.all = true
		case equal && allDigits(comp):
			p.rep.comp, _ = strconv.Atoi(comp)
			p.rep.value = value
		case allDigits(inner):
			if p.rep.index, err = strconv.Atoi(inner); err != nil || p.rep.index < 1 {
				return fmt.Errorf("repetition %s: repetitions count from 1", inner)
			}
		default:
			return fmt.Errorf("[%s] is not a repetition: a number from 1, *, or 5=MR", inner)
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

// String is the path as written.
func (p *path) String() string { return p.text }

// Kind says whether the path gives one value, several or places.
func (p *path) Kind() message.PathKind { return p.kind }

// Anchor is the first name of the path.
func (p *path) Anchor() string {
	if len(p.groups) > 0 {
		return p.groups[0].name
	}
	return p.segment
}

// Text reads one value.
func (p *path) Text(from message.Node) string {
	if seg := p.first(from); seg.Valid() {
		if v := p.pick(seg); v.m != nil {
			return v.Text()
		}
	}
	return ""
}

// first finds the one segment a path of one value reads.
func (p *path) first(from message.Node) Segment {
	if s, ok := from.(Segment); ok {
		if s.Name() == p.segment && len(p.groups) == 0 {
			return s
		}
		return p.first(s.m)
	}
	if m, ok := from.(*Message); ok && len(p.groups) == 0 {
		n := max(p.index, 1)
		for i := range m.segments {
			if s := (Segment{m, i}); s.Name() == p.segment {
				if n--; n == 0 {
					return s
				}
			}
		}
		return Segment{}
	}
	segs := p.find(from)
	if len(segs) == 0 {
		return Segment{}
	}
	return segs[0]
}

func (p *path) pick(seg Segment) Value {
	f := seg.Field(p.field)
	switch {
	case p.rep.comp > 0:
		f = p.byComponent(f)
	case p.rep.index > 0:
		f = f.Rep(p.rep.index)
	case p.field > 2 || !seg.header():
		f = f.Rep(1)
	}
	return p.below(f)
}

func (p *path) byComponent(f Value) Value {
	for r := 1; r <= f.Reps(); r++ {
		if rep := f.Rep(r); rep.Comp(p.rep.comp).Text() == p.rep.value {
			return rep
		}
	}
	return Value{}
}

func (p *path) below(v Value) Value {
	if p.comp > 0 {
		v = v.Comp(p.comp)
	}
	if p.sub > 0 {
		v = v.Sub(p.sub)
	}
	return v
}

// Texts reads all values, empty ones too.
func (p *path) Texts(from message.Node) []string {
	var out []string
	for _, seg := range p.find(from) {
		if !p.rep.all {
			out = append(out, p.pick(seg).Text())
			continue
		}
		f := seg.Field(p.field)
		for r := 1; r <= f.Reps(); r++ {
			out = append(out, p.below(f.Rep(r)).Text())
		}
	}
	return out
}

// Nodes lists the segments.
func (p *path) Nodes(from message.Node) []message.Node {
	segs := p.find(from)
	out := make([]message.Node, len(segs))
	for i, s := range segs {
		out[i] = s
	}
	return out
}

// find lists the segments the path means below from.
func (p *path) find(from message.Node) []Segment {
	var all []Segment
	switch n := from.(type) {
	case Segment:
		if n.Name() == p.segment && len(p.groups) == 0 {
			return []Segment{n}
		}
		return p.find(n.m)
	case *Message:
		if len(p.groups) > 0 {
			for _, g := range p.descend(n.Groups(), p.groups) {
				all = collect(g, p.segment, all)
			}
			break
		}
		for i := range n.segments {
			if s := (Segment{n, i}); s.Name() == p.segment {
				all = append(all, s)
			}
		}
	case *Group:
		for _, g := range p.descend(n, p.groups) {
			all = collect(g, p.segment, all)
		}
	}
	return p.choose(all)
}

// choose takes the indexed one, all, or (for a value) the first.
func (p *path) choose(all []Segment) []Segment {
	switch {
	case p.index > 0:
		if p.index > len(all) {
			return nil
		}
		return all[p.index-1 : p.index]
	case p.all || p.field == 0 || len(all) == 0:
		return all
	}
	for _, g := range p.groups {
		if g.all {
			return all
		}
	}
	return all[:1]
}

func (p *path) descend(g *Group, steps []step) []*Group {
	if len(steps) == 0 {
		return []*Group{g}
	}
	var found []*Group
	findGroups(g, steps[0].name, &found)
	switch s := steps[0]; {
	case s.index > len(found):
		return nil
	case s.index > 0:
		found = found[s.index-1 : s.index]
	case !s.all && len(found) > 1 && p.kind != message.Places:
		found = found[:1]
	}
	var out []*Group
	for _, inner := range found {
		out = append(out, p.descend(inner, steps[1:])...)
	}
	return out
}

// findGroups lists the nearest groups of a name below g.
func findGroups(g *Group, name string, out *[]*Group) {
	for _, inner := range g.groups {
		if inner.name == name {
			*out = append(*out, inner)
			continue
		}
		findGroups(inner, name, out)
	}
}

// collect lists the segments of a name in a group and the groups inside, in order.
func collect(g *Group, name string, out []Segment) []Segment {
	for _, s := range g.segments {
		if seg := (Segment{g.m, int(s)}); seg.Name() == name {
			out = append(out, seg)
		}
	}
	for _, inner := range g.groups {
		out = collect(inner, name, out)
	}
	return out
}
