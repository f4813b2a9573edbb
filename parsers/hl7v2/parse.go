// Package hl7v2 reads and writes HL7 v2 messages (2.1 to 2.9) in the
// vertical-bar encoding: a lossless tree, paths, escapes, character sets,
// acknowledgements.
package hl7v2

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// A Parser reads HL7 v2. It is safe for use from several goroutines.
type Parser struct {
	options Options
	check   Check // nil: nothing is checked
	texts   []ownText
}

// New returns a parser. It checks nothing, whatever the options say.
func New(o Options) *Parser { return &Parser{options: o, texts: textsOf(o.Texts)} }

var (
	_ parsers.Parser   = (*Parser)(nil)
	_ parsers.Keyer    = (*Parser)(nil)
	_ parsers.Replier  = (*Parser)(nil)
	_ parsers.Splitter = (*Parser)(nil)
	_ parsers.Checker  = (*Parser)(nil)
	_ parsers.Batcher  = (*Parser)(nil)

	_ parsers.LateReplier  = (*Parser)(nil)
	_ parsers.ApartReplier = (*Parser)(nil)
	_ parsers.Joiner       = (*Parser)(nil)
	_ parsers.Sequencer    = (*Parser)(nil)
	_ message.Document     = (*Message)(nil)
	_ message.Node         = Segment{}
)

// Parse reads one message, or a batch as a whole. A message may be returned
// whose header is not complete: Scan refuses such a one at intake.
func (p *Parser) Parse(raw []byte) (message.Document, error) {
	m, err := parse(raw, p.options)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Grammar is the path syntax.
func (p *Parser) Grammar() message.Grammar { return Grammar{} }

// Parse reads one message with the character set it declares.
func Parse(raw []byte) (*Message, error) { return parse(raw, Options{}) }

func parse(raw []byte, o Options) (*Message, error) {
	if len(raw) > math.MaxInt32/4 {
		return nil, malformed("", 0, 102, "the message is longer than %d bytes", math.MaxInt32/4)
	}
	start, err := findHeader(raw)
	if err != nil {
		return nil, err
	}
	m := &Message{raw: raw, expected: o.Tolerate, override: o.Charset}
	first := firstMessage(raw, start)
	if first < 0 {
		first = start // an envelope without messages
	}
	if m.delims, err = readDelims(raw[first:], first); err != nil {
		return nil, err
	}
	if set := field(firstLine(raw[first:]), m.delims.Field, 2); len(set) > 5 {
		m.warn("MSH-2", first+4, "extra-delimiters", "MSH-2 has more characters than the standard gives a meaning")
	}
	if err := noNUL(raw, firstLine(raw[first:]), m.delims, o.Charset); err != nil {
		return nil, err
	}
	if start > 0 {
		m.warn("", 0, "leading-bytes", "bytes stand before the first segment")
	}
	if m.delims.Subcomponent == 0 {
		m.warn("MSH-2", first+4, "short-delimiters", "MSH-2 names fewer than 4 characters: the missing separators do not exist in this message")
	}
	m.choose(o.Charset, firstLine(raw[first:]), first)
	m.read(raw)
	m.split(start)
	m.envelope()
	return m, nil
}

// firstMessage is the place of the first MSH, -1 when there is none: an
// envelope before it may have delimiters of its own.
func firstMessage(raw []byte, start int) int {
	for at := start; ; {
		next := bytes.Index(raw[at:], []byte("MSH"))
		if next < 0 {
			return -1
		}
		at += next
		if (at == start || raw[at-1] == '\r' || raw[at-1] == '\n') && at+3 < len(raw) && punctuation(raw[at+3]) {
			return at
		}
		at += 3
	}
}

func firstLine(b []byte) []byte {
	if end := bytes.IndexAny(b, "\r\n"); end >= 0 {
		return b[:end]
	}
	return b
}

func (m *Message) warn(where string, offset int, code, text string) {
	if len(m.warnings) < 100 && !slices.Contains(m.expected, code) {
		m.warnings = append(m.warnings, message.Warning{Where: where, Offset: offset, Code: code, Text: text})
	}
}

// findHeader finds where MSH (or FHS, BHS) begins: at the start, or after a
// byte order mark and white space.
func findHeader(raw []byte) (int, error) {
	at := 0
	if bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")) {
		at = 3
	}
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\r' || raw[at] == '\n' || raw[at] == '\t' || raw[at] == 0x0b) {
		at++
	}
	if at == len(raw) {
		return 0, malformed("", 0, 100, "the message is empty")
	}
	head := raw[at:]
	switch {
	case len(head) >= 3 && isHeader(head[:3]):
		return at, nil
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")), bytes.HasPrefix(head, []byte("M\x00S\x00")), bytes.HasPrefix(head, []byte("\x00M\x00S")):
		return 0, malformed("", at, 102, "the message is in UTF-16, which segments cannot be found in: UTF-8 is meant")
	}
	return 0, malformed("MSH", at, 100, "the message does not begin with MSH, FHS or BHS")
}

