package mapping

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	fhirdoc "github.com/plexus-health/plexus/parsers/fhir"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
)

// A Back is a map from FHIR to HL7 v2, compiled: the way back is a map of its
// own. It is safe for use from several goroutines.
type Back struct {
	use     string
	program *backProgram
	params  map[string]string
	zone    *time.Location
	records transforms.Records
	systems *tables.Systems
}

var _ transforms.Transform = (*Back)(nil)

// A backProgram is a map from one resource type to one structure.
type backProgram struct {
	name, version      string
	resource           string
	structure, edition string
	gather             []gathering
	rows               []*backTarget
}

// A gathering is one name of gather.
type gathering struct {
	name     string
	at       string // the path of the reference, for people
	optional bool
	each     bool
	as       string // the type wanted
	from     string // the name that walk starts from
	walk     *fhirdoc.Walk
	// of a search: the type, its reference parameter, what it leads to, and
	// what else has to hold.
	search, param, to string
	where             [][2]string
}

// A backTarget is one target of a map, with its rows.
type backTarget struct {
	segment          string // empty: relative, a component of what is being made
	field, comp, sub int
	more             bool // [+]
	rows             []*backRow
}

// A backRow is one row, compiled.
type backRow struct {
	row     *row
	each    bool
	sources []backSource
	convert func(r *backRun, v bvalue, args []bvalue) (vfield, bool)
	with    []backSource
	table   *tables.Table
	when    test
	set     []*backTarget
}

// getValues reads values below an item.
type getValues func(r *backRun, item bvalue) []bvalue

// A backSource is where a row's value comes from.
type backSource struct {
	get   getValues
	types []string // what the values may be; empty: not known
	plain bool     // they are primitive
	many  bool
}

type backCompiler struct {
	lib   *library
	probs *problems
	d     *definition
	p     *backProgram
	types map[string][]string // of the names that paths begin with
	maps  map[string]*backTypeMap
	item  []string // types of the item in hand
	inMap bool     // rows of a data type: relative paths only
}

// A backTypeMap is a map from a data type or resource to a v2 data type.
type backTypeMap struct {
	name string
	rows []*backTarget
	done bool
}

// newBack compiles the step of a map from FHIR.
func newBack(b *stepBuilder, lib *library, d *definition) (*Back, []string, []transforms.Problem) {
	m := &Back{use: b.step.Use, params: map[string]string{}, zone: b.step.Zone, records: b.o.Records, systems: lib.tables.Systems()}
	c := &backCompiler{lib: lib, probs: b.probs, d: d, types: map[string][]string{}, maps: map[string]*backTypeMap{}}
	if b.step.Format != "" && b.step.Format != "fhir" {
		b.probs.list = append(b.probs.list, transforms.Problem{Field: "use", Text: "the map reads fhir, but the channel parses " + b.step.Format})
	}
	m.program = c.compile()
	c.settings(m, b.step.Set)
	if len(b.probs.list) > 0 {
		b.probs.sort()
		return nil, b.files, b.probs.list
	}
	return m, b.files, nil
}

func (c *backCompiler) wrong(at place, format string, args ...any) {
	c.probs.add(at, "%s%s", c.d.prefix(), fmt.Sprintf(format, args...))
}

// settings takes `set:` of the step: parameters of the map, and fields.
func (c *backCompiler) settings(m *Back, set map[string]string) {
	for _, p := range c.d.params {
		if p.has {
			m.params[p.name] = p.fallback.text
		}
	}
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		isParam := slices.ContainsFunc(c.d.params, func(p param) bool { return p.name == name })
		t, err := parseTarget(name)
		switch {
		case isParam:
			m.params[name] = set[name]
		case err != nil || t.segment == "" || t.field == 0:
			c.probs.list = append(c.probs.list, transforms.Problem{Field: "set", Text: fmt.Sprintf("%q is no parameter of the map, nor a field such as MSH-5", name)})
		default:
			text := set[name]
			t.rows = []*backRow{{row: &row{at: c.d.at, owner: c.d, text: "set"}, sources: []backSource{{plain: true, get: func(*backRun, bvalue) []bvalue { return []bvalue{{text: text, set: true}} }}}}}
			m.program.rows = append(m.program.rows, t)
		}
	}
}

