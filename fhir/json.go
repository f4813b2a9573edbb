package fhir

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a JSON text.
const (
	maxDepth   = 64
	maxMembers = 100_000 // of one object or array
)

// A SyntaxError says where a JSON text is wrong. It holds nothing of the text.
type SyntaxError struct {
	Offset int // bytes from the start
	Text   string
}

// Error gives place and reason.
func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Text) }

// Parse reads one JSON value, lossless but for white space. Names that stand
// twice, depths above 64, invalid UTF-8 and anything after the value are errors
// (*SyntaxError).
func Parse(data []byte) (*Node, error) {
	p := &parser{data: data}
	p.space()
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.at != len(data) {
		return nil, p.fault("something follows the end of the value")
	}
	return n, nil
}

type parser struct {
	data []byte
	at   int
	heap []Node // nodes are made in blocks
}

func (p *parser) fault(text string) error { return &SyntaxError{Offset: p.at, Text: text} }

func (p *parser) node(k Kind) *Node {
	if len(p.heap) == 0 {
		p.heap = make([]Node, 64)
	}
	n := &p.heap[0]
	p.heap = p.heap[1:]
	n.Kind = k
	return n
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (*Node, error) {
	if p.at >= len(p.data) {
		return nil, p.fault("the text ends where a value is expected")
	}
	if depth > maxDepth {
		return nil, p.fault("values are nested more than 64 deep")
	}
	switch c := p.data[p.at]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		s, err := p.text()
		if err != nil {
			return nil, err
		}
		n := p.node(String)
		n.Text = s
		return n, nil
	case c == '-' || (c >= '0' && c <= '9'):
		return p.number()
	}
	for _, w := range words {
		if len(p.data)-p.at >= len(w.text) && string(p.data[p.at:p.at+len(w.text)]) == w.text {
			p.at += len(w.text)
			n := p.node(w.kind)
			if w.kind == Bool {
				n.Text = w.text
			}
			return n, nil
		}
	}
	return nil, p.fault("no JSON value begins here")
}

// words are the values that are words.
var words = []struct {
	text string
	kind Kind
}{{"true", Bool}, {"false", Bool}, {"null", Null}}

func (p *parser) object(depth int) (*Node, error) {
	n := p.node(Object)
	p.at++
	p.space()
	if p.at < len(p.data) && p.data[p.at] == '}' {
		p.at++
		return n, nil
	}
	var seen map[string]struct{}
	for {
		if p.at >= len(p.data) || p.data[p.at] != '"' {
			return nil, p.fault("a member's name is expected")
		}
		start := p.at
		name, err := p.text()
		if err != nil {
			return nil, err
		}
		if seen == nil && len(n.Members) >= 16 {
			seen = make(map[string]struct{}, 64)
			for _, m := range n.Members {
				seen[m.Name] = struct{}{}
			}
		}
		_, twice := seen[name]
		if seen != nil {
			seen[name] = struct{}{}
		} else {
			twice = n.Get(name) != nil
		}
		if twice {
			p.at = start
			return nil, p.fault("a member's name stands twice")
		}
		p.space()
		if p.at >= len(p.data) || p.data[p.at] != ':' {
			return nil, p.fault(`":" is expected`)
		}
		p.at++
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Members = append(n.Members, Member{name, v})
		if len(n.Members) > maxMembers {
			return nil, p.fault("an object has more than 100000 members")
		}
		if more, err := p.next('}'); err != nil || !more {
			return n, err
		}
	}
}

func (p *parser) array(depth int) (*Node, error) {
	n := p.node(Array)
	p.at++
	p.space()
	if p.at < len(p.data) && p.data[p.at] == ']' {
		p.at++
		return n, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, v)
		if len(n.Items) > maxMembers {
			return nil, p.fault("an array has more than 100000 items")
		}
		if more, err := p.next(']'); err != nil || !more {
			return n, err
		}
	}
}

// next reads a comma, or the end.
func (p *parser) next(end byte) (more bool, err error) {
	p.space()
	if p.at >= len(p.data) {
		return false, p.fault("the text ends inside a value")
	}
	switch p.data[p.at] {
	case ',':
		p.at++
		p.space()
		return true, nil
	case end:
		p.at++
		return false, nil
	}
	return false, p.fault(`"," or the end is expected`)
}

// number reads a number and keeps it as written (RFC 8259, 6).
func (p *parser) number() (*Node, error) {
	start := p.at
	digits := func() bool {
		from := p.at
		for p.at < len(p.data) && p.data[p.at] >= '0' && p.data[p.at] <= '9' {
			p.at++
		}
		return p.at > from
	}
	if p.data[p.at] == '-' {
		p.at++
	}
	zero := p.at < len(p.data) && p.data[p.at] == '0'
	first := p.at
	if !digits() || (zero && p.at-first > 1) {
		return nil, p.fault("a number is not written as JSON writes it")
	}
	if p.at < len(p.data) && p.data[p.at] == '.' {
		p.at++
		if !digits() {
			return nil, p.fault("a number is not written as JSON writes it")
		}
	}
	if p.at < len(p.data) && (p.data[p.at] == 'e' || p.data[p.at] == 'E') {
		p.at++
		if p.at < len(p.data) && (p.data[p.at] == '+' || p.data[p.at] == '-') {
			p.at++
		}
		if !digits() {
			return nil, p.fault("a number is not written as JSON writes it")
		}
	}
	n := p.node(Number)
	n.Text = string(p.data[start:p.at])
	return n, nil
}

