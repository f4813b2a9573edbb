package mapping

import (
	"context"
	"errors"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
)

// Limits of one message: what would go beyond them cannot be mapped.
const (
	maxNodes     = 4 << 20
	maxInstances = 50_000
	// roomSegments is for how many segments room is made at once: what a longer
	// message needs is made as it goes.
	roomSegments = 1024
	// looks is how many resources are filled before it is asked whether to go on.
	looks = 64
)

// A run maps one message.
type run struct {
	arena
	ctx      context.Context //nolint:containedctx // of the one call that it lives for
	prog     *program
	doc      *hl7v2.Message
	header   message.Header
	zone     *time.Location
	row      int32 // the row that emits now
	insts    []instance
	byKey    map[string]int32
	ordinals map[string]int
	cache    map[string]int32
	findings []transforms.Finding
	unfit    string // text of the last conversion that did not fit
	unfitAt  span
	parked   error
	scratch  []byte
	head     []byte
	whole    string // the message, when its bytes are its text
	vals     [48]val
	top      int
	frames   [14]frame
	deep     int
	args     []val
	// fields are those of the segments read so far, in one slice; at says
	// where those of a segment begin, counted from 1; 0 is not read yet.
	fields   []hl7v2.Value
	fieldsAt []fieldsOf
	nths     []int32          // which of its name each segment is, once asked for
	named    map[string]int32 // how many segments have a name
	time     time.Time        // of the message, once asked for
	timed    bool
}

// An instance is one resource being made.
type instance struct {
	making   *cmaking // nil for a resource that a data type map makes
	cmap     *cmap
	name     string
	resource string
	env      *env
	decl     []segment
	root     int32
	// build is where rows write now: root, or a place apart for what is
	// merged into root afterwards.
	build    int32
	keys     []string
	fallback bool
	into     int32 // the instance it was merged into; -1 when it stands alone
	deletes  []string
	urn      string
	ordinal  int
	start    int32
	end      int32
}

// fieldsOf is where the fields of a segment stand among those read.
type fieldsOf struct{ from, count int32 }

// field reads a field; the first read of a segment finds all of them.
func (r *run) field(seg segment, n int) hl7v2.Value {
	at := &r.fieldsAt[seg.Index()]
	if at.from == 0 {
		at.from = int32(len(r.fields)) + 1
		r.fields = seg.AppendFields(r.fields)
		at.count = int32(len(r.fields)) + 1 - at.from
	}
	if n > int(at.count) {
		return hl7v2.Value{}
	}
	return r.fields[int(at.from)+n-2]
}

func (r *run) mark() mark {
	return mark{len(r.nodes), len(r.undos), len(r.insts), len(r.findings), len(r.touched)}
}

// rollback forgets what was made after m; warnings stay.
func (r *run) rollback(m mark) {
	r.back(m.nodes, m.undos)
	if len(r.insts) > m.instances {
		for i := m.instances; i < len(r.insts); i++ {
			for _, key := range r.insts[i].keys {
				if r.byKey[key] == int32(i) {
					delete(r.byKey, key)
				}
			}
		}
		r.insts = r.insts[:m.instances]
		clear(r.cache)
	}
}

// touch notes that a place was read for a value that another place stands for.
func (r *run) touch(v *val) {
	if start, end := v.span(); end > start {
		r.touched = append(r.touched, span{start, end})
	}
}

// finding notes a warning of the row in hand at the place of v.
func (r *run) finding(kind string, v *val, table, code, text string) {
	if len(r.findings) >= 10_000 {
		return
	}
	start, _ := v.span()
	r.findings = append(r.findings, transforms.Finding{
		Kind: kind, Where: r.where(int(start)), Table: table, Code: code, Text: text,
	})
}

// goOn reports whether the message is to be mapped further: the limits are kept
// and nobody ended it.
func (r *run) goOn() bool {
	if r.parked != nil {
		return false
	}
	if err := r.ctx.Err(); err != nil {
		r.parked = &message.Failure{Kind: message.Unavailable, Err: err}
		return false
	}
	return true
}

// plan finds the groups and resources of the message.
func (r *run) plan() {
	top := &env{scope: r.prog.root, near: make([]segment, len(r.prog.slots))}
	r.fill(top, r.doc.Groups())
	r.planScope(top)
}

// fill finds the segments and inner groups of one group.
func (r *run) fill(e *env, g *hl7v2.Group) {
	var groups []*hl7v2.Group
	r.collect(e, g, &groups)
	for _, inner := range groups {
		below := &env{parent: e, scope: e.scope.find(inner.Name()), near: make([]segment, len(e.near))}
		copy(below.near, e.near)
		e.inner = append(e.inner, below)
		r.fill(below, inner)
	}
}

