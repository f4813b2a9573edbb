package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// getting prints what --get asks for, message by message.
type getting struct {
	*inspector
	out *inspection
	n   int // messages
}

// A valuesLine is what stands at the path of --get in one message.
type valuesLine struct {
	File    string    `json:"file"`
	Message int       `json:"message"`
	Path    string    `json:"path"`
	Values  []*string `json:"values"` // nil: null
}

// take takes the messages where values are wanted; nil: they are not.
func (s *getting) take() taking {
	if s.get == "" {
		return nil
	}
	return func(number int, doc message.Document) error {
		if s.path == nil {
			return nil // it is one of another format
		}
		s.n++
		if m, ok := doc.(*hl7v2.Message); ok {
			if err := m.Lacks(s.path); err != nil {
				s.bad = true
				fmt.Fprintf(s.a.stderr, "%s: message %d: --get: %v\n", s.out.File, number, err)
				return nil
			}
		}
		values := s.values(doc)
		if s.json {
			if values == nil {
				values = []*string{}
			}
			encoder := json.NewEncoder(s.a.stdout)
			encoder.SetEscapeHTML(false)
			return encoder.Encode(valuesLine{File: s.out.File, Message: number, Path: s.path.String(), Values: values})
		}
		if len(values) == 0 && s.path.Kind() == message.One {
			values = []*string{new(string)}
		}
		for _, v := range values {
			text := `""` // null
			if v != nil {
				text = printable(*v)
			}
			if _, err := fmt.Fprintln(s.a.stdout, text); err != nil {
				return &exit{code: exitFailed, err: err}
			}
		}
		return nil
	}
}

// values are those at the path in one message; nil is null. What is absent is
// left out, but for text its line is empty in a list.
func (s *getting) values(doc message.Document) []*string {
	var out []*string
	add := func(text string) { out = append(out, &text) }
	if s.path.Kind() == message.Places {
		s.places(doc, add)
		return out
	}
	if m, ok := doc.(*hl7v2.Message); ok {
		for _, v := range m.Values(s.path) {
			switch {
			case v.Absent() && s.json:
			case v.Null():
				out = append(out, nil)
			default:
				add(v.Text())
			}
		}
		return out
	}
	if s.path.Kind() == message.One {
		if text := s.path.Text(doc.Root()); text != "" {
			add(text)
		}
		return out
	}
	for _, text := range s.path.Texts(doc.Root()) {
		add(text)
	}
	return out
}

// places adds segments, of groups all of them, as they stand there.
func (s *getting) places(doc message.Document, add func(string)) {
	raw := doc.Encode(nil)
	for _, n := range s.path.Nodes(doc.Root()) {
		start, end := n.Span()
		for line := range strings.FieldsFuncSeq(string(raw[start:end]), func(r rune) bool { return r == '\r' || r == '\n' }) {
			add(strings.ToValidUTF8(line, "\uFFFD"))
		}
	}
}
