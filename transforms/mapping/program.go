package mapping

import (
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/tables"
)

// A program is a message map compiled: everything a message needs, and nothing
// that changes while messages run through it.
type program struct {
	name    string
	names   []string // of members, by number
	base    []int32  // the number of the choice a member is of (valueString → value[x]), or its own
	rows    []rowInfo
	slots   []string // segments by slot
	root    *cscope
	systems *tables.Systems
	// looked are the components that conditions and keys read: "OBX-2.1".
	looked map[string]bool
	// ignored are segments that nobody expects to reach anything.
	ignored map[string]bool
}

// A rowInfo is what provenance says of a row.
type rowInfo struct {
	mapName, version, file string
	line                   int
	text                   string
}

// A cscope is a group, compiled.
type cscope struct {
	group string
	makes []*cmaking
	inner []*cscope
}

// A cmaking is one name of make, compiled.
type cmaking struct {
	number   int32
	name     string
	resource string
	row      int32
	each     bool
	existing bool
	decl     []string // the segments named
	anchors  []bool   // which of them make the resource when they are there
	when     cond
	maps     []*cmap
	from     []int  // of each map, its segment among decl
	all      []bool // of each map, whether it runs for every such segment of the group
	keys     []candidate
	// required are the elements R4 asks for.
	required []int32
}

// A cmap is the rows of one map, compiled for one type of output.
type cmap struct {
	name     string
	resource string // set when the map makes a resource of its own
	targets  []*ctarget
	keys     []candidate
	// constants is true when no row reads the message.
	constants bool
	row       int32
}

// run makes what the map makes below into. It reports whether something of the
// message is in it.
func (m *cmap) run(r *run, f *frame, into int32) bool {
	if f.depth > 12 {
		return false
	}
	return runTargets(r, f, into, m.targets, m.constants)
}

func runTargets(r *run, f *frame, into int32, targets []*ctarget, constants bool) bool {
	before, nodes := r.real, len(r.nodes)
	for _, t := range targets {
		t.run(r, f, into)
	}
	return r.real != before || constants && len(r.nodes) > nodes
}

type stepMode uint8

const (
	stepOne stepMode = iota
	stepNew          // [+]
	stepAt           // [n]
	stepURL          // [name of an extension]
)

// A step is one part of a target.
type step struct {
	name  int32
	mode  stepMode
	index int
	// url is set for an extension: the item begins with it.
	url string
}

// A ctarget is a target and its rows, compiled.
type ctarget struct {
	steps []step // before the last
	last  step
	rows  []*crow
	// selector reads the path that most conditions of the rows compare.
	selector getter
	path     string
	base     int32 // the choice the last step is of, or itself
	// not lists targets whose presence keeps this one away (exclusive).
	not []int32
	// top is the element of the resource that an HL7 delete clears; empty
	// below other elements.
	top string
	// text is true when a text that did not fit is kept in an extension of
	// the element; under is that element's _name.
	text  bool
	under int32
}

// A crow is one row, compiled.
type crow struct {
	number int32
	when   cond
	// selection is the condition when it is one comparison.
	selection *selection
	// whenItem is a condition on each repetition.
	whenItem cond
	each     bool
	get      getter // nil: the row has no source
	emit     emitter
	name     int32 // of the last member: a choice takes it from the row's type
	max      int
}

// An emitter makes a value below parent, as its member name or, when name is
// 0, as an item. It reports whether it made one.
type emitter func(r *run, f *frame, v *val, parent, name int32) bool

// run makes one target: the first row that gives a value, or all under [+].
func (t *ctarget) run(r *run, f *frame, into int32) {
	for _, name := range t.not {
		if r.has(into, name) {
			return
		}
	}
	if t.single() && t.present(r, into) {
		return
	}
	r.unfit = ""
	// A list that tests one path against constants reads the path once.
	var chosen *val
	present := false
	if t.selector != nil {
		chosen = r.take()
		present = t.selector(r, f, chosen)
		defer r.give(1)
	}
	for _, row := range t.rows {
		switch {
		case row.when == nil:
		case chosen != nil && row.selection != nil && row.selection.path == t.path:
			if !row.selection.holds(chosen, present) {
				continue
			}
		case !row.when(r, f):
			continue
		}
		if row.run(r, f, into, t) && t.single() {
			return
		}
	}
	if t.text && r.unfit != "" {
		r.keepText(t, into)
	}
}

// single reports whether the first value wins: nothing on the way is new.
func (t *ctarget) single() bool {
	if t.last.mode == stepNew {
		return false
	}
	for i := range t.steps {
		if t.steps[i].mode == stepNew {
			return false
		}
	}
	return true
}

