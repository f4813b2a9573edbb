package expression

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"

	"github.com/plexus-health/plexus/message"
)

// Compile compiles text, or says with an *Error what is wrong with it and where.
func Compile(text string, o Options) (*Program, error) {
	if strings.TrimSpace(text) == "" {
		return nil, at(text, 0, "the expression is empty")
	}
	if len(text) > maxText {
		return nil, at(text, 0, fmt.Sprintf("the expression has %d bytes; at most %d are allowed", len(text), maxText))
	}
	rewritten, wrong := rewrite(text, o.Grammar)
	if wrong != nil {
		return nil, wrong
	}
	b := &builder{
		o: o, text: text, rewritten: rewritten, config: configuration(),
		program: &Program{text: text, want: o.Want, zone: o.Zone},
	}
	if err := b.build(); err != nil {
		return nil, err
	}
	return b.program, nil
}

// A builder compiles one expression.
type builder struct {
	o         Options
	text      string
	rewritten *rewriting
	config    *conf.Config
	program   *Program
	hands     []*hand // the predicates around, outermost first
	wrong     *Error  // the first thing found wrong
}

// A hand is the place in hand of one predicate.
type hand struct {
	places   message.Path // the collection; nil when it is of texts
	variable string       // what names it in predicates further inside
	used     bool         // whether one of those needs it
}

// configuration is what expr may know of: our values and functions, few of its own.
func configuration() *conf.Config {
	c := conf.CreateNew()
	c.MaxNodes = maxNodes
	c.WithEnv(&run{})
	for name := range c.Builtins {
		if !builtins[name] {
			c.Disabled[name] = true
			delete(c.Builtins, name)
		}
	}
	for name, f := range compiled() {
		c.Functions[name] = f
	}
	return c
}

func (b *builder) build() error {
	tree, err := parser.ParseWithConfig(b.rewritten.text, b.config)
	if err != nil {
		return b.located(err)
	}
	b.wanted(tree.Node)
	texts := b.parts(tree.Node)
	b.transform(&tree.Node)
	if b.wrong != nil {
		return b.wrong
	}
	clauses := conjuncts(tree.Node)
	got, err := checker.Check(tree, b.config)
	if err != nil {
		return b.located(err)
	}
	if err := b.gives(got); err != nil {
		return err
	}
	if len(clauses) > 1 {
		b.clauses(clauses, texts)
	}
	if err := optimizer.Optimize(&tree.Node, b.config); err != nil {
		return b.located(err)
	}
	b.program.code, err = compiler.Compile(tree, b.config)
	if err != nil {
		return at(b.text, 0, "the expression cannot be compiled")
	}
	return nil
}

// located turns an error of expr into ours: its place in the text as written,
// and the paths in place of the names that stood for them.
func (b *builder) located(err error) error {
	f, ok := errors.AsType[*file.Error](err)
	if !ok {
		return at(b.text, 0, b.restore(err.Error()))
	}
	text := b.restore(f.Message)
	text = tokenForm.ReplaceAllString(text, `unexpected "$1"`)
	switch {
	case text == "unexpected token EOF":
		text = "the expression ends too early"
	case strings.HasPrefix(text, "expected at least"):
		text = "too few arguments: any, all and the like are written any(list, condition)"
	}
	return at(b.text, b.offset(f.From), text)
}

// tokenForm is how expr names a token.
var tokenForm = regexp.MustCompile(`unexpected token [A-Za-z]+\("(.*)"\)`)

// offset is the place in the original of a character of the rewritten text.
func (b *builder) offset(from int) int {
	n := 0
	for i := range b.rewritten.text {
		if n == from {
			return b.rewritten.original(i)
		}
		n++
	}
	return len(b.text)
}

// restore writes paths where $0, $1 stand for them.
func (b *builder) restore(text string) string {
	for i := len(b.rewritten.paths) - 1; i >= 0; i-- {
		text = strings.ReplaceAll(text, fmt.Sprintf("$%d", i), b.rewritten.paths[i].text)
	}
	text = strings.ReplaceAll(text, "[]message.Node", "list of places")
	return strings.ReplaceAll(text, "[]string", "list of texts")
}

// fail notes the first fault.
func (b *builder) fail(n ast.Node, format string, args ...any) {
	if b.wrong == nil {
		b.wrong = at(b.text, b.offset(n.Location().From), fmt.Sprintf(format, args...))
	}
}

// source is the text of a part of the expression, for hints.
func (b *builder) source(n ast.Node) string {
	if text, ok := b.shown(n); ok {
		return text
	}
	return b.restore(n.String())
}

// wanted gives our words for a value of the wrong kind where it is a path.
func (b *builder) wanted(n ast.Node) {
	p, text, ok := b.ref(n)
	if !ok {
		return
	}
	switch kind := p.Kind(); {
	case b.o.Want == Bool:
		b.fail(n, "%s is %s: write valued(%s)", text, kindName(kind), text)
	case b.o.Want == Text && kind == message.Several:
		b.fail(n, "%s has several values: name one of them, or write join(%s, \",\")", text, text)
	case b.o.Want != List && kind == message.Places:
		b.fail(n, "%s is a place in the message, not a text: name a field of it", text)
	}
}

// gives checks the kind of the whole expression.
func (b *builder) gives(got reflect.Type) error {
	switch {
	case b.o.Want == Bool && got.Kind() != reflect.Bool:
		return at(b.text, 0, fmt.Sprintf("the expression gives %s, not true or false", typeName(got)))
	case b.o.Want == Text && got.Kind() != reflect.String:
		return at(b.text, 0, fmt.Sprintf("the expression gives %s, not a text", typeName(got)))
	case b.o.Want == List && got != listType:
		return at(b.text, 0, fmt.Sprintf("the expression gives %s, not a list of texts", typeName(got)))
	}
	return nil
}

func kindName(k message.PathKind) string {
	switch k {
	case message.Several:
		return "a list of texts"
	case message.Places:
		return "a place in the message"
	}
	return "text"
}

func typeName(t reflect.Type) string {
	switch {
	case t == listType:
		return "a list of texts"
	case t == placesType:
		return "places in the message"
	case t.Kind() == reflect.String:
		return "a text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Float64:
		return "a number"
	case t.String() == "time.Time":
		return "a day"
	case t.Kind() == reflect.Slice:
		return "a list"
	}
	return "something else"
}
