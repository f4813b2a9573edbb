package routes

import (
	"fmt"
	"strings"

	"github.com/plexus-health/plexus/internal/spelling"
)

// A scope is where in the files the loader is: it finds problems and says
// whose they are.
type scope struct {
	l *loader
	// prefix is "channel lab: route ehr: ".
	prefix string
	// key is the path of words, "channel.limits.size", for what is not run yet.
	key string
}

func (s scope) in(what string) scope {
	s.prefix += what + ": "
	return s
}

func (s scope) under(key string) scope {
	s.key += "." + key
	return s
}

// problem reports what is wrong with n.
func (s scope) problem(n *node, format string, args ...any) { s.at(n.at, n.from, format, args...) }

func (s scope) at(at Place, from, format string, args ...any) {
	text := s.prefix + fmt.Sprintf(format, args...)
	if from != "" {
		text += " (" + from + ")"
	}
	s.l.report(at, text)
}

// check reports everything about n that does not fit the shape. It reports
// true when n has the form to be decoded.
func (s scope) check(n *node, want shape) bool {
	if n.form == nothing {
		switch {
		case n.tagged:
		case want.sort == anything:
			return true
		default:
			s.problem(n, "no value: %s is wanted%s", describe(want), expressionTrap(n, want))
		}
		return false
	}
	var fitting []shape
	for _, c := range want.alternatives() {
		if fits(n, c) {
			fitting = append(fitting, c)
		}
	}
	if len(fitting) == 0 {
		s.problem(n, "%s is wanted, not %s%s", describe(want), formName(n), expressionTrap(n, want))
		return false
	}
	// Of several words that a scalar may be, the first that takes it.
	for _, c := range fitting[:len(fitting)-1] {
		if c.sort == aChoice && contains(c.choices, n.text) {
			fitting = []shape{c}
		}
	}
	return s.checkOne(n, fitting[len(fitting)-1])
}

// expressionTrap says why YAML did not read an expression as one.
func expressionTrap(n *node, want shape) string {
	if want.sort != aCondition && want.sort != aValue {
		return ""
	}
	if hint := trap(n.line); hint != "" {
		return "; " + hint
	}
	return ""
}

func (s scope) checkOne(n *node, want shape) bool {
	switch want.sort {
	case aMapping:
		return s.words(n, want.words)
	case anOpen:
		ok := true
		for _, m := range n.members {
			ok = s.in(m.key).check(m.value, *want.of) && ok
		}
		return ok
	case aList:
		ok := true
		for _, item := range n.items {
			ok = s.check(item, *want.of) && ok
		}
		return ok
	case aChoice:
		if notYet[s.key+": "+n.text] && !s.l.everything {
			s.problem(n, "%q is not supported yet by this version", n.text)
			return false
		}
	}
	if n.form != scalar {
		return true
	}
	if err := scalarError(n, want); err != nil {
		s.problem(n, "%s", err)
		return false
	}
	return true
}

// words checks the keys of a mapping and their values.
func (s scope) words(n *node, words []word) bool {
	ok := true
	for _, m := range n.members {
		w := find(words, m.key)
		if w == nil {
			hint := "; there are no options here"
			if len(words) > 0 {
				hint = unknown(m.key, names(words))
			}
			s.at(m.at, n.from, "unknown field %q%s", m.key, hint)
			ok = false
			continue
		}
		inner := s.under(m.key)
		if notYet[inner.key] && !s.l.everything {
			s.at(m.at, n.from, "%q is not supported yet by this version", m.key)
			ok = false
			continue
		}
		ok = inner.in(m.key).check(m.value, w.shape) && ok
	}
	for _, w := range words {
		if w.required && n.get(w.name) == nil {
			s.problem(n, "field %q is missing", w.name)
			ok = false
		}
	}
	return ok
}

// alternatives are the shapes a value may have.
func (s shape) alternatives() []shape {
	list := []shape{s}
	for _, o := range s.or {
		list = append(list, o.alternatives()...)
	}
	return list
}

func find(words []word, name string) *word {
	for i := range words {
		if words[i].name == name {
			return &words[i]
		}
	}
	return nil
}

// fits reports whether n has the form of a shape, whatever it says.
func fits(n *node, s shape) bool {
	switch s.sort {
	case aMapping, anOpen, aKind:
		return n.form == object
	case aList:
		return n.form == sequence
	case aParser:
		return n.form == object || n.form == scalar
	case anything:
		return true
	}
	return n.form == scalar
}

// scalarError says what is wrong with the text of a scalar.
func scalarError(n *node, want shape) error {
	if n.style == quoted && !n.filled {
		switch want.sort {
		case aBoolean, aWhole, aFactor:
			return wrong("%q in quotes is a text: write it without quotes", n.text)
		}
	}
	var err error
	switch want.sort {
	case aName:
		if !nameForm.MatchString(n.text) {
			err = wrong("%q is not a name: write lower-case words joined by -, such as lab-results", n.text)
		}
	case aBoolean:
		_, err = parseBoolean(n.text)
	case aWhole:
		_, err = parseWhole(n.text)
	case aFactor:
		if !numberForm.MatchString(n.text) {
			err = wrong("%q is not a number", n.text)
		}
	case aDuration:
		_, err = parseDuration(n.text)
	case aSize:
		_, err = parseSize(n.text)
	case aRate:
		_, err = parseRate(n.text)
	case aZone:
		_, err = parseZone(n.text)
	case aClock:
		if !clockForm.MatchString(n.text) {
			err = wrong("%q is not a time of day: write it as \"02:00\"", n.text)
		}
	case aChoice:
		if !contains(want.choices, n.text) {
			err = wordError(spelling.Unknown(n.text, want.choices...))
		}
	case aFile:
		if n.text == "" {
			err = wrong("the name of a file is missing")
		}
	}
	return err
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

func formName(n *node) string {
	switch n.form {
	case object:
		return "a mapping"
	case sequence:
		return "a list"
	case nothing:
		return "nothing"
	}
	return fmt.Sprintf("%q", n.text)
}

var sortNames = map[valueSort]string{
	aText: "a text", aName: "a name", aBoolean: "true or false", aWhole: "a whole number", aFactor: "a number",
	aDuration: "a duration such as 30s", aSize: "a size such as 8MB", aRate: "a rate such as 50/s",
	aZone: "a time zone", aClock: "a time of day", aCondition: "an expression", aValue: "an expression",
	aPath: "a path", aFile: "a file name", aMapping: "a mapping", anOpen: "a mapping",
	aKind: "a kind with its options, such as { mllp: { … } },", aParser: "a format", anything: "a value",
}

// describe says what a shape wants.
func describe(s shape) string {
	if s.called != "" {
		return s.called
	}
	text := sortNames[s.sort]
	switch s.sort {
	case aChoice:
		text = strings.Join(s.choices, ", ")
	case aList:
		text = "a list"
	}
	for _, o := range s.or {
		if more := describe(o); !strings.Contains(text, more) {
			text += " or " + more
		}
	}
	return text
}
