package expression

import (
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/plexus-health/plexus/message"
)

// binary checks the operands of an operator that are paths, for which expr's
// own words would not help, and turns `in table("…")` into a look-up.
func (b *builder) binary(n *ast.Node, v *ast.BinaryNode) {
	b.coded(&v.Left)
	b.coded(&v.Right)
	if b.oneOf(n, v) {
		return
	}
	switch v.Operator {
	case "and", "or", "&&", "||":
		b.condition(v.Left)
		b.condition(v.Right)
	case "==", "!=", "<", ">", "<=", ">=":
		b.compared(v, v.Left, v.Right, false)
		b.compared(v, v.Right, v.Left, true)
	case "in":
		if b.in(n, v) {
			return
		}
	case "matches", "contains", "startsWith", "endsWith":
		b.searched(v)
	case "..":
		b.fail(v, "a range (..) is not allowed: list the values")
	case "??", "**", "^":
		b.fail(v, "%s is not part of the language", v.Operator)
	default:
		b.arithmetic(v, v.Left)
		b.arithmetic(v, v.Right)
	}
	b.transform(&v.Left)
	b.transform(&v.Right)
}

// oneOf takes == with a list that the place in hand has below it as has(…): a
// concept in hand is equal to a code when one of its codings is.
func (b *builder) oneOf(n *ast.Node, v *ast.BinaryNode) bool {
	if v.Operator != "==" || b.isList(v.Left) == b.isList(v.Right) {
		return false
	}
	list, other := v.Left, v.Right
	if b.isList(other) {
		list, other = other, list
	}
	p, _, ok := b.ref(list)
	if _, nested := p.(message.Nested); !ok || !nested || !isText(other) {
		return false
	}
	if _, h := b.within(p); h == nil {
		return false
	}
	ast.Patch(n, &ast.CallNode{Callee: &ast.IdentifierNode{Value: "has"}, Arguments: []ast.Node{list, other}})
	b.transform(n)
	return true
}

// condition checks an operand of and, or, not.
func (b *builder) condition(n ast.Node) {
	if p, text, ok := b.ref(n); ok {
		b.fail(n, "%s is %s: write valued(%s)", text, kindName(p.Kind()), text)
	}
}

// compared checks one side of a comparison.
func (b *builder) compared(v *ast.BinaryNode, n, other ast.Node, turned bool) {
	p, text, ok := b.ref(n)
	if !ok {
		return
	}
	switch p.Kind() {
	case message.Places:
		b.fail(n, "%s is a place in the message, not a value: name a field of it, or write valued(%s)", text, text)
	case message.Several:
		if !b.isList(other) {
			b.fail(n, "%s has several values: write %s", text, b.several(v, text, other, turned))
		}
	default:
		b.comparedText(v, n, other, text, turned)
	}
}

// comparedText checks the other side of a comparison with one text.
func (b *builder) comparedText(v *ast.BinaryNode, n, other ast.Node, text string, turned bool) {
	sides := func(function string) string {
		if turned {
			return b.source(other) + " " + v.Operator + " " + function + "(" + text + ")"
		}
		return function + "(" + text + ") " + v.Operator + " " + b.source(other)
	}
	switch {
	case isNumber(other):
		b.fail(n, "%s is text: write %s", text, sides("number"))
	case isDay(other):
		b.fail(n, "%s is text: write %s", text, sides("day"))
	case isTruth(other):
		b.fail(n, "%s is text: write valued(%s)", text, text)
	case strings.ContainsAny(v.Operator, "<>") && isText(other):
		b.fail(n, "%s is text and has no order: write number(…) or day(…) around both sides", text)
	}
}

// several is how a comparison with a list is to be written.
func (b *builder) several(v *ast.BinaryNode, text string, other ast.Node, turned bool) string {
	switch {
	case v.Operator == "==":
		return "has(" + text + ", " + b.source(other) + ")"
	case v.Operator == "!=":
		return "not has(" + text + ", " + b.source(other) + ")"
	case turned:
		return "any(" + text + ", " + b.source(other) + " " + v.Operator + " number(#))"
	}
	return "any(" + text + ", number(#) " + v.Operator + " " + b.source(other) + ")"
}

