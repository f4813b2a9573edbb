package routes

import (
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A file that is not YAML as a whole is read in pieces: its keys one by one, and
// the channels of its list one by one. So a fault hides only the piece it stands
// in, and there is nothing said of what may stand in that.

// A lost is what could not be read: keys of the top level. wholeFile: nobody
// can say what.
type lost map[string]bool

const wholeFile = "*"

// mostFaults bounds the pieces of one file that are told.
const mostFaults = 50

// has reports whether something of a key may be missing.
func (l lost) has(key string) bool { return l[key] || l[wholeFile] }

// A piece is a part of a file that is read by itself.
type piece struct {
	key  string // of the top level; "" for what stands before the first
	line int    // lines before it
	text string
}

var (
	topKey   = regexp.MustCompile(`^["']?([A-Za-z0-9_-]+)["']?\s*:(\s|$)`)
	listItem = regexp.MustCompile(`^(\s*)-(\s|$)`)
)

// blocks divides a file at the keys that stand at the beginning of a line.
func blocks(lines []string) []piece {
	return divide(lines, 0, func(line string) (string, bool) {
		m := topKey.FindStringSubmatch(line)
		if m == nil {
			return "", false
		}
		return m[1], true
	})
}

// items divides a list that stands below its key at its dashes.
func (p piece) items() []piece {
	lines, indent := strings.Split(p.text, "\n"), ""
	for i, line := range lines[1:] {
		m := listItem.FindStringSubmatch(line)
		switch {
		case m == nil && (strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "#")):
			continue
		case m == nil:
			return nil
		}
		indent = m[1]
		return divide(lines[1+i:], p.line+1+i, func(line string) (string, bool) {
			m := listItem.FindStringSubmatch(line)
			return p.key, m != nil && m[1] == indent
		})
	}
	return nil
}

// divide makes a piece begin at each line that begins one.
func divide(lines []string, before int, begins func(string) (string, bool)) []piece {
	var out []piece
	from, key := 0, ""
	end := func(to int) {
		if text := strings.Join(lines[from:to], "\n"); strings.TrimSpace(text) != "" {
			out = append(out, piece{key, before + from, text})
		}
	}
	for i, line := range lines {
		if next, ok := begins(line); ok {
			end(i)
			from, key = i, next
		}
	}
	end(len(lines))
	return out
}

// pieces reads what can be read of a file in which whole is wrong.
func (r *reader) pieces(whole error, lost lost) *node {
	root := &node{form: object, at: Place{r.name, 1, 1}, size: 1}
	for _, p := range blocks(r.lines) {
		read, err := r.piece(p)
		if r.faults >= mostFaults {
			lost[wholeFile] = true
			break
		}
		if err == nil {
			r.join(root, read, lost)
			continue
		}
		if p.key == "" || p.key == "include" {
			lost[wholeFile] = true
		}
		lost[p.key] = true
		good := &node{form: sequence, at: Place{r.name, p.line + 1, 1}, size: 1}
		before := r.faults
		if p.key == "channels" {
			for _, item := range p.items() {
				one, err := r.piece(item)
				if err != nil {
					r.syntaxOf(item, err)
				} else if one != nil && one.form == sequence {
					good.items = append(good.items, one.items...)
				}
			}
			root.members = append(root.members, member{key: p.key, at: good.at, value: good})
		}
		if r.faults == before {
			r.syntaxOf(p, err)
		}
	}
	if r.faults == 0 {
		lost[wholeFile] = true
		r.syntax(whole)
	}
	return root
}

// piece reads one piece.
func (r *reader) piece(p piece) (*node, error) {
	r.shift = p.line
	defer func() { r.shift = 0 }()
	parsed, err := parser.ParseBytes([]byte(p.text), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	var body ast.Node
	for _, doc := range parsed.Docs {
		if body == nil {
			body = doc.Body
		}
	}
	if body == nil {
		return nil, nil //nolint:nilnil // comments alone
	}
	r.partly = true
	return r.read(body, 0), nil
}

// syntaxOf reports why a piece cannot be read.
func (r *reader) syntaxOf(p piece, err error) {
	if r.faults++; r.faults > mostFaults {
		return
	}
	r.shift = p.line
	defer func() { r.shift = 0 }()
	r.syntax(err)
}

// join takes the keys of a piece.
func (r *reader) join(root, read *node, lost lost) {
	switch {
	case read == nil:
	case read.form != object:
		lost[wholeFile] = true
	default:
		for _, m := range read.members {
			if root.member(m.key) != nil {
				continue // the fault may be just that
			}
			root.members = append(root.members, m)
			root.size += m.value.size
		}
	}
}
