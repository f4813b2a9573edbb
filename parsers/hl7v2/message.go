package hl7v2

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/plexus-health/plexus/message"
)

// Delims are the delimiters of one message (HL7 v2.9, 2.5.4).
type Delims struct {
	Field, Component, Repetition, Escape, Subcomponent byte
	// Truncation is the fifth character of MSH-2 (from v2.7); 0 when absent.
	Truncation byte
}

// A Message is a parsed HL7 v2 message: segment boundaries and delimiters over
// the bytes; fields are found when they are read.
type Message struct {
	raw      []byte // as received
	text     []byte // raw, or decoded where bytes of the charset may equal delimiters
	delims   Delims
	segments []span
	warnings []message.Warning
	charset  *charset
	groups   *Group
}

type span struct {
	start, end int32 // of the segment without its terminator
	next       int32 // where the terminator ends
}

// A Segment is one segment; the zero value is none.
type Segment struct {
	m     *Message
	index int
}

// A Value is a field, repetition, component or subcomponent.
type Value struct {
	m          *Message
	start, end int32
	level      level
}

type level uint8

const (
	fieldLevel level = iota
	repetitionLevel
	componentLevel
	subcomponentLevel
	wholeLevel // MSH-1, MSH-2: their separators mean themselves
)

// Len is the number of segments.
func (m *Message) Len() int { return len(m.segments) }

// Segment returns segment i, from 0.
func (m *Message) Segment(i int) Segment {
	if i < 0 || i >= len(m.segments) {
		return Segment{}
	}
	return Segment{m, i}
}

// Delims are the delimiters of the message.
func (m *Message) Delims() Delims { return m.delims }

// Valid reports whether there is such a segment.
func (s Segment) Valid() bool { return s.m != nil }

// Index is the place of the segment in the message, from 0.
func (s Segment) Index() int { return s.index }

// Span is where the segment stands, without its terminator.
func (s Segment) Span() (start, end int) {
	if s.m == nil {
		return 0, 0
	}
	p := s.m.segments[s.index]
	return int(p.start), int(p.end)
}

// Name is the segment's name: "PID".
func (s Segment) Name() string {
	start, end := s.Span()
	if end-start < 3 {
		return ""
	}
	return segmentName(s.m.text[start : start+3])
}

// Raw are the bytes of the segment without its terminator.
func (s Segment) Raw() []byte {
	if s.m == nil {
		return nil
	}
	start, end := s.Span()
	return s.m.text[start:end]
}

func (s Segment) header() bool {
	switch s.Name() {
	case "MSH", "FHS", "BHS":
		return true
	}
	return false
}

// Field returns field n, from 1, with all its repetitions.
func (s Segment) Field(n int) Value {
	if s.m == nil || n < 1 {
		return Value{}
	}
	start, end := s.Span()
	text := s.m.text
	if end-start < 4 {
		return Value{}
	}
	if s.header() {
		if n == 1 {
			return Value{s.m, int32(start + 3), int32(start + 4), wholeLevel}
		}
		n--
	}
	at := start + 3 // the separator before field 1
	for ; n > 1; n-- {
		next := bytes.IndexByte(text[at+1:end], s.m.delims.Field)
		if next < 0 {
			return Value{}
		}
		at += 1 + next
	}
	from := at + 1
	to := end
	if next := bytes.IndexByte(text[from:end], s.m.delims.Field); next >= 0 {
		to = from + next
	}
	v := Value{s.m, int32(from), int32(to), fieldLevel}
	if s.header() && at == start+3 {
		v.level = wholeLevel // MSH-2
	}
	return v
}

// Fields is the number of the last field that is there.
func (s Segment) Fields() int {
	start, end := s.Span()
	if end-start < 4 {
		return 0
	}
	n := bytes.Count(s.m.text[start+3:end], []byte{s.m.delims.Field})
	if s.header() {
		n++
	}
	return n
}

