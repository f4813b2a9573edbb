package mapping

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/tables"
)

// A conversion is one word of `as` that is no map.
type conversion struct {
	// out is the FHIR type it makes.
	out string
	// text makes a primitive. ok is false when the value does not fit; an
	// empty text with ok is no value.
	text func(r *run, v *val) (text string, ok bool)
	// object makes a complex value below obj.
	object func(r *run, v *val, args []val, obj int32) bool
}

// conversions are the built-in ones. Their laws are in the tests.
func conversions() map[string]conversion {
	plain := func(r *run, v *val) (string, bool) { return r.text(v), true }
	table := map[string]conversion{
		"string": {out: "string", text: plain}, "code": {out: "code", text: codeText},
		"uri": {out: "uri", text: trimmed}, "url": {out: "url", text: trimmed}, "canonical": {out: "canonical", text: trimmed},
		"id": {out: "id", text: trimmed}, "oid": {out: "oid", text: trimmed}, "markdown": {out: "markdown", text: plain},
		"decimal": {out: "decimal", text: decimal}, "integer": {out: "integer", text: integer},
		"positiveInt": {out: "positiveInt", text: positiveInt}, "unsignedInt": {out: "unsignedInt", text: unsignedInt},
		"boolean": {out: "boolean", text: boolean}, "date": {out: "date", text: dateText},
		"dateTime": {out: "dateTime", text: dateTimeText}, "instant": {out: "instant", text: instantText},
		"time":         {out: "time", text: func(r *run, v *val) (string, bool) { return fits(r.text(v), clock) }},
		"base64Binary": {out: "base64Binary", text: base64Text}, "base64": {out: "base64Binary", text: base64Text},
		"text-base64":    {out: "base64Binary", text: textBase64},
		"upper":          {out: "string", text: func(r *run, v *val) (string, bool) { return strings.ToUpper(r.text(v)), true }},
		"lower":          {out: "string", text: func(r *run, v *val) (string, bool) { return strings.ToLower(r.text(v)), true }},
		"digits":         {out: "string", text: digitsText},
		"system-uri":     {out: "uri", text: systemURI},
		"local-uri":      {out: "uri", text: func(r *run, v *val) (string, bool) { return fits(strings.TrimSpace(r.text(v)), localURI) }},
		"HD-uri":         {out: "uri", text: hdURI},
		"encoded-text":   {out: "string", text: encodedText},
		"formatted-text": {out: "string", text: formattedText},
		"lines":          {out: "string", text: formattedText},
		"CWE-text":       {out: "string", text: cweText},
		"start-end":      {out: "Period", object: startEnd},
		"range-text":     {out: "Range", object: rangeText},
		"v2-event":       {out: "Coding", object: v2Event},
		"Quantity":       {out: "Quantity", object: quantity},
		"ED-Attachment":  {out: "Attachment", object: edAttachment},
		"RP-Attachment":  {out: "Attachment", object: rpAttachment},
	}
	return table
}

func fits(text string, f func(string) (string, bool)) (string, bool) {
	if text == "" {
		return "", true
	}
	return f(text)
}

func trimmed(r *run, v *val) (string, bool) { return strings.TrimSpace(r.text(v)), true }

// codeText is a code: no space at its ends, single ones within (FHIR R4, code).
func codeText(r *run, v *val) (string, bool) {
	text := r.text(v)
	for i := range len(text) {
		if text[i] <= ' ' {
			return strings.Join(strings.Fields(text), " "), true
		}
	}
	return text, true
}

// decimal keeps a number as written: 7.20 is not 7.2. A sign +, a leading point
// and leading zeros, which JSON has no form for, go.
func decimal(r *run, v *val) (string, bool) {
	return fits(strings.TrimSpace(r.text(v)), jsonNumber)
}

