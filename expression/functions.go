package expression

import (
	"sort"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/plexus-health/plexus/message"
)

// A function is one of the language. Params has a letter for each parameter:
// t a text, l a list of texts, p a path of any kind, n a number, d a text or a
// time, c a text in quotes. Those after least may be left out.
type function struct {
	usage  string
	params string
	least  int
	// labelled functions can fail on a message: they are told how the file
	// names their argument, so that the fault names it and not the value.
	labelled bool
}

var functions = map[string]function{
	"valued": {usage: "valued(path)", params: "p", least: 1},
	"has":    {usage: "has(list, value)", params: "lt", least: 2},
	"number": {usage: "number(text) or number(text, else)", params: "tn", least: 1, labelled: true},
	"day":    {usage: "day(text)", params: "d", least: 1, labelled: true},
	"years":  {usage: "years(text)", params: "d", least: 1, labelled: true},
	"upper":  {usage: "upper(text)", params: "t", least: 1},
	"lower":  {usage: "lower(text)", params: "t", least: 1},
	"trim":   {usage: "trim(text)", params: "t", least: 1},
	"digits": {usage: "digits(text)", params: "t", least: 1},
	"join":   {usage: "join(list, between)", params: "lt", least: 2},
	"split":  {usage: "split(text, between)", params: "tt", least: 2},
	"lookup": {usage: `lookup("table", code) or lookup("table", code, else)`, params: "ctt", least: 2, labelled: true},
	"table":  {usage: `code in table("name")`, params: "c", least: 1},
	"path":   {usage: `path("…")`, params: "c", least: 1},
	"paths":  {usage: `paths("…")`, params: "c", least: 1},
}

// functionNames are the names of functions, and those of expr that stay.
var functionNames = func() map[string]bool {
	names := map[string]bool{}
	for name := range functions {
		names[name] = true
	}
	return names
}()

// usage is how a function is written.
func usage(name string) string {
	if f, ok := functions[name]; ok {
		return f.usage
	}
	if name == "len" {
		return "len(list)"
	}
	return name + "(list, condition)"
}

// call checks a call and hands the function what it needs besides.
func (b *builder) call(n *ast.Node, v *ast.CallNode) {
	callee, ok := v.Callee.(*ast.IdentifierNode)
	if !ok {
		b.fail(v, "%s cannot be called", b.source(v.Callee))
		return
	}
	name := callee.Value
	f, known := functions[name]
	switch {
	case name == "now" || name == "date":
		b.fail(v, "%s() is not allowed: there is no clock here, so that a replay gives the same; use message.received", name)
	case name == "type":
		b.fail(v, `type is the type of the message, not a function: write type == "ORU^R01"`)
	case values[name]:
		b.fail(v, "%s is a value, not a function", name)
	case !known:
		b.fail(v, "function %q is not known%s", name, near(name, words()))
	case len(v.Arguments) < f.least || len(v.Arguments) > len(f.params):
		b.fail(v, "%s has %d arguments: write %s", name, len(v.Arguments), f.usage)
	}
	if b.wrong != nil {
		return
	}
	switch name {
	case "path", "paths":
		b.writtenOut(n, v, name)
		return
	case "table":
		b.fail(v, `table("…") stands behind in: write code in table("name")`)
		return
	}
	for i, arg := range v.Arguments {
		b.argument(f, name, f.params[i], arg)
	}
	// What a fault names: the argument as the file writes it.
	label := b.source(v.Arguments[0])
	if name == "lookup" {
		label = b.source(v.Arguments[1])
	}
	if name == "lookup" {
		b.lookup(n, v, label)
		return
	}
	for i := range v.Arguments {
		b.transform(&v.Arguments[i])
	}
	if f.labelled {
		v.Arguments = append([]ast.Node{environment(), &ast.StringNode{Value: label}}, v.Arguments...)
	}
}

