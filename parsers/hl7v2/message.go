package hl7v2

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// Delims are the delimiters of one message (HL7 v2.9, 2.5.4).
type Delims struct {
	Field, Component, Repetition, Escape, Subcomponent byte
	// Truncation is the fifth character of MSH-2 (from v2.7); 0 when absent.
	Truncation byte
}

// A Message is a parsed HL7 v2 message: segment boundaries and delimiters over
// the bytes; fields are found when they are read. Reading fields is safe from
// several goroutines once Groups has been called.
type Message struct {
	raw []byte // as received
	// text is raw as a string; decoded where bytes of a character may equal
	// delimiters, and offsets then holds the byte of raw each byte of text
	// comes from.
	text     string
	offsets  []int32
	plain    bool // text is valid UTF-8: values need no decoding
	escapes  bool // an escape character stands behind MSH-2
	delims   Delims
	segments []span
	warnings []message.Warning
	expected []string // codes of warnings not to be given
	charset  *charset
	override string // the character set that counts in place of MSH-18
	groups   *Group
	owners   []*Group // by segment
}

type span struct {
	start, end int32 // of the segment without its terminator, in text
	next       int32 // where the next segment begins
}

// A Segment is one segment; the zero value is none.
type Segment struct {
	m     *Message
	index int
}

// A Value is a field, repetition, component or subcomponent. The zero value is
// one that is absent.
type Value struct {
	m          *Message
	start, end int32
	level      level // and whether it is flat; four fields stay in registers
}

type level uint8

const (
	fieldLevel level = iota
	repetitionLevel
	componentLevel
	subcomponentLevel
	wholeLevel // MSH-1, MSH-2: their separators mean themselves
)

// flat beside a level: the value is known to hold no separator.
const flat level = 8

// of is the level alone.
func (l level) of() level { return l &^ flat }

// Len is the number of segments, with lines that are no segments.
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

// rawStart is the byte of raw where a value begins that begins at a place of text.
func (m *Message) rawStart(at int32) int {
	switch {
	case m.offsets == nil || at == 0:
		return int(at)
	case m.text[at-1] < 0x80: // a delimiter: right after it, before any shift of the character set
		return int(m.offsets[at-1]) + 1
	}
	return m.rawEnd(at)
}

// rawEnd is the byte of raw where a value ends that ends at a place of text.
func (m *Message) rawEnd(at int32) int {
	if m.offsets == nil {
		return int(at)
	}
	return int(m.offsets[at])
}

// Valid reports whether there is such a segment.
func (s Segment) Valid() bool { return s.m != nil }

// Index is the place of the segment in the message, from 0.
func (s Segment) Index() int { return s.index }

// Span is where the segment stands in the message, without its terminator.
func (s Segment) Span() (start, end int) {
	if s.m == nil {
		return 0, 0
	}
	p := s.m.segments[s.index]
	return s.m.rawStart(p.start), s.m.rawEnd(p.end)
}

// line is the segment's text.
func (s Segment) line() string {
	if s.m == nil {
		return ""
	}
	p := s.m.segments[s.index]
	return s.m.text[p.start:p.end]
}

// Name is the segment's name: "PID". "" for a line that is no segment.
func (s Segment) Name() string {
	line := s.line()
	if len(line) < 3 || len(line) > 3 && line[3] != s.m.delims.Field {
		return ""
	}
	return line[:3]
}

// is reports whether the segment has a name.
func (s Segment) is(name string) bool {
	p := s.m.segments[s.index]
	n := p.end - p.start
	return n >= 3 && s.m.text[p.start:p.start+3] == name && (n == 3 || s.m.text[p.start+3] == s.m.delims.Field)
}

// Raw are the bytes of the segment as received, without its terminator.
func (s Segment) Raw() []byte {
	if s.m == nil {
		return nil
	}
	start, end := s.Span()
	return s.m.raw[start:end:end]
}

func (s Segment) header() bool {
	switch s.Name() {
	case "MSH", "FHS", "BHS":
		return true
	}
	return false
}

