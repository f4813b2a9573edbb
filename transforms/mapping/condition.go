package mapping

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// condition compiles a `when`: comparisons of paths with constants, valued and
// len, joined by and, or, not. What else expressions may hold is beyond rows.
func (c *compiler) condition(text string, at place) cond {
	if text == "" {
		return nil
	}
	c.looking = true
	defer func() { c.looking = false }()
	p := &conditionParser{c: c, at: at, text: text}
	p.next()
	got, err := p.or()
	if err == nil && p.token != "" {
		err = fmt.Errorf("%q is too much", p.token)
	}
	if err != nil {
		c.wrong(at, "when: %s; a row compares paths with constants, valued(PATH) and len(PATH[*]), joined by and, or, not", err)
		return func(*run, *frame) bool { return false }
	}
	c.selection = nil
	if p.count == 1 {
		c.selection = p.only
	}
	return got
}

type conditionParser struct {
	c     *compiler
	at    place
	text  string
	token string
	kind  byte // 'w' word or path, 's' text, 'o' sign, 0 the end
	// only is the last comparison; it is all of the condition when count is 1.
	only  *selection
	count int
}

// next reads one token.
func (p *conditionParser) next() {
	p.text = strings.TrimLeft(p.text, " \t\n")
	p.token, p.kind = "", 0
	if p.text == "" {
		return
	}
	switch first := p.text[0]; {
	case first == '"' || first == '\'':
		end := strings.IndexByte(p.text[1:], first)
		if end < 0 {
			p.token, p.kind, p.text = p.text, 'e', ""
			return
		}
		p.token, p.kind, p.text = p.text[1:end+1], 's', p.text[end+2:]
	case strings.IndexByte("()[],", first) >= 0:
		p.token, p.kind, p.text = p.text[:1], 'o', p.text[1:]
	case strings.IndexByte("=!<>&|", first) >= 0:
		n := 1
		if len(p.text) > 1 && strings.IndexByte("=&|", p.text[1]) >= 0 {
			n = 2
		}
		p.token, p.kind, p.text = p.text[:n], 'o', p.text[n:]
	default:
		n := 0
		for depth := 0; n < len(p.text); n++ {
			ch := p.text[n]
			if ch == '[' {
				depth++
			} else if ch == ']' && depth > 0 {
				depth--
			} else if depth == 0 && strings.IndexByte(" \t\n()],=!<>&|\"'", ch) >= 0 {
				break
			}
		}
		n = max(n, 1)
		p.token, p.kind, p.text = p.text[:n], 'w', p.text[n:]
	}
}

func (p *conditionParser) is(kind byte, tokens ...string) bool {
	for _, t := range tokens {
		if p.kind == kind && p.token == t {
			return true
		}
	}
	return false
}

// chain reads conditions with a word between them, from the left.
func chain[C any](p *conditionParser, word, sign string, one func() (C, error), join func(a, b C) C) (C, error) {
	left, err := one()
	for err == nil && (p.is('w', word) || p.is('o', sign)) {
		p.next()
		var right C
		if right, err = one(); err == nil {
			left = join(left, right)
		}
	}
	return left, err
}

func (p *conditionParser) or() (cond, error) {
	return chain(p, "or", "||", p.and, func(a, b cond) cond {
		return func(r *run, f *frame) bool { return a(r, f) || b(r, f) }
	})
}

func (p *conditionParser) and() (cond, error) {
	return chain(p, "and", "&&", p.not, func(a, b cond) cond {
		return func(r *run, f *frame) bool { return a(r, f) && b(r, f) }
	})
}

func (p *conditionParser) not() (cond, error) {
	if p.is('w', "not") || p.is('o', "!") {
		p.next()
		inner, err := p.not()
		if err != nil {
			return nil, err
		}
		if p.only != nil && p.count == 1 {
			turned := *p.only
			turned.negated = !turned.negated
			p.only = &turned
			return turned.cond(), nil
		}
		return func(r *run, f *frame) bool { return !inner(r, f) }, nil
	}
	if p.is('o', "(") {
		p.next()
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		return inner, p.expect(")")
	}
	return p.comparison()
}

func (p *conditionParser) expect(sign string) error {
	if !p.is('o', sign) {
		return fmt.Errorf("%q is missing", sign)
	}
	p.next()
	return nil
}

func (p *conditionParser) comparison() (cond, error) {
	p.count++
	switch {
	case p.kind == 0:
		return nil, fmt.Errorf("a condition is missing")
	case p.kind == 's' || p.kind == 'e':
		return nil, fmt.Errorf("a path stands before the comparison")
	case p.is('w', "true"):
		p.next()
		return func(*run, *frame) bool { return true }, nil
	case p.is('w', "valued"):
		get, err := p.call()
		if err != nil {
			return nil, err
		}
		return func(r *run, f *frame) bool {
			ok := get(r, f, r.take())
			r.give(1)
			return ok
		}, nil
	case p.is('w', "len"):
		return p.length()
	}
	path := p.token
	if strings.HasPrefix(p.text, "(") {
		return nil, fmt.Errorf("%q is not one of valued, len", path)
	}
	get := p.operand(path)
	p.next()
	return p.compare(get, path)
}

