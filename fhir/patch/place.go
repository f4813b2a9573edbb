package patch

import (
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// A spot is where in the definitions an object stands; t is nil where nothing is
// defined.
type spot struct {
	t    *definitions.Type
	path string
}

func spotOf(typ string) spot {
	t, _ := definitions.Lookup(typ)
	return spot{t: t}
}

// child is the element that a member of the object is, and where its own
// members stand.
func (s spot) child(member string, value *fhir.Node) (e *definitions.Element, below spot) {
	if value != nil {
		if typ := value.Get("resourceType"); typ != nil {
			below = spotOf(typ.Text)
		}
	}
	if s.t == nil {
		return nil, below
	}
	e, typ, ok := s.t.Child(s.path, member)
	if !ok || below.t != nil {
		return e, below
	}
	if whole, refers := strings.CutPrefix(typ, "#"); refers {
		owner, inner, _ := strings.Cut(whole, ".")
		return e, spot{spotOf(owner).t, inner}
	}
	if typ == "BackboneElement" || typ == "Element" {
		return e, spot{s.t, e.Path}
	}
	return e, spotOf(typ)
}

// named is the element of a name as FHIRPath has it: "value" is "value[x]".
func (s spot) named(name string) *definitions.Element {
	if s.t == nil {
		return nil
	}
	if e, _, ok := s.t.Child(s.path, name); ok {
		return e
	}
	for _, e := range s.t.Children(s.path) {
		if stem, choice := strings.CutSuffix(e.Path, "[x]"); choice && stem[strings.LastIndexByte(stem, '.')+1:] == name {
			return e
		}
	}
	return nil
}

// A link says where a value stands: in the member name of an object, at an index
// of its list or, below 0, as its only value.
type link struct {
	object *fhir.Node
	name   string
	index  int
	at     spot // of the object
}

// locate finds nodes of a tree by what they are, each with all links on the way
// to it; the root has none. It goes over the tree once.
func (w *work) locate(root *fhir.Node, at spot, nodes []*fhir.Node) map[*fhir.Node][]link {
	s := &seeker{work: w, left: map[*fhir.Node]bool{}, ways: make(map[*fhir.Node][]link, len(nodes))}
	for _, n := range nodes {
		s.left[n] = true
	}
	s.node(root, at, nil)
	return s.ways
}

// A seeker looks for what is left.
type seeker struct {
	work *work
	left map[*fhir.Node]bool
	ways map[*fhir.Node][]link
}

// node notes the way to a node that is looked for, and goes on below it.
func (s *seeker) node(n *fhir.Node, at spot, way []link) {
	if s.left[n] {
		delete(s.left, n)
		s.ways[n] = append([]link(nil), way...)
	}
	if len(s.left) == 0 || n.Kind != fhir.Object || !s.work.take(4*(1+len(n.Members))) {
		return
	}
	for i := range n.Members {
		m := &n.Members[i]
		l := link{object: n, name: m.Name, index: -1, at: at}
		_, below := at.child(m.Name, m.Value)
		if strings.HasPrefix(m.Name, "_") {
			below = spotOf("Element")
		}
		s.node(m.Value, below, append(way, l))
		if m.Value.Kind != fhir.Array {
			continue
		}
		for k, item := range m.Value.Items {
			l.index = k
			if typ := item.Get("resourceType"); typ != nil {
				below = spotOf(typ.Text)
			}
			if len(s.left) == 0 || !s.work.take(1) {
				return
			}
			s.node(item, below, append(way, l))
		}
	}
}

// A value is an element's JSON, what the member with the underscore says of it,
// and its type as it ends the name of a choice.
type value struct {
	node, beside *fhir.Node
	typ          string
}

// A list is a repeating element with what stands beside each item.
type list struct {
	object *fhir.Node
	name   string
	items  []value
}

// listOf reads one.
func (w *work) listOf(object *fhir.Node, name string) *list {
	l := &list{object: object, name: name}
	for beside, n := range []*fhir.Node{object.Get(name), object.Get("_" + name)} {
		if n == nil || n.Kind != fhir.Array {
			continue
		}
		for i, item := range n.Items {
			if i >= len(l.items) {
				l.items = append(l.items, value{})
			}
			switch {
			case item.Kind == fhir.Null:
			case beside == 1:
				l.items[i].beside = item
			default:
				l.items[i].node = item
			}
		}
	}
	w.take(8 * (1 + len(l.items))) // to read and to store
	return l
}

// store writes the list back; one without items is no member.
func (l *list) store() {
	nodes, besides := &fhir.Node{Kind: fhir.Array}, &fhir.Node{Kind: fhir.Array}
	some, more := false, false
	or := func(n *fhir.Node) *fhir.Node {
		if n == nil {
			return &fhir.Node{}
		}
		return n
	}
	for _, v := range l.items {
		some, more = some || v.node != nil, more || v.beside != nil
		nodes.Items, besides.Items = append(nodes.Items, or(v.node)), append(besides.Items, or(v.beside))
	}
	put(l.object, l.name, some, nodes)
	put(l.object, "_"+l.name, more, besides)
}

func put(object *fhir.Node, name string, there bool, v *fhir.Node) {
	if there {
		object.Set(name, v)
	} else {
		object.Delete(name)
	}
}

// set puts a value where there is no list.
func set(object *fhir.Node, name string, v value) {
	put(object, name, v.node != nil, v.node)
	put(object, "_"+name, v.beside != nil, v.beside)
}
