package mapping

import (
	"strconv"
	"strings"
)

// splitTarget divides a target at the dots outside brackets.
func splitTarget(path string) []string {
	var out []string
	depth, start := 0, 0
	for i := range len(path) {
		switch path[i] {
		case '[':
			depth++
		case ']':
			depth--
		case '.':
			if depth == 0 {
				out = append(out, path[start:i])
				start = i + 1
			}
		}
	}
	return append(out, path[start:])
}

// A targetWalk compiles one target step by step.
type targetWalk struct {
	c    *compiler
	t    *target
	out  *ctarget
	typ  string // of the object the next step is in
	elem element
	// mode and name are those of the step in hand, not yet taken.
	mode stepMode
	at   int
	url  string // of an extension that the rows make as a whole
}

// target compiles a target and its rows; nil when nothing of it is left.
func (c *compiler) target(t *target, typ string, root bool) *ctarget {
	w := &targetWalk{c: c, t: t, out: &ctarget{}, typ: typ}
	parts := splitTarget(t.path)
	for i, part := range parts {
		if i > 0 && !w.enter(parts[i]) {
			return nil
		}
		if !w.step(part, i+1 < len(parts) && strings.HasPrefix(parts[i+1], "extension[")) {
			return nil
		}
	}
	w.finish()
	if root {
		w.out.top, _, _ = strings.Cut(parts[0], "[")
		if len(parts) > 1 && w.out.single() {
			w.out.top = ""
		}
		if strings.HasSuffix(parts[0], "[x]") {
			w.out.top = parts[0]
		}
	}
	always := 0
	for i, r := range t.rows {
		if len(r.sources) > 0 && r.sources[0].kind == none {
			return nil
		}
		if always > 0 && w.out.single() {
			c.wrong(r.at, "%s row %d is never reached: row %d always gives a value", t.path, i+1, always)
			break
		}
		if row := c.row(r, w, typ); row != nil {
			w.out.rows = append(w.out.rows, row)
			if w.out.single() && r.always() {
				always = i + 1
			}
		}
	}
	if len(w.out.rows) == 0 {
		return nil
	}
	w.out.choose()
	return w.out
}

// choose finds the path that two or more rows compare with constants.
func (t *ctarget) choose() {
	seen := map[string]int{}
	for _, row := range t.rows {
		if s := row.selection; s != nil {
			if seen[s.path]++; seen[s.path] == 2 && t.selector == nil {
				t.selector, t.path = s.get, s.path
			}
		}
	}
}

// always reports whether a row gives a value whatever the message says.
func (r *row) always() bool {
	return r.when == "" && len(r.sources) > 0 && r.sources[len(r.sources)-1].kind == fromConstant && r.through == ""
}

// enter takes the step in hand and goes into the object it leads to.
func (w *targetWalk) enter(next string) bool {
	if w.elem.name == "" {
		return true // an extension: the walk is inside already
	}
	if w.elem.choice {
		w.c.wrong(w.t.at, "%s: %s has several types; nest its rows under set", w.t.path, w.elem.name)
		return false
	}
	typ := w.elem.types[0]
	name := w.elem.name
	if primitive(typ) {
		if !strings.HasPrefix(next, "extension[") {
			w.c.wrong(w.t.at, "%s: %s is a %s and has no elements", w.t.path, name, typ)
			return false
		}
		name, typ = "_"+name, "Element"
	}
	w.out.steps = append(w.out.steps, step{name: w.c.member(name, -1), mode: w.mode, index: w.at})
	w.typ = typ
	return true
}

// step reads one part of the target and checks it against the type.
func (w *targetWalk) step(part string, beforeExtension bool) bool {
	name, bracket := part, ""
	if open := strings.IndexByte(part, '['); open >= 0 && !strings.HasSuffix(part, "[x]") {
		if !strings.HasSuffix(part, "]") {
			w.c.wrong(w.t.at, "%s: a bracket is open", w.t.path)
			return false
		}
		name, bracket = part[:open], part[open+1:len(part)-1]
	}
	w.mode, w.at = stepOne, 0
	if n, err := strconv.Atoi(bracket); bracket != "" && bracket != "+" && err == nil && n >= 0 {
		w.mode, w.at = stepAt, n
	} else if bracket == "+" {
		w.mode = stepNew
	} else if bracket != "" {
		if name == "extension" {
			return w.extension(bracket, beforeExtension)
		}
		w.c.wrong(w.t.at, "%s: [%s] is neither + nor a number from 0", w.t.path, bracket)
		return false
	}
	elem, ok := w.c.lib.model.child(w.typ, name)
	if !ok {
		known := w.c.lib.model.children(w.typ)
		w.c.wrong(w.t.at, "%s%q is not an element of %s%s", w.within(part), name, w.typ, near(name, known))
		return false
	}
	switch {
	case elem.many && w.mode == stepOne:
		w.c.wrong(w.t.at, "%s%s repeats; write %s[+]", w.within(name), name, name)
		return false
	case !elem.many && w.mode != stepOne:
		w.c.wrong(w.t.at, "%s%s is single; write it without [%s]", w.within(part), name, bracket)
		return false
	}
	w.elem = elem
	if elem.of != "" {
		w.c.member(elem.name, w.c.member(elem.of, -1))
	}
	return true
}

// whole reports whether every row of the target nests rows without saying a
// type.
func (w *targetWalk) whole() bool {
	for _, r := range w.t.rows {
		if len(r.set) == 0 || r.as != "" {
			return false
		}
	}
	return len(w.t.rows) > 0
}

// within says in which target a part stands, when it is not all of it.
func (w *targetWalk) within(part string) string {
	if part == w.t.path {
		return ""
	}
	return w.t.path + ": "
}

// extension goes into the extension of a name: the target is its value.
func (w *targetWalk) extension(name string, nested bool) bool {
	def, ok := extensionOf(name)
	if !ok {
		if w.typ != "Extension" {
			w.c.wrong(w.t.at, "extension %q is not known%s", name, near(name, extensionNames()))
			return false
		}
		def.url = name // a part of an extension is named by itself
	}
	w.out.steps = append(w.out.steps, step{name: nameExtension, mode: stepURL, url: def.url})
	w.typ = "Extension"
	if nested {
		w.elem = element{}
		return true
	}
	if def.typ == "" && w.whole() {
		// The rows make the extension itself, of parts or with value[x].
		w.out.steps = w.out.steps[:len(w.out.steps)-1]
		w.elem, w.mode, w.url = element{name: "extension", types: []string{"Extension"}, many: true}, stepNew, def.url
		return true
	}
	w.elem, _ = w.c.lib.model.child("Extension", "value[x]")
	if def.typ != "" {
		w.elem = element{name: "value" + title(def.typ), types: []string{def.typ}}
	}
	return true
}

func extensionNames() []string {
	var names []string
	for name := range extensions() {
		names = append(names, name)
	}
	return names
}

// finish makes the last step.
func (w *targetWalk) finish() {
	w.out.last = step{name: w.c.member(w.elem.name, -1), mode: w.mode, index: w.at}
	w.out.base = w.c.prog.base[w.out.last.name]
	switch {
	case w.elem.choice || w.mode != stepOne || len(w.elem.types) != 1:
	case w.elem.types[0] == "date", w.elem.types[0] == "dateTime", w.elem.types[0] == "instant":
		w.out.text = true
		w.out.under = w.c.member("_"+w.elem.name, -1)
	}
}
