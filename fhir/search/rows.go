package search

import (
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// rows collects the rows of one resource.
type rows struct {
	fhir.Index
	values []found
	// root is the resource, whose contained ones its references may name.
	root *container
	// composites: those and places have rows too.
	composites bool
}

func (x *rows) add(p *definitions.Param, v found) {
	x.value(p.ID, p.Kind, v.node)
	switch p.Kind {
	case "token":
		x.described(p.ID, v.node)
	case "reference":
		x.named(p.ID, v.node)
	}
}

// value adds the rows of one value under a number.
func (x *rows) value(id fhir.Param, kind string, n *fhir.Node) {
	switch kind {
	case "token":
		x.token(id, n)
	case "uri":
		if n.Kind == fhir.String {
			x.Tokens = append(x.Tokens, fhir.TokenRow{Param: id, Value: n.Text})
		}
	case "reference":
		x.reference(id, n)
	case "string":
		x.text(id, n)
	case "date":
		x.date(id, n)
	case "number", "quantity":
		x.number(id, n)
	}
}

// token takes codes, codings, concepts, identifiers, contact points, booleans.
func (x *rows) token(id fhir.Param, n *fhir.Node) {
	switch n.Kind {
	case fhir.String, fhir.Bool:
		if n.Text != "" {
			x.Tokens = append(x.Tokens, fhir.TokenRow{Param: id, Value: n.Text})
		}
		return
	case fhir.Object:
	default:
		return
	}
	if codings := n.Get("coding"); codings != nil {
		for _, c := range codings.Items {
			x.token(id, c)
		}
		return
	}
	value := textOf(n, "code")
	if value == "" {
		value = textOf(n, "value")
	}
	if value == "" {
		return
	}
	system := textOf(n, "system")
	if isContact(system) {
		system = "" // a ContactPoint's system is no code system
	}
	x.Tokens = append(x.Tokens, fhir.TokenRow{Param: id, System: system, Value: value})
}

func isContact(system string) bool {
	switch system {
	case "phone", "fax", "email", "pager", "url", "sms", "other":
		return true
	}
	return false
}

func (x *rows) reference(id fhir.Param, n *fhir.Node) {
	reference := ""
	switch n.Kind {
	case fhir.String: // a canonical or uri
		reference = n.Text
	case fhir.Object:
		reference = textOf(n, "reference")
		if typ := textOf(n, "resourceType"); typ != "" { // the resource itself stands in a Bundle
			reference = typ + "/" + textOf(n, "id")
		}
	}
	if reference == "" {
		return
	}
	if strings.HasPrefix(reference, "#") { // it is not missing; nothing leads there from elsewhere
		x.Refs = append(x.Refs, fhir.RefRow{Param: id, Type: x.root.typeOf(reference[1:]), ID: reference})
		return
	}
	if t, rid, ok := local(reference); ok {
		x.Refs = append(x.Refs, fhir.RefRow{Param: id, Type: t, ID: rid})
		return
	}
	x.Refs = append(x.Refs, fhir.RefRow{Param: id, ID: reference})
	if n.Kind != fhir.String {
		return
	}
	if bare, version, _ := strings.Cut(reference, "|"); version != "" {
		x.Refs = append(x.Refs, fhir.RefRow{Param: id, ID: bare}) // who asks for no version asks for any
	} else {
		x.Refs = append(x.Refs, fhir.RefRow{Param: id, ID: bare + "|"}) // see Names
	}
}

// text takes strings, names and addresses.
func (x *rows) text(id fhir.Param, n *fhir.Node) {
	switch n.Kind {
	case fhir.String:
		if folded := Fold(n.Text); folded != "" {
			x.Strings = append(x.Strings, fhir.StringRow{Param: id, Norm: folded, Exact: n.Text})
		}
	case fhir.Object:
		for _, m := range n.Members {
			switch m.Name {
			case "family", "text", "line", "city", "district", "state", "postalCode", "country", "given", "prefix", "suffix":
				x.text(id, m.Value)
			}
		}
	case fhir.Array:
		for _, item := range n.Items {
			x.text(id, item)
		}
	}
}

// longest is the most bytes of a text that searches compare: an index key holds
// no more.
const longest = 2000

// Fold is a text as searches compare it: without accents and case, at most 2000
// bytes.
func Fold(s string) string {
	ascii := true
	for i := range len(s) {
		if s[i] >= 0x80 {
			ascii = false
			break
		}
	}
	if ascii {
		return strings.ToLower(s[:min(len(s), longest)])
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		if r = unicode.ToLower(r); b.Len()+utf8.RuneLen(r) > longest {
			break
		}
		if r == 'ß' { // its capitals are SS
			b.WriteString("ss") // as many bytes
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// date takes dates, instants, periods and timings.
func (x *rows) date(id fhir.Param, n *fhir.Node) {
	switch n.Kind {
	case fhir.String:
		if lo, hi, ok := Interval(n.Text); ok {
			x.Dates = append(x.Dates, fhir.DateRow{Param: id, Lo: lo, Hi: hi})
		}
	case fhir.Object:
		if events := n.Get("event"); events != nil {
			for _, e := range events.Items {
				x.date(id, e)
			}
			return
		}
		if bounds := n.Get("repeat").Get("boundsPeriod"); bounds != nil {
			n = bounds
		}
		start, end := textOf(n, "start"), textOf(n, "end")
		if start == "" && end == "" {
			return
		}
		row := fhir.DateRow{Param: id, Lo: math.MinInt64, Hi: math.MaxInt64}
		if start != "" {
			lo, _, ok := Interval(start)
			if !ok {
				return
			}
			row.Lo = lo
		}
		if end != "" {
			_, hi, ok := Interval(end)
			if !ok {
				return
			}
			row.Hi = hi
		}
		x.Dates = append(x.Dates, row)
	}
}

// Interval is the period a date, dateTime or instant means, in microseconds
// since 1970 UTC, both ends inclusive: 2026-01 is the whole of January. Without
// an offset UTC is taken.
func Interval(s string) (lo, hi int64, ok bool) {
	layouts := []struct {
		layout string
		n      int
		next   func(time.Time) time.Time
	}{
		{"2006", 4, func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", 7, func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", 10, func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	}
	for _, l := range layouts {
		if len(s) == l.n {
			t, err := time.Parse(l.layout, s)
			if err != nil {
				return 0, 0, false
			}
			return t.UnixMicro(), l.next(t).UnixMicro() - 1, true
		}
	}
	if len(s) < 16 {
		return 0, 0, false
	}
	for _, l := range []struct {
		layout string
		step   time.Duration
	}{
		{"2006-01-02T15:04:05Z07:00", time.Second},
		{"2006-01-02T15:04:05", time.Second},
		{"2006-01-02T15:04Z07:00", time.Minute},
		{"2006-01-02T15:04", time.Minute},
	} {
		t, err := time.Parse(l.layout, s)
		if err != nil {
			continue
		}
		step := l.step
		if strings.IndexByte(s, '.') >= 0 {
			step = time.Millisecond
		}
		return t.UnixMicro(), t.Add(step).UnixMicro() - 1, true
	}
	return 0, 0, false
}

// number takes numbers and quantities.
func (x *rows) number(id fhir.Param, n *fhir.Node) {
	switch n.Kind {
	case fhir.Number:
		x.Numbers = append(x.Numbers, fhir.NumberRow{Param: id, Value: bounded(n.Text)})
	case fhir.Object:
		if origin := n.Get("origin"); origin != nil {
			x.sampled(id, n, origin)
			return
		}
		low, high := n.Get("low"), n.Get("high")
		for _, q := range []*fhir.Node{low, high} { // a Range, by its ends
			if q != nil && q.Kind == fhir.Object {
				x.number(id, q)
			}
		}
		x.quantity(id, n, n.Get("value"), "")
		switch comparator := textOf(n, "comparator"); { // what has no end on one side
		case strings.HasPrefix(comparator, "<"):
			x.quantity(id, n, n.Get("value"), least)
		case strings.HasPrefix(comparator, ">"):
			x.quantity(id, n, n.Get("value"), most)
		case low == nil && high != nil:
			x.quantity(id, high, high.Get("value"), least)
		case low != nil && high == nil:
			x.quantity(id, low, low.Get("value"), most)
		}
	}
}

// The ends of what has none: no number that is searched for lies beyond.
const (
	least = "-1e300"
	most  = "1e300"
)

// quantity adds the rows of a quantity that has a value, or those of another value
// in its unit.
func (x *rows) quantity(id fhir.Param, n, v *fhir.Node, value string) {
	if v == nil || v.Kind != fhir.Number {
		return
	}
	if value == "" {
		value = bounded(v.Text)
	}
	unit := textOf(n, "code")
	if unit == "" {
		unit = textOf(n, "unit")
	}
	if c := textOf(n, "currency"); c != "" {
		unit = c
	}
	x.Numbers = append(x.Numbers, fhir.NumberRow{Param: id, System: textOf(n, "system"), Unit: unit, Value: value})
	if shown := textOf(n, "unit"); shown != "" && shown != unit { // 5.4||unit asks for either (search.html#quantity)
		x.Numbers = append(x.Numbers, fhir.NumberRow{Param: id, Unit: shown, Value: value})
	}
}

// deceased indexes Patient.deceased[x]: a time of death means true.
func (x *rows) deceased(p *definitions.Param, n *fhir.Node) {
	value := "false"
	if b := n.Get("deceasedBoolean"); b != nil {
		value = b.Text
	} else if n.Get("deceasedDateTime") != nil {
		value = "true"
	}
	x.Tokens = append(x.Tokens, fhir.TokenRow{Param: p.ID, Value: value})
}

// unique removes rows that stand twice.
func (x *rows) unique() {
	x.Tokens = once(x.Tokens)
	x.Dates = once(x.Dates)
	x.Strings = onceBy(x.Strings, func(r fhir.StringRow) fhir.StringRow { return fhir.StringRow{Param: r.Param, Norm: r.Norm} })
	x.Refs = once(x.Refs)
	x.Numbers = once(x.Numbers)
}

func once[R comparable](list []R) []R {
	return onceBy(list, func(r R) R { return r })
}

func onceBy[R comparable](list []R, by func(R) R) []R {
	if len(list) > 32 {
		seen := make(map[R]struct{}, len(list))
		out := list[:0]
		for _, r := range list {
			if _, twice := seen[by(r)]; !twice {
				seen[by(r)] = struct{}{}
				out = append(out, r)
			}
		}
		return out
	}
	out := list[:0]
next:
	for _, r := range list {
		for _, o := range out {
			if by(o) == by(r) {
				continue next
			}
		}
		out = append(out, r)
	}
	return out
}
