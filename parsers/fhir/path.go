package fhir

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/internal/spelling"
	"github.com/plexus-health/plexus/message"
)

// Grammar is the path syntax of FHIR:
//
//	Type.element[n].element…
//
// Indices count from 0. Without one, a path through an element that repeats
// gives all values. [type=PLAC] is the first whose element has that value, [*]
// behind it means all such; extension[patient-birthPlace] the one whose url ends
// so; resource[Patient] the one of that type. A choice may be named by its stem:
// medication is medicationCodeableConcept or medicationReference. In a Bundle a
// path begins at its first resource of the type. A path that may end at an
// element with members is one of places.
type Grammar struct {
	// Systems gives the uri of a code system that a path calls by a short
	// name, "" for one that is not known. nil: uris are written out.
	Systems func(name string) string
}

// A path is a compiled path.
type path struct {
	text  string
	typ   string // the resource type
	steps []step
	ends  []context // what it may end at
	kind  message.PathKind
}

// A step leads to the elements of one name.
type step struct {
	name    string
	names   []string // as JSON has them: several for a choice without its type
	repeats bool
	index   int // -1: not said
	all     bool
	filters []filter
	brief   string // the brackets as written
}

// A filter chooses among the elements of a step.
type filter struct {
	steps  []step // to the value that is compared
	value  string
	suffix bool // the last part of a uri is enough
	loose  bool // what stands there is not known: an object is compared by its code
}

// A context is what stands at a place: an object of a type below a path, a
// primitive, or any resource. Without a type it is not known, and what stands
// below it is not checked.
type context struct {
	typ       *definitions.Type
	path      string
	primitive bool
	resource  bool
}

func (c context) unknown() bool { return c.typ == nil && !c.primitive }

// kindOf is what stands at an element of t below path: one is its type, as
// definitions.Child gives it.
func kindOf(t *definitions.Type, path, name string, e *definitions.Element, one string) context {
	if reference, ok := strings.CutPrefix(one, "#"); ok {
		owner, inner, _ := strings.Cut(reference, ".")
		other, _ := definitions.Lookup(owner)
		return context{typ: other, path: inner}
	}
	below := name
	if path != "" {
		below = path + "." + name
	}
	switch one {
	case "Resource":
		typ, _ := definitions.Lookup("Resource")
		return context{typ: typ, resource: true}
	case "BackboneElement":
		return context{typ: t, path: below}
	case "Element":
		if e.Path == below && len(t.Children(below)) > 0 {
			return context{typ: t, path: below}
		}
	}
	typ, _ := definitions.Lookup(one)
	return context{typ: typ, primitive: typ != nil && typ.Kind == "primitive-type"}
}

// Scan returns the length of the path that text begins with. What has the form
// of a path but is none is taken too, so that Compile says what is wrong.
func (Grammar) Scan(before byte, text string) int {
	if wordByte(before) || before == '.' || before == '"' || before >= 0x80 {
		return 0
	}
	n := word(text)
	if n == 0 || text[0] < 'A' || text[0] > 'Z' {
		return 0
	}
	end := n
	for end+1 < len(text) && text[end] == '.' && letter(text[end+1]) {
		end += 1 + word(text[end+1:])
		for length := bracket(text[end:]); length > 0; length = bracket(text[end:]) {
			end += length
		}
	}
	switch {
	case end < len(text) && text[end] >= 0x80:
		return 0
	case end == n && (!known(text[:n]) || end < len(text) && (text[end] == '(' || text[end] == '[')):
		return 0
	}
	return end
}

// bracket is the length of […] at the start of text; a quoted value in it may
// hold anything.
func bracket(text string) int {
	if text == "" || text[0] != '[' {
		return 0
	}
	quote := byte(0)
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\r' || c == '\n':
			return 0
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '[':
			return 0
		case c == ']':
			return i + 1
		}
	}
	return 0
}

