package mapping

import (
	"slices"
	"strconv"
	"strings"
)

// A v2Target is a target of a map to HL7 v2, compiled: a segment or group that
// rows make anew, a field or a part of one, or a part of what is made already.
type v2Target struct {
	path  string
	place int  // of the segment, or the first of a group; -1 for a relative target
	group bool // a group: its segments are made by nested rows
	anew  bool // [+] of a segment or group

	field, rep int16 // rep 0: the first
	comp, sub  int16 // 0: not said
	newRep     bool
	onward     bool // .4+: the first part of the row's map is component 4
	present    bool // written only where its segment is there already

	rows []*v2Row
}

// A v2Map is the rows of a data type map, compiled for one depth.
type v2Map struct {
	targets []*v2Target
}

// v2Target compiles a target and its rows; nil when nothing of it is left.
func (c *v2Compiler) v2Target(t *target) *v2Target {
	out := &v2Target{path: t.path, place: -1}
	if strings.HasPrefix(t.path, ".") {
		if !c.relativeTarget(out, t) {
			return nil
		}
	} else if !c.namedTarget(out, t) {
		return nil
	}
	always := 0
	for i, r := range t.rows {
		if len(r.sources) > 0 && r.sources[0].kind == none {
			return nil
		}
		if always > 0 && out.single() {
			c.wrong(r.at, "%s row %d is never reached: row %d always gives a value", t.path, i+1, always)
			break
		}
		if row := c.v2Row(r, out); row != nil {
			out.rows = append(out.rows, row)
			if r.always() {
				always = i + 1
			}
		}
	}
	if len(out.rows) == 0 {
		return nil
	}
	return out
}

// single reports whether the first row that gives a value is the last.
func (t *v2Target) single() bool { return !t.anew && !t.newRep }

// segments reports whether the target makes segments, not parts of one.
func (t *v2Target) segments() bool { return t.place >= 0 && t.field == 0 }

// depthOf is what relative targets below this one divide.
func (c *v2Compiler) depthOf(t *v2Target) int {
	base := 0
	if t.place < 0 {
		base = c.depth
	}
	if t.comp > 0 {
		base++
	}
	if t.sub > 0 {
		base++
	}
	if t.onward {
		base--
	}
	return base
}

// relativeTarget reads . and .4.1 and .4+ below a field.
func (c *v2Compiler) relativeTarget(out *v2Target, t *target) bool {
	if c.depth < 0 {
		c.wrong(t.at, "%s: a target begins with its segment here: PID-3[+]", t.path)
		return false
	}
	if t.path == "." {
		return true
	}
	return c.partNumbers(out, t, t.path[1:], c.depth)
}

// partNumbers reads component and subcomponent, and the sign of going on from there.
func (c *v2Compiler) partNumbers(out *v2Target, t *target, text string, depth int) bool {
	text, out.onward = strings.CutSuffix(text, "+")
	parts, err := numbers(text)
	if err != nil || parts[0] > 1000 {
		c.wrong(t.at, "%s: a number follows each dot", t.path)
		return false
	}
	if len(parts) > 2-depth {
		c.wrong(t.at, "%s: %s", t.path, [...]string{
			"a field has component and subcomponent at most", "a component has subcomponents at most", "a subcomponent has no parts",
		}[depth])
		return false
	}
	out.comp = int16(parts[0])
	if len(parts) > 1 {
		out.sub = int16(min(parts[1], 1000))
	}
	return true
}

// namedTarget reads PID-3[+].1, IN1[+], ORDER_DETAIL/NTE[+], SPECIMEN[+].
func (c *v2Compiler) namedTarget(out *v2Target, t *target) bool {
	if c.depth >= 0 {
		c.wrong(t.at, "%s: a target begins with a dot here: .1, .4.2", t.path)
		return false
	}
	groups := strings.Split(t.path, "/")
	last := groups[len(groups)-1]
	groups = groups[:len(groups)-1]
	for _, g := range groups {
		if _, known := c.groupAt[g]; !known {
			c.wrong(t.at, "%s: %q is not a group of %s%s", t.path, g, c.out.structure, near(g, c.groupNames()))
			return false
		}
	}
	name, rest, field := strings.Cut(last, "-")
	if !field {
		name, out.anew = strings.CutSuffix(last, "[+]")
	}
	if !c.placeTarget(out, t, name, groups, field) {
		return false
	}
	if !field {
		for _, r := range t.rows {
			if len(r.set) == 0 && (len(r.sources) == 0 || r.sources[0].kind != none) {
				c.wrong(r.at, "%s is a segment or group; nest its rows under set", t.path)
				return false
			}
		}
		return true
	}
	return c.fieldTarget(out, t, name, rest)
}