// compile compiles the definition.
func (c *backCompiler) compile() *backProgram {
	c.p = &backProgram{name: c.d.name, version: c.d.version, edition: "2.5.1"}
	if len(c.d.structures) > 0 {
		c.p.resource = c.d.structures[0]
	}
	if words := strings.Fields(c.d.toStructure); len(words) > 0 {
		c.p.structure = words[0]
		if len(words) > 1 {
			c.p.edition = words[1]
		}
	}
	if !c.lib.model.resource(c.p.resource) {
		c.wrong(c.d.at, "from: %q is no resource type of FHIR R4", c.p.resource)
	}
	if definitions.Structure(c.p.structure) == nil {
		c.wrong(c.d.at, "to: %q is no structure of HL7 v2", c.p.structure)
	}
	c.types[c.p.resource] = []string{c.p.resource}
	c.item = []string{c.p.resource}
	for _, g := range c.d.gather {
		c.gathering(g)
	}
	c.p.rows = c.targets(c.d.rows)
	return c.p
}

var gatherSearch = regexp.MustCompile(`^([A-Z][A-Za-z]+) where ([A-Za-z-]+) = ([A-Za-z]+)((?: and [A-Za-z]+ = [A-Za-z0-9-]+)*)$`)

// gathering compiles one name of gather.
func (c *backCompiler) gathering(m member) {
	g := gathering{name: m.key, at: m.tree.text}
	text := m.tree.text
	defer func() { c.p.gather = append(c.p.gather, g) }()
	if s := gatherSearch.FindStringSubmatch(text); s != nil {
		g.search, g.param, g.to, g.optional, g.each = s[1], s[2], s[3], true, true
		for _, clause := range strings.Split(s[4], " and ") {
			if name, value, ok := strings.Cut(clause, " = "); ok {
				g.where = append(g.where, [2]string{name, value})
			}
		}
		if c.types[g.to] == nil {
			c.wrong(m.tree.at, "gather: %s: %q is not gathered before", m.key, g.to)
		}
		c.types[m.key] = []string{g.search}
		return
	}
	text, g.as, _ = strings.Cut(text, " as ")
	if rest, ok := strings.CutPrefix(text, "each "); ok {
		text, g.each = rest, true
	}
	if rest, ok := strings.CutSuffix(text, "?"); ok {
		text, g.optional = rest, true
	}
	name, below, _ := strings.Cut(text, ".")
	types := c.types[name]
	if types == nil {
		c.wrong(m.tree.at, "gather: %s: %q is neither %s nor gathered before", m.key, name, c.p.resource)
		return
	}
	walk, err := fhirdoc.Below(types, "."+below)
	if err != nil {
		c.wrong(m.tree.at, "gather: %s: %s", m.key, err)
		return
	}
	g.from, g.walk = name, walk
	if g.as == "" {
		targets := fhirdoc.Targets(types[0] + "." + below)
		switch {
		case slices.Contains(targets, "Patient"): // whom else a subject may be is not what messages are about
			g.as = "Patient"
		case len(targets) > 0:
			g.as = targets[0]
		}
	}
	if g.as != "" {
		c.types[m.key] = []string{g.as}
	} else {
		c.types[m.key] = []string{}
	}
}

var targetForm = regexp.MustCompile(`^([A-Z][A-Z0-9]{2})(?:-([0-9]{1,3}))?(\[\+\])?(?:\.([0-9]{1,2})(?:\.([0-9]{1,2}))?)?$`)

// parseTarget reads PID-3[+], OBR-27.6, IN1[+], .4.2.
func parseTarget(text string) (*backTarget, error) {
	if rest, ok := strings.CutPrefix(text, "."); ok {
		comp, sub, _ := strings.Cut(rest, ".")
		t := &backTarget{}
		var err error
		if t.comp, err = strconv.Atoi(comp); err != nil || t.comp < 1 || t.comp > 99 {
			return nil, fmt.Errorf("%q is no component", text)
		}
		if sub != "" {
			if t.sub, err = strconv.Atoi(sub); err != nil || t.sub < 1 || t.sub > 99 {
				return nil, fmt.Errorf("%q is no component", text)
			}
		}
		return t, nil
	}
	m := targetForm.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%q is no target: write PID-3[+], OBR-27.6 or IN1[+]", text)
	}
	t := &backTarget{segment: m[1], more: m[3] != ""}
	for i, into := range []*int{&t.field, &t.comp, &t.sub} {
		if part := m[[]int{2, 4, 5}[i]]; part != "" {
			*into, _ = strconv.Atoi(part) // digits only
		}
	}
	return t, nil
}

