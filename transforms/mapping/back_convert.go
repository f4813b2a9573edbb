package mapping

import (
	"slices"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
)

// A bvalue is one value on its way into HL7 v2: an element, a text, or a field
// that was made before.
type bvalue struct {
	node  *fhir.Node
	text  string
	field vfield
	set   bool // text or field says it
	from  string
}

// missing reports whether there is no value.
func (v bvalue) missing() bool {
	switch {
	case v.field != nil:
		return v.field.empty()
	case v.set:
		return v.text == ""
	case v.node == nil:
		return true
	}
	switch v.node.Kind {
	case fhir.Object:
		return len(v.node.Members) == 0
	case fhir.Array:
		return len(v.node.Items) == 0
	case fhir.Null:
		return true
	}
	return v.node.Text == ""
}

// plain is the value as a text; "" for an element with members.
func (v bvalue) plain() string {
	switch {
	case v.field != nil && len(v.field) > 0 && len(v.field[0]) > 0:
		return v.field[0][0]
	case v.set || v.node == nil:
		return v.text
	case v.node.Kind == fhir.Object || v.node.Kind == fhir.Array:
		return ""
	}
	return v.node.Text
}

// builtins are the conversions to HL7 v2 that are no maps.
var backBuiltins = map[string]func(r *backRun, text string) (string, bool){
	"TS":     func(r *backRun, text string) (string, bool) { return r.stamp(text, 14) },
	"DT":     func(r *backRun, text string) (string, bool) { return r.stamp(text, 8) },
	"FT":     func(_ *backRun, text string) (string, bool) { return text, true },
	"string": func(_ *backRun, text string) (string, bool) { return text, true },
	"upper":  func(_ *backRun, text string) (string, bool) { return strings.ToUpper(text), true },
	"digits": func(_ *backRun, text string) (string, bool) {
		out := strings.Map(func(c rune) rune {
			if c < '0' || c > '9' {
				return -1
			}
			return c
		}, text)
		return out, out != ""
	},
	"oid-of": func(_ *backRun, text string) (string, bool) {
		text = strings.TrimPrefix(strings.TrimPrefix(text, "urn:oid:"), "urn:uuid:")
		return text, text != ""
	},
	"hd-type": func(_ *backRun, text string) (string, bool) {
		switch {
		case strings.HasPrefix(text, "urn:oid:"):
			return "ISO", true
		case strings.HasPrefix(text, "urn:uuid:"):
			return "UUID", true
		}
		return "URI", text != ""
	},
	"system-name": func(r *backRun, text string) (string, bool) {
		s := r.m.systems.URI(text)
		switch {
		case text == "":
			return "", false
		case s != nil && len(s.V2) > 0:
			return s.V2[0], true
		case s != nil && s.OID != "":
			return s.OID, true
		}
		return text, true
	},
	"yes-no": func(_ *backRun, text string) (string, bool) {
		return map[string]string{"true": "Y", "false": "N"}[text], text == "true" || text == "false"
	},
}

// conversion compiles `as`: a conversion, or the map of the values' type.
func (c *backCompiler) conversion(r *row, sources []backSource) func(*backRun, bvalue, []bvalue) (vfield, bool) {
	if f := backBuiltins[r.as]; f != nil {
		return func(run *backRun, v bvalue, _ []bvalue) (vfield, bool) {
			text, ok := f(run, v.plain())
			return textField(text), ok
		}
	}
	var types []string
	for _, s := range sources {
		types = append(types, s.types...)
	}
	for _, t := range types {
		if m := c.typeMap(t + " to " + r.as); m != nil {
			return func(run *backRun, v bvalue, args []bvalue) (vfield, bool) { return run.component(m, v, args) }
		}
	}
	if len(types) == 0 { // what is written before, or not known
		return func(_ *backRun, v bvalue, _ []bvalue) (vfield, bool) {
			if v.field != nil {
				return v.field, true
			}
			return textField(v.plain()), v.plain() != ""
		}
	}
	var known []string
	for _, d := range c.lib.maps {
		if from, to := d.sides(); slices.Contains(types, from) && d.make == nil && to != "" {
			known = append(known, to)
		}
	}
	for name := range backBuiltins {
		known = append(known, name)
	}
	slices.Sort(known)
	c.wrong(r.at, "as %s: there is no map %q%s", r.as, strings.Join(types, " or ")+" to "+r.as, near(r.as, known))
	return nil
}

// typeMap compiles the map of a type, once; nil when there is none.
func (c *backCompiler) typeMap(name string) *backTypeMap {
	if m := c.maps[name]; m != nil {
		return m
	}
	d := c.lib.maps[name]
	if d == nil || d.rows == nil {
		return nil
	}
	m := &backTypeMap{name: name}
	c.maps[name] = m // before its rows, which may use it
	from, _ := d.sides()
	inner := *c
	inner.d, inner.item, inner.inMap = d, []string{from}, true
	m.rows = inner.targets(d.rows)
	return m
}

// component makes a field by the map of a type.
func (r *backRun) component(m *backTypeMap, v bvalue, args []bvalue) (vfield, bool) {
	if v.field != nil {
		return v.field, true
	}
	if r.depth > 20 {
		return nil, false
	}
	outer := r.args
	r.args = args
	r.depth++
	defer func() { r.args = outer; r.depth-- }()
	var made vfield
	for _, t := range m.rows {
		for _, row := range t.rows {
			f, ok := r.first(row, v)
			if !ok || f.empty() {
				continue
			}
			switch {
			case t.sub > 0 || len(f) == 1 && len(f[0]) == 1:
				made = made.put(t.comp, t.sub, f[0][0])
			default: // a field in a component: its components become subcomponents
				for i, comp := range f {
					if len(comp) > 0 && comp[0] != "" {
						made = made.put(t.comp, i+1, comp[0])
					}
				}
			}
			break
		}
	}
	return made, !made.empty()
}

// stamp writes a FHIR date, dateTime or instant as HL7 v2 does, at most to a
// number of digits. A time keeps its own offset.
func (r *backRun) stamp(text string, most int) (string, bool) {
	for _, form := range []struct{ in, out string }{{"2006-01-02", "20060102"}, {"2006-01", "200601"}, {"2006", "2006"}} {
		if len(text) == len(form.in) {
			t, err := time.Parse(form.in, text)
			return t.Format(form.out), err == nil
		}
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04"} {
		t, err := time.Parse(form, text)
		if err != nil {
			continue
		}
		if most == 8 {
			return t.Format("20060102"), true
		}
		if strings.HasSuffix(form, "Z07:00") {
			return t.Format("20060102150405-0700"), true
		}
		return t.Format("20060102150405"), true
	}
	return "", false
}
