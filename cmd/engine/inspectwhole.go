package main

import (
	"bytes"
	"errors"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

// comparer is a document that may be written in several ways.
type comparer interface{ Same(message.Document) bool }

// A held file is read as a whole: formats other than HL7 v2.
type held struct {
	*contents
	compared bool // each message says the same when it is made again
}

// whole reads a file that is one document, or a document in each line.
func (i *inspector) whole(raw []byte, out *inspection, made *made, take taking) error {
	h := &held{contents: &contents{inspector: i, out: out, made: made, take: take}, compared: true}
	var again []byte
	var ok bool
	doc, err := h.parser.Parse(raw)
	var spans [][2]int
	if err != nil {
		spans = h.messages(raw)
	}
	switch {
	case err == nil:
		h.seen++
		h.name(doc.Header())
		again, ok = h.again(doc, raw)
		h.shifted(doc.Warnings(), 0)
		err = h.given(doc, raw)
	case len(spans) > 1:
		again, ok, err = h.lines(raw, spans)
	default:
		if keyer, is := h.parser.(parsers.Keyer); is {
			known, _ := keyer.Scan(raw, nil) // what the header says all the same
			h.name(known)
		}
		out.fault(0, err)
		err = nil
	}
	if err != nil {
		return err
	}
	out.Roundtrip = ok && (h.compared || bytes.Equal(again, raw))
	if made.write(again); !ok {
		made.drop()
	}
	return nil
}

// again makes a document again from its nodes.
func (h *held) again(doc message.Document, content []byte) (again []byte, ok bool) {
	r, ok := doc.(rebuilder)
	if !ok {
		return nil, false
	}
	again = r.Rebuild(make([]byte, 0, len(content)))
	by, ok := doc.(comparer)
	if h.compared = h.compared && ok; h.compared && !bytes.Equal(again, content) {
		other, err := h.parser.Parse(again)
		h.compared = err == nil && by.Same(other)
	}
	return again, true
}

// lines reads the messages of a file that is none as a whole: NDJSON.
func (h *held) lines(content []byte, spans [][2]int) (again []byte, whole bool, err error) {
	at, whole := 0, true
	for _, s := range spans {
		h.seen++
		one := content[s[0]:s[1]]
		again = append(again, content[at:s[0]]...)
		at = s[1]
		doc, err := h.parser.Parse(one)
		if err != nil {
			h.out.fault(h.seen, err)
			whole = false
			continue
		}
		h.name(doc.Header())
		h.shifted(doc.Warnings(), s[0])
		part, ok := h.again(doc, one)
		again, whole = append(again, part...), whole && ok
		if h.take == nil {
			continue
		}
		if err := h.take(h.seen, doc); err != nil {
			return nil, false, err
		}
	}
	return append(again, content[at:]...), whole, nil
}

// messages are the spans of the messages of a file, in their order.
func (h *held) messages(content []byte) [][2]int {
	splitter, ok := h.parser.(parsers.Splitter)
	if !ok {
		return [][2]int{{0, len(content)}}
	}
	var spans [][2]int
	at := 0
	err := splitter.Split(bytes.NewReader(content), maxInspect, func(one []byte) error {
		next := bytes.Index(content[at:], one)
		if next < 0 {
			return errors.New("a message of the file does not stand in it")
		}
		spans = append(spans, [2]int{at + next, at + next + len(one)})
		at += next + len(one)
		return nil
	})
	if err != nil {
		h.out.fault(0, err)
	}
	return spans
}
