package hl7v2

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// A charset is one character set of table 0211.
type charset struct {
	encoding encoding.Encoding
	// wide: bytes of a character may equal delimiters, so the whole message
	// is decoded before it is split.
	wide bool
	utf8 bool
}

func (c *charset) decode(b []byte) string {
	if c.utf8 || c.encoding == nil {
		return string(b)
	}
	out, err := c.encoding.NewDecoder().Bytes(b)
	if err != nil {
		return string(b)
	}
	return string(out)
}

func (c *charset) decodeAll(b []byte) []byte {
	out, err := c.encoding.NewDecoder().Bytes(b)
	if err != nil {
		return b
	}
	return out
}

var (
	unicodeSet = &charset{utf8: true}
	latin1     = &charset{encoding: charmap.Windows1252}
)

// table0211 are the names of HL7 table 0211 that are no names of their own
// encodings elsewhere.
var table0211 = map[string]*charset{
	"ASCII": nil, "US-ASCII": nil, "8859/1": {encoding: charmap.ISO8859_1}, "8859/2": {encoding: charmap.ISO8859_2}, "8859/3": {encoding: charmap.ISO8859_3},
	"8859/4": {encoding: charmap.ISO8859_4}, "8859/5": {encoding: charmap.ISO8859_5}, "8859/6": {encoding: charmap.ISO8859_6},
	"8859/7": {encoding: charmap.ISO8859_7}, "8859/8": {encoding: charmap.ISO8859_8}, "8859/9": {encoding: charmap.ISO8859_9},
	"8859/15": {encoding: charmap.ISO8859_15}, "UNICODE UTF-8": unicodeSet, "UNICODE": unicodeSet, "UTF-8": unicodeSet, "UTF8": unicodeSet,
	"ISO IR14": {encoding: japanese.ISO2022JP, wide: true}, "ISO IR87": {encoding: japanese.ISO2022JP, wide: true}, "ISO IR159": {encoding: japanese.ISO2022JP, wide: true},
	"GB 18030-2000": {encoding: simplifiedchinese.GB18030, wide: true}, "KS X 1001": {encoding: korean.EUCKR}, "BIG-5": {encoding: traditionalchinese.Big5, wide: true},
	"CNS 11643-1992": {encoding: traditionalchinese.Big5, wide: true},
}

// charsetByName finds a set by the words of table 0211 or the common names.
func charsetByName(name string) *charset {
	key := strings.ToUpper(strings.TrimSpace(name))
	if c, known := table0211[key]; known {
		if c == nil {
			return &charset{}
		}
		return c
	}
	e, err := htmlindex.Get(strings.ReplaceAll(strings.TrimSpace(name), "_", "-"))
	if err != nil {
		return nil
	}
	canonical, err := htmlindex.Name(e)
	if err != nil || strings.HasPrefix(canonical, "utf-16") {
		return nil
	}
	if canonical == "utf-8" {
		return unicodeSet
	}
	switch canonical {
	case "shift_jis", "gb18030", "gbk", "big5", "iso-2022-jp":
		return &charset{encoding: e, wide: true}
	}
	return &charset{encoding: e}
}

// chooseCharset reads MSH-18, or takes the channel's word for it. nil: ASCII,
// and bytes above it are read as UTF-8 if they are that, else as Windows-1252.
func (m *Message) chooseCharset(override string, start int) *charset {
	if override != "" {
		return charsetByName(override)
	}
	head := m.raw[start:]
	if end := bytes.IndexAny(head, "\r\n"); end >= 0 {
		head = head[:end]
	}
	fields := bytes.SplitN(head, []byte{m.delims.Field}, 19)
	if len(fields) < 18 {
		return nil
	}
	declared := fields[17]
	wide := (*charset)(nil)
	var first *charset
	for i, one := range bytes.Split(declared, []byte{m.delims.Repetition}) {
		if len(one) == 0 {
			continue
		}
		c := charsetByName(string(one))
		if c == nil {
			m.warn("MSH-18", start, "charset-unknown", "the declared character set is not known; bytes are read as UTF-8 or Windows-1252")
			continue
		}
		if i == 0 || first == nil {
			first = c
		}
		if c.wide && wide == nil {
			wide = c
		}
	}
	if wide != nil {
		return wide
	}
	return first
}

// checkBytes warns of bytes the declared set does not have.
func (m *Message) checkBytes() {
	if at := bytes.IndexByte(m.raw, 0); at >= 0 {
		m.warn("", at, "nul", "the message holds NUL bytes")
	}
	at := firstHigh(m.raw)
	if at < 0 {
		return
	}
	switch {
	case m.charset == nil || (m.charset.encoding == nil && !m.charset.utf8):
		text := "bytes above ASCII although MSH-18 declares no such character set; read as UTF-8"
		if !utf8.Valid(m.raw) {
			text = "bytes above ASCII although MSH-18 declares no such character set; read as Windows-1252"
		}
		m.warn("MSH-18", at, "charset-undeclared", text)
	case m.charset.utf8 && !utf8.Valid(m.raw):
		m.warn("MSH-18", invalidAt(m.raw), "charset-wrong", "bytes are not UTF-8 as declared; read as Windows-1252")
	}
}

func firstHigh(b []byte) int {
	for i, c := range b {
		if c >= 0x80 {
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

// decode turns bytes of a value into text, valid UTF-8 in every case.
func (m *Message) decode(b []byte) string {
	if m.charset != nil && m.charset.wide {
		return string(b)
	}
	if firstHigh(b) < 0 {
		return string(b)
	}
	if m.charset != nil && m.charset.encoding != nil {
		return m.charset.decode(b)
	}
	if utf8.Valid(b) {
		return string(b)
	}
	return latin1.decode(b)
}
