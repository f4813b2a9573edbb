// Package tables holds code tables, two-way and dated, and the names of code
// systems: what turns a local code into a standard one and back.
package tables

import (
	"sort"
	"strings"
	"time"
)

// A Set holds the tables and code systems that maps see. It is not modified
// after it was loaded and is safe for use from several goroutines.
type Set struct {
	systems *Systems
	tables  map[string]*Table
}

// Table returns the table called name, nil when there is none.
func (s *Set) Table(name string) *Table {
	if s == nil {
		return nil
	}
	return s.tables[name]
}

// Names lists the tables, sorted.
func (s *Set) Names() []string {
	if s == nil {
		return nil
	}
	names := make([]string, 0, len(s.tables))
	for name := range s.tables {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Systems returns the known code systems; never nil.
func (s *Set) Systems() *Systems {
	if s == nil || s.systems == nil {
		return &Systems{}
	}
	return s.systems
}

// With returns a copy of s in which name is t.
func (s *Set) With(name string, t *Table) *Set {
	next := &Set{systems: s.Systems(), tables: make(map[string]*Table, len(s.tables)+1)}
	for n, old := range s.tables {
		next.tables[n] = old
	}
	next.tables[name] = t
	return next
}

// Otherwise is what a table says of a code it lacks.
type Otherwise int

// What becomes of a code without an entry.
const (
	// Keep: the local coding stays, and a work-list entry is raised.
	Keep Otherwise = iota
	// Default: the table's Default takes its place, silently.
	Default
	// Nothing: no value, and no work-list entry.
	Nothing
	// Park: the message cannot be mapped.
	Park
)

// A Table turns codes of one system into codes of another.
type Table struct {
	// Name is what maps call it; File and Line are where it stands.
	Name, File string
	Line       int
	// From and To are the code systems; nil where the table names none.
	From, To  *System
	Otherwise Otherwise
	// Default is the code that Otherwise gives.
	Default string

	forward map[string][]Entry
	back    map[string][]Entry
	ignore  map[string]bool
	size    int
}

// An Entry is one line of a table.
type Entry struct {
	From, FromDisplay string
	// To is the code, ToDisplay its text and System the code system it is of,
	// when the entry says another than its table.
	To, ToDisplay string
	System        *System
	// Units are the units the code implies ("mmol/L"); empty when it implies none.
	Units string
	// Both marks the entry that the way back takes.
	Both bool
	// Since and Until bound the time in which the entry holds: [since, until).
	// Zero times are open ends.
	Since, Until time.Time
	Line         int
}

func (e *Entry) holds(at time.Time) bool {
	if at.IsZero() {
		return e.Until.IsZero() || !e.Since.IsZero()
	}
	return (e.Since.IsZero() || !at.Before(e.Since)) && (e.Until.IsZero() || at.Before(e.Until))
}

// Len is the number of entries.
func (t *Table) Len() int { return t.size }

// Lookup returns the entry of code that holds at the time given; the zero time
// asks for an entry without an end. A code that differs in case alone is found
// when no other is.
func (t *Table) Lookup(code string, at time.Time) (Entry, bool) {
	if e, ok := pick(t.forward[code], at); ok {
		return e, true
	}
	return pick(t.forward[fold(code)], at)
}

// Back returns the entry that leads to code: the one marked both, or the only
// one.
func (t *Table) Back(code string, at time.Time) (Entry, bool) { return pick(t.back[code], at) }

// Ignores reports whether code is one the table is not about: no value and no
// work-list entry. The empty code is one.
func (t *Table) Ignores(code string) bool { return code == "" || t.ignore[code] }

// Has reports whether code has an entry at any time.
func (t *Table) Has(code string) bool { return len(t.forward[code]) > 0 }

// Entries calls take with each entry, in no particular order of codes.
func (t *Table) Entries(take func(Entry)) {
	for code, list := range t.forward {
		for i := range list {
			if list[i].From == code {
				take(list[i])
			}
		}
	}
}

func pick(list []Entry, at time.Time) (Entry, bool) {
	for i := range list {
		if list[i].holds(at) {
			return list[i], true
		}
	}
	return Entry{}, false
}

// fold is the key under which a code is also found in another case. The byte
// in front keeps it apart from codes as written.
func fold(code string) string { return "\x00" + strings.ToLower(code) }