func word(text string) int {
	n := 0
	for n < len(text) && wordByte(text[n]) {
		n++
	}
	return n
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func wordByte(c byte) bool { return letter(c) || c >= '0' && c <= '9' }

// maxSteps bounds the length of a path.
const maxSteps = 40

// Compile compiles a path.
func (g Grammar) Compile(text string) (message.Path, error) {
	name := text[:word(text)]
	if name == "" {
		return nil, fmt.Errorf("%q is no path: it begins with a resource type, as in Patient.birthDate", text)
	}
	t, ok := definitions.Resource(name)
	if !ok {
		return nil, fmt.Errorf("%q is no resource type of R4%s", name, meant(name, definitions.Resources()))
	}
	p := &path{text: text, typ: name}
	var err error
	if p.steps, p.ends, err = g.steps(text[len(name):], name, []context{{typ: t}}); err != nil {
		return nil, err
	}
	p.kind = kind(p.steps, p.ends)
	return p, nil
}

// kind is what a path gives that has these steps and ends so.
func kind(steps []step, ends []context) message.PathKind {
	for _, end := range ends {
		if !end.primitive {
			return message.Places
		}
	}
	for i := range steps {
		if steps[i].several() {
			return message.Several
		}
	}
	return message.One
}

// several reports whether a step may lead to more than one element.
func (s *step) several() bool { return s.all || s.repeats && s.index < 0 }

// steps compiles .name[…].name…, from what stands at the beginning on.
func (g Grammar) steps(rest, owner string, at []context) (steps []step, ends []context, err error) {
	for rest != "" {
		if rest[0] != '.' || word(rest[1:]) == 0 {
			return nil, nil, fmt.Errorf("%q: an element is wanted there, as in %s.id", rest, owner)
		}
		if len(steps) == maxSteps {
			return nil, nil, fmt.Errorf("the path has more than %d steps", maxSteps)
		}
		n := word(rest[1:])
		s := step{name: rest[1 : 1+n], index: -1}
		rest = rest[1+n:]
		next, err := s.resolve(at, owner, steps)
		if err != nil {
			return nil, nil, err
		}
		for rest != "" && rest[0] == '[' {
			length := bracket(rest)
			if length == 0 {
				return nil, nil, errors.New(`"]" is missing`)
			}
			if next, err = g.bracket(&s, rest[1:length-1], next); err != nil {
				return nil, nil, err
			}
			s.brief += rest[:length]
			rest = rest[length:]
		}
		if len(s.filters) > 0 && s.index < 0 && !s.all {
			s.index = 0
		}
		steps, at, owner = append(steps, s), next, s.name
	}
	return steps, at, nil
}

// resolve finds an element by its name in what stands at the step before.
func (s *step) resolve(at []context, owner string, before []step) (next []context, err error) {
	for i, c := range at {
		switch {
		case c.primitive && len(before) > 0 && (s.name == "id" || s.name == "extension"):
			// What a primitive has besides its value stands beside it.
			names := before[len(before)-1].names
			names[i%len(names)] = "_" + strings.TrimPrefix(names[i%len(names)], "_")
			typ, _ := definitions.Lookup("Element")
			c = context{typ: typ}
		case c.unknown():
			s.add(s.name)
			s.repeats = true
			next = append(next, c)
			continue
		case c.primitive:
			continue
		case s.name == "resourceType" && c.path == "" && (c.resource || c.typ.Kind == "resource"):
			s.add("resourceType")
			code, _ := definitions.Lookup("code")
			next = append(next, context{typ: code, primitive: true})
			continue
		}
		next = append(next, s.element(c)...)
	}
	if len(s.names) == 0 {
		return nil, s.unknown(at, owner)
	}
	return next, nil
}

// element finds the element in one context.
func (s *step) element(c context) (next []context) {
	if c.resource {
		return s.ofAny()
	}
	if e, one, ok := c.typ.Child(c.path, s.name); ok {
		s.add(s.name)
		s.repeats = s.repeats || e.Repeats()
		return []context{kindOf(c.typ, c.path, s.name, e, one)}
	}
	for _, e := range c.typ.Children(c.path) {
		if stem, choice := strings.CutSuffix(lastOf(e.Path), "[x]"); !choice || stem != s.name {
			continue
		}
		for _, one := range e.Types {
			name := s.name + strings.ToUpper(one[:1]) + one[1:]
			s.add(name)
			next = append(next, kindOf(c.typ, c.path, name, e, one))
		}
	}
	return next
}

// ofAny finds the element in whichever resource types have it: as a value or
// as an object, whichever it is in most of them.
func (s *step) ofAny() []context {
	var values, objects []context
	weight := 0
	for _, name := range definitions.Resources() {
		t, _ := definitions.Resource(name)
		for _, one := range s.element(context{typ: t}) {
			list, by := &objects, -1
			if one.primitive {
				list, by = &values, 1
			}
			weight += by
			if !slices.Contains(*list, one) {
				*list = append(*list, one)
			}
		}
	}
	if weight > 0 {
		return values
	}
	return objects
}

func (s *step) add(name string) {
	if !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// functions are those of FHIRPath that people write by habit, and what to write.
var functions = map[string]string{
	"where": "[element=value] chooses", "exists": "write valued(…)", "empty": "write not valued(…)", "count": "write len(…)", "first": "[0] is the first",
	"all": "write all(…, condition)", "contains": "write has(…, value)", "ofType": "name the element with its type, such as valueQuantity", "resolve": "references are not followed",
}

// unknown says that an element is not there and what was probably meant.
func (s *step) unknown(at []context, owner string) error {
	var names, types []string
	for _, c := range at {
		if c.primitive || c.typ == nil {
			continue
		}
		if c.resource {
			return fmt.Errorf("%q is not an element of any resource type", s.name)
		}
		types = append(types, c.name())
		for _, e := range c.typ.Children(c.path) {
			names = append(names, strings.TrimSuffix(lastOf(e.Path), "[x]"))
		}
	}
	if len(types) == 0 {
		return fmt.Errorf("%s is a value without elements: %q cannot follow", owner, "."+s.name)
	}
	hint := meant(s.name, names)
	if what, ok := functions[s.name]; ok {
		hint = ": functions of FHIRPath are not part of a path, " + what
	}
	return fmt.Errorf("%q is not an element of %s%s", s.name, strings.Join(types, " or "), hint)
}

// name is that of a type, with the way to the element in it.
func (c context) name() string {
	if c.path != "" {
		return c.typ.Name + "." + c.path
	}
	return c.typ.Name
}

// bracket compiles what stands in brackets after a step.
func (g Grammar) bracket(s *step, inner string, at []context) (next []context, err error) {
	name, value, equal := strings.Cut(inner, "=")
	switch {
	case s.index >= 0 || s.all:
		return nil, fmt.Errorf("[%s]: an index or * is the last of the brackets", inner)
	case inner == "x" && len(s.names) > 1:
		return at, nil // value[x] is value
	case !s.repeats && (inner == "*" || digits(inner) || len(at) != 1 || !at[0].resource):
		return nil, fmt.Errorf("%s does not repeat: [%s] has no meaning", s.name, inner)
	case inner == "*":
		s.all = true
		return at, nil
	case digits(inner):
		if s.index, err = strconv.Atoi(inner); err != nil {
			return nil, fmt.Errorf("[%s] is not an index", inner)
		}
		return at, nil
	case equal:
		if err := g.filter(s, strings.TrimSpace(name), unquote(strings.TrimSpace(value)), at); err != nil {
			return nil, err
		}
		return typed(s, at), nil
	case s.name == "extension" || s.name == "modifierExtension":
		s.filters = append(s.filters, filter{steps: []step{{name: "url", names: []string{"url"}, index: -1}}, value: unquote(inner), suffix: true})
		return at, nil
	case len(at) == 1 && at[0].resource:
		return at, g.ofType(s, inner, at)
	case len(at) == 1 && at[0].unknown() && known(inner):
		return at, g.ofType(s, inner, at)
	}
	return nil, fmt.Errorf("[%s] is not an index of %s: a number from 0, *, or [element=value]", inner, s.name)
}

// ofType fixes the type of a resource.
func (g Grammar) ofType(s *step, name string, at []context) error {
	t, ok := definitions.Resource(name)
	if !ok {
		return fmt.Errorf("%q is no resource type of R4%s", name, meant(name, definitions.Resources()))
	}
	s.filters = append(s.filters, filter{steps: []step{{name: "resourceType", names: []string{"resourceType"}, index: -1}}, value: name})
	at[0] = context{typ: t}
	return nil
}

// typed narrows a resource whose type a filter names.
func typed(s *step, at []context) []context {
	f := s.filters[len(s.filters)-1]
	if len(at) == 1 && at[0].resource && f.steps[0].name == "resourceType" {
		if t, ok := definitions.Resource(f.value); ok {
			return []context{{typ: t}}
		}
	}
	return at
}

// filter compiles [element=value].
func (g Grammar) filter(s *step, name, value string, at []context) error {
	if name == "" {
		return fmt.Errorf("[=%s]: the name of an element is missing before =", value)
	}
	steps, ends, err := g.steps("."+name, s.name, at)
	if err != nil {
		return err
	}
	f := filter{value: value}
	uri := false
	for _, end := range ends {
		if end.primitive {
			uri = uri || strings.HasPrefix(end.typ.Name, "uri") || end.typ.Name == "url" || end.typ.Name == "canonical"
			continue
		}
		if end.unknown() {
			f.loose, uri = true, uri || steps[len(steps)-1].name == "system"
			continue
		}
		below, ok := codes[nameOf(end.typ)]
		if !ok || end.path != "" {
			return fmt.Errorf("[%s=%s]: %s is an object: name an element of it", name, value, name)
		}
		if len(ends) > 1 {
			return fmt.Errorf("[%s=%s]: %s has several types: name one, such as %s", name, value, name, steps[len(steps)-1].names[0])
		}
		for _, n := range below {
			steps = append(steps, step{name: n, names: []string{n}, repeats: n == "coding", index: -1})
		}
	}
	f.steps = steps
	if uri {
		f.suffix = true
		if g.Systems != nil {
			if known := g.Systems(value); known != "" {
				f.value, f.suffix = known, false
			}
		}
	}
	s.filters = append(s.filters, f)
	return nil
}

// codes are the elements that [type=…] compares of an object.
var codes = map[string][]string{
	"CodeableConcept": {"coding", "code"}, "Coding": {"code"}, "Identifier": {"value"}, "Reference": {"reference"}, "Quantity": {"value"},
}

func nameOf(t *definitions.Type) string {
	if t == nil {
		return ""
	}
	return t.Name
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// meant is the name of a list that a wrong one is nearest to, as a question.
func meant(wrong string, names []string) string {
	if found := spelling.Nearest(wrong, names); found != "" {
		return "; did you mean " + strconv.Quote(found) + "?"
	}
	return ""
}
