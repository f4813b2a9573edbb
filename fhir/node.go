package fhir

// Kind is the kind of a JSON value.
type Kind uint8

// The kinds of JSON value.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// A Node is one JSON value, lossless: members keep their order, numbers their
// text. It is built by one goroutine and may then be read by several.
type Node struct {
	Kind Kind
	// Text is the decoded string, the number as written, "true" or "false".
	Text string
	// Members are those of an Object, in order, each name once.
	Members []Member
	// Items are those of an Array.
	Items []*Node
}

// A Member is a name and value of an object.
type Member struct {
	Name  string
	Value *Node
}

// Get returns the member called name of an object, nil when there is none or n
// is no object.
func (n *Node) Get(name string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Members {
		if n.Members[i].Name == name {
			return n.Members[i].Value
		}
	}
	return nil
}

// Set replaces the member called name, or adds it at the end.
func (n *Node) Set(name string, value *Node) {
	for i := range n.Members {
		if n.Members[i].Name == name {
			n.Members[i].Value = value
			return
		}
	}
	n.Members = append(n.Members, Member{Name: name, Value: value})
}

// Delete removes the member called name, if there is one.
func (n *Node) Delete(name string) {
	for i := range n.Members {
		if n.Members[i].Name == name {
			n.Members = append(n.Members[:i], n.Members[i+1:]...)
			return
		}
	}
}

// Text returns a node of a string.
func Text(s string) *Node { return &Node{Kind: String, Text: s} }

// Decimal returns a node of a number as written.
func Decimal(s string) *Node { return &Node{Kind: Number, Text: s} }

// Flag returns a node of a boolean.
func Flag(b bool) *Node {
	if b {
		return &Node{Kind: Bool, Text: "true"}
	}
	return &Node{Kind: Bool, Text: "false"}
}

// NewObject returns an empty object.
func NewObject() *Node { return &Node{Kind: Object} }
