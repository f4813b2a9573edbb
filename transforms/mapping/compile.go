package mapping

import (
	"fmt"
	"slices"
	"strings"
)

// A compiler turns the maps of a library into a program for one message map.
// The fields from def on are the context of the map in hand.
type compiler struct {
	lib   *library
	prog  *program
	probs *problems

	numbers     map[string]int32 // of member names
	slots       map[string]int
	making      map[string]int32 // number by name of make
	dataMaps    map[string]*cmap // compiled by name and use
	conversions map[string]conversion
	reported    map[string]bool // a map compiled in several contexts says its problems once

	def          *definition
	relative     bool           // . means something
	relativeType string         // the v2 data type handed over
	declared     map[string]int // segments of the making, by number
	looking      bool           // a condition or key is compiled: what it reads counts as looked at
	used         map[string]bool
	selection    *selection // the condition compiled last, when it is one comparison
}

// compiler begins the program of a message map.
func (lib *library) compiler(d *definition, probs *problems) *compiler {
	c := &compiler{
		lib: lib, probs: probs, numbers: map[string]int32{}, slots: map[string]int{}, making: map[string]int32{},
		dataMaps: map[string]*cmap{}, conversions: conversions(), reported: map[string]bool{}, def: d,
		prog: &program{name: d.name, systems: lib.tables.Systems(), looked: map[string]bool{}, ignored: map[string]bool{}},
		used: map[string]bool{},
	}
	for i, name := range fixedNames() {
		c.prog.names = append(c.prog.names, name)
		c.prog.base = append(c.prog.base, int32(i))
		c.numbers[name] = int32(i)
	}
	for _, segment := range d.ignore {
		c.prog.ignored[segment] = true
	}
	c.slot("MSH")
	c.slot("OBR")
	return c
}

// compile makes the program of a message map, and says which maps are in it.
func (lib *library) compile(d *definition, used map[string]bool, probs *problems) *program {
	c := lib.compiler(d, probs)
	c.used = used
	whole := lib.scopeOf(d, probs)
	if whole == nil {
		return nil
	}
	c.number(whole)
	c.prog.root = c.scope(whole)
	return c.prog
}

// wrong notes a problem of the map in hand, once for each place and text.
func (c *compiler) wrong(at place, format string, args ...any) {
	text := c.def.prefix() + fmt.Sprintf(format, args...)
	key := fmt.Sprintf("%s:%d:%d:%s", at.file, at.line, at.column, text)
	if !c.reported[key] {
		c.reported[key] = true
		c.probs.add(at, "%s", text)
	}
}

// member is the number of a member name; base is the choice it is of.
func (c *compiler) member(name string, base int32) int32 {
	if n, ok := c.numbers[name]; ok {
		if base >= 0 && c.prog.base[n] == n {
			c.prog.base[n] = base
		}
		return n
	}
	n := int32(len(c.prog.names))
	c.numbers[name] = n
	c.prog.names = append(c.prog.names, name)
	if base < 0 {
		base = n
	}
	c.prog.base = append(c.prog.base, base)
	return n
}

func (c *compiler) slot(segment string) int {
	n, ok := c.slots[segment]
	if !ok {
		n = len(c.prog.slots)
		c.slots[segment] = n
		c.prog.slots = append(c.prog.slots, segment)
	}
	return n
}

// look notes that a condition or a key reads a place.
func (c *compiler) look(cur *cursor) {
	if !c.looking || cur.segment == "" {
		return
	}
	place := cur.segment + "-" + itoa(cur.field)
	if len(cur.parts) > 0 {
		place += "." + itoa(cur.parts[0])
	} else {
		place += ".1"
	}
	c.prog.looked[place] = true
}

// rowNumber takes a row into provenance.
func (c *compiler) rowNumber(at place, owner *definition, text string) int32 {
	if owner == nil {
		owner = c.def
	}
	c.prog.rows = append(c.prog.rows, rowInfo{
		mapName: c.def.title(), version: owner.version, file: at.file, line: at.line, text: text,
	})
	return int32(len(c.prog.rows) - 1)
}

// title is the name of the map whose rows these are.
func (d *definition) title() string {
	if d.override != "" {
		return d.override
	}
	return d.name
}