// collect takes the segments of a group, and those of groups below it that
// make has no word for, as the group's own.
func (r *run) collect(e *env, g *hl7v2.Group, groups *[]*hl7v2.Group) {
	for _, seg := range g.Segments() {
		slot := r.prog.slotOf(seg.Name())
		if slot >= 0 && !e.holds(slot) {
			e.near[slot] = seg
		}
		e.own = append(e.own, seg)
	}
	for _, inner := range g.Groups() {
		if e.scope.find(inner.Name()) != nil {
			*groups = append(*groups, inner)
		} else {
			r.collect(e, inner, groups)
		}
	}
}

// holds reports whether the group has a segment of that slot of its own: one that
// is not the one around it.
func (e *env) holds(slot int) bool {
	if !e.near[slot].Valid() {
		return false
	}
	return e.parent == nil || !e.parent.near[slot].Valid() || e.parent.near[slot].Index() != e.near[slot].Index()
}

func (s *cscope) find(group string) *cscope {
	for _, inner := range s.inner {
		if inner.group == group {
			return inner
		}
	}
	return nil
}

func (p *program) slotOf(segment string) int {
	for i := range p.slots {
		if p.slots[i] == segment {
			return i
		}
	}
	return -1
}

// planScope makes the instances of a group, then those of the groups in it.
func (r *run) planScope(e *env) {
	for _, m := range e.scope.makes {
		r.planMaking(e, m)
	}
	for _, inner := range e.inner {
		r.planScope(inner)
	}
}

func (r *run) planMaking(e *env, m *cmaking) {
	decl := make([]segment, len(m.decl))
	if !m.each {
		anchored := false
		for i, name := range m.decl {
			for j := range e.own {
				if e.own[j].Name() == name {
					decl[i] = e.own[j]
					anchored = anchored || m.anchors[i]
					break
				}
			}
		}
		if anchored {
			r.instance(e, m, decl)
		}
		return
	}
	for j := range e.own {
		if e.own[j].Name() == m.decl[0] {
			one := make([]segment, len(m.decl))
			one[0] = e.own[j]
			r.instance(e, m, one)
		}
	}
}

// instance makes one resource, if its condition holds.
func (r *run) instance(e *env, m *cmaking, decl []segment) {
	if r.full(decl) || len(r.insts)%looks == 0 && !r.goOn() {
		return
	}
	f := frame{env: e, decl: decl, inst: -1}
	if m.when != nil && !m.when(r, &f) {
		return
	}
	in := instance{making: m, name: m.name, resource: m.resource, env: e, decl: decl, into: -1}
	for i := range decl {
		if decl[i].Valid() {
			start, end := decl[i].Span()
			in.start, in.end = int32(start), int32(end)
			break
		}
	}
	number := int32(len(r.insts))
	in.keys, in.fallback = r.keysOf(m.resource, m.keys, &f)
	r.add(number, &in, m.row)
	e.makes(m.number, number)
}

// full reports whether the message has made as many resources as it may, and
// parks it at the segment that would make one more.
func (r *run) full(decl []segment) bool {
	if len(r.insts) < maxInstances {
		return false
	}
	if r.parked == nil {
		f := &message.Failure{Kind: message.Malformed, Err: errTooLarge}
		for i := range decl {
			if decl[i].Valid() {
				start, _ := decl[i].Span()
				f.Where = r.where(start)
				break
			}
		}
		r.parked = f
	}
	return true
}

// add takes an instance into the message: alone, or into the one that has its
// first key.
func (r *run) add(number int32, in *instance, row int32) {
	in.ordinal = r.count("\x00" + in.resource)
	if len(in.keys) == 0 {
		in.keys, in.fallback = []string{r.placeKey(in)}, true
	}
	if first, ok := r.byKey[in.keys[0]]; ok && r.insts[first].resource == in.resource {
		in.into = first
		for r.insts[in.into].into >= 0 {
			in.into = r.insts[in.into].into
		}
	}
	in.root = r.root(row)
	in.build = in.root
	keep := in.keys[:0]
	for _, key := range in.keys {
		owner, taken := r.byKey[key]
		switch {
		case !taken && in.into >= 0:
			r.byKey[key] = in.into
			r.insts[in.into].keys = append(r.insts[in.into].keys, key)
		case !taken:
			r.byKey[key] = number
		case owner != number && in.into < 0:
			continue // another resource of the message has this name already
		}
		keep = append(keep, key)
	}
	in.keys = keep
	in.urn = urnOf(in.keys[0])
	r.insts = append(r.insts, *in)
}