// targets compiles rows.
func (c *backCompiler) targets(list []*target) []*backTarget {
	var out []*backTarget
	for _, t := range list {
		b, err := parseTarget(t.path)
		if err != nil {
			c.wrong(t.at, "%s", err)
			continue
		}
		switch {
		case c.inMap && b.segment != "":
			c.wrong(t.at, "%s: a map of a data type writes components: .1, .4.2", t.path)
		case b.segment == "":
		case b.segment[0] != 'Z' && !definitions.Segment(b.segment):
			c.wrong(t.at, "%q is no segment of HL7 v2", b.segment)
		case b.segment == "MSH" && slices.Contains([]int{1, 2, 7, 10}, b.field):
			c.wrong(t.at, "%s is written by the writer", t.path)
		}
		for _, r := range t.rows {
			if made := c.row(t, b, r); made != nil {
				b.rows = append(b.rows, made)
			}
		}
		out = append(out, b)
	}
	return out
}

// row compiles one row.
func (c *backCompiler) row(t *target, b *backTarget, r *row) *backRow {
	if len(r.sources) == 1 && r.sources[0].kind == none {
		return nil
	}
	out := &backRow{row: r, each: r.each}
	for _, s := range r.sources {
		out.sources = append(out.sources, c.source(s))
	}
	for _, s := range r.with {
		out.with = append(out.with, c.source(s))
	}
	if r.when != "" {
		outer := c.item
		if r.each && len(out.sources) > 0 {
			c.item = out.sources[0].types // it is asked of each
		}
		out.when = c.condition(r.when, r.whenAt)
		c.item = outer
	}
	if r.through != "" {
		if out.table = c.lib.tables.Table(r.through); out.table == nil {
			c.wrong(r.at, "%s: table %q is not known%s", t.path, r.through, near(r.through, c.lib.tables.Names()))
		}
	}
	if r.as != "" {
		out.convert = c.conversion(r, out.sources)
	}
	if len(r.set) > 0 {
		outer := c.item
		if len(out.sources) > 0 {
			c.item = out.sources[0].types
		}
		out.set = c.targets(r.set)
		c.item = outer
		return out
	}
	if b.segment != "" && b.field == 0 {
		c.wrong(r.at, "%s: a segment is made of fields: set: { %s-1: … }", t.path, b.segment)
	}
	if r.as == "" && r.through == "" {
		for i, s := range out.sources {
			if len(s.types) > 0 && !s.plain {
				c.wrong(r.sources[i].at, "%s: %s is %s: say as what, such as as CWE", t.path, r.sources[i].text, strings.Join(s.types, " or "))
			}
		}
	}
	return out
}

// source compiles one source.
func (c *backCompiler) source(s source) backSource {
	switch s.kind {
	case fromConstant:
		text := s.text
		return backSource{plain: true, get: func(*backRun, bvalue) []bvalue {
			if text == "" {
				return nil
			}
			return []bvalue{{text: text, set: true}}
		}}
	case fromTemplate:
		return c.template(s)
	case fromOrdinal:
		return backSource{plain: true, get: func(r *backRun, _ bvalue) []bvalue { return []bvalue{{text: strconv.Itoa(r.ordinal), set: true}} }}
	case fromParam:
		return c.param(s)
	case fromPath:
		return c.path(s)
	case inherited, none, fromRef, fromRefs:
		c.wrong(s.at, "%q has no place in a map to HL7 v2", s.String())
	case broken:
	}
	return backSource{get: func(*backRun, bvalue) []bvalue { return nil }}
}

// param is $1 of with, or a parameter of the map.
func (c *backCompiler) param(s source) backSource {
	if n, err := strconv.Atoi(s.text); err == nil && n > 0 {
		return backSource{plain: true, get: func(r *backRun, _ bvalue) []bvalue {
			if n > len(r.args) || r.args[n-1].missing() {
				return nil
			}
			return []bvalue{r.args[n-1]}
		}}
	}
	if !slices.ContainsFunc(c.d.params, func(p param) bool { return p.name == s.text }) {
		c.wrong(s.at, "$%s is no parameter of the map: name it under params", s.text)
	}
	return backSource{plain: true, get: func(r *backRun, _ bvalue) []bvalue {
		if text := r.m.params[s.text]; text != "" {
			return []bvalue{{text: text, set: true}}
		}
		return nil
	}}
}

var fieldForm = regexp.MustCompile(`^([A-Z][A-Z0-9]{2})-([0-9]{1,3})(?:\.([0-9]{1,2}))?$`)