func (v Value) part(sep byte, n int, to level) Value {
	if v.m == nil || n < 1 {
		return Value{}
	}
	at, end := v.start, v.end
	for {
		next := bytes.IndexByte(v.m.text[at:end], sep)
		stop := end
		if next >= 0 {
			stop = at + int32(next)
		}
		if n == 1 {
			return Value{v.m, at, stop, to}
		}
		if next < 0 {
			return Value{}
		}
		at, n = stop+1, n-1
	}
}

func (v Value) count(sep byte) int {
	if v.m == nil {
		return 0
	}
	return 1 + bytes.Count(v.m.text[v.start:v.end], []byte{sep})
}

// Reps is the number of repetitions of a field that is there, 1 for everything
// below a field, 0 for what is absent.
func (v Value) Reps() int {
	if v.m == nil || v.start == v.end {
		return 0
	}
	if v.level != fieldLevel {
		return 1
	}
	return v.count(v.m.delims.Repetition)
}

// Rep returns repetition n of a field, from 1.
func (v Value) Rep(n int) Value {
	if v.m == nil || v.level != fieldLevel {
		if n == 1 {
			return v
		}
		return Value{}
	}
	return v.part(v.m.delims.Repetition, n, repetitionLevel)
}

// Comps is the number of components; of a field, those of its first repetition.
func (v Value) Comps() int {
	switch v.level {
	case fieldLevel:
		return v.Rep(1).Comps()
	case repetitionLevel:
		return v.count(v.m.delims.Component)
	}
	if v.m == nil {
		return 0
	}
	return 1
}

// Comp returns component n, from 1; of a field, that of its first repetition.
func (v Value) Comp(n int) Value {
	switch {
	case v.m == nil:
		return v
	case v.level == fieldLevel:
		return v.Rep(1).Comp(n)
	case v.level == repetitionLevel:
		return v.part(v.m.delims.Component, n, componentLevel)
	case n == 1:
		return v
	}
	return Value{}
}

// Subs is the number of subcomponents.
func (v Value) Subs() int {
	switch v.level {
	case fieldLevel, repetitionLevel:
		return v.Comp(1).Subs()
	case componentLevel:
		if v.m != nil && v.m.delims.Subcomponent != 0 {
			return v.count(v.m.delims.Subcomponent)
		}
	}
	if v.m == nil {
		return 0
	}
	return 1
}

// Sub returns subcomponent n, from 1.
func (v Value) Sub(n int) Value {
	switch {
	case v.m == nil:
		return v
	case v.level < componentLevel:
		return v.Comp(1).Sub(n)
	case v.level == componentLevel && v.m.delims.Subcomponent != 0:
		return v.part(v.m.delims.Subcomponent, n, subcomponentLevel)
	case n == 1:
		return v
	}
	return Value{}
}

// Raw are the bytes as they stand.
func (v Value) Raw() []byte {
	if v.m == nil {
		return nil
	}
	return v.m.text[v.start:v.end]
}

// Span is where the value stands in the message.
func (v Value) Span() (start, end int) { return int(v.start), int(v.end) }

// Empty reports whether nothing was sent.
func (v Value) Empty() bool { return v.start == v.end }

// Null reports whether the value is "" (two quotes): to be deleted (2.5.3).
func (v Value) Null() bool {
	return v.end-v.start == 2 && v.m.text[v.start] == '"' && v.m.text[v.start+1] == '"'
}

// Valued reports whether there is something other than separators and "".
func (v Value) Valued() bool {
	if v.m == nil || v.start == v.end || v.Null() {
		return false
	}
	if v.level == wholeLevel || v.level == subcomponentLevel {
		return true
	}
	d := v.m.delims
	for _, c := range v.m.text[v.start:v.end] {
		if c != d.Component && c != d.Repetition && (c != d.Subcomponent || d.Subcomponent == 0) {
			return true
		}
	}
	return false
}

// malformed is a refusal with its place.
func malformed(where string, offset, code int, format string, args ...any) *message.Failure {
	err := errors.New(format)
	if len(args) > 0 {
		err = fmt.Errorf(format, args...)
	}
	return &message.Failure{Kind: message.Malformed, Where: where, Offset: offset, Code: code, Err: err}
}
