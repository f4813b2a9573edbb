package fhirpath

import (
	"regexp"
	"slices"
	"strconv"
)

type opcode uint8

const (
	opLiteral  opcode = iota
	opMember          // in.name
	opCall            // in.name(args)
	opIndex           // in[right]
	opVariable        // %name
	opThis
	opItemIndex
	opTotal
	opSign   // name in
	opBinary // in name right
	opType   // in is typ, in as typ
)

// A node is one step of an expression. It is never changed once compiled.
type node struct {
	op    opcode
	at    int
	name  string
	code  operator
	in    *node // nil: the step begins with what the scope says
	right *node
	args  []*node
	value []Value
	fn    *function
	typ   typeName
	re    *regexp.Regexp // of a pattern that is written out
}

type operator uint8

const (
	noOperator operator = iota
	opMultiply
	opDivide
	opDiv
	opMod
	opAdd
	opSubtract
	opConcat
	opUnion
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opEqual
	opNotEqual
	opEquivalent
	opNotEquivalent
	opIn
	opContains
	opAnd
	opOr
	opXor
	opImplies
)

// binding is how strongly an operator binds (FHIRPath N1, 6.8); is and as stand
// between addition and union.
type binding struct {
	strength int
	code     operator
}

const typeStrength = 8

func bindingOf(t token) (binding, bool) {
	if t.kind != tokSymbol && t.kind != tokWord {
		return binding{}, false
	}
	switch t.text {
	case "*":
		return binding{10, opMultiply}, true
	case "/":
		return binding{10, opDivide}, true
	case "div":
		return binding{10, opDiv}, true
	case "mod":
		return binding{10, opMod}, true
	case "+":
		return binding{9, opAdd}, true
	case "-":
		return binding{9, opSubtract}, true
	case "&":
		return binding{9, opConcat}, true
	case "is", "as":
		return binding{typeStrength, noOperator}, true
	case "|":
		return binding{7, opUnion}, true
	case "<":
		return binding{6, opLess}, true
	case "<=":
		return binding{6, opLessEqual}, true
	case ">":
		return binding{6, opGreater}, true
	case ">=":
		return binding{6, opGreaterEqual}, true
	}
	return looseBindingOf(t.text)
}

func looseBindingOf(text string) (binding, bool) {
	switch text {
	case "=":
		return binding{5, opEqual}, true
	case "!=":
		return binding{5, opNotEqual}, true
	case "~":
		return binding{5, opEquivalent}, true
	case "!~":
		return binding{5, opNotEquivalent}, true
	case "in":
		return binding{4, opIn}, true
	case "contains":
		return binding{4, opContains}, true
	case "and":
		return binding{3, opAnd}, true
	case "or":
		return binding{2, opOr}, true
	case "xor":
		return binding{2, opXor}, true
	case "implies":
		return binding{1, opImplies}, true
	}
	return binding{}, false
}

const signStrength = 11

type parser struct {
	lexer
	tok      token
	depth    int
	patterns int // regular expressions so far
}

func (p *parser) advance() error {
	var err error
	p.tok, err = p.next()
	return err
}

func (p *parser) symbol(text string) bool { return p.tok.kind == tokSymbol && p.tok.text == text }

// expect passes one symbol.
func (p *parser) expect(text string) error {
	if !p.symbol(text) {
		return fault(p.tok.at, "%q is expected, not %s", text, p.tok.shown())
	}
	return p.advance()
}

// expression reads operators that bind more strongly than least.
func (p *parser) expression(least int) (*node, error) {
	if p.depth++; p.depth > maxNested {
		return nil, fault(p.tok.at, "the expression is nested more than %d deep", maxNested)
	}
	defer func() { p.depth-- }()
	left, err := p.signed()
	if err != nil {
		return nil, err
	}
	// A chain of operators is as deep to evaluate as it is long.
	for links := 1; ; links++ {
		b, ok := bindingOf(p.tok)
		if !ok || b.strength <= least {
			return left, nil
		}
		if links > maxNested {
			return nil, fault(p.tok.at, "more than %d operators stand in a row", maxNested)
		}
		n := &node{op: opBinary, at: p.tok.at, name: p.tok.text, code: b.code, in: left}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if b.strength == typeStrength {
			n.op = opType
			n.typ, err = p.typeName()
		} else {
			n.right, err = p.expression(b.strength)
		}
		if err != nil {
			return nil, err
		}
		left = n
	}
}

// signed reads a term with its signs, which bind less than its path.
func (p *parser) signed() (*node, error) {
	if !p.symbol("+") && !p.symbol("-") {
		return p.path()
	}
	n := &node{op: opSign, at: p.tok.at, name: p.tok.text}
	if err := p.advance(); err != nil {
		return nil, err
	}
	var err error
	n.in, err = p.expression(signStrength)
	return n, err
}

// path reads a term and the steps that follow it.
func (p *parser) path() (*node, error) {
	n, err := p.term()
	for links := 1; err == nil; links++ {
		if links > maxNested {
			return nil, fault(p.tok.at, "a path has more than %d steps", maxNested)
		}
		switch {
		case p.symbol("."):
			if err = p.advance(); err == nil {
				n, err = p.step(n)
			}
		case p.symbol("["):
			index := &node{op: opIndex, at: p.tok.at, in: n}
			if err = p.advance(); err == nil {
				index.right, err = p.expression(0)
			}
			if err == nil {
				err = p.expect("]")
			}
			n = index
		default:
			return n, nil
		}
	}
	return nil, err
}

