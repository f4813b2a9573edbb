package mapping

import (
	"iter"
	"strings"

	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// level is how deep in a field a value stands.
type level uint8

const (
	noLevel level = iota // not from the input
	fieldLevel
	repLevel
	compLevel
	subLevel
)

// A val is what a source gave: a place in the input, or a text.
type val struct {
	level level
	v     hl7v2.Value
	text  string // when level is noLevel
	// start and end are the span of the input that text came from.
	start, end int32
	// many are further values, for SEG[*] paths.
	many []val
	// constant is true for what did not come from the message.
	constant bool
}

// A coding is a constant of a known code system.
type coding struct{ system, code, display string }

// String is the value as text, decoded; of a composite its first component.
func (v *val) String() string {
	if v.level == noLevel {
		return v.text
	}
	return v.leaf().Text()
}

// is reports whether the value's text is want, without making a string of it
// where the bytes are the text.
func (v *val) is(want string) bool {
	if v.level == noLevel {
		return v.text == want
	}
	leaf := v.leaf()
	raw := leaf.Raw()
	for _, c := range raw {
		if c == '\\' || c >= 0x80 || c == '"' {
			return leaf.Text() == want
		}
	}
	return string(raw) == want
}

// text is the value as text; a piece of the message where the bytes are the
// text, so that it costs nothing.
func (r *run) text(v *val) string {
	if v.level == noLevel {
		return v.text
	}
	leaf := v.leaf()
	if r.whole == "" {
		return leaf.Text()
	}
	start, end := leaf.Span()
	piece := r.whole[start:end]
	if strings.IndexByte(piece, '\\') >= 0 || leaf.Null() {
		return leaf.Text()
	}
	return piece
}

// plainText is the whole message as a string when all of it is ASCII with the
// usual escape character, else "": then each value is decoded by itself.
func plainText(doc *hl7v2.Message) string {
	if doc.Delims().Escape != '\\' {
		return ""
	}
	raw := doc.Encode(nil)
	for _, c := range raw {
		if c >= 0x80 || c == 0x1b { // ESC shifts a character set
			return ""
		}
	}
	// Where the parser decoded, its places are not those of the bytes.
	if last := doc.Segment(doc.Len() - 1); last.Valid() {
		start, end := last.Span()
		if end > len(raw) || string(raw[start:end]) != string(last.Raw()) {
			return ""
		}
	}
	return string(raw)
}

// leaf is the first component or subcomponent of a composite, or the value.
func (v *val) leaf() hl7v2.Value {
	switch v.level {
	case fieldLevel:
		return v.v.Rep(1).Comp(1).Sub(1)
	case repLevel:
		return v.v.Comp(1).Sub(1)
	case compLevel:
		return v.v.Sub(1)
	case noLevel, subLevel:
	}
	return v.v
}

// comp returns the n-th part one level below: the relative path .n.
func (v *val) comp(n int) val {
	switch v.level {
	case fieldLevel:
		return val{level: compLevel, v: v.v.Rep(1).Comp(n)}
	case repLevel:
		return val{level: compLevel, v: v.v.Comp(n)}
	case compLevel:
		return val{level: subLevel, v: v.v.Sub(n)}
	case noLevel, subLevel:
	}
	if n == 1 {
		return *v
	}
	return val{}
}

// rep returns the n-th repetition of a field; of anything else itself.
func (v *val) rep(n int) val {
	if v.level != fieldLevel {
		return *v
	}
	return val{level: repLevel, v: v.v.Rep(n)}
}

// reps counts repetitions.
func (v *val) reps() int {
	switch {
	case v.many != nil:
		return len(v.many)
	case v.level == fieldLevel:
		return v.v.Reps()
	}
	return 1
}

// each goes through further values or repetitions, from 1, in one pass.
func (v *val) each() iter.Seq2[int, val] {
	return func(yield func(int, val) bool) {
		switch {
		case v.many != nil:
			for i := range v.many {
				if !yield(i+1, v.many[i]) {
					return
				}
			}
		case v.level == fieldLevel:
			for n, rep := range v.v.EachRep() {
				if !yield(n, val{level: repLevel, v: rep}) {
					return
				}
			}
		default:
			yield(1, *v)
		}
	}
}

// valued reports whether there is something: "" (delete) is not empty.
func (v *val) valued() bool {
	if v.level == noLevel {
		return v.text != "" || v.many != nil
	}
	return v.v.Valued() || v.v.Null()
}

// null reports whether the value is HL7's delete.
func (v *val) null() bool {
	return v.level != noLevel && v.v.Null()
}

// span is where in the input the value stands; 0, 0 when it is not from there.
func (v *val) span() (int32, int32) {
	if v.level == noLevel {
		return v.start, v.end
	}
	start, end := v.v.Span()
	return int32(start), int32(end)
}

// An env is one group of the message: its own segments, and for each segment
// the maps read the nearest outwards.
type env struct {
	parent *env
	scope  *cscope
	own    []hl7v2.Segment
	near   []hl7v2.Segment // by slot
	made   []int32         // instances made here and below, in order
	firsts []first         // the first of them of each making
	inner  []*env
}

// A first is the first instance of one making.
type first struct{ making, instance int32 }

// makes takes an instance into the scope it was made in and all around it.
func (e *env) makes(making, instance int32) {
	for up := e; up != nil; up = up.parent {
		up.made = append(up.made, instance)
		if up.first(making) < 0 {
			up.firsts = append(up.firsts, first{making, instance})
		}
	}
}

// first is the first instance of a making, or -1.
func (e *env) first(making int32) int32 {
	for _, f := range e.firsts {
		if f.making == making {
			return f.instance
		}
	}
	return -1
}

// A frame is where a row runs.
type frame struct {
	env  *env
	decl []hl7v2.Segment // the declared segments of what is being made, by number
	cur  val             // what was handed over: .
	args []val           // $1, $2
	inst int32           // the resource being made
	// ordinal counts repetitions under each, from 1.
	ordinal int
	depth   int
}

// take gives a value of the run's stack; give takes the last n back. What a
// closure writes through a pointer would otherwise be an allocation each time.
func (r *run) take() *val {
	if r.top < len(r.vals) {
		v := &r.vals[r.top]
		r.top++
		*v = val{}
		return v
	}
	r.top++
	return new(val)
}

func (r *run) give(n int) { r.top -= n }

// frame gives a frame of the run's stack for what f calls.
func (r *run) frame(f *frame) *frame {
	var next *frame
	if r.deep < len(r.frames) {
		next = &r.frames[r.deep]
	} else {
		next = new(frame)
	}
	r.deep++
	*next = frame{env: f.env, decl: f.decl, inst: f.inst, ordinal: f.ordinal, depth: f.depth + 1}
	return next
}

// A getter reads a source. It reports whether there is a value.
type getter func(r *run, f *frame, out *val) bool

// A cond is a compiled condition.
type cond func(r *run, f *frame) bool
