package hl7v2

import "github.com/plexus-health/plexus/message"

// String is the path as written.
func (p *path) String() string { return p.text }

// Kind says whether the path gives one value, several or places.
func (p *path) Kind() message.PathKind { return p.kind }

// Anchor is the first name of the path.
func (p *path) Anchor() string {
	if len(p.groups) > 0 {
		return p.groups[0].name
	}
	return p.segment.name
}

// Text reads one value, from the message, or from a segment or group in hand:
// the segment itself, else the one of that name in the nearest group around
// it. An index counts in the group in hand, else in the whole message.
func (p *path) Text(from message.Node) string { return p.pick(p.first(from)).Text() }

// Texts reads all values, empty ones too.
func (p *path) Texts(from message.Node) []string {
	var out []string
	for _, v := range p.values(from) {
		out = append(out, v.Text())
	}
	return out
}

// Values are what a path of values leads to in the message, one for each text
// that the path gives: null and what is absent can be told from empty.
func (m *Message) Values(p message.Path) []Value {
	own, ok := p.(*path)
	switch {
	case !ok || own.kind == message.Places:
		return nil
	case own.kind == message.One:
		return []Value{own.pick(own.first(m))}
	}
	return own.values(m)
}

// values are those of all segments.
func (p *path) values(from message.Node) []Value {
	var out []Value
	for _, s := range p.segments(from) {
		if !p.rep.all {
			out = append(out, p.pick(s))
			continue
		}
		for _, rep := range s.Field(p.field).EachRep() {
			out = append(out, p.below(rep))
		}
	}
	return out
}

// Nodes lists the segments or groups.
func (p *path) Nodes(from message.Node) []message.Node {
	if p.segment.name == "" {
		groups := p.descend(from)
		out := make([]message.Node, len(groups))
		for i, g := range groups {
			out[i] = g
		}
		return out
	}
	segments := p.segments(from)
	out := make([]message.Node, len(segments))
	for i, s := range segments {
		out[i] = s
	}
	return out
}

// pick reads the value of a path in one segment.
func (p *path) pick(s Segment) Value {
	if !s.Valid() || p.field == 0 {
		return Value{}
	}
	f := s.Field(p.field)
	switch {
	case p.rep.comp > 0:
		f = p.rep.find(f)
	case p.rep.index > 0:
		f = f.Rep(p.rep.index)
	default:
		f = f.Rep(1)
	}
	return p.below(f)
}

