package routes

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// form is what a YAML value looks like.
type form int

const (
	scalar form = iota
	object
	sequence
	nothing // a key without a value
)

// A node is a YAML value with its place. Scalars keep their text as typed, so
// that 01 stays 01.
type node struct {
	form    form
	text    string
	style   style
	at      Place
	members []member
	items   []*node
	size    int // values in it, itself included
	// column is where the text of a one-line scalar begins; 0 when columns
	// within the text cannot be told.
	column int
	tagged bool   // it had a tag, a lost alias or a wrong first sign, which was reported
	filled bool   // ${…} has been replaced in it
	line   string // the line of the file it stands on
	from   string // the template row it was made for
}

type style int

const (
	plain style = iota
	quoted
	block
)

type member struct {
	key   string
	at    Place
	value *node
}

// get returns the value of a key, nil when there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i := range n.members {
		if n.members[i].key == key {
			return n.members[i].value
		}
	}
	return nil
}

// The bounds of one file.
const (
	maxFile  = 8 << 20
	maxNodes = 1 << 20 // after aliases
	maxDepth = 100
)

// byteOrderMark stands in front of what some editors write; it says nothing
// (YAML 1.2.2, 5.2).
const byteOrderMark = "\ufeff"

// readYAML returns the value of a file, nil when it has none or cannot be read.
// Of what is no YAML it returns the pieces that are, and says which are lost.
func readYAML(name string, data []byte, missing lost, report func(Place, string)) (root *node) {
	at := Place{name, 1, 1}
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	if len(data) > maxFile {
		report(at, "the file is larger than 8 MB")
		return nil
	}
	if line := tooDeep(data); line > 0 {
		report(Place{name, line, 1}, fmt.Sprintf("nested deeper than %d levels", maxDepth))
		return nil
	}
	r := &reader{name: name, lines: strings.Split(string(data), "\n"), report: report, anchors: map[string]*node{}}
	defer func() {
		if recover() != nil { // the parser's, on bytes it did not expect
			report(at, "not readable as YAML")
			missing[wholeFile] = true
			root = nil
		}
	}()
	parsed, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return r.pieces(err, missing)
	}
	for _, doc := range parsed.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			report(r.place(doc.Body.GetToken()), "a second document (---) is not allowed: use include")
			break
		}
		root = r.read(doc.Body, 0)
	}
	return root
}

// tooDeep returns the line on which brackets or dashes nest deeper than anyone
// writes them, 0 when none does.
func tooDeep(data []byte) int {
	line, depth, dashes := 1, 0, 0
	for i, c := range data {
		switch c {
		case '\n':
			line++
			dashes = 0
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		case '-', '?':
			if i+1 < len(data) && data[i+1] == ' ' {
				dashes++
			}
		}
		if depth > maxDepth || dashes > maxDepth && strings.Trim(lineOf(data, i), "-? \r") == "" {
			return line
		}
	}
	return 0
}

// lineOf is the part of a line up to byte i.
func lineOf(data []byte, i int) string {
	start := i
	for start > 0 && data[start-1] != '\n' {
		start--
	}
	return string(data[start : i+1])
}

type reader struct {
	name    string
	lines   []string
	report  func(Place, string)
	anchors map[string]*node
	total   int
	shift   int  // lines before the piece in hand
	partly  bool // of a file that is read in pieces
	faults  int  // pieces of it that cannot be read
}

func (r *reader) place(t *token.Token) Place {
	if t == nil || t.Position == nil {
		return Place{r.name, 1, 1}
	}
	return Place{r.name, t.Position.Line + r.shift, t.Position.Column}
}

func (r *reader) lineAt(at Place) string {
	if at.Line < 1 || at.Line > len(r.lines) {
		return ""
	}
	return strings.TrimRight(r.lines[at.Line-1], "\r")
}

