package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/parsers/hl7v2/definitions"
)

// maxDifferences bounds the lines that diff prints.
const maxDifferences = 10000

// A differ compares HL7 v2 messages field by field.
type differ struct {
	w       *bufio.Writer
	values  bool
	ignore  []string
	version string
	message string // what stands before a path: the number of the message
	found   int
}

func diffCommand(a *app) *cobra.Command {
	d := &differ{}
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two files of HL7 v2 messages by field",
		Long: "Compare the messages of two HL7 v2 files in their order: one line for each field,\n" +
			"component or subcomponent that differs, with its path and name. Delimiters and escapes\n" +
			"do not count but in MSH-1 and MSH-2 themselves; what they say does, and null (\"\") is not\n" +
			"the same as empty. Exit code 1 when the files differ.",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, files []string) error {
			d.w = bufio.NewWriter(a.stdout)
			return d.run(files)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&d.values, "values", false, "print both values too")
	f.StringSliceVar(&d.ignore, "ignore", nil, "fields that do not count, such as MSH-7,MSH-10")
	return cmd
}

func (d *differ) run(files []string) error {
	var sides [2][]*hl7v2.Message
	for i, file := range files {
		messages, err := messagesOf(file)
		if err != nil {
			return &exit{code: exitUsage, err: fmt.Errorf("%s: %w", file, err)}
		}
		sides[i] = messages
	}
	a, b := sides[0], sides[1]
	for i := range min(len(a), len(b)) {
		if len(a) > 1 || len(b) > 1 {
			d.message = "message " + strconv.Itoa(i+1) + ": "
		}
		d.compare(a[i], b[i])
	}
	d.message = ""
	if len(a) != len(b) {
		d.say("%d messages against %d", len(a), len(b))
	}
	if d.found > maxDifferences {
		fmt.Fprintf(d.w, "and %d more\n", d.found-maxDifferences)
	}
	if err := d.w.Flush(); err != nil {
		return &exit{code: exitFailed, err: err}
	}
	if d.found > 0 {
		return &exit{code: exitSome}
	}
	return nil
}