func (s *selector) find(f Value) Value {
	for _, rep := range f.EachRep() {
		v := rep.Comp(s.comp)
		if s.sub > 0 {
			v = v.Sub(s.sub)
		}
		if v.Text() == s.value {
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

// indexed reports whether the path says which of several segments it means.
func (p *path) indexed() bool { return p.segment.index > 0 || p.segment.all }

// first finds the one segment that a path of one value reads.
func (p *path) first(from message.Node) Segment {
	if len(p.groups) == 0 {
		switch n := from.(type) {
		case *Message:
			return n.find(p.segment.name, max(1, p.segment.index))
		case Segment:
			switch {
			case !n.Valid():
				return Segment{}
			case p.segment.index > 0:
				return n.m.find(p.segment.name, p.segment.index)
			case n.is(p.segment.name):
				return n
			}
			n.m.Groups()
			return outwards(n.m.owners[n.index], p.segment.name)
		case *Group:
			if p.segment.index == 0 {
				return outwards(n, p.segment.name)
			}
		}
	}
	if len(p.groups) > 0 && p.kind == message.One {
		return p.firstOf(from)
	}
	if all := p.segments(from); len(all) > 0 {
		return all[0]
	}
	return Segment{}
}

// firstOf is first for a path through groups, none of them [*]: it finds what
// descend and among would, and makes no lists.
func (p *path) firstOf(from message.Node) Segment {
	var g *Group
	switch n := from.(type) {
	case *Message:
		s, _ := p.innermost(n.Groups(), p.groups)
		return s
	case *Group:
		g = n
	case Segment:
		if n.Valid() {
			n.m.Groups()
			g = n.m.owners[n.index]
		}
	}
	if g == nil {
		return Segment{}
	}
	if first := p.groups[0]; first.index == 0 {
		for around := g; around != nil; around = around.parent {
			if around.name == first.name {
				s, _ := p.innermost(around, p.groups[1:])
				return s
			}
		}
	}
	if s, there := p.innermost(g, p.groups); there {
		return s
	}
	s, _ := p.innermost(g.m.Groups(), p.groups)
	return s
}

// innermost finds the segment that steps lead to; there reports whether the groups
// are there.
func (p *path) innermost(g *Group, steps []step) (s Segment, there bool) {
	for _, next := range steps {
		n := max(1, next.index)
		if g = g.nearest(next.name, &n); g == nil {
			return Segment{}, false
		}
	}
	n := max(1, p.segment.index)
	return g.find(p.segment.name, &n), true
}

// nearest is group n of a name below g, none inside another.
func (g *Group) nearest(name string, n *int) *Group {
	for _, inner := range g.groups {
		if inner.name != name {
			if found := inner.nearest(name, n); found != nil {
				return found
			}
			continue
		}
		if *n--; *n == 0 {
			return inner
		}
	}
	return nil
}

// outwards finds the first segment of a name in a group, else in the groups
// around it.
func outwards(g *Group, name string) Segment {
	for ; g != nil; g = g.parent {
		n := 1
		if s := g.find(name, &n); s.Valid() {
			return s
		}
	}
	return Segment{}
}

// find returns segment n of a name in a group and the groups inside, in order.
func (g *Group) find(name string, n *int) Segment {
	for _, i := range g.segments {
		if s := (Segment{g.m, int(i)}); s.is(name) {
			if *n--; *n == 0 {
				return s
			}
		}
	}
	for _, inner := range g.groups {
		if s := inner.find(name, n); s.Valid() {
			return s
		}
	}
	return Segment{}
}

// segments lists what the path means: all of places and of [*], else one of
// each group.
func (p *path) segments(from message.Node) []Segment {
	every := p.segment.all || p.kind == message.Places && p.segment.index == 0
	if len(p.groups) > 0 {
		var all []Segment
		for _, g := range p.descend(from) {
			all = p.among(g, every, all)
		}
		return all
	}
	switch n := from.(type) {
	case *Message:
		return p.inMessage(n, every)
	case *Group:
		return p.among(n, every, nil)
	case Segment:
		switch {
		case !n.Valid():
			return nil
		case p.indexed():
		case n.is(p.segment.name):
			return []Segment{n}
		case p.kind != message.Places:
			if s := p.first(n); s.Valid() {
				return []Segment{s}
			}
			return nil
		}
		return p.inMessage(n.m, every)
	}
	return nil
}

func (p *path) inMessage(m *Message, every bool) []Segment {
	if !every {
		if s := m.find(p.segment.name, max(1, p.segment.index)); s.Valid() {
			return []Segment{s}
		}
		return nil
	}
	var all []Segment
	for i := range m.segments {
		if s := (Segment{m, i}); s.is(p.segment.name) {
			all = append(all, s)
		}
	}
	return all
}

// among appends the segments that the path means in one group.
func (p *path) among(g *Group, every bool, out []Segment) []Segment {
	if every {
		return collect(g, p.segment.name, out)
	}
	n := max(1, p.segment.index)
	s := g.find(p.segment.name, &n)
	if !s.Valid() && p.segment.index == 0 && len(p.groups) == 0 {
		s = outwards(g, p.segment.name)
	}
	if s.Valid() {
		out = append(out, s)
	}
	return out
}

// collect lists the segments of a name in a group and the groups inside, in order.
func collect(g *Group, name string, out []Segment) []Segment {
	for _, i := range g.segments {
		if s := (Segment{g.m, int(i)}); s.is(name) {
			out = append(out, s)
		}
	}
	for _, inner := range g.groups {
		out = collect(inner, name, out)
	}
	return out
}

// descend lists the groups that the path leads to: from the group of its first
// name that the node in hand stands in, else from the whole message.
func (p *path) descend(from message.Node) []*Group {
	var g *Group
	switch n := from.(type) {
	case *Message:
		return p.steps(n.Groups(), p.groups)
	case *Group:
		g = n
	case Segment:
		if n.Valid() {
			n.m.Groups()
			g = n.m.owners[n.index]
		}
	}
	if g == nil {
		return nil
	}
	if first := p.groups[0]; first.index == 0 && !first.all {
		for around := g; around != nil; around = around.parent {
			if around.name == first.name {
				return p.steps(around, p.groups[1:])
			}
		}
	}
	if inside := p.steps(g, p.groups); len(inside) > 0 {
		return inside
	}
	return p.steps(g.m.Groups(), p.groups)
}

func (p *path) steps(g *Group, steps []step) []*Group {
	if len(steps) == 0 {
		return []*Group{g}
	}
	var found []*Group
	nearest(g, steps[0].name, &found)
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
		out = append(out, p.steps(inner, steps[1:])...)
	}
	return out
}

// nearest lists the groups of a name below g, none inside another.
func nearest(g *Group, name string, out *[]*Group) {
	for _, inner := range g.groups {
		if inner.name == name {
			*out = append(*out, inner)
			continue
		}
		nearest(inner, name, out)
	}
}
