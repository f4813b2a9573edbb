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
	at      int    // the element of grammar the last one was placed at
	used    uint64 // the elements that something was placed at
}

// Name is the group's name: "ORDER_OBSERVATION"; the structure's name at the top.
func (g *Group) Name() string { return g.name }

// Parent is the group around it, nil at the top.
func (g *Group) Parent() *Group { return g.parent }

// Segments are those that stand in the group itself, not in a group inside.
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
	start = -1
	widen := func(a, b int) {
		if start < 0 || a < start {
			start = a
		}
		end = max(end, b)
	}
	for _, s := range g.segments {
		widen(Segment{g.m, int(s)}.Span())
	}
	for _, inner := range g.groups {
		widen(inner.Span())
	}
	return max(start, 0), end
}

// Groups is the message as its structure groups it. A segment that does not
// stand where the grammar wants it is placed in the group it belongs to by its
// name, with a warning; one the grammar does not know stays in the group in
// hand. The tree is built when it is first asked for, in one pass.
func (m *Message) Groups() *Group {
	if m.groups == nil {
		m.group(m.Header().Structure)
	}
	return m.groups
}

func (m *Message) group(structure string) {
	grammar := definitions.StructureFor(m.find("MSH", 1).Field(12).Comp(1).Text(), structure)
	if grammar == nil {
		grammar = &definitions.Element{Name: structure, Group: true}
	}
	top := &Group{m: m, name: structure, grammar: grammar}
	m.owners = make([]*Group, len(m.segments))
	in := top
	for i := range m.segments {
		s := Segment{m, i}
		name := s.Name()
		switch {
		case name == "": // a line that is no segment
		case name == "MSH" && i > 0:
			in, top.at, top.used = top, 0, 0 // the next message of a batch
		default:
			next, found := place(in, name)
			if !found {
				if next, found = misplaced(in, name); found {
					start, _ := s.Span()
					m.warn(name, start, "grouping", "the segment does not stand where the structure "+grammar.Name+" has it")
				}
			}
			in = next
		}
		m.owners[i] = in
		in.segments = append(in.segments, int32(i))
	}
	m.groups = top
}

// place finds where a segment goes after the last one: further on in the group
// in hand, in a repeat of it, or further on in the groups around it.
//
// A segment that leads a group around the place in hand begins a repeat of that
// rather than a group further on in which it might stand first because others are
// left out: ORC is the next order, not a prior result without its patient (4.4.6).
func place(in *Group, name string) (*Group, bool) {
	if led := in.led(name); led != nil {
		return led.parent.open(led.parent.at, led.grammar).forward(name), true
	}
	for g := in; g != nil; g = g.parent {
		if found := g.forward(name); found != nil {
			return found, true
		}
		if g.parent != nil && g.grammar.Repeats && g.grammar.Begins(name) {
			return g.parent.open(g.parent.at, g.grammar).forward(name), true
		}
	}
	return in, false
}

// led is the innermost group around a place that repeats and that a segment leads;
// nil when there is none, or when the segment goes on in a group within.
func (g *Group) led(name string) *Group {
	for ; g.parent != nil; g = g.parent {
		if g.next(name) {
			return nil
		}
		if g.grammar.Repeats && leads(g.grammar, name) {
			return g
		}
	}
	return nil
}

// leads reports whether a segment is the first of a group's grammar.
func leads(e *definitions.Element, name string) bool {
	for e.Group && len(e.Elements) > 0 {
		e = e.Elements[0]
	}
	return e.Name == name
}

// next reports whether a segment goes on in the group itself: as one of its own,
// or as that which leads a group in it.
func (g *Group) next(name string) bool {
	for i := g.at; i < len(g.grammar.Elements); i++ {
		e := g.grammar.Elements[i]
		if (e.Repeats || g.used&(1<<i) == 0) && leads(e, name) {
			return true
		}
	}
	return false
}

// forward places a segment from the last place on: in the group itself or in a
// group that begins there.
func (g *Group) forward(name string) *Group {
	for i := g.at; i < len(g.grammar.Elements); i++ {
		e := g.grammar.Elements[i]
		if !e.Repeats && g.used&(1<<i) != 0 {
			continue
		}
		switch {
		case !e.Group && e.Name == name:
			g.take(i)
			return g
		case e.Group && e.Begins(name):
			return g.open(i, e).forward(name)
		}
	}
	return nil
}

func (g *Group) take(i int) {
	g.at = max(g.at, i)
	g.used |= 1 << i
}

func (g *Group) open(i int, e *definitions.Element) *Group {
	g.take(i)
	inner := &Group{m: g.m, name: e.Name, parent: g, grammar: e}
	g.groups = append(g.groups, inner)
	return inner
}

// misplaced puts a segment that breaks the grammar into the innermost group
// around the one in hand that knows it, in a new instance of the group inside
// that has it; what no group knows stays with the one in hand.
func misplaced(in *Group, name string) (*Group, bool) {
	for g := in; g != nil; g = g.parent {
		if g.grammar.Knows(name) {
			return g.descend(name), true
		}
	}
	return in, false
}

func (g *Group) descend(name string) *Group {
	for i, e := range g.grammar.Elements {
		if !e.Group && e.Name == name {
			g.take(i)
			return g
		}
	}
	for i, e := range g.grammar.Elements {
		if !e.Group || !e.Knows(name) {
			continue
		}
		if last := len(g.groups) - 1; !e.Repeats && last >= 0 && g.groups[last].name == e.Name {
			return g.groups[last].descend(name)
		}
		return g.open(i, e).descend(name)
	}
	return g // cannot be: the group knows the segment
}

// Group is the group the segment stands in, nil for a line that is no segment
// before the first one.
func (s Segment) Group() *Group {
	if s.m == nil {
		return nil
	}
	s.m.Groups()
	return s.m.owners[s.index]
}