func jsonNumber(text string) (string, bool) {
	sign := ""
	switch {
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	case strings.HasPrefix(text, "-"):
		sign, text = "-", text[1:]
	}
	whole, fraction, point := strings.Cut(text, ".")
	if !allDigits(whole) || !allDigits(fraction) || whole+fraction == "" || len(text) > 64 {
		return "", false
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if !point || fraction == "" {
		return sign + whole, true
	}
	return sign + whole + "." + fraction, true
}

func wholeNumber(r *run, v *val, low int64) (string, bool) {
	return fits(strings.TrimSpace(r.text(v)), func(text string) (string, bool) {
		text, ok := jsonNumber(text)
		if !ok || len(text) > 11 || strings.Contains(text, ".") {
			return "", false
		}
		var n int64
		for _, c := range []byte(strings.TrimPrefix(text, "-")) {
			n = n*10 + int64(c-'0')
		}
		if text[0] == '-' {
			n = -n
		}
		return text, n >= low && n <= 1<<31-1
	})
}

func integer(r *run, v *val) (string, bool)     { return wholeNumber(r, v, -1<<31) }
func positiveInt(r *run, v *val) (string, bool) { return wholeNumber(r, v, 1) }
func unsignedInt(r *run, v *val) (string, bool) { return wholeNumber(r, v, 0) }

// boolean reads the codes of table 0136 and what stands for them.
func boolean(r *run, v *val) (string, bool) {
	switch strings.ToUpper(strings.TrimSpace(r.text(v))) {
	case "":
		return "", true
	case "Y", "YES", "TRUE", "T", "1":
		return "true", true
	case "N", "NO", "FALSE", "F", "0":
		return "false", true
	}
	return "", false
}

func dateText(r *run, v *val) (string, bool) {
	return fits(strings.TrimSpace(r.text(v)), func(text string) (string, bool) {
		s, ok := parseStamp(text)
		return s.date(), ok
	})
}

func dateTimeText(r *run, v *val) (string, bool) {
	return fits(strings.TrimSpace(r.text(v)), func(text string) (string, bool) {
		s, ok := parseStamp(text)
		return s.dateTime(r.zone), ok
	})
}

// instantText needs a time: an instant from a day is no value, not midnight.
func instantText(r *run, v *val) (string, bool) {
	return fits(strings.TrimSpace(r.text(v)), func(text string) (string, bool) {
		s, ok := parseStamp(text)
		if ok && s.digits < 10 {
			return "", true
		}
		return s.dateTime(r.zone), ok
	})
}

func base64Text(r *run, v *val) (string, bool) {
	return fits(r.text(v), func(text string) (string, bool) {
		text = strings.Join(strings.Fields(text), "")
		_, err := base64.StdEncoding.DecodeString(text)
		return text, err == nil
	})
}

// textBase64 is a text, with its line ends, as base64 of its UTF-8.
func textBase64(r *run, v *val) (string, bool) {
	text, ok := formattedText(r, v)
	return base64.StdEncoding.EncodeToString([]byte(text)), ok
}

func digitsText(r *run, v *val) (string, bool) {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, r.text(v)), true
}

// systemURI is the URI of a coding system as a v2 field names it: a known
// system's, else a URI, OID or UUID as such, else table 0396's form of a local
// name.
func systemURI(r *run, v *val) (string, bool) {
	text := strings.TrimSpace(r.text(v))
	if text == "" {
		return "", true
	}
	if known := r.prog.systems.V2(text); known != nil {
		return known.URI, true
	}
	if known := r.prog.systems.Name(text); known != nil {
		return known.URI, true
	}
	if uri := universalURI(text, ""); uri != "" {
		return uri, true
	}
	if strings.Contains(text, "://") || strings.HasPrefix(text, "urn:") {
		return text, true
	}
	return localSystem(text), true
}

// localSystem names a system nobody gave a URI, so that its codes stay apart
// from those of others.
func localSystem(text string) string {
	var b strings.Builder
	b.WriteString("urn:x-v2:")
	for _, c := range []byte(text) {
		if wordByte(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hexByte(c)))
	}
	return b.String()
}

