package mapping

import (
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/tables"
)

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