// number gives the names of make their numbers, outer ones first.
func (c *compiler) number(s *scope) {
	for _, m := range s.makes {
		if _, ok := c.making[m.name]; !ok {
			c.making[m.name] = int32(len(c.making))
		}
	}
	for _, inner := range s.inner {
		c.number(inner)
	}
}

func (c *compiler) makingNumber(name string) (int32, bool) {
	n, ok := c.making[name]
	return n, ok
}

func (c *compiler) scope(s *scope) *cscope {
	out := &cscope{group: s.group}
	for _, m := range s.makes {
		if made := c.makingOf(m); made != nil {
			out.makes = append(out.makes, made)
		}
	}
	for _, inner := range s.inner {
		out.inner = append(out.inner, c.scope(inner))
	}
	return out
}

func (c *compiler) makingOf(m *making) *cmaking {
	c.def = m.file
	c.relative, c.relativeType = false, ""
	if !c.lib.model.resource(m.resource) {
		c.wrong(m.at, "%s: %q is not a resource type%s", m.name, m.resource, near(m.resource, c.lib.model.resources()))
		return nil
	}
	out := &cmaking{
		number: c.making[m.name], name: m.name, resource: m.resource, each: m.each, existing: m.existing, decl: m.segments,
		row: c.rowNumber(m.at, m.file, m.resource+" from "+strings.Join(m.segments, ", ")),
	}
	c.declared = map[string]int{}
	for i, segment := range m.segments {
		if !segmentName(segment) {
			c.wrong(m.at, "%s: %q is not a segment", m.name, segment)
		}
		c.declared[segment] = i
		c.slot(segment)
	}
	out.when = c.condition(m.when, m.whenAt)
	var missing []string
	for i, segment := range m.segments {
		name := segment + " to " + m.resource
		d := c.lib.maps[name]
		out.anchors = append(out.anchors, d != nil)
		if d == nil {
			missing = append(missing, name)
			continue
		}
		out.maps = append(out.maps, c.segmentMap(d, m.resource))
		out.from = append(out.from, i)
		out.all = append(out.all, m.all[i])
		if len(out.keys) == 0 && len(d.keys) > 0 {
			c.def = d
			out.keys = c.keys(d, m.resource)
		}
	}
	if len(out.maps) == 0 {
		c.def = m.file
		c.wrong(m.at, "%s: there is no map %q%s", m.name, missing[0], near(missing[0], c.lib.names()))
		return nil
	}
	if !m.existing {
		c.checkRequired(m, out)
	}
	c.declared = nil
	return out
}

func (c *compiler) segmentMap(d *definition, resource string) *cmap {
	c.def, c.relative, c.relativeType = d, false, ""
	c.used[d.name] = true
	m := &cmap{name: d.name, row: c.rowNumber(d.at, d, d.name)}
	m.targets, m.constants = c.targets(d.rows, resource, d.exclusive, true)
	return m
}

// dataMap compiles a data type map for one type of output. base is the choice
// it makes ("value[x]" of typ), or empty.
func (c *compiler) dataMap(d *definition, typ, choiceOf string) *cmap {
	key := d.name + "\x00" + typ + "\x00" + choiceOf
	if m := c.dataMaps[key]; m != nil {
		return m
	}
	m := &cmap{name: d.name}
	c.dataMaps[key] = m
	saved := *c
	c.def, c.relative, c.declared = d, true, nil
	c.used[d.name] = true
	from, _ := d.sides()
	c.relativeType, _, _ = strings.Cut(from, "-")
	m.row = c.rowNumber(d.at, d, d.name)
	if choiceOf == "" && c.lib.model.resource(typ) {
		m.resource = typ
		m.keys = c.keys(d, typ)
	}
	rows := d.rows
	if choiceOf != "" {
		rows = renamed(rows, choiceOf)
	}
	m.targets, m.constants = c.targets(rows, typ, d.exclusive, m.resource != "")
	c.def, c.relative, c.relativeType = saved.def, saved.relative, saved.relativeType
	c.declared = saved.declared
	return m
}

// renamed gives a choice map's value[x] the name of the caller's choice.
func renamed(rows []*target, choice string) []*target {
	out := make([]*target, len(rows))
	for i, t := range rows {
		same := *t
		if same.path == "value[x]" {
			same.path = choice
		}
		out[i] = &same
	}
	return out
}

