package hl7v2

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// An Editor changes a message by paths. What is not touched stays as it is, byte
// for byte. It is for one goroutine.
type Editor struct{ m *Message }

// Edit begins to change a copy of a message: m itself stays as it is.
func Edit(m *Message) *Editor { return &Editor{m} }

// Bytes are those of the message as it is now. They must not be modified.
func (e *Editor) Bytes() []byte { return e.m.raw }

// Encode writes text in the character set of the message, for Insert and
// Replace: delimiters in it mean themselves.
func (e *Editor) Encode(text string) ([]byte, error) { return e.m.encode(text) }

// compiled reads a path, of groups that the structure of the message has.
func (e *Editor) compiled(text string) (*path, error) {
	p, err := Grammar{}.Compile(text)
	if err != nil {
		return nil, err
	}
	if err := e.m.Lacks(p); err != nil {
		return nil, err
	}
	return p.(*path), nil //nolint:forcetypeassert // the grammar makes no others
}

// Set writes text to every place of a path: with [*] to each segment or
// repetition there is, else to the one it names. Fields, repetitions and
// components before it that are absent are made; a segment is not. Delimiters in
// the text are escaped, and it is written in the character set of the message.
func (e *Editor) Set(text, value string) error {
	escaped := string(e.m.delims.escape(nil, value))
	encoded, err := e.m.encode(escaped)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	edits, err := e.writes(text, encoded)
	if err != nil {
		return err
	}
	for i := range edits {
		edits[i].means, edits[i].checked = escaped, true
	}
	before := e.m
	if err := e.apply(edits); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if !e.guessed(text, value) {
		e.m = before
		return fmt.Errorf("%s: %w", text, errCharacter)
	}
	return nil
}

// guessed reports whether text that was written is read again as it was, where
// the message declares no set and bytes are taken for what they look like.
func (e *Editor) guessed(text, value string) bool {
	if e.m.plain || e.m.delims.Escape == 0 || firstHigh(value) < 0 || e.m.charset != nil && e.m.charset.encoding != nil {
		return true
	}
	p, err := e.compiled(text)
	if err != nil {
		return false
	}
	want := strings.ReplaceAll(value, "\r", "\n")
	return !slices.ContainsFunc(p.Texts(e.m), func(got string) bool { return got != want })
}

// SetRaw is Set of what is encoded already: delimiters mean themselves.
func (e *Editor) SetRaw(text string, raw []byte) error {
	if at := slices.IndexFunc(raw, func(b byte) bool { return b == '\r' || b == '\n' || b == e.m.delims.Field }); at >= 0 {
		return fmt.Errorf("byte %d ends the field or the segment", at)
	}
	edits, err := e.writes(text, raw)
	if err != nil {
		return err
	}
	return e.apply(edits)
}

// writes are the edits that write bytes to every place of a path.
func (e *Editor) writes(text string, raw []byte) ([]edit, error) {
	p, err := e.compiled(text)
	if err != nil {
		return nil, err
	}
	if p.field == 0 {
		return nil, fmt.Errorf("%s names no field", text)
	}
	segments := p.segments(e.m)
	if len(segments) == 0 {
		return nil, fmt.Errorf("%s: there is no such segment; insert it first", text)
	}
	var edits []edit
	for _, s := range segments {
		places, err := p.places(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		for _, at := range places {
			edits = append(edits, edit{start: at.start, end: at.end, pad: at.pad, with: raw})
		}
	}
	return edits, nil
}

// An edit puts bytes in place of those from start to end.
type edit struct {
	start, end int
	pad        string // separators before them
	with       []byte
	after      byte   // a separator behind them; 0: none
	means      string // the text that with is to be read as, where checked
	checked    bool
}

// apply makes edits, none of which touches another, and reads the message again.
func (e *Editor) apply(edits []edit) error {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Or(a.start-b.start, a.end-b.end) })
	size := len(e.m.raw)
	for _, d := range edits {
		size += len(d.pad) + len(d.with) + 1
	}
	out := make([]byte, 0, size)
	at := 0
	for _, d := range edits {
		if d.start < at {
			return errors.New("the path means a place twice")
		}
		out = append(append(append(out, e.m.raw[at:d.start]...), d.pad...), d.with...)
		if d.after != 0 {
			out = append(out, d.after)
		}
		at = d.end
	}
	m, err := parse(append(out, e.m.raw[at:]...), Options{Charset: e.m.override, Tolerate: e.m.expected})
	if err != nil {
		return err
	}
	if err := e.reads(m, edits); err != nil {
		return err
	}
	e.m = m
	return nil
}

