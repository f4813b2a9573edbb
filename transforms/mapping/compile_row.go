package mapping

import (
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/tables"
)

func itoa(n int) string { return strconv.Itoa(n) }

// row compiles one row of a target; nil when it is left out or wrong.
func (c *compiler) row(r *row, w *targetWalk, parent string) *crow {
	if len(r.sources) == 0 && len(r.set) == 0 {
		return nil // said when it was read
	}
	out := &crow{each: r.each, max: r.max, name: w.out.last.name}
	out.number = c.rowNumber(r.at, r.owner, w.t.path+": "+r.text)
	out.when = c.rowCondition(r, out)
	if len(r.sources) > 0 {
		switch first := r.sources[0]; first.kind {
		case fromRef, fromRefs:
			return c.refRow(out, first, w)
		case inherited:
			c.wrong(r.at, "%s: inherited stands only where a map is overridden", w.t.path)
			return nil
		case fromPath, fromConstant, fromTemplate, fromOrdinal, fromParam, none:
		case broken:
			return nil
		}
		out.get = c.sources(r.sources)
	}
	b := &rowBuilder{c: c, r: r, w: w, out: out, parent: parent}
	return b.build()
}

// rowCondition compiles a row's when. Under each, a relative path in it is read
// from the repetition in hand.
func (c *compiler) rowCondition(r *row, out *crow) cond {
	if !r.each || !relativeIn(r.when) {
		c.selection = nil
		when := c.condition(r.when, r.whenAt)
		out.selection = c.selection
		return when
	}
	relative := c.relative
	c.relative = true
	out.whenItem = c.condition(r.when, r.whenAt)
	c.relative = relative
	return nil
}

// relativeIn reports whether a condition has a relative path.
func relativeIn(when string) bool {
	for i := range len(when) {
		if when[i] == '.' && (i == 0 || strings.IndexByte(" (", when[i-1]) >= 0) {
			return true
		}
	}
	return false
}

// refRow compiles ref NAME and refs NAME.
func (c *compiler) refRow(out *crow, s source, w *targetWalk) *crow {
	if !w.elem.allows("Reference") {
		c.wrong(s.at, "%s: %s is no reference", w.t.path, w.elem.name)
		return nil
	}
	making, ok := c.making[s.text]
	if !ok {
		if !c.lib.makes(s.text) {
			c.wrong(s.at, "%s: no message map makes %q%s", w.t.path, s.text, near(s.text, c.lib.makeNames()))
		}
		return nil // a structure without it: the row is left out
	}
	if w.elem.choice {
		out.name = c.member(strings.TrimSuffix(w.elem.name, "[x]")+"Reference", w.out.last.name)
	}
	if s.kind == fromRef {
		out.emit = func(r *run, f *frame, v *val, parent, name int32) bool {
			to := r.nearest(f.env, making)
			if to < 0 {
				return false
			}
			r.reference(parent, name, to, out.number, v)
			return true
		}
		return out
	}
	// One after the other, as each does: under diagnosis[+].condition every
	// reference has an item of its own.
	out.each = true
	out.get = func(r *run, f *frame, v *val) bool {
		for n, i := range f.env.made {
			in := &r.insts[i]
			if in.making == nil || in.making.number != making || in.into >= 0 && n > 0 {
				continue
			}
			v.many = append(v.many, val{text: itoa(int(i)), constant: true})
		}
		return len(v.many) > 0
	}
	out.emit = func(r *run, _ *frame, v *val, parent, name int32) bool {
		to, err := strconv.ParseInt(v.text, 10, 32)
		if err != nil {
			return false
		}
		r.reference(parent, name, int32(to), out.number, &val{constant: true})
		return true
	}
	return out
}

// A rowBuilder finds out what a row makes, and how.
type rowBuilder struct {
	c      *compiler
	r      *row
	w      *targetWalk
	out    *crow
	parent string // the type the target stands in, when it is one step
	typ    string // what the row makes
	args   []getter
}

func (b *rowBuilder) wrong(format string, args ...any) *crow {
	b.c.wrong(b.r.at, b.w.within(b.w.elem.name)+format, args...)
	return nil
}

func (b *rowBuilder) build() *crow {
	for _, arg := range b.r.with {
		b.args = append(b.args, b.c.source(arg))
	}
	var table *tables.Table
	if b.r.through != "" {
		if table = b.c.lib.tables.Table(b.r.through); table == nil {
			return b.wrong("table %q is not known%s", b.r.through, near(b.r.through, b.c.lib.tables.Names()))
		}
	}
	switch {
	case b.r.as != "":
		return b.as(table)
	case len(b.r.set) > 0:
		if b.w.elem.choice {
			return b.wrong("%s has several types; say which: as TYPE", b.w.elem.name)
		}
		if table != nil {
			return b.wrong("through and set both say what %s is; one of them can", b.w.elem.name)
		}
		b.typ = b.w.elem.types[0]
		return b.object(nil, nil, nil)
	case table != nil:
		return b.through(table)
	case b.r.sources[0].kind == fromConstant && len(b.r.sources) == 1:
		return b.constant(b.r.sources[0])
	}
	if b.w.elem.choice {
		return b.wrong("%s has several types; say which: as TYPE", b.w.elem.name)
	}
	b.typ = b.w.elem.types[0]
	if !primitive(b.typ) {
		return b.wrong("%s is a %s; say how it is made: as MAP", b.w.elem.name, b.typ)
	}
	conv, ok := b.c.conversions[b.typ]
	if !ok {
		conv = b.c.conversions["string"]
	}
	return b.primitive(conv)
}

