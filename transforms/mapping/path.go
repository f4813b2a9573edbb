package mapping

import (
	"fmt"
	"strconv"
	"strings"
)

// A cursor is a path of HL7 v2 taken apart: PID-3[2].1, NTE[*]-3, .4.2.
type cursor struct {
	segment string // empty for a relative path
	index   int    // of the segment: 0 nearest, -1 all, n the n-th of the group
	field   int    // 0 for a segment alone, or a relative path
	rep     int    // 0 not said, -1 all, n
	byComp  int    // PID-3[5=MR]: component 5 is
	byText  string // MR
	parts   []int  // component, subcomponent; of a relative path all its numbers
}

// parseCursor reads a path. The error says what is wrong with it.
func parseCursor(text string) (cursor, error) {
	var c cursor
	bad := func(what string) (cursor, error) { return c, fmt.Errorf("%q is not a path: %s", text, what) }
	if text == "." {
		return c, nil
	}
	if strings.HasPrefix(text, ".") {
		parts, err := numbers(text[1:])
		if err != nil {
			return bad("a number follows each dot")
		}
		c.parts = parts
		return c, nil
	}
	name, rest, hasField := strings.Cut(text, "-")
	if seg, inside, ok := strings.Cut(name, "["); ok {
		name = seg
		inside = strings.TrimSuffix(inside, "]")
		if inside == "*" {
			c.index = -1
		} else if n, err := strconv.Atoi(inside); err == nil && n > 0 {
			c.index = n
		} else {
			return bad("segments are counted from 1")
		}
	}
	if !segmentName(name) {
		return bad("it begins with no segment")
	}
	c.segment = name
	if !hasField {
		return c, nil
	}
	end := strings.IndexAny(rest, ".[")
	if end < 0 {
		end = len(rest)
	}
	field, err := strconv.Atoi(rest[:end])
	if err != nil || field < 1 {
		return bad("a field is a number from 1")
	}
	c.field, rest = field, rest[end:]
	if strings.HasPrefix(rest, "[") {
		inside, after, closed := strings.Cut(rest[1:], "]")
		if !closed {
			return bad("] is missing")
		}
		if err := c.selector(inside); err != nil {
			return bad(err.Error())
		}
		rest = after
	}
	if rest == "" {
		return c, nil
	}
	if rest[0] != '.' {
		return bad("a dot stands before a component")
	}
	if c.parts, err = numbers(rest[1:]); err != nil || len(c.parts) > 2 {
		return bad("it has component and subcomponent at most")
	}
	return c, nil
}

func (c *cursor) selector(inside string) error {
	comp, text, ok := strings.Cut(inside, "=")
	switch n, err := strconv.Atoi(comp); {
	case inside == "*":
		c.rep = -1
	case err != nil || n < 1:
		return fmt.Errorf("a repetition is a number from 1, * or N=TEXT")
	case ok:
		c.byComp, c.byText = n, text
	default:
		c.rep = n
	}
	return nil
}

func numbers(text string) ([]int, error) {
	var out []int
	for _, part := range strings.Split(text, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("not a number from 1")
		}
		out = append(out, n)
	}
	return out, nil
}

func segmentName(s string) bool {
	if len(s) != 3 {
		return false
	}
	for i := range len(s) {
		if (s[i] < 'A' || s[i] > 'Z') && (i == 0 || s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// one reads the place in a segment.
func (c *cursor) one(r *run, seg segment, out *val) bool {
	v := r.field(seg, c.field)
	switch {
	case c.byComp > 0:
		for _, rep := range v.EachRep() {
			if rep.Comp(c.byComp).Text() == c.byText {
				return c.below(val{level: repLevel, v: rep}, out)
			}
		}
		return false
	case c.rep > 0:
		if c.rep > v.Reps() {
			return false
		}
		return c.below(val{level: repLevel, v: v.Rep(c.rep)}, out)
	}
	return c.below(val{level: fieldLevel, v: v}, out)
}

func (c *cursor) below(v val, out *val) bool {
	for _, n := range c.parts {
		v = v.comp(n)
	}
	*out = v
	return v.valued()
}

// getter compiles a path in the context of a map.
func (c *compiler) path(text string, at place) getter {
	if get := headerSource(text); get != nil {
		return get
	}
	cur, err := parseCursor(text)
	if err != nil {
		c.wrong(at, "%s", err)
		return noValue
	}
	if cur.segment == "" {
		if !c.relative {
			c.wrong(at, "%q is relative: nothing was handed over here", text)
			return noValue
		}
		if len(cur.parts) == 0 {
			return func(_ *run, f *frame, out *val) bool { *out = f.cur; return out.valued() }
		}
		return func(_ *run, f *frame, out *val) bool { return cur.below(f.cur, out) }
	}
	if cur.field == 0 {
		c.wrong(at, "%q is a segment; a row reads a field of it", text)
		return noValue
	}
	c.checkPath(&cur, text, at)
	c.look(&cur)
	return c.absolute(&cur)
}

func noValue(*run, *frame, *val) bool { return false }

// headerSource gives the words that mean something of the message as a whole.
func headerSource(text string) getter {
	var pick func(r *run) string
	switch text {
	case "type":
		pick = func(r *run) string { return r.header.Type }
	case "structure":
		pick = func(r *run) string { return r.header.Structure }
	case "control":
		pick = func(r *run) string { return r.header.Control }
	case "sender":
		pick = func(r *run) string { return r.header.Sender }
	default:
		return nil
	}
	return func(r *run, _ *frame, out *val) bool {
		*out = val{text: pick(r), constant: true}
		return out.text != ""
	}
}

// absolute compiles a path that names its segment.
func (c *compiler) absolute(cur *cursor) getter {
	if n, ok := c.declared[cur.segment]; ok && cur.index == 0 {
		return func(r *run, f *frame, out *val) bool {
			seg := f.decl[n]
			return seg.Valid() && cur.one(r, seg, out)
		}
	}
	slot := c.slot(cur.segment)
	switch {
	case cur.index == 0:
		return func(r *run, f *frame, out *val) bool {
			seg := f.env.near[slot]
			return seg.Valid() && cur.one(r, seg, out)
		}
	case cur.index > 0:
		return func(r *run, f *frame, out *val) bool {
			n := 0
			for _, seg := range f.env.own {
				if seg.Name() == cur.segment {
					if n++; n == cur.index {
						return cur.one(r, seg, out)
					}
				}
			}
			return false
		}
	}
	return func(r *run, f *frame, out *val) bool {
		var all []val
		for _, seg := range f.env.own {
			var one val
			if seg.Name() == cur.segment && cur.one(r, seg, &one) {
				all = append(all, one)
			}
		}
		if len(all) == 0 {
			return false
		}
		*out = all[0]
		out.many = all
		return true
	}
}
