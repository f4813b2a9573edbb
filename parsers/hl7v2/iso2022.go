package hl7v2

import (
	"bytes"
	"errors"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// A half is what bytes of one half mean in ISO 2022: those below 0x80 (G0) or
// those above (G1).
type half struct {
	encoding encoding.Encoding
	// size of a character in bytes; 0: as the encoding has it.
	size int
	// lead stands before the bytes of a character, whose high bits are set, where
	// encoding is EUC-JP.
	lead string
}

// The sets of G0 (MSH-18 of Japanese messages); ASCII is the zero half.
var (
	kanji     = &half{encoding: japanese.EUCJP, size: 2}
	moreKanji = &half{encoding: japanese.EUCJP, size: 2, lead: "\x8f"}
	kana      = &half{encoding: japanese.EUCJP, size: 1, lead: "\x8e"}
	ascii     = &half{}
)

// An escapement is what an escape sequence of ISO 2022 switches.
type escapement struct {
	g1  bool
	set *half
}

// sequences are the escape sequences of table 0211's sets, without ESC; those of
// 8859 change G1 alone.
var sequences = map[string]escapement{
	"(B": {false, ascii}, "(J": {false, ascii}, "(I": {false, kana}, ")I": {true, kana},
	"$B": {false, kanji}, "$@": {false, kanji}, "$(B": {false, kanji}, "$(D": {false, moreKanji},
	"-A": {true, single(charmap.Windows1252)}, "-B": {true, single(charmap.ISO8859_2)}, "-C": {true, single(charmap.ISO8859_3)},
	"-D": {true, single(charmap.ISO8859_4)}, "-L": {true, single(charmap.ISO8859_5)}, "-G": {true, single(charmap.ISO8859_6)},
	"-F": {true, single(charmap.ISO8859_7)}, "-H": {true, single(charmap.ISO8859_8)}, "-M": {true, single(charmap.ISO8859_9)},
	"-T": {true, single(charmap.Windows874)}, "-b": {true, single(charmap.ISO8859_15)}, "-V": {true, single(charmap.ISO8859_10)},
	"-Y": {true, single(charmap.ISO8859_13)}, "-_": {true, single(charmap.ISO8859_14)}, "-f": {true, single(charmap.ISO8859_16)},
	"$)C": {true, &half{encoding: korean.EUCKR, size: 2}}, "$)A": {true, &half{encoding: simplifiedchinese.GBK, size: 2}},
}

func single(e encoding.Encoding) *half { return &half{encoding: e, size: 1} }

// sequenceAt is the escape sequence that follows ESC, "" where none is known.
func sequenceAt[T string | []byte](b T) string {
	for n := 2; n <= 3 && n <= len(b); n++ {
		if _, known := sequences[string(b[:n])]; known {
			return string(b[:n])
		}
	}
	return ""
}

// A switcher decodes text whose escape sequences switch sets: what MSH-18 names
// first is what bytes mean at the beginning of each line.
type switcher struct {
	of *charset
	g0 *half
	g1 *half // nil: what the base says
}

func (w *switcher) begin() { w.g0, w.g1 = ascii, w.of.g1 }

// next decodes one character, or takes one escape sequence, which is no text.
// good is false where the bytes mean nothing.
func (w *switcher) next(raw []byte) (text string, used int, good bool) {
	b := raw[0]
	switch {
	case b == '\r' || b == '\n':
		w.begin()
		return string(raw[:1]), 1, true
	case b == 0x1b:
		s := sequenceAt(raw[1:])
		if s == "" {
			return string(raw[:1]), 1, true
		}
		if e := sequences[s]; e.g1 {
			w.g1 = e.set
		} else {
			w.g0 = e.set
		}
		return "", 1 + len(s), true
	case b < 0x80 && (w.g0 == ascii || b <= ' '):
		return string(raw[:1]), 1, true
	case b < 0x80:
		return w.g0.decode(raw)
	case w.g1 != nil:
		return w.g1.decode(raw)
	}
	return w.of.base.decodeOne(raw)
}

// decode decodes one character of a half. Where a byte of it is missing, what
// stands there is none of its bytes: it may be a separator.
func (h *half) decode(raw []byte) (string, int, bool) {
	if len(raw) < h.size {
		return "\uFFFD", len(raw), false
	}
	for _, b := range raw[1:h.size] {
		if (b^raw[0])&0x80 != 0 {
			return "\uFFFD", 1, false // it is of the other half
		}
	}
	in := append([]byte(h.lead), raw[:h.size]...)
	for i := range in {
		if h.encoding == japanese.EUCJP {
			if i >= len(h.lead) && in[i]&0x7f <= ' ' {
				return "\uFFFD", 1, false // a control character does not end a character
			}
			in[i] |= 0x80
		}
	}
	out, err := h.encoding.NewDecoder().Bytes(in)
	if err != nil || bytes.ContainsRune(out, utf8.RuneError) {
		return "\uFFFD", h.size, false
	}
	return string(out), h.size, true
}

// decodeOne decodes the character that begins with a high byte, in a set that
// has no escape sequences. Where the set has no such bytes they are read as in a
// message that declares nothing.
func (c *charset) decodeOne(raw []byte) (string, int, bool) {
	if c != nil && c.encoding != nil && !c.shifts {
		for size := 1; size <= 4 && size <= len(raw); size++ {
			out, err := c.encoding.NewDecoder().Bytes(raw[:size])
			if err == nil && utf8.RuneCount(out) == 1 && !bytes.ContainsRune(out, utf8.RuneError) {
				return string(out), size, true
			}
		}
		return "\uFFFD", 1, false
	}
	if r, size := utf8.DecodeRune(raw); r != utf8.RuneError || size > 1 {
		return string(r), size, c != nil && c.utf8
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(raw[:1])
	if err != nil {
		return "\uFFFD", 1, false
	}
	return string(out), 1, false
}

// decodeSwitching is decodeWide of a set whose escape sequences switch sets.
func (c *charset) decodeSwitching(raw []byte) (text string, offsets []int32, bad int) {
	w := switcher{of: c}
	w.begin()
	out := make([]byte, 0, len(raw)+len(raw)/2)
	offsets = make([]int32, 0, cap(out)+1)
	bad = -1
	for at := 0; at < len(raw); {
		one, used, good := w.next(raw[at:])
		if !good && bad < 0 {
			bad = at
		}
		for i := range len(one) {
			out, offsets = append(out, one[i]), append(offsets, int32(at))
		}
		at += used
	}
	return string(out), append(offsets, int32(len(raw))), bad
}

// errCharacter is why text cannot be written: it says nothing of it.
var errCharacter = errors.New("the text has a character that the character set of the message does not have")

// errUndeclared is the same of a message that declares no set and has no
// characters from which it could be told.
var errUndeclared = errors.New("MSH-18 declares no character set, so that the message is ASCII, which does not have a character of the text; set MSH-18 first, to UNICODE UTF-8")

// encode writes text as the message would be read: where its declaration is wrong,
// as its bytes are. One that declares nothing and has no byte above ASCII is ASCII.
func (m *Message) encode(text string) ([]byte, error) {
	switch {
	case !m.plain && (m.charset == nil || m.charset.encoding == nil):
		return latin1.encode(text)
	case m.charset == nil && firstHigh(text) >= 0 && m.ascii():
		return nil, errUndeclared
	}
	return m.charset.encode(text)
}

// encode writes text in the set of a message; nil is that of one which declares
// nothing and whose bytes above ASCII are UTF-8.
func (c *charset) encode(text string) ([]byte, error) {
	switch {
	case firstHigh(text) < 0, c == nil, c.utf8:
		return []byte(text), nil
	case c.shifts:
		return c.encodeSwitching(text)
	case c.encoding == nil: // ASCII
		return nil, errCharacter
	}
	out, err := c.encoding.NewEncoder().Bytes([]byte(text))
	if err != nil {
		return nil, errCharacter
	}
	return out, nil
}

// with is a set together with a further one of MSH-18, which escape sequences
// reach. The first is what bytes mean before any of them (2.14.9.18); where it
// has no bytes above ASCII, those are of the first that has.
func (c *charset) with(more *charset) *charset {
	out := &charset{encoding: japanese.ISO2022JP, wide: true, shifts: true, base: c}
	if c.shifts {
		out.base, out.g1, out.writes = c.base, c.g1, c.writes
	}
	bare := out.g1 == nil && (out.base == nil || out.base.encoding == nil && !out.base.utf8)
	switch {
	case more.shifts:
		out.writes = slices.Concat(out.writes, more.writes)
		if bare {
			out.g1 = more.g1
		}
	default:
		s := sequenceOf(more)
		if s != "" {
			out.writes = append(slices.Clone(out.writes), s)
		}
		switch {
		case bare && s != "":
			out.g1 = sequences[s].set
		case bare:
			out.base = more
		}
	}
	return out
}

// sequenceOf is the escape sequence that leads to a set, "" where it has none.
func sequenceOf(c *charset) string {
	if c == nil || c.encoding == nil || c.wide {
		return ""
	}
	for s, e := range sequences {
		if e.g1 && e.set.encoding == c.encoding {
			return s
		}
	}
	return ""
}

// begins is the escape sequence that leads to what bytes above ASCII mean at the
// beginning of a line, "" where there is none.
func (c *charset) begins() string {
	if c.g1 == nil {
		return sequenceOf(c.base)
	}
	for s, e := range sequences {
		if e.g1 && e.set == c.g1 {
			return s
		}
	}
	return ""
}

// encode writes one character as bytes of the upper half; nil where the set has
// it not.
func (h *half) encode(r rune) []byte {
	out, err := h.encoding.NewEncoder().Bytes([]byte(string(r)))
	if err != nil {
		return nil
	}
	lead := ""
	if h.encoding == japanese.EUCJP && (out[0] == 0x8e || out[0] == 0x8f) {
		lead = string(out[:1])
	}
	if out = out[len(lead):]; lead != h.lead || len(out) != h.size {
		return nil
	}
	for _, b := range out {
		if b < 0x80 || h.size > 1 && b <= 0xa0 {
			return nil // a character that the set has only beside ISO 2022
		}
	}
	return out
}

// A shifter writes text in sets that escape sequences reach.
type shifter struct {
	out    []byte
	g0, g1 string // where the halves are; "": as at the beginning of a line
}

func (w *shifter) shift(half *string, to string) {
	if *half != to {
		w.out = append(append(w.out, 0x1b), to...)
		*half = to
	}
}

// ascii goes back to ASCII.
func (w *shifter) ascii() {
	if w.g0 != "" {
		w.shift(&w.g0, "(B")
		w.g0 = ""
	}
}

// declared writes a character in the first of the declared sets that has it, and
// reports whether one has.
func (w *shifter) declared(c *charset, r rune) bool {
	for _, s := range c.writes {
		e := sequences[s]
		one := e.set.encode(r)
		switch {
		case one == nil:
			continue
		case e.g1:
			w.ascii()
			w.shift(&w.g1, s)
		default:
			w.shift(&w.g0, s)
			for i := range one {
				one[i] &= 0x7f
			}
		}
		w.out = append(w.out, one...)
		return true
	}
	return false
}

// encodeSwitching writes each character as what bytes mean at the beginning, or
// in the first of the sets declared beside it that has it. It goes back to ASCII
// before each ASCII character, and at the end to where it began.
func (c *charset) encodeSwitching(text string) ([]byte, error) {
	w := &shifter{}
	back := c.begins()
	based := func(r rune) bool {
		var one []byte
		switch {
		case c.base == nil || c.g1 != nil || w.g1 != "" && back == "":
			return false
		case c.base.utf8:
			one = []byte(string(r))
		case c.base.encoding != nil:
			one, _ = c.base.encoding.NewEncoder().Bytes([]byte(string(r))) // nil: it does not have it
		}
		if len(one) == 0 {
			return false
		}
		w.ascii()
		if w.g1 != "" {
			w.shift(&w.g1, back)
		}
		w.out = append(w.out, one...)
		return true
	}
	for _, r := range text {
		switch {
		case r < 0x80:
			w.ascii()
			w.out = append(w.out, byte(r))
		case !based(r) && !w.declared(c, r):
			return nil, errCharacter
		}
	}
	w.ascii()
	if w.g1 != "" && back != "" {
		w.shift(&w.g1, back)
	}
	return w.out, nil
}