// as compiles a row with a map, a conversion or a type.
func (b *rowBuilder) as(table *tables.Table) *crow {
	if d, typ, choice := b.c.resolve(b.r.as, &b.w.elem); d != nil {
		b.typ = typ
		switch {
		case choice:
			return b.choice(d)
		case b.c.lib.model.resource(typ):
			return b.resource(d)
		}
		return b.object(b.c.dataMap(d, typ, ""), nil, table)
	}
	if len(b.r.set) > 0 && b.w.elem.allows(b.r.as) {
		b.typ = b.r.as
		return b.object(nil, nil, nil)
	}
	if conv, ok := b.c.conversions[b.r.as]; ok {
		b.typ = conv.out
		if conv.object != nil {
			if conv.out == "Range" && !b.w.elem.allows("Range") && !b.w.elem.choice {
				b.typ = b.w.elem.types[0] // a reference range has low, high and text too
			}
			return b.object(nil, conv.object, table)
		}
		if table != nil {
			return b.through(table)
		}
		return b.primitive(conv)
	}
	if b.w.elem.allows(b.r.as) {
		return b.wrong("as %s: there is no map that makes one of what stands here; nest rows under set", b.r.as)
	}
	for _, full := range b.c.lib.names() {
		if from, to := b.c.lib.maps[full].sides(); from == b.r.as {
			return b.wrong("as %s makes %s, and %s is %s", b.r.as, article(to), b.w.elem.name, article(b.w.elem.types[0]))
		}
	}
	return b.wrong("as %q: no map, conversion or type of that name%s", b.r.as, near(b.r.as, b.c.asNames()))
}

// resolve finds the map that `as NAME` means for an element: of that name, "A
// to B" for A-B, or "NAME to TYPE" for a type the element may have.
func (c *compiler) resolve(name string, elem *element) (d *definition, typ string, choice bool) {
	try := func(full string) bool {
		found := c.lib.maps[full]
		if found == nil {
			return false
		}
		_, to := found.sides()
		switch {
		case to == "value[x]":
			d, choice = found, true
		case elem.allows(to), c.lib.model.resource(to) && elem.allows("Reference"):
			d, typ = found, to
		default:
			return false
		}
		return true
	}
	if try(name) {
		return d, typ, choice
	}
	for _, t := range elem.types {
		if try(name + " to " + t) {
			return d, typ, choice
		}
	}
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '-' && (try(name[:i]+" to "+name[i+1:]) || try(name[:i]+" to "+name[i+1:]+"[x]")) {
			return d, typ, choice
		}
	}
	if elem.choice && try(name+" to value[x]") {
		return d, typ, choice
	}
	if elem.allows("Reference") {
		for _, full := range c.lib.names() {
			if strings.HasPrefix(full, name+" to ") && try(full) {
				return d, typ, choice
			}
		}
	}
	return nil, "", false
}

func (c *compiler) asNames() []string {
	names := make([]string, 0, len(c.conversions)+len(c.lib.maps))
	for name := range c.conversions {
		names = append(names, name)
	}
	for name := range c.lib.maps {
		from, to := c.lib.maps[name].sides()
		names = append(names, from, from+"-"+to)
	}
	return names
}

// named sets the member's name for the type the row makes.
func (b *rowBuilder) named() bool {
	elem := &b.w.elem
	if elem.choice {
		if !elem.allows(b.typ) {
			hint := ""
			if b.typ == "Attachment" {
				hint = "; put it in extension[observation-value-attachment]"
			}
			b.c.wrong(b.r.at, "%s cannot be %s in R4%s", elem.name, b.typ, hint)
			return false
		}
		b.out.name = b.c.member(strings.TrimSuffix(elem.name, "[x]")+title(b.typ), b.w.out.last.name)
		return true
	}
	if !elem.allows(b.typ) && (!primitive(b.typ) || !primitive(elem.types[0])) {
		b.wrong("%s is %s, not %s", elem.name, article(elem.types[0]), b.typ)
		return false
	}
	return true
}

func article(typ string) string {
	if strings.IndexByte("AEIOUaeiou", typ[0]) >= 0 {
		return "an " + typ
	}
	return "a " + typ
}

// jsonKind is how a primitive type stands in JSON.
func jsonKind(typ string) fhir.Kind {
	switch typ {
	case "boolean":
		return fhir.Bool
	case "decimal", "integer", "positiveInt", "unsignedInt":
		return fhir.Number
	}
	return fhir.String
}

// primitive compiles a row that makes a primitive.
func (b *rowBuilder) primitive(conv conversion) *crow {
	if !b.named() {
		return nil
	}
	typ := b.typ
	if !b.w.elem.choice {
		typ = b.w.elem.types[0]
	}
	kind := jsonKind(typ)
	if kind != fhir.String && jsonKind(b.typ) != kind {
		return b.wrong("%s is %s, not %s", b.w.elem.name, article(typ), b.typ)
	}
	text, row, what := conv.text, b.out.number, b.typ
	b.out.emit = func(r *run, _ *frame, v *val, parent, name int32) bool {
		value, ok := text(r, v)
		if !ok {
			r.misfit(v, what)
			return false
		}
		if value == "" {
			return false
		}
		start, end := v.span()
		r.attach(parent, node{name: name, kind: kind, text: value, row: row, start: start, end: end})
		if !v.constant {
			r.real++
		}
		return true
	}
	return b.out
}
