package hl7v2

// Rebuild appends the message made again from every node of the tree: segment
// names, fields, repetitions, components, subcomponents and the separators
// between them, never the kept source. It equals the source where the tree
// holds all of it.
func (m *Message) Rebuild(dst []byte) []byte {
	if len(m.segments) > 0 {
		dst = append(dst, m.raw[:m.rawEnd(m.segments[0].start)]...) // a mark or white space before the first segment
	}
	for w := m.Walk(); w.NextSegment(); {
		s := w.Segment()
		start, end := s.Span()
		if s.Name() != "" {
			end = m.rawEnd(m.segments[s.index].start + 3) // with a switch of the character set in it
		} // else a line that is no segment
		dst = append(dst, m.raw[start:end]...)
		header := s.header()
		for w.Next() {
			if c := w.place.separator(&m.delims); w.place.Field > 2 || !header {
				dst = append(dst, c)
			}
			dst = append(dst, w.Value().Raw()...) // without text, too: perhaps there is a switch of the character set
		}
		p := m.segments[s.index]
		dst = append(dst, m.text[p.end:p.next]...) // the terminator as it was
	}
	return dst
}

// separator is what stands before a leaf.
func (p Place) separator(d *Delims) byte {
	switch {
	case p.Sub > 1:
		return d.Subcomponent
	case p.Comp > 1:
		return d.Component
	case p.Rep > 1:
		return d.Repetition
	}
	return d.Field
}
