package terms

import (
	"regexp"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
)

// longestPattern bounds the pattern of a filter; what it is held against, the codes
// there are (mostWork).
const longestPattern = 1000

// keep are the codes that a filter keeps (valueset-filter-operator).
func (s *System) keep(list []string, f filter) ([]string, error) {
	meets, err := s.test(f)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, code := range list {
		if meets(code) {
			out = append(out, code)
		}
	}
	return out, nil
}

// test is what a filter asks of a code.
func (s *System) test(f filter) (func(code string) bool, error) {
	if f.property == "concept" || f.property == "code" {
		switch f.op {
		case "is-a":
			return among(s.Below(f.value), true), nil
		case "descendent-of":
			return among(s.Below(f.value)[1:], true), nil
		case "is-not-a":
			return among(s.Below(f.value), false), nil
		case "generalizes":
			return among(s.Above(f.value), true), nil
		}
	}
	values, err := s.valuesOf(f.property)
	if err != nil {
		return nil, err
	}
	some := func(one func(string) bool) func(string) bool {
		return func(code string) bool { return slices.ContainsFunc(values(code), one) }
	}
	switch f.op {
	case "=":
		return some(func(v string) bool { return v == f.value }), nil
	case "in":
		return some(among(strings.Split(f.value, ","), true)), nil
	case "not-in":
		in := some(among(strings.Split(f.value, ","), true))
		return func(code string) bool { return !in(code) }, nil
	case "exists":
		if f.value == "true" || f.value == "false" {
			return func(code string) bool { return (len(values(code)) > 0) == (f.value == "true") }, nil
		}
	case "regex":
		if len(f.value) > longestPattern {
			return nil, costly("the pattern of a filter has more than 1000 bytes")
		}
		if whole, err := regexp.Compile("^(?:" + f.value + ")$"); err == nil {
			return some(whole.MatchString), nil
		}
	}
	return nil, unsupported("the value set has a filter that is not supported; supported: is-a, descendent-of, is-not-a and generalizes of concepts; =, in, not-in, exists and regex of concepts and their properties")
}

func among(list []string, wanted bool) func(string) bool {
	in := make(map[string]bool, len(list))
	for _, one := range list {
		in[strings.TrimSpace(one)] = true
	}
	return func(one string) bool { return in[one] == wanted }
}

// valuesOf are the values of a property by the code.
func (s *System) valuesOf(property string) (func(code string) []string, error) {
	switch property {
	case "concept", "code":
		return func(code string) []string { return []string{code} }, nil
	case "parent":
		return func(code string) []string { return s.above[code] }, nil
	case "child":
		return func(code string) []string { return s.below[code] }, nil
	}
	known, ok := s.properties[property]
	if !ok {
		return nil, unsupported("the value set has a filter of a property that the code system does not have here")
	}
	return func(code string) []string { return known[code] }, nil
}

// declare takes over which properties a CodeSystem says its concepts may have.
func (s *System) declare(list *fhir.Node) {
	s.properties = map[string]map[string][]string{"display": {}}
	if list == nil {
		return
	}
	for _, p := range list.Items {
		s.properties[text(p, "code")] = map[string][]string{}
	}
}

// property adds a value of a property of a code.
func (s *System) property(code, name, value string) {
	if s.properties[name] == nil {
		s.properties[name] = map[string][]string{}
	}
	s.properties[name][code] = append(s.properties[name][code], value)
}

// describe takes over what a concept has beside its code (codesystem.html#properties).
func (s *System) describe(code string, concept *fhir.Node) {
	if display := text(concept, "display"); display != "" {
		s.property(code, "display", display)
	}
	list := concept.Get("property")
	if list == nil {
		return
	}
	for _, p := range list.Items {
		name := text(p, "code")
		switch other := text(p, "valueCode"); name {
		case "parent", "subsumedBy":
			s.add(code, other)
		case "child":
			s.add(other, code)
		}
		for _, m := range p.Members {
			if v := m.Value; strings.HasPrefix(m.Name, "value") && v != nil && v.Kind == fhir.Object {
				s.property(code, name, text(v, "code"))
			} else if strings.HasPrefix(m.Name, "value") && v != nil {
				s.property(code, name, v.Text)
			}
		}
	}
}
