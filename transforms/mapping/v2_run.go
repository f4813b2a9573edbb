package mapping

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
)

// A v2Program is a map to HL7 v2, compiled: nothing in it changes while
// resources run through it.
type v2Program struct {
	focus              string
	structure, version string
	segments           []string // of the structure, by place
	roots              int
	gathers            []*v2Gather
	targets            []*v2Target
	rows               []rowInfo
	row                int32 // of the map itself: what the writer makes
	systems            *tables.Systems
	records            transforms.Records
}

// maxLeaves bounds the values of one message.
const maxLeaves = 1 << 20

// A v2Leaf is one value of the message: a subcomponent.
type v2Leaf struct {
	field, rep, comp, sub int16
	row                   int32
	formatted             bool // line ends are \.br\
	text                  string
	from                  *fhir.Node
}

// A v2Seg is one segment of the message.
type v2Seg struct {
	place  int
	order  []int32 // place and number, of the segments around it first
	leaves []v2Leaf
}

// A v2Scope is what nested rows of a segment or group write into: segments are
// looked for in it, and read from those around it too.
type v2Scope struct {
	parent *v2Scope
	order  []int32
	segs   []int32 // among those of the run
}

// A v2Pos is where in the message a value goes: parts that are 0 are still to
// be said, the next of them counted from off.
type v2Pos struct {
	scope           *v2Scope
	place           int
	field, rep      int16
	comp, sub, base int16
}

// A v2Read is a field written before, as a source.
type v2Read struct {
	place                 int
	field, rep, comp, sub int16
}

// A v2Frame is where a row runs.
type v2Frame struct {
	scope   *v2Scope
	cur     v2Item
	args    []v2Item
	ordinal int
	depth   int
}

// A v2Run maps one resource.
type v2Run struct {
	ctx      context.Context //nolint:containedctx // of one Apply, which has ended when it returns
	prog     *v2Program
	at       time.Time // of the message: which entries of tables hold
	entries  []entry
	roots    [][]v2Item
	read     map[string]*fhir.Node // of the store, by reference
	segs     []v2Seg
	stack    []v2Item
	touched  []*fhir.Node
	findings []v2Finding
	row      int32 // that writes now
	real     int   // values that came from a resource
	leaves   int
	err      error
}

// A v2Finding is a finding whose place is not named yet.
type v2Finding struct {
	kind, table, code, text string
	node                    *fhir.Node
}

var errNotFHIR = errors.New("the document is no FHIR resource")

// treer is a document of FHIR that was parsed, bundler one that a map made.
type (
	treer   interface{ Tree() *fhir.Node }
	bundler interface{ Bundle() *fhir.Node }
)

// treeOf is the input as a tree.
func treeOf(in *message.Message) (*fhir.Node, error) {
	switch doc := in.Doc.(type) {
	case treer:
		return doc.Tree(), nil
	case bundler:
		return doc.Bundle(), nil
	}
	tree, err := fhir.Parse(in.Raw)
	if err != nil || tree.Kind != fhir.Object {
		return nil, &message.Failure{Kind: message.Malformed, Err: errNotFHIR}
	}
	return tree, nil
}

// A noFocusError says that the input has no resource of the map's type.
type noFocusError string

func (e noFocusError) Error() string { return "there is no " + string(e) + " in it" }

// apply maps one resource, or the first of the map's type in a Bundle.
func (p *v2Program) apply(ctx context.Context, in *message.Message, zone *time.Location) ([]*message.Message, error) {
	tree, err := treeOf(in)
	if err != nil {
		return nil, err
	}
	r := &v2Run{ctx: ctx, prog: p, at: in.Received, roots: make([][]v2Item, p.roots), stack: make([]v2Item, 0, 32)}
	r.enter(tree)
	if r.roots[0] == nil {
		return nil, &message.Failure{Kind: message.Malformed, Err: noFocusError(p.focus)}
	}
	for _, g := range p.gathers {
		if !g.gather(r) {
			return nil, r.err
		}
	}
	f := &v2Frame{scope: &v2Scope{}}
	for _, t := range p.targets {
		t.run(r, f, v2Pos{scope: f.scope})
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case r.leaves > maxLeaves:
		return nil, &message.Failure{Kind: message.Malformed, Err: errTooLong}
	}
	doc, err := r.finish(f.scope, zone)
	if err != nil {
		return nil, err
	}
	next := *in
	next.Doc = doc
	return []*message.Message{&next}, nil
}

// run writes the parts of a data type. It reports whether something of a
// resource is in it.
func (m *v2Map) run(r *v2Run, f *v2Frame, at v2Pos) bool {
	before := r.real
	for _, t := range m.targets {
		t.run(r, f, at)
	}
	return r.real > before
}

