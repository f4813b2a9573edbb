package mapping

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/plexus-health/plexus/fhir"
)

// write writes a value that needs no conversion: a text, a primitive, what was
// written before.
func (r *v2Run) write(row int32, it *v2Item, at v2Pos) bool {
	r.row = row
	switch {
	case len(it.leaves) > 0:
		made := false
		for i := range it.leaves {
			l := &it.leaves[i]
			to := at
			if len(it.leaves) > 1 || l.comp > 1 || l.sub > 1 {
				to = at.child(&v2Target{comp: l.comp, sub: l.sub})
			}
			made = r.put(to, l.text, l.from, l.formatted) || made
		}
		return made
	case it.node == nil:
		return r.put(at, it.text, it.from, false)
	case it.node.Kind == fhir.Bool:
		return r.put(at, v2Boolean(it.node), it.node, false)
	}
	return r.put(at, it.String(), it.node, false)
}

// put writes one value, clean of what a message has no place for. An empty one
// is none.
func (r *v2Run) put(at v2Pos, text string, from *fhir.Node, formatted bool) bool {
	text = r.clean(text, from, formatted)
	if text == "" {
		return false
	}
	seg := r.find(at.scope, at.place)
	if seg < 0 {
		seg = len(r.segs)
		order := append(slices.Clone(at.scope.order), int32(at.place), 0)
		r.segs = append(r.segs, v2Seg{place: at.place, order: order, leaves: make([]v2Leaf, 0, 16)})
		at.scope.segs = append(at.scope.segs, int32(seg))
	}
	l := at.leaf()
	l.row, l.text, l.from, l.formatted = r.row, text, from, formatted
	r.segs[seg].leaves = append(r.segs[seg].leaves, l)
	r.leaves++
	if from != nil {
		r.real++
	}
	return true
}

// clean takes out what would break a message apart. What is lost is a finding.
func (r *v2Run) clean(text string, from *fhir.Node, formatted bool) string {
	plain := true
	for i := range len(text) {
		if text[i] < ' ' || text[i] == 0x7f || text[i] >= 0x80 {
			plain = false
			break
		}
	}
	if plain {
		if text == `""` {
			r.note(v2Finding{kind: "conversion", text: "two quotes alone would read as a deletion", node: from})
			return ""
		}
		return text
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	lost := false
	text = strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029:
			if formatted {
				return '\n'
			}
			return ' '
		case c == '\t':
			return ' '
		case c < ' ' || c >= 0x7f && c < 0xa0:
			lost = true
			return -1
		}
		return c
	}, text)
	if lost {
		r.note(v2Finding{kind: "conversion", text: "control characters were left out", node: from})
	}
	return strings.TrimRight(text, "\n ")
}

// finish orders the segments, adds what the writer makes, and reads the bytes.
func (r *v2Run) finish(top *v2Scope, zone *time.Location) (*Message, error) {
	r.header(top)
	sorted := make([]v2Seg, 0, len(r.segs))
	for i := range r.segs {
		if len(r.segs[i].leaves) > 0 {
			sorted = append(sorted, r.segs[i])
		}
	}
	slices.SortStableFunc(sorted, func(a, b v2Seg) int { return slices.Compare(a.order, b.order) })
	for i := range sorted {
		slices.SortStableFunc(sorted[i].leaves, func(a, b v2Leaf) int {
			return compareLeaf(&a, &b)
		})
	}
	m := &Message{run: r, segs: sorted, zone: zone}
	if err := m.render(); err != nil {
		return nil, err
	}
	return m, nil
}

func compareLeaf(a, b *v2Leaf) int {
	for _, pair := range [...][2]int16{{a.field, b.field}, {a.rep, b.rep}, {a.comp, b.comp}, {a.sub, b.sub}} {
		if pair[0] != pair[1] {
			return int(pair[0]) - int(pair[1])
		}
	}
	return 0
}

// header writes what of MSH no row has said: the type, the processing id, the
// version, the character set.
func (r *v2Run) header(top *v2Scope) {
	r.row = r.prog.row
	code, event, _ := strings.Cut(r.prog.structure, "_")
	msh := func(field, comp int16, text string) {
		at := v2Pos{scope: top, place: 0, field: field, rep: 1, comp: comp}
		if !r.present(at) {
			r.put(at, text, nil, false)
		}
	}
	if !r.present(v2Pos{scope: top, place: 0, field: 9, rep: 1}) {
		msh(9, 1, code)
		msh(9, 2, event)
		msh(9, 3, r.prog.structure)
	}
	msh(11, 1, "P")
	msh(12, 1, r.prog.version)
	for i := range r.segs {
		for j := range r.segs[i].leaves {
			if !ascii(r.segs[i].leaves[j].text) {
				msh(18, 1, "UNICODE UTF-8")
				return
			}
		}
	}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendSegment writes one segment: its values in order, separators between
// them, nothing behind the last.
func appendSegment(dst []byte, name string, leaves []v2Leaf) []byte {
	dst = append(dst, name...)
	field, rep, comp, sub := int16(0), int16(1), int16(1), int16(1)
	if name == "MSH" {
		dst = append(dst, `|^~\&`...)
		field = 2
	}
	for i := range leaves {
		l := &leaves[i]
		if l.field > field {
			dst = repeat(dst, '|', int(l.field-field))
			field, rep, comp, sub = l.field, 1, 1, 1
		}
		if l.rep > rep {
			dst = repeat(dst, '~', int(l.rep-rep))
			rep, comp, sub = l.rep, 1, 1
		}
		if l.comp > comp {
			dst = repeat(dst, '^', int(l.comp-comp))
			comp, sub = l.comp, 1
		}
		if l.sub > sub {
			dst = repeat(dst, '&', int(l.sub-sub))
			sub = l.sub
		}
		dst = escape(dst, l.text)
	}
	return append(dst, '\r')
}

func repeat(dst []byte, c byte, n int) []byte {
	for range n {
		dst = append(dst, c)
	}
	return dst
}

// escape writes a text with its delimiters escaped (HL7 v2.5.1, 2.7); a line
// end is the formatting command for one.
func escape(dst []byte, text string) []byte {
	if !strings.ContainsAny(text, "|^~\\&\n") {
		return append(dst, text...)
	}
	for i := range len(text) {
		switch c := text[i]; c {
		case '|':
			dst = append(dst, `\F\`...)
		case '^':
			dst = append(dst, `\S\`...)
		case '~':
			dst = append(dst, `\R\`...)
		case '\\':
			dst = append(dst, `\E\`...)
		case '&':
			dst = append(dst, `\T\`...)
		case '\n':
			dst = append(dst, `\.br\`...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
