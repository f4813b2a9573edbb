package expression

import (
	"sort"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/plexus-health/plexus/message"
)

// values are the words that stand for something of the message.
var values = map[string]bool{
	"type": true, "structure": true, "sender": true, "receiver": true, "control": true,
	"channel": true, "peer": true, "message": true, "var": true,
}

// builtins are the functions of expr that stay.
var builtins = map[string]bool{
	"any": true, "all": true, "none": true, "one": true, "count": true,
	"find": true, "filter": true, "len": true,
}

// transform replaces what the user wrote by what runs, from the leaves up:
// paths by reads, values of the file by their texts, and so on.
func (b *builder) transform(n *ast.Node) {
	if b.wrong != nil {
		return
	}
	switch v := (*n).(type) {
	case *ast.NilNode:
		b.fail(v, `nil is not used here: an absent value is the empty text, write valued(…)`)
	case *ast.IdentifierNode:
		b.identifier(n, v)
	case *ast.UnaryNode:
		if v.Operator == "not" || v.Operator == "!" {
			b.condition(v.Node)
		}
		b.transform(&v.Node)
	case *ast.BinaryNode:
		b.binary(n, v)
	case *ast.MemberNode:
		b.member(n, v)
	case *ast.CallNode:
		b.call(n, v)
	case *ast.BuiltinNode:
		b.builtin(n, v)
	case *ast.ConditionalNode:
		b.condition(v.Cond)
		b.transform(&v.Cond)
		b.transform(&v.Exp1)
		b.transform(&v.Exp2)
	case *ast.ArrayNode:
		for i := range v.Nodes {
			b.transform(&v.Nodes[i])
		}
	case *ast.PointerNode:
		if v.Name != "" {
			b.fail(v, "#%s is not known: # is the one in hand", v.Name)
		}
	case *ast.SliceNode:
		b.fail(v, "[from:to] is not allowed: name one value with [n], or use filter(…)")
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		b.fail(v, `"let" and ";" are not allowed: an expression is one condition`)
	case *ast.MapNode, *ast.PairNode, *ast.BytesNode, *ast.ChainNode:
		b.fail(v, "{…}, b\"…\" and ?. are not part of the language")
	}
}

// identifier replaces the name of a path by a read of it.
func (b *builder) identifier(n *ast.Node, v *ast.IdentifierNode) {
	if p, _, ok := b.ref(v); ok {
		ast.Patch(n, b.read(p))
		return
	}
	switch {
	case v.Value == "var":
		b.fail(v, "var needs a name: var.name")
	case v.Value == "message":
		b.fail(v, "message needs a name: message.received")
	case v.Value == "now" || v.Value == "date":
		b.fail(v, "there is no clock here, so that a replay gives the same: use message.received")
	case functionNames[v.Value] || builtins[v.Value]:
		b.fail(v, "%s is a function: write %s", v.Value, usage(v.Value))
	case !values[v.Value]:
		b.fail(v, "%q is not known%s", v.Value, near(v.Value, words()))
	}
}

// ref tells whether n is a path as the user wrote it, and which: as it reads
// from the places in hand.
func (b *builder) ref(n ast.Node) (p message.Path, text string, ok bool) {
	if p, text, ok = b.asWritten(n); ok {
		p, _ = b.within(p)
	}
	return p, text, ok
}

// within finds the place in hand that a path is read from, nil for none, and
// what the path is from there.
func (b *builder) within(p message.Path) (message.Path, *hand) {
	for i := len(b.hands) - 1; i >= 0 && p.Anchor() != ""; i-- {
		h := b.hands[i]
		if h.places == nil {
			continue
		}
		if nested, ok := p.(message.Nested); ok {
			if below, through := nested.Below(h.places); through {
				return below, h
			}
		} else if h.places.Anchor() == p.Anchor() {
			return p, h
		}
	}
	return p, nil
}

// asWritten tells whether n is a path as the user wrote it, and which.
func (b *builder) asWritten(n ast.Node) (p message.Path, text string, ok bool) {
	switch v := n.(type) {
	case *ast.IdentifierNode:
		if !strings.HasPrefix(v.Value, "$") {
			return b.place(v.Value)
		}
		i, err := strconv.Atoi(v.Value[1:])
		if err != nil || i >= len(b.rewritten.paths) {
			return nil, "", false
		}
		return b.rewritten.paths[i].path, b.rewritten.paths[i].text, true
	case *ast.CallNode:
		name, text, ok := b.written(v)
		if !ok || b.o.Grammar == nil {
			return nil, "", false
		}
		p, err := b.o.Grammar.Compile(text)
		if err != nil || (name == "paths") == (p.Kind() == message.One) && p.Kind() != message.Places {
			return nil, "", false
		}
		return p, name + "(" + strconv.Quote(text) + ")", true
	}
	return nil, "", false
}

// place takes a plain word that the grammar's scan leaves alone, since it may
// be any word, but that it knows as a group or loop: ORDER_OBSERVATION.
func (b *builder) place(word string) (p message.Path, text string, ok bool) {
	if b.o.Grammar == nil || values[word] || functionNames[word] || builtins[word] {
		return nil, "", false
	}
	p, err := b.o.Grammar.Compile(word)
	if err != nil || p.Kind() != message.Places {
		return nil, "", false
	}
	return p, word, true
}

// written tells whether a call is path("…") or paths("…").
func (b *builder) written(v *ast.CallNode) (name, text string, ok bool) {
	callee, isName := v.Callee.(*ast.IdentifierNode)
	if !isName || callee.Value != "path" && callee.Value != "paths" || len(v.Arguments) != 1 {
		return "", "", false
	}
	s, isText := v.Arguments[0].(*ast.StringNode)
	if !isText {
		return "", "", false
	}
	return callee.Value, s.Value, true
}

