package mapping

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A test is a compiled `when` of a map from FHIR.
type test func(r *backRun, item bvalue) bool

// condition compiles a `when`: paths and constants compared by ==, !=, in;
// valued(path), len(path); and, or, not.
func (c *backCompiler) condition(text string, at place) test {
	p := &backCondition{c: c, at: at, tokens: backTokens(text)}
	t, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%q is not expected", p.tokens[0])
	}
	if err != nil {
		c.wrong(at, "when: %s", err)
		return nil
	}
	return t
}

type backCondition struct {
	c      *backCompiler
	at     place
	tokens []string
}

// backTokens divides a condition. A path keeps its brackets.
func backTokens(text string) []string {
	var out []string
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ':
			i++
			continue
		case c == '"' || c == '\'':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				end = len(text) - i - 2
			}
			out = append(out, text[i:min(i+end+2, len(text))])
			i += end + 2
			continue
		case strings.ContainsRune("()[],", rune(c)) && (c != '[' || i == 0 || text[i-1] == ' '):
			out = append(out, string(c))
			i++
			continue
		}
		n := 1
		if strings.ContainsRune("=!<>", rune(c)) {
			for i+n < len(text) && strings.ContainsRune("=!<>", rune(text[i+n])) {
				n++
			}
		} else {
			depth := 0
			for i+n < len(text) {
				d := text[i+n]
				if d == '[' {
					depth++
				}
				if depth == 0 && strings.ContainsRune(" ()],=!<>\"'", rune(d)) {
					break
				}
				if d == ']' {
					depth--
				}
				n++
			}
		}
		out = append(out, text[i:i+n])
		i += n
	}
	return out
}

func (p *backCondition) take(word string) bool {
	if len(p.tokens) > 0 && p.tokens[0] == word {
		p.tokens = p.tokens[1:]
		return true
	}
	return false
}

func (p *backCondition) or() (test, error) {
	left, err := p.and()
	for err == nil && p.take("or") {
		var right test
		if right, err = p.and(); err == nil {
			a, b := left, right
			left = func(r *backRun, v bvalue) bool { return a(r, v) || b(r, v) }
		}
	}
	return left, err
}

func (p *backCondition) and() (test, error) {
	left, err := p.not()
	for err == nil && p.take("and") {
		var right test
		if right, err = p.not(); err == nil {
			a, b := left, right
			left = func(r *backRun, v bvalue) bool { return a(r, v) && b(r, v) }
		}
	}
	return left, err
}

func (p *backCondition) not() (test, error) {
	if p.take("not") {
		inner, err := p.not()
		if err != nil {
			return nil, err
		}
		return func(r *backRun, v bvalue) bool { return !inner(r, v) }, nil
	}
	if p.take("(") {
		inner, err := p.or()
		if err == nil && !p.take(")") {
			err = fmt.Errorf("a parenthesis is open")
		}
		return inner, err
	}
	return p.comparison()
}

func (p *backCondition) word() (string, error) {
	if len(p.tokens) == 0 {
		return "", fmt.Errorf("it ends where a path is wanted")
	}
	w := p.tokens[0]
	p.tokens = p.tokens[1:]
	return w, nil
}

func (p *backCondition) path() (getValues, error) {
	w, err := p.word()
	if err != nil {
		return nil, err
	}
	before := len(p.c.probs.list)
	get := p.c.path(source{text: w, at: p.at}).get
	if len(p.c.probs.list) > before {
		return func(*backRun, bvalue) []bvalue { return nil }, nil // said already
	}
	return get, nil
}

func (p *backCondition) comparison() (test, error) {
	for _, call := range []string{"valued", "len"} {
		if len(p.tokens) < 2 || p.tokens[0] != call || p.tokens[1] != "(" {
			continue
		}
		p.tokens = p.tokens[2:]
		get, err := p.path()
		if err == nil && !p.take(")") {
			err = fmt.Errorf("a parenthesis is open")
		}
		if err != nil || call == "valued" {
			return func(r *backRun, v bvalue) bool { return len(get(r, v)) > 0 }, err
		}
		return p.length(get)
	}
	get, err := p.path()
	if err != nil {
		return nil, err
	}
	sign, err := p.word()
	if err != nil {
		return nil, fmt.Errorf("a comparison is wanted: valued(…), ==, !=, in [ … ]")
	}
	var wanted []string
	switch sign {
	case "==", "!=":
		var one string
		one, err = p.constant()
		wanted = []string{one}
	case "in":
		wanted, err = p.list()
	default:
		return nil, fmt.Errorf("%q is no comparison: ==, !=, in", sign)
	}
	if err != nil {
		return nil, err
	}
	return func(r *backRun, v bvalue) bool {
		values := get(r, v)
		has := slices.ContainsFunc(values, func(one bvalue) bool { return slices.Contains(wanted, one.plain()) })
		return has != (sign == "!=")
	}, nil
}

func (p *backCondition) length(get getValues) (test, error) {
	sign, err := p.word()
	if err != nil {
		return nil, err
	}
	number, err := p.constant()
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(number)
	if err != nil || !slices.Contains([]string{"==", "!=", "<", ">", "<=", ">="}, sign) {
		return nil, fmt.Errorf("len(…) is compared with a number")
	}
	return func(r *backRun, v bvalue) bool { return ordered(len(get(r, v)), sign, n) }, nil
}

func (p *backCondition) constant() (string, error) {
	w, err := p.word()
	if err != nil {
		return "", err
	}
	if text, quoted := unquote(w); quoted || isNumber(w) || w == "true" || w == "false" {
		return text, nil
	}
	return "", fmt.Errorf("%s is no constant: put a text in quotes", w)
}

func (p *backCondition) list() ([]string, error) {
	if !p.take("[") {
		return nil, fmt.Errorf("in wants a list: in [\"a\", \"b\"]")
	}
	var out []string
	for {
		one, err := p.constant()
		if err != nil {
			return nil, err
		}
		out = append(out, one)
		if p.take("]") {
			return out, nil
		}
		if !p.take(",") {
			return nil, fmt.Errorf("the list has no end")
		}
	}
}
