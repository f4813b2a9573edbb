package expression

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/plexus-health/plexus/message"
)

// An Explanation says why an expression came out as it did.
type Explanation struct {
	// Value is true or false, or the text of a key; nil after a fault.
	Value any
	// Fault is the error of the evaluation.
	Fault error
	// Operands are the paths read outside any(…), in their order.
	Operands []Operand
	// False are the operands of the outermost `and` that did not hold, as
	// the user wrote them, when the whole did not.
	False []string
}

// An Operand is one path of an expression and what it found.
type Operand struct {
	Path string
	Kind message.PathKind
	// Values are what was read; the first alone for one value. They are
	// values of the message: for the screen of who may see it, never for a log.
	Values []string
	// Places is the number of places of a segment, group or loop.
	Places int
}

// String says what an operand found, without values of the message.
func (o Operand) String() string {
	switch {
	case o.Kind == message.Places && o.Places == 0:
		return o.Path + " is absent"
	case o.Kind == message.Places:
		return fmt.Sprintf("%s is there %d times", o.Path, o.Places)
	case len(o.Values) == 0 || o.Kind == message.One && o.Values[0] == "":
		return o.Path + " is empty"
	case o.Kind == message.Several:
		return fmt.Sprintf("%s has %d values", o.Path, len(o.Values))
	}
	return o.Path + " is valued"
}

// String is the explanation in a line: `false: PID-3.1 is empty`. It holds no
// value of the message.
func (e Explanation) String() string {
	var b strings.Builder
	switch v := e.Value.(type) {
	case bool:
		fmt.Fprint(&b, v)
	case nil:
		b.WriteString("fault")
		if e.Fault != nil {
			b.WriteString(": " + e.Fault.Error())
		}
	default:
		b.WriteString("a value")
	}
	for i, text := range e.False {
		b.WriteString([]string{": not ", "; not "}[min(i, 1)] + text)
	}
	between := ": "
	if len(e.False) > 0 {
		between = "; "
	}
	for _, o := range e.Operands {
		b.WriteString(between + o.String())
		between = ", "
	}
	return b.String()
}

// Explain evaluates an expression and tells what its operands were.
func (p *Program) Explain(env Env, at message.Node) Explanation {
	if at == nil {
		at = env.Root
	}
	var e Explanation
	e.Value, e.Fault = p.eval(env, at)
	seen := map[string]bool{}
	for _, r := range p.reads {
		name := r.path.String()
		if r.inHand || seen[name] {
			continue
		}
		seen[name] = true
		o := Operand{Path: name, Kind: r.path.Kind()}
		switch o.Kind {
		case message.One:
			o.Values = []string{r.path.Text(at)}
		case message.Several:
			o.Values = r.path.Texts(at)
		case message.Places:
			o.Places = len(r.path.Nodes(at))
		}
		e.Operands = append(e.Operands, o)
	}
	if e.Value != false {
		return e
	}
	for _, c := range p.clauses {
		part := *p
		part.code = c.code
		if v, err := part.eval(env, at); err == nil && v == false {
			e.False = append(e.False, c.text)
		}
	}
	return e
}

// A clause is one operand of the outermost `and`.
type clause struct {
	text string
	code *vm.Program
}

// conjuncts lists the operands of the outermost `and`.
func conjuncts(n ast.Node) []ast.Node {
	if v, ok := n.(*ast.BinaryNode); ok && (v.Operator == "and" || v.Operator == "&&") {
		return append(conjuncts(v.Left), conjuncts(v.Right)...)
	}
	return []ast.Node{n}
}

// parts are the operands of the outermost `and` as the user wrote them.
func (b *builder) parts(n ast.Node) []string {
	var list []string
	for _, part := range conjuncts(n) {
		list = append(list, b.source(part))
	}
	return list
}

// clauses compiles the operands of the outermost `and` for Explain. One that
// cannot be compiled by itself is left out.
func (b *builder) clauses(list []ast.Node, texts []string) {
	for i, n := range list {
		tree := &parser.Tree{Node: n, Source: file.NewSource(b.rewritten.text)}
		if _, err := checker.Check(tree, b.config); err != nil {
			continue
		}
		code, err := compiler.Compile(tree, b.config)
		if err != nil {
			continue
		}
		b.program.clauses = append(b.program.clauses, clause{text: texts[i], code: code})
	}
}