// searched checks matches, contains, startsWith, endsWith.
func (b *builder) searched(v *ast.BinaryNode) {
	for _, n := range []ast.Node{v.Left, v.Right} {
		p, text, ok := b.ref(n)
		switch {
		case !ok:
		case p.Kind() == message.Several:
			b.fail(n, "%s has several values: write any(%s, # %s %s)", text, text, v.Operator, b.source(v.Right))
		case p.Kind() == message.Places:
			b.fail(n, "%s is a place in the message, not a value: name a field of it", text)
		}
	}
	if v.Operator != "matches" {
		return
	}
	if _, constant := v.Right.(*ast.StringNode); !constant {
		b.fail(v.Right, "the pattern of matches has to be a text in quotes")
	}
}

// in checks `x in y`; true when it has been replaced by a look-up.
func (b *builder) in(n *ast.Node, v *ast.BinaryNode) bool {
	if p, text, ok := b.ref(v.Left); ok {
		switch p.Kind() {
		case message.Several:
			b.fail(v.Left, "%s has several values: write any(%s, # in %s)", text, text, b.source(v.Right))
		case message.Places:
			b.fail(v.Left, "%s is a place in the message, not a value: name a field of it", text)
		}
	}
	if p, text, ok := b.ref(v.Right); ok && p.Kind() != message.Several {
		if p.Kind() == message.One {
			b.fail(v.Right, "%s has one value: write %s == %s, or %s contains %s", text, text, b.source(v.Left), text, b.source(v.Left))
		} else {
			b.fail(v.Right, "%s is a place in the message, not a list of values", text)
		}
	}
	call, ok := v.Right.(*ast.CallNode)
	if !ok || b.wrong != nil {
		return false
	}
	if name, isName := call.Callee.(*ast.IdentifierNode); !isName || name.Value != "table" {
		return false
	}
	i, ok := b.table(call)
	if !ok {
		return true
	}
	b.transform(&v.Left)
	ast.Patch(n, &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: "$intable"},
		Arguments: []ast.Node{environment(), &ast.IntegerNode{Value: i}, v.Left},
	})
	return true
}

// arithmetic checks an operand of + - * / %.
func (b *builder) arithmetic(v *ast.BinaryNode, n ast.Node) {
	p, text, ok := b.ref(n)
	if !ok {
		return
	}
	switch p.Kind() {
	case message.Places:
		b.fail(n, "%s is a place in the message and cannot be reckoned with: write a path of it without spaces, %s%s%s", text, text, v.Operator, "…")
	case message.Several:
		b.fail(n, "%s has several values and cannot be reckoned with: name one of them", text)
	default:
		if v.Operator != "+" || isNumber(v.Left) || isNumber(v.Right) {
			b.fail(n, "%s is text: write number(%s)", text, text)
		}
	}
}

func (b *builder) isList(n ast.Node) bool {
	if p, _, ok := b.ref(n); ok {
		return p.Kind() == message.Several
	}
	switch v := n.(type) {
	case *ast.ArrayNode:
		return true
	case *ast.BuiltinNode:
		return v.Name == "filter"
	case *ast.CallNode:
		return called(n, "split") || called(n, "paths")
	}
	return false
}

func isNumber(n ast.Node) bool {
	switch v := n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return true
	case *ast.UnaryNode:
		return (v.Operator == "-" || v.Operator == "+") && isNumber(v.Node)
	case *ast.BuiltinNode:
		return v.Name == "len" || v.Name == "count"
	case *ast.BinaryNode:
		return isArithmetic(v.Operator) && (isNumber(v.Left) || isNumber(v.Right))
	}
	return called(n, "number") || called(n, "years")
}

func isDay(n ast.Node) bool {
	if m, ok := n.(*ast.MemberNode); ok {
		owner, named := m.Node.(*ast.IdentifierNode)
		return named && owner.Value == "message"
	}
	return called(n, "day")
}

func isText(n ast.Node) bool { _, ok := n.(*ast.StringNode); return ok }

func isTruth(n ast.Node) bool {
	switch n.(type) {
	case *ast.BoolNode, *ast.NilNode:
		return true
	}
	return false
}

func called(n ast.Node, name string) bool {
	call, ok := n.(*ast.CallNode)
	if !ok {
		return false
	}
	callee, ok := call.Callee.(*ast.IdentifierNode)
	return ok && callee.Value == name
}

// isArithmetic reports whether an operator gives a number.
func isArithmetic(operator string) bool {
	switch operator {
	case "+", "-", "*", "/", "%":
		return true
	}
	return false
}
