package message

import "strconv"

// A Document is a parsed message: a lossless tree over the original bytes. What
// is not touched is encoded byte for byte as it was received. A Document is
// read by one goroutine at a time unless its parser says otherwise.
type Document interface {
	// Format is the word of `parse:`: "hl7v2", "x12".
	Format() string
	// Header is what the content says of itself, without Hash and keys when
	// the parser takes them only from a scan.
	Header() Header
	// Root is the node that paths start from.
	Root() Node
	// Encode appends the document's bytes to dst.
	Encode(dst []byte) []byte
	// Warnings are findings that did not stop the parser, with places.
	Warnings() []Warning
}

// A Node is a place in a Document: the whole, a group, a segment, a loop, an
// element. Nodes are made by the parser of the document; Paths of the same
// format know how to read them.
type Node interface {
	// Span is where the node stands in the bytes the document was parsed
	// from: [start, end). Both 0 when it was not parsed but made.
	Span() (start, end int)
}

// A Warning is something odd in a message that did not stop it.
type Warning struct {
	Where  string `json:"where,omitempty"`
	Offset int    `json:"offset"`         // byte offset from 0
	Code   string `json:"code,omitempty"` // a stable word: "segment-end-lf"
	Text   string `json:"text"`           // without values of the message
}

// Place is the path of the warning, else its byte.
func (w Warning) Place() string {
	if w.Where != "" {
		return w.Where
	}
	return "byte " + strconv.Itoa(w.Offset)
}

// PathKind says what a path gives.
type PathKind int

// The kinds of path.
const (
	// One value: text, "" when absent.
	One PathKind = iota
	// Several values: a list of texts.
	Several
	// Places: segments, groups, loops, elements; for any(OBX, …) and each.
	Places
)

// A Path is a compiled path into documents of one format. It is safe for use
// from several goroutines.
type Path interface {
	// String is the path as its format writes it.
	String() string
	// Kind says which of the methods below gives the answer.
	Kind() PathKind
	// Anchor is the segment, group or loop the path begins with ("OBX"). In
	// any(OBX, OBX-8 == "H") a path with the anchor of the collection is read
	// from the one in hand.
	Anchor() string
	// Text reads one value below from: decoded, "" when absent.
	Text(from Node) string
	// Texts reads all values below from.
	Texts(from Node) []string
	// Nodes lists the places below from.
	Nodes(from Node) []Node
}

// A Nested path knows how it reads below a place that another path leads to, in
// formats where an element is named by the whole way to it: Claim.item.sequence
// has several values, and one below the item in hand.
type Nested interface {
	// Below returns the path as it reads from one of the places of collection:
	// what the way to both has in common is the one in hand. It reports false
	// when that is nothing.
	Below(collection Path) (Path, bool)
}

// A Coded path leads to places that are codes: they stand for their code where
// a text is wanted.
type Coded interface {
	// Code is the path of the code itself; nil when the places are no codes.
	Code() Path
}

// A Grammar is the path syntax of one format. It is safe for use from several
// goroutines.
type Grammar interface {
	// Scan returns the length of the path literal that text begins with, 0
	// when it begins with none. before is the byte in front of it, 0 at the
	// start: a path does not begin in the middle of a word.
	Scan(before byte, text string) int
	// Compile compiles a path and checks it against the format's
	// definitions. The error names the part that is wrong and, where one is
	// near, what was meant.
	Compile(text string) (Path, error)
}
