package hl7v2

import (
	"encoding/hex"
	"strconv"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Text is the value as people mean it: escapes resolved (2.7), character set
// decoded. "" for what is absent or two quotes. Of a value with several
// repetitions or components it is all of it, separators included.
func (v Value) Text() string {
	if v.m == nil || v.start == v.end || v.Null() {
		return ""
	}
	raw := v.m.text[v.start:v.end]
	if v.level == wholeLevel {
		return v.m.decode(raw)
	}
	if v.m.escapes && strings.IndexByte(raw, v.m.delims.Escape) >= 0 {
		return v.m.unescape(raw)
	}
	if v.m.plain {
		return raw
	}
	return v.m.decode(raw)
}

// Formatted is Text: the formatting commands of FT, TX and CF (2.7.3) are line
// ends and spaces in both.
func (v Value) Formatted() string { return v.Text() }

// unescape resolves the escape sequences of a value. What is none is kept as typed.
func (m *Message) unescape(raw string) string {
	u := unescaper{m: m}
	esc := m.delims.Escape
	for raw != "" {
		at := strings.IndexByte(raw, esc)
		if at < 0 {
			break
		}
		u.text(raw[:at])
		raw = raw[at:]
		end := strings.IndexByte(raw[1:], esc)
		if end < 0 {
			break // an escape character of its own
		}
		sequence := raw[1 : 1+end]
		switch {
		case u.resolve(sequence):
			raw = raw[end+2:]
		case sequence != "" && sequence[0] == 'Z' && !strings.ContainsAny(sequence, " \t"):
			u.text(raw[:end+2]) // a local one (2.7.8)
			raw = raw[end+2:]
		default: // none: the second character may begin the next one
			u.text(raw[:end+1])
			raw = raw[end+1:]
		}
	}
	u.text(raw)
	return u.b.String()
}

// An unescaper collects the text of one value.
type unescaper struct {
	m *Message
	b strings.Builder
	// set is the character set a \C..\ or \M..\ has switched to; prefix are
	// the bytes that put a decoder of it there.
	set    encoding.Encoding
	prefix string
}

func (u *unescaper) text(s string) {
	if s == "" {
		return
	}
	if u.set == nil {
		u.b.WriteString(u.m.decode(s))
		return
	}
	out, err := u.set.NewDecoder().String(u.prefix + s)
	if err != nil {
		out = u.m.decode(s)
	}
	u.b.WriteString(out)
}

// resolve writes the text of one escape sequence, and reports whether it is one.
func (u *unescaper) resolve(sequence string) bool {
	if sequence == "" {
		return false
	}
	d := u.m.delims
	if len(sequence) == 1 {
		c := byte(0)
		switch sequence[0] {
		case 'F':
			c = d.Field
		case 'S':
			c = d.Component
		case 'T':
			c = d.Subcomponent
		case 'R':
			c = d.Repetition
		case 'E':
			c = d.Escape
		case 'P':
			c = d.Truncation
		case 'H', 'N':
			return true // highlighting has no text
		}
		if c == 0 {
			return false
		}
		u.b.WriteByte(c)
		return true
	}
	switch sequence[0] {
	case 'X':
		return u.hexadecimal(sequence[1:])
	case '.':
		return u.command(strings.ToLower(sequence[1:]))
	case 'C', 'M':
		return u.shift(sequence)
	}
	return false
}

func (u *unescaper) hexadecimal(digits string) bool {
	data, err := hex.DecodeString(digits)
	if err != nil || len(data) == 0 {
		return false
	}
	// NUL is no text anywhere that text is kept.
	u.b.WriteString(strings.ReplaceAll(u.m.decodeBytes(data), "\x00", "\uFFFD"))
	return true
}

// command writes the text of a formatting command (2.7.6): line ends and spaces.
func (u *unescaper) command(name string) bool {
	word, number := name, 1
	if at := strings.IndexAny(name, "+-0123456789"); at >= 0 {
		n, err := strconv.Atoi(strings.TrimSpace(name[at:]))
		if err != nil {
			return false
		}
		word, number = name[:at], n
	}
	switch strings.TrimSpace(word) {
	case "br", "ce":
		u.b.WriteByte('\n')
	case "sp":
		u.b.WriteString(strings.Repeat("\n", max(1, min(number, 99))))
	case "sk":
		u.b.WriteString(strings.Repeat(" ", max(1, min(number, 99))))
	case "in", "ti", "fi", "nf":
	default:
		return false
	}
	return true
}

// shifts are the ISO 2022 sequences of table 0211's sets, as \C..\ and \M..\
// write them after ESC (2.7.4).
var shifts = map[string]encoding.Encoding{
	"2842": nil, "284A": nil, "2849": japaneseG0.encoding, "2440": japaneseG0.encoding, "2442": japaneseG0.encoding, "242844": japaneseG0.encoding,
	"2D41": charmap.ISO8859_1, "2D42": charmap.ISO8859_2, "2D43": charmap.ISO8859_3, "2D44": charmap.ISO8859_4, "2D4C": charmap.ISO8859_5,
	"2D47": charmap.ISO8859_6, "2D46": charmap.ISO8859_7, "2D48": charmap.ISO8859_8, "2D4D": charmap.ISO8859_9,
	"242943": korean.EUCKR, "242941": simplifiedchinese.GBK,
}

func (u *unescaper) shift(sequence string) bool {
	set, known := shifts[strings.ToUpper(sequence[1:])]
	if !known {
		return false
	}
	u.set, u.prefix = set, ""
	if set == japaneseG0.encoding {
		bytes, _ := hex.DecodeString(sequence[1:]) // it is in the table
		u.prefix = "\x1b" + string(bytes)
	}
	return true
}

// escape writes text so that it can stand in a field.
func (d Delims) escape(dst []byte, text string) []byte {
	for i := range len(text) {
		c := text[i]
		letter := byte(0)
		switch c {
		case d.Field:
			letter = 'F'
		case d.Component:
			letter = 'S'
		case d.Repetition:
			letter = 'R'
		case d.Subcomponent:
			letter = 'T'
		case d.Escape:
			letter = 'E'
		case d.Truncation:
			letter = 'P'
		case '\r', '\n':
			letter = '.'
		}
		switch {
		case letter == 0:
			dst = append(dst, c)
		case d.Escape == 0:
			dst = append(dst, ' ') // no way to write it
		case letter == '.':
			dst = append(dst, d.Escape, '.', 'b', 'r', d.Escape)
		default:
			dst = append(dst, d.Escape, letter, d.Escape)
		}
	}
	return dst
}
