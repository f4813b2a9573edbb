package raw

import (
	"errors"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// A Grammar knows three paths: raw is the content as text, or the line in hand;
// raw.lines are all lines as texts, raw.line all lines as places.
type Grammar struct{}

var _ message.Grammar = Grammar{}

var kinds = map[string]message.PathKind{"raw": message.One, "raw.lines": message.Several, "raw.line": message.Places}

// Scan returns the length of the path at the beginning of text.
func (Grammar) Scan(before byte, text string) int {
	if word(before) || before == '.' {
		return 0
	}
	for _, path := range []string{"raw.lines", "raw.line", "raw"} {
		if strings.HasPrefix(text, path) && (len(text) == len(path) || !word(text[len(path)]) && text[len(path)] != '.') {
			return len(path)
		}
	}
	return 0
}

func word(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

var errPath = errors.New("the paths of raw content are raw, raw.lines and raw.line")

// Compile compiles a path.
func (Grammar) Compile(text string) (message.Path, error) {
	if _, ok := kinds[text]; !ok {
		return nil, errPath
	}
	return path(text), nil
}

// A path is one of the three.
type path string

// String is the path.
func (p path) String() string { return string(p) }

// Kind says which method answers.
func (p path) Kind() message.PathKind { return kinds[string(p)] }

// Anchor is what the path begins with: a line of any(raw.line, …) is read by
// raw.
func (path) Anchor() string { return "raw" }

// Text reads the content, or the line in hand.
func (p path) Text(from message.Node) string {
	if at, ok := from.(*place); ok && p == "raw" {
		return at.text()
	}
	return ""
}

// Texts reads the lines.
func (p path) Texts(from message.Node) []string {
	at, ok := from.(*place)
	if !ok || p != "raw.lines" {
		return nil
	}
	var out []string
	for _, n := range at.lines() {
		if line, ok := n.(*place); ok {
			out = append(out, line.text())
		}
	}
	return out
}

// Nodes lists the lines.
func (p path) Nodes(from message.Node) []message.Node {
	if at, ok := from.(*place); ok && p == "raw.line" {
		return at.lines()
	}
	return nil
}
