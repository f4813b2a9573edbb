package hl7v2

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// A charset is one character set of table 0211. Without encoding it is ASCII.
type charset struct {
	encoding encoding.Encoding
	// wide: bytes of a character may equal delimiters, so the whole message
	// is decoded before it is split.
	wide bool
	// shifts: escape sequences change what bytes below 0x80 mean (ISO 2022).
	shifts bool
	utf8   bool
	// base is what bytes mean before any escape sequence; nil: ASCII.
	base *charset
	// g1 is what bytes above ASCII mean then, where no base says it.
	g1 *half
	// writes are the escape sequences of the sets declared beside base: text is
	// written in no others.
	writes []string
}

var (
	unicodeSet = &charset{utf8: true}
	asciiSet   = &charset{}
	latin1     = &charset{encoding: charmap.Windows1252}
	japaneseG0 = japaneseSet(nil, "$B")
	allJapan   = japaneseSet(nil, "$B", "(I", "$(D")
)

func japaneseSet(g1 *half, writes ...string) *charset {
	return &charset{encoding: japanese.ISO2022JP, wide: true, shifts: true, g1: g1, writes: writes}
}

// table0211 are the words of HL7 table 0211. 8859/1 is read as Windows-1252,
// which has characters where the former has control codes nobody sends.
var table0211 = map[string]*charset{
	"ASCII": asciiSet, "US-ASCII": asciiSet, "ISO IR6": asciiSet,
	"8859/1": latin1, "8859/2": {encoding: charmap.ISO8859_2}, "8859/3": {encoding: charmap.ISO8859_3},
	"8859/4": {encoding: charmap.ISO8859_4}, "8859/5": {encoding: charmap.ISO8859_5}, "8859/6": {encoding: charmap.ISO8859_6},
	"8859/7": {encoding: charmap.ISO8859_7}, "8859/8": {encoding: charmap.ISO8859_8}, "8859/9": {encoding: charmap.ISO8859_9},
	"8859/10": {encoding: charmap.ISO8859_10}, "8859/11": {encoding: charmap.Windows874}, "8859/13": {encoding: charmap.ISO8859_13},
	"8859/14": {encoding: charmap.ISO8859_14}, "8859/15": {encoding: charmap.ISO8859_15}, "8859/16": {encoding: charmap.ISO8859_16},
	"UNICODE UTF-8": unicodeSet, "UNICODE": unicodeSet, "UTF-8": unicodeSet, "UTF8": unicodeSet,
	"ISO IR14": japaneseSet(nil), "ISO IR13": japaneseSet(kana, "(I"), "JAS2020": allJapan, "JIS X 0202": allJapan,
	"ISO IR87": japaneseG0, "ISO IR159": japaneseSet(nil, "$(D"),
	"GB 18030-2000": {encoding: simplifiedchinese.GB18030, wide: true}, "KS X 1001": {encoding: korean.EUCKR},
	"BIG-5": {encoding: traditionalchinese.Big5, wide: true},
}

// choose takes the character set of the message: the channel's word for it, or
// MSH-18. None: ASCII; bytes above it are then read as UTF-8 where they are
// that, else as Windows-1252.
func (m *Message) choose(override string, msh []byte, start int) {
	if override != "" {
		m.charset = charsetByName(override)
		return
	}
	declared := declaredSet(msh, m.delims)
	for len(declared) > 0 {
		one := declared
		if at := bytes.IndexByte(declared, m.delims.Repetition); m.delims.Repetition != 0 && at >= 0 {
			one, declared = declared[:at], declared[at+1:]
		} else {
			declared = nil
		}
		if len(one) == 0 || string(one) == `""` {
			continue
		}
		c := charsetByName(string(one))
		switch {
		case c == nil:
			m.warn("MSH-18", start, "charset-unknown", "the declared character set is not known")
		case m.charset == nil:
			m.charset = c
		case c.utf8 && !m.charset.utf8 && m.charset.encoding == nil:
			m.charset = c // it has no escape sequence, and ASCII within
		case (m.charset.shifts || !m.charset.wide) && (c.shifts || !c.wide):
			m.charset = m.charset.with(c)
		case c.wide && !m.charset.wide:
			m.charset = c // it has no escape sequences: then it is the one
		}
	}
}

