package validate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// maxParts bounds the components of a value that are looked at: no data type
// has so many.
const maxParts = 64

// typed checks a repetition, component or subcomponent against its data type.
func (c *checker) typed(v hl7v2.Value, w where, f definitions.Field, depth int) {
	if !v.Valued() || c.full() {
		return
	}
	of := c.componentsOf(f.Type)
	known := len(of)
	if known == 0 || depth == 2 {
		c.leaf(v, w, f)
		return
	}
	count := v.Comps()
	part := v.Comp
	if depth == 1 {
		count, part = v.Subs(), v.Sub
	}
	if count > known {
		c.add(part(known+1), w.inside(known+1, depth), 102, "component-extra", Warning, "the data type "+f.Type+" has no such component")
	}
	for n, inner := range of[:min(known, maxParts)] {
		n++
		if n == 1 && inner.Table == "" && codedFirst(f, of) {
			inner.Table = f.Table
		}
		if n == 1 && f.Type == "TS" {
			inner.Type = "DTM" // versions before 2.5 call it ST, or nothing
		}
		switch {
		case n <= count && part(n).Valued():
			c.typed(part(n), w.inside(n, depth), inner, depth+1)
		case inner.Required():
			c.add(v, w.inside(n, depth), 101, "component-required", Warning, inner.Name+" is required in "+f.Type)
		}
	}
}

// codedFirst reports whether the table of a field is that of its first component,
// as in coded fields: not where another component has that table (PID-5: XPN.7 is
// the type of the name), where the first is a number (QRD-7) or a name.
func codedFirst(f definitions.Field, of []definitions.Field) bool {
	if f.Table == "" || f.Type == "XON" || of[0].Type == "NM" {
		return false
	}
	return !slices.ContainsFunc(of[1:], func(inner definitions.Field) bool { return inner.Table == f.Table })
}

// inside is the place of a component, or of a subcomponent.
func (w where) inside(n, depth int) where {
	if depth == 0 {
		w.comp = n
	} else {
		w.sub = n
	}
	return w
}

// leaf checks a value without parts: its form, its length, its code.
func (c *checker) leaf(v hl7v2.Value, w where, f definitions.Field) {
	if v.Null() {
		return
	}
	if form, ok := forms[f.Type]; ok {
		// What is longer than any such value is not looked at.
		if raw := v.Raw(); len(raw) > 100 || !form(strings.TrimSpace(v.Text())) {
			c.add(v, w, 102, "data-type", Error, "is not of the data type "+f.Type)
			return
		}
	}
	// From 2.7 on lengths are what a receiver must at least take.
	if f.Length > 0 && len(v.Raw()) > f.Length && c.version < "2.7" {
		if n := len([]rune(v.Text())); n > f.Length {
			c.add(v, w, 102, "length", Warning, "has "+strconv.Itoa(n)+" characters, the version allows "+strconv.Itoa(f.Length))
		}
	}
	if c.level >= Tables && f.Table != "" {
		c.code(v, w, f)
	}
}

// code looks a code up. Tables of type ID are closed; others may be added to by
// a site, and what is not found there is worth a warning only.
func (c *checker) code(v hl7v2.Value, w where, f definitions.Field) {
	if len(v.Raw()) <= 200 {
		if _, found, known := definitions.Code(f.Table, v.Text()); found || !known {
			return
		}
	} else if _, _, known := definitions.Code(f.Table, ""); !known {
		return
	}
	severity := Warning
	switch {
	case slices.Contains(ownNames, f.Table):
		return
	case f.Table == codingSystems && ownSystem(v):
		return
	case f.Type == "ID" && f.Table != codingSystems:
		severity = Error
	}
	c.add(v, w, 103, "table", severity, "is not a code of table "+f.Table)
}

// ownNames are tables of names that every site gives to its systems, places and
// assigning authorities: what is published of them are examples.
var ownNames = []string{"0300", "0361", "0362", "0363"}

// codingSystems is the table of coding systems: more are registered all the time,
// and two sorts of names stand there as patterns.
const codingSystems = "0396"

// ownSystem reports whether a coding system is a table of HL7 (HL70005) or one of
// a site (99 and anything).
func ownSystem(v hl7v2.Value) bool {
	raw := v.Raw()
	if len(raw) > 40 {
		return false
	}
	text := v.Text()
	number, isTable := strings.CutPrefix(text, "HL7")
	return isTable && len(number) == 4 && digits(number) || len(text) > 2 && strings.HasPrefix(text, "99")
}

// forms are the data types whose values have a form.
var forms = map[string]func(string) bool{
	"NM": numeric, "SI": digits, "DT": date, "DTM": moment, "TM": clock, "TS": moment,
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func numeric(s string) bool {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "+"), "-")
	whole, rest, point := strings.Cut(s, ".")
	switch {
	case whole == "" && rest == "":
		return false
	case point && rest != "" && !digits(rest):
		return false
	}
	return whole == "" || digits(whole)
}

// date is YYYY[MM[DD]].
func date(s string) bool {
	layout := "20060102"
	if len(s) != 4 && len(s) != 6 && len(s) != 8 {
		return false
	}
	_, err := time.Parse(layout[:len(s)], s)
	return err == nil
}

// zoned cuts the time zone off.
func zoned(s string) (string, bool) {
	at := strings.IndexAny(s, "+-")
	if at < 0 {
		return s, true
	}
	zone := s[at+1:]
	return s[:at], len(zone) == 4 && digits(zone) && zone[:2] <= "14" && zone[2:] <= "59"
}

// moment is YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ].
func moment(s string) bool {
	s, ok := zoned(s)
	if !ok {
		return false
	}
	if len(s) <= 8 {
		return date(s)
	}
	return date(s[:8]) && hours(s[8:])
}

// clock is HH[MM[SS[.S[S[S[S]]]]]][+/-ZZZZ].
func clock(s string) bool {
	s, ok := zoned(s)
	return ok && hours(s)
}

func hours(s string) bool {
	s, fraction, point := strings.Cut(s, ".")
	if point && (len(s) != 6 || len(fraction) > 4 || !digits(fraction)) {
		return false
	}
	if !digits(s) || len(s) != 2 && len(s) != 4 && len(s) != 6 {
		return false
	}
	return s[:2] <= "23" && (len(s) < 4 || s[2:4] <= "59") && (len(s) < 6 || s[4:] <= "59")
}
