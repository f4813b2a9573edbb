package mapping

import (
	"strconv"
	"strings"
)

// A definition is one map as written.
type definition struct {
	name     string
	version  string // of the file: the beginning of its SHA-256
	at       place
	override string
	from, to string // formats; empty where the name says it all
	// structures the message map takes.
	structures []string
	made       string // what a map to HL7 v2 makes: "ORM_O01 2.5.1"
	madeAt     place
	params     []param
	gathers    []gatherDef
	gatherAt   place
	keys       []keyDef
	exclusive  [][]string
	segments   []segmentDef
	ignore     []string
	rows       []*target
	make       *scope
	extends    string
}

// sides gives A and B of a name "A to B".
func (d *definition) sides() (from, to string) {
	from, to, _ = strings.Cut(d.name, " to ")
	return strings.TrimSpace(from), strings.TrimSpace(to)
}

// A keyDef is one candidate of key: the first valued of its sources. With else
// in front it counts only where no candidate before it is valued.
type keyDef struct {
	sources   []source
	otherwise bool
}

// A param is a parameter of a map with its default.
type param struct {
	name     string
	fallback source
	has      bool
}

// A segmentDef declares a site's own segment.
type segmentDef struct {
	name, after string
	fields      map[int]string
}

// A scope is a group of a message map and what is made in it.
type scope struct {
	group string // "" is the message
	at    place
	makes []*making
	inner []*scope
}

// A making is one name of make: a resource from segments.
type making struct {
	name, resource string
	at             place
	each           bool
	existing       bool // only one that the store holds already is changed
	segments       []string
	all            []bool // which of them add to the one resource as often as they stand
	when           string
	whenAt         place
	file           *definition
}

// known fields of a map.
func mapFields() []string {
	return []string{
		"map", "override", "from", "to", "params", "gather", "key", "exclusive", "segments", "rows", "make",
		"extends", "ignore", "note",
	}
}

// readFile turns a YAML file into definitions.
func readFile(file string, data []byte, version string, probs *problems) []*definition {
	var out []*definition
	for _, doc := range readYAML(file, data, probs) {
		items := []*tree{doc}
		if doc.sort == list {
			items = doc.items
		}
		for _, item := range items {
			if item.sort != mapping {
				probs.add(item.at, "a map is a mapping that begins with map: NAME")
				continue
			}
			d := &definition{at: item.at, version: version}
			d.read(item, probs)
			out = append(out, d)
		}
	}
	return out
}

func (d *definition) read(t *tree, probs *problems) {
	if name := t.get("map"); name != nil && name.sort == scalar && name.text != "" {
		d.name, d.at = name.text, t.at
	} else {
		probs.add(t.at, "a map without a name: map: NAME")
	}
	for i := range t.members {
		m := &t.members[i]
		v := m.tree
		switch m.key {
		case "map", "note":
		case "override":
			d.override = v.text
		case "extends":
			d.extends = v.text
		case "from":
			d.from, d.structures = formatOf(v, probs)
		case "to":
			var made []string
			d.to, made = formatOf(v, probs)
			d.made, d.madeAt = strings.Join(made, ", "), v.at
		case "params":
			d.readParams(v, probs)
		case "gather":
			d.gatherAt = m.at
			d.readGathers(m, probs)
		case "key":
			d.readKeys(v, probs)
		case "exclusive":
			for _, item := range v.items {
				d.exclusive = append(d.exclusive, item.texts(probs, "exclusive"))
			}
		case "segments":
			d.readSegments(v, probs)
		case "ignore":
			d.ignore = v.texts(probs, "ignore")
		case "rows":
			d.rows = readTargets(v, d, probs)
		case "make":
			d.make = readScope("", m, d, probs)
		default:
			probs.add(m.at, "%sunknown field %q%s", d.prefix(), m.key, near(m.key, mapFields()))
		}
	}
	if len(d.gathers) > 0 && !d.outbound() {
		probs.add(d.gatherAt, "%sgather follows references of the store, which maps to FHIR do not read", d.prefix())
	}
	if d.rows == nil && d.make == nil && d.segments == nil {
		probs.add(d.at, "%sneither rows nor make", d.prefix())
	}
}

// prefix begins what is said of a map.
func (d *definition) prefix() string {
	if d.name == "" {
		return ""
	}
	name := d.name
	if d.override != "" {
		name = d.override
	}
	return "map " + name + ": "
}

