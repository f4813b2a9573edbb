package query

import (
	"errors"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/fhir/terms"
	"github.com/plexus-health/plexus/store"
)

// tokens compiles the values of a token parameter (search.html#token).
func (p *Search) tokens(c *store.Clause, param *definitions.Param, modifier, value string) error {
	switch modifier {
	case "":
	case "not": // none of the values (search.html#not)
		c.Not = true
	case "text":
		c.Param, c.Shape = search.Text(param.Row), store.ShapeString
		return texts(c, "", value)
	case "of-type":
		c.Param = search.OfType(param.Row)
		return typed(c, value)
	case "in", "not-in":
		c.Not = modifier == "not-in"
		return p.in(c, search.Bound(param), value)
	case "above", "below":
		return p.along(c, search.Bound(param), modifier == "below", value)
	default:
		return bad("a modifier is not supported for tokens; supported: :not, :text, :of-type, :in, :not-in, :below, :above, :missing")
	}
	return codes(c, search.Bound(param), value)
}

// A bound is the value sets of the elements of type code that a parameter looks
// at: they say which system such a code is of, which its row does not
// (search.html#token).
type bound []*definitions.ValueSet

var none = ""

// matches appends what finds a code of a system, or all of its codes.
func (b bound) matches(out []store.Match, system, code string) []store.Match {
	m := store.Match{System: &system}
	if code != "" {
		m.Value = &code
	}
	out = append(out, m)
	if system == "" {
		return out
	}
	for _, set := range b {
		list, open, there := set.Of(system)
		switch {
		case !there:
		case code != "" && (open || set.Has(system, code)):
			return append(out, store.Match{System: &none, Value: &code})
		case code == "":
			for i := range list {
				out = append(out, store.Match{System: &none, Value: &list[i]})
			}
		}
	}
	return out
}

// codes compiles code, system|code, system| and |code.
func codes(c *store.Clause, b bound, value string) error {
	for _, one := range list(value) {
		system, code, both := strings.Cut(one, "|")
		if !both {
			code = plain(one)
			if code == "" {
				return noToken()
			}
			c.Any = append(c.Any, store.Match{Value: &code})
			continue
		}
		system, code = plain(system), plain(code)
		if code == "" && system == "" {
			return noToken()
		}
		c.Any = b.matches(c.Any, system, code)
	}
	return nil
}

func noToken() error { return bad("a token has neither system nor code") }

// in compiles the value sets of :in and :not-in (search.html#token).
func (p *Search) in(c *store.Clause, b bound, value string) error {
	for _, one := range list(value) {
		concepts, err := p.terms.In(plain(one))
		if err != nil {
			return ofTerms(err)
		}
		if err := p.spend(len(concepts)); err != nil {
			return err
		}
		for _, concept := range concepts {
			c.Any = b.matches(c.Any, concept.System, concept.Code)
		}
	}
	return nil
}

// along compiles :below and :above: the code and those that are kinds of it, or
// that it is a kind of. A code without a system is of one that the element's
// value set has.
func (p *Search) along(c *store.Clause, b bound, below bool, value string) error {
	for _, one := range list(value) {
		system, code, both := strings.Cut(one, "|")
		systems := []string{plain(system)}
		if !both {
			code, systems = one, b.systems(plain(one))
		}
		if code = plain(code); code == "" || len(systems) == 0 || systems[0] == "" {
			return bad(":below and :above take system|code, or the code alone where the element says what system it is of")
		}
		for _, system := range systems {
			s, err := p.terms.System(system)
			if err != nil {
				return ofTerms(err)
			}
			kinds := s.Above(code)
			if below {
				kinds = s.Below(code)
			}
			if err := p.spend(len(kinds)); err != nil {
				return err
			}
			for _, kind := range kinds {
				c.Any = b.matches(c.Any, system, kind)
			}
		}
	}
	return nil
}

// systems are those that a code of the elements may be of.
func (b bound) systems(code string) (out []string) {
	for _, set := range b {
		for _, system := range set.Systems() {
			if set.Has(system, code) && !slices.Contains(out, system) {
				out = append(out, system)
			}
		}
	}
	return out
}

// spend takes values from what a search may have.
func (p *Search) spend(values int) error {
	if p.alternatives -= values; p.alternatives < 0 {
		return costly("a search has more than 2500 values, those of its value sets and code systems included")
	}
	return nil
}

// ofTerms is what a request is told when codes cannot be told.
func ofTerms(err error) error {
	if e, ok := errors.AsType[*terms.Error](err); ok {
		return &Error{Code: e.Code, Text: e.Text}
	}
	return err
}
