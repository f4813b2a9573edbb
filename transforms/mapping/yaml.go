package mapping

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/plexus-health/plexus/internal/spelling"
	"github.com/plexus-health/plexus/transforms"
)

// A place is where something stands in a file.
type place struct {
	file         string
	line, column int
}

// problems collects everything wrong with a set of files.
type problems struct {
	list []transforms.Problem
	// unreadable is true when a file could not be read at all: what others
	// miss because of it would only be noise.
	unreadable bool
}

func (p *problems) add(at place, format string, args ...any) {
	p.list = append(p.list, transforms.Problem{
		File: at.file, Line: at.line, Column: at.column, Text: fmt.Sprintf(format, args...),
	})
}

// A shape is the kind of a YAML value.
type shape uint8

const (
	scalar shape = iota
	mapping
	list
	nothing
	refused // a tag, an anchor: said already
)

// A tree is a YAML value with its place; scalars keep their text as typed, so
// that .10 is no number and 012 no other.
type tree struct {
	sort    shape
	text    string
	at      place
	members []member
	items   []*tree
}

type member struct {
	key  string
	at   place
	tree *tree
}

// readYAML returns the documents of a file. Tags, anchors, aliases, merge keys
// and keys that stand twice are problems.
func readYAML(file string, data []byte, probs *problems) []*tree {
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // a byte order mark says nothing (YAML 1.2.2, 5.2)
	parsed, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at := place{file, 1, 1}
		text := "not readable as YAML"
		if bad, ok := err.(yaml.Error); ok && bad.GetToken() != nil { //nolint:errorlint // the parser returns it bare
			at.line, at.column = bad.GetToken().Position.Line, bad.GetToken().Position.Column
			text += ": " + bad.GetMessage()
		}
		probs.add(at, "%s", text)
		probs.unreadable = true
		return nil
	}
	r := reader{file: file, probs: probs}
	var docs []*tree
	for _, doc := range parsed.Docs {
		if doc.Body != nil {
			docs = append(docs, r.read(doc.Body, 0))
		}
	}
	return docs
}

type reader struct {
	file  string
	probs *problems
}

func (r *reader) place(n ast.Node) place {
	at := place{file: r.file, line: 1, column: 1}
	if t := n.GetToken(); t != nil {
		at.line, at.column = t.Position.Line, t.Position.Column
	}
	return at
}

func (r *reader) read(n ast.Node, depth int) *tree {
	if n == nil {
		return &tree{sort: nothing, at: place{r.file, 1, 1}}
	}
	t := &tree{at: r.place(n)}
	if depth > 40 {
		r.probs.add(t.at, "nested deeper than 40 levels")
		return t
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		t.sort = mapping
		if len(v.Values) > 0 {
			t.at = r.place(v.Values[0].Key)
		}
		for _, m := range v.Values {
			r.member(t, m, depth)
		}
	case *ast.SequenceNode:
		t.sort = list
		for _, item := range v.Values {
			t.items = append(t.items, r.read(item, depth+1))
		}
	case *ast.LiteralNode:
		t.text = strings.TrimRight(v.Value.Value, "\n")
	case *ast.NullNode:
		t.sort = nothing
	case *ast.TagNode:
		t.sort = refused
		r.probs.add(t.at, "a tag (%s) is not allowed here; put the text in quotes", v.Start.Value)
	case *ast.AnchorNode, *ast.AliasNode:
		t.sort = refused
		r.probs.add(t.at, "anchors and aliases (& and *) are not allowed here; put the text in quotes")
	default:
		t.text = n.GetToken().Value
	}
	return t
}

func (r *reader) member(t *tree, v *ast.MappingValueNode, depth int) {
	at := r.place(v.Key)
	if _, merge := v.Key.(*ast.MergeKeyNode); merge {
		r.probs.add(at, "merge keys (<<) are not allowed here")
		return
	}
	key := v.Key.GetToken().Value
	if explicit, ok := v.Key.(*ast.MappingKeyNode); ok {
		key = explicit.Value.GetToken().Value
	}
	for i := range t.members {
		if t.members[i].key == key {
			r.probs.add(at, "%q stands twice, first in line %d", key, t.members[i].at.line)
			return
		}
	}
	t.members = append(t.members, member{key: key, at: at, tree: r.read(v.Value, depth+1)})
}

// get returns the value of a key of a mapping, nil when there is none.
func (t *tree) get(key string) *tree {
	for i := range t.members {
		if t.members[i].key == key {
			return t.members[i].tree
		}
	}
	return nil
}

// texts gives a scalar as a list of one, a list of scalars as such.
func (t *tree) texts(probs *problems, what string) []string {
	switch {
	case t == nil || t.sort == nothing:
		return nil
	case t.sort == scalar:
		return []string{t.text}
	case t.sort == list:
		out := make([]string, 0, len(t.items))
		for _, item := range t.items {
			if item.sort != scalar {
				probs.add(item.at, "%s is a list of words", what)
				continue
			}
			out = append(out, item.text)
		}
		return out
	}
	probs.add(t.at, "%s is a word or a list of words", what)
	return nil
}

// sort puts the problems in the order of their places.
func (p *problems) sort() {
	slices.SortStableFunc(p.list, func(a, b transforms.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// near says which of the known words was probably meant, or nothing.
func near(word string, known []string) string {
	if found := spelling.Nearest(word, known); found != "" {
		return fmt.Sprintf("; did you mean %q?", found)
	}
	return ""
}
