package hl7v2

import (
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// Format is the word of `parse:`.
func (m *Message) Format() string { return "hl7v2" }

// Encode appends the bytes as received.
func (m *Message) Encode(dst []byte) []byte { return append(dst, m.raw...) }

// Warnings are what was odd, with places.
func (m *Message) Warnings() []message.Warning { return m.warnings }

// Root is the message itself.
func (m *Message) Root() message.Node { return m }

// Span is the whole.
func (m *Message) Span() (start, end int) { return 0, len(m.raw) }

// Header is what MSH says of the message; of a batch the first MSH, else its
// own header.
func (m *Message) Header() message.Header {
	msh := m.find("MSH", 1)
	if !msh.Valid() {
		msh = m.Segment(0)
	}
	return headerOf(msh)
}

// find returns segment n of a name, from 1.
func (m *Message) find(name string, n int) Segment {
	for i := range m.segments {
		s := Segment{m, i}
		if s.is(name) {
			if n--; n == 0 {
				return s
			}
		}
	}
	return Segment{}
}

func headerOf(msh Segment) message.Header {
	if msh.Name() != "MSH" { // the envelope of an empty batch: FHS-11, BHS-11 are its control id
		return message.Header{
			Sender: pair(msh.Field(3), msh.Field(4)), Receiver: pair(msh.Field(5), msh.Field(6)), Control: string(msh.Field(11).Raw()),
		}
	}
	nine := msh.Field(9)
	code, event := strings.Clone(nine.Comp(1).trimmed().Text()), nine.Comp(2).trimmed().Text()
	h := message.Header{
		Type:     code,
		Sender:   pair(msh.Field(3), msh.Field(4)),
		Receiver: pair(msh.Field(5), msh.Field(6)),
		Control:  string(msh.Field(10).Raw()),
	}
	if event != "" {
		h.Type = code + "^" + event
	}
	h.Structure = strings.Clone(structureOf(code, event, nine.Comp(3).trimmed().Text()))
	return h
}

// trimmed is a component without the empty subcomponents at its end, which say
// nothing (2.5.3): A01& is A01.
func (v Value) trimmed() Value {
	for v.m != nil && v.end > v.start && v.m.delims.Subcomponent != 0 && v.m.text[v.end-1] == v.m.delims.Subcomponent {
		v.end--
	}
	return v
}

func pair(a, b Value) string {
	if !a.Valued() && !b.Valued() {
		return ""
	}
	return a.Text() + "|" + b.Text()
}

// structureOf decides which grammar a message follows: the one MSH-9.3 names,
// unless it is not known or not that of the event.
func structureOf(code, event, said string) string {
	usual := definitions.StructureOf(code, event)
	switch {
	case said != "" && definitions.Structure(said) != nil && (usual == "" || strings.HasPrefix(said, code)):
		return said
	case usual != "":
		return usual
	case said != "":
		return said
	case event == "":
		return code
	}
	return code + "_" + event
}

// conditions warns of words in MSH-15 and MSH-16 that table 0155 does not have:
// they count as empty (2.9.3). v2.1 has no such fields.
func (m *Message) conditions(msh Segment) {
	p := m.segments[msh.index]
	rest := m.text[p.start:p.end]
	for n := 1; ; n++ { // the first separator is MSH-1
		if n >= 15 {
			word, _, _ := strings.Cut(rest, string(m.delims.Field))
			switch word {
			case "", `""`, "AL", "NE", "ER", "SU":
			default:
				if versionOf(msh) != 21 {
					start, _ := msh.Field(n).Span()
					m.warn("MSH-"+strconv.Itoa(n), start, "ack-condition", "not a word of table 0155: it counts as empty")
				}
			}
		}
		at := strings.IndexByte(rest, m.delims.Field)
		if at < 0 || n == 16 {
			return
		}
		rest = rest[at+1:]
	}
}

// numbered is a segment's name with its number where it is not the first.
func numbered(name string, n int) string {
	if n < 2 {
		return name
	}
	return name + "[" + strconv.Itoa(n) + "]"
}
