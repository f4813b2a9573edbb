package mapping

import (
	"sort"
	"strconv"

	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// where names the place of a byte of the input: "OBX[3]-5.2". It is asked for
// warnings and provenance alone, so it may search.
func (r *run) where(offset int) string {
	at := sort.Search(r.doc.Len(), func(i int) bool {
		_, end := r.doc.Segment(i).Span()
		return end >= offset
	})
	seg := r.doc.Segment(at)
	if !seg.Valid() {
		return ""
	}
	name := seg.Name()
	if nth, several := r.nth(at); several {
		name += "[" + strconv.Itoa(nth) + "]"
	}
	holds := func(v hl7v2.Value) bool {
		start, end := v.Span()
		return start <= offset && offset < end
	}
	for f := 1; f <= seg.Fields(); f++ {
		field := seg.Field(f)
		if !holds(field) {
			continue
		}
		name += "-" + strconv.Itoa(f)
		for n, rep := range field.EachRep() {
			if holds(rep) {
				if n > 1 {
					name += "[" + strconv.Itoa(n) + "]"
				}
				return name + component(rep, holds)
			}
		}
		return name
	}
	return name
}

// nth is which of the segments of its name a segment is, and whether there are
// several.
func (r *run) nth(at int) (n int, several bool) {
	if r.nths == nil {
		r.nths, r.named = make([]int32, r.doc.Len()), map[string]int32{}
		for i := range r.nths {
			name := r.doc.Segment(i).Name()
			r.named[name]++
			r.nths[i] = r.named[name]
		}
	}
	return int(r.nths[at]), r.named[r.doc.Segment(at).Name()] > 1
}

func component(rep hl7v2.Value, holds func(hl7v2.Value) bool) string {
	if rep.Comps() < 2 && rep.Comp(1).Subs() < 2 {
		return ""
	}
	for n := 1; n <= rep.Comps(); n++ {
		comp := rep.Comp(n)
		if !holds(comp) {
			continue
		}
		for m := 1; comp.Subs() > 1 && m <= comp.Subs(); m++ {
			if holds(comp.Sub(m)) {
				return "." + strconv.Itoa(n) + "." + strconv.Itoa(m)
			}
		}
		return "." + strconv.Itoa(n)
	}
	return ""
}

// standardSegments are those that stand in any structure of the standard.
func standardSegments() map[string]bool {
	out := map[string]bool{"NTE": true, "DSC": true, "ADD": true}
	var walk func(e *definitions.Element)
	walk = func(e *definitions.Element) {
		if !e.Group {
			out[e.Name] = true
		}
		for _, inner := range e.Elements {
			walk(inner)
		}
	}
	for _, name := range definitions.Structures() {
		if e := definitions.Structure(name); e != nil {
			walk(e)
		}
	}
	return out
}