// text reads a string.
func (p *parser) text() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.data) {
		switch c := p.data[p.at]; {
		case c == '"':
			raw := p.data[start:p.at]
			if !utf8.Valid(raw) {
				p.at = start
				return "", p.fault("a string is not valid UTF-8")
			}
			p.at++
			return string(raw), nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.fault("a control character stands in a string")
		}
		p.at++
	}
	return "", p.fault("a string does not end")
}

func (p *parser) escaped(start int) (string, error) {
	out := append([]byte(nil), p.data[start:p.at]...)
	for p.at < len(p.data) {
		c := p.data[p.at]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", p.fault("a string is not valid UTF-8")
			}
			p.at++
			return string(out), nil
		case c < 0x20:
			return "", p.fault("a control character stands in a string")
		case c != '\\':
			out = append(out, c)
			p.at++
			continue
		}
		if p.at+1 >= len(p.data) {
			break
		}
		p.at++
		switch e := p.data[p.at]; e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := p.hex(p.at + 1)
			if !ok {
				return "", p.fault(`four hexadecimal digits follow \u`)
			}
			p.at += 4
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if p.at+6 < len(p.data) && p.data[p.at+1] == '\\' && p.data[p.at+2] == 'u' {
					low, ok = p.hex(p.at + 3)
				}
				both := utf16.DecodeRune(r, low)
				if !ok || both == utf8.RuneError {
					return "", p.fault("half a surrogate pair stands alone")
				}
				r = both
				p.at += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", p.fault("an unknown escape stands in a string")
		}
		p.at++
	}
	return "", p.fault("a string does not end")
}

func (p *parser) hex(at int) (rune, bool) {
	if at+4 > len(p.data) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(p.data[at:at+4]), 16, 16)
	return rune(v), err == nil
}

// AppendJSON appends the value without white space.
func (n *Node) AppendJSON(dst []byte) []byte {
	if n == nil {
		return append(dst, "null"...)
	}
	switch n.Kind {
	case Object:
		dst = append(dst, '{')
		for i, m := range n.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, m.Name), ':')
			dst = m.Value.AppendJSON(dst)
		}
		return append(dst, '}')
	case Array:
		dst = append(dst, '[')
		for i, item := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.AppendJSON(dst)
		}
		return append(dst, ']')
	case String:
		return AppendString(dst, n.Text)
	case Null:
		return append(dst, "null"...)
	}
	return append(dst, n.Text...)
}

// AppendString appends a JSON string.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			const digits = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		start = i + 1
	}
	return append(append(dst, s[start:]...), '"')
}

// AppendIndent appends the value with two spaces for each level.
func (n *Node) AppendIndent(dst []byte, indent string) []byte {
	open, shut, count := byte('{'), byte('}'), 0
	if n != nil {
		count = len(n.Members)
		if n.Kind == Array {
			open, shut, count = '[', ']', len(n.Items)
		}
	}
	if n == nil || count == 0 {
		return n.AppendJSON(dst)
	}
	dst = append(dst, open)
	for i := range count {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '\n'), indent...), "  "...)
		if n.Kind == Array {
			dst = n.Items[i].AppendIndent(dst, indent+"  ")
			continue
		}
		dst = append(AppendString(dst, n.Members[i].Name), ':', ' ')
		dst = n.Members[i].Value.AppendIndent(dst, indent+"  ")
	}
	return append(append(append(dst, '\n'), indent...), shut)
}

// Equal reports whether two values are the same JSON; the order of members
// does not count, the text of numbers does.
func (n *Node) Equal(o *Node) bool {
	if n == nil || o == nil {
		return n == o
	}
	if n.Kind != o.Kind || n.Text != o.Text || len(n.Members) != len(o.Members) || len(n.Items) != len(o.Items) {
		return false
	}
	for i := range n.Items {
		if !n.Items[i].Equal(o.Items[i]) {
			return false
		}
	}
	for i := range n.Members {
		other := o.Get(n.Members[i].Name)
		if other == nil || !n.Members[i].Value.Equal(other) {
			return false
		}
	}
	return true
}

// Clone copies a value with everything below it.
func (n *Node) Clone() *Node {
	if n == nil {
		return nil
	}
	c := &Node{Kind: n.Kind, Text: n.Text}
	for _, m := range n.Members {
		c.Members = append(c.Members, Member{m.Name, m.Value.Clone()})
	}
	for _, item := range n.Items {
		c.Items = append(c.Items, item.Clone())
	}
	return c
}