func isHeader(name []byte) bool {
	switch string(name) {
	case "MSH", "FHS", "BHS":
		return true
	}
	return false
}

// readDelims reads MSH-1 and MSH-2 (2.5.4).
func readDelims(head []byte, offset int) (Delims, error) {
	if len(head) < 5 {
		return Delims{}, malformed("MSH-2", offset+len(head), 102, "the message ends inside MSH-2")
	}
	d := Delims{Field: head[3]}
	if !punctuation(d.Field) {
		return d, malformed("MSH-1", offset+3, 102, "the field separator is a letter, a digit, a space or a control character")
	}
	rest := head[4:]
	end := bytes.IndexAny(rest, string([]byte{d.Field, '\r', '\n'}))
	if end < 0 {
		end = len(rest)
	}
	set := rest[:end]
	if len(set) < 1 || len(set) > 8 {
		return d, malformed("MSH-2", offset+4, 102, "MSH-2 has %d characters, not 1 to 5", len(set))
	}
	distinct := make([]byte, 0, 8)
	for i, c := range set {
		if !punctuation(c) {
			return d, malformed("MSH-2", offset+4+i, 102, "character %d of MSH-2 cannot be a separator", i+1)
		}
		switch bytes.IndexByte(set[:i], c) {
		case -1:
			distinct = append(distinct, c)
		case 2: // an escape character that was itself escaped: ^~\\&
		default:
			return d, malformed("MSH-2", offset+4+i, 102, "character %d of MSH-2 stands there twice", i+1)
		}
	}
	set = distinct
	get := func(i int) byte {
		if i < len(set) {
			return set[i]
		}
		return 0
	}
	d.Component, d.Repetition, d.Escape, d.Subcomponent, d.Truncation = get(0), get(1), get(2), get(3), get(4)
	return d, nil
}