// run makes one target: the first row that gives a value, or all under [+].
func (t *v2Target) run(r *v2Run, f *v2Frame, base v2Pos) {
	if r.err != nil || r.leaves > maxLeaves {
		return
	}
	at := base
	switch {
	case t.segments():
		at.place = t.place
	case t.place >= 0:
		at = v2Pos{scope: f.scope, place: t.place, field: t.field, rep: max(t.rep, 1), comp: t.comp, sub: t.sub}
		if t.onward {
			at = v2Pos{scope: f.scope, place: t.place, field: t.field, rep: at.rep}.child(t)
		}
		if t.present && r.find(f.scope, t.place) < 0 {
			return
		}
	default:
		at = base.child(t)
	}
	// What . makes adds to what stands there: its own parts look for themselves.
	whole := t.place < 0 && t.comp == 0
	if t.single() && !t.segments() && !whole && r.present(at) {
		return
	}
	for _, row := range t.rows {
		if row.when != nil && !row.when(r, f) {
			continue
		}
		if row.run(r, f, t, at) && t.single() {
			return
		}
	}
}

// child is the place of a relative target.
func (at v2Pos) child(t *v2Target) v2Pos {
	parts := [2]int16{t.comp, t.sub}
	for i, n := range parts {
		if n == 0 {
			break
		}
		last := i == 1 || parts[1] == 0
		switch {
		case t.onward && last:
			at.base += n - 1
		case at.comp == 0:
			at.comp, at.base = n+at.base, 0
		case at.sub == 0:
			at.sub, at.base = n+at.base, 0
		}
	}
	return at
}

// part is component n of what a conversion makes; only when the value may have
// no parts, the place itself.
func (at v2Pos) part(n int16, only bool) v2Pos {
	if only {
		return at
	}
	return at.child(&v2Target{comp: n})
}

// leaf is the place as it stands in a segment.
func (at *v2Pos) leaf() v2Leaf {
	l := v2Leaf{field: at.field, rep: at.rep, comp: at.comp, sub: at.sub}
	switch {
	case l.comp == 0:
		l.comp, l.sub = 1+at.base, 1
	case l.sub == 0:
		l.sub = 1 + at.base
	}
	return l
}

func (row *v2Row) run(r *v2Run, f *v2Frame, t *v2Target, at v2Pos) bool {
	if row.get == nil {
		return row.make(r, f, t, at, nil)
	}
	before := len(r.stack)
	r.stack = row.get(r, f, r.stack)
	items := r.stack[before:]
	switch {
	case !row.each && len(items) > 1:
		items = items[:1]
	case row.max > 0 && len(items) > row.max:
		items = items[:row.max]
	}
	made := false
	ordinal, cur := f.ordinal, f.cur
	n := 0
	for i := range items {
		it := items[i]
		if row.whenItem != nil {
			f.cur = it
			holds := row.whenItem(r, f)
			if f.cur = cur; !holds {
				continue
			}
		}
		if n++; row.each {
			f.ordinal = n
		}
		if row.make(r, f, t, at, &it) {
			made = true
		} else {
			n--
		}
	}
	f.ordinal = ordinal
	r.stack = r.stack[:before]
	return made
}

// make writes one value, or leaves everything as it was.
func (row *v2Row) make(r *v2Run, f *v2Frame, t *v2Target, at v2Pos, it *v2Item) bool {
	if t.segments() {
		return row.segment(r, f, t, it)
	}
	have := r.find(at.scope, at.place)
	leaves := 0
	if have >= 0 {
		leaves = len(r.segs[have].leaves)
	}
	segs, scoped := len(r.segs), len(at.scope.segs)
	if t.newRep {
		at.rep = r.reps(have, at.field) + 1
	}
	r.row = row.number
	if it == nil {
		it = &v2Item{}
	}
	if row.emit(r, f, it, at) {
		return true
	}
	if have >= 0 {
		r.segs[have].leaves = r.segs[have].leaves[:leaves]
	} else {
		r.segs, at.scope.segs = r.segs[:segs], at.scope.segs[:scoped]
	}
	return false
}