// path compiles a path: below the item in hand, below the resource or what was
// gathered, or a field that was written before.
func (c *backCompiler) path(s source) backSource {
	text := s.text
	if f := fieldForm.FindStringSubmatch(text); f != nil {
		field, _ := strconv.Atoi(f[2]) // digits only
		comp, _ := strconv.Atoi(f[3])  // none: the whole
		return backSource{get: func(r *backRun, _ bvalue) []bvalue {
			made := r.out.get(f[1], field)
			if comp > 0 && comp <= len(made) {
				made = vfield{made[comp-1]}
			}
			if made.empty() || comp > len(r.out.get(f[1], field)) {
				return nil
			}
			return []bvalue{{field: made, set: true}}
		}}
	}
	types, name := c.item, ""
	below := text
	switch {
	case text == ".":
		below = ""
	case text[0] != '.':
		var rest string
		var dotted bool
		name, rest, dotted = strings.Cut(text, ".")
		if cut := strings.IndexByte(name, '['); cut >= 0 {
			c.wrong(s.at, "%q: choose in what was gathered, not of it", text)
			name = name[:cut]
		}
		if below = ""; dotted {
			below = "." + rest
		}
		if types = c.types[name]; types == nil || c.inMap {
			c.wrong(s.at, "%q is neither %s nor gathered%s", name, c.p.resource, near(name, c.names()))
			return backSource{get: func(*backRun, bvalue) []bvalue { return nil }}
		}
	}
	walk, err := fhirdoc.Below(types, below)
	if err != nil {
		c.wrong(s.at, "%s", err)
		return backSource{get: func(*backRun, bvalue) []bvalue { return nil }}
	}
	return backSource{types: walk.Types, plain: walk.Primitive, many: walk.Repeats, get: func(r *backRun, item bvalue) []bvalue {
		start := r.names[name]
		if name == "" {
			if item.node == nil {
				if below == "" && item.set {
					return []bvalue{item}
				}
				return nil
			}
			start = []*fhir.Node{item.node}
		}
		var out []bvalue
		for _, n := range start {
			for _, found := range walk.Nodes(n) {
				if v := (bvalue{node: found, from: text}); !v.missing() {
					out = append(out, v)
				}
			}
		}
		return out
	}}
}

func (c *backCompiler) names() []string {
	var out []string
	for name := range c.types {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// pieces takes a template apart.
func (c *backCompiler) pieces(s source) []piece {
	var out []piece
	for text := s.text; text != ""; {
		before, rest, open := strings.Cut(text, "{")
		if !open {
			return append(out, piece{text: text})
		}
		inside, after, closed := strings.Cut(rest, "}")
		if !closed || strings.TrimSpace(inside) == "" {
			c.wrong(s.at, "a brace is open or empty in %q", s.text)
			return out
		}
		p := piece{text: before, place: strings.TrimSpace(inside)}
		if inner, ok := strings.CutSuffix(p.place, "?"); ok {
			p.place, p.optional = strings.TrimSpace(inner), true
		}
		out, text = append(out, p), after
	}
	return out
}

// template compiles text {A} x{B?}: the word that touches an optional place
// goes with it.
func (c *backCompiler) template(s source) backSource {
	type part struct {
		free, word string
		get        []getValues
		optional   bool
	}
	var parts []part
	for _, p := range c.pieces(s) {
		t := part{free: p.text, optional: p.optional}
		if p.optional {
			at := strings.LastIndexByte(p.text, ' ') + 1
			t.free, t.word = p.text[:at], p.text[at:]
		}
		for one := range strings.SplitSeq(p.place, " or ") {
			if one = strings.TrimSpace(one); one != "" {
				t.get = append(t.get, c.source(parseSource(one, s.at, c.probs)).get)
			}
		}
		parts = append(parts, t)
	}
	return backSource{plain: true, get: func(r *backRun, item bvalue) []bvalue {
		var b strings.Builder
		any := false
		for _, p := range parts {
			b.WriteString(p.free)
			if len(p.get) == 0 {
				continue
			}
			text := ""
			for _, get := range p.get {
				if values := get(r, item); len(values) > 0 && text == "" {
					text = values[0].plain()
				}
			}
			switch {
			case text != "":
				b.WriteString(p.word + text)
				any = true
			case !p.optional:
				return nil
			}
		}
		if text := strings.Join(strings.Fields(b.String()), " "); any && text != "" {
			return []bvalue{{text: text, set: true}}
		}
		return nil
	}}
}
