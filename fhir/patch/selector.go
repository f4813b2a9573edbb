package patch

import (
	"errors"
	"strconv"
	"strings"

	"github.com/beevik/etree"
)

// A selector is the part of XPath that patches need (RFC 5261, 4.1): steps to
// children, to an attribute, a text or a comment, with conditions.
type selector struct {
	steps []xstep
}

// An xstep is one step: "name", "*", "@name", "text()", "comment()".
type xstep struct {
	kind        string // element, attribute, text, comment
	space, name string // of an element: its namespace and name, "*" for any
	conditions  []condition
}

// A condition is [n], [path] or [path='value'].
type condition struct {
	position int
	path     *selector
	value    *string
}

// selectorOf reads the sel of an operation.
func (w *work) selectorOf(o *etree.Element) (*selector, error) {
	switch o.Tag {
	case "add", "replace", "remove":
	default:
		return nil, errors.New("is not add, replace or remove")
	}
	text := strings.TrimSpace(o.SelectAttrValue("sel", ""))
	if text == "" {
		return nil, errors.New("has no sel")
	}
	if len(text) > 4096 {
		return nil, errSelect
	}
	p := &selectorParser{text: strings.TrimPrefix(text, "/"), o: o, work: w}
	s, err := p.path(0)
	if err == nil && p.text != "" {
		err = errSelect
	}
	return s, err
}

type selectorParser struct {
	text string
	o    *etree.Element
	work *work
}

// take takes a prefix of what is left.
func (p *selectorParser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.text, prefix)
	if ok {
		p.text = rest
	}
	return ok
}

// name takes a name.
func (p *selectorParser) name() string {
	end := strings.IndexFunc(p.text, func(r rune) bool {
		return r <= 0x7f && r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end < 0 {
		end = len(p.text)
	}
	name := p.text[:end]
	p.text = p.text[end:]
	return name
}

func (p *selectorParser) path(deep int) (*selector, error) {
	if deep > 5 {
		return nil, errSelect
	}
	s := &selector{}
	for {
		step, err := p.step(deep)
		if err != nil {
			return nil, err
		}
		s.steps = append(s.steps, step)
		if !p.take("/") {
			return s, nil
		}
		if step.kind != "element" {
			return nil, errSelect // nothing is below it
		}
	}
}

func (p *selectorParser) step(deep int) (s xstep, err error) {
	switch {
	case p.take("text()"):
		s.kind = "text"
	case p.take("comment()"):
		s.kind = "comment"
	case p.take("@"):
		s.kind, s.name = "attribute", p.name()
		if p.take(":") {
			s.name += ":" + p.name()
		}
	case p.take("*"):
		s.kind, s.name = "element", "*"
	default:
		s.kind, s.name = "element", p.name()
		prefix := ""
		if p.take(":") {
			prefix, s.name = s.name, p.name()
			if s.name == "" && p.take("*") {
				s.name = "*"
			}
		}
		s.space = p.work.scope(p.o, prefix)
		if prefix != "" && s.space == "" {
			return s, errSelect // a prefix that is not declared
		}
	}
	if s.name == "" && (s.kind == "element" || s.kind == "attribute") {
		return s, errSelect
	}
	for p.take("[") {
		c, err := p.condition(deep)
		if err != nil {
			return s, err
		}
		s.conditions = append(s.conditions, c)
	}
	return s, nil
}

func (p *selectorParser) condition(deep int) (c condition, err error) {
	p.text = strings.TrimSpace(p.text)
	if end := strings.IndexByte(p.text, ']'); end > 0 {
		if n, err := strconv.Atoi(strings.TrimSpace(p.text[:end])); err == nil && n > 0 {
			p.text = p.text[end+1:]
			return condition{position: n}, nil
		}
	}
	if c.path, err = p.path(deep + 1); err != nil {
		return c, err
	}
	p.text = strings.TrimSpace(p.text)
	if p.take("=") {
		p.text = strings.TrimSpace(p.text)
		quote := ""
		for _, q := range []string{`'`, `"`} {
			if p.take(q) {
				quote = q
			}
		}
		value, rest, ok := strings.Cut(p.text, quote)
		if quote == "" || !ok {
			return c, errSelect
		}
		c.value, p.text = &value, strings.TrimSpace(rest)
	}
	if !p.take("]") {
		return c, errSelect
	}
	return c, nil
}

// find returns what a selector finds from an element on.
func (w *work) find(s *selector, e *etree.Element) []target {
	at := []target{{element: e}}
	for i := range s.steps {
		var next []target
		for _, t := range at {
			next = append(next, w.step(&s.steps[i], t.element)...)
		}
		at = next
	}
	return at
}

// step is what one step finds below an element.
func (w *work) step(s *xstep, e *etree.Element) []target {
	var out []target
	if s.kind == "attribute" {
		if w.take(1+len(e.Attr)) && e.SelectAttr(s.name) != nil {
			out = append(out, target{element: e, attribute: s.name})
		}
		return out
	}
	for _, child := range e.Child {
		if !w.take(1) {
			return nil
		}
		switch c := child.(type) {
		case *etree.Element:
			if s.kind == "element" && (s.name == "*" || c.Tag == s.name) && (s.name == "*" && s.space == "" || w.namespace(c) == s.space) {
				out = append(out, target{element: c})
			}
		default:
			if s.kind == kindOf(child) {
				out = append(out, target{element: e, token: child})
			}
		}
	}
	for i := range s.conditions {
		out = w.kept(&s.conditions[i], out)
	}
	return out
}

// namespace is that of an element.
func (w *work) namespace(e *etree.Element) string {
	for around := e; around != nil; around = around.Parent() {
		w.take(1 + len(around.Attr))
	}
	return e.NamespaceURI()
}

// kept are the nodes that meet a condition.
func (w *work) kept(c *condition, list []target) []target {
	if c.position > 0 {
		if c.position > len(list) {
			return nil
		}
		return list[c.position-1 : c.position]
	}
	var out []target
	for _, t := range list {
		if !w.take(8) {
			return nil
		}
		if t.token != nil {
			continue
		}
		for _, inner := range w.find(c.path, t.element) {
			if c.value == nil || w.value(inner) == *c.value {
				out = append(out, t)
				break
			}
		}
	}
	return out
}

// value is the text of a node.
func (w *work) value(t target) string {
	w.take(1 + len(t.element.Child))
	switch {
	case t.attribute != "":
		return t.element.SelectAttrValue(t.attribute, "")
	case t.token == nil:
		return t.element.Text()
	}
	if c, ok := t.token.(*etree.CharData); ok {
		return c.Data
	}
	return ""
}