// formatOf reads "hl7v2 [ORU_R01, ORU_R03]" or "fhir Bundle".
func formatOf(t *tree, probs *problems) (format string, structures []string) {
	format, rest, _ := strings.Cut(t.text, " ")
	rest = strings.TrimSpace(rest)
	if inner, ok := strings.CutPrefix(rest, "["); ok {
		rest = strings.TrimSuffix(inner, "]")
	}
	for _, s := range strings.Split(rest, ",") {
		if s = strings.TrimSpace(s); s != "" {
			structures = append(structures, s)
		}
	}
	if format == "" {
		probs.add(t.at, "a format is wanted: hl7v2 [STRUCTURE, …] or fhir TYPE")
	}
	return format, structures
}

func (d *definition) readParams(t *tree, probs *problems) {
	for i := range t.members {
		m := &t.members[i]
		p := param{name: m.key}
		if _, value, ok := strings.Cut(m.tree.text, "="); ok {
			p.has = true
			p.fallback = source{kind: fromConstant, at: m.tree.at}
			p.fallback.text, p.fallback.quoted = unquote(strings.TrimSpace(value))
		}
		d.params = append(d.params, p)
	}
	if t.sort != mapping {
		probs.add(t.at, "%sparams is a mapping of names", d.prefix())
	}
}

func (d *definition) readKeys(t *tree, probs *problems) {
	for _, text := range t.texts(probs, "key") {
		text, otherwise := strings.CutPrefix(text, "else ")
		r := parseSentence(text, t.at, probs)
		if r.as != "" || r.through != "" || r.when != "" || r.each {
			probs.add(t.at, "%sa key is a source alone: %q", d.prefix(), text)
			continue
		}
		d.keys = append(d.keys, keyDef{r.sources, otherwise})
	}
}

func (d *definition) readSegments(t *tree, probs *problems) {
	for i := range t.members {
		m := &t.members[i]
		s := segmentDef{name: m.key, fields: map[int]string{}}
		if after := m.tree.get("after"); after != nil {
			s.after = after.text
		}
		if fields := m.tree.get("fields"); fields != nil {
			for j := range fields.members {
				f := &fields.members[j]
				n, err := strconv.Atoi(f.key)
				if err != nil || n < 1 {
					probs.add(f.at, "%s%q is not the number of a field", d.prefix(), f.key)
					continue
				}
				s.fields[n] = f.tree.text
			}
		}
		d.segments = append(d.segments, s)
	}
}

func readTargets(t *tree, d *definition, probs *problems) []*target {
	if t.sort != mapping {
		probs.add(t.at, "%srows are a mapping of targets", d.prefix())
		return nil
	}
	out := make([]*target, 0, len(t.members))
	for i := range t.members {
		m := &t.members[i]
		tg := &target{path: m.key, at: m.at}
		items := []*tree{m.tree}
		if m.tree.sort == list {
			items = m.tree.items
		}
		for _, item := range items {
			if r := readRow(item, d, m.key, probs); r != nil {
				tg.rows = append(tg.rows, r)
			}
		}
		out = append(out, tg)
	}
	return out
}

func readRow(t *tree, d *definition, target string, probs *problems) *row {
	switch t.sort {
	case scalar:
		r := parseSentence(t.text, t.at, probs)
		r.owner = d
		return r
	case mapping:
		r := readLong(t, d, probs)
		r.owner = d
		return r
	case refused:
		return nil
	case list, nothing:
	}
	probs.add(t.at, "%s%s: a row is a sentence or a mapping", d.prefix(), target)
	return nil
}

func rowFields() []string {
	return []string{"from", "each", "as", "with", "through", "when", "set", "note", "id", "expects", "max"}
}

