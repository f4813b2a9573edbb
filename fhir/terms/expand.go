package terms

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is looked at for one value set.
const (
	deepest   = 16        // value sets in value sets
	mostSets  = 100       // that are looked at
	mostCodes = 50_000    // in all, before any are excluded
	mostWork  = 5_000_000 // codes that filters are held against
	// mostListed is how many codes of a system are named one by one where a value
	// set has all of them; of a larger one any code of it counts.
	mostListed = 2000
)

func decimal(n int) string { return strconv.Itoa(n) }

// codes is a set of codes: some, and all of some systems.
type codes struct {
	some map[Concept]bool
	all  map[string]bool
}

func (c *codes) has(one Concept) bool { return c.some[one] || c.all[one.System] }

// A walk expands one value set.
type walk struct {
	from []Source
	left int // value sets
	size int // codes
	work int // of filters
}

// Expand lists the codes of a value set (valueset.html#composition): a Concept
// without a code stands for all codes of its system. The first source that knows
// a value set or code system counts. The error is an *Error, or that of a source.
func Expand(set *ValueSet, from ...Source) ([]Concept, error) {
	w := &walk{from: from, left: mostSets}
	found, err := w.expand(set, 0)
	if err != nil {
		return nil, err
	}
	out := make([]Concept, 0, len(found.some)+len(found.all))
	for one := range found.some {
		if !found.all[one.System] {
			out = append(out, one)
		}
	}
	for system := range found.all {
		out = append(out, Concept{System: system})
	}
	slices.SortFunc(out, func(a, b Concept) int {
		return cmp.Or(strings.Compare(a.System, b.System), strings.Compare(a.Code, b.Code))
	})
	return out, nil
}

// Find looks a value set up: "url" or "url|version".
func Find(canonical string, from ...Source) (*ValueSet, error) {
	url, version, _ := strings.Cut(canonical, "|")
	for _, s := range from {
		if set, err := s.ValueSet(url, version); set != nil || err != nil {
			return set, err
		}
	}
	return nil, unknown("the value set is not known here: it is neither stored as a ValueSet with this url nor one of R4 or of the profiles that are loaded")
}

// FindSystem looks a code system up of which all codes are known.
func FindSystem(url string, from ...Source) (*System, error) {
	url, _, _ = strings.Cut(url, "|")
	for _, s := range from {
		if system, err := s.System(url); err != nil || (system != nil && system.Complete) {
			return system, err
		}
	}
	return nil, unknown("the code system is not known here with all its codes: it is neither stored as a CodeSystem whose content is complete nor one of R4 or of the profiles that are loaded")
}

func (w *walk) expand(set *ValueSet, depth int) (*codes, error) {
	if depth > deepest {
		return nil, costly("value sets stand in value sets more than 16 deep, or in themselves")
	}
	if w.left--; w.left < 0 {
		return nil, costly("the value set is made of more than 100 others")
	}
	out, err := w.union(set.include, depth)
	if err == nil && len(set.exclude) > 0 {
		var without *codes
		if without, err = w.union(set.exclude, depth); err == nil {
			err = w.remove(out, without)
		}
	}
	if given := len(set.include) == 0 || err != nil; given && set.whole {
		if e, ok := errors.AsType[*Error](err); err == nil || (ok && e.Code != "too-costly") {
			out = &codes{some: map[Concept]bool{}, all: map[string]bool{}}
			for _, one := range set.expanded {
				out.some[one] = true
			}
			return out, w.count(len(set.expanded))
		}
	}
	return out, err
}

func (w *walk) count(n int) error {
	if w.size += n; w.size > mostCodes {
		return costly("the value set has more than 50000 codes")
	}
	return nil
}

func (w *walk) union(list []component, depth int) (*codes, error) {
	out := &codes{some: map[Concept]bool{}, all: map[string]bool{}}
	for i := range list {
		one, err := w.component(&list[i], depth)
		if err != nil {
			return nil, err
		}
		for c := range one.some {
			out.some[c] = true
		}
		for s := range one.all {
			out.all[s] = true
		}
	}
	return out, nil
}

// component are the codes that its system, and all of its value sets, have.
func (w *walk) component(c *component, depth int) (*codes, error) {
	var out *codes
	if c.system != "" || c.listed {
		var err error
		if out, err = w.ofSystem(c); err != nil {
			return nil, err
		}
	}
	for _, canonical := range c.sets {
		set, err := Find(canonical, w.from...)
		if err != nil {
			return nil, err
		}
		other, err := w.expand(set, depth+1)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = other
		} else {
			out = both(out, other)
		}
	}
	if out == nil {
		return nil, unsupported("the value set has a part with neither a code system nor a value set")
	}
	return out, nil
}

func both(a, b *codes) *codes {
	out := &codes{some: map[Concept]bool{}, all: map[string]bool{}}
	for c := range a.some {
		if b.has(c) {
			out.some[c] = true
		}
	}
	for c := range b.some {
		if a.has(c) {
			out.some[c] = true
		}
	}
	for s := range a.all {
		if b.all[s] {
			out.all[s] = true
		}
	}
	return out
}

// remove takes codes away. Of a system of which any code counts some can be taken
// away only where all are known.
func (w *walk) remove(from, without *codes) error {
	for one := range without.some {
		if !from.all[one.System] || without.all[one.System] {
			continue
		}
		s, err := FindSystem(one.System, w.from...)
		if err != nil {
			return err
		}
		if err := w.count(len(s.codes)); err != nil {
			return err
		}
		delete(from.all, one.System)
		for _, code := range s.codes {
			from.some[Concept{one.System, code}] = true
		}
	}
	for s := range without.all {
		delete(from.all, s)
	}
	for one := range from.some {
		if without.has(one) {
			delete(from.some, one)
		}
	}
	return nil
}

func (w *walk) ofSystem(c *component) (*codes, error) {
	out := &codes{some: map[Concept]bool{}, all: map[string]bool{}}
	if c.listed {
		for _, code := range c.codes {
			out.some[Concept{c.system, code}] = true
		}
		return out, w.count(len(c.codes))
	}
	s, err := FindSystem(c.system, w.from...)
	if len(c.filters) == 0 {
		if _, ours := errors.AsType[*Error](err); ours || (err == nil && len(s.codes) > mostListed) {
			out.all[c.system] = true // any code that says it is of the system
			return out, nil
		}
	}
	if err != nil {
		return nil, err
	}
	list := s.codes
	for _, f := range c.filters {
		if w.work += len(s.codes); w.work > mostWork {
			return nil, costly("the value set has too many filters over too many codes")
		}
		if list, err = s.keep(list, f); err != nil {
			return nil, err
		}
	}
	for _, code := range list {
		out.some[Concept{c.system, code}] = true
	}
	return out, w.count(len(list))
}