// wideSets are the encodings whose bytes may equal separators.
var wideSets = []encoding.Encoding{simplifiedchinese.GB18030, simplifiedchinese.GBK, traditionalchinese.Big5, japanese.ShiftJIS, japanese.ISO2022JP}

// declaredSet is MSH-18. Where characters before it may hide separators, it is
// the field 18 of the set that names itself there.
func declaredSet(msh []byte, d Delims) []byte {
	declared := field(msh, d.Field, 18)
	hides := bytes.IndexByte(msh, 0x1b) >= 0
	for i := 1; i < len(msh) && !hides; i++ {
		hides = msh[i] == d.Field && msh[i-1] >= 0x80
	}
	if !hides {
		return declared
	}
	for _, e := range wideSets {
		c := charset{encoding: e, wide: true, shifts: e == japanese.ISO2022JP}
		text, _, _ := c.decodeWide(msh)
		said := field([]byte(text), d.Field, 18)
		for _, one := range bytes.Split(said, []byte{d.Repetition}) {
			if named := charsetByName(string(one)); named != nil && named.encoding == e {
				return said
			}
		}
	}
	return declared
}

// field is field n of a header segment, where field 1 is its separator.
func field(line []byte, sep byte, n int) []byte {
	for ; n > 1; n-- {
		at := bytes.IndexByte(line, sep)
		if at < 0 {
			return nil
		}
		line = line[at+1:]
	}
	if at := bytes.IndexByte(line, sep); at >= 0 {
		line = line[:at]
	}
	return line
}

// read fills text from the bytes, and looks whether it holds escapes.
func (m *Message) read(raw []byte) {
	m.fill(raw)
	if esc := m.delims.Escape; esc != 0 {
		first := strings.IndexByte(m.text, esc)
		inHeader := first == 6 && strings.HasPrefix(m.text, "MSH") // MSH-2 itself
		m.escapes = first >= 0 && (!inHeader || strings.IndexByte(m.text[first+1:], esc) >= 0)
	}
}

// fill decodes the bytes as far as segments must be found in them, and warns
// of bytes that the declared set does not have.
func (m *Message) fill(raw []byte) {
	c := m.charset
	if c != nil && c.wide {
		text, offsets, bad := c.decodeWide(raw)
		m.text, m.offsets, m.plain = text, offsets, true
		m.misfit(raw, bad, "")
		return
	}
	m.text = string(raw)
	mark := 0
	if bytes.HasPrefix(raw, []byte(byteOrderMark)) {
		mark = len(byteOrderMark) // it stands before the message
	}
	high := firstHigh(raw[mark:])
	switch {
	case high < 0:
		m.plain = true
	case c == nil:
		m.plain = utf8.Valid(raw)
		m.warn("MSH-18", mark+high, "charset-undeclared", "bytes above ASCII although MSH-18 declares no such character set; read as "+m.readAs())
	case c.utf8:
		if m.plain = utf8.Valid(raw); !m.plain {
			m.misfit(raw, invalidAt(raw), "; they can be read as "+m.readAs())
		}
	case c.encoding == nil: // ASCII, said in so many words
		m.plain = utf8.Valid(raw)
		m.misfit(raw, mark+high, "; they can be read as "+m.readAs())
	default:
		m.misfit(raw, c.lacks(raw), "")
		if _, single := c.encoding.(*charmap.Charmap); single && m.override == "" && utf8.Valid(raw) {
			m.warn("MSH-18", mark+high, "charset-doubtful", "all bytes above ASCII are UTF-8 although MSH-18 declares another character set; read as declared")
		}
	}
}

// ascii reports whether nothing above ASCII stands behind a byte order mark.
func (m *Message) ascii() bool {
	return firstHigh(bytes.TrimPrefix(m.raw, []byte(byteOrderMark))) < 0
}

// byteOrderMark is that of UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// readAs is the set in which bytes are read that no declaration explains.
func (m *Message) readAs() string {
	if m.plain {
		return "UTF-8"
	}
	return "Windows-1252"
}

