// Package validate checks HL7 v2 messages against the definitions of their
// version and the profiles of partners: findings with places, never a refusal
// of its own.
package validate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// A Level says how much is checked; each includes those before it.
type Level int

// The levels.
const (
	Syntax    Level = iota // what the parser itself found
	Structure              // segments and fields: required, repeated, in their place
	Types                  // data types, components, lengths
	Tables                 // codes of the tables that are at hand
	Profiled               // as Tables; said where the rules of a profile are what matters
)

// levels are their words.
var levels = []string{"syntax", "structure", "types", "tables", "profile"}

// rules are the words of findings, beside those of the parser's warnings.
var rules = []string{
	"component-extra", "component-required", "data-type", "field-extra", "field-version", "length", "profile-absent", "profile-form", "profile-length", "profile-required",
	"profile-segment", "profile-table", "profile-value", "repeats", "required", "segment-missing", "segment-unknown", "segment-version", "table",
}

// ParseLevel reads the word of a level.
func ParseLevel(word string) (Level, error) {
	if i := slices.Index(levels, word); i >= 0 {
		return Level(i), nil
	}
	return 0, fmt.Errorf("%q is not a level; known: %s", word, strings.Join(levels, ", "))
}

// String is the word of a level.
func (l Level) String() string { return levels[l] }

// Severity says how bad a finding is.
type Severity string

// The severities, words of table 0516.
const (
	Error   Severity = "E"
	Warning Severity = "W"
)

// A Finding is one thing that is not as it should be. It holds no value of the
// message.
type Finding struct {
	// Where is a path: "OBX[3]-5[2].1".
	Where string
	// Offset is the byte of the message, from 0.
	Offset int
	// Code is of table 0357: 100 to 103.
	Code int
	// Rule is a stable word: "required", "data-type", "table".
	Rule     string
	Severity Severity
	Text     string

	syntax bool // found by the parser when it read the message
}

// Problem is what the peer is told in ERR, or in ERR-1 and MSA-3 up to 2.4.
func (f Finding) Problem() message.Problem {
	return message.Problem{Where: f.Where, Code: f.Code, Text: f.Text}
}

// Warning is what the trace of the message shows.
func (f Finding) Warning() message.Warning {
	return message.Warning{Where: f.Where, Offset: f.Offset, Code: f.Rule, Text: f.Text}
}

// maxFindings bounds what is said of one message: checking ends there.
const maxFindings = 1000

// A checker goes over one message once.
type checker struct {
	m        *hl7v2.Message
	version  string
	level    Level
	counts   map[string]int
	findings []Finding
	fields   []hl7v2.Value
	known    map[string][]definitions.Field // fields of segments in the version, by name
	types    map[string][]definitions.Field // components of data types, alike
	grammar  *definitions.Element           // of the message in hand in its version; nil: not known
	segment  string
}

// Message checks a message, or each message of a batch, at a level and by
// profiles. The findings stand in the order of the message, at most 1000.
func Message(m *hl7v2.Message, level Level, profiles ...*Profile) []Finding {
	c := &checker{m: m, level: level, counts: map[string]int{}, known: map[string][]definitions.Field{}, types: map[string][]definitions.Field{}, version: definitions.Version("")}
	if level >= Structure {
		c.header(m)
		c.groups(m.Groups(), definitions.StructureFor(c.version, m.Header().Structure))
	}
	c.syntax()
	rules := merged(profiles, m.Header().Type)
	for i := range m.Len() {
		if c.full() {
			break
		}
		c.segmentOf(m.Segment(i), rules)
	}
	rules.missing(c)
	slices.SortStableFunc(c.findings, func(a, b Finding) int { return a.Offset - b.Offset })
	return c.findings[:min(len(c.findings), maxFindings)]
}

func (c *checker) full() bool { return len(c.findings) >= maxFindings }

// A where is a place in the segment in hand. Its path is written only when
// something is said of it.
type where struct{ field, rep, comp, sub int }