func (p *parser) term() (*node, error) {
	t := p.tok
	switch {
	case p.symbol("("):
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case p.symbol("{"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		return &node{op: opLiteral, at: t.at}, p.expect("}")
	case t.kind == tokString:
		return p.literal(t.at, Text(t.text))
	case t.kind == tokMoment:
		return p.literal(t.at, t.when)
	case t.kind == tokNumber:
		return p.number()
	case t.kind == tokVariable:
		return &node{op: opVariable, at: t.at, name: t.text}, p.advance()
	case t.kind == tokWord && (t.text == "true" || t.text == "false"):
		return p.literal(t.at, Boolean(t.text == "true"))
	case t.kind == tokWord && slices.Contains(reserved, t.text):
		return nil, fault(t.at, "%q stands where a value is expected", t.text)
	}
	return p.step(nil)
}

// reserved are operators that cannot begin a term.
var reserved = []string{"and", "or", "xor", "implies"}

func (p *parser) literal(at int, v Value) (*node, error) {
	return &node{op: opLiteral, at: at, value: []Value{v}}, p.advance()
}

// number reads a number, and the unit that makes it a quantity.
func (p *parser) number() (*node, error) {
	t := p.tok
	v, ok := parseNumber(t.text)
	if !ok {
		return nil, fault(t.at, "the number is out of range")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if calendar := calendarUnit(p.tok.text); p.tok.kind == tokString || (p.tok.kind == tokWord && calendar != "") {
		q := Value{kind: Quantity, dec: v.decimal(), text: p.tok.text}
		if calendar != "" {
			q.text, q.num = calendar, 1
		}
		return p.literal(t.at, q)
	}
	return &node{op: opLiteral, at: t.at, value: []Value{v}}, nil
}

// step reads a name, a function, or a word with $.
func (p *parser) step(in *node) (*node, error) {
	t := p.tok
	switch t.kind {
	case tokDollar:
		ops := map[string]opcode{"this": opThis, "index": opItemIndex, "total": opTotal}
		op, ok := ops[t.text]
		if !ok {
			return nil, fault(t.at, "$%s is not known; known: $this, $index, $total", t.text)
		}
		if in != nil {
			return nil, fault(t.at, "$%s stands at the start of a path only", t.text)
		}
		return &node{op: op, at: t.at}, p.advance()
	case tokWord, tokQuoted:
	default:
		return nil, fault(t.at, "%s stands where a name is expected", t.shown())
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if !p.symbol("(") {
		return &node{op: opMember, at: t.at, name: t.text, in: in}, nil
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	return p.call(&node{op: opCall, at: t.at, name: t.text, in: in})
}

// call reads the arguments of a function.
func (p *parser) call(n *node) (*node, error) {
	fn, ok := functions[n.name]
	if !ok {
		return nil, fault(n.at, "the function %q is not known", n.name)
	}
	n.fn = &fn
	if fn.typed {
		var err error
		if n.typ, err = p.typeName(); err != nil {
			return nil, err
		}
		return n, p.expect(")")
	}
	for !p.symbol(")") {
		if len(n.args) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		arg, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		if n.name == "sort" && p.tok.kind == tokWord && (p.tok.text == "asc" || p.tok.text == "desc") {
			if p.tok.text == "desc" {
				arg = &node{op: opSign, at: p.tok.at, name: "-", in: arg}
			}
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
		n.args = append(n.args, arg)
	}
	if len(n.args) < fn.least || (fn.most >= 0 && len(n.args) > fn.most) {
		return nil, fault(n.at, "%s() has %d arguments, not %s", n.name, len(n.args), fn.arity())
	}
	if fn.pattern && n.args[0].op == opLiteral && len(n.args[0].value) == 1 && n.args[0].value[0].kind == String {
		if p.patterns++; p.patterns > maxPatterns {
			return nil, fault(n.at, "the expression has more than %d regular expressions", maxPatterns)
		}
		re, err := compilePattern(n.name, n.args[0].value[0].text, n.args[0].at)
		if err != nil {
			return nil, err
		}
		n.re = re
	}
	return n, p.advance()
}

func (f *function) arity() string {
	if f.least == f.most {
		return strconv.Itoa(f.least)
	}
	if f.most < 0 {
		return "at least " + strconv.Itoa(f.least)
	}
	return strconv.Itoa(f.least) + " to " + strconv.Itoa(f.most)
}

// typeName reads Name, System.Name or FHIR.Name, and looks it up.
func (p *parser) typeName() (typeName, error) {
	at := p.tok.at
	var parts []string
	for {
		if p.tok.kind != tokWord && p.tok.kind != tokQuoted {
			return typeName{}, fault(p.tok.at, "%s stands where the name of a type is expected", p.tok.shown())
		}
		parts = append(parts, p.tok.text)
		if err := p.advance(); err != nil {
			return typeName{}, err
		}
		if !p.symbol(".") || len(parts) == 2 || (parts[0] != "System" && parts[0] != "FHIR") {
			break
		}
		if err := p.advance(); err != nil {
			return typeName{}, err
		}
	}
	t := typeName{name: parts[0]}
	if len(parts) == 2 {
		t = typeName{space: parts[0], name: parts[1]}
	}
	if !t.known() {
		return t, fault(at, "the type %q is not known", t.name)
	}
	return t, nil
}
