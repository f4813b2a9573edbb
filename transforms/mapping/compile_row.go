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
		to, err := strconv.Atoi(v.text)
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
	if !elem.allows(b.typ) && !(primitive(b.typ) && primitive(elem.types[0])) {
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

// constant compiles = TEXT and = system#code.
func (b *rowBuilder) constant(s source) *crow {
	elem := &b.w.elem
	system, code, coded := strings.Cut(s.text, "#")
	known := b.c.lib.tables.Systems().Name(system)
	coded = coded && !s.quoted
	if !elem.choice {
		b.typ = elem.types[0]
	} else if coded && known != nil {
		b.typ = "CodeableConcept"
	} else {
		return b.wrong("%s has several types; say which: as TYPE", elem.name)
	}
	if !b.named() {
		return nil
	}
	row := b.out.number
	if primitive(b.typ) {
		text := s.text
		if coded && known != nil {
			text = code
		}
		return b.fixed(text)
	}
	if b.typ != "Coding" && b.typ != "CodeableConcept" {
		return b.wrong("%s is %s; a constant is none", elem.name, article(b.typ))
	}
	if !coded {
		if b.typ == "Coding" {
			return b.wrong("a coding is written = system#code")
		}
		b.out.emit = func(r *run, _ *frame, _ *val, parent, name int32) bool {
			obj := r.attach(parent, node{name: name, kind: fhir.Object, row: row})
			r.attach(obj, node{name: nameText, kind: fhir.String, text: s.text, row: row})
			return true
		}
		return b.out
	}
	if known == nil {
		return b.wrong("code system %q is not known%s", system, near(system, b.c.lib.tables.Systems().Names()))
	}
	concept := b.typ == "CodeableConcept"
	b.out.emit = func(r *run, _ *frame, _ *val, parent, name int32) bool {
		r.coding(parent, name, row, concept, known.URI, code, "", &val{constant: true})
		return true
	}
	return b.out
}

// fixed compiles a constant of a primitive type.
func (b *rowBuilder) fixed(text string) *crow {
	kind, row := jsonKind(b.typ), b.out.number
	if kind == fhir.Bool && text != "true" && text != "false" {
		return b.wrong("%q is no boolean", text)
	}
	if kind == fhir.Number {
		if clean, ok := jsonNumber(text); !ok || clean != text {
			return b.wrong("%q is no %s", text, b.typ)
		}
	}
	b.out.emit = func(r *run, _ *frame, _ *val, parent, name int32) bool {
		r.attach(parent, node{name: name, kind: kind, text: text, row: row})
		return true
	}
	return b.out
}

// coding makes a Coding, or a CodeableConcept of one.
func (r *run) coding(parent, name, row int32, concept bool, system, code, display string, v *val) {
	obj := r.attach(parent, node{name: name, kind: fhir.Object, row: row})
	if concept {
		array := r.array(obj, nameCoding, row)
		obj = r.attach(array, node{kind: fhir.Object, row: row})
	}
	start, end := v.span()
	if system != "" {
		r.attach(obj, node{name: nameSystem, kind: fhir.String, text: system, row: row})
	}
	r.attach(obj, node{name: nameCode, kind: fhir.String, text: code, row: row, start: start, end: end})
	if display != "" {
		r.attach(obj, node{name: nameDisplay, kind: fhir.String, text: display, row: row})
	}
	if !v.constant {
		r.real++
	}
}

// object compiles a row that makes a complex value: nested rows, then a map or
// a conversion, then a table's coding.
func (b *rowBuilder) object(m *cmap, conv func(*run, *val, []val, int32) bool, table *tables.Table) *crow {
	if primitive(b.typ) {
		return b.wrong("%s is %s and has no elements", b.w.elem.name, article(b.typ))
	}
	if !b.named() {
		return nil
	}
	set, constants := b.nested()
	if table != nil && b.typ != "CodeableConcept" {
		return b.wrong("through after as adds a coding to a CodeableConcept, not to %s", article(b.typ))
	}
	row, args, url, hands := b.out.number, b.args, b.w.url, b.r.hands()
	b.out.emit = func(r *run, f *frame, v *val, parent, name int32) bool {
		obj := r.attach(parent, node{name: name, kind: fhir.Object, row: row})
		inner := r.frame(f)
		inner.cur, inner.args = *v, f.args
		if url != "" {
			r.attach(obj, node{name: nameURL, kind: fhir.String, text: url, row: row})
		}
		made := false
		if set != nil {
			if !hands {
				inner.cur = f.cur
			}
			made = runTargets(r, inner, obj, set, constants)
			inner.cur = *v
		}
		held := len(r.args)
		values := evaluate(r, f, args)
		switch {
		case m != nil:
			inner.args = values
			made = m.run(r, inner, obj)
		case conv != nil:
			r.row = row
			made = conv(r, v, values, obj)
		}
		r.args = r.args[:held]
		r.deep--
		if made && table != nil {
			r.addCoding(obj, row, table, v)
		}
		return made
	}
	return b.out
}

// evaluate reads the values of with, in the frame of the caller.
// They stand on the run's stack of arguments, which the caller cuts back.
func evaluate(r *run, f *frame, args []getter) []val {
	if len(args) == 0 {
		return nil
	}
	from := len(r.args)
	for _, get := range args {
		v := r.take()
		if !get(r, f, v) {
			*v = val{}
		}
		r.args = append(r.args, *v)
		r.give(1)
	}
	return r.args[from:len(r.args):len(r.args)]
}

// hands reports whether nested rows see what the row read as ".". A relative
// source only says whether there is something: its nested rows stay where they
// are, so that { from: .4, set: { code: .4, display: .5 } } reads one composite.
func (r *row) hands() bool {
	if len(r.sources) == 0 {
		return false
	}
	first := r.sources[0]
	return r.each || first.kind != fromPath || !strings.HasPrefix(first.text, ".")
}

// nested compiles set.
func (b *rowBuilder) nested() ([]*ctarget, bool) {
	if len(b.r.set) == 0 {
		return nil, false
	}
	c := b.c
	relative, relativeType := c.relative, c.relativeType
	if b.r.hands() {
		c.relative, c.relativeType = true, c.typeOf(b.r.sources[0])
	}
	set, constants := c.targets(b.r.set, b.typ, nil, false)
	c.relative, c.relativeType = relative, relativeType
	return set, constants
}

// typeOf is the v2 data type of what a source reads, "" when it is not known.
func (c *compiler) typeOf(s source) string {
	cur, err := parseCursor(s.text)
	if s.kind != fromPath || err != nil || cur.segment == "" || len(cur.parts) > 0 {
		return ""
	}
	return c.fieldType(cur.segment, cur.field)
}

// choice compiles a row whose map makes the choice itself.
func (b *rowBuilder) choice(d *definition) *crow {
	if !b.w.elem.choice {
		return b.wrong("map %q makes a choice; %s is none", d.name, b.w.elem.name)
	}
	m := b.c.dataMap(d, b.w.typ, b.w.elem.name)
	args := b.args
	b.out.emit = func(r *run, f *frame, v *val, parent, _ int32) bool {
		inner := r.frame(f)
		held := len(r.args)
		inner.cur, inner.args = *v, evaluate(r, f, args)
		made := m.run(r, inner, parent)
		r.args = r.args[:held]
		r.deep--
		return made
	}
	return b.out
}

// resource compiles a row whose map makes a resource: the row becomes the
// reference to it.
func (b *rowBuilder) resource(d *definition) *crow {
	if len(b.r.set) > 0 || b.r.through != "" {
		return b.wrong("as %s makes a resource; set and through have no place beside it", b.r.as)
	}
	if b.w.elem.choice {
		b.out.name = b.c.member(strings.TrimSuffix(b.w.elem.name, "[x]")+"Reference", b.w.out.last.name)
	}
	m := b.c.dataMap(d, b.typ, "")
	args, row := b.args, b.out.number
	b.out.emit = func(r *run, f *frame, v *val, parent, name int32) bool {
		inner := r.frame(f)
		held := len(r.args)
		inner.cur, inner.args = *v, evaluate(r, f, args)
		to := r.resourceOf(m, inner)
		r.args = r.args[:held]
		r.deep--
		if to < 0 {
			return false
		}
		r.reference(parent, name, to, row, v)
		return true
	}
	return b.out
}

// through compiles a row that looks a code up.
func (b *rowBuilder) through(table *tables.Table) *crow {
	elem := &b.w.elem
	switch {
	case !elem.choice:
		b.typ = elem.types[0]
	case elem.allows("CodeableConcept"):
		b.typ = "CodeableConcept"
	default:
		return b.wrong("%s has several types; say which: as TYPE", elem.name)
	}
	if !b.named() {
		return nil
	}
	row := b.out.number
	switch {
	case b.typ == "Coding", b.typ == "CodeableConcept":
		concept := b.typ == "CodeableConcept"
		b.out.emit = func(r *run, _ *frame, v *val, parent, name int32) bool {
			code, ok := r.lookup(table, v, true)
			if ok {
				r.coding(parent, name, row, concept, code.system, code.code, code.display, v)
			}
			return ok
		}
		return b.out
	case primitive(b.typ):
		kind := jsonKind(b.typ)
		b.out.emit = func(r *run, _ *frame, v *val, parent, name int32) bool {
			code, ok := r.lookup(table, v, false)
			if !ok || code.code == "" {
				return false
			}
			start, end := v.span()
			r.attach(parent, node{name: name, kind: kind, text: code.code, row: row, start: start, end: end})
			if !v.constant {
				r.real++
			}
			return true
		}
		return b.out
	}
	return b.wrong("%s is %s; a table gives codes", elem.name, article(b.typ))
}
