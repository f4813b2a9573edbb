package mapping

import (
	"strconv"
	"unicode/utf8"

	"github.com/plexus-health/plexus/fhir"
)

// appendJSON writes a value as JSON (RFC 8259).
func appendJSON(dst []byte, n *fhir.Node) []byte {
	switch n.Kind {
	case fhir.Null:
		return append(dst, "null"...)
	case fhir.Bool, fhir.Number:
		return append(dst, n.Text...)
	case fhir.String:
		return appendText(dst, n.Text)
	case fhir.Array:
		dst = append(dst, '[')
		for i, item := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, item)
		}
		return append(dst, ']')
	case fhir.Object:
	}
	dst = append(dst, '{')
	for i := range n.Members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, n.Members[i].Name), ':')
		dst = appendJSON(dst, n.Members[i].Value)
	}
	return append(dst, '}')
}

func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c >= utf8.RuneSelf:
			dst = append(dst, `�`...)
		default:
			hex := strconv.FormatUint(uint64(c)+0x10000, 16)
			dst = append(append(dst, '\\', 'u'), hex[1:]...)
		}
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
