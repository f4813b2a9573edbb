package hl7v2

import (
	"slices"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

var _ parsers.Divider = (*Parser)(nil)

// Divide takes a message apart by groups or segments. A segment stands for the
// innermost repeating group that has it once (OBR for ORDER_OBSERVATION, OBX for
// OBSERVATION), and by itself where it repeats (NK1); in a structure that is not
// known it goes on to the next one of its name.
func (p *Parser) Divide(doc message.Document, by message.Path, take func(part message.Document) error) error {
	m, ok := doc.(*Message)
	if !ok {
		return malformed("", 0, 100, "a message of HL7 v2 is wanted here")
	}
	d := newDivision(m, by)
	if len(d.units) == 1 && d.shared+len(d.units[0].segments) == m.Len() {
		return take(doc)
	}
	for i := range d.units {
		part, err := p.Parse(d.part(i))
		if err != nil {
			return err
		}
		if err := take(part); err != nil {
			return err
		}
	}
	return nil
}

// Rename gives a part a control id of its own: MSH-10. Receivers that tell
// messages apart by it would take the second part of a message for a copy.
func (p *Parser) Rename(part message.Document, control string) (message.Document, error) {
	m, ok := part.(*Message)
	if !ok || m.Len() == 0 {
		return part, nil
	}
	v := m.Segment(0).Field(10)
	if v.m == nil {
		return part, nil
	}
	start, end := v.Span()
	return p.Parse(slices.Concat(m.raw[:start], []byte(control), m.raw[end:]))
}

// A unit is what one part has and the others have not.
type unit struct {
	segments []int  // in their order
	around   *Group // the innermost group around them
}

// A division is a message taken apart.
type division struct {
	m     *Message
	units []unit
	// common are the segments that every part has, inside those that stand in a
	// group with units in it: they go with the units of that group only.
	common []int
	inside map[*Group][]int
	shared int // how many are in both
}

func newDivision(m *Message, by message.Path) *division {
	d := &division{m: m, inside: map[*Group][]int{}}
	m.Groups()
	taken := make([]bool, m.Len())
	marked := map[*Group]bool{}
	seen := map[*Group]bool{}
	for _, n := range by.Nodes(m.Root()) {
		g, segments, around := unitOf(m, n)
		if g != nil {
			if seen[g] {
				continue // by another of its segments
			}
			seen[g] = true
			segments = g.all()
		}
		if len(segments) == 0 || taken[segments[0]] {
			continue
		}
		for _, s := range segments {
			taken[s] = true
		}
		for a := around; a != nil && !marked[a]; a = a.parent {
			marked[a] = true
		}
		d.units = append(d.units, unit{segments: segments, around: around})
	}
	for i := range m.Len() {
		if taken[i] {
			continue
		}
		d.shared++
		g := m.owners[i]
		for g != nil && !marked[g] {
			g = g.parent
		}
		if g == nil {
			d.common = append(d.common, i)
		} else {
			d.inside[g] = append(d.inside[g], i)
		}
	}
	return d
}

// unitOf is what a place stands for: a group, or some segments that are none; and
// the group around it.
func unitOf(m *Message, n message.Node) (g *Group, segments []int, around *Group) {
	switch n := n.(type) {
	case *Group:
		return n, nil, n.parent
	case Segment:
		g := m.owners[n.index]
		if g == nil || len(g.grammar.Elements) == 0 {
			return nil, m.run(n), g
		}
		if repeats, known := repeats(g.grammar, n.Name()); repeats || !known {
			return nil, []int{n.index}, g
		}
		for ; g.parent != nil; g = g.parent {
			if g.grammar.Repeats {
				return g, nil, g.parent
			}
		}
		return g, nil, nil
	}
	return nil, nil, nil
}

// repeats reports whether a segment repeats in a group itself, if that has it.
func repeats(e *definitions.Element, segment string) (repeats, known bool) {
	for _, inner := range e.Elements {
		if !inner.Group && inner.Name == segment {
			return inner.Repeats, true
		}
	}
	return false, false
}

// all are the segments of a group and of the groups inside, in their order.
func (g *Group) all() []int {
	out := g.collected(nil)
	slices.Sort(out)
	return out
}

func (g *Group) collected(into []int) []int {
	for _, s := range g.segments {
		into = append(into, int(s))
	}
	for _, inner := range g.groups {
		into = inner.collected(into)
	}
	return into
}

// run are the segments from one to the next of its name.
func (m *Message) run(from Segment) []int {
	out := []int{from.index}
	for i := from.index + 1; i < m.Len() && m.Segment(i).Name() != from.Name(); i++ {
		out = append(out, i)
	}
	return out
}

// part are the bytes of one part: the header and the unit, in the order in which
// they stand in the message.
func (d *division) part(i int) []byte {
	u := &d.units[i]
	keep := slices.Concat(d.common, u.segments)
	for g := u.around; g != nil; g = g.parent {
		keep = append(keep, d.inside[g]...)
	}
	slices.Sort(keep)
	var out []byte
	for n, s := range keep {
		start, end := d.m.rawStart(d.m.segments[s].start), len(d.m.raw)
		if n == 0 {
			start = 0 // with what stands in front of the first
		}
		if s+1 < d.m.Len() {
			end = d.m.rawStart(d.m.segments[s+1].start)
		}
		out = append(out, d.m.raw[start:end]...)
		if n+1 < len(keep) && len(out) > 0 && out[len(out)-1] != '\r' && out[len(out)-1] != '\n' {
			out = append(out, '\r') // the last segment of the message has no end
		}
	}
	return out
}
