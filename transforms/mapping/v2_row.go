package mapping

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/tables"
)

// A v2Row is one row of a map to HL7 v2, compiled.
type v2Row struct {
	number   int32
	when     v2Cond
	whenItem v2Cond // on each value
	each     bool
	max      int
	get      v2Getter    // nil: the row has no source
	emit     v2Emitter   // what it makes of a value; nil for segments
	set      []*v2Target // nested rows
	table    *tables.Table
}

// A v2Getter appends the values of a source to out, which is the run's stack.
type v2Getter func(r *v2Run, f *v2Frame, out []v2Item) []v2Item

// A v2Emitter writes a value at a place. It reports whether it wrote one.
type v2Emitter func(r *v2Run, f *v2Frame, it *v2Item, at v2Pos) bool

// A v2Cond is a compiled condition.
type v2Cond func(r *v2Run, f *v2Frame) bool

// v2Row compiles one row; nil when it is left out or wrong.
func (c *v2Compiler) v2Row(r *row, t *v2Target) *v2Row {
	if len(r.sources) == 0 && len(r.set) == 0 {
		return nil // said when it was read
	}
	out := &v2Row{each: r.each, max: r.max}
	out.number = c.rowNumber(r.at, r.owner, t.path+": "+r.text)
	var types []v2Type
	fixed := len(r.sources) > 0
	if len(r.sources) > 0 {
		switch r.sources[0].kind {
		case inherited:
			c.wrong(r.at, "%s: inherited stands only where a map is overridden", t.path)
			return nil
		case broken:
			return nil
		case fromPath, fromConstant, fromTemplate, fromOrdinal, fromParam, fromRef, fromRefs, none:
		}
		var gets []v2Getter
		for _, s := range r.sources {
			get, led, text := c.v2Source(s)
			if get == nil {
				return nil
			}
			gets = append(gets, get)
			fixed = fixed && text
			for _, one := range led {
				types = addType(types, one)
			}
		}
		out.get = firstOf(gets)
	}
	if r.each && relativeIn(r.when) {
		context := c.v2Context
		c.handed, c.relTypes = true, types
		out.whenItem = c.v2Condition(r.when, r.whenAt)
		c.v2Context = context
	} else {
		out.when = c.v2Condition(r.when, r.whenAt)
	}
	if r.through != "" {
		if out.table = c.lib.tables.Table(r.through); out.table == nil {
			c.wrong(r.at, "%s: table %q is not known%s", t.path, r.through, near(r.through, c.lib.tables.Names()))
			return nil
		}
	}
	b := &v2RowBuilder{c: c, r: r, t: t, out: out, types: types, fixed: fixed}
	return b.build()
}

// firstOf chains sources: the first that is valued.
func firstOf(gets []v2Getter) v2Getter {
	if len(gets) == 1 {
		return gets[0]
	}
	return func(r *v2Run, f *v2Frame, out []v2Item) []v2Item {
		before := len(out)
		for _, get := range gets {
			if out = get(r, f, out); len(out) > before {
				return out
			}
		}
		return out
	}
}

// v2Source compiles one source: the types a path leads to, or text for what is
// text by itself.
func (c *v2Compiler) v2Source(s source) (get v2Getter, types []v2Type, text bool) {
	switch s.kind {
	case fromPath:
		return c.v2PathSource(s)
	case fromConstant:
		return c.v2Constant(s), nil, true
	case fromTemplate:
		return c.v2Template(s), nil, true
	case fromOrdinal:
		return func(_ *v2Run, f *v2Frame, out []v2Item) []v2Item {
			return append(out, v2Item{text: itoa(max(f.ordinal, 1))})
		}, nil, true
	case fromParam:
		return c.v2Param(s), nil, true
	case broken:
		return nil, nil, false
	case fromRef, fromRefs, inherited, none:
	}
	c.wrong(s.at, "%q cannot stand here", s.String())
	return nil, nil, false
}

// v2PathSource compiles a path of the resources, or a v2 target that was
// written before.
func (c *v2Compiler) v2PathSource(s source) (v2Getter, []v2Type, bool) {
	if cur, err := parseCursor(s.text); err == nil && cur.segment != "" {
		return c.writtenBefore(&cur, s), nil, true
	}
	p := c.fhirPath(s.text, s.at)
	if p == nil {
		return nil, nil, false
	}
	return p.eval, p.types, false
}

