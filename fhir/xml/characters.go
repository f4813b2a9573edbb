package xml

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"unicode/utf16"
)

// NoCharacter reports whether a tag or text refers by number to half of a
// surrogate pair, which is no character (XML 1.0, 4.1); written is the token as it
// stands in the text. encoding/xml reads another character there.
func NoCharacter(t xml.Token, written []byte) bool {
	switch t.(type) {
	case xml.StartElement:
	case xml.CharData:
		if bytes.HasPrefix(written, []byte("<![CDATA[")) {
			return false
		}
	default:
		return false
	}
	for {
		_, after, more := bytes.Cut(written, []byte("&#"))
		if !more {
			return false
		}
		number, _, _ := bytes.Cut(after, []byte(";"))
		base := 10
		if hex, ok := bytes.CutPrefix(number, []byte("x")); ok {
			number, base = hex, 16
		}
		if n, err := strconv.ParseUint(string(number), base, 32); err == nil && n < 1<<16 && utf16.IsSurrogate(rune(n)) {
			return true
		}
		written = after
	}
}

const half = "refers to half of a surrogate pair, which is no character"
