package hl7v2

import (
	"bytes"
	"encoding/hex"
	"strings"
)

// Text is the value as people mean it: escapes resolved (2.7), character set
// decoded. "" for what is absent or two quotes.
func (v Value) Text() string {
	if v.m == nil || v.start == v.end || v.Null() {
		return ""
	}
	raw := v.m.text[v.start:v.end]
	if v.level == wholeLevel {
		return string(raw)
	}
	esc := v.m.delims.Escape
	if esc == 0 || bytes.IndexByte(raw, esc) < 0 {
		return v.m.decode(raw)
	}
	return v.m.unescape(raw, false)
}

// Formatted is as Text, with the formatting commands of FT, TX and CF (2.7.3)
// turned into line ends.
func (v Value) Formatted() string {
	if v.m == nil || v.Null() {
		return ""
	}
	return v.m.unescape(v.m.text[v.start:v.end], true)
}

func (m *Message) unescape(raw []byte, formatted bool) string {
	esc := m.delims.Escape
	var b strings.Builder
	for len(raw) > 0 {
		at := -1
		if esc != 0 {
			at = bytes.IndexByte(raw, esc)
		}
		if at < 0 {
			b.WriteString(m.decode(raw))
			break
		}
		b.WriteString(m.decode(raw[:at]))
		end := bytes.IndexByte(raw[at+1:], esc)
		if end < 0 {
			b.WriteString(m.decode(raw[at:])) // an escape character of its own: kept
			break
		}
		sequence := raw[at+1 : at+1+end]
		if text, known := m.resolve(sequence, formatted); known {
			b.WriteString(text)
			raw = raw[at+end+2:]
			continue
		}
		// Unknown: kept as typed. Its last character may begin the next one.
		b.WriteString(m.decode(raw[at : at+1+end]))
		raw = raw[at+1+end:]
		if len(sequence) <= 16 && !bytes.ContainsAny(sequence, " \t") {
			b.WriteByte(esc)
			raw = raw[1:]
		} else if bytes.IndexByte(raw[1:], esc) < 0 {
			b.WriteString(m.decode(raw))
			break
		}
	}
	return b.String()
}

// resolve gives the text of one escape sequence.
func (m *Message) resolve(sequence []byte, formatted bool) (text string, known bool) {
	d := m.delims
	one := func(c byte) (string, bool) {
		if c == 0 {
			return "", false
		}
		return string(rune(c)), true
	}
	if len(sequence) == 1 {
		switch sequence[0] {
		case 'F':
			return one(d.Field)
		case 'S':
			return one(d.Component)
		case 'T':
			return one(d.Subcomponent)
		case 'R':
			return one(d.Repetition)
		case 'E':
			return one(d.Escape)
		case 'P':
			return one(d.Truncation)
		case 'H', 'N':
			return "", true // highlighting has no text
		}
		return "", false
	}
	if len(sequence) == 0 {
		return "", false
	}
	switch sequence[0] {
	case 'X':
		return m.hexadecimal(sequence[1:])
	case '.':
		return command(string(sequence), formatted)
	}
	return "", false
}

func (m *Message) hexadecimal(digits []byte) (string, bool) {
	data := make([]byte, hex.DecodedLen(len(digits)))
	if len(digits) == 0 || len(digits)%2 != 0 {
		return "", false
	}
	if _, err := hex.Decode(data, digits); err != nil {
		return "", false
	}
	if m.charset != nil && !m.charset.wide {
		return m.charset.decode(data), true
	}
	return m.decode(data), true
}

// command gives the text of a formatting command.
func command(c string, formatted bool) (string, bool) {
	name := strings.TrimRight(strings.ToLower(c), "+-0123456789 ")
	switch name {
	case ".br", ".sp", ".ce":
		return "\n", true
	case ".in", ".ti", ".fi", ".nf", ".sk":
		if formatted {
			return "", true
		}
		return "", true
	}
	return "", false
}

// escape writes text so that it can stand in a field.
func (d Delims) escape(dst []byte, text string) []byte {
	for i := range len(text) {
		c := text[i]
		switch {
		case d.Escape == 0:
			dst = append(dst, c)
		case c == d.Field:
			dst = append(dst, d.Escape, 'F', d.Escape)
		case c == d.Component:
			dst = append(dst, d.Escape, 'S', d.Escape)
		case c == d.Repetition:
			dst = append(dst, d.Escape, 'R', d.Escape)
		case c == d.Subcomponent:
			dst = append(dst, d.Escape, 'T', d.Escape)
		case c == d.Escape:
			dst = append(dst, d.Escape, 'E', d.Escape)
		case c == '\r' || c == '\n':
			dst = append(dst, d.Escape, '.', 'b', 'r', d.Escape)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
