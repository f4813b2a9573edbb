package fhir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/message"
)

// Grammar is the path syntax of FHIR:
//
//	Type.element[n].element[member=value]…
//
// Indices count from 0; [*] means all, as no index does on an element that
// repeats. [type=PLAC] keeps the first whose member is the value: a code, one
// of a CodeableConcept's codes, a system by its uri or the last word of it. A
// choice is written by its stem (medication) or in full. extension[word] is the
// one whose url ends so. In a Bundle a path begins at its first resource of the
// type. A path that ends at an element with members is one of places.
type Grammar struct{}

var (
	_ message.Grammar = Grammar{}
	_ message.Path    = (*path)(nil)
	_ message.Nested  = (*path)(nil)
)

// A path is a compiled path.
type path struct {
	text  string
	typ   string
	steps []step
	kind  message.PathKind
}

// A step goes to the members of one name.
type step struct {
	name   string
	choice bool // the member's name goes on with a type
	list   bool // the element repeats and no one of it is chosen
	index  int  // -1: not said
	key    []string
	value  string
}

// Scan returns the length of the path that text begins with. What has the form
// of a path but is none is taken too, so that Compile says what is wrong.
func (Grammar) Scan(before byte, text string) int {
	if wordByte(before) || before == '.' || before == '"' || before >= 0x80 || text == "" || text[0] < 'A' || text[0] > 'Z' {
		return 0
	}
	end := word(text)
	dotted := false
	for end+1 < len(text) && text[end] == '.' && letter(text[end+1]) {
		end += 1 + word(text[end+1:])
		end += bracket(text[end:])
		dotted = true
	}
	if end < len(text) && (wordByte(text[end]) || text[end] == '(' || text[end] >= 0x80) {
		return 0
	}
	if !dotted && !known(text[:end]) {
		return 0
	}
	return end
}

