package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// contents goes through the contents of one file, those of its frames or all of
// it, message by message.
type contents struct {
	*inspector
	out   *inspection
	made  *made
	take  taking
	seen  int  // messages, readable or not
	same  bool // all was found to say the same when it was made again
	whole bool // all could be made again
	named bool // type and control id are known

	// Of the content in hand: what was not looked at yet, as long as there is
	// only one message, which is read with the envelope around it.
	pending  []hl7v2.Piece
	messages int
	header   []byte // the line of the first MSH: delimiters and character set of the envelope
	counts   hl7v2.Counts
	ends     map[string]bool // warnings of line ends that were given
	first    int             // where the first segment begins
}

// around takes bytes that are none of a message.
func (c *contents) around(b []byte) { c.made.write(b) }

// content reads one content, which begins at a byte of the file.
func (c *contents) content(r io.Reader, at int) error {
	c.pending, c.messages, c.header, c.counts, c.ends = nil, 0, nil, hl7v2.Counts{}, map[string]bool{}
	many := false
	err := hl7v2.Pieces(r, maxInspect, func(p hl7v2.Piece) error {
		p.Raw, p.Offset = bytes.Clone(p.Raw), p.Offset+at
		if many {
			return c.piece(p)
		}
		c.pending = append(c.pending, p)
		if p.Message {
			c.messages++
		}
		if many = c.messages > 1; !many {
			return nil
		}
		held := c.pending
		c.pending, c.messages = nil, 0
		c.begin(held)
		for _, p := range held {
			if err := c.piece(p); err != nil {
				return err
			}
		}
		return nil
	})
	var stop *exit
	switch {
	case errors.As(err, &stop):
		return stop
	case err != nil:
		c.whole = false
		c.out.fault(0, err)
	}
	if !many {
		return c.single(at)
	}
	if w, several := c.counts.Several(c.first); several {
		c.out.Warnings = slices.Insert(c.out.Warnings, 0, w) // one for the file, however many there are
	}
	return nil
}

// begin finds the first header of several messages.
func (c *contents) begin(held []hl7v2.Piece) {
	for _, p := range held {
		head := bytes.TrimLeft(bytes.TrimPrefix(p.Raw, []byte("\xef\xbb\xbf")), " \t\r\n\x0b")
		if !p.Message || !bytes.HasPrefix(head, []byte("MSH")) {
			continue
		}
		c.first = p.Offset + len(p.Raw) - len(head)
		end := bytes.IndexAny(head, "\r\n")
		if end < 0 {
			end = len(head) - 1
		}
		if end++; end < len(head) && head[end-1] == '\r' && head[end] == '\n' {
			end++
		}
		c.header = head[:end]
		return
	}
}

// single reads a content of one message, or of none.
func (c *contents) single(at int) error {
	var raw, one []byte
	for _, p := range c.pending {
		raw = append(raw, p.Raw...)
		if p.Message {
			one = p.Raw
		}
	}
	c.seen++
	doc, ok := c.read(raw, at)
	if !ok || one == nil { // not readable, or the envelope of an empty batch
		return nil
	}
	return c.given(doc, one)
}

// piece reads a part of a content of several messages.
func (c *contents) piece(p hl7v2.Piece) error {
	if !p.Message {
		c.envelope(p)
		return nil
	}
	c.seen++
	c.messages++
	doc, ok := c.read(p.Raw, p.Offset)
	if !ok {
		c.counts.Unread()
		return nil
	}
	c.counts.Segment(doc.Segment(0))
	return c.given(doc, p.Raw)
}

// number is that of the message in hand, 0 where it is the only one so far.
func (c *contents) number() int {
	if c.seen > 1 || c.messages > 0 && len(c.pending) == 0 {
		return c.seen
	}
	return 0
}

// read parses a message and makes it again.
func (c *contents) read(raw []byte, at int) (*hl7v2.Message, bool) {
	doc, err := c.parser.Parse(raw)
	m, ok := doc.(*hl7v2.Message)
	if err != nil || !ok {
		if keyer, ok := c.parser.(parsers.Keyer); ok && !c.named {
			h, _ := keyer.Scan(raw, nil) // what the header says all the same
			c.name(h)
		}
		c.whole = false
		c.out.fault(c.number(), err)
		return nil, false
	}
	c.name(m.Header())
	again := m.Rebuild(make([]byte, 0, len(raw)))
	c.same = c.same && bytes.Equal(again, raw)
	c.made.write(again)
	c.shifted(m.Warnings(), at)
	return m, true
}

// name takes type and control id of the first message.
func (c *contents) name(h message.Header) {
	if !c.named {
		c.named = true
		c.out.Type, c.out.Control = h.Type, h.Control
	}
}

// given checks the header of a message as intake does, and hands it on.
func (c *contents) given(doc message.Document, one []byte) error {
	c.complete(one, c.number())
	if c.take == nil {
		return nil
	}
	return c.take(c.seen, doc)
}

// complete checks the header as intake does.
func (c *contents) complete(one []byte, number int) {
	if keyer, ok := c.parser.(parsers.Keyer); ok {
		if _, err := keyer.Scan(one, nil); err != nil {
			c.out.fault(number, err)
		}
	}
}

func (c *contents) shifted(warnings []message.Warning, offset int) {
	for _, w := range warnings {
		w.Offset += offset
		c.out.warn(w)
		if c.ends != nil && strings.HasPrefix(w.Code, "segment-end-") {
			c.ends[w.Code] = true
		}
	}
}

// ofEnvelope reports whether a warning of a part of the envelope is one of the
// whole: what is counted is counted over all, and line ends are told once, where
// no message before has told them.
func (c *contents) ofEnvelope(code string) bool {
	switch code {
	case "batch-count", "several-messages":
		return false
	case "segment-end-lf", "segment-end-crlf":
		told := c.ends[code]
		c.ends[code] = true
		return !told
	}
	return true
}

// envelope reads a part of a batch that is no message, beside the header of the
// first one, of which it has delimiters and character set: behind it, else before.
func (c *contents) envelope(p hl7v2.Piece) {
	context, from := len(c.header), len(c.header)
	beside := slices.Concat(c.header, p.Raw)
	if c.messages == 0 {
		from, beside = 0, slices.Concat(p.Raw, c.header)
	}
	doc, err := c.parser.Parse(beside)
	m, ok := doc.(*hl7v2.Message)
	if err != nil || !ok {
		c.whole = false
		c.out.fault(0, err)
		return
	}
	again := m.Rebuild(make([]byte, 0, len(beside)))
	c.same = c.same && bytes.Equal(again, beside)
	c.made.write(again[from:max(from, from+len(again)-context)])
	inside := func(at int) bool { return at >= from && at < from+len(p.Raw) || at == len(beside) && from > 0 }
	for _, w := range m.Warnings() {
		if inside(w.Offset) && c.ofEnvelope(w.Code) {
			w.Offset += p.Offset - from
			c.out.warn(w)
		}
	}
	for i := range m.Len() {
		s := m.Segment(i)
		start, _ := s.Span()
		if !inside(start) {
			continue
		}
		if w, wrong := c.counts.Segment(s); wrong {
			w.Offset += p.Offset - from
			c.out.warn(w)
		}
	}
}