// Field returns field n, from 1, with all its repetitions. MSH-1 is the field
// separator, MSH-2 the other delimiters.
func (s Segment) Field(n int) Value {
	if s.m == nil || n < 1 || s.Name() == "" {
		return Value{}
	}
	p := s.m.segments[s.index]
	text, sep := s.m.text[:p.end], s.m.delims.Field
	at := int(p.start) + 4 // after the separator before field 1
	if at > len(text) {
		return Value{}
	}
	level := fieldLevel
	if s.header() {
		if n == 1 {
			return Value{m: s.m, start: int32(at - 1), end: int32(at), level: wholeLevel}
		}
		if n--; n == 1 {
			level = wholeLevel // MSH-2
		}
	}
	for ; n > 1; n-- {
		next := strings.IndexByte(text[at:], sep)
		if next < 0 {
			return Value{}
		}
		at += next + 1
	}
	to := len(text)
	if next := strings.IndexByte(text[at:], sep); next >= 0 {
		to = at + next
	}
	return Value{m: s.m, start: int32(at), end: int32(to), level: level}
}

// Fields is the number of the last field that is there.
func (s Segment) Fields() int {
	line := s.line()
	if s.Name() == "" || len(line) < 4 {
		return 0
	}
	n := strings.Count(line[3:], line[3:4])
	if s.header() {
		n++
	}
	return n
}

func (v Value) part(sep byte, n int, to level) Value {
	if v.m == nil || n < 1 {
		return Value{}
	}
	if v.level&flat != 0 {
		sep = 0 // there is none to be found
	}
	at, end := v.start, v.end
	for {
		next := -1
		if sep != 0 {
			next = strings.IndexByte(v.m.text[at:end], sep)
		}
		stop := end
		if next >= 0 {
			stop = at + int32(next)
		}
		if n == 1 {
			return Value{m: v.m, start: at, end: stop, level: to | v.level&flat}
		}
		if next < 0 {
			return Value{}
		}
		at, n = stop+1, n-1
	}
}

func (v Value) count(sep byte) int {
	if v.level&flat != 0 {
		return 1
	}
	n, text := 1, v.m.text[v.start:v.end]
	for i := 0; sep != 0 && i < len(text); i++ {
		if text[i] == sep {
			n++
		}
	}
	return n
}

// Reps is the number of repetitions of a field that is there, 1 for everything
// below a field, 0 for what is absent.
func (v Value) Reps() int {
	if v.m == nil || v.start == v.end {
		return 0
	}
	if v.level.of() != fieldLevel {
		return 1
	}
	return v.count(v.m.delims.Repetition)
}

// Rep returns repetition n of a field, from 1.
func (v Value) Rep(n int) Value {
	if v.m == nil || v.level.of() != fieldLevel {
		if n == 1 {
			return v
		}
		return Value{}
	}
	return v.part(v.m.delims.Repetition, n, repetitionLevel)
}

// EachRep goes over the repetitions of a field, from 1, in one pass: Rep counts
// from the beginning each time. It yields nothing for what is absent, and what
// stands below a field as its own only repetition.
func (v Value) EachRep() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if v.m == nil || v.start == v.end {
			return
		}
		if v.level.of() != fieldLevel {
			yield(1, v)
			return
		}
		for n, at := 1, v.start; ; n++ {
			next := -1
			if sep := v.m.delims.Repetition; sep != 0 {
				next = strings.IndexByte(v.m.text[at:v.end], sep)
			}
			if next < 0 {
				yield(n, Value{m: v.m, start: at, end: v.end, level: repetitionLevel | v.level&flat})
				return
			}
			stop := at + int32(next)
			if !yield(n, Value{m: v.m, start: at, end: stop, level: repetitionLevel}) {
				return
			}
			at = stop + 1
		}
	}
}

// Comps is the number of components; of a field, those of its first repetition.
func (v Value) Comps() int {
	switch {
	case v.m == nil:
		return 0
	case v.level.of() == fieldLevel:
		return v.Rep(1).Comps()
	case v.level.of() == repetitionLevel:
		return v.count(v.m.delims.Component)
	}
	return 1
}

// Comp returns component n, from 1; of a field, that of its first repetition.
func (v Value) Comp(n int) Value {
	switch {
	case v.m == nil:
		return v
	case v.level.of() == fieldLevel:
		return v.Rep(1).Comp(n)
	case v.level.of() == repetitionLevel:
		return v.part(v.m.delims.Component, n, componentLevel)
	case n == 1:
		return v
	}
	return Value{}
}

// Subs is the number of subcomponents; of what stands higher, those of its
// first component.
func (v Value) Subs() int {
	switch {
	case v.m == nil:
		return 0
	case v.level.of() < componentLevel:
		return v.Comp(1).Subs()
	case v.level.of() == componentLevel:
		return v.count(v.m.delims.Subcomponent)
	}
	return 1
}

