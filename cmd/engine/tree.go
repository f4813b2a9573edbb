package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
	"github.com/plexus-health/plexus/parsers/hl7v2/validate"
)

const (
	// treeRepetitions bounds the repetitions of one field that a tree shows.
	treeRepetitions = 100
	// treeValue bounds the characters of one value that are shown.
	treeValue = 200
)

// A tree prints one message with the names of its version.
type tree struct {
	w        *bufio.Writer
	version  string
	values   bool
	findings []message.Warning // in their order; what is printed is cut off
	numbers  map[*hl7v2.Group]int
	counts   map[string]int // segments of a name so far
	group    *hl7v2.Group
	fields   []hl7v2.Value
	parts    []hl7v2.Value
}

// printTree prints groups, segments, fields and components with their names,
// and what was found in the message where it stands.
func printTree(w io.Writer, m *hl7v2.Message, findings []message.Warning, values bool) error {
	top := m.Groups()
	t := &tree{w: bufio.NewWriter(w), version: versionOf(m), values: values, numbers: map[*hl7v2.Group]int{}, counts: map[string]int{}, group: top}
	t.findings = slices.Clone(findings)
	slices.SortStableFunc(t.findings, func(a, b message.Warning) int { return a.Offset - b.Offset })
	fmt.Fprintf(t.w, "%s\n", said(top.Name()))
	for i := range m.Len() {
		t.segment(m.Segment(i))
	}
	t.found(-1, 1)
	return t.w.Flush()
}

// versionOf is what MSH-12 says.
func versionOf(m *hl7v2.Message) string {
	for i := range m.Len() {
		if s := m.Segment(i); s.Name() == "MSH" {
			return definitions.Version(strings.Clone(s.Field(12).Comp(1).Text()))
		}
	}
	return definitions.Version("")
}

// found prints the findings before a byte; all that are left below 0.
func (t *tree) found(before, depth int) {
	for len(t.findings) > 0 && (before < 0 || t.findings[0].Offset < before) {
		f := t.findings[0]
		t.findings = t.findings[1:]
		at := "byte " + strconv.Itoa(f.Offset)
		if f.Where != "" {
			at = f.Where + ", " + at
		}
		t.line(depth, "! %s: %s (%s)", at, f.Text, f.Code)
	}
}

func (t *tree) line(depth int, format string, args ...any) {
	for range depth {
		t.w.WriteString("  ") //nolint:errcheck // errors of a bufio.Writer stay until Flush
	}
	fmt.Fprintf(t.w, format, args...)
	t.w.WriteByte('\n') //nolint:errcheck // as above
}

// enter prints the names of the groups that begin, and returns the depth.
func (t *tree) enter(g *hl7v2.Group) int {
	var around []*hl7v2.Group // from the inside out
	for at := g; at != nil && at.Parent() != nil; at = at.Parent() {
		around = append(around, at)
	}
	open := map[*hl7v2.Group]bool{}
	for at := t.group; at != nil; at = at.Parent() {
		open[at] = true
	}
	slices.Reverse(around)
	for depth, at := range around {
		if open[at] {
			continue
		}
		if t.numbers[at] == 0 {
			n := 0
			for _, other := range at.Parent().Groups() {
				if other.Name() == at.Name() {
					n++
					t.numbers[other] = n
				}
			}
		}
		t.line(depth+1, "%s", at.Name()+index(t.numbers[at]))
	}
	t.group = g
	return len(around) + 1
}

// index is [n] for all but the first.
func index(n int) string {
	if n < 2 {
		return ""
	}
	return "[" + strconv.Itoa(n) + "]"
}

func (t *tree) segment(s hl7v2.Segment) {
	start, end := s.Span()
	name := s.Name()
	if name == "" {
		t.found(end+1, 1)
		t.line(1, "a line that is no segment, %d bytes", end-start)
		return
	}
	depth := t.enter(s.Group())
	t.counts[name]++
	path := name + index(t.counts[name])
	t.line(depth, "%s", named(path, definitions.SegmentName(t.version, name)))
	t.found(start+1, depth+1)
	t.fields = s.AppendFields(t.fields[:0])
	for i, f := range t.fields {
		if !f.Empty() {
			t.field(f, name, path, i+1, depth+1)
		}
		_, end := f.Span()
		t.found(end, depth+1)
	}
	t.found(end+1, depth+1)
}

// named is a path with the name of what stands there.
func named(path, name string) string {
	if name == "" {
		return path
	}
	return path + "  " + name
}

func (t *tree) field(f hl7v2.Value, segment, path string, number, depth int) {
	name := definitions.FieldName(t.version, segment, number)
	kind := definitions.FieldOf(t.version, segment, number).Type
	if segment == "OBX" && number == 5 {
		kind = t.fields[1].Text() // OBX-2 says it
	}
	for n, rep := range f.EachRep() {
		if n > treeRepetitions {
			t.line(depth, "%s-%d: %d more repetitions", path, number, f.Reps()-treeRepetitions)
			return
		}
		at := path + "-" + strconv.Itoa(number) + index(n)
		t.parts = rep.AppendParts(t.parts[:0])
		if len(t.parts) < 2 || segment == "MSH" && number < 3 {
			t.value(rep, at, name, depth)
			continue
		}
		t.line(depth, "%s", named(at, name))
		for c, comp := range t.parts {
			if c == treeRepetitions {
				t.line(depth+1, "%s: %d more components", at, len(t.parts)-treeRepetitions)
				break
			}
			if !comp.Empty() {
				t.value(comp, at+"."+strconv.Itoa(c+1), definitions.ComponentOf(t.version, kind, c+1).Name, depth+1)
			}
		}
	}
}

// value prints a leaf: its path and name, what it says only where that is asked for.
func (t *tree) value(v hl7v2.Value, path, name string, depth int) {
	if !t.values {
		t.line(depth, "%s", named(path, name))
		return
	}
	t.line(depth, "%s: %s", named(path, name), spoken(v))
}

// spoken is a value for a terminal.
func spoken(v hl7v2.Value) string {
	text := v.Text()
	if cut := []rune(text[:min(len(text), 4*treeValue)]); len(cut) > treeValue {
		return printable(string(cut[:treeValue])) + "…"
	}
	return printable(text)
}

// checks are what --validate and --profile ask for.
type checks struct {
	level    validate.Level
	profiles []*validate.Profile
}

// openChecks reads the profiles: a name without a dot is a shipped one.
func openChecks(level string, names []string) (*checks, error) {
	l, err := validate.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("--validate: %w", err)
	}
	c := &checks{level: l}
	for _, name := range names {
		var p *validate.Profile
		if !strings.Contains(name, ".") {
			p, err = validate.Shipped(name)
		} else {
			var text []byte
			if text, err = os.ReadFile(filepath.Clean(name)); err == nil {
				p, err = validate.ReadProfile(text)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("--profile %s: %w", name, err)
		}
		c.profiles = append(c.profiles, p)
	}
	return c, nil
}

// findings are those of the parser and of the checks, as warnings.
func (c *checks) findings(m *hl7v2.Message) []message.Warning {
	m.Groups() // what breaks the structure is found by it
	var out []message.Warning
	for _, f := range validate.Message(m, c.level, c.profiles...) {
		out = append(out, f.Warning())
	}
	return out
}
