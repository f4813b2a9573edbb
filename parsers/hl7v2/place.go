package hl7v2

import (
	"bytes"
	"strconv"
	"strings"
)

// noNUL refuses NUL bytes: no character set of HL7 v2 has them in a message,
// databases cannot keep them in text, and where they come from bytes were lost.
// msh is the header segment.
func noNUL(raw, msh []byte, d Delims, override string) error {
	at := bytes.IndexByte(raw, 0)
	if at < 0 {
		return nil
	}
	return malformed(placeOf(raw, at, msh, d, override), at, 102, "the message holds NUL bytes, the first at byte %d", at)
}

// placeOf names the place that a byte stands in, as paths write it:
// OBX[3]-5[2].1. It is empty for a line that is no segment.
func placeOf(raw []byte, at int, msh []byte, d Delims, override string) string {
	start := 1 + bytes.LastIndexAny(raw[:at], "\r\n")
	name := raw[start:]
	if len(name) < 4 || name[3] != d.Field || !segmentWord(string(name[:3])) {
		return ""
	}
	count := 0
	for from := 0; from <= start; {
		if bytes.HasPrefix(raw[from:], name[:4]) {
			count++
		}
		next := bytes.IndexAny(raw[from:], "\r\n")
		if next < 0 {
			break
		}
		from += next + 1
	}
	// What stands before it in the segment, decoded where bytes of a character
	// may equal delimiters.
	before := &Message{raw: raw[start:at], delims: d}
	before.choose(override, msh, 0)
	before.read(raw[start:at])
	return numbered(string(name[:3]), count) + d.within(before.text, raw[at:], isHeader(name[:3]))
}

// within is the place in a segment that begins with before and goes on with
// after: "-5[2].1", without a component where there is but one.
func (d Delims) within(before string, after []byte, header bool) string {
	number := func(sep byte) int {
		if sep == 0 {
			return 1
		}
		n := strings.Count(before, string(rune(sep)))
		before = before[1+strings.LastIndexByte(before, sep):]
		return n + 1
	}
	field := number(d.Field) - 1 // the name stands before field 1
	if header {
		field++
	}
	switch {
	case field < 1:
		return "" // of a character set whose bytes hide the separators
	case header && field == 2:
		return "-2"
	}
	path := numbered("-"+strconv.Itoa(field), number(d.Repetition))
	if end := bytes.IndexAny(after, string([]byte{d.Field, '\r', '\n'})); end >= 0 {
		after = after[:end]
	}
	if d.Repetition != 0 {
		after, _, _ = bytes.Cut(after, []byte{d.Repetition})
	}
	component := number(d.Component)
	if component > 1 || d.Component != 0 && bytes.IndexByte(after, d.Component) >= 0 {
		path += "." + strconv.Itoa(component)
	}
	return path
}