// operand compiles the left side: a path, or a value handed over.
func (p *conditionParser) operand(text string) getter {
	return p.c.source(parseSource(text, p.at, p.c.probs))
}

func (p *conditionParser) compare(get getter, path string) (cond, error) {
	set, negated, err := p.against()
	if err != nil {
		return nil, err
	}
	p.only = &selection{get: get, path: path, set: set, negated: negated}
	return p.only.cond(), nil
}

// against reads == "A", != "A", in ["A", "B"] and not in […]: the constants, and
// whether none of them may be equal.
func (p *conditionParser) against() (set []string, negated bool, err error) {
	sign := p.token
	switch {
	case p.is('o', "==", "!="):
		p.next()
		want, err := p.constant()
		return []string{want}, sign == "!=", err
	case p.is('w', "not"):
		p.next()
		if !p.is('w', "in") {
			return nil, false, fmt.Errorf("in is missing after not")
		}
		negated = true
	case !p.is('w', "in"):
		return nil, false, fmt.Errorf("==, != or in is missing")
	}
	p.next()
	set, err = p.list()
	return set, negated, err
}

// size reads what len(…) is compared with.
func (p *conditionParser) size() (sign string, want int, err error) {
	sign = p.token
	if !p.is('o', "==", "!=", "<", ">", "<=", ">=") {
		return "", 0, fmt.Errorf("len(…) is compared with a number")
	}
	p.next()
	text, err := p.constant()
	if err != nil {
		return "", 0, err
	}
	if want, err = strconv.Atoi(text); err != nil {
		return "", 0, fmt.Errorf("len(…) is compared with a number")
	}
	return sign, want, nil
}

// A selection is one path compared with constants: the commonest condition.
type selection struct {
	get     getter
	path    string
	set     []string
	negated bool
}

// holds compares a value that was read; an absent one is the empty text.
func (s *selection) holds(v *val, present bool) bool {
	for _, want := range s.set {
		if present && v.is(want) || !present && want == "" {
			return !s.negated
		}
	}
	return s.negated
}

func (s *selection) cond() cond {
	return func(r *run, f *frame) bool {
		v := r.take()
		present := s.get(r, f, v)
		ok := s.holds(v, present)
		r.give(1)
		return ok
	}
}

func (p *conditionParser) constant() (string, error) {
	if p.kind != 's' && (p.kind != 'w' || !isNumber(p.token)) {
		return "", fmt.Errorf("%q is not a constant; texts stand in quotes", p.token)
	}
	text := p.token
	p.next()
	return text, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

func (p *conditionParser) list() ([]string, error) {
	if err := p.expect("["); err != nil {
		return nil, err
	}
	var set []string
	for {
		text, err := p.constant()
		if err != nil {
			return nil, err
		}
		set = append(set, text)
		if p.is('o', ",") {
			p.next()
			continue
		}
		return set, p.expect("]")
	}
}

// call reads (PATH) of valued and len.
func (p *conditionParser) call() (getter, error) {
	name := p.token
	p.next()
	if err := p.expect("("); err != nil {
		return nil, fmt.Errorf("%s needs a path in parentheses", name)
	}
	if p.kind != 'w' {
		return nil, fmt.Errorf("%s needs a path in parentheses", name)
	}
	var get getter
	if cur, err := parseCursor(p.token); err == nil && cur.segment != "" && cur.field == 0 {
		get = p.c.wholeSegment(cur.segment)
	} else {
		get = p.operand(p.token)
	}
	p.next()
	return get, p.expect(")")
}

// length compiles len(PATH[*]) > 1, which counts repetitions, and len(PATH) > 8,
// which counts characters.
func (p *conditionParser) length() (cond, error) {
	rest := p.text
	many := false
	if inside, _, closed := strings.Cut(rest, ")"); closed {
		many = strings.HasSuffix(strings.TrimSpace(inside), "[*]")
	}
	get, err := p.call()
	if err != nil {
		return nil, err
	}
	sign, want, err := p.size()
	if err != nil {
		return nil, err
	}
	return func(r *run, f *frame) bool {
		v := r.take()
		n := 0
		if get(r, f, v) {
			if n = v.reps(); !many {
				n = utf8.RuneCountInString(r.text(v))
			}
		}
		r.give(1)
		return ordered(n, sign, want)
	}, nil
}

func ordered(n int, sign string, want int) bool {
	switch sign {
	case "==":
		return n == want
	case "!=":
		return n != want
	case "<":
		return n < want
	case ">":
		return n > want
	case "<=":
		return n <= want
	}
	return n >= want
}

// wholeSegment is valued where the segment is there.
func (c *compiler) wholeSegment(name string) getter {
	if n, ok := c.declared[name]; ok {
		return func(_ *run, f *frame, out *val) bool { return segmentValue(f.decl[n], out) }
	}
	slot := c.slot(name)
	return func(_ *run, f *frame, out *val) bool { return segmentValue(f.env.near[slot], out) }
}

func segmentValue(seg hl7v2.Segment, out *val) bool {
	if !seg.Valid() {
		return false
	}
	start, end := seg.Span()
	*out = val{text: seg.Name(), start: int32(start), end: int32(end)}
	return true
}