// syntax reports what the YAML parser could not read, with the trap that it
// most probably was.
func (r *reader) syntax(err error) {
	at, text := Place{r.name, 1, 1}, "not readable as YAML"
	if bad, ok := err.(yaml.Error); ok { //nolint:errorlint // the parser returns it bare
		at = r.place(bad.GetToken())
		text += ": " + bad.GetMessage()
	}
	for line := at.Line; line >= max(1+r.shift, at.Line-1); line-- {
		if hint := trap(r.lineAt(Place{Line: line})); hint != "" {
			text += "; " + hint
			break
		}
	}
	r.report(at, text)
}

var (
	expressionKey = regexp.MustCompile(`(?:^|[\s{,])(filter|that|when|key|by):\s*(.*)$`)
	flowPath      = regexp.MustCompile(`\{[^"']*:\s*[^"'\s][^"']*[A-Za-z0-9]\[`)
)

// trap recognises an expression that YAML reads in its own way.
func trap(line string) string {
	m := expressionKey.FindStringSubmatch(line)
	if m == nil || m[2] == "" {
		return ""
	}
	begins := m[2][:1]
	switch {
	case strings.ContainsAny(begins, "\"'") && !wholeQuote(m[2]):
		return "an expression may not begin with a quote: write has(…) or put the path first"
	case begins == "!":
		return "an expression may not begin with !: write not"
	case strings.ContainsAny(begins, "[{*&#%@`"):
		return fmt.Sprintf("an expression may not begin with %s: put the whole expression in quotes", begins)
	case flowPath.MatchString(line):
		return "inside { } an expression with [ ] has to be in quotes"
	}
	return ""
}

// wholeQuote reports whether text is one quoted text, as YAML reads it.
func wholeQuote(text string) bool {
	text = strings.TrimRight(text, " ,}]")
	return len(text) > 1 && text[0] == text[len(text)-1] && !strings.Contains(text[1:len(text)-1], text[:1])
}

func (r *reader) read(n ast.Node, depth int) *node {
	if n == nil {
		return &node{form: nothing, at: Place{r.name, 1, 1}, size: 1}
	}
	at := r.place(n.GetToken())
	out := &node{at: at, size: 1, line: r.lineAt(at)}
	if r.total++; depth > maxDepth || r.total > maxNodes {
		if r.total <= maxNodes+1 {
			r.report(at, "the file is too large or nested too deep")
			r.total = maxNodes + 1
		}
		out.form = nothing
		return out
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		r.object(out, v.Values, depth)
	case *ast.MappingValueNode:
		r.object(out, []*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		out.form = sequence
		items := v.Values
		for i := 0; i < len(items); i++ {
			item := items[i]
			if t, tagged := item.(*ast.TagNode); tagged {
				// As in siblings: the items after a tag without a value.
				if rest, ok := t.Value.(*ast.SequenceNode); ok && r.place(rest.GetToken()).Column == at.Column {
					alone := *t
					alone.Value = nil
					item, items = &alone, append(items, rest.Values...)
				}
			}
			child := r.read(item, depth+1)
			out.items = append(out.items, child)
			out.size += child.size
		}
	case *ast.NullNode:
		out.form = nothing
	case *ast.TagNode:
		r.tag(out, v)
	case *ast.AnchorNode:
		return r.anchor(v, depth)
	case *ast.AliasNode:
		return r.alias(out, v)
	case *ast.LiteralNode:
		out.text, out.style = strings.TrimRight(v.Value.Value, "\n"), block
	case *ast.StringNode:
		r.string(out, v)
	default:
		out.text = n.GetToken().Value
		out.column = at.Column
	}
	return out
}

func (r *reader) string(out *node, v *ast.StringNode) {
	out.text = v.Value
	t := v.GetToken()
	out.column = out.at.Column
	if t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType {
		out.style = quoted
		out.column++
	}
	if out.style == plain && out.text != "" && strings.ContainsAny(out.text[:1], "%@`") {
		out.tagged = true
		r.report(out.at, fmt.Sprintf("a text may not begin with %s: put it in quotes", out.text[:1]))
	}
	// Escapes and line breaks shift the columns: then they cannot be told.
	if strings.Contains(t.Origin, "\n") && strings.Contains(strings.TrimSpace(t.Origin), "\n") ||
		out.style == quoted && !strings.Contains(out.line, out.text) {
		out.column = 0
	}
}

func (r *reader) object(out *node, values []*ast.MappingValueNode, depth int) {
	out.form = object
	for i := 0; i < len(values); i++ {
		v := values[i]
		swallowed, value := siblings(v)
		values = append(values, swallowed...)
		at := r.place(v.Key.GetToken())
		if i == 0 {
			out.at, out.line = at, r.lineAt(at)
		}
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			r.report(at, "merge keys (<<) are not allowed: use defaults or templates")
			continue
		}
		key := v.Key.GetToken().Value
		switch k := v.Key.(type) {
		case *ast.MappingKeyNode:
			key = k.Value.GetToken().Value
		case *ast.TagNode, *ast.AnchorNode, *ast.AliasNode:
			r.report(at, "a key is a plain word: no tag, anchor or alias")
			continue
		}
		child := r.read(value, depth+1)
		if child.form == nothing && (child.at.Line == 1 && child.at.Column == 1 || child.at.Line == 0) {
			child.at = at
		}
		if first := out.member(key); first != nil {
			r.report(at, fmt.Sprintf("%q stands twice, first in line %d", key, first.at.Line))
			continue
		}
		out.members = append(out.members, member{key: key, at: at, value: child})
		out.size += child.size
	}
}

