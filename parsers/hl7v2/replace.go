package hl7v2

import (
	"fmt"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// Replace puts segments (each with or without its end) in place of the segment or
// group of a path; with [*] in place of each.
func (e *Editor) Replace(text string, raw []byte) error {
	p, err := e.compiled(text)
	if err != nil {
		return err
	}
	if p.field > 0 {
		return fmt.Errorf("%s: segments are put in place of segments or groups", text)
	}
	if err := e.areSegments(text, raw); err != nil {
		return err
	}
	nodes := p.Nodes(e.m)
	switch {
	case len(nodes) == 0:
		return fmt.Errorf("%s: there is no such place", text)
	case len(nodes) > 1 && !strings.Contains(text, "[*]"):
		return fmt.Errorf("%s: %d places are meant: name one, or all with [*]", text, len(nodes))
	}
	var edits []edit
	for _, n := range nodes {
		lines := e.lines([]message.Node{n})
		if len(lines) == 0 {
			continue // a group of nothing
		}
		if lines[0].start == 0 {
			return fmt.Errorf("%s: the header stays where it is", text)
		}
		lines[0].with = e.ended(raw, lines[0].start)
		edits = append(edits, lines...)
	}
	return e.apply(edits)
}

// areSegments reports whether what is given are segments with the delimiters of
// the message.
func (e *Editor) areSegments(text string, raw []byte) error {
	there := false
	for line := range strings.FieldsFuncSeq(string(raw), lineEnd) {
		there = true
		if len(line) < 3 || !segmentWord(line[:3]) || len(line) > 3 && line[3] != e.m.delims.Field {
			return fmt.Errorf("%s: what is given is no segment with the delimiters of the message", text)
		}
	}
	if !there {
		return fmt.Errorf("%s: there is nothing to insert", text)
	}
	return nil
}