// placeTarget finds where in the structure the segment or group stands. Of a
// segment that stands at several places it is, unless a group in front says
// which, the one that rows wrote before, else that in the group of the row
// above, else the first.
func (c *v2Compiler) placeTarget(out *v2Target, t *target, name string, groups []string, field bool) bool {
	if !segmentName(name) {
		span, known := c.groupAt[name]
		if !known || field {
			c.wrong(t.at, "%s: %q is neither a segment nor a group of %s%s", t.path, name, c.out.structure, near(name, append(c.groupNames(), c.out.segments...)))
			return false
		}
		out.place, out.group = span[0], true
		c.lastPlace = span[0]
		return true
	}
	var found []int
	for i := range c.places {
		if c.places[i].name == name && i >= c.span[0] && i <= c.span[1] && around(groups, c.places[i].groups) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		where := c.out.structure
		if len(groups) > 0 {
			where = groups[len(groups)-1]
		} else if around := c.places[c.span[0]].groups; c.span[0] > 0 && len(around) > 0 {
			where = around[len(around)-1]
		}
		if name[0] == 'Z' && len(groups) == 0 {
			c.wrong(t.at, "%s: segment %s is not declared; write segments: { %s: { after: …, fields: … } }", t.path, name, name)
			return false
		}
		c.wrong(t.at, "%s: %s has no segment %q%s", t.path, where, name, near(name, c.out.segments))
		return false
	}
	out.place = found[0]
	if used, ok := c.placeUsed[name]; ok && field && len(groups) == 0 && slices.Contains(found, used) {
		out.place = used
	} else {
		for _, p := range found {
			if slices.Equal(c.places[p].groups, c.places[c.lastPlace].groups) {
				out.place = p
				break
			}
		}
	}
	c.placeUsed[name], c.lastPlace = out.place, out.place
	return true
}

// around reports whether the groups named stand around a place, in order.
func around(named, groups []string) bool {
	for _, g := range groups {
		if len(named) > 0 && g == named[0] {
			named = named[1:]
		}
	}
	return len(named) == 0
}

func (c *v2Compiler) groupNames() []string {
	var out []string
	for name := range c.groupAt {
		out = append(out, name)
	}
	return out
}

// fieldTarget reads 3[+].1.2 of PID-3[+].1.2.
func (c *v2Compiler) fieldTarget(out *v2Target, t *target, segment, text string) bool {
	end := strings.IndexAny(text, ".[")
	if end < 0 {
		end = len(text)
	}
	n, err := strconv.ParseInt(text[:end], 10, 16)
	if err != nil || n < 1 || n > 1000 {
		c.wrong(t.at, "%s: a field is a number from 1", t.path)
		return false
	}
	out.field, text = int16(n), text[end:]
	if strings.HasPrefix(text, "[") {
		inside, rest, closed := strings.Cut(text[1:], "]")
		rep, err := strconv.ParseInt(inside, 10, 16)
		switch {
		case !closed:
			c.wrong(t.at, "%s: a bracket is open", t.path)
			return false
		case inside == "+":
			out.newRep = true
		case err != nil || rep < 1 || rep > 1000:
			c.wrong(t.at, "%s: [%s] is neither + nor a number from 1", t.path, inside)
			return false
		default:
			out.rep = int16(rep)
		}
		text = rest
	}
	if segment == "MSH" && (n <= 2 || n == 7 || n == 10) {
		c.wrong(t.at, "%s: MSH-%d is written with the message; no row makes it", t.path, n)
		return false
	}
	if !c.checkField(segment, out, t.at) {
		return false
	}
	if text == "" {
		return true
	}
	if text[0] != '.' {
		c.wrong(t.at, "%s: a dot stands before a component", t.path)
		return false
	}
	return c.partNumbers(out, t, text[1:], 0)
}