func punctuation(c byte) bool {
	return c > ' ' && c < 0x7f && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

// split finds the segments: CR ends one; LF and CR LF are tolerated (2.5.2). A
// line end that no segment follows is part of the value it stands in.
func (m *Message) split(start int) {
	text := m.text
	m.segments = make([]span, 0, 8+len(text)/64)
	lines := lineEnds{text: text}
	lf, crlf := -1, -1 // the first of each sort that is not CR
	if m.offsets != nil {
		start, _ = slices.BinarySearch(m.offsets, int32(start))
	}
	for at := start; at < len(text); {
		end, next := m.segmentEnd(&lines, at)
		m.segments = append(m.segments, span{int32(at), int32(end), int32(next)})
		if end == len(text) {
			m.warn("", len(m.raw), "no-final-cr", "the last segment has no end")
			break
		}
		switch {
		case lf < 0 && text[end] == '\n':
			lf = m.rawEnd(int32(end))
		case crlf < 0 && text[end] == '\r' && end+1 < next && text[end+1] == '\n':
			crlf = m.rawEnd(int32(end))
		}
		at = next
	}
	if lf >= 0 {
		m.warn("", lf, "segment-end-lf", "segments end with LF, not CR")
	}
	if crlf >= 0 {
		m.warn("", crlf, "segment-end-crlf", "segments end with CR LF, not CR")
	}
}

// segmentEnd finds where the segment that begins at a place ends, and where
// the next one begins.
func (m *Message) segmentEnd(lines *lineEnds, at int) (end, next int) {
	text := m.text
	for from := at; ; from = next {
		end = lines.next(from)
		if end < len(text) && lines.usual == 0 {
			lines.usual = text[end]
		}
		if end == len(text) {
			m.checkLine(text[at:end], at)
			return end, end
		}
		next = end + 1
		if text[end] == '\r' && next < len(text) && text[next] == '\n' {
			next++
		}
		if end == at {
			return end, next // an empty line
		}
		usual := text[next-1] == lines.usual || text[end] == lines.usual
		if m.begins(text[next:], usual) {
			break
		}
		indented := next
		for indented < len(text) && (text[indented] == ' ' || text[indented] == '\t') {
			indented++
		}
		if indented > next && m.begins(text[indented:], usual) {
			m.warn("", m.rawEnd(int32(next)), "leading-space", "spaces stand before a segment")
			next = indented
			break
		}
		if m.follows(text[at:end], text[next:], usual) {
			break
		}
		m.warn("", m.rawEnd(int32(end)), "line-inside", "a line end stands inside a field: no segment follows it")
	}
	m.checkLine(text[at:end], at)
	return end, next
}

// begins reports whether a segment begins a line, or something else that is
// not the rest of a value. usual says that the line end before it is one of
// those that end segments in this message: after another one only names that
// the standard has, and Z names, are taken for segments.
func (m *Message) begins(line string, usual bool) bool {
	if line == "" {
		return true
	}
	switch line[0] {
	case '\r', '\n', 0x1c, 0x0b, 0x1a:
		return true
	}
	if len(line) < 3 || !wordByte(line[1]) || !wordByte(line[2]) {
		return false
	}
	if len(line) > 3 && line[3] != m.delims.Field && line[3] != '\r' && line[3] != '\n' {
		return false
	}
	name := line[:3]
	if segmentWord(name) && (usual || name[0] == 'Z') {
		return true
	}
	return definitions.Segment(strings.ToUpper(name))
}

// follows reports whether what stands behind a line end and begins as no segment
// does is not the rest of the line before it either. MSH with all that it must have, up to MSH-12, has no rest: what
// follows would be taken for that of the version. One without it has.
func (m *Message) follows(line, next string, usual bool) bool {
	if len(line) > 3 && line[:3] == "MSH" && line[3] == m.delims.Field {
		return strings.Count(line, line[3:4]) >= 11
	}
	return usual && m.named(next)
}

// named reports whether a line begins as a segment does, though with a name of
// another length: a few capitals or digits and the field separator. Text that goes
// on behind a line end rarely does.
func (m *Message) named(line string) bool {
	n := 0
	for n < len(line) && n < longName && upperDigit(line[n]) {
		n++
	}
	return n > 0 && n < len(line) && upper(line[0]) && line[n] == m.delims.Field
}

// longName is the length of the longest word that is taken for a segment's name.
const longName = 8

// lineEnds finds line ends one after the other, looking at each byte at most
// twice however the two sorts are mixed.
type lineEnds struct {
	text   string
	cr, lf int // the next of each sort; behind the place asked for when not known
	asked  bool
	usual  byte // the line end after the first segment
}

func (l *lineEnds) next(from int) int {
	find := func(known int, c byte) int {
		if l.asked && known >= from {
			return known
		}
		if at := strings.IndexByte(l.text[from:], c); at >= 0 {
			return from + at
		}
		return len(l.text)
	}
	l.cr, l.lf = find(l.cr, '\r'), find(l.lf, '\n')
	l.asked = true
	return min(l.cr, l.lf)
}

// checkLine warns of a line that is no segment; it is kept.
func (m *Message) checkLine(line string, at int) {
	switch {
	case len(line) == 0:
	case line[0] == 0x1c || line[0] == 0x0b:
		m.warn("", m.rawEnd(int32(at)), "mllp-bytes", "bytes of an MLLP frame stand in the message")
	case len(line) < 3 || !segmentWord(line[:3]) || len(line) > 3 && line[3] != m.delims.Field:
		m.warn("", m.rawEnd(int32(at)), "not-a-segment", "a line does not begin with a segment name and the field separator")
	}
}

func upper(c byte) bool      { return c >= 'A' && c <= 'Z' }
func upperDigit(c byte) bool { return upper(c) || c >= '0' && c <= '9' }