// siblings gives back the keys after a tag or anchor without a value, which
// the parser takes for its value although they stand beside it.
func siblings(v *ast.MappingValueNode) (swallowed []*ast.MappingValueNode, value ast.Node) {
	var inner ast.Node
	switch t := v.Value.(type) {
	case *ast.TagNode:
		inner = t.Value
	case *ast.AnchorNode:
		inner = t.Value
	}
	m, ok := inner.(*ast.MappingNode)
	if !ok || len(m.Values) == 0 {
		return nil, v.Value
	}
	key, first := v.Key.GetToken().Position, m.Values[0].Key.GetToken().Position
	if first.Line == key.Line || first.Column != key.Column {
		return nil, v.Value
	}
	switch t := v.Value.(type) {
	case *ast.TagNode:
		alone := *t
		alone.Value = nil
		return m.Values, &alone
	case *ast.AnchorNode:
		alone := *t
		alone.Value = nil
		return m.Values, &alone
	}
	return nil, v.Value
}

func (n *node) member(key string) *member {
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i]
		}
	}
	return nil
}

// tag refuses every tag: `filter: !valued(PID-3)` would be read as nothing.
func (r *reader) tag(out *node, v *ast.TagNode) {
	out.form, out.tagged = nothing, true
	word := v.Start.Value
	if m := expressionKey.FindStringSubmatch(out.line); m != nil {
		r.report(out.at, fmt.Sprintf("%q is a tag to YAML, and tags are not allowed: write not in place of !", word))
		return
	}
	r.report(out.at, fmt.Sprintf("%q is a tag to YAML, and tags are not allowed: put the text in quotes", word))
}

func (r *reader) anchor(v *ast.AnchorNode, depth int) *node {
	n := r.read(v.Value, depth+1)
	if v.Name != nil {
		r.anchors[v.Name.GetToken().Value] = n
	}
	return n
}

// alias gives the value of its anchor, which stands in the same file before it.
func (r *reader) alias(out *node, v *ast.AliasNode) *node {
	name := ""
	if v.Value != nil {
		name = v.Value.GetToken().Value
	}
	n := r.anchors[name]
	if n == nil && r.partly && !expressionKey.MatchString(out.line) {
		out.form, out.tagged = nothing, true // its anchor may be in a piece that is lost
		return out
	}
	if n == nil {
		text := fmt.Sprintf("no anchor &%s stands before it in this file", name)
		if expressionKey.MatchString(out.line) {
			text = "an expression may not begin with *: put the whole expression in quotes"
		}
		r.report(out.at, text)
		out.form, out.tagged = nothing, true
		return out
	}
	if r.total += n.size; r.total > maxNodes {
		r.report(out.at, "the file is too large with its aliases")
		out.form = nothing
		return out
	}
	return n
}