// readLong reads the long form of a row: the same as the sentence.
func readLong(t *tree, d *definition, probs *problems) *row {
	r := &row{at: t.at}
	if from := t.get("from"); from != nil {
		r = parseSentence(from.text, from.at, probs)
	}
	if each := t.get("each"); each != nil {
		r = parseSentence(each.text, each.at, probs)
		r.each = true
		if t.get("from") != nil {
			probs.add(each.at, "%sfrom and each both stand in one row", d.prefix())
		}
	}
	r.at = t.at
	word := func(into *string, m *member) {
		if *into != "" {
			probs.add(m.at, "%s%q stands twice", d.prefix(), m.key)
		}
		*into = m.tree.text
	}
	for i := range t.members {
		m := &t.members[i]
		switch m.key {
		case "from", "each":
		case "as":
			word(&r.as, m)
		case "with":
			for _, text := range m.tree.texts(probs, "with") {
				for _, arg := range splitCommas(text) {
					r.with = append(r.with, parseSource(arg, m.tree.at, probs))
				}
			}
		case "through":
			word(&r.through, m)
		case "when":
			word(&r.when, m)
			r.whenAt = m.tree.at
		case "set":
			r.set = readTargets(m.tree, d, probs)
		case "note":
			r.note = m.tree.text
		case "id":
			r.id = m.tree.text
		case "expects":
			r.expects = m.tree.text
		case "max":
			r.max, _ = strconv.Atoi(m.tree.text)
		default:
			probs.add(m.at, "%sunknown field %q%s", d.prefix(), m.key, near(m.key, rowFields()))
		}
	}
	if len(r.sources) == 0 && len(r.set) == 0 {
		probs.add(t.at, "%sa row without a source", d.prefix())
	}
	r.text = long(r)
	return r
}

// long writes a row as a sentence for people.
func long(r *row) string {
	var b strings.Builder
	if r.each {
		b.WriteString("each ")
	}
	for i := range r.sources {
		if i > 0 {
			b.WriteString(" or ")
		}
		b.WriteString(r.sources[i].String())
	}
	for _, part := range [...][2]string{{" as ", r.as}, {" through ", r.through}, {" when ", r.when}} {
		if part[1] != "" {
			b.WriteString(part[0] + part[1])
		}
		if part[0] == " as " && len(r.with) > 0 {
			args := make([]string, len(r.with))
			for i := range r.with {
				args[i] = r.with[i].String()
			}
			b.WriteString(" with " + strings.Join(args, ", "))
		}
	}
	return strings.TrimSpace(b.String())
}

// String is the source as a sentence writes it.
func (s source) String() string {
	switch s.kind {
	case fromConstant:
		return "= " + s.text
	case fromTemplate:
		return "text " + s.text
	case fromOrdinal:
		return "ordinal"
	case fromRef:
		return "ref " + s.text
	case fromRefs:
		return "refs " + s.text
	case fromParam:
		return "$" + s.text
	case inherited:
		return "inherited"
	case none:
		return "none"
	case fromPath, broken:
	}
	return s.text
}

func readScope(group string, m *member, d *definition, probs *problems) *scope {
	s := &scope{group: group, at: m.at}
	if m.tree.sort != mapping {
		probs.add(m.tree.at, "%smake is a mapping of names", d.prefix())
		return s
	}
	for i := range m.tree.members {
		inner := &m.tree.members[i]
		if name, ok := strings.CutPrefix(inner.key, "for "); ok {
			s.inner = append(s.inner, readScope(strings.TrimSpace(name), inner, d, probs))
			continue
		}
		if made := readMaking(inner, d, probs); made != nil {
			s.makes = append(s.makes, made)
		}
	}
	return s
}

// readMaking reads "Patient from PID, PD1 when valued(PID-3)".
func readMaking(m *member, d *definition, probs *problems) *making {
	out := &making{name: m.key, at: m.at, file: d}
	text := m.tree.text
	pieces := cutSentence(text)
	if last := pieces[len(pieces)-1]; last.word == wordWhen {
		out.when, out.whenAt = last.text, m.tree.at
		out.whenAt.column += last.offset
		text = strings.TrimSpace(text[:last.offset])
	}
	resource, from, ok := strings.Cut(text, " from ")
	if !ok || m.tree.sort != scalar {
		probs.add(m.tree.at, "%s%s: write TYPE from SEGMENT, SEGMENT", d.prefix(), m.key)
		return nil
	}
	out.resource, out.existing = strings.CutPrefix(strings.TrimSpace(resource), "existing ")
	out.resource = strings.TrimSpace(out.resource)
	for i, s := range strings.Split(from, ",") {
		segment, each := strings.CutPrefix(strings.TrimSpace(s), wordEach+" ")
		if each && i == 0 {
			out.each = true // a resource for each
		}
		out.segments = append(out.segments, strings.TrimSpace(segment))
		out.all = append(out.all, each && i > 0)
	}
	return out
}
