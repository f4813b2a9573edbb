package mapping

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// v2Condition compiles a `when` over FHIR paths and fields written before: the
// words are those of the other direction. A comparison holds where any of the
// path's values is equal.
func (c *v2Compiler) v2Condition(text string, at place) v2Cond {
	if text == "" {
		return nil
	}
	p := &v2ConditionParser{conditionParser: conditionParser{c: c.compiler, at: at, text: text}, v2: c}
	p.next()
	got, err := p.either()
	if err == nil && p.token != "" {
		err = fmt.Errorf("%q is too much", p.token)
	}
	if err != nil {
		c.wrong(at, "when: %s; a row compares paths with constants, valued(PATH) and len(PATH), joined by and, or, not", err)
		return func(*v2Run, *v2Frame) bool { return false }
	}
	return got
}

// A v2ConditionParser has its words from the other direction's, and what they
// mean of its own.
type v2ConditionParser struct {
	conditionParser
	v2 *v2Compiler
}

func (p *v2ConditionParser) either() (v2Cond, error) {
	return chain(&p.conditionParser, "or", "||", p.both, func(a, b v2Cond) v2Cond {
		return func(r *v2Run, f *v2Frame) bool { return a(r, f) || b(r, f) }
	})
}

func (p *v2ConditionParser) both() (v2Cond, error) {
	return chain(&p.conditionParser, "and", "&&", p.negated, func(a, b v2Cond) v2Cond {
		return func(r *v2Run, f *v2Frame) bool { return a(r, f) && b(r, f) }
	})
}

func (p *v2ConditionParser) negated() (v2Cond, error) {
	if p.is('w', "not") || p.is('o', "!") {
		p.next()
		inner, err := p.negated()
		if err != nil {
			return nil, err
		}
		return func(r *v2Run, f *v2Frame) bool { return !inner(r, f) }, nil
	}
	if p.is('o', "(") {
		p.next()
		inner, err := p.either()
		if err != nil {
			return nil, err
		}
		return inner, p.expect(")")
	}
	return p.test()
}

// test reads one comparison.
func (p *v2ConditionParser) test() (v2Cond, error) {
	switch {
	case p.kind == 0:
		return nil, fmt.Errorf("a condition is missing")
	case p.kind == 's' || p.kind == 'e':
		return nil, fmt.Errorf("a path stands before the comparison")
	case p.is('w', "true"):
		p.next()
		return func(*v2Run, *v2Frame) bool { return true }, nil
	case p.is('w', "valued"):
		get, err := p.argument()
		if err != nil {
			return nil, err
		}
		return func(r *v2Run, f *v2Frame) bool { return r.count(get, f) > 0 }, nil
	case p.is('w', "len"):
		return p.len()
	}
	if strings.HasPrefix(p.text, "(") {
		return nil, fmt.Errorf("%q is not one of valued, len", p.token)
	}
	get := p.path()
	p.next()
	set, negated, err := p.against()
	return equals(get, set, negated), err
}

// path compiles the path in hand.
func (p *v2ConditionParser) path() v2Getter {
	get, _, _ := p.v2.v2Source(parseSource(p.token, p.at, p.v2.probs))
	if get == nil {
		return func(_ *v2Run, _ *v2Frame, out []v2Item) []v2Item { return out } // said already
	}
	return get
}

// argument reads (PATH).
func (p *v2ConditionParser) argument() (v2Getter, error) {
	name := p.token
	p.next()
	if err := p.expect("("); err != nil || p.kind != 'w' {
		return nil, fmt.Errorf("%s needs a path in parentheses", name)
	}
	get := p.path()
	p.next()
	return get, p.expect(")")
}

// len compiles len(PATH) > 8, which counts characters, and len(PATH[*]) > 1,
// which counts values.
func (p *v2ConditionParser) len() (v2Cond, error) {
	many := false
	if inside, _, closed := strings.Cut(p.text, ")"); closed {
		if many = strings.HasSuffix(strings.TrimSpace(inside), "[*]"); many {
			p.text = strings.Replace(p.text, "[*]", "", 1)
		}
	}
	get, err := p.argument()
	if err != nil {
		return nil, err
	}
	sign, want, err := p.size()
	if err != nil {
		return nil, err
	}
	return func(r *v2Run, f *v2Frame) bool {
		n := r.count(get, f)
		if !many && n > 0 {
			before := len(r.stack)
			r.stack = get(r, f, r.stack)
			n = utf8.RuneCountInString(r.stack[before].String())
			r.stack = r.stack[:before]
		}
		return ordered(n, sign, want)
	}, nil
}

// equals compares the values of a path with constants; an absent one is the
// empty text.
func equals(get v2Getter, set []string, negated bool) v2Cond {
	return func(r *v2Run, f *v2Frame) bool {
		before := len(r.stack)
		r.stack = get(r, f, r.stack)
		got := r.stack[before:]
		equal := len(got) == 0 && slices.Contains(set, "")
		for i := range got {
			r.touch(&got[i])
			for _, want := range set {
				equal = equal || got[i].is(want, "")
			}
		}
		r.stack = r.stack[:before]
		return equal != negated
	}
}

// count is the number of values of a source.
func (r *v2Run) count(get v2Getter, f *v2Frame) int {
	before := len(r.stack)
	r.stack = get(r, f, r.stack)
	n := len(r.stack) - before
	for i := before; i < len(r.stack); i++ {
		r.touch(&r.stack[i])
	}
	r.stack = r.stack[:before]
	return n
}
