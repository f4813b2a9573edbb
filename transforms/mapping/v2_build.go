package mapping

import (
	"maps"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/tables"
)

// A v2RowBuilder finds out what a row writes, and how.
type v2RowBuilder struct {
	c     *v2Compiler
	r     *row
	t     *v2Target
	out   *v2Row
	types []v2Type // what the sources lead to
	fixed bool     // they are texts alone
	args  []v2Getter
}

func (b *v2RowBuilder) wrong(format string, args ...any) *v2Row {
	b.c.wrong(b.r.at, b.t.path+": "+format, args...)
	return nil
}

func (b *v2RowBuilder) build() *v2Row {
	for _, arg := range b.r.with {
		get, _, _ := b.c.v2Source(arg)
		if get == nil {
			return nil
		}
		b.args = append(b.args, get)
	}
	switch {
	case b.t.segments():
		return b.segments()
	case b.r.as != "":
		return b.as()
	case len(b.r.set) > 0 && b.out.table != nil:
		return b.wrong("through and set both say what is written; one of them can")
	case len(b.r.set) > 0:
		return b.nested()
	case b.out.table != nil:
		b.out.emit = b.lookup(b.out.table, false)
		return b.out
	}
	for _, t := range b.types {
		switch t.name {
		case "date", "dateTime", "instant":
			return b.wrong("%s is %s; say how it is written: as TS", b.r.sources[0].text, article(t.name))
		}
		if !primitive(t.name) {
			return b.wrong("%s is %s; say how it is written: as MAP", b.r.sources[0].text, article(t.name))
		}
	}
	b.out.emit = b.plain()
	return b.out
}

// segments compiles the rows of a segment or group.
func (b *v2RowBuilder) segments() *v2Row {
	c := b.c
	if b.r.as != "" || b.r.through != "" {
		return b.wrong("a segment takes nested rows under set, nothing else")
	}
	context, used := c.v2Context, c.placeUsed
	c.placeUsed = maps.Clone(used)
	c.lastPlace = b.t.place
	if b.t.group {
		span := c.groupAt[strings.TrimSuffix(b.t.path[strings.LastIndexByte(b.t.path, '/')+1:], "[+]")]
		c.span = span
		for i := span[0]; i <= span[1]; i++ {
			delete(c.placeUsed, c.places[i].name)
		}
	} else if around := c.places[b.t.place].groups; len(around) > 0 {
		c.span = c.groupAt[around[len(around)-1]]
	}
	if b.out.get != nil {
		c.handed, c.relTypes = true, b.types
	}
	b.out.set = c.v2Targets(b.r.set)
	c.v2Context, c.placeUsed = context, used
	if len(b.out.set) == 0 {
		return nil
	}
	return b.out
}

// nested compiles set below a field or a part of one.
func (b *v2RowBuilder) nested() *v2Row {
	c := b.c
	depth := c.depthOf(b.t)
	if depth > 2 {
		return b.wrong("a subcomponent has no parts")
	}
	context := c.v2Context
	c.depth = depth
	if b.out.get != nil {
		c.handed, c.relTypes = true, b.types
	}
	m := &v2Map{targets: c.v2Targets(b.r.set)}
	c.v2Context = context
	handed := b.out.get != nil
	b.out.emit = func(r *v2Run, f *v2Frame, it *v2Item, at v2Pos) bool {
		inner := *f
		if handed {
			inner.cur = *it
		}
		return m.run(r, &inner, at)
	}
	return b.out
}

// A v2Way is how a value of one FHIR type is written.
type v2Way struct {
	typ  string
	emit v2Emitter
}

// as compiles a row with a data type map or a conversion, for every type that
// its sources lead to.
func (b *v2RowBuilder) as() *v2Row {
	if len(b.r.set) > 0 {
		return b.wrong("as %s and set both say what is written; one of them can", b.r.as)
	}
	if b.out.table != nil {
		if _, known := b.c.dataTypes()[b.r.as]; !known {
			return b.wrong("as %q: no map of that data type%s", b.r.as, near(b.r.as, b.c.dataTypeNames()))
		}
		b.out.emit = b.lookup(b.out.table, true)
		return b.out
	}
	types := b.types
	if len(types) == 0 {
		types = []v2Type{{name: "string"}}
	}
	var ways []v2Way
	lacks := ""
	for _, t := range types {
		if way := b.way(t); way != nil {
			ways = append(ways, v2Way{t.name, way})
		} else {
			lacks = t.name
		}
	}
	conv, converts := b.c.convs[b.r.as]
	if len(ways) == 0 {
		if _, known := b.c.dataTypes()[b.r.as]; known || converts {
			return b.wrong("as %s: no map %q", b.r.as, lacks+" to "+b.r.as)
		}
		return b.wrong("as %q: no map or conversion of that name%s", b.r.as, near(b.r.as, b.c.dataTypeNames()))
	}
	number, what, text := b.out.number, b.r.as, b.plain()
	if converts {
		text = b.converted(conv)
	}
	b.out.emit = func(r *v2Run, f *v2Frame, it *v2Item, at v2Pos) bool {
		if it.node == nil {
			return text(r, f, it, at)
		}
		for i := range ways {
			if ways[i].typ == it.typ {
				return ways[i].emit(r, f, it, at)
			}
		}
		r.row = number
		r.misfit(it, what)
		return false
	}
	return b.out
}