// Sub returns subcomponent n, from 1.
func (v Value) Sub(n int) Value {
	switch {
	case v.m == nil:
		return v
	case v.level.of() < componentLevel:
		return v.Comp(1).Sub(n)
	case v.level.of() == componentLevel:
		return v.part(v.m.delims.Subcomponent, n, subcomponentLevel)
	case n == 1:
		return v
	}
	return Value{}
}

// Raw are the bytes as received. They must not be modified.
func (v Value) Raw() []byte {
	if v.m == nil {
		return nil
	}
	start, end := v.Span()
	return v.m.raw[start:end:end]
}

// Span is where the value stands in the message.
func (v Value) Span() (start, end int) {
	if v.m == nil {
		return 0, 0
	}
	return v.m.rawStart(v.start), v.m.rawEnd(v.end)
}

// Empty reports whether nothing was sent.
func (v Value) Empty() bool { return v.start == v.end }

// Absent reports whether there is no such place: a field behind the last one, or
// one of a segment that is not there.
func (v Value) Absent() bool { return v.m == nil }

// Null reports whether the value is "" (two quotes): to be deleted (2.5.3).
func (v Value) Null() bool {
	return v.end-v.start == 2 && v.m.text[v.start] == '"' && v.m.text[v.start+1] == '"'
}

// Valued reports whether there is something other than separators and "".
func (v Value) Valued() bool {
	if v.m == nil || v.start == v.end || v.Null() {
		return false
	}
	if v.level.of() == wholeLevel || v.level.of() == subcomponentLevel {
		return true
	}
	d, text := v.m.delims, v.m.text[v.start:v.end]
	for i := range len(text) {
		if c := text[i]; c != d.Component && c != d.Repetition && c != d.Subcomponent {
			return true
		}
	}
	return false
}

// AppendFields appends fields 1 to Fields of the segment to dst in one scan,
// for who reads many of them. It notes which of them have no parts.
func (s Segment) AppendFields(dst []Value) []Value {
	if s.m == nil || s.Name() == "" {
		return dst
	}
	p := s.m.segments[s.index]
	at := p.start + 4 // after the separator before field 1
	if at > p.end {
		return dst
	}
	text := s.m.text[:p.end]
	level := fieldLevel | flat
	if s.header() {
		dst = append(dst, s.Field(1))
		level = wholeLevel // MSH-2
	}
	separators := s.m.delims.separators()
	for i := int(at); i < len(text); i++ {
		sort := separators[text[i]]
		if sort == noSeparator {
			continue
		}
		if sort != ofFields {
			level &^= flat
			continue
		}
		dst = append(dst, Value{m: s.m, start: at, end: int32(i), level: level})
		at, level = int32(i+1), fieldLevel|flat
	}
	return append(dst, Value{m: s.m, start: at, end: p.end, level: level})
}

// AppendParts appends the repetitions of a field, the components of a
// repetition or the subcomponents of a component to dst in one scan, for who
// reads all of them. What has no parts is its own only one; an absent or empty
// field has none.
func (v Value) AppendParts(dst []Value) []Value {
	if v.m == nil || v.level.of() == fieldLevel && v.start == v.end {
		return dst
	}
	var sep, below byte // those that part v, and of the parts the next
	d := &v.m.delims
	switch v.level.of() {
	case fieldLevel:
		sep, below = d.Repetition, d.Component
	case repetitionLevel:
		sep, below = d.Component, d.Subcomponent
	case componentLevel:
		sep = d.Subcomponent
	case subcomponentLevel, wholeLevel:
		return append(dst, v)
	}
	if v.level&flat != 0 {
		return append(dst, Value{m: v.m, start: v.start, end: v.end, level: v.level + 1})
	}
	text, from, level := v.m.text[:v.end], v.start, (v.level+1)|flat
	for i := int(from); i < len(text); i++ {
		c := text[i]
		if c != sep {
			if c == below || c == d.Subcomponent {
				level &^= flat
			}
			continue
		}
		if c == 0 {
			continue // of no separator
		}
		dst = append(dst, Value{m: v.m, start: from, end: int32(i), level: level})
		from, level = int32(i+1), (v.level+1)|flat
	}
	return append(dst, Value{m: v.m, start: from, end: v.end, level: level})
}

// malformed is a refusal with its place: a path, and a byte counted from 0.
func malformed(where string, offset, code int, format string, args ...any) *message.Failure {
	err := errors.New(format)
	if len(args) > 0 {
		err = fmt.Errorf(format, args...)
	}
	return &message.Failure{Kind: message.Malformed, Where: where, Offset: offset + 1, Code: code, Err: err}
}