func letter(c byte) bool { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') }

func wordByte(c byte) bool { return letter(c) || (c >= '0' && c <= '9') || c == '_' }

func word(text string) int {
	n := 0
	for n < len(text) && wordByte(text[n]) {
		n++
	}
	return n
}

// bracket is the length of […] at the start of text.
func bracket(text string) int {
	if text == "" || text[0] != '[' {
		return 0
	}
	end := strings.IndexAny(text[1:], "[]\r\n")
	if end < 0 || text[1+end] != ']' {
		return 0
	}
	return end + 2
}

// Compile compiles a path and checks its elements against the definitions.
func (Grammar) Compile(text string) (message.Path, error) {
	n := word(text)
	p := &path{text: text, typ: text[:n]}
	if n == 0 || text[0] < 'A' || text[0] > 'Z' {
		return nil, fmt.Errorf("%q is no path: it begins with a resource type, as in Patient.name.family", text)
	}
	t, ok := definitions.Resource(p.typ)
	if !ok {
		return nil, fmt.Errorf("%q is no resource type of R4%s", p.typ, near(p.typ, definitions.Resources()))
	}
	at := position{t: t, complex: true}
	several := false
	for rest := text[n:]; rest != ""; {
		if rest[0] != '.' || word(rest[1:]) == 0 {
			return nil, fmt.Errorf("%q: an element is wanted where %q stands", text, rest)
		}
		end := 1 + word(rest[1:])
		s := step{name: rest[1:end], index: -1}
		brace := bracket(rest[end:])
		if err := s.choose(rest[end : end+brace]); err != nil {
			return nil, err
		}
		next, err := at.below(&s, brace > 0)
		if err != nil {
			return nil, err
		}
		several = several || s.list
		p.steps = append(p.steps, s)
		at, rest = next, rest[end+brace:]
	}
	switch {
	case at.complex:
		p.kind = message.Places
	case several:
		p.kind = message.Several
	}
	return p, nil
}

// Below is the path as it reads from one of the places of collection.
func (p *path) Below(collection message.Path) (message.Path, bool) {
	c, ok := collection.(*path)
	if !ok || c.typ != p.typ || len(c.steps) >= len(p.steps) {
		return nil, false
	}
	for i := range c.steps {
		if c.steps[i].name != p.steps[i].name {
			return nil, false
		}
	}
	below := *p
	if p.kind == message.Several && !slices.ContainsFunc(p.steps[len(c.steps):], func(s step) bool { return s.list }) {
		below.kind = message.One
	}
	return &below, true
}

// choose reads what stands in brackets.
func (s *step) choose(text string) error {
	if text == "" {
		return nil
	}
	inner := text[1 : len(text)-1]
	if inner == "*" {
		return nil
	}
	if n, err := strconv.Atoi(inner); err == nil && n >= 0 {
		s.index = n
		return nil
	}
	key, value, ok := strings.Cut(inner, "=")
	switch {
	case ok && key != "" && value != "":
		s.key, s.value = strings.Split(key, "."), value
	case !ok && s.name == "extension" && inner != "":
		s.key, s.value = []string{"url"}, inner
	default:
		return fmt.Errorf("[%s] is no choice: write [0], [*] or [member=value]", inner)
	}
	return nil
}

// A position is where a path stands in the definitions.
type position struct {
	t       *definitions.Type // nil: not checked from here on
	path    string
	more    []*definitions.Type // the types of a choice, beside t
	complex bool
}

// below goes to an element. bracketed says that something was chosen.
func (at position) below(s *step, bracketed bool) (position, error) {
	if at.t == nil {
		s.list = !bracketed
		return position{}, nil
	}
	for _, t := range append([]*definitions.Type{at.t}, at.more...) {
		path := at.path
		if t != at.t {
			path = ""
		}
		if e, next, ok := elementOf(t, path, s.name); ok {
			s.choice = strings.HasSuffix(e.Path, "[x]") && lastName(e.Path) == s.name
			s.list = e.Repeats() && s.index < 0 && s.key == nil
			return next, nil
		}
	}
	var names []string
	for _, e := range at.t.Children(at.path) {
		names = append(names, lastName(e.Path))
	}
	where := at.t.Name
	if at.path != "" {
		where += "." + at.path
	}
	return position{}, fmt.Errorf("%q is not an element of %s%s", s.name, where, near(s.name, names))
}

// lastName is the last word of a path, without the mark of a choice.
func lastName(path string) string {
	return strings.TrimSuffix(path[strings.LastIndexByte(path, '.')+1:], "[x]")
}

// elementOf finds an element by its name, or by the stem of a choice.
func elementOf(t *definitions.Type, path, name string) (*definitions.Element, position, bool) {
	e, one, ok := t.Child(path, name)
	if !ok {
		for _, c := range t.Children(path) {
			if strings.HasSuffix(c.Path, "[x]") && lastName(c.Path) == name {
				return c, choiceOf(c), true
			}
		}
		return nil, position{}, false
	}
	full := name
	if path != "" {
		full = path + "." + name
	}
	switch {
	case one == "BackboneElement" || (one == "Element" && len(t.Children(full)) > 0):
		return e, position{t: t, path: full, complex: true}, true
	case strings.HasPrefix(one, "#"):
		owner, inner, _ := strings.Cut(one[1:], ".")
		if other, found := definitions.Lookup(owner); found {
			return e, position{t: other, path: inner, complex: true}, true
		}
	case definitions.Primitive(one):
		return e, position{t: typeOf("Element")}, true
	}
	next := position{t: typeOf(one), complex: true}
	if one == "Resource" || next.t == nil {
		next.t = nil // any resource: what is below it is not known here
	}
	return e, next, true
}

func typeOf(name string) *definitions.Type {
	t, ok := definitions.Lookup(name)
	if !ok {
		return nil
	}
	return t
}

// choiceOf is the position of a choice: one of values unless no type of it is
// primitive.
func choiceOf(e *definitions.Element) position {
	p := position{complex: true}
	for _, name := range e.Types {
		if definitions.Primitive(name) {
			p.complex = false
			continue
		}
		if t := typeOf(name); t != nil && p.t == nil {
			p.t = t
		} else if t != nil {
			p.more = append(p.more, t)
		}
	}
	return p
}

// near is a hint at the word that was probably meant.
func near(given string, names []string) string {
	best, at := "", 3
	for _, n := range names {
		if d := distance(strings.ToLower(given), strings.ToLower(n)); d < at {
			best, at = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many letters have to be changed, added or left out.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// String is the path as it was written.
func (p *path) String() string { return p.text }

// Kind says which of the methods below gives the answer.
func (p *path) Kind() message.PathKind { return p.kind }

// Anchor is the resource type the path begins with.
func (p *path) Anchor() string { return p.typ }

// A place is an element of a document.
type place struct {
	doc  *Document
	node *fhir.Node
	typ  string
	at   []string // names of the elements on the way to it
}

// Span is empty: the tree keeps no places in the bytes.
func (*place) Span() (start, end int) { return 0, 0 }

// start is where reading begins: the place in hand where the path leads through
// it, else the resource.
func (p *path) start(from message.Node) (node *fhir.Node, steps []step, doc *Document) {
	switch n := from.(type) {
	case *place:
		doc = n.doc
		if n.typ == p.typ && len(n.at) <= len(p.steps) {
			through := true
			for i, name := range n.at {
				through = through && p.steps[i].name == name
			}
			if through {
				return n.node, p.steps[len(n.at):], doc
			}
		}
	case *Document:
		doc = n
	}
	if doc == nil {
		return nil, nil, nil
	}
	if doc.typ == p.typ {
		return doc.tree, p.steps, doc
	}
	for _, r := range doc.bundled {
		if str(r, "resourceType") == p.typ {
			return r, p.steps, doc
		}
	}
	return nil, nil, doc
}

// each calls give with every node the steps lead to, until it says no.
func each(n *fhir.Node, steps []step, give func(*fhir.Node) bool) bool {
	if len(steps) == 0 {
		return give(n)
	}
	s := &steps[0]
	if n.Kind != fhir.Object {
		return true
	}
	for i := range n.Members {
		m := &n.Members[i]
		if m.Name != s.name && (!s.choice || !strings.HasPrefix(m.Name, s.name) || m.Name[0] == '_') {
			continue
		}
		if s.choice && m.Name != s.name && (m.Name[len(s.name)] < 'A' || m.Name[len(s.name)] > 'Z') {
			continue
		}
		if m.Value.Kind != fhir.Array {
			if s.index > 0 || (s.key != nil && !s.fits(m.Value)) {
				continue
			}
			if !each(m.Value, steps[1:], give) {
				return false
			}
			continue
		}
		for j, item := range m.Value.Items {
			if (s.index >= 0 && j != s.index) || (s.key != nil && !s.fits(item)) {
				continue
			}
			if !each(item, steps[1:], give) {
				return false
			}
			if s.key != nil {
				break
			}
		}
	}
	return true
}

// fits reports whether an item is the one that is chosen.
func (s *step) fits(item *fhir.Node) bool {
	return matches(item, s.key, s.value)
}

func matches(n *fhir.Node, key []string, value string) bool {
	if n == nil {
		return false
	}
	if n.Kind == fhir.Array {
		return slices.ContainsFunc(n.Items, func(item *fhir.Node) bool { return matches(item, key, value) })
	}
	if len(key) > 0 {
		if n.Kind != fhir.Object {
			return false
		}
		return matches(n.Get(key[0]), key[1:], value)
	}
	switch n.Kind {
	case fhir.Object: // a CodeableConcept by one of its codes, a Coding by its code
		return matches(n.Get("coding"), []string{"code"}, value) || matches(n.Get("code"), nil, value)
	case fhir.String:
		return n.Text == value || endsIn(n.Text, value)
	case fhir.Bool, fhir.Number:
		return n.Text == value
	}
	return false
}

// endsIn reports whether a uri ends in a word: "npi" of
// http://hl7.org/fhir/sid/us-npi.
func endsIn(text, word string) bool {
	rest, ok := strings.CutSuffix(text, word)
	if !ok || rest == "" || !strings.Contains(text, ":") {
		return false
	}
	switch rest[len(rest)-1] {
	case '/', ':', '-':
		return true
	}
	return false
}

func valueOf(n *fhir.Node) (string, bool) {
	switch n.Kind {
	case fhir.String, fhir.Number, fhir.Bool:
		return n.Text, true
	}
	return "", false
}

// Text reads the first value.
func (p *path) Text(from message.Node) string {
	node, steps, _ := p.start(from)
	out := ""
	if node != nil {
		each(node, steps, func(n *fhir.Node) bool {
			text, ok := valueOf(n)
			out = text
			return !ok
		})
	}
	return out
}

// Texts reads all values.
func (p *path) Texts(from message.Node) []string {
	node, steps, _ := p.start(from)
	var out []string
	if node != nil {
		each(node, steps, func(n *fhir.Node) bool {
			if text, ok := valueOf(n); ok {
				out = append(out, text)
			}
			return true
		})
	}
	return out
}

// Nodes lists the places.
func (p *path) Nodes(from message.Node) []message.Node {
	node, steps, doc := p.start(from)
	if node == nil {
		return nil
	}
	names := make([]string, len(p.steps))
	for i := range p.steps {
		names[i] = p.steps[i].name
	}
	var out []message.Node
	each(node, steps, func(n *fhir.Node) bool {
		if n.Kind == fhir.Object {
			out = append(out, &place{doc: doc, node: n, typ: p.typ, at: names})
		}
		return true
	})
	return out
}
