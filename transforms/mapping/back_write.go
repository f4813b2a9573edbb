package mapping

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
	"github.com/plexus-health/plexus/transforms"
)

// A vfield is one repetition of an HL7 v2 field: components of subcomponents.
type vfield [][]string

// textField is a field of one text.
func textField(text string) vfield { return vfield{{text}} }

// put writes a component or subcomponent, counted from 1; 0 is the first.
func (f vfield) put(comp, sub int, text string) vfield {
	comp, sub = max(comp, 1), max(sub, 1)
	for len(f) < comp {
		f = append(f, nil)
	}
	for len(f[comp-1]) < sub {
		f[comp-1] = append(f[comp-1], "")
	}
	f[comp-1][sub-1] = text
	return f
}

func (f vfield) empty() bool {
	return !slices.ContainsFunc(f, func(c []string) bool { return slices.ContainsFunc(c, func(s string) bool { return s != "" }) })
}

// A vsegment is a segment that is being made.
type vsegment struct {
	name   string
	fields map[int][]vfield
	pos    int // in the structure
}

// A vmessage is a message that is being made.
type vmessage struct {
	structure, version string
	order              []string // segments of the structure, in order
	segments           []*vsegment
}

func newMessage(structure, version string) *vmessage {
	m := &vmessage{structure: structure, version: version}
	var walk func(e *definitions.Element)
	walk = func(e *definitions.Element) {
		for _, inner := range e.Elements {
			if inner.Group {
				walk(inner)
				continue
			}
			m.order = append(m.order, inner.Name)
		}
	}
	if s := definitions.Structure(structure); s != nil {
		walk(s)
	}
	return m
}

// segment returns the last segment of a name, made where there is none.
func (m *vmessage) segment(name string) *vsegment {
	for i := len(m.segments) - 1; i >= 0; i-- {
		if m.segments[i].name == name {
			return m.segments[i]
		}
	}
	return m.add(name)
}

// add makes a segment. One that the structure has at several places goes to the
// first behind what was made before it.
func (m *vmessage) add(name string) *vsegment {
	last := 0
	if n := len(m.segments); n > 0 {
		last = m.segments[n-1].pos
	}
	s := &vsegment{name: name, fields: map[int][]vfield{}, pos: len(m.order)}
	first := slices.Index(m.order, name)
	if first >= 0 {
		s.pos = first
	}
	for i := last; i < len(m.order) && first < last; i++ {
		if m.order[i] == name {
			s.pos = i
			break
		}
	}
	m.segments = append(m.segments, s)
	return s
}

// get is the first repetition of a field of the last segment of a name.
func (m *vmessage) get(name string, field int) vfield {
	for i := len(m.segments) - 1; i >= 0; i-- {
		if m.segments[i].name == name {
			if reps := m.segments[i].fields[field]; len(reps) > 0 {
				return reps[0]
			}
			return nil
		}
	}
	return nil
}

// encode writes the message under a control id and a time.
func (m *vmessage) encode(control, at string) []byte {
	msh := m.segment("MSH")
	code, event, _ := strings.Cut(m.structure, "_")
	fill := func(field int, f vfield) {
		if len(msh.fields[field]) == 0 {
			msh.fields[field] = []vfield{f}
		}
	}
	fill(9, vfield{{code}, {event}, {m.structure}})
	fill(11, textField("P"))
	fill(12, textField(m.version))
	msh.fields[7], msh.fields[10] = []vfield{textField(at)}, []vfield{textField(control)}
	list := slices.Clone(m.segments)
	slices.SortStableFunc(list, func(a, b *vsegment) int {
		switch { // the header first, whatever the structure says
		case a.name == "MSH":
			return -1
		case b.name == "MSH":
			return 1
		}
		return a.pos - b.pos
	})
	var body []byte
	for _, s := range list {
		body = s.append(body)
	}
	if slices.ContainsFunc(body, func(c byte) bool { return c >= utf8.RuneSelf }) && len(msh.fields[18]) == 0 {
		msh.fields[18] = []vfield{textField("UNICODE UTF-8")}
		return m.encode(control, at)
	}
	return body
}

func (s *vsegment) append(dst []byte) []byte {
	last := 0
	for n, reps := range s.fields {
		if slices.ContainsFunc(reps, func(f vfield) bool { return !f.empty() }) {
			last = max(last, n)
		}
	}
	if last == 0 && s.name != "MSH" {
		return dst
	}
	dst = append(dst, s.name...)
	from := 1
	if s.name == "MSH" {
		dst, from = append(dst, `|^~\&`...), 3
	}
	for n := from; n <= last; n++ {
		dst = append(dst, '|')
		for i, f := range s.fields[n] {
			if i > 0 {
				dst = append(dst, '~')
			}
			dst = f.append(dst)
		}
	}
	return append(dst, '\r')
}

func (f vfield) append(dst []byte) []byte {
	lastComp := len(f)
	for lastComp > 0 && !slices.ContainsFunc(f[lastComp-1], func(s string) bool { return s != "" }) {
		lastComp--
	}
	for i := range lastComp {
		if i > 0 {
			dst = append(dst, '^')
		}
		subs := f[i]
		for len(subs) > 0 && subs[len(subs)-1] == "" {
			subs = subs[:len(subs)-1]
		}
		for j, text := range subs {
			if j > 0 {
				dst = append(dst, '&')
			}
			dst = appendEscaped(dst, text)
		}
	}
	return dst
}

// appendEscaped writes a text: delimiters as escape sequences, line ends as the
// formatting command for them, other control characters not at all (HL7 v2.5.1,
// 2.7).
func appendEscaped(dst []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '|':
			dst = append(dst, `\F\`...)
		case c == '^':
			dst = append(dst, `\S\`...)
		case c == '~':
			dst = append(dst, `\R\`...)
		case c == '&':
			dst = append(dst, `\T\`...)
		case c == '\\':
			dst = append(dst, `\E\`...)
		case c == '\r' && i+1 < len(text) && text[i+1] == '\n':
		case c == '\n' || c == '\r':
			dst = append(dst, `\.br\`...)
		case c == '\t':
			dst = append(dst, ' ')
		case c < ' ' || c == 0x7f:
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// Made is an HL7 v2 message that a map made.
type Made struct {
	*hl7v2.Message
	parser   *hl7v2.Parser
	made     *vmessage
	origins  []transforms.Origin
	findings []transforms.Finding
}

var (
	_ transforms.Stamper   = (*Made)(nil)
	_ transforms.Explainer = (*Made)(nil)
)

// Stamp sets MSH-10 and MSH-7.
func (m *Made) Stamp(control string, at time.Time) {
	if next, err := m.parse(control, at.Format("20060102150405-0700")); err == nil {
		m.Message = next
	}
}

func (m *Made) parse(control, at string) (*hl7v2.Message, error) {
	doc, err := m.parser.Parse(m.made.encode(control, at))
	if err != nil {
		return nil, err
	}
	next, _ := doc.(*hl7v2.Message)
	return next, nil
}

// Provenance lists the fields with the elements they came from.
func (m *Made) Provenance() []transforms.Origin { return m.origins }

// Unmapped is empty: what of a resource reached nothing is not known.
func (m *Made) Unmapped() []string { return nil }

// Findings are the warnings of the rows.
func (m *Made) Findings() []transforms.Finding { return m.findings }
