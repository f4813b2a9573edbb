package tables

import (
	"bytes"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/plexus-health/plexus/internal/spelling"
)

// byteOrderMark stands in front of what some editors write; it says nothing
// (YAML 1.2.2, 5.2).
const byteOrderMark = "\ufeff"

// yamlFile reads a file of one table, a list of tables, or the code systems.
func (l *loader) yamlFile(file string, data []byte) {
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	tree, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		line, col, text := syntax(err)
		l.problem(Problem{file, line, col, text})
		return
	}
	for _, doc := range tree.Docs {
		switch body := doc.Body.(type) {
		case nil:
		case *ast.SequenceNode:
			if isSystems(file) {
				l.yamlSystems(file, body)
				continue
			}
			for _, v := range body.Values {
				l.yamlTable(file, v)
			}
		default:
			l.yamlTable(file, body)
		}
	}
}

func syntax(err error) (line, col int, text string) {
	if bad, ok := err.(yaml.Error); ok { //nolint:errorlint // the parser returns it bare
		token := bad.GetToken()
		if token != nil {
			return token.Position.Line, token.Position.Column, "not readable as YAML: " + bad.GetMessage()
		}
	}
	return 1, 1, "not readable as YAML"
}

// members calls take with each key of a mapping; what is no mapping, a merge
// key or a key that stands twice is a problem.
func (l *loader) members(file string, n ast.Node, what string, take func(key place, v ast.Node) bool) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		p := at(n)
		l.problem(Problem{file, p.line, p.column, what + " is a mapping"})
		return
	}
	seen := map[string]bool{}
	for _, v := range m.Values {
		key := at(v.Key)
		switch {
		case seen[key.text]:
			l.problem(Problem{file, key.line, key.column, quote(key.text) + " stands twice"})
		case !take(key, v.Value):
			l.problem(Problem{file, key.line, key.column, what + ": unknown field " + quote(key.text)})
		}
		seen[key.text] = true
	}
}

// at gives a scalar as typed and its place; "" for what is none.
func at(n ast.Node) place {
	if n == nil {
		return place{line: 1, column: 1}
	}
	t := n.GetToken()
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		t = m.Values[0].Key.GetToken()
	}
	p := place{line: t.Position.Line, column: t.Position.Column}
	switch v := n.(type) {
	case *ast.LiteralNode:
		p.text = v.Value.Value
	case *ast.NullNode, *ast.MappingNode, *ast.SequenceNode, *ast.TagNode, *ast.AliasNode, *ast.AnchorNode:
	default:
		p.text = t.Value
	}
	return p
}

func (l *loader) yamlTable(file string, n ast.Node) {
	d := &draft{}
	start := at(n)
	d.line, d.column = start.line, start.column
	var systems, entries ast.Node
	l.members(file, n, "a table", func(key place, v ast.Node) bool {
		switch key.text {
		case "table":
			d.table.Name, d.line, d.column = at(v).text, key.line, key.column
		case "from":
			d.from = l.systemOf(file, v)
		case "to":
			d.to = l.systemOf(file, v)
		case "otherwise":
			d.other = l.word(file, v)
		case "ignore":
			d.ignore = texts(v)
		case "entries":
			entries = v
		case "systems":
			systems = v
		case "note":
		default:
			return false
		}
		return true
	})
	if systems != nil {
		l.yamlSystems(file, systems)
		return
	}
	if d.table.Name == "" {
		l.problem(Problem{file, d.line, d.column, "a table without a name: table: NAME"})
		return
	}
	if list, ok := entries.(*ast.SequenceNode); ok {
		for _, v := range list.Values {
			d.entries = append(d.entries, l.yamlEntry(file, d.table.Name, v))
		}
	} else if entries != nil {
		l.problem(Problem{file, at(entries).line, at(entries).column, "table " + d.table.Name + ": entries is a list"})
	}
	l.otherwise(file, d)
	l.add(file, d)
}

func (l *loader) systemOf(file string, n ast.Node) (p place) {
	if _, ok := n.(*ast.MappingNode); !ok {
		return at(n)
	}
	l.members(file, n, "a side of a table", func(key place, v ast.Node) bool {
		if key.text == "system" {
			p = at(v)
			return true
		}
		return false
	})
	return p
}

// word reads `otherwise:` as the CSV form writes it.
func (l *loader) word(file string, n ast.Node) (p place) {
	if _, ok := n.(*ast.MappingNode); !ok {
		return at(n)
	}
	l.members(file, n, "otherwise", func(key place, v ast.Node) bool {
		p = at(v)
		p.text = "{" + p.text + "}"
		return key.text == "code"
	})
	return p
}

func texts(n ast.Node) []string {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		if p := at(n); p.text != "" {
			return []string{p.text}
		}
		return nil
	}
	out := make([]string, 0, len(list.Values))
	for _, v := range list.Values {
		out = append(out, at(v).text)
	}
	return out
}

func (l *loader) yamlEntry(file, table string, n ast.Node) (e entry) {
	start := at(n)
	e.from = place{line: start.line, column: start.column}
	fields := map[string]*place{
		"from": &e.from, "display": &e.display, "to": &e.to, "to-display": &e.toDisplay, "system": &e.system,
		"units": &e.units, "both": &e.both, "since": &e.since, "until": &e.until, "note": {},
	}
	l.members(file, n, "table "+table+": an entry", func(key place, v ast.Node) bool {
		p, ok := fields[key.text]
		if ok {
			*p = at(v)
		}
		return ok
	})
	return e
}

func (l *loader) yamlSystems(file string, n ast.Node) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		l.problem(Problem{file, at(n).line, at(n).column, "systems is a list"})
		return
	}
	for _, v := range list.Values {
		var name, uri, oid place
		var v2 []string
		name = place{line: at(v).line, column: at(v).column}
		l.members(file, v, "a code system", func(key place, v ast.Node) bool {
			switch key.text {
			case "name":
				name = at(v)
			case "uri":
				uri = at(v)
			case "oid":
				oid = at(v)
			case "v2":
				for _, text := range texts(v) {
					v2 = append(v2, splitNames(text)...)
				}
			case "note":
			default:
				return false
			}
			return true
		})
		l.addSystem(file, name, uri, oid, v2)
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// near says what was probably meant, or nothing.
func near(word string, known []string) string {
	if found := spelling.Nearest(word, known); found != "" {
		return "; did you mean " + quote(found) + "?"
	}
	return ""
}
