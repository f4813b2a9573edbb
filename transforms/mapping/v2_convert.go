package mapping

import (
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
)

// A v2Conversion is a word of `as` on the way to HL7 v2 that is no map.
type v2Conversion struct {
	// takes is the FHIR type it reads; "" for any primitive.
	takes string
	emit  func(r *v2Run, it *v2Item, args []v2Item, at v2Pos) bool
}

// v2Conversions are the built-in ones. Their laws are in the tests.
func v2Conversions() map[string]v2Conversion {
	table := map[string]v2Conversion{
		"TS": v2Text(v2Stamp), "DTM": v2Text(v2Stamp), "DT": v2Text(v2Date), "TM": v2Text(v2Time),
		"upper":       v2Text(func(_ *v2Run, s string) (string, bool) { return strings.ToUpper(s), true }),
		"lower":       v2Text(func(_ *v2Run, s string) (string, bool) { return strings.ToLower(s), true }),
		"digits":      v2Text(func(_ *v2Run, s string) (string, bool) { return onlyDigits(s), true }),
		"ID":          v2Text(func(_ *v2Run, s string) (string, bool) { return strings.TrimSpace(s), true }),
		"ST":          v2Text(func(_ *v2Run, s string) (string, bool) { return s, true }),
		"NM":          v2Text(func(_ *v2Run, s string) (string, bool) { return jsonNumber(s) }),
		"SI":          v2Text(func(_ *v2Run, s string) (string, bool) { return s, s != "" && len(s) <= 4 && allDigits(s) }),
		"system-name": v2Text(v2SystemName),
		"HD":          {emit: v2Authority},
	}
	for _, name := range []string{"FT", "TX"} {
		table[name] = v2Conversion{emit: func(r *v2Run, it *v2Item, _ []v2Item, at v2Pos) bool {
			return r.put(at, it.String(), it.source(), true)
		}}
	}
	return table
}

// v2Text makes a conversion of a function over texts: ok is false for one that
// does not fit; an empty text is no value.
func v2Text(convert func(r *v2Run, text string) (string, bool)) v2Conversion {
	return v2Conversion{emit: func(r *v2Run, it *v2Item, _ []v2Item, at v2Pos) bool {
		text, ok := convert(r, it.String())
		if !ok {
			r.misfit(it, "value of that type")
			return false
		}
		return r.put(at, text, it.source(), false)
	}}
}

func onlyDigits(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, s)
}

// v2Stamp writes a FHIR date, dateTime or instant as TS (HL7 v2.5.1, 2A.22),
// as far as it goes and with the offset it has.
func v2Stamp(_ *v2Run, text string) (string, bool) {
	day, clock, timed := strings.Cut(text, "T")
	var layout string
	switch len(day) {
	case len("2006"):
		layout = "2006"
	case len("2006-01"):
		layout = "2006-01"
	case len("2006-01-02"):
		layout = "2006-01-02"
	default:
		return "", false
	}
	if _, err := time.Parse(layout, day); err != nil || timed && len(day) < len("2006-01-02") {
		return "", false
	}
	out := strings.ReplaceAll(day, "-", "")
	if !timed {
		return out, true
	}
	at := strings.IndexAny(clock, "Z+-")
	if at < 0 {
		return "", false
	}
	offset := clock[at:]
	hours, ok := v2Clock(clock[:at])
	if !ok {
		return "", false
	}
	if offset == "Z" {
		offset = "+0000"
	} else if _, err := time.Parse("-07:00", offset); err != nil {
		return "", false
	}
	return out + hours + strings.Replace(offset, ":", "", 1), true
}

// v2Clock writes hh:mm:ss.fff without colons; fractions to the tenth of a
// millisecond, which is what TS has room for.
func v2Clock(clock string) (string, bool) {
	whole, fraction, point := strings.Cut(clock, ".")
	if len(whole) == len("15:04") {
		whole += ":00"
	}
	checked := whole
	if minute, leap := strings.CutSuffix(whole, ":60"); leap {
		checked = minute + ":59" // a leap second
	}
	if _, err := time.Parse("15:04:05", checked); err != nil {
		return "", false
	}
	if !allDigits(strings.ReplaceAll(whole, ":", "")) || len(whole) != len("15:04:05") || point && (fraction == "" || !allDigits(fraction)) {
		return "", false
	}
	out := strings.ReplaceAll(whole, ":", "")
	if point {
		out += "." + fraction[:min(len(fraction), 4)]
	}
	return out, true
}

// v2Date writes the day of a date or dateTime.
func v2Date(r *v2Run, text string) (string, bool) {
	stamp, ok := v2Stamp(r, text)
	return stamp[:min(len(stamp), 8)], ok
}

// v2Time writes a FHIR time as TM.
func v2Time(_ *v2Run, text string) (string, bool) { return v2Clock(text) }

// v2SystemName names a code system as table 0396 does: a known system's name,
// an OID, the name of a local one that came in this way, else by its URI.
func v2SystemName(r *v2Run, uri string) (string, bool) {
	if uri == "" {
		return "", true
	}
	if known := r.prog.systems.URI(uri); known != nil && len(known.V2) > 0 {
		return known.V2[0], true
	}
	if known := r.prog.systems.URI(uri); known != nil && strings.HasPrefix(known.Name, "v2-") {
		return "HL7" + known.Name[len("v2-"):], true
	}
	if oid, ok := strings.CutPrefix(uri, "urn:oid:"); ok {
		return oid, true
	}
	if name, ok := strings.CutPrefix(uri, localSystem("")); ok {
		return unhex(name), true
	}
	return uri, true
}

// unhex takes back what localSystem did to a name.
func unhex(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := strings.IndexByte("0123456789ABCDEF", s[i+1]), strings.IndexByte("0123456789ABCDEF", s[i+2])
			if high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return strings.ToValidUTF8(string(out), "")
}

// v2Authority writes the system of an identifier as HD: name of the authority,
// universal id, its type. $1 is the name where the system has none.
func v2Authority(r *v2Run, it *v2Item, args []v2Item, at v2Pos) bool {
	uri := it.String()
	space, spaceFrom := "", it.source()
	universal, sort := "", ""
	known := r.prog.systems.URI(uri)
	switch {
	case known != nil && known.OID != "":
		universal, sort = known.OID, "ISO"
		if len(known.V2) > 0 {
			space = known.V2[0]
		}
	case strings.HasPrefix(uri, "urn:oid:"):
		universal, sort = uri[len("urn:oid:"):], "ISO"
	case strings.HasPrefix(uri, "urn:uuid:"):
		universal, sort = uri[len("urn:uuid:"):], "UUID"
	case uri != "":
		universal, sort = uri, "URI"
	}
	if len(args) > 0 && args[0].valued() {
		space, spaceFrom = args[0].String(), args[0].source()
	}
	made := r.put(at.part(1, false), space, spaceFrom, false)
	made = r.put(at.part(2, false), universal, it.source(), false) || made
	if universal != "" {
		r.put(at.part(3, false), sort, nil, false)
	}
	return made
}

// v2Boolean is a boolean as table 0136 has it.
func v2Boolean(n *fhir.Node) string {
	if n.Text == "true" {
		return "Y"
	}
	return "N"
}