// argument checks one argument that is a path.
func (b *builder) argument(f function, name string, want byte, arg ast.Node) {
	if want == 'c' {
		if !isText(arg) {
			b.fail(arg, "%s wants a text in quotes here: write %s", name, f.usage)
		}
		return
	}
	p, text, ok := b.ref(arg)
	if !ok {
		return
	}
	switch kind := p.Kind(); {
	case want == 'p':
	case kind == message.Places:
		b.fail(arg, "%s is a place in the message, not a value: name a field of it", text)
	case want == 'l' && kind == message.One:
		if name == "has" {
			b.fail(arg, "%s has one value: write %s == …", text, text)
			return
		}
		b.fail(arg, "%s has one value; %s wants a list", text, name)
	case want != 'l' && kind == message.Several:
		b.fail(arg, "%s has several values; %s wants one: name one of them, or write any(%s, …)", text, name, text)
	case want == 'n':
		b.fail(arg, "%s is text: write number(%s)", text, text)
	}
}

// writtenOut replaces path("…") and paths("…") by a read.
func (b *builder) writtenOut(n *ast.Node, v *ast.CallNode, name string) {
	text, ok := v.Arguments[0].(*ast.StringNode)
	if !ok {
		b.fail(v, "%s wants a text in quotes: the path is checked when the file is read", name)
		return
	}
	if b.o.Grammar == nil {
		b.fail(v, "there are no paths here")
		return
	}
	p, err := b.o.Grammar.Compile(text.Value)
	if err != nil {
		b.fail(v, "%s", err)
		return
	}
	switch kind := p.Kind(); {
	case name == "path" && kind == message.Several:
		b.fail(v, "%s has several values: write paths(%q)", text.Value, text.Value)
	case name == "paths" && kind == message.One:
		ast.Patch(n, b.readAs(p, "$texts"))
	default:
		ast.Patch(n, b.read(p))
	}
}

// table finds the table a call names.
func (b *builder) table(v *ast.CallNode) (int, bool) {
	if len(v.Arguments) == 0 || !isText(v.Arguments[0]) {
		b.fail(v, `the table has to be named in quotes: table("name")`)
		return 0, false
	}
	name := v.Arguments[0].(*ast.StringNode).Value //nolint:forcetypeassert // isText said so
	for i := range b.program.tables {
		if b.program.tables[i].name == name {
			return i, true
		}
	}
	if b.o.Tables != nil {
		if contains, lookup, ok := b.o.Tables(name); ok {
			b.program.tables = append(b.program.tables, table{name: name, contains: contains, lookup: lookup})
			return len(b.program.tables) - 1, true
		}
	}
	b.fail(v, "table %q is not known%s", name, near(name, b.o.TableNames))
	return 0, false
}

// lookup replaces lookup("table", code, else) by a call that has the table.
func (b *builder) lookup(n *ast.Node, v *ast.CallNode, label string) {
	i, ok := b.table(v)
	if !ok {
		return
	}
	args := []ast.Node{environment(), &ast.IntegerNode{Value: i}, &ast.StringNode{Value: label}}
	for k := 1; k < len(v.Arguments); k++ {
		b.transform(&v.Arguments[k])
		args = append(args, v.Arguments[k])
	}
	ast.Patch(n, &ast.CallNode{Callee: &ast.IdentifierNode{Value: "$lookup"}, Arguments: args})
}

// shown is how the user wrote a simple part of the expression.
func (b *builder) shown(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return strconv.Quote(v.Value), true
	case *ast.IntegerNode:
		return strconv.Itoa(v.Value), true
	}
	_, text, ok := b.ref(n)
	return text, ok
}

// Functions lists the functions as they are written, for the reference page.
func Functions() []string {
	var list []string
	for name, f := range functions {
		if name != "path" && name != "paths" {
			list = append(list, f.usage)
		}
	}
	for name := range builtins {
		list = append(list, usage(name))
	}
	sort.Strings(list)
	return list
}

// Values lists the words that stand for something of the message.
func Values() []string {
	list := []string{"message.received", "var.name"}
	for name := range values {
		if name != "message" && name != "var" {
			list = append(list, name)
		}
	}
	sort.Slice(list, func(i, j int) bool { return strings.ToLower(list[i]) < strings.ToLower(list[j]) })
	return list
}
