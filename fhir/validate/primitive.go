package validate

import (
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/narrative"
	"github.com/plexus-health/plexus/fhir/search"
)

// A primitive is a type whose value is no object.
type primitive uint8

const (
	complexType primitive = iota
	booleanType
	integerType
	unsignedType
	positiveType
	decimalType
	stringType
	codeType
	idType
	uriType
	urlType
	canonicalType
	oidType
	uuidType
	base64Type
	dateType
	dateTimeType
	instantType
	timeType
	xhtmlType
)

var primitives = map[string]primitive{
	"boolean": booleanType, "integer": integerType, "unsignedInt": unsignedType, "positiveInt": positiveType, "decimal": decimalType,
	"string": stringType, "markdown": stringType, "code": codeType, "id": idType, "uri": uriType, "url": urlType, "canonical": canonicalType,
	"oid": oidType, "uuid": uuidType, "base64Binary": base64Type, "date": dateType, "dateTime": dateTimeType, "instant": instantType,
	"time": timeType, "xhtml": xhtmlType,
}

// maxText is the longest string in bytes (datatypes.html#string).
const maxText = 1 << 20

// primitive checks the JSON type and the form of a value.
func (k *checker) primitive(v *fhir.Node, f *field) bool {
	want, word := fhir.String, "string"
	switch f.simple {
	case booleanType:
		want, word = fhir.Bool, "boolean"
	case integerType, decimalType, positiveType, unsignedType:
		want, word = fhir.Number, "number"
	}
	if v.Kind != want {
		k.fault("structure", "is not a JSON "+word)
		return false
	}
	if want == fhir.String && v.Text == "" {
		k.fault("value", "is empty")
		return false
	}
	switch f.simple {
	case booleanType, decimalType:
		return true
	case integerType, positiveType, unsignedType:
		return k.whole(v.Text, f.simple)
	case dateType, dateTimeType, instantType:
		if !k.goodDate(v.Text, f.simple) {
			return false
		}
	case codeType:
		if !goodCode(v.Text) && (k.full || strings.TrimSpace(v.Text) != v.Text) {
			k.fault("value", "has spaces around it")
			return false
		}
	case idType:
		if !ID(v.Text) {
			k.fault("invalid", "is not 1 to 64 letters, digits, dots and dashes")
			return false
		}
	}
	return !k.full || k.form(v.Text, f)
}

// form checks what messages need not keep.
func (k *checker) form(s string, f *field) bool {
	fault := ""
	switch f.simple {
	case stringType:
		fault = badText(s)
		if fault == "" && f.name == "id" && strings.ContainsAny(s, " \t\r\n") {
			fault = "has white space in it"
		}
		if fault == "" && strings.TrimSpace(s) == "" {
			k.warn("value", "is white space only")
		}
	case uriType, urlType, canonicalType, oidType, uuidType:
		fault = badURI(s, f.simple)
	case base64Type:
		fault = badBase64(s)
	case timeType:
		if !goodTime(s) {
			fault = "is not a time of hours, minutes and seconds"
		}
	case xhtmlType:
		return k.narrative(s)
	}
	if fault != "" {
		// A placeholder such as urn:uuid:1 is a URI, if no UUID.
		k.report(Fault{Code: "value", Text: fault, Lax: f.simple == uriType && strings.HasPrefix(s, "urn:") && !strings.ContainsAny(s, " \t\r\n")})
		return false
	}
	switch {
	case f.hash && s[0] == '#':
		k.refers(s[1:])
	case f.simple == canonicalType && !absolute(s):
		k.lax("invalid", "is neither absolute nor a reference to what is contained")
	}
	return true
}

func (k *checker) whole(s string, typ primitive) bool {
	n, err := strconv.ParseInt(s, 10, 32)
	switch {
	case err != nil || (k.full && s[0] == '-' && n == 0):
		k.fault("value", "is not a 32-bit whole number")
	case k.full && typ == positiveType && n < 1:
		k.fault("value", "is not a whole number from 1")
	case k.full && typ == unsignedType && n < 0:
		k.fault("value", "is not a whole number from 0")
	default:
		return true
	}
	return false
}

// goodDate checks date, dateTime and instant (datatypes.html#primitive). Of a
// message a dateTime without an offset is taken: senders write it, and searches
// read it as UTC.
func (k *checker) goodDate(s string, typ primitive) bool {
	var ok bool
	switch {
	case k.full && len(s) <= len("2006-01-02"):
		ok = typ != instantType && goodDay(s)
	case k.full:
		day, rest := s[:len("2006-01-02")], s[len("2006-01-02"):]
		ok = typ != dateType && goodDay(day) && rest[0] == 'T' && len(rest) > 1
		if ok && goodTime(rest[1:]) {
			k.lax("value", "has a time without an offset from UTC")
			return true
		}
		ok = ok && goodOffset(rest[1:])
	case typ == instantType:
		_, err := time.Parse("2006-01-02T15:04:05Z07:00", s)
		ok = err == nil
	default:
		_, _, ok = search.Interval(s)
		ok = ok && (typ != dateType || len(s) <= len("2006-01-02"))
	}
	if !ok {
		k.fault("value", "is not a "+map[primitive]string{dateType: "date", dateTimeType: "dateTime", instantType: "instant"}[typ])
	}
	return ok
}