// way is how a value of one type is written as the row says; nil when nothing
// is known of it.
func (b *v2RowBuilder) way(t v2Type) v2Emitter {
	depth := b.c.depthOf(b.t)
	if d := b.c.lib.maps[t.name+" to "+b.r.as]; d != nil {
		own := b.mapped(b.c.part(d, t, depth))
		if t.name != "Reference" {
			return own
		}
		if others := b.pointed(depth); len(others) > 0 {
			return b.followed(others, own)
		}
		return own
	}
	if t.name == "Reference" {
		if others := b.pointed(depth); len(others) > 0 {
			return b.followed(others, nil)
		}
	}
	if conv, ok := b.c.convs[b.r.as]; ok && (conv.takes == "" && primitive(t.name) || conv.takes == t.name) {
		return b.converted(conv)
	}
	if _, known := b.c.dataTypes()[b.r.as]; known && primitive(t.name) {
		return b.plain()
	}
	return nil
}

// plain writes a text as the first part.
func (b *v2RowBuilder) plain() v2Emitter {
	number := b.out.number
	return func(r *v2Run, _ *v2Frame, it *v2Item, at v2Pos) bool { return r.write(number, it, at) }
}

func (b *v2RowBuilder) mapped(m *v2Map) v2Emitter {
	args := b.args
	return func(r *v2Run, f *v2Frame, it *v2Item, at v2Pos) bool {
		if f.depth > 12 {
			return false
		}
		inner := v2Frame{cur: *it, scope: f.scope, ordinal: f.ordinal, depth: f.depth + 1, args: r.evaluate(f, args)}
		return m.run(r, &inner, at)
	}
}

func (b *v2RowBuilder) converted(conv v2Conversion) v2Emitter {
	args, number := b.args, b.out.number
	return func(r *v2Run, f *v2Frame, it *v2Item, at v2Pos) bool {
		r.row = number
		return conv.emit(r, it, r.evaluate(f, args), at)
	}
}

// pointed are the ways of the resources a reference may lead to.
func (b *v2RowBuilder) pointed(depth int) []v2Way {
	var out []v2Way
	for _, name := range b.c.lib.names() {
		from, to := b.c.lib.maps[name].sides()
		if to == b.r.as && b.c.lib.model.resource(from) {
			out = append(out, v2Way{from, b.mapped(b.c.part(b.c.lib.maps[name], v2Type{name: from}, depth))})
		}
	}
	return out
}

// followed writes the resource a reference points to; what cannot be reached
// is written from the reference itself, where there is a map of that.
func (b *v2RowBuilder) followed(ways []v2Way, own v2Emitter) v2Emitter {
	number, what := b.out.number, b.r.as
	return func(r *v2Run, f *v2Frame, it *v2Item, at v2Pos) bool {
		if to, ok := r.follow(*it); ok {
			for i := range ways {
				if ways[i].typ == to.typ {
					return ways[i].emit(r, f, &to, at)
				}
			}
		}
		if own != nil && r.err == nil {
			return own(r, f, it, at)
		}
		r.row = number
		r.misfit(it, what)
		return false
	}
}

// dataTypes are the v2 data types that maps make.
func (c *v2Compiler) dataTypes() map[string]bool {
	out := map[string]bool{}
	for _, d := range c.lib.maps {
		if c.lib.partOutbound(d) {
			_, to := d.sides()
			out[to] = true
		}
	}
	return out
}

func (c *v2Compiler) dataTypeNames() []string {
	var out []string
	for name := range c.dataTypes() {
		out = append(out, name)
	}
	for name := range c.convs {
		out = append(out, name)
	}
	return out
}

// lookup compiles a row that turns a code by a table used backwards.
func (b *v2RowBuilder) lookup(table *tables.Table, coded bool) v2Emitter {
	number := b.out.number
	return func(r *v2Run, _ *v2Frame, it *v2Item, at v2Pos) bool {
		r.row = number
		e, from, ok := r.back(table, it)
		if !ok {
			return false
		}
		made := r.put(at.part(1, !coded), e.From, from, false)
		if coded && made {
			r.put(at.part(2, false), e.FromDisplay, from, false)
			if table.From != nil && len(table.From.V2) > 0 {
				r.put(at.part(3, false), table.From.V2[0], from, false)
			}
		}
		return made
	}
}

// back finds the code of a table that leads to a value: of several codings the
// first that has one.
func (r *v2Run) back(table *tables.Table, it *v2Item) (e tables.Entry, from *fhir.Node, ok bool) {
	codes := []*fhir.Node{it.node}
	if it.node == nil {
		if e, ok = table.Back(it.String(), r.at); ok {
			return e, it.from, true
		}
		codes = nil
	} else if list := it.node.Get("coding"); list != nil {
		codes = list.Items
	}
	var first *fhir.Node
	for _, n := range codes {
		code, system := n, ""
		if n.Kind == fhir.Object {
			if code = n.Get("code"); code == nil {
				code = n.Get("value") // an Identifier, a Quantity
			}
			system = textOf(n.Get("system"))
		}
		if textOf(code) == "" {
			continue
		}
		if first == nil {
			first = code
		}
		if e, ok = table.Back(textOf(code), r.at); ok && ofSystem(table, &e, system) {
			return e, code, true
		}
	}
	if first == nil {
		first = it.source()
	}
	r.unmapped(table, first, it)
	return tables.Entry{}, nil, false
}

// ofSystem reports whether a coding's system is that of the entry, as far as
// both say one.
func ofSystem(table *tables.Table, e *tables.Entry, system string) bool {
	want := table.To
	if e.System != nil {
		want = e.System
	}
	return system == "" || want == nil || want.URI == system
}
