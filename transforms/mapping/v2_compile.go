package mapping

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
	"github.com/plexus-health/plexus/transforms"
)

// outbound reports whether a definition is a map to HL7 v2 messages.
func (d *definition) outbound() bool { return d.to == "hl7v2" }

// partOutbound reports whether a map is one of a data type on the way to
// HL7 v2: Identifier to CX.
func (lib *library) partOutbound(d *definition) bool {
	from, to := d.sides()
	return lib.model.known(from) && to != "" && to != "value[x]" && !lib.model.known(to)
}

// familyOf is the folder of the shipped map called use: FAMILY/use.yaml. It is
// "" when there is none, and for a name with a family in front.
func familyOf(fsys fs.FS, use string) string {
	if strings.Contains(use, "/") || !fs.ValidPath(use) {
		return ""
	}
	found, err := fs.Glob(fsys, "*/"+strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(use)+".yaml")
	if err != nil || len(found) == 0 {
		return ""
	}
	return path.Dir(found[0])
}

// namesOf are the families of shipped maps, and the files in them.
func namesOf(fsys fs.FS) []string {
	files, err := fs.Glob(fsys, "*/*.yaml")
	if err != nil {
		return nil
	}
	var names []string
	for _, file := range files {
		names = append(names, path.Dir(file), strings.TrimSuffix(path.Base(file), ".yaml"))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// outbound is the map to HL7 v2 that a step means, nil when it means another.
func (b *stepBuilder) outbound(lib *library) *definition {
	if b.only != "" {
		if d := lib.maps[b.only]; d != nil && d.outbound() {
			return d
		}
		return nil
	}
	var found []*definition
	for _, name := range lib.names() {
		if d := lib.maps[name]; d.outbound() {
			found = append(found, d)
		}
	}
	if b.family == "" || len(found) == 0 || len(lib.messageMaps(b.family)) > 0 {
		return nil
	}
	if len(found) > 1 {
		names := make([]string, len(found))
		for i := range found {
			names[i] = found[i].name
		}
		b.probs.list = append(b.probs.list, transforms.Problem{
			Field: "use", Text: b.step.Use + " holds several maps; name one: " + strings.Join(names, ", "),
		})
	}
	return found[0]
}

// newOutbound compiles a map to HL7 v2.
func (b *stepBuilder) newOutbound(lib *library, d *definition) (*Map, []string, []transforms.Problem) {
	if f := b.step.Format; f != "" && f != "fhir" {
		b.probs.list = append(b.probs.list, transforms.Problem{Field: "use", Text: "the map reads fhir, but the channel parses " + f})
	}
	if b.probs.unreadable {
		b.probs.sort()
		return nil, b.files, b.probs.list
	}
	c := lib.v2Compiler(d, b.probs)
	c.message(d, b.step.Set)
	c.unused()
	if len(b.probs.list) > 0 {
		b.probs.sort()
		return nil, b.files, b.probs.list
	}
	c.out.rows = c.prog.rows
	c.out.records = b.o.Records
	return &Map{use: b.step.Use, outbound: c.out, zone: b.step.Zone}, b.files, nil
}

// A v2Place is one segment of a structure, where its grammar has it.
type v2Place struct {
	name     string
	groups   []string // around it, the outermost first
	required bool
}

// A v2Compiler turns the rows of one map to HL7 v2 into a program. What it
// shares with the other direction it has from compiler: places, rows, words.
type v2Compiler struct {
	*compiler
	out *v2Program

	fields    map[string]fieldSet
	places    []v2Place
	groupAt   map[string][2]int // first and last place of a group
	lastPlace int
	placeUsed map[string]int // the place a segment was given last
	rootTypes [][]v2Type
	params    map[string]string
	parts     map[string]*v2Map
	convs     map[string]v2Conversion
	v2Context
}

// A v2Context is where the rows in hand stand.
type v2Context struct {
	roots    map[string]int // names that paths may begin with
	rooted   bool           // they are those of a message map
	handed   bool           // . means something
	relTypes []v2Type       // what . may be
	// depth is what a relative target divides: 0 a repetition, 1 a component,
	// 2 a subcomponent; -1 where targets name segments.
	depth int
	// span is the first and last place that targets may stand at.
	span [2]int
}

func (lib *library) v2Compiler(d *definition, probs *problems) *v2Compiler {
	return &v2Compiler{
		compiler: lib.compiler(d, probs), out: &v2Program{systems: lib.tables.Systems()},
		fields: v2Fields(), groupAt: map[string][2]int{}, placeUsed: map[string]int{}, v2Context: v2Context{roots: map[string]int{}, depth: -1},
		params: map[string]string{}, parts: map[string]*v2Map{}, convs: v2Conversions(),
	}
}

// message compiles the message map.
func (c *v2Compiler) message(d *definition, set map[string]string) {
	if len(d.structures) != 1 || d.from != "fhir" {
		c.wrong(d.at, "from: fhir TYPE is wanted: the resource the message is of")
		return
	}
	focus := d.structures[0]
	if !c.lib.model.resource(focus) {
		c.wrong(d.at, "%q is not a resource type%s", focus, near(focus, c.lib.model.resources()))
		return
	}
	structure, version, _ := strings.Cut(d.made, " ")
	grammar := definitions.Structure(structure)
	if grammar == nil {
		c.wrong(d.madeAt, "%q is not a message structure%s", structure, near(structure, definitions.Structures()))
		return
	}
	c.out.focus, c.out.structure, c.out.version = focus, structure, strings.TrimSpace(version)
	c.out.row = c.rowNumber(d.at, d, d.name)
	if !slices.Contains(v2Versions(), c.out.version) {
		c.wrong(d.madeAt, "version %q is none of HL7 v2: %s", c.out.version, strings.Join(v2Versions(), ", "))
	}
	c.layOut(grammar, nil, true)
	c.siteSegments()
	for i := range c.places {
		c.out.segments = append(c.out.segments, c.places[i].name)
	}
	c.span = [2]int{0, len(c.places) - 1}
	c.roots[focus], c.rootTypes, c.rooted = 0, [][]v2Type{{{name: focus}}}, true
	c.gathers(d.gathers)
	fixed := c.parameters(d, set)
	c.out.targets = c.v2Targets(d.rows)
	for _, name := range fixed {
		c.fixedTarget(name, set[name])
	}
	c.checkPlaces(d)
	c.out.roots = len(c.rootTypes)
}

func v2Versions() []string {
	return []string{"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9"}
}

// layOut lists the segments of a structure in their order.
func (c *v2Compiler) layOut(e *definitions.Element, groups []string, required bool) {
	for _, inner := range e.Elements {
		must := required && !inner.Optional
		if !inner.Group {
			c.places = append(c.places, v2Place{inner.Name, groups, must})
			continue
		}
		first := len(c.places)
		c.layOut(inner, append(slices.Clone(groups), inner.Name), must)
		c.groupAt[inner.Name] = [2]int{first, len(c.places) - 1}
	}
}

// siteSegments puts the segments a site declares behind those it names.
func (c *v2Compiler) siteSegments() {
	names := make([]string, 0, len(c.lib.segments))
	for name := range c.lib.segments {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		after := c.lib.segments[name].after
		at := slices.IndexFunc(c.places, func(p v2Place) bool { return p.name == after })
		if at < 0 {
			continue // of another structure; a row that writes it is told so
		}
		c.places = slices.Insert(c.places, at+1, v2Place{name: name, groups: c.places[at].groups})
		for group, span := range c.groupAt {
			if span[0] > at {
				span[0]++
			}
			if span[1] >= at {
				span[1]++
			}
			c.groupAt[group] = span
		}
	}
}

// parameters takes the step's set: names of params, and fields of the message.
// It returns those that are fields, sorted.
func (c *v2Compiler) parameters(d *definition, set map[string]string) []string {
	known := map[string]bool{}
	for i := range d.params {
		p := &d.params[i]
		known[p.name] = true
		if p.has {
			c.params[p.name] = p.fallback.text
		}
	}
	var fields, names []string
	for name := range set {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		switch cur, err := parseCursor(name); {
		case known[name]:
			c.params[name] = set[name]
		case err == nil && cur.field > 0 && cur.index == 0 && cur.byComp == 0:
			fields = append(fields, name)
		default:
			c.probs.list = append(c.probs.list, transforms.Problem{
				Field: "set." + name, Text: "\"" + name + "\" is neither a parameter of " + d.name + " nor a field of its message" + near(name, c.paramNames()),
			})
		}
	}
	return fields
}

// fixedTarget compiles a field that the step sets: it takes the place of the
// map's rows of that field.
func (c *v2Compiler) fixedTarget(name, text string) {
	before := len(c.probs.list)
	at := place{file: "set", line: 1, column: 1}
	r := &row{at: at, owner: c.def, text: "= " + text, sources: []source{{kind: fromConstant, text: text, at: at}}}
	t := c.v2Target(&target{path: name, at: at, rows: []*row{r}})
	for i := before; i < len(c.probs.list); i++ {
		p := &c.probs.list[i]
		p.Field, p.File, p.Line, p.Column = "set."+name, "", 0, 0
	}
	if t == nil || len(c.probs.list) > before {
		return
	}
	c.out.targets = slices.DeleteFunc(c.out.targets, func(o *v2Target) bool {
		return o.place == t.place && o.field == t.field && (t.comp == 0 || o.comp == t.comp && (t.sub == 0 || o.sub == t.sub))
	})
	if c.places[t.place].name == "MSH" {
		c.out.targets = append(c.out.targets, t)
	} else {
		t.present = true // it makes no segment of its own
		c.out.targets = append(c.out.targets, t)
	}
}

// checkPlaces holds that the rows make every segment the structure requires.
func (c *v2Compiler) checkPlaces(d *definition) {
	made := map[int]bool{0: true}
	var look func(list []*v2Target)
	look = func(list []*v2Target) {
		for _, t := range list {
			if t.place >= 0 && !t.present {
				made[t.place] = true
			}
			for _, r := range t.rows {
				look(r.set)
			}
		}
	}
	look(c.out.targets)
	for i := range c.places {
		if p := &c.places[i]; p.required && p.name != "MSH" && !made[i] {
			c.wrong(d.at, "%s requires %s, and no row makes it", c.out.structure, p.name)
		}
	}
}

// unused compiles the maps of data types that no row uses, so that their
// mistakes do not wait for the one that does.
func (c *v2Compiler) unused() {
	for _, name := range c.lib.names() {
		if d := c.lib.maps[name]; c.lib.partOutbound(d) && len(d.rows) > 0 {
			from, _ := d.sides()
			c.part(d, v2Type{name: from}, 0)
		}
	}
}

// v2Targets compiles the rows of the message or of a set.
func (c *v2Compiler) v2Targets(rows []*target) []*v2Target {
	var out []*v2Target
	for _, t := range rows {
		if ct := c.v2Target(t); ct != nil {
			out = append(out, ct)
		}
	}
	return out
}

// part compiles a data type map for a depth: 0 where it makes a whole
// repetition, 1 where it makes a component, 2 a subcomponent.
func (c *v2Compiler) part(d *definition, from v2Type, depth int) *v2Map {
	key := fmt.Sprintf("%s\x00%d", d.name, depth)
	if m := c.parts[key]; m != nil {
		return m
	}
	m := &v2Map{}
	c.parts[key] = m
	def, context := c.def, c.v2Context
	c.used[d.name] = true
	c.def = d
	c.v2Context = v2Context{handed: true, relTypes: []v2Type{from}, depth: depth, roots: map[string]int{}}
	m.targets = c.v2Targets(d.rows)
	c.def, c.v2Context = def, context
	return m
}