// pathOf writes a place.
func (c *checker) pathOf(w where) string {
	path := c.segmentPath() + "-" + strconv.Itoa(w.field)
	if w.rep > 1 {
		path += index(w.rep)
	}
	return spot{comp: w.comp, sub: w.sub}.below(path)
}

// segmentPath is the path of the segment in hand.
func (c *checker) segmentPath() string { return c.segment + index(c.counts[c.segment]) }

func (c *checker) add(at hl7v2.Value, w where, code int, rule string, severity Severity, text string) {
	start, _ := at.Span()
	if !c.full() {
		c.place(start, c.pathOf(w), code, rule, severity, text)
	}
}

func (c *checker) place(offset int, where string, code int, rule string, severity Severity, text string) {
	if !c.full() {
		c.findings = append(c.findings, Finding{Where: where, Offset: offset, Code: code, Rule: rule, Severity: severity, Text: text})
	}
}

// syntax takes over what the parser found.
func (c *checker) syntax() {
	for _, w := range c.m.Warnings() {
		c.place(w.Offset, w.Where, 100, w.Code, Warning, w.Text)
		if !c.full() {
			c.findings[len(c.findings)-1].syntax = w.Code != "grouping" // found only when the structure is looked at
		}
	}
}

// groups looks for required segments and groups that are absent.
func (c *checker) groups(g *hl7v2.Group, grammar *definitions.Element) {
	if grammar == nil || c.full() {
		return
	}
	there := map[string]bool{}
	for _, s := range g.Segments() {
		there[s.Name()] = true
	}
	inside := map[string]*definitions.Element{}
	for _, e := range grammar.Elements {
		if e.Group {
			inside[e.Name] = e
		}
	}
	for _, inner := range g.Groups() {
		there[inner.Name()] = true
		c.groups(inner, inside[inner.Name()])
	}
	start, _ := g.Span()
	for _, e := range grammar.Elements {
		if !e.Optional && !there[e.Name] && c.requires(e) {
			what := "segment "
			if e.Group {
				what = "group "
			}
			c.place(start, e.Name, 100, "segment-missing", Error, "the required "+what+e.Name+" is absent from "+g.Name())
		}
	}
}

// header finds the grammar that the version has of the message, or of the first
// message of a batch.
func (c *checker) header(m *hl7v2.Message) {
	for i := range m.Len() {
		if s := m.Segment(i); s.Name() == "MSH" {
			c.begin(s)
			return
		}
	}
}

// begin takes the version and the grammar of the message that begins.
func (c *checker) begin(msh hl7v2.Segment) {
	c.version = definitions.Version(strings.Clone(msh.Field(12).Comp(1).Text()))
	nine := msh.Field(9)
	name := definitions.StructureOf(strings.Clone(nine.Comp(1).Text()), nine.Comp(2).Text())
	if name == "" {
		name = nine.Comp(3).Text()
	}
	c.grammar = definitions.StructureIn(c.version, name)
}

// requires reports whether the version, where its grammar is known, asks for a
// segment or group that the grammar for all versions asks for.
func (c *checker) requires(e *definitions.Element) bool {
	if c.grammar == nil {
		return true
	}
	if !e.Group {
		return c.grammar.Requires(e.Name)
	}
	for _, inner := range e.Elements { // groups have other names in other versions
		if !inner.Group && !inner.Optional && c.grammar.Requires(inner.Name) {
			return true
		}
	}
	return false
}

// placed looks whether the version has the segment in this message.
func (c *checker) placed(name string, start int) {
	if c.grammar == nil || name[0] == 'Z' || !definitions.Segment(name) || c.grammar.Knows(name) || strings.HasPrefix(c.grammar.Name, "MFN") {
		return // a master file has segments of its own
	}
	switch name {
	case "MSH", "DSC", "ADD", "SFT", "FHS", "BHS", "BTS", "FTS":
		return // of any message
	}
	c.place(start, c.segmentPath(), 100, "segment-version", Warning, c.grammar.Name+" of version "+c.version+" has no such segment")
}