// goodDay checks a year, a month or a day that exists.
func goodDay(s string) bool {
	if len(s) < 4 || !digits(s[:4]) || s[:4] == "0000" {
		return false
	}
	if len(s) == 4 {
		return true
	}
	if len(s) < 7 || s[4] != '-' || !digits(s[5:7]) || s[5:7] < "01" || s[5:7] > "12" {
		return false
	}
	if len(s) == 7 {
		return true
	}
	if len(s) != 10 || s[7] != '-' || !digits(s[8:]) || s[8:] < "01" {
		return false
	}
	return s[8:] <= "28" || s[8:] <= lastDay(s[:4], s[5:7])
}

// lastDay is the last day of a month.
func lastDay(year, month string) string {
	switch month {
	case "04", "06", "09", "11":
		return "30"
	case "02":
		y, _ := strconv.Atoi(year) // four digits
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return "29"
		}
		return "28"
	}
	return "31"
}

// goodOffset checks a time with Z or an offset.
func goodOffset(s string) bool {
	if s[len(s)-1] == 'Z' {
		return goodTime(s[:len(s)-1])
	}
	if len(s) < 7 {
		return false
	}
	zone := s[len(s)-6:]
	return goodTime(s[:len(s)-6]) && (zone[0] == '+' || zone[0] == '-') && digits(zone[1:3]) && zone[3] == ':' && digits(zone[4:]) &&
		zone[4:] < "60" && zone[1:] <= "14:00"
}

// goodTime checks hh:mm:ss with fractions.
func goodTime(s string) bool {
	if len(s) < 8 || !digits(s[:2]) || s[2] != ':' || !digits(s[3:5]) || s[5] != ':' || !digits(s[6:8]) {
		return false
	}
	if s[:2] > "23" || s[3:5] > "59" || s[6:8] > "60" {
		return false
	}
	return len(s) == 8 || (s[8] == '.' && len(s) > 9 && digits(s[9:]))
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// goodCode checks [^\s]+(\s[^\s]+)*.
func goodCode(s string) bool {
	before := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c == '\t' || c == '\n' || c == '\r' || c == '\f' {
			c = ' '
		}
		if c == ' ' && before == ' ' {
			return false
		}
		before = c
	}
	return before != ' '
}

func badText(s string) string {
	if len(s) > maxText {
		return "is longer than 1 MB"
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\r' && c != '\n' {
			return "has a control character in it"
		}
	}
	return ""
}

func badBase64(s string) string {
	count, pad := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			continue
		case c == '=':
			pad++
		case pad > 0 || !base64Char(c):
			return "is not base64"
		}
		count++
	}
	if pad > 2 || count%4 != 0 || count == 0 {
		return "is not base64"
	}
	return ""
}

func base64Char(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}

func badURI(s string, typ primitive) string {
	for i := range len(s) {
		if c := s[i]; c <= ' ' {
			return "has white space in it"
		}
	}
	id, uuid := strings.CutPrefix(s, "urn:uuid:")
	oid, isOID := strings.CutPrefix(s, "urn:oid:")
	switch {
	case uuid && typ != oidType:
		if id, _, _ = strings.Cut(id, "#"); !goodUUID(id) {
			return "is not a UUID of 32 lower-case hexadecimal digits in five groups"
		}
	case isOID && typ != uuidType:
		if !goodOID(oid) {
			return "is not an OID"
		}
	case typ == uuidType:
		return "does not begin with urn:uuid:"
	case typ == oidType:
		return "does not begin with urn:oid:"
	}
	return ""
}

func goodUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// goodOID checks [0-2](\.(0|[1-9][0-9]*))+.
func goodOID(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts[0]) != 1 || parts[0] > "2" {
		return false
	}
	for _, p := range parts {
		if p == "" || !digits(p) || (len(p) > 1 && p[0] == '0') {
			return false
		}
	}
	return true
}

// narrative checks XHTML. That a narrative shows something (txt-2) is no error
// here: an example of the specification shows nothing.
func (k *checker) narrative(s string) bool {
	good := true
	for _, f := range narrative.Check(s) {
		switch {
		case f.Minor || f.Rule == "txt-2":
			k.warn("invariant", strings.TrimPrefix(f.Rule+": "+f.Text, ": "))
		case f.Rule != "":
			k.fault("invariant", f.Rule+": "+f.Text)
			good = false
		default:
			k.fault("invalid", f.Text)
			good = false
		}
	}
	return good
}
