package mapping

import (
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/tables"
)

// lookup turns a code by a table. Without an entry the local coding stays where
// there is room for it, and a work-list entry is raised either way.
func (r *run) lookup(table *tables.Table, v *val, keepLocal bool) (coding, bool) {
	text := strings.TrimSpace(r.text(v))
	if table.Ignores(text) {
		return coding{}, false
	}
	if e, ok := table.Lookup(text, r.at()); ok {
		return found(table, &e), true
	}
	switch table.Otherwise {
	case tables.Default:
		return coding{system: uriOf(table.To), code: table.Default}, true
	case tables.Nothing:
		return coding{}, false
	case tables.Park:
		if r.parked == nil {
			start, _ := v.span()
			r.parked = &message.Failure{
				Kind: message.Malformed, Where: r.where(int(start)), Code: 103,
				Err: unmappedError(table.Name),
			}
		}
		return coding{}, false
	case tables.Keep:
	}
	r.finding("unmapped", v, table.Name, text, "code not in table "+table.Name)
	if !keepLocal {
		return coding{}, false
	}
	return coding{system: uriOf(table.From), code: text}, true
}

// An unmappedError says that a table that parks lacks a code.
type unmappedError string

func (e unmappedError) Error() string { return "code not in table " + string(e) }

func found(table *tables.Table, e *tables.Entry) coding {
	system := table.To
	if e.System != nil {
		system = e.System
	}
	display := e.ToDisplay
	if display == "" && table.From == system {
		display = e.FromDisplay
	}
	return coding{system: uriOf(system), code: e.To, display: display}
}

func uriOf(s *tables.System) string {
	if s == nil {
		return ""
	}
	return s.URI
}

// addCoding adds what a table makes of a coded value to its CodeableConcept;
// the local coding stays.
func (r *run) addCoding(obj, row int32, table *tables.Table, v *val) {
	code, ok := r.lookup(table, v, false)
	if !ok || code.code == "" {
		return
	}
	array := r.array(obj, nameCoding, row)
	for i := r.nodes[array].first; i != 0; i = r.nodes[i].next {
		system, have := r.child(i, nameSystem), r.child(i, nameCode)
		if have != 0 && r.nodes[have].text == code.code && (system != 0 && r.nodes[system].text == code.system || system == 0 && code.system == "") {
			return
		}
	}
	start, end := v.span()
	item := r.attach(array, node{kind: fhir.Object, row: row})
	if code.system != "" {
		r.attach(item, node{name: nameSystem, kind: fhir.String, text: code.system, row: row})
	}
	r.attach(item, node{name: nameCode, kind: fhir.String, text: code.code, row: row, start: start, end: end})
	if code.display != "" {
		r.attach(item, node{name: nameDisplay, kind: fhir.String, text: code.display, row: row})
	}
}

// at is the time of the message, for tables with dates.
func (r *run) at() time.Time {
	if !r.timed {
		r.timed = true
		r.time = r.stampOf("MSH", 7, nil)
	}
	return r.time
}

// resourceOf makes the resource of a data type map, or finds the one the
// message has made of the same. -1 when there is nothing to make it of.
func (r *run) resourceOf(m *cmap, f *frame) int32 {
	if f.depth > 12 || len(r.insts) >= maxInstances {
		return -1
	}
	seen := r.cacheKey(m, f)
	if i, ok := r.cache[seen]; ok {
		return i
	}
	in := instance{cmap: m, name: m.name, resource: m.resource, env: f.env, into: -1}
	in.start, in.end = f.cur.span()
	before := r.mark()
	in.keys, in.fallback = r.keysOf(m.resource, m.keys, f)
	number := int32(len(r.insts))
	r.add(number, &in, m.row)
	f.inst = number
	if !m.run(r, f, r.insts[number].build) {
		r.rollback(before)
		return -1
	}
	if r.insts[number].into >= 0 {
		r.merge(number)
	}
	i := r.standing(number)
	r.cache[seen] = i
	return i
}

// cacheKey is the map and the bytes it would read.
func (r *run) cacheKey(m *cmap, f *frame) string {
	key := r.scratch[:0]
	key = append(key, m.name...)
	add := func(v *val) {
		key = append(key, 0)
		if v.level == noLevel {
			key = append(key, v.text...)
			return
		}
		key = append(key, byte(v.level))
		key = append(key, v.v.Raw()...)
	}
	add(&f.cur)
	for i := range f.args {
		add(&f.args[i])
	}
	r.scratch = key
	return string(key)
}