func (r *run) count(key string) int {
	r.ordinals[key]++
	return r.ordinals[key]
}

// fillInstances runs the rows of everything planned.
func (r *run) fillInstances() {
	planned := len(r.insts)
	for i := range planned {
		if i%looks == 0 && !r.goOn() {
			return
		}
		in := &r.insts[i]
		f := frame{env: in.env, decl: in.decl, inst: int32(i)}
		for j, m := range in.making.maps {
			in = &r.insts[i] // a row may have added instances
			r.runMap(in.making, j, m, &f, in.build)
		}
		in = &r.insts[i]
		if in.into >= 0 {
			r.merge(int32(i))
		}
	}
	for i := range planned {
		in := &r.insts[i]
		for _, name := range in.making.required {
			if in.into < 0 && !r.has(in.root, name) {
				r.finding("required", &val{start: in.start, end: in.end}, "", "", in.resource+" requires "+r.prog.names[name])
			}
		}
	}
}

// runMap runs one segment's map. It runs where the segment is absent too: its
// rows may read others.
func (r *run) runMap(made *cmaking, j int, m *cmap, f *frame, into int32) {
	at := made.from[j]
	if !made.all[j] {
		m.run(r, f, into)
		return
	}
	first := f.decl[at]
	for _, seg := range f.env.own {
		if seg.Name() == made.decl[at] {
			f.decl[at] = seg
			m.run(r, f, into)
		}
	}
	f.decl[at] = first
}

// merge puts an instance into the one that was there first.
func (r *run) merge(i int32) {
	in := &r.insts[i]
	first := &r.insts[in.into]
	if r.parked == nil && r.strangers(first.root, in.root) {
		r.parked = &message.Failure{
			Kind: message.Malformed, Where: r.where(int(in.start)), Code: 204,
			Err: errors.New("this " + in.resource + " has the number of one of another patient in the same message"),
		}
	}
	conflict := r.graft(first.root, in.root, r.prog.base)
	first.deletes = append(first.deletes, in.deletes...)
	if in.making == nil && !conflict {
		return
	}
	v := val{start: in.start, end: in.end}
	text := in.resource + " has the key of an earlier one: merged into it"
	if conflict {
		text += "; where they differ the earlier holds"
	}
	r.finding("merged", &v, "", "", text)
}

// strangers reports whether two resources are about two patients.
func (r *run) strangers(a, b int32) bool {
	for _, name := range [...]string{"subject", "patient", "beneficiary"} {
		member := r.memberOf(name)
		if member < 0 {
			continue
		}
		one, other := r.child(a, member), r.child(b, member)
		if one == 0 || other == 0 {
			continue
		}
		one, other = r.child(one, nameReference), r.child(other, nameReference)
		if one != 0 && other != 0 && r.nodes[one].text != r.nodes[other].text {
			return true
		}
	}
	return false
}

// nearest finds the resource of a name nearest outwards: -1 when there is none.
func (r *run) nearest(e *env, making int32) int32 {
	for up := e; up != nil; up = up.parent {
		if i := up.first(making); i >= 0 {
			return r.standing(i)
		}
	}
	return -1
}

// standing is the instance that i was merged into, or i.
func (r *run) standing(i int32) int32 {
	if r.insts[i].into >= 0 {
		return r.insts[i].into
	}
	return i
}

// reference makes a reference to an instance below parent.
func (r *run) reference(parent, name, to, row int32, v *val) {
	start, end := v.span()
	r.real++
	obj := r.attach(parent, node{name: name, kind: fhir.Object, row: row})
	r.attach(obj, node{name: nameReference, kind: fhir.String, text: r.insts[r.standing(to)].urn, row: row, start: start, end: end})
}

// keepText keeps the text of a date that is none in an extension.
func (r *run) keepText(t *ctarget, into int32) {
	at := into
	row := t.rows[0].number
	for i := range t.steps {
		if at = r.descend(at, &t.steps[i], row); at == 0 {
			return
		}
	}
	under := r.child(at, t.under)
	if under == 0 {
		under = r.attach(at, node{name: t.under, kind: fhir.Object, row: row})
	}
	item := r.attach(r.array(under, nameExtension, row), node{kind: fhir.Object, row: row})
	r.attach(item, node{name: nameURL, kind: fhir.String, text: originalText, row: row})
	r.attach(item, node{name: nameValueString, kind: fhir.String, text: r.unfit, row: row, start: r.unfitAt.start, end: r.unfitAt.end})
}

// originalText is the extension for a text that is no value of its element.
const originalText = "http://hl7.org/fhir/StructureDefinition/originalText"
