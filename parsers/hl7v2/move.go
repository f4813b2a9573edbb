package hl7v2

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// Move takes the segments or the group of one path to the place of another, as
// Insert finds it, byte for byte. A repetition that is taken to the place of one
// is put before it; another value replaces what stands where it is taken.
func (e *Editor) Move(from, to string) error {
	p, err := e.compiled(from)
	if err != nil {
		return err
	}
	q, err := e.compiled(to)
	if err != nil {
		return err
	}
	if p.field > 0 || q.field > 0 {
		return e.moveValue(from, to, p, q)
	}
	nodes := p.Nodes(e.m)
	if len(nodes) == 0 {
		return fmt.Errorf("%s: there is no such place", from)
	}
	at, err := e.before(to, q)
	if err != nil {
		return err
	}
	edits := e.lines(nodes)
	var taken []byte
	if at > 0 && !lineEnd(rune(e.m.raw[at-1])) && e.m.raw[at-1] != ' ' && e.m.raw[at-1] != '\t' {
		taken = append(taken, e.usualEnd()...)
	}
	for _, d := range edits {
		if d.start == 0 {
			return fmt.Errorf("%s: the header stays where it is", from)
		}
		if at > d.start && at < d.end {
			return fmt.Errorf("%s: it cannot be moved into itself", from)
		}
		if taken = append(taken, e.m.raw[d.start:d.end]...); !lineEnd(rune(taken[len(taken)-1])) {
			taken = append(taken, e.usualEnd()...)
		}
	}
	return e.apply(append(edits, edit{start: at, end: at, with: taken}))
}

// lines takes away segments with their ends, but not the spaces that stand
// before the next.
func (e *Editor) lines(nodes []message.Node) []edit {
	var all []int
	for _, n := range nodes {
		all = append(all, segmentsOf(n)...)
	}
	slices.Sort(all)
	var edits []edit
	for _, i := range slices.Compact(all) {
		p := e.m.segments[i]
		end := p.end + int32(len(strings.TrimRight(e.m.text[p.end:p.next], " \t")))
		edits = append(edits, edit{start: e.m.rawStart(p.start), end: e.m.rawEnd(end)})
	}
	return edits
}

// moveValue takes a value, as it is encoded, to another place. Both are found
// before anything is changed.
func (e *Editor) moveValue(from, to string, p, q *path) error {
	switch {
	case p.field == 0:
		return fmt.Errorf("%s is no value, and %s is the place of one", from, to)
	case q.field == 0:
		return fmt.Errorf("%s names no field", to)
	}
	v, err := e.one(p)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if w, err := e.one(q); err == nil && w == v {
		return nil // it is there
	}
	raw := slices.Clone(v.Raw())
	cut, err := e.removal(p)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	apart := q.separators(e.m.delims)
	if strings.ContainsAny(e.m.text[v.start:v.end], string(apart)) {
		return fmt.Errorf("%s: it has parts that %s has no place for", from, to)
	}
	put, err := e.putting(p, q, to, raw)
	switch {
	case err != nil:
		return err
	case len(put) == 0:
		return fmt.Errorf("%s: there is no such place", to)
	}
	for i := range put {
		put[i].means, put[i].checked = e.m.text[v.start:v.end], true
	}
	if err := e.apply(append(put, cut...)); err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	return nil
}

// one is the only value that a path means.
func (e *Editor) one(p *path) (Value, error) {
	var found []Value
	for _, s := range p.segments(e.m) {
		if !p.rep.all {
			found = append(found, p.pick(s))
			continue
		}
		for _, rep := range s.Field(p.field).EachRep() {
			found = append(found, p.below(rep))
		}
	}
	found = slices.DeleteFunc(found, func(v Value) bool { return v.m == nil || v.Empty() })
	switch len(found) {
	case 0:
		return Value{}, errors.New("there is no such value")
	case 1:
		return found[0], nil
	}
	return Value{}, fmt.Errorf("%d values are meant, and only one can be moved", len(found))
}

// whole reports whether a path names one repetition by its number.
func (p *path) whole() bool { return p.field > 0 && p.comp == 0 && p.rep.index > 0 }

// putting are the edits that put a value to a place: a repetition before another,
// anything else instead of what stands there.
func (e *Editor) putting(p, q *path, to string, raw []byte) ([]edit, error) {
	if !p.whole() || !q.whole() {
		return e.writes(to, raw)
	}
	var edits []edit
	for _, s := range q.segments(e.m) {
		f := s.Field(q.field)
		rep := f.Rep(q.rep.index)
		if f.Empty() || rep.m == nil || s.header() && q.field < 3 {
			return e.writes(to, raw)
		}
		start, _ := rep.Span()
		edits = append(edits, edit{start: start, end: start, with: raw, after: e.m.delims.Repetition})
	}
	return edits, nil
}

// separators are those that a value at the place of a path cannot hold.
func (p *path) separators(d Delims) []byte {
	out := []byte{d.Field, d.Repetition, '\r', '\n'}
	if p.comp > 0 {
		out = append(out, d.Component)
	}
	if p.sub > 0 {
		out = append(out, d.Subcomponent)
	}
	return out
}
