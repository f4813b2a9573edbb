package expression

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/plexus-health/plexus/message"
)

// testGrammar is a small format: SEG-field[rep].component, [*] for all, a
// segment or GROUP alone for places.
type testGrammar struct{}

var (
	testPath = regexp.MustCompile(`^([A-Z][A-Z0-9_]{2,})(?:-(\d+)(?:\[(\*|\d+)\])?(?:\.(\d+))?)?`)
	known    = map[string]bool{"PID": true, "OBX": true, "MSH": true, "PV1": true, "NTE": true, "LAB_GROUP": true}
)

func (testGrammar) Scan(before byte, text string) int {
	if isWord(before) || before == '$' {
		return 0
	}
	m := testPath.FindString(text)
	if len(m) < len(text) && isWord(text[len(m)]) || m == "LAB_GROUP" { // a group is no literal here
		return 0
	}
	return len(m)
}

func (testGrammar) Compile(text string) (message.Path, error) {
	m := testPath.FindStringSubmatch(text)
	if m == nil || len(m[0]) != len(text) {
		return nil, fmt.Errorf("%q is not a path", text)
	}
	if !known[m[1]] {
		return nil, fmt.Errorf("segment %q is not known", m[1])
	}
	p := &testLeaf{text: text, segment: m[1], field: m[2], component: m[4]}
	switch {
	case m[2] == "":
		p.kind = message.Places
	case m[3] == "*":
		p.kind = message.Several
	}
	return p, nil
}

// A testNode is a document or a segment: SEG|field|field, fields with ~ and ^.
type testNode struct{ lines []string }

func (testNode) Span() (int, int) { return 0, 0 }

func testDoc(text string) message.Node { return testNode{strings.Split(text, "\n")} }

type testLeaf struct {
	text, segment, field, component string
	kind                            message.PathKind
}

func (p *testLeaf) String() string         { return p.text }
func (p *testLeaf) Kind() message.PathKind { return p.kind }
func (p *testLeaf) Anchor() string         { return p.segment }

func (p *testLeaf) Nodes(from message.Node) []message.Node {
	var out []message.Node
	for _, line := range from.(testNode).lines {
		if strings.HasPrefix(line, p.segment+"|") {
			out = append(out, testNode{[]string{line}})
		}
	}
	return out
}

func (p *testLeaf) Texts(from message.Node) []string {
	nodes := p.Nodes(from)
	if len(nodes) == 0 {
		return nil
	}
	var n int
	_, _ = fmt.Sscan(p.field, &n)
	fields := strings.Split(nodes[0].(testNode).lines[0], "|")
	if n >= len(fields) || fields[n] == "" {
		return nil
	}
	var out []string
	for _, repetition := range strings.Split(fields[n], "~") {
		c := 1
		_, _ = fmt.Sscan(p.component, &c)
		parts := strings.Split(repetition, "^")
		if c > len(parts) {
			parts = append(parts, make([]string, c)...)
		}
		out = append(out, parts[c-1])
	}
	return out
}

func (p *testLeaf) Text(from message.Node) string {
	if all := p.Texts(from); len(all) > 0 {
		return all[0]
	}
	return ""
}
