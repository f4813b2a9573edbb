package mapping

import (
	"strconv"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
)

// A Message is what a map to HL7 v2 makes of a resource: the message, read as
// any other, and where each of its values came from. It is read by one
// goroutine at a time.
type Message struct {
	run     *v2Run
	segs    []v2Seg
	zone    *time.Location
	control string
	at      time.Time
	raw     []byte
	doc     *hl7v2.Message
}

var (
	_ message.Document     = (*Message)(nil)
	_ transforms.Explainer = (*Message)(nil)
	_ transforms.Stamper   = (*Message)(nil)
)

// render writes the bytes and reads them.
func (m *Message) render() error {
	raw := make([]byte, 0, 1024)
	for i := range m.segs {
		s := &m.segs[i]
		name := m.run.prog.segments[s.place]
		leaves := s.leaves
		if name == "MSH" && i == 0 && m.control != "" {
			leaves = m.stamped(leaves)
		}
		raw = appendSegment(raw, name, leaves)
	}
	doc, err := hl7v2.Parse(raw)
	if err != nil {
		return &message.Failure{Kind: message.Internal, Err: err}
	}
	m.raw, m.doc = raw, doc
	return nil
}

// stamped is MSH with time and control id.
func (m *Message) stamped(leaves []v2Leaf) []v2Leaf {
	zone := m.zone
	if zone == nil {
		zone = time.UTC
	}
	out := make([]v2Leaf, 0, len(leaves)+2)
	add := func(before int16) {
		if before == 7 {
			out = append(out, v2Leaf{field: 7, rep: 1, comp: 1, sub: 1, row: m.run.prog.row, text: m.at.In(zone).Format("20060102150405-0700")})
		} else {
			out = append(out, v2Leaf{field: 10, rep: 1, comp: 1, sub: 1, row: m.run.prog.row, text: m.control})
		}
	}
	next := []int16{7, 10}
	for _, l := range leaves {
		for len(next) > 0 && l.field > next[0] {
			add(next[0])
			next = next[1:]
		}
		out = append(out, l)
	}
	for _, field := range next {
		add(field)
	}
	return out
}

// Stamp sets MSH-10 and MSH-7; until then both are empty.
func (m *Message) Stamp(control string, at time.Time) {
	before, when := m.control, m.at
	if m.control, m.at = control, at; m.render() != nil {
		m.control, m.at = before, when // what is read does not change half
	}
}

// Message is the message as it was read again.
func (m *Message) Message() *hl7v2.Message { return m.doc }

// Format is "hl7v2".
func (m *Message) Format() string { return m.doc.Format() }

// Header is what MSH says.
func (m *Message) Header() message.Header { return m.doc.Header() }

// Root is the message: paths and conditions read it as one received.
func (m *Message) Root() message.Node { return m.doc.Root() }

// Encode appends the bytes.
func (m *Message) Encode(dst []byte) []byte { return append(dst, m.raw...) }

// Warnings are the findings of the rows.
func (m *Message) Warnings() []message.Warning {
	var out []message.Warning
	for _, f := range m.Findings() {
		out = append(out, message.Warning{Where: f.Where, Code: f.Kind, Text: f.Text})
	}
	return out
}

// Findings are the warnings of the rows, at their places in the resources.
func (m *Message) Findings() []transforms.Finding {
	if len(m.run.findings) == 0 {
		return nil
	}
	paths := m.paths()
	out := make([]transforms.Finding, 0, len(m.run.findings))
	for i := range m.run.findings {
		f := &m.run.findings[i]
		out = append(out, transforms.Finding{Kind: f.kind, Where: paths[f.node], Table: f.table, Code: f.code, Text: f.text})
	}
	return out
}

// Provenance lists every value of the message in its order.
func (m *Message) Provenance() []transforms.Origin {
	paths := m.paths()
	counts, totals := map[string]int{}, map[string]int{}
	for i := range m.segs {
		totals[m.run.prog.segments[m.segs[i].place]]++
	}
	var out []transforms.Origin
	for i := range m.segs {
		s := &m.segs[i]
		name := m.run.prog.segments[s.place]
		counts[name]++
		prefix := name
		if totals[name] > 1 {
			prefix += "[" + strconv.Itoa(counts[name]) + "]"
		}
		for j := range s.leaves {
			l := &s.leaves[j]
			row := &m.run.prog.rows[l.row]
			out = append(out, transforms.Origin{
				Target: prefix + leafPath(s.leaves, j), Source: paths[l.from],
				Map: row.mapName + "@" + row.version, File: row.file, Line: row.line,
			})
		}
	}
	return out
}

