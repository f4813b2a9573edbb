package validate

import (
	"fmt"
	"slices"
	"strings"
)

// A condition is what a rule asks of its segment before it is for it: all terms hold.
type condition []term

// A term is about one place: RXA-20 = CP,PA, or OBX-2 valued.
type term struct {
	spot
	word   string // =, !=, valued, empty
	values []string
}

// parseCondition reads the terms of a rule for a segment.
func parseCondition(text, segment string) (condition, error) {
	if text == "" {
		return nil, nil
	}
	var all condition
	for _, part := range termsOf(text) {
		t, err := parseTerm(part)
		if err != nil {
			return nil, err
		}
		if t.segment != segment {
			return nil, fmt.Errorf("when: %s is not of the segment %s", t.segment, segment)
		}
		all = append(all, t)
	}
	return all, nil
}

// termsOf parts a condition at each "and" that has a place behind it: a value
// may have the word too.
func termsOf(text string) []string {
	var all []string
	for part := range strings.SplitSeq(text, " and ") {
		first, _, _ := strings.Cut(part, " ")
		if len(all) > 0 && !spotForm.MatchString(first) {
			all[len(all)-1] += " and " + part
			continue
		}
		all = append(all, part)
	}
	return all
}

func parseTerm(text string) (t term, err error) {
	words := strings.SplitN(text, " ", 3)
	if t.spot, err = parseSpot(words[0]); err != nil {
		return t, fmt.Errorf("when: %w", err)
	}
	switch {
	case len(words) == 3 && (words[1] == "=" || words[1] == "!="):
		t.word, t.values = words[1], strings.Split(words[2], ",")
	case len(words) == 2 && (words[1] == "valued" || words[1] == "empty"):
		t.word = words[1]
	default:
		return t, fmt.Errorf("when: %q is not a condition such as RXA-20 = CP,PA, or OBX-2 valued", text)
	}
	return t, nil
}

func (w condition) holds(c *checker) bool {
	for i := range w {
		if !w[i].holds(c) {
			return false
		}
	}
	return true
}

func (t *term) holds(c *checker) bool {
	v := t.in(c.value(t.field).Rep(1))
	switch t.word {
	case "valued":
		return v.Valued()
	case "empty":
		return !v.Valued()
	}
	return slices.Contains(t.values, v.Text()) == (t.word == "=")
}
