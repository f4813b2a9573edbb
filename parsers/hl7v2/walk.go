package hl7v2

import "strings"

// A Walk goes over the leaves of a message in one scan: every subcomponent, and
// of what has no parts the value itself, empty ones too. Nothing is allocated.
//
//	for w := m.Walk(); w.NextSegment(); {
//		for w.Next() {
//			use(w.Place(), w.Value())
//		}
//	}
type Walk struct {
	m       *Message
	segment int
	place   Place
	start   int32 // of the leaf in hand
	end     int32
	stop    int32 // the end of the segment
	level   level
	before  uint8 // the separator that stands before the next leaf
	sorts   [256]uint8
}

// A Place is where a leaf stands in its segment; all of it counts from 1.
type Place struct{ Field, Rep, Comp, Sub int }

// What stands before a leaf.
const (
	noSeparator = iota
	ofSubs
	ofComps
	ofReps
	ofFields
	ofHeader // it is MSH-1
	ofSet    // it is MSH-2
	ofNone   // there is no leaf
)

// separators tells of each byte what it separates.
func (d *Delims) separators() (sorts [256]uint8) {
	sorts[d.Subcomponent], sorts[d.Component], sorts[d.Repetition] = ofSubs, ofComps, ofReps
	sorts[0] = noSeparator // of those that the message does not have
	sorts[d.Field] = ofFields
	return sorts
}

// Walk begins before the first segment.
func (m *Message) Walk() *Walk {
	return &Walk{m: m, segment: -1, before: ofNone, sorts: m.delims.separators()}
}

// NextSegment goes to the next segment, or line that is none and has no leaves.
func (w *Walk) NextSegment() bool {
	if w.segment++; w.segment >= len(w.m.segments) {
		w.before = ofNone
		return false
	}
	s, p := Segment{w.m, w.segment}, w.m.segments[w.segment]
	w.end, w.stop, w.place = p.start+3, p.end, Place{}
	switch {
	case s.Name() == "" || p.end-p.start < 4:
		w.before = ofNone
	case s.header():
		w.before = ofHeader
	default:
		w.before = ofFields
	}
	return true
}

// Segment is the segment in hand.
func (w *Walk) Segment() Segment { return w.m.Segment(w.segment) }

// Next goes to the next leaf of the segment in hand.
func (w *Walk) Next() bool {
	from := w.end + 1 // behind the separator
	switch w.before {
	case ofSubs:
		w.place.Sub++
	case ofComps:
		w.place.Comp, w.place.Sub = w.place.Comp+1, 1
	case ofReps:
		w.place.Rep, w.place.Comp, w.place.Sub = w.place.Rep+1, 1, 1
	case ofFields:
		w.place, w.level = Place{w.place.Field + 1, 1, 1, 1}, subcomponentLevel|flat
	default:
		return w.header(from)
	}
	text, at := w.m.text[:w.stop], int(from)
	for at < len(text) && w.sorts[text[at]] == noSeparator {
		at++
	}
	w.before = ofNone
	if at < len(text) {
		w.before = w.sorts[text[at]]
	}
	w.start, w.end = from, int32(at)
	return true
}

// header goes to the separator and the other delimiters of a header segment,
// which are no separators there.
func (w *Walk) header(from int32) bool {
	switch w.before {
	case ofHeader:
		w.start, w.end, w.level = from-1, from, wholeLevel
		w.before = ofSet
	case ofSet:
		from-- // MSH-1 was the separator
		w.start, w.end, w.before = from, w.stop, ofNone
		if n := strings.IndexByte(w.m.text[from:w.stop], w.m.delims.Field); n >= 0 {
			w.end, w.before = from+int32(n), ofFields
		}
	default:
		return false
	}
	w.place = Place{w.place.Field + 1, 1, 1, 1}
	return true
}

// Value is the leaf in hand.
func (w *Walk) Value() Value { return Value{m: w.m, start: w.start, end: w.end, level: w.level} }

// Place is where it stands in the segment.
func (w *Walk) Place() Place { return w.place }