// leafPath names a value below its segment as the other direction does: the
// repetition from the second on, components where there are several.
func leafPath(leaves []v2Leaf, at int) string {
	l := &leaves[at]
	text := "-" + strconv.Itoa(int(l.field))
	if l.rep > 1 {
		text += "[" + strconv.Itoa(int(l.rep)) + "]"
	}
	comps, subs := int16(1), int16(1)
	for i := range leaves {
		if o := &leaves[i]; o.field == l.field && o.rep == l.rep {
			comps = max(comps, o.comp)
			if o.comp == l.comp {
				subs = max(subs, o.sub)
			}
		}
	}
	if comps > 1 || subs > 1 {
		text += "." + strconv.Itoa(int(l.comp))
	}
	if subs > 1 {
		text += "." + strconv.Itoa(int(l.sub))
	}
	return text
}

// paths names every value of the resources that were read: of the focus by its
// type, of what was gathered by its name.
func (m *Message) paths() map[*fhir.Node]string {
	out := map[*fhir.Node]string{}
	r := m.run
	name := func(root int) string {
		for _, g := range r.prog.gathers {
			if g.root == root {
				return g.name
			}
		}
		return r.prog.focus
	}
	// The resource itself last: what it contains has the name it was gathered by.
	for n := range r.roots {
		root := (n + 1) % len(r.roots)
		items := r.roots[root]
		for i := range items {
			prefix := name(root)
			if len(items) > 1 {
				prefix += "[" + strconv.Itoa(i) + "]"
			}
			namePaths(out, items[i].node, prefix)
		}
	}
	for _, e := range r.entries {
		namePaths(out, e.resource, textOf(e.resource.Get("resourceType")))
	}
	for _, n := range r.read {
		if n != nil {
			namePaths(out, n, textOf(n.Get("resourceType")))
		}
	}
	return out
}

// namePaths names a node and what is below it, unless it has a name.
func namePaths(out map[*fhir.Node]string, n *fhir.Node, path string) {
	if _, named := out[n]; named || n == nil {
		return
	}
	out[n] = path
	for _, member := range n.Members {
		if member.Value.Kind != fhir.Array {
			namePaths(out, member.Value, path+"."+member.Name)
			continue
		}
		for i, item := range member.Value.Items {
			namePaths(out, item, path+"."+member.Name+"["+strconv.Itoa(i)+"]")
		}
	}
}

// Unmapped lists the values of the resource and of what was gathered that
// reached nothing and that no condition read.
func (m *Message) Unmapped() []string {
	reached := map[*fhir.Node]bool{}
	for i := range m.segs {
		for j := range m.segs[i].leaves {
			reached[m.segs[i].leaves[j].from] = true
		}
	}
	for _, n := range m.run.touched {
		reached[n] = true
	}
	paths := m.paths()
	var out []string
	seen := map[*fhir.Node]bool{}
	for _, items := range m.run.roots {
		for i := range items {
			if n := items[i].node; !seen[n] {
				seen[n] = true
				for _, member := range n.Members {
					switch member.Name {
					case "resourceType", "id", "meta", "text", "contained":
					default:
						out = unreached(out, member.Value, reached, paths)
					}
				}
			}
		}
	}
	return out
}

func unreached(out []string, n *fhir.Node, reached map[*fhir.Node]bool, paths map[*fhir.Node]string) []string {
	if reached[n] {
		return out
	}
	for _, member := range n.Members {
		out = unreached(out, member.Value, reached, paths)
	}
	for _, item := range n.Items {
		out = unreached(out, item, reached, paths)
	}
	if n.Kind != fhir.Object && n.Kind != fhir.Array {
		out = append(out, paths[n])
	}
	return out
}