// segment makes a segment or group anew, with nested rows. One that was made of
// a value holds something of it; one that was not holds what the rows say.
func (row *v2Row) segment(r *v2Run, f *v2Frame, t *v2Target, it *v2Item) bool {
	inner := *f
	segs, scoped, before := len(r.segs), len(f.scope.segs), r.real
	if it != nil {
		inner.cur = *it
	}
	number := int32(0)
	if t.anew {
		number = int32(len(r.segs)) + 1
	}
	order := append(slices.Clone(f.scope.order), int32(t.place), number)
	inner.scope = &v2Scope{parent: f.scope, order: order}
	if !t.group {
		// The segment itself stands at the scope's own place.
		r.segs = append(r.segs, v2Seg{place: t.place, order: order})
		inner.scope.segs = append(inner.scope.segs, int32(len(r.segs)-1))
		if !t.anew {
			f.scope.segs = append(f.scope.segs, int32(len(r.segs)-1))
		}
	}
	for _, below := range row.set {
		below.run(r, &inner, v2Pos{scope: inner.scope})
	}
	if it != nil && r.real == before || it == nil && r.empty(segs) {
		r.segs, f.scope.segs = r.segs[:segs], f.scope.segs[:scoped]
		return false
	}
	return true
}

// empty reports whether the segments from one on hold nothing.
func (r *v2Run) empty(from int) bool {
	for i := from; i < len(r.segs); i++ {
		if len(r.segs[i].leaves) > 0 {
			return false
		}
	}
	return true
}

// find is the segment of a place in a scope, -1 when it has none yet.
func (r *v2Run) find(scope *v2Scope, place int) int {
	for _, i := range scope.segs {
		if r.segs[i].place == place {
			return int(i)
		}
	}
	return -1
}

// reps is the number of repetitions a field has.
func (r *v2Run) reps(seg int, field int16) int16 {
	var n int16
	if seg >= 0 {
		for i := range r.segs[seg].leaves {
			if l := &r.segs[seg].leaves[i]; l.field == field {
				n = max(n, l.rep)
			}
		}
	}
	return n
}

// present reports whether something stands at a place already.
func (r *v2Run) present(at v2Pos) bool {
	seg := r.find(at.scope, at.place)
	if seg < 0 || at.field == 0 {
		return false
	}
	for i := range r.segs[seg].leaves {
		l := &r.segs[seg].leaves[i]
		if l.field != at.field || l.rep != at.rep {
			continue
		}
		if at.comp == 0 && l.comp > at.base || l.comp == at.comp && (at.sub == 0 && l.sub > at.base || l.sub == at.sub) {
			return true
		}
	}
	return false
}

// written reads a field written before, in this scope or the nearest around it.
func (r *v2Run) written(scope *v2Scope, read *v2Read) []v2Leaf {
	for ; scope != nil; scope = scope.parent {
		seg := r.find(scope, read.place)
		if seg < 0 {
			continue
		}
		var out []v2Leaf
		for _, l := range r.segs[seg].leaves {
			if l.field != read.field || l.rep != read.rep || read.comp > 0 && l.comp != read.comp || read.sub > 0 && l.sub != read.sub {
				continue
			}
			if read.comp > 0 {
				l.comp, l.sub = l.sub, 1
			}
			if read.sub > 0 {
				l.comp = 1
			}
			out = append(out, l)
		}
		return out
	}
	return nil
}

// evaluate reads the values of with; an absent one is the zero item.
func (r *v2Run) evaluate(f *v2Frame, args []v2Getter) []v2Item {
	if len(args) == 0 {
		return nil
	}
	out := make([]v2Item, len(args))
	for i, get := range args {
		before := len(r.stack)
		r.stack = get(r, f, r.stack)
		if len(r.stack) > before {
			out[i] = r.stack[before]
		}
		r.stack = r.stack[:before]
	}
	return out
}

// touch notes that a value was read for what another stands for.
func (r *v2Run) touch(it *v2Item) {
	if n := it.source(); n != nil {
		r.touched = append(r.touched, n)
	}
}

// misfit warns that a value does not fit what the row makes of it.
func (r *v2Run) misfit(it *v2Item, what string) {
	r.note(v2Finding{kind: "conversion", text: "is no " + what, node: it.source()})
}

func (r *v2Run) note(f v2Finding) {
	if len(r.findings) < 10_000 {
		r.findings = append(r.findings, f)
	}
}

// An entry that a table lacks: no value, and work for people, unless the table
// says otherwise.
func (r *v2Run) unmapped(table *tables.Table, from *fhir.Node, it *v2Item) {
	code := it.String()
	if text := textOf(from); text != "" {
		code = text
	}
	switch table.Otherwise {
	case tables.Nothing:
		return
	case tables.Park:
		if r.err == nil {
			r.err = &message.Failure{Kind: message.Malformed, Where: r.prog.rows[r.row].text, Code: 103, Err: unmappedError(table.Name)}
		}
		return
	case tables.Keep, tables.Default:
	}
	r.note(v2Finding{kind: "unmapped", table: table.Name, code: code, text: "no code of table " + table.Name + " leads to it", node: from})
}