// writtenBefore compiles a v2 target as a source: OBR-2: ORC-2.
func (c *v2Compiler) writtenBefore(cur *cursor, s source) v2Getter {
	if c.depth >= 0 && !c.rooted {
		c.wrong(s.at, "%s: a map of a data type reads relative paths alone", s.text)
		return nil
	}
	if cur.field == 0 || cur.index != 0 || cur.byComp > 0 || cur.rep < 0 {
		c.wrong(s.at, "%s: a field that was written before is read as SEG-N, SEG-N[rep].C.S", s.text)
		return nil
	}
	at, used := c.placeUsed[cur.segment]
	if !used {
		c.wrong(s.at, "%s: no row above writes %s", s.text, cur.segment)
		return nil
	}
	read := v2Read{place: at, field: int16(cur.field), rep: int16(max(cur.rep, 1))}
	if len(cur.parts) > 0 {
		read.comp = int16(cur.parts[0])
	}
	if len(cur.parts) > 1 {
		read.sub = int16(cur.parts[1])
	}
	return func(r *v2Run, f *v2Frame, out []v2Item) []v2Item {
		leaves := r.written(f.scope, &read)
		if len(leaves) == 0 {
			return out
		}
		return append(out, v2Item{leaves: leaves, from: leaves[0].from})
	}
}

// v2Constant compiles = TEXT: ^, & and ~ divide it as they do in a message,
// unless it is quoted.
func (c *v2Compiler) v2Constant(s source) v2Getter {
	text := s.text
	if text == "" {
		c.wrong(s.at, "a constant without text")
		return nil
	}
	if s.quoted || !strings.ContainsAny(text, "^&") {
		return func(_ *v2Run, _ *v2Frame, out []v2Item) []v2Item { return append(out, v2Item{text: text}) }
	}
	var leaves []v2Leaf
	for i, comp := range strings.Split(text, "^") {
		for j, sub := range strings.Split(comp, "&") {
			if sub != "" {
				leaves = append(leaves, v2Leaf{comp: int16(i + 1), sub: int16(j + 1), text: sub})
			}
		}
	}
	return func(_ *v2Run, _ *v2Frame, out []v2Item) []v2Item { return append(out, v2Item{leaves: leaves}) }
}

// v2Param compiles $1, what with hands over, and $name, which the step sets.
func (c *v2Compiler) v2Param(s source) v2Getter {
	if n, err := numbers(s.text); err == nil && len(n) == 1 {
		at := n[0] - 1
		return func(_ *v2Run, f *v2Frame, out []v2Item) []v2Item {
			if at < len(f.args) && f.args[at].valued() {
				out = append(out, f.args[at])
			}
			return out
		}
	}
	known := slices.ContainsFunc(c.def.params, func(p param) bool { return p.name == s.text })
	if !known {
		c.wrong(s.at, "parameter $%s is not known%s", s.text, near(s.text, c.paramNames()))
		return nil
	}
	text := c.params[s.text]
	return func(_ *v2Run, _ *v2Frame, out []v2Item) []v2Item {
		if text != "" {
			out = append(out, v2Item{text: text})
		}
		return out
	}
}

// v2Template compiles text {A} x{B?}.
func (c *v2Compiler) v2Template(s source) v2Getter {
	type piece struct {
		free, word string
		get        v2Getter
		optional   bool
	}
	var pieces []piece
	for _, p := range c.template(s.text, s.at) {
		one := piece{free: p.text, optional: p.optional}
		if p.optional {
			cutAt := strings.LastIndexByte(p.text, ' ') + 1
			one.free, one.word = p.text[:cutAt], p.text[cutAt:]
		}
		if p.place != "" {
			var gets []v2Getter
			for _, cut := range cutSentence(p.place) {
				get, _, _ := c.v2Source(parseSource(cut.text, s.at, c.probs))
				if get == nil {
					return nil
				}
				gets = append(gets, get)
			}
			one.get = firstOf(gets)
		}
		pieces = append(pieces, one)
	}
	return func(r *v2Run, f *v2Frame, out []v2Item) []v2Item {
		var text []byte
		made := v2Item{}
		for i := range pieces {
			p := &pieces[i]
			if p.get == nil {
				text = append(text, p.free...)
				continue
			}
			before := len(r.stack)
			r.stack = p.get(r, f, r.stack)
			value := ""
			if len(r.stack) > before {
				first := r.stack[before]
				value = first.String()
				if made.from == nil {
					made.from = first.source()
				}
				r.touch(&first)
			}
			r.stack = r.stack[:before]
			if value == "" && !p.optional {
				return out
			}
			text = append(text, p.free...)
			if value != "" {
				text = append(append(text, p.word...), value...)
			}
		}
		if made.text = squeeze(text); made.text == "" || made.from == nil {
			return out
		}
		return append(out, made)
	}
}