// errSwitch is why a part of a message cannot be taken away or put somewhere.
var errSwitch = errors.New("escape sequences switch character sets here, and what is not touched would be read differently")

// reads reports whether what was written is read as what it means, and all else
// as before: in the character sets where bytes before it decide that.
func (e *Editor) reads(m *Message, edits []edit) error {
	set := func(m *Message) string { return m.Segment(0).Field(18).Text() }
	if e.m.offsets == nil || m.offsets == nil || set(e.m) != set(m) {
		return nil
	}
	from, to := 0, 0 // in the bytes before and after
	same := func(upTo int) bool {
		before, after := e.m.textOf(from, upTo), m.textOf(to, to+upTo-from)
		to += upTo - from
		return before == after
	}
	for _, d := range edits {
		if !same(d.start) {
			return errSwitch
		}
		to += len(d.pad)
		if d.checked && m.textOf(to, to+len(d.with)) != d.means {
			return errCharacter
		}
		if to, from = to+len(d.with), d.end; d.after != 0 {
			to++
		}
	}
	if !same(len(e.m.raw)) {
		return errSwitch
	}
	return nil
}

// textOf is the text of some bytes of a message that was decoded as a whole.
func (m *Message) textOf(start, end int) string {
	from, _ := slices.BinarySearch(m.offsets, int32(start))
	to, _ := slices.BinarySearch(m.offsets, int32(end))
	return m.text[min(from, len(m.text)):min(to, len(m.text))]
}

// A spotted place is where a value stands, or would stand behind pad.
type spotted struct {
	start, end int
	pad        string
}

// absentMost bounds the separators that are made for a place that is absent.
const absentMost = 1000

// places finds where the values of a path stand in a segment, or would.
func (p *path) places(s Segment) ([]spotted, error) {
	d := s.m.delims
	f := s.Field(p.field)
	if s.header() && p.field < 3 {
		return nil, errors.New("the delimiters of a message cannot be changed")
	}
	if f.m == nil && p.rep.all {
		return nil, nil
	}
	if f.m == nil && p.rep.comp == 0 { // behind the last field
		_, end := s.Span()
		at := spotted{start: end, end: end, pad: strings.Repeat(string(d.Field), p.field-s.Fields())}
		if p.rep.index > 1 {
			if p.rep.index > absentMost || d.Repetition == 0 {
				return nil, fmt.Errorf("there is no place for repetition %d", p.rep.index)
			}
			at.pad += strings.Repeat(string(d.Repetition), p.rep.index-1)
		}
		return p.inside(s.m, at)
	}
	start, end := f.Span()
	switch {
	case p.rep.all:
		var all []spotted
		for _, rep := range f.EachRep() {
			one, err := p.within(rep)
			if err != nil {
				return nil, err
			}
			all = append(all, one...)
		}
		return all, nil
	case p.rep.comp > 0:
		if rep := p.rep.find(f); rep.m != nil {
			return p.within(rep)
		}
		return nil, errors.New("no repetition is the one meant")
	}
	if f.Empty() && p.rep.index < 2 {
		return p.inside(s.m, spotted{start: start, end: end})
	}
	if rep := f.Rep(max(1, p.rep.index)); rep.m != nil {
		return p.within(rep)
	}
	reps := max(1, f.Reps())
	if p.rep.index-reps > absentMost || d.Repetition == 0 {
		return nil, fmt.Errorf("there are %d repetitions, and no place for number %d", reps, p.rep.index)
	}
	return p.inside(s.m, spotted{start: end, end: end, pad: strings.Repeat(string(d.Repetition), p.rep.index-reps)})
}

// inside is the place of the component and subcomponent in an empty one.
func (p *path) inside(m *Message, at spotted) ([]spotted, error) {
	for _, part := range []struct {
		n   int
		sep byte
	}{{p.comp, m.delims.Component}, {p.sub, m.delims.Subcomponent}} {
		if part.n > 1 && part.sep == 0 {
			return nil, errors.New("the message has no separator for it")
		}
		at.pad += strings.Repeat(string(part.sep), max(0, part.n-1))
	}
	return []spotted{at}, nil
}

