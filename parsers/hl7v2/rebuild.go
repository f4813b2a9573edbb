package hl7v2

// Rebuild appends the message made again from every node of the tree: segment
// names, fields, repetitions, components, subcomponents and the separators
// between them, never the kept source. It equals the source where the tree
// holds all of it.
func (m *Message) Rebuild(dst []byte) []byte {
	if len(m.segments) > 0 {
		dst = append(dst, m.raw[:m.rawEnd(m.segments[0].start)]...) // a mark or white space before the first segment
	}
	for i := range m.segments {
		dst = m.rebuildSegment(dst, Segment{m, i})
		p := m.segments[i]
		dst = append(dst, m.text[p.end:p.next]...) // the terminator as it was
	}
	return dst
}

func (m *Message) rebuildSegment(dst []byte, s Segment) []byte {
	name := s.Name()
	if name == "" {
		return append(dst, s.Raw()...) // a line that is no segment
	}
	dst = append(dst, name...)
	n := s.Fields()
	first := 1
	if s.header() && n > 0 {
		dst = append(dst, s.Field(1).Raw()...)
		dst = append(dst, s.Field(2).Raw()...)
		first = 3
	}
	for f := first; f <= n; f++ {
		dst = append(dst, m.delims.Field)
		dst = m.rebuildField(dst, s.Field(f))
	}
	return dst
}

func (m *Message) rebuildField(dst []byte, field Value) []byte {
	for r := 1; r <= field.Reps(); r++ {
		if r > 1 {
			dst = append(dst, m.delims.Repetition)
		}
		rep := field.Rep(r)
		for c := 1; c <= rep.Comps(); c++ {
			if c > 1 {
				dst = append(dst, m.delims.Component)
			}
			comp := rep.Comp(c)
			for s := 1; s <= comp.Subs(); s++ {
				if s > 1 {
					dst = append(dst, m.delims.Subcomponent)
				}
				dst = append(dst, comp.Sub(s).Raw()...)
			}
		}
	}
	return dst
}