// read is the call that reads a path, from the place in hand where it is read
// from one.
func (b *builder) read(p message.Path) ast.Node { return b.readAs(p, readers[p.Kind()]) }

func (b *builder) readAs(p message.Path, function string) ast.Node {
	args := []ast.Node{environment(), &ast.IntegerNode{Value: len(b.program.reads)}}
	p, h := b.within(p)
	switch {
	case h == nil:
	case h == b.hands[len(b.hands)-1]:
		args = append(args, &ast.PointerNode{})
	default:
		h.used = true
		args = append(args, &ast.IdentifierNode{Value: h.variable})
	}
	b.program.reads = append(b.program.reads, read{path: p, inHand: h != nil, kept: len(b.hands) > 0 && h == nil})
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: function}, Arguments: args}
}

func environment() ast.Node { return &ast.IdentifierNode{Value: "$env"} }

// member replaces var.name by its text and lets message.received and [n] pass.
func (b *builder) member(n *ast.Node, v *ast.MemberNode) {
	property, named := v.Property.(*ast.StringNode)
	if owner, ok := v.Node.(*ast.IdentifierNode); ok && named {
		switch owner.Value {
		case "var":
			text, set := b.o.Vars[property.Value]
			if !set {
				b.fail(v, "variable %q is not set%s", property.Value, near(property.Value, keys(b.o.Vars)))
				return
			}
			ast.Patch(n, &ast.StringNode{Value: text})
			return
		case "message":
			if property.Value != "received" {
				b.fail(v, "message.%s is not known; known: message.received", property.Value)
			}
			return
		}
	}
	if p, text, ok := b.ref(v.Node); ok && named {
		b.fail(v, "%s.%s is not a path of this format (%s is %s)", text, property.Value, text, kindName(p.Kind()))
		return
	}
	if named {
		b.fail(v, "%s has no part called %q", b.source(v.Node), property.Value)
		return
	}
	b.transform(&v.Node)
	b.transform(&v.Property)
}

// builtin checks any, all and the like, and puts the one in hand in place.
func (b *builder) builtin(n *ast.Node, v *ast.BuiltinNode) {
	if !builtins[v.Name] {
		b.fail(v, "%s(…) is not part of the language%s", v.Name, near(v.Name, words()))
		return
	}
	if v.Name == "len" {
		if len(v.Arguments) != 1 {
			b.fail(v, "len takes one value: len(list)")
			return
		}
		b.transform(&v.Arguments[0])
		return
	}
	collection := v.Arguments[0]
	if p, text, ok := b.ref(collection); ok && p.Kind() == message.One {
		b.fail(collection, "%s has one value; %s wants a list, a segment, a group or a loop", text, v.Name)
		return
	}
	places := b.places(collection)
	b.transform(&v.Arguments[0])
	if len(v.Arguments) == 1 {
		ast.Patch(n, &ast.BuiltinNode{Name: "len", Arguments: v.Arguments}) // count(list)
		return
	}
	predicate, ok := v.Arguments[1].(*ast.PredicateNode)
	if !ok || b.wrong != nil {
		return
	}
	b.predicate(v, predicate, places)
}

// predicate transforms the condition of an any(…).
func (b *builder) predicate(v *ast.BuiltinNode, predicate *ast.PredicateNode, places message.Path) {
	if len(b.hands) == maxDepth {
		b.fail(v, "%s(…) stands more than %d deep", v.Name, maxDepth)
		return
	}
	h := &hand{places: places, variable: "$in" + strconv.Itoa(len(b.hands))}
	b.hands = append(b.hands, h)
	b.condition(predicate.Node)
	b.transform(&predicate.Node)
	b.hands = b.hands[:len(b.hands)-1]
	if len(b.hands) > 0 {
		// Inner loops are counted, so that no message keeps the engine busy for long.
		tick := &ast.CallNode{Callee: &ast.IdentifierNode{Value: "$tick"}, Arguments: []ast.Node{environment()}}
		predicate.Node = &ast.BinaryNode{Operator: "&&", Left: tick, Right: predicate.Node}
	}
	if h.used {
		predicate.Node = &ast.VariableDeclaratorNode{Name: h.variable, Value: &ast.PointerNode{}, Expr: predicate.Node}
	}
}

// maxDepth is how deep any(…) may stand in any(…).
const maxDepth = 4

// places is the path of the segments, groups or loops that a collection is of;
// nil for others.
func (b *builder) places(n ast.Node) message.Path {
	if p, _, ok := b.ref(n); ok {
		if p.Kind() == message.Places {
			return p
		}
		return nil
	}
	if v, ok := n.(*ast.BuiltinNode); ok && v.Name == "filter" {
		return b.places(v.Arguments[0])
	}
	return nil
}

// coded puts the code in the place of # where the places in hand are codes.
func (b *builder) coded(n *ast.Node) {
	pointer, ok := (*n).(*ast.PointerNode)
	if !ok || pointer.Name != "" || len(b.hands) == 0 {
		return
	}
	c, ok := b.hands[len(b.hands)-1].places.(message.Coded)
	if !ok {
		return
	}
	if p := c.Code(); p != nil {
		ast.Patch(n, &ast.IdentifierNode{Value: "$" + strconv.Itoa(len(b.rewritten.paths))})
		b.rewritten.paths = append(b.rewritten.paths, found{text: "#", path: p})
	}
}

// words lists what an expression may name.
func words() []string {
	var list []string
	for _, set := range []map[string]bool{values, builtins, functionNames} {
		for name := range set {
			list = append(list, name)
		}
	}
	sort.Strings(list)
	return list
}

func keys(m map[string]string) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	sort.Strings(list)
	return list
}
