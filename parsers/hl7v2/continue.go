package hl7v2

import (
	"bytes"
	"math"
	"strconv"
)

// tail bounds where the last segment of a message is looked for: DSC-1 has at
// most 180 characters.
const tail = 1 << 10

// Part reads the marks of a message that is sent in parts (2.10.2): one that goes
// on ends with DSC, whose first field is MSH-14 of the next part. A query that
// asks for more, or its answer, is not such a part (5.6.3).
func (p *Parser) Part(raw []byte) (name, before string, alone bool) {
	s := scanner{head: raw, override: p.options.Charset}
	at, err := s.begin()
	if err != nil || raw[at] != 'M' {
		return "", "", true
	}
	msh := s.line(at).Segment(0)
	return s.part(msh, raw)
}

// part reads the marks of a message that ends so.
func (s *scanner) part(msh Segment, end []byte) (name, before string, alone bool) {
	sender := pair(msh.Field(3), msh.Field(4))
	named := func(pointer []byte) string {
		if len(pointer) == 0 || string(pointer) == `""` || len(pointer) > tail {
			return ""
		}
		return "part:" + strconv.Itoa(len(sender)) + ":" + sender + string(pointer)
	}
	before = named(msh.Field(14).Raw())
	alone = true
	if next := bytes.IndexAny(s.head[s.msh:], "\r\n"); before != "" && next >= 0 {
		rest := bytes.TrimLeft(s.head[s.msh+next:], "\r\n")
		alone = !isSegmentAt(rest, "ADD", s.delims.Field)
	}
	last, _ := lastSegment(end)
	if !isSegmentAt(last, "DSC", s.delims.Field) {
		return "", before, alone
	}
	if style := string(field(last, s.delims.Field, 3)); style == "F" || style == "" && !s.interactive() {
		if name = named(field(last, s.delims.Field, 2)); name != "" {
			alone = false
		}
	}
	return name, before, alone
}

// interactive reports whether the message is a query or the answer to one.
func (s *scanner) interactive() bool {
	for _, name := range []string{"QRD", "QPD", "QAK", "RCP", "MSA"} {
		if s.find(name, s.msh) >= 0 {
			return true
		}
	}
	return false
}

// lastSegment is the last line of a message that holds anything, and where it
// begins.
func lastSegment(raw []byte) ([]byte, int) {
	from := max(0, len(raw)-tail)
	text := bytes.TrimRight(raw[from:], "\r\n \t\x1c")
	at := bytes.LastIndexAny(text, "\r\n")
	if at < 0 && from > 0 {
		return nil, len(raw) // longer than any DSC
	}
	return text[at+1:], from + at + 1
}

func isSegmentAt(line []byte, name string, sep byte) bool {
	return bytes.HasPrefix(line, []byte(name)) && (len(line) == 3 || line[3] == sep || line[3] == '\r' || line[3] == '\n')
}

// Join makes one message of its parts. A segment that was cut ends the part with
// an empty ADD behind it, and goes on in the ADD that begins the next part.
func (p *Parser) Join(parts [][]byte) ([]byte, error) {
	var out []byte
	var first Delims
	for i, raw := range parts {
		s := scanner{head: raw, override: p.options.Charset}
		at, err := s.begin()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = s.delims
		} else if s.delims != first {
			return nil, malformed("MSH-2", at, 102, "part %d of the message has other delimiters than the first", i+1)
		}
		body := raw[at:]
		if i > 0 {
			body, out = continued(out, body, first.Field)
		}
		if i < len(parts)-1 {
			if _, dsc := lastSegment(body); dsc < len(body) {
				body = body[:dsc]
			}
			if add, at := lastSegment(body); isSegmentAt(add, "ADD", first.Field) && len(bytes.Trim(add[3:], string(first.Field))) == 0 {
				body = body[:at] // it only says that the segment before it goes on
			}
		}
		if len(out)+len(body) > math.MaxInt32/4 {
			return nil, malformed("", 0, 102, "the parts of the message are together longer than %d bytes", math.MaxInt32/4)
		}
		if out = append(out, body...); len(out) > 0 && out[len(out)-1] != '\r' && out[len(out)-1] != '\n' {
			out = append(out, '\r')
		}
	}
	return out, nil
}

// continued is what a further part adds: all behind its MSH, or what goes on with
// the last segment of out, whose end is taken away then.
func continued(out, body []byte, sep byte) (rest, before []byte) {
	at := bytes.IndexAny(body, "\r\n")
	if at < 0 {
		return nil, out
	}
	rest = bytes.TrimLeft(body[at:], "\r\n")
	if !isSegmentAt(rest, "ADD", sep) {
		return rest, out
	}
	if rest = rest[3:]; len(rest) > 0 && rest[0] == sep {
		rest = rest[1:]
	}
	return rest, bytes.TrimRight(out, "\r\n")
}

// Sequence reads MSH-13 (2.10.1).
func (p *Parser) Sequence(head []byte) (n int64, empty, counted bool) {
	if !p.options.Sequence {
		return 0, false, false
	}
	s := scanner{head: head, override: p.options.Charset}
	at, err := s.begin()
	if err != nil || head[at] != 'M' {
		return 0, false, false
	}
	n, err = strconv.ParseInt(s.line(at).Segment(0).Field(13).Text(), 10, 64)
	if err != nil || n < -1 || n == math.MaxInt64 {
		return 0, false, false
	}
	end := bytes.IndexAny(head[at:], "\r\n")
	empty = end < 0 || len(bytes.TrimSpace(head[at+end:])) == 0
	return n, empty, true
}