func (c *checker) segmentOf(s hl7v2.Segment, rules ruleset) {
	name := s.Name()
	if name == "" {
		return
	}
	if c.counts[name]++; name == "MSH" {
		c.begin(s)
		clear(c.known)
		clear(c.types)
	}
	c.segment = name
	c.fields = s.AppendFields(c.fields[:0])
	start, end := s.Span()
	if c.level >= Structure {
		c.placed(name, start)
		of := c.fieldsOf(name)
		known := len(of)
		if known == 0 && !definitions.Segment(name) && name[0] != 'Z' {
			c.place(start, c.segmentPath(), 100, "segment-unknown", Warning, "the standard has no such segment")
		}
		for n := 1; n <= max(known, len(c.fields)) && known > 0 && !c.full(); n++ {
			f := definitions.Field{}
			if n <= known {
				f = of[n-1]
			}
			c.field(n, known, f, end)
		}
	}
	rules.check(c, s)
}

// fieldsOf are the fields of a segment in the version in hand.
func (c *checker) fieldsOf(segment string) []definitions.Field {
	of, ok := c.known[segment]
	if !ok {
		for n := range definitions.FieldCount(segment) {
			of = append(of, definitions.FieldOf(c.version, segment, n+1))
		}
		c.known[strings.Clone(segment)] = of
	}
	return of
}

// componentsOf are the components of a data type in the version in hand.
func (c *checker) componentsOf(kind string) []definitions.Field {
	of, ok := c.types[kind]
	if !ok {
		for n := range definitions.ComponentCount(kind) {
			of = append(of, definitions.ComponentOf(c.version, kind, n+1))
		}
		if len(of) > 0 { // OBX-2 may name anything
			c.types[kind] = of
		}
	}
	return of
}

// value is field n of the segment in hand.
func (c *checker) value(n int) hl7v2.Value {
	if n <= len(c.fields) {
		return c.fields[n-1]
	}
	return hl7v2.Value{}
}

func index(n int) string {
	if n < 2 {
		return ""
	}
	return "[" + strconv.Itoa(n) + "]"
}

// freely are segments whose fields from a number on are what a query or a table
// says (5.5.4, 5.5.8): their parameters and columns.
var freely = map[string]int{"QPD": 3, "RDT": 1}

// field checks one field; a segment's end is the place of what is absent.
func (c *checker) field(n, known int, f definitions.Field, end int) {
	v := c.value(n)
	valued := v.Valued() || v.Null()
	if n >= freely[c.segment] && freely[c.segment] > 0 {
		return
	}
	if !valued && !f.Required() {
		return
	}
	w := where{field: n}
	if !valued {
		offset := end
		if n <= len(c.fields) {
			offset, _ = v.Span()
		}
		c.place(offset, c.pathOf(w), 101, "required", Error, f.Name+" is required and empty")
		return
	}
	switch {
	case !f.Known() && n > known:
		c.add(v, w, 102, "field-extra", Warning, "the standard has no such field")
		return
	case !f.Known():
		c.add(v, w, 102, "field-version", Warning, definitions.FieldName(c.version, c.segment, n)+" is of another version")
		return
	case v.Reps() > 1 && !f.Repeats && c.segment != "MSH":
		c.add(v.Rep(2), where{field: n, rep: 2}, 102, "repeats", Warning, f.Name+" may not repeat")
	}
	if c.level < Types || c.segment == "MSH" && n < 3 {
		return
	}
	if f.Type == "VARIES" && c.segment == "OBX" {
		f.Type = c.value(2).Text()
	}
	for i, rep := range v.EachRep() {
		if c.full() {
			return
		}
		c.typed(rep, where{field: n, rep: i}, f, 0)
	}
}
