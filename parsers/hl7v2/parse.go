// Package hl7v2 reads and writes HL7 v2 messages (2.1 to 2.9) in the
// vertical-bar encoding: a lossless tree, paths, escapes, character sets,
// acknowledgements.
package hl7v2

import (
	"bytes"
	"math"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// Options are those of `parse: { hl7v2: … }`.
type Options struct {
	// Charset is used in place of what MSH-18 declares, such as windows-1252.
	Charset string `yaml:"charset"`
}

// Kind is the word `hl7v2`.
func Kind() parsers.Kind {
	return parsers.Kind{Name: "hl7v2", Options: func() parsers.Options { return &Options{} }}
}

// Validate checks words only.
func (o *Options) Validate() []parsers.Problem {
	if o.Charset != "" && charsetByName(o.Charset) == nil {
		return []parsers.Problem{{Field: "charset", Text: "is not a known character set; known are the words of table 0211 and names such as utf-8 or windows-1252"}}
	}
	return nil
}

// Open makes the parser.
func (o *Options) Open() (parsers.Parser, error) { return New(*o), nil }

// A Parser reads HL7 v2. It is safe for use from several goroutines.
type Parser struct{ options Options }

// New returns a parser.
func New(o Options) *Parser { return &Parser{o} }

var (
	_ parsers.Parser  = (*Parser)(nil)
	_ parsers.Keyer   = (*Parser)(nil)
	_ parsers.Replier = (*Parser)(nil)
)

// Parse reads one message.
func (p *Parser) Parse(raw []byte) (message.Document, error) {
	m, err := parse(raw, p.options.Charset)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Grammar is the path syntax.
func (p *Parser) Grammar() message.Grammar { return Grammar{} }

// Parse reads one message with the character set it declares.
func Parse(raw []byte) (*Message, error) { return parse(raw, "") }

func parse(raw []byte, override string) (*Message, error) {
	if len(raw) > math.MaxInt32-1 {
		return nil, malformed("", 1, 100, "the message is longer than %d bytes", math.MaxInt32-1)
	}
	start, err := findHeader(raw)
	if err != nil {
		return nil, err
	}
	m := &Message{raw: raw, text: raw}
	if m.delims, err = readDelims(raw[start:], start); err != nil {
		return nil, err
	}
	if start > 0 {
		m.warn("", 0, "leading-bytes", "bytes stand before the first segment")
	}
	m.charset = m.chooseCharset(override, start)
	if m.charset != nil && m.charset.wide {
		m.text = m.charset.decodeAll(raw)
	}
	m.split(start)
	m.checkBytes()
	return m, nil
}

func (m *Message) warn(where string, offset int, code, text string) {
	if len(m.warnings) < 100 {
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
		return 0, malformed("", 1, 100, "the message is empty")
	}
	head := raw[at:]
	if len(head) < 3 || !isHeader(head[:3]) {
		return 0, malformed("MSH", at+1, 100, "the message does not begin with MSH, FHS or BHS")
	}
	return at, nil
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
		return Delims{}, malformed("MSH-2", offset+4, 100, "the message ends inside MSH-2")
	}
	d := Delims{Field: head[3]}
	if !punctuation(d.Field) {
		return d, malformed("MSH-1", offset+4, 100, "the field separator is a letter, a digit, a space or a control character")
	}
	rest := head[4:]
	end := bytes.IndexAny(rest, string([]byte{d.Field, '\r', '\n'}))
	if end < 0 {
		end = len(rest)
	}
	set := rest[:end]
	if len(set) < 1 || len(set) > 8 {
		return d, malformed("MSH-2", offset+5, 100, "MSH-2 has %d characters, not 1 to 5", len(set))
	}
	distinct := make([]byte, 0, 8)
	for i, c := range set {
		if !punctuation(c) || c == d.Field {
			return d, malformed("MSH-2", offset+5+i, 100, "character %d of MSH-2 cannot be a separator", i+1)
		}
		switch bytes.IndexByte(set[:i], c) {
		case -1:
			distinct = append(distinct, c)
		case 2: // an escape character that was itself escaped: ^~\\&
		default:
			return d, malformed("MSH-2", offset+5+i, 100, "character %d of MSH-2 stands there twice", i+1)
		}
	}
	if set = distinct; len(set) > 5 {
		return d, malformed("MSH-2", offset+5, 100, "MSH-2 has %d characters, not 1 to 5", len(set))
	}
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

// split finds the segments: CR ends one, LF and CR LF are tolerated (2.5.2).
func (m *Message) split(start int) {
	text := m.text
	m.segments = make([]span, 0, 8+len(text)/96)
	lf, crlf := false, false
	for at := start; at < len(text); {
		end := lineEnd(text[at:])
		if end < 0 {
			m.segments = append(m.segments, span{int32(at), int32(len(text)), int32(len(text))})
			m.warn("", len(text), "no-final-cr", "the last segment has no end")
			break
		}
		end += at
		next := end + 1
		if text[end] == '\n' {
			lf = true
		} else if next < len(text) && text[next] == '\n' {
			crlf, next = true, next+1
		}
		if end > at {
			m.segments = append(m.segments, span{int32(at), int32(end), int32(next)})
			m.checkName(text[at:end], at)
		} else {
			m.segments = append(m.segments, span{int32(at), int32(at), int32(next)})
		}
		at = next
	}
	if lf {
		m.warn("", start, "segment-end-lf", "segments end with LF, not CR")
	}
	if crlf {
		m.warn("", start, "segment-end-crlf", "segments end with CR LF, not CR")
	}
}

func lineEnd(b []byte) int {
	cr := bytes.IndexByte(b, '\r')
	limit := b
	if cr >= 0 {
		limit = b[:cr]
	}
	if lf := bytes.IndexByte(limit, '\n'); lf >= 0 {
		return lf
	}
	return cr
}

// checkName warns of a line that is no segment; it is kept.
func (m *Message) checkName(line []byte, at int) {
	if len(line) >= 3 && upper(line[0]) && upperDigit(line[1]) && upperDigit(line[2]) && (len(line) == 3 || line[3] == m.delims.Field) {
		return
	}
	m.warn("", at, "not-a-segment", "a line does not begin with a segment name and the field separator")
}

func upper(c byte) bool      { return c >= 'A' && c <= 'Z' }
func upperDigit(c byte) bool { return upper(c) || c >= '0' && c <= '9' }

// names are segment names that need no allocation.
var names = func() map[[3]byte]string {
	table := map[[3]byte]string{}
	for _, n := range []string{
		"MSH", "PID", "PD1", "PV1", "PV2", "ORC", "OBR", "OBX", "NTE", "SPM", "EVN", "NK1", "AL1", "DG1", "PR1", "IN1", "IN2", "GT1",
		"MSA", "ERR", "MRG", "FHS", "BHS", "BTS", "FTS", "SFT", "TQ1", "TQ2", "RXA", "RXR", "RXE", "RXO", "RXD", "RXC", "TXA", "SCH",
		"AIS", "AIP", "AIL", "AIG", "RGS", "DSC", "ADD", "QRD", "QRF", "QPD", "RCP", "QAK", "DB1", "ROL", "PRT", "CTI", "BLG", "FT1",
		"UB1", "UB2", "IN3", "ACC", "PDA", "SAC", "INV", "UAC", "ARV", "CTD", "IAM", "PRB", "GOL", "PTH", "VAR", "MFI", "MFE",
	} {
		table[[3]byte{n[0], n[1], n[2]}] = n
	}
	return table
}()

func segmentName(b []byte) string {
	if n, ok := names[[3]byte{b[0], b[1], b[2]}]; ok {
		return n
	}
	return string(b)
}

// Format is the word of `parse:`.
func (m *Message) Format() string { return "hl7v2" }

// Encode appends the bytes as received.
func (m *Message) Encode(dst []byte) []byte { return append(dst, m.raw...) }

// Warnings are what was odd, with places.
func (m *Message) Warnings() []message.Warning { return m.warnings }

// Root is the message itself.
func (m *Message) Root() message.Node { return m }

// Span is the whole.
func (m *Message) Span() (start, end int) { return 0, len(m.text) }

// Span makes a Segment a message.Node.
var _ message.Node = Segment{}

// Header is what MSH says of the message.
func (m *Message) Header() message.Header {
	msh := m.find("MSH")
	if !msh.Valid() {
		msh = m.Segment(0)
	}
	return headerOf(m, msh)
}

func (m *Message) find(name string) Segment {
	for i := range m.segments {
		if s := (Segment{m, i}); s.Name() == name {
			return s
		}
	}
	return Segment{}
}

func headerOf(m *Message, msh Segment) message.Header {
	nine := msh.Field(9)
	h := message.Header{
		Type:     joinType(nine.Comp(1).Text(), nine.Comp(2).Text()),
		Sender:   pair(msh.Field(3), msh.Field(4)),
		Receiver: pair(msh.Field(5), msh.Field(6)),
		Control:  string(msh.Field(10).Raw()),
	}
	h.Structure = structureOf(nine.Comp(1).Text(), nine.Comp(2).Text(), nine.Comp(3).Text())
	return h
}

func joinType(code, event string) string {
	if event == "" {
		return code
	}
	return code + "^" + event
}

func pair(a, b Value) string {
	if !a.Valued() && !b.Valued() {
		return ""
	}
	return a.Text() + "|" + b.Text()
}
