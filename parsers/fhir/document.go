package fhir

import (
	"strconv"
	"strings"
	"sync"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
)

// A Document is a parsed resource or Bundle. Reading is safe from several
// goroutines as long as nobody changes the tree.
type Document struct {
	raw      []byte // as received
	start    int    // of the JSON: behind a byte order mark
	tree     *fhir.Node
	typ      string
	bundled  []*fhir.Node // resources of a Bundle, in order
	warnings []message.Warning

	once  sync.Once
	spans map[*fhir.Node][2]int // made when the first is asked for
}

// Format is the word of `parse:`.
func (d *Document) Format() string { return Format }

// Header is what the resource says of itself.
func (d *Document) Header() message.Header { return headerOf(d.tree) }

// Root is the resource.
func (d *Document) Root() message.Node { return &Place{doc: d, chain: []*fhir.Node{d.tree}} }

// Encode appends the bytes as received.
func (d *Document) Encode(dst []byte) []byte { return append(dst, d.raw...) }

// Warnings are what was odd, with places.
func (d *Document) Warnings() []message.Warning { return d.warnings }

// Tree is the resource as JSON. It must not be changed: clone it first.
func (d *Document) Tree() *fhir.Node { return d.tree }

// Resource is the resource, the Bundle itself where it is one.
func (d *Document) Resource() *fhir.Node { return d.tree }

// Resources are the resources of a Bundle's entries in their order, or the one
// that the document is.
func (d *Document) Resources() []*fhir.Node {
	if d.typ == "Bundle" {
		return d.bundled
	}
	return []*fhir.Node{d.tree}
}

// entries are the resources of a Bundle.
func entries(bundle *fhir.Node) []*fhir.Node {
	var all []*fhir.Node
	if list := bundle.Get("entry"); list != nil {
		for _, entry := range list.Items {
			if r := entry.Get("resource"); r != nil && r.Kind == fhir.Object {
				all = append(all, r)
			}
		}
	}
	return all
}

// span is where a value stands in the bytes; both 0 for one that was not read
// from them.
func (d *Document) span(n *fhir.Node) [2]int {
	d.once.Do(func() {
		l := layout{data: d.raw, at: d.start, spans: map[*fhir.Node][2]int{}}
		l.value(d.tree)
		d.spans = l.spans
	})
	return d.spans[n]
}

// locate is the byte at which a place begins that the check of the structure
// names; where an element is missing, that of the one around it.
func (d *Document) locate(where string) int {
	_, rest, _ := strings.Cut(where, ".")
	n := d.tree
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ".")
		name, index, listed := strings.Cut(part, "[")
		next := n.Get(name)
		if i, err := strconv.Atoi(strings.TrimSuffix(index, "]")); next != nil && listed && err == nil && i < len(next.Items) {
			next = next.Items[i]
		}
		if next == nil {
			break
		}
		n = next
	}
	return d.span(n)[0]
}

// A Place is an element of a document that a path led to.
type Place struct {
	doc  *Document
	path *path // nil for the document itself
	// chain are the resource and the elements down to the place, one for each
	// step of the path.
	chain []*fhir.Node
}

// Node is the element as JSON.
func (p *Place) Node() *fhir.Node { return p.chain[len(p.chain)-1] }

// Span is where the element stands in the bytes.
func (p *Place) Span() (start, end int) {
	if p.path == nil {
		return 0, len(p.doc.raw)
	}
	s := p.doc.span(p.Node())
	return s[0], s[1]
}

// Rebuild appends the resource made again from every node of the tree, with
// the white space between them as it was. It equals the source but for
// characters that were escaped without need.
func (d *Document) Rebuild(dst []byte) []byte {
	l := layout{data: d.raw, at: d.start, out: append(dst, d.raw[:d.start]...)}
	l.space()
	l.value(d.tree)
	l.space()
	return l.out
}

// Same reports whether other is the same JSON as the document: the same members
// and items, numbers as they were written. White space and escapes do not count.
func (d *Document) Same(other message.Document) bool {
	o, ok := other.(*Document)
	return ok && d.tree.Equal(o.tree)
}

// A layout walks a tree and the bytes it was read from side by side. It writes
// the tree again, and notes where values stand when spans is not nil.
type layout struct {
	data  []byte
	at    int
	out   []byte
	spans map[*fhir.Node][2]int
}

// space passes white space as it stands.
func (l *layout) space() {
	from := l.at
	l.at = afterSpace(l.data, l.at)
	l.emit(string(l.data[from:l.at]))
}

func (l *layout) emit(text string) {
	if l.spans == nil {
		l.out = append(l.out, text...)
	}
}

// punctuation passes a bracket, comma or colon.
func (l *layout) punctuation(c string) {
	l.at++
	l.emit(c)
	l.space()
}

func (l *layout) value(n *fhir.Node) {
	start := l.at
	switch n.Kind {
	case fhir.Object:
		l.punctuation("{")
		for i := range n.Members {
			if i > 0 {
				l.punctuation(",")
			}
			l.text(n.Members[i].Name)
			l.space()
			l.punctuation(":")
			l.value(n.Members[i].Value)
			l.space()
		}
		l.at++
		l.emit("}")
	case fhir.Array:
		l.punctuation("[")
		for i, item := range n.Items {
			if i > 0 {
				l.punctuation(",")
			}
			l.value(item)
			l.space()
		}
		l.at++
		l.emit("]")
	case fhir.String:
		l.text(n.Text)
	case fhir.Null:
		l.at += len("null")
		l.emit("null")
	case fhir.Bool, fhir.Number:
		l.at += len(n.Text)
		l.emit(n.Text)
	}
	if l.spans != nil {
		l.spans[n] = [2]int{start, l.at}
	}
}

// text passes a string.
func (l *layout) text(s string) {
	l.at = afterString(l.data, l.at)
	if l.spans == nil {
		l.out = fhir.AppendString(l.out, s)
	}
}

// afterSpace is where white space ends.
func afterSpace(data []byte, at int) int {
	for at < len(data) && (data[at] == ' ' || data[at] == '\n' || data[at] == '\r' || data[at] == '\t') {
		at++
	}
	return at
}

// afterString is the byte behind the string that begins at a quote; the end of
// data where it does not end.
func afterString(data []byte, at int) int {
	for at++; at < len(data); at++ {
		switch data[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return len(data)
}