// present reports whether the single element is there already.
func (t *ctarget) present(r *run, at int32) bool {
	for i := range t.steps {
		if at = r.child(at, t.steps[i].name); at == 0 {
			return false
		}
		switch t.steps[i].mode {
		case stepAt:
			at = r.item(at, t.steps[i].index)
		case stepURL:
			at = r.withURL(at, t.steps[i].url)
		case stepOne, stepNew:
		}
		if at == 0 {
			return false
		}
	}
	return r.has(at, t.base)
}

// has reports whether a member of that name, or of that choice, is there.
func (r *run) has(parent, name int32) bool {
	for i := r.nodes[parent].first; i != 0; i = r.nodes[i].next {
		if r.prog.base[r.nodes[i].name] == name {
			return true
		}
	}
	return false
}

func (row *crow) run(r *run, f *frame, into int32, t *ctarget) bool {
	v := r.take()
	made := row.give(r, f, into, t, v)
	r.give(1)
	return made
}

func (row *crow) give(r *run, f *frame, into int32, t *ctarget, v *val) bool {
	if row.get == nil {
		v.constant = true
		return row.make(r, f, into, t, v)
	}
	if !row.get(r, f, v) {
		return false
	}
	if v.null() {
		return r.clear(f, into, t)
	}
	if !row.each {
		return row.make(r, f, into, t, v)
	}
	return row.repeat(r, f, into, t, v)
}

// repeat makes a value for each repetition.
func (row *crow) repeat(r *run, f *frame, into int32, t *ctarget, v *val) bool {
	one := r.take()
	defer r.give(1)
	made := false
	ordinal := f.ordinal
	for i, nth := range v.each() {
		if row.max > 0 && i > row.max {
			break
		}
		*one = nth
		if !one.valued() || one.null() {
			continue
		}
		if row.whenItem != nil {
			cur := f.cur
			f.cur = *one
			holds := row.whenItem(r, f)
			if f.cur = cur; !holds {
				continue
			}
		}
		f.ordinal = i
		made = row.make(r, f, into, t, one) || made
	}
	f.ordinal = ordinal
	return made
}

// make descends to the place of the target and makes the value there, or
// leaves everything as it was.
func (row *crow) make(r *run, f *frame, into int32, t *ctarget, v *val) bool {
	m := r.mark()
	at := into
	for i := range t.steps {
		if at = r.descend(at, &t.steps[i], row.number); at == 0 {
			r.rollback(m)
			return false
		}
	}
	name := row.name
	if t.last.mode == stepNew {
		at, name = r.array(at, name, row.number), 0
	}
	r.row = row.number
	if !row.emit(r, f, v, at, name) {
		r.rollback(m)
		return false
	}
	return true
}

// descend goes one step down, making what is not there.
func (r *run) descend(at int32, s *step, row int32) int32 {
	switch s.mode {
	case stepOne:
		if next := r.child(at, s.name); next != 0 {
			return next
		}
		return r.attach(at, node{name: s.name, kind: fhir.Object, row: row})
	case stepNew:
		return r.attach(r.array(at, s.name, row), node{kind: fhir.Object, row: row})
	case stepURL:
		array := r.array(at, s.name, row)
		if item := r.withURL(array, s.url); item != 0 {
			return item
		}
		item := r.attach(array, node{kind: fhir.Object, row: row})
		r.attach(item, node{name: nameURL, kind: fhir.String, text: s.url, row: row})
		return item
	case stepAt:
	}
	array := r.array(at, s.name, row)
	count := 0
	for i := r.nodes[array].first; i != 0; i = r.nodes[i].next {
		if count == s.index {
			return i
		}
		count++
	}
	if count != s.index {
		return 0
	}
	return r.attach(array, node{kind: fhir.Object, row: row})
}

// withURL finds the extension of that URL in an array.
func (r *run) withURL(array int32, url string) int32 {
	for i := r.nodes[array].first; i != 0; i = r.nodes[i].next {
		if u := r.child(i, nameURL); u != 0 && r.nodes[u].text == url {
			return i
		}
	}
	return 0
}

func (r *run) array(at, name, row int32) int32 {
	if next := r.child(at, name); next != 0 {
		return next
	}
	return r.attach(at, node{name: name, kind: fhir.Array, row: row})
}

// clear notes that the message asks to clear an element.
func (r *run) clear(f *frame, into int32, t *ctarget) bool {
	if t.top == "" || f.inst < 0 || r.insts[f.inst].build != into {
		return true
	}
	in := &r.insts[f.inst]
	for _, have := range in.deletes {
		if have == t.top {
			return true
		}
	}
	in.deletes = append(in.deletes, t.top)
	return true
}

// A segment of the message, by the parser's type.
type segment = hl7v2.Segment