// within is the place of the component and subcomponent in a repetition.
func (p *path) within(rep Value) ([]spotted, error) {
	d, v, pad := rep.m.delims, rep, ""
	for _, part := range []struct {
		n   int
		sep byte
		get func(Value, int) Value
		has func(Value) int
	}{{p.comp, d.Component, Value.Comp, Value.Comps}, {p.sub, d.Subcomponent, Value.Sub, Value.Subs}} {
		if part.n == 0 {
			break
		}
		if pad != "" { // in what is absent itself
			pad += strings.Repeat(string(part.sep), part.n-1)
			continue
		}
		if inner := part.get(v, part.n); inner.m != nil {
			v = inner
			continue
		}
		if part.sep == 0 {
			return nil, errors.New("the message has no separator for it")
		}
		pad = strings.Repeat(string(part.sep), part.n-part.has(v))
	}
	start, end := v.Span()
	if pad != "" {
		start = end
	}
	return []spotted{{start: start, end: end, pad: pad}}, nil
}

// Delete takes away every place of a path: segments and groups with all their
// segments, a repetition that has an index with its separator; fields,
// components and subcomponents become empty. What is not there is no error.
func (e *Editor) Delete(text string) error {
	p, err := e.compiled(text)
	if err != nil {
		return err
	}
	if p.field == 0 {
		edits := e.cut(p.Nodes(e.m))
		header, _ := e.m.Segment(0).Span()
		if slices.ContainsFunc(edits, func(d edit) bool { return d.start <= header }) {
			return fmt.Errorf("%s: the header cannot be deleted", text)
		}
		return e.apply(edits)
	}
	edits, err := e.removal(p)
	if err == nil {
		err = e.apply(edits)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

// removal are the edits that take away the values of a path.
func (e *Editor) removal(p *path) ([]edit, error) {
	var edits []edit
	for _, s := range p.segments(e.m) {
		if s.header() && p.field < 3 {
			return nil, errors.New("the delimiters of a message cannot be changed")
		}
		if p.comp == 0 && (p.rep.index > 0 || p.rep.comp > 0) {
			edits = append(edits, p.repetition(s)...)
			continue
		}
		f := s.Field(p.field)
		if p.rep.all && p.comp == 0 {
			start, end := f.Span()
			edits = append(edits, edit{start: start, end: end})
			continue
		}
		values := []Value{p.pick(s)}
		if p.rep.all {
			values = values[:0]
			for _, rep := range f.EachRep() {
				values = append(values, p.below(rep))
			}
		}
		for _, v := range values {
			if start, end := v.Span(); v.m != nil {
				edits = append(edits, edit{start: start, end: end})
			}
		}
	}
	return edits, nil
}

// repetition takes away one repetition and one of the separators beside it.
func (p *path) repetition(s Segment) []edit {
	f := s.Field(p.field)
	n := 0
	for i, rep := range f.EachRep() {
		if i == p.rep.index || p.rep.comp > 0 && rep == p.rep.find(f) {
			n = i
		}
	}
	if n == 0 {
		return nil
	}
	start, end := f.Rep(n).Span()
	if next := f.Rep(n + 1); next.m != nil {
		end, _ = next.Span()
	} else if n > 1 {
		_, start = f.Rep(n - 1).Span()
	}
	return []edit{{start: start, end: end}}
}

// cut takes away segments, and groups with all in them.
func (e *Editor) cut(nodes []message.Node) []edit {
	seen := map[int]bool{}
	var edits []edit
	for _, n := range nodes {
		for _, i := range segmentsOf(n) {
			if !seen[i] {
				seen[i] = true
				start, end := e.line(i)
				edits = append(edits, edit{start: start, end: end})
			}
		}
	}
	return edits
}

// segmentsOf lists the segments of a segment or group, in their order.
func segmentsOf(n message.Node) []int {
	switch n := n.(type) {
	case Segment:
		return []int{n.index}
	case *Group:
		return n.all()
	}
	return nil
}

// line is a segment with its end.
func (e *Editor) line(i int) (start, end int) {
	p := e.m.segments[i]
	return e.m.rawStart(p.start), e.m.rawEnd(p.next)
}

// Insert puts what is given before the place of a path: segments (each with or
// without its end) before a segment or group, a repetition before one. The place
// behind the last one, as in OBX[4] where there are three, is that behind it;
// where there is no such segment at all, the end of the message.
func (e *Editor) Insert(text string, raw []byte) error {
	p, err := e.compiled(text)
	switch {
	case err != nil:
		return err
	case p.field > 0 && p.comp == 0 && p.rep.index > 0:
		return e.insertRepetition(text, p, raw)
	case p.field > 0:
		return fmt.Errorf("%s: segments are put before segments or groups, repetitions before repetitions, as in PID-3[2]", text)
	}
	if err := e.areSegments(text, raw); err != nil {
		return err
	}
	at, err := e.before(text, p)
	if err != nil {
		return err
	}
	return e.apply([]edit{{start: at, end: at, with: e.ended(raw, at)}})
}

func lineEnd(r rune) bool { return r == '\r' || r == '\n' }

// usualEnd is the line end that segments have here.
func (e *Editor) usualEnd() string {
	if len(e.m.segments) > 0 {
		p := e.m.segments[0]
		if used := e.m.text[p.end:p.next]; used != "" {
			return strings.TrimRight(used, " \t")
		}
	}
	return "\r"
}

// ended is raw with the line end that segments have here, between what is before
// and behind the place.
func (e *Editor) ended(raw []byte, at int) []byte {
	end := e.usualEnd()
	var out []byte
	if at > 0 && !lineEnd(rune(e.m.raw[at-1])) {
		out = append(out, end...)
	}
	for line := range strings.FieldsFuncSeq(string(raw), lineEnd) {
		out = append(append(out, line...), end...)
	}
	return out
}

// before is the place of a path of segments or groups.
func (e *Editor) before(text string, p *path) (int, error) {
	nodes := p.Nodes(e.m)
	if len(nodes) > 0 {
		if all := segmentsOf(nodes[0]); len(all) > 0 {
			if all[0] == 0 {
				return 0, fmt.Errorf("%s: nothing stands before the header", text)
			}
			start, _ := e.line(all[0])
			return start, nil
		}
	}
	// Behind the last one of the same name.
	last, of := p.segment.index, &p.segment
	if p.segment.name == "" {
		of = &p.groups[len(p.groups)-1]
		last = of.index
	}
	if last > 1 {
		shorter := strings.TrimSuffix(text, "["+strconv.Itoa(last)+"]") + "[" + strconv.Itoa(last-1) + "]"
		q, err := e.compiled(shorter)
		if err != nil {
			return 0, err
		}
		if nodes = q.Nodes(e.m); len(nodes) == 0 {
			return 0, fmt.Errorf("%s: there is no number %d of %s either", text, last-1, of.name)
		}
		all := segmentsOf(nodes[0])
		_, end := e.line(all[len(all)-1])
		return end, nil
	}
	if len(p.groups) > 0 && p.segment.name != "" { // the end of its group
		q := *p
		q.segment, q.kind = step{}, message.Places
		if nodes = q.Nodes(e.m); len(nodes) > 0 {
			all := segmentsOf(nodes[0])
			_, end := e.line(all[len(all)-1])
			return end, nil
		}
		return 0, fmt.Errorf("%s: there is no such group", text)
	}
	return len(e.m.raw), nil
}

// insertRepetition puts a repetition before another, or behind the last.
func (e *Editor) insertRepetition(text string, p *path, raw []byte) error {
	d := e.m.delims
	if d.Repetition == 0 || slices.ContainsFunc(raw, func(b byte) bool { return b == d.Field || b == d.Repetition || lineEnd(rune(b)) }) {
		return fmt.Errorf("%s: what is to be inserted is not one repetition", text)
	}
	var edits []edit
	for _, s := range p.segments(e.m) {
		f := s.Field(p.field)
		rep := f.Rep(p.rep.index)
		if f.Empty() || rep.m == nil {
			return e.SetRaw(text, raw)
		}
		start, _ := rep.Span()
		edits = append(edits, edit{start: start, end: start, with: append(slices.Clone(raw), d.Repetition)})
	}
	if len(edits) == 0 {
		return fmt.Errorf("%s: there is no such segment; insert it first", text)
	}
	return e.apply(edits)
}