// misfit warns of the first byte that the character set does not have, where
// there is one: that of MSH-18, or the channel's.
func (m *Message) misfit(raw []byte, at int, readAs string) {
	if at < 0 {
		return
	}
	where := "MSH-18"
	if m.override != "" {
		where = placeOf(raw, at, nil, m.delims, m.override)
	}
	m.warn(where, at, "charset-wrong", "bytes are not of the declared character set"+readAs)
}

// lacks is the first byte that a set of one byte for each character, or of pairs
// above ASCII, does not have; -1 when there is none.
func (c *charset) lacks(raw []byte) int {
	single, ok := c.encoding.(*charmap.Charmap)
	if !ok {
		if out, err := c.encoding.NewDecoder().Bytes(raw); err == nil && !bytes.ContainsRune(out, utf8.RuneError) {
			return -1
		}
	}
	for at := 0; at < len(raw); {
		switch {
		case raw[at] < 0x80:
			at++
		case ok:
			if single.DecodeByte(raw[at]) == utf8.RuneError {
				return at
			}
			at++
		default:
			_, used, good := c.decodeOne(raw[at:])
			if !good {
				return at
			}
			at += used
		}
	}
	return -1
}

// decode turns bytes of a value into text, valid UTF-8 in every case.
func (m *Message) decode(s string) string {
	if m.plain || firstHigh(s) < 0 {
		return s
	}
	c := m.charset
	if c == nil || c.encoding == nil {
		if utf8.ValidString(s) {
			return s
		}
		c = latin1
	}
	out, err := c.encoding.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return out
}

// decodeBytes turns bytes in the message's own set into text, where text is
// decoded already: those of hexadecimal escapes.
func (m *Message) decodeBytes(b []byte) string {
	if m.charset != nil && m.charset.wide {
		text, _, _ := m.charset.decodeWide(b)
		return text
	}
	inner := Message{charset: m.charset}
	return inner.decode(string(b))
}

// decodeWide decodes all of raw and says for every byte of the text (and its
// end) which byte of raw it comes from. bad is the first byte that the set
// does not have, -1 when there is none.
func (c *charset) decodeWide(raw []byte) (text string, offsets []int32, bad int) {
	if c.shifts {
		return c.decodeSwitching(raw)
	}
	decoder := c.encoding.NewDecoder()
	out := make([]byte, 0, len(raw)+len(raw)/2)
	offsets = make([]int32, 0, cap(out)+1)
	bad = -1
	var buf [8]byte
	for at := 0; at < len(raw); {
		if raw[at] < 0x80 {
			out, offsets = append(out, raw[at]), append(offsets, int32(at))
			at++
			continue
		}
		n, used := 0, 0
		for size := 1; n == 0 && size <= len(buf); size++ {
			var more int
			n, more, _ = decoder.Transform(buf[:size], raw[at+used:], true)
			used += more
			if more > 0 && n == 0 && at+used == len(raw) {
				break
			}
		}
		if used == 0 { // cannot be: a byte that no size of buffer moves
			n, used = copy(buf[:], "\uFFFD"), 1
		}
		from := at
		if n == 1 {
			from = at + used - 1
		}
		if bad < 0 && bytes.Contains(buf[:n], []byte("\uFFFD")) && string(raw[at:at+used]) != replacement {
			bad = at
		}
		for i := range n {
			out, offsets = append(out, buf[i]), append(offsets, int32(from))
		}
		at += used
	}
	return string(out), append(offsets, int32(len(raw))), bad
}

// replacement is U+FFFD as GB 18030 writes it, where a sender had it already.
const replacement = "\x84\x31\xa4\x37"

// firstHigh is the place of the first byte above ASCII, -1 when there is none.
func firstHigh[T string | []byte](b T) int {
	i := 0
	var word [8]byte
	for ; i+8 <= len(b); i += 8 {
		copy(word[:], b[i:i+8])
		if binary.LittleEndian.Uint64(word[:])&0x8080808080808080 != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if b[i] >= 0x80 {
			return i
		}
	}
	return -1
}

func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(b)
}
