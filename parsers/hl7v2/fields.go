package hl7v2

import "bytes"

// AppendFields appends fields 1 to Fields of the segment to dst in one scan,
// for who reads many of them.
func (s Segment) AppendFields(dst []Value) []Value {
	start, end := s.Span()
	if end-start < 4 {
		return dst
	}
	header := s.header()
	if header {
		dst = append(dst, s.Field(1))
	}
	text := s.m.text
	at := start + 4
	for first := true; ; first = false {
		to := end
		next := bytes.IndexByte(text[at:end], s.m.delims.Field)
		if next >= 0 {
			to = at + next
		}
		v := Value{s.m, int32(at), int32(to), fieldLevel}
		if header && first {
			v.level = wholeLevel // MSH-2
		}
		dst = append(dst, v)
		if next < 0 {
			return dst
		}
		at = to + 1
	}
}
