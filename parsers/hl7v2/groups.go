package hl7v2

import (
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// A Group is an instance of a group of the message's structure.
type Group struct {
	m      *Message
	name   string
	parent *Group
	// segments and groups of this instance in their order
	segments []int32
	groups   []*Group

	grammar *definitions.Element
	at      int // the element of grammar the last one was placed at
}

// Name is the group's name: "ORDER_OBSERVATION"; the structure's name at the top.
func (g *Group) Name() string { return g.name }

// Parent is the group around it, nil at the top.
func (g *Group) Parent() *Group { return g.parent }

// Segments are those that stand in the group itself.
func (g *Group) Segments() []Segment {
	out := make([]Segment, len(g.segments))
	for i, s := range g.segments {
		out[i] = Segment{g.m, int(s)}
	}
	return out
}

// Groups are the instances of groups inside, in their order.
func (g *Group) Groups() []*Group { return g.groups }

// Span is from the first to the last segment.
func (g *Group) Span() (start, end int) {
	start, end = -1, 0
	for _, s := range g.segments {
		a, b := Segment{g.m, int(s)}.Span()
		if start < 0 || a < start {
			start = a
		}
		end = max(end, b)
	}
	for _, inner := range g.groups {
		a, b := inner.Span()
		if start < 0 || a < start {
			start = a
		}
		end = max(end, b)
	}
	return max(start, 0), end
}

// structureOf decides which grammar a message follows.
func structureOf(code, event, said string) string {
	if said != "" && definitions.Structure(said) != nil {
		return said
	}
	if s := definitions.StructureOf(code, event); s != "" {
		return s
	}
	if said != "" {
		return said
	}
	if event == "" {
		return code
	}
	return code + "_" + event
}

// Groups is the message as its structure groups it. A segment that does not
// stand where the grammar wants it is placed in the group it belongs to by its
// name, with a warning; one the grammar does not know stays in the group in
// hand. The tree is built when it is first asked for.
func (m *Message) Groups() *Group {
	if m.groups == nil {
		m.groups = m.group(m.Header().Structure)
	}
	return m.groups
}

func (m *Message) group(structure string) *Group {
	grammar := definitions.Structure(structure)
	if grammar == nil {
		grammar = &definitions.Element{Name: structure, Group: true}
	}
	top := &Group{m: m, name: structure, grammar: grammar}
	in := top
	for i := range m.segments {
		name := (Segment{m, i}).Name()
		if name == "" {
			continue
		}
		next, ok := place(in, name)
		if !ok {
			if next = misplaced(top, in, name); next != in {
				start, _ := (Segment{m, i}).Span()
				m.warn(name, start, "grouping", "the segment does not stand where the structure "+structure+" has it")
			}
		}
		next.segments = append(next.segments, int32(i))
		in = next
	}
	return top
}

// place finds where a segment goes after the last one: further on in the group
// in hand, in a repeat of it, or further on in the groups around it.
func place(in *Group, name string) (*Group, bool) {
	for g := in; g != nil; g = g.parent {
		if found := g.forward(name); found != nil {
			return found, true
		}
		if g.parent != nil && g.grammar.Repeats && begins(g.grammar, name) {
			again := g.parent.open(g.grammar)
			return again.forward(name), true
		}
	}
	return in, false
}

// forward places a segment from the last place on: in the group itself or in a
// group that begins there.
func (g *Group) forward(name string) *Group {
	for i := g.at; i < len(g.grammar.Elements); i++ {
		e := g.grammar.Elements[i]
		switch {
		case !e.Group && e.Name == name:
			if i == g.at && !e.Repeats && g.holds(name) {
				continue
			}
			g.at = i
			return g
		case e.Group && (i > g.at || e.Repeats || !g.opened(e.Name)) && begins(e, name):
			g.at = i
			return g.open(e).forward(name)
		}
	}
	return nil
}

func (g *Group) holds(name string) bool {
	for _, s := range g.segments {
		if (Segment{g.m, int(s)}).Name() == name {
			return true
		}
	}
	return false
}

func (g *Group) opened(name string) bool {
	for _, inner := range g.groups {
		if inner.name == name {
			return true
		}
	}
	return false
}

func (g *Group) open(e *definitions.Element) *Group {
	inner := &Group{m: g.m, name: e.Name, parent: g, grammar: e}
	g.groups = append(g.groups, inner)
	return inner
}

// begins reports whether a group can begin with a segment: everything before
// it is optional.
func begins(e *definitions.Element, name string) bool {
	for _, inner := range e.Elements {
		if inner.Group {
			if begins(inner, name) {
				return true
			}
		} else if inner.Name == name {
			return true
		}
		if !inner.Optional {
			return false
		}
	}
	return false
}

// misplaced puts a segment that breaks the grammar into the innermost group
// around the one in hand that knows it, else into a new instance of the group
// it belongs to, else leaves it with the one in hand.
func misplaced(top, in *Group, name string) *Group {
	for g := in; g != nil; g = g.parent {
		for i, e := range g.grammar.Elements {
			if !e.Group && e.Name == name {
				g.at = max(g.at, i)
				return g
			}
		}
		for i, e := range g.grammar.Elements {
			if e.Group && knows(e, name) {
				g.at = max(g.at, i)
				return descend(g.reuse(e), name)
			}
		}
	}
	_ = top
	return in
}

// reuse opens a new instance of a group, or goes on with the last one if it
// may not repeat.
func (g *Group) reuse(e *definitions.Element) *Group {
	if !e.Repeats && len(g.groups) > 0 && g.groups[len(g.groups)-1].name == e.Name {
		return g.groups[len(g.groups)-1]
	}
	return g.open(e)
}

func descend(g *Group, name string) *Group {
	for i, e := range g.grammar.Elements {
		if !e.Group && e.Name == name {
			g.at = i
			return g
		}
	}
	for i, e := range g.grammar.Elements {
		if e.Group && knows(e, name) {
			g.at = i
			return descend(g.reuse(e), name)
		}
	}
	return g
}

func knows(e *definitions.Element, name string) bool {
	for _, inner := range e.Elements {
		if (!inner.Group && inner.Name == name) || (inner.Group && knows(inner, name)) {
			return true
		}
	}
	return false
}