// targets compiles the rows of a map or of a set. constants is true when none
// of them reads the message.
func (c *compiler) targets(rows []*target, typ string, exclusive [][]string, root bool) ([]*ctarget, bool) {
	constants := true
	byPath := map[string]*ctarget{}
	var order []*ctarget
	for _, t := range rows {
		ct := c.target(t, typ, root)
		if ct == nil {
			continue
		}
		byPath[t.path] = ct
		order = append(order, ct)
		for _, r := range t.rows {
			constants = constants && r.constant()
		}
	}
	for _, group := range exclusive {
		order = c.exclude(order, byPath, group)
	}
	return order, constants
}

// constant reports whether a row reads nothing of the message.
func (r *row) constant() bool {
	for i := range r.sources {
		if r.sources[i].kind != fromConstant {
			return false
		}
	}
	for _, t := range r.set {
		for _, inner := range t.rows {
			if !inner.constant() {
				return false
			}
		}
	}
	return true
}

// exclude puts the targets of a group in the group's order, each kept away by
// those before it.
func (c *compiler) exclude(order []*ctarget, byPath map[string]*ctarget, group []string) []*ctarget {
	var members []*ctarget
	for _, name := range group {
		t := byPath[name]
		if t == nil {
			t = byPath[name+"[+]"]
		}
		if t == nil {
			c.wrong(c.def.at, "exclusive: %q is not a target of this map", name)
			continue
		}
		for _, earlier := range members {
			t.not = append(t.not, earlier.last.name)
		}
		members = append(members, t)
	}
	if len(members) < 2 {
		return order
	}
	first := len(order)
	for i, t := range order {
		if slices.Contains(members, t) {
			first = min(first, i)
		}
	}
	var out []*ctarget
	for i, t := range order {
		if i == first {
			out = append(out, members...)
		}
		if !slices.Contains(members, t) {
			out = append(out, t)
		}
	}
	return out
}

// sources compiles a chain of "or": the first that is valued.
func (c *compiler) sources(list []source) getter {
	gets := make([]getter, len(list))
	for i := range list {
		gets[i] = c.source(list[i])
	}
	if len(gets) == 1 {
		return gets[0]
	}
	return func(r *run, f *frame, out *val) bool {
		for _, get := range gets {
			if get(r, f, out) {
				return true
			}
		}
		return false
	}
}

// source compiles one source. ref and refs are compiled with their row.
func (c *compiler) source(s source) getter {
	switch s.kind {
	case fromPath:
		return c.path(s.text, s.at)
	case fromConstant:
		text := s.text
		return func(_ *run, _ *frame, out *val) bool {
			*out = val{text: text, constant: true}
			return text != ""
		}
	case fromTemplate:
		return c.textTemplate(s)
	case fromOrdinal:
		return func(_ *run, f *frame, out *val) bool {
			*out = val{text: itoa(max(f.ordinal, 1)), constant: true}
			return true
		}
	case fromParam:
		return c.param(s)
	case broken:
		return noValue
	case fromRef, fromRefs, inherited, none:
	}
	c.wrong(s.at, "%q cannot stand here", s.String())
	return noValue
}

// param compiles $1, $1.2 and $name.
func (c *compiler) param(s source) getter {
	name, below, _ := strings.Cut(s.text, ".")
	var cur cursor
	if below != "" {
		parts, err := numbers(below)
		if err != nil {
			c.wrong(s.at, "$%s: a number follows each dot", s.text)
			return noValue
		}
		cur.parts = parts
	}
	index := -1
	var fallback getter
	if n, err := numbers(name); err == nil && len(n) == 1 {
		index = n[0] - 1
	}
	for i := range c.def.params {
		if p := &c.def.params[i]; p.name == name || i == index {
			index = i
			if p.has {
				fallback = c.source(p.fallback)
			}
		}
	}
	if index < 0 {
		c.wrong(s.at, "parameter $%s is not known%s", name, near(name, c.paramNames()))
		return noValue
	}
	return func(r *run, f *frame, out *val) bool {
		if index < len(f.args) && f.args[index].valued() {
			return cur.below(f.args[index], out)
		}
		return fallback != nil && fallback(r, f, out)
	}
}

func (c *compiler) paramNames() []string {
	names := make([]string, len(c.def.params))
	for i := range c.def.params {
		names[i] = c.def.params[i].name
	}
	return names
}