// localURI is the name of an application that nobody gave a URI, as one.
func localURI(text string) (string, bool) { return localSystem(text), true }

func hexByte(c byte) string {
	const hexDigits = "0123456789abcdef"
	return string([]byte{hexDigits[c>>4], hexDigits[c&15]})
}

// hdURI is the URI of an assigning authority: known by name or universal id,
// else urn:oid, urn:uuid, else none.
func hdURI(r *run, v *val) (string, bool) {
	one, two, three := v.comp(1), v.comp(2), v.comp(3)
	uri := authorityURI(r.prog.systems, r.text(&one), r.text(&two), r.text(&three))
	if uri != "" {
		r.touch(&two)
		r.touch(&three)
	}
	return uri, true
}

func authorityURI(systems *tables.Systems, space, universal, kind string) string {
	if universal != "" {
		if uri := universalURI(universal, kind); uri != "" {
			if known := systems.V2(universal); known != nil {
				return known.URI
			}
			return uri
		}
	}
	if space == "" {
		return ""
	}
	if known := systems.V2(space); known != nil {
		return known.URI
	}
	return universalURI(space, "")
}

// universalURI writes an OID, UUID or URI as a URI; "" for anything else.
func universalURI(id, kind string) string {
	switch {
	case strings.HasPrefix(id, "urn:") || strings.HasPrefix(id, "http://") || strings.HasPrefix(id, "https://"):
		return id
	case isOID(id):
		return "urn:oid:" + id
	case isUUID(id):
		return "urn:uuid:" + strings.ToLower(id)
	case kind == "URI" && strings.Contains(id, ":"):
		return id
	}
	return ""
}

func isOID(s string) bool {
	if len(s) < 5 || s[0] < '0' || s[0] > '2' || s[1] != '.' {
		return false
	}
	for _, arc := range strings.Split(s, ".") {
		if arc == "" || !allDigits(arc) || len(arc) > 1 && arc[0] == '0' {
			return false
		}
	}
	return strings.Count(s, ".") >= 2
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// encodedText is a composite as it stands in the message.
func encodedText(r *run, v *val) (string, bool) {
	if v.level == noLevel {
		return v.text, true
	}
	if raw := v.v.Raw(); utf8.Valid(raw) {
		return string(raw), true
	}
	return v.v.Text(), true
}

// formattedText is one text of all repetitions, a line each; in FT and TX the
// breaks of the message are new lines.
func formattedText(r *run, v *val) (string, bool) {
	n := v.reps()
	if n <= 1 && v.many == nil {
		if v.level == fieldLevel || v.level == repLevel {
			rep := v.rep(1)
			return whole(&rep), true
		}
		return r.text(v), true
	}
	var b strings.Builder
	for i, one := range v.each() {
		if i > 1 {
			b.WriteByte('\n')
			r.touch(&one)
		}
		if one.many == nil && one.level == fieldLevel && one.reps() > 1 {
			text, _ := formattedText(r, &one)
			b.WriteString(text)
			continue
		}
		one = one.rep(1)
		b.WriteString(whole(&one))
	}
	return b.String(), true
}

// whole is the text of a repetition: with its separators when it has several
// components, since a text field has none by rights.
func whole(v *val) string {
	if v.level == repLevel {
		return v.v.Formatted()
	}
	return v.String()
}

// cweText is the text of a coded value: as meant, else its display, else its code.
func cweText(r *run, v *val) (string, bool) {
	for _, n := range [...]int{9, 2, 5, 1} {
		part := v.comp(n)
		if text := r.text(&part); text != "" {
			return text, true
		}
	}
	return "", true
}

// member adds a primitive below obj, if there is text.
func (r *run) member(obj, name int32, kind fhir.Kind, text string, v *val) bool {
	if text == "" {
		return false
	}
	start, end := v.span()
	r.attach(obj, node{name: name, kind: kind, text: text, row: r.row, start: start, end: end})
	if !v.constant {
		r.real++
	}
	return true
}
