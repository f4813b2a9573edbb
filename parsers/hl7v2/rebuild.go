package hl7v2

// Rebuild appends the message made again from every node of the tree: segment
// names, fields, repetitions, components, subcomponents and the separators
// between them, never the kept source. It equals the source where the tree
// holds all of it.
func (m *Message) Rebuild(dst []byte) []byte {
	b := builder{m: m, out: dst}
	if len(m.segments) > 0 {
		b.out = append(b.out, m.raw[:m.rawEnd(m.segments[0].start)]...) // a mark or white space before the first segment
	}
	for i := range m.segments {
		b.segment(Segment{m, i})
		p := m.segments[i]
		b.out = append(b.out, m.text[p.end:p.next]...) // the terminator as it was
	}
	return b.out
}

// A builder writes the nodes of a tree; its slices are those of the level in hand.
type builder struct {
	m                         *Message
	out                       []byte
	fields, reps, comps, subs []Value
}

func (b *builder) segment(s Segment) {
	name := s.Name()
	if name == "" {
		b.out = append(b.out, s.Raw()...) // a line that is no segment
		return
	}
	b.out = append(b.out, name...)
	b.fields = s.AppendFields(b.fields[:0])
	for i, f := range b.fields {
		if i > 1 || !s.header() { // MSH-1 is the separator itself
			b.out = append(b.out, b.m.delims.Field)
		}
		b.field(f)
	}
}

func (b *builder) field(field Value) {
	d := b.m.delims
	if b.reps = field.AppendParts(b.reps[:0]); len(b.reps) == 0 {
		b.out = append(b.out, field.Raw()...) // no text, but perhaps a switch of the character set
	}
	for r, rep := range b.reps {
		if r > 0 {
			b.out = append(b.out, d.Repetition)
		}
		b.comps = rep.AppendParts(b.comps[:0])
		for c, comp := range b.comps {
			if c > 0 {
				b.out = append(b.out, d.Component)
			}
			b.subs = comp.AppendParts(b.subs[:0])
			for s, sub := range b.subs {
				if s > 0 {
					b.out = append(b.out, d.Subcomponent)
				}
				b.out = append(b.out, sub.Raw()...)
			}
		}
	}
}
