package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
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
	next, stop := [2]func() (*hl7v2.Message, error, bool){}, [2]func(){}
	for i, file := range files {
		next[i], stop[i] = iter.Pull2(messagesIn(file))
		defer stop[i]()
	}
	// Of each side the message in hand and the one behind it: a message has its
	// number in front of what is said of it where there are several.
	var ahead [2]*hl7v2.Message
	pull := func(i int) (*hl7v2.Message, error) {
		m, err, _ := next[i]()
		if err != nil {
			return nil, &exit{code: exitUsage, err: fmt.Errorf("%s: %w", files[i], err)}
		}
		return m, nil
	}
	counts := [2]int{}
	for n := 0; ; n++ {
		var hand [2]*hl7v2.Message
		for i := range files {
			var err error
			if hand[i] = ahead[i]; n == 0 {
				if hand[i], err = pull(i); err != nil {
					return err
				}
			}
			if ahead[i] = nil; hand[i] == nil {
				continue
			}
			counts[i]++
			if ahead[i], err = pull(i); err != nil {
				return err
			}
		}
		if hand[0] == nil && hand[1] == nil {
			break
		}
		if hand[0] == nil || hand[1] == nil {
			continue // only counted
		}
		if n > 0 || ahead[0] != nil || ahead[1] != nil {
			d.message = "message " + strconv.Itoa(n+1) + ": "
		}
		d.compare(hand[0], hand[1])
	}
	return d.end(counts)
}

// end says what is to be said of all messages.
func (d *differ) end(counts [2]int) error {
	d.message = ""
	if counts[0] != counts[1] {
		d.say("%d messages against %d", counts[0], counts[1])
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

// errEnough ends the reading of a file that is not wanted any further.
var errEnough = errors.New("enough was read")

// messagesIn reads the messages of a file, of each frame where there are frames,
// as they are asked for. An error is the last thing it yields.
func messagesIn(file string) iter.Seq2[*hl7v2.Message, error] {
	return func(yield func(*hl7v2.Message, error) bool) {
		in, err := openInput(file)
		if err != nil {
			yield(nil, err)
			return
		}
		defer in.close()
		found := false
		err = frames(in.reader, &inspection{}, func([]byte) {}, func(r io.Reader, _ int) error {
			return hl7v2.New(hl7v2.Options{}).Split(r, maxInspect, func(one []byte) error {
				m, err := hl7v2.Parse(one)
				if err != nil {
					return err
				}
				if found = true; !yield(m, nil) {
					return errEnough
				}
				return nil
			})
		})
		switch {
		case errors.Is(err, errEnough):
		case err != nil:
			yield(nil, err)
		case !found:
			yield(nil, errors.New("no message in the file"))
		}
	}
}

// messagesOf reads them all.
func messagesOf(file string) ([]*hl7v2.Message, error) {
	var all []*hl7v2.Message
	for m, err := range messagesIn(file) {
		if err != nil {
			return nil, err
		}
		all = append(all, m)
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