// messagesOf reads the messages of a file, of each frame where there are frames.
func messagesOf(file string) ([]*hl7v2.Message, error) {
	raw, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	var all []*hl7v2.Message
	for _, f := range frames(raw, &inspection{}) {
		err := hl7v2.New(hl7v2.Options{}).Split(bytes.NewReader(raw[f.start:f.end]), maxInspect, func(one []byte) error {
			m, err := hl7v2.Parse(slices.Clone(one))
			if err == nil {
				all = append(all, m)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no message in the file")
	}
	return all, nil
}

func (d *differ) say(format string, args ...any) {
	if d.found++; d.found <= maxDifferences {
		fmt.Fprintf(d.w, d.message+format+"\n", args...)
	}
}

// A placed is a segment with its path.
type placed struct {
	hl7v2.Segment
	path string
}

// numbered numbers the segments of each name.
func numbered(m *hl7v2.Message) []placed {
	counts := map[string]int{}
	out := make([]placed, 0, m.Len())
	for i := range m.Len() {
		s := m.Segment(i)
		name := s.Name()
		counts[name]++
		if name == "" {
			name = "line that is no segment"
		}
		out = append(out, placed{s, name + index(counts[s.Name()])})
	}
	return out
}

// compare pairs the segments: what is the same at the beginning and at the end
// is passed over, the others are paired by name in their order.
func (d *differ) compare(a, b *hl7v2.Message) {
	d.version = versionOf(a)
	left, right := numbered(a), numbered(b)
	if a.Delims() == b.Delims() {
		same := func(x, y placed) bool { return bytes.Equal(x.Raw(), y.Raw()) }
		for len(left) > 0 && len(right) > 0 && same(left[0], right[0]) {
			left, right = left[1:], right[1:]
		}
		for len(left) > 0 && len(right) > 0 && same(left[len(left)-1], right[len(right)-1]) {
			left, right = left[:len(left)-1], right[:len(right)-1]
		}
	}
	waiting := map[string][]placed{}
	for _, r := range right {
		waiting[r.Name()] = append(waiting[r.Name()], r)
	}
	for _, l := range left {
		name := l.Name()
		if len(waiting[name]) == 0 {
			d.say("%s only in the first", named(l.path, definitions.SegmentName(d.version, name)))
			continue
		}
		d.segment(l, waiting[name][0])
		waiting[name] = waiting[name][1:]
	}
	for _, r := range right {
		if rest := waiting[r.Name()]; len(rest) > 0 && rest[0].path == r.path {
			d.say("%s only in the second", named(r.path, definitions.SegmentName(d.version, r.Name())))
			waiting[r.Name()] = rest[1:]
		}
	}
}

func (d *differ) segment(a, b placed) {
	name := a.Name()
	if name == "" {
		if !bytes.Equal(a.Raw(), b.Raw()) {
			d.say("%s differs", a.path)
		}
		return
	}
	x, y := a.AppendFields(nil), b.AppendFields(nil)
	for i := range max(len(x), len(y)) {
		short := name + "-" + strconv.Itoa(i+1)
		if slices.Contains(d.ignore, short) {
			continue
		}
		f := definitions.FieldOf(d.version, name, i+1)
		f.Name = definitions.FieldName(d.version, name, i+1)
		if short == "OBX-5" {
			f.Type = nth(x, 1).Text() // OBX-2 says it
		}
		d.field(nth(x, i), nth(y, i), a.path+"-"+strconv.Itoa(i+1), f)
	}
}

// nth is value i, the absent one behind the last.
func nth(values []hl7v2.Value, i int) hl7v2.Value {
	if i < len(values) {
		return values[i]
	}
	return hl7v2.Value{}
}

// field compares the repetitions of a field; f says its name and type.
func (d *differ) field(a, b hl7v2.Value, path string, f definitions.Field) {
	if a.Empty() && b.Empty() {
		return
	}
	x, y := a.AppendParts(nil), b.AppendParts(nil)
	for i := range max(len(x), len(y)) {
		place := path + index(i+1)
		if i >= len(x) || i >= len(y) {
			d.value(nth(x, i), nth(y, i), named(place, f.Name))
			continue
		}
		d.parts(x[i], y[i], place, f, 2)
	}
}

// parts compares components, and in them subcomponents.
func (d *differ) parts(a, b hl7v2.Value, path string, f definitions.Field, below int) {
	x, y := a.AppendParts(nil), b.AppendParts(nil)
	if below == 0 || len(x) < 2 && len(y) < 2 {
		d.value(a, b, named(path, f.Name))
		return
	}
	for i := range max(len(x), len(y)) {
		inner := definitions.ComponentOf(d.version, f.Type, i+1)
		inner.Name = strings.TrimPrefix(f.Name+" / "+inner.Name, " / ")
		inner.Name = strings.TrimSuffix(inner.Name, " / ")
		d.parts(nth(x, i), nth(y, i), path+"."+strconv.Itoa(i+1), inner, below-1)
	}
}

// quotedOf is a value in quotes; null, which is to delete what is there, is the
// two quotes themselves.
func quotedOf(v hl7v2.Value) string {
	if v.Null() {
		return `null ("")`
	}
	return strconv.Quote(spoken(v))
}

// value compares what two leaves say; null ("") is not the same as empty.
func (d *differ) value(a, b hl7v2.Value, what string) {
	switch {
	case a.Text() == b.Text() && a.Null() == b.Null():
	case d.values:
		d.say("%s: %s, %s", what, quotedOf(a), quotedOf(b))
	case a.Empty():
		d.say("%s: only in the second", what)
	case b.Empty():
		d.say("%s: only in the first", what)
	default:
		d.say("%s: differs", what)
	}
}
