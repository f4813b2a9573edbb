package mapping

import (
	"github.com/plexus-health/plexus/fhir"
)

// A node is one value of the output. All nodes of a message stand in one slice
// and name each other by index; 0 is no node. Every node keeps its row and the
// span of the input it was made from, always.
type node struct {
	name        int32 // of the member; 0 for an item of an array
	first, last int32
	next        int32
	row         int32
	start, end  int32
	kind        fhir.Kind
	text        string
}

// An undo takes back that a node was attached below another.
type undo struct{ parent, last int32 }

// A mark is a state of the arena to which it can go back.
type mark struct{ nodes, undos, instances, findings, touched int }

type span struct{ start, end int32 }

// arena is the output of one message while it is made.
type arena struct {
	nodes   []node
	undos   []undo
	touched []span // read without a node of its own
	// real counts values that came from the message: an element of nothing but
	// constants is not made.
	real int
}

func (a *arena) reset(capacity int) {
	a.nodes = make([]node, 1, capacity)
	a.undos = make([]undo, 0, capacity)
}

// root adds a node without a parent.
func (a *arena) root(row int32) int32 {
	a.nodes = append(a.nodes, node{kind: fhir.Object, row: row})
	return int32(len(a.nodes) - 1)
}

// attach adds n as the last child of parent.
func (a *arena) attach(parent int32, n node) int32 {
	a.nodes = append(a.nodes, n)
	i := int32(len(a.nodes) - 1)
	p := &a.nodes[parent]
	a.undos = append(a.undos, undo{parent, p.last})
	if p.last == 0 {
		p.first = i
	} else {
		a.nodes[p.last].next = i
	}
	p.last = i
	return i
}

// back forgets every node attached after the mark.
func (a *arena) back(nodes, undos int) {
	for i := len(a.undos) - 1; i >= undos; i-- {
		u := a.undos[i]
		p := &a.nodes[u.parent]
		p.last = u.last
		if u.last == 0 {
			p.first = 0
		} else {
			a.nodes[u.last].next = 0
		}
	}
	a.undos = a.undos[:undos]
	a.nodes = a.nodes[:nodes]
}

// child returns the child of parent with one of two names, 0 when there is none.
func (a *arena) child(parent, name int32) int32 {
	for i := a.nodes[parent].first; i != 0; i = a.nodes[i].next {
		if a.nodes[i].name == name {
			return i
		}
	}
	return 0
}

// item returns the n-th item of an array, from 0.
func (a *arena) item(array int32, n int) int32 {
	i := a.nodes[array].first
	for ; i != 0 && n > 0; n-- {
		i = a.nodes[i].next
	}
	return i
}

// equal reports whether two values are the same.
func (a *arena) equal(x, y int32) bool {
	p, q := &a.nodes[x], &a.nodes[y]
	if p.kind != q.kind || p.text != q.text || p.name != q.name && p.name != 0 && q.name != 0 {
		return false
	}
	i, j := p.first, q.first
	for ; i != 0 && j != 0; i, j = a.nodes[i].next, a.nodes[j].next {
		if a.nodes[i].name != a.nodes[j].name || !a.equal(i, j) {
			return false
		}
	}
	return i == 0 && j == 0
}

// graft moves what src has and dst lacks below dst: members that are absent,
// and items that no item equals. It reports whether the two said different
// things of a single element.
func (a *arena) graft(dst, src int32, base []int32) (conflict bool) {
	for i := a.nodes[src].first; i != 0; {
		next := a.nodes[i].next
		have := int32(0)
		for j := a.nodes[dst].first; j != 0; j = a.nodes[j].next {
			if base[a.nodes[j].name] == base[a.nodes[i].name] {
				have = j
			}
		}
		switch {
		case have == 0:
			a.move(dst, i)
		case a.nodes[have].kind == fhir.Array && a.nodes[i].kind == fhir.Array:
			a.graftItems(have, i)
		case a.nodes[have].kind == fhir.Object && a.nodes[i].kind == fhir.Object:
			conflict = a.graft(have, i, base) || conflict
		default:
			conflict = conflict || !a.equal(have, i)
		}
		i = next
	}
	return conflict
}

func (a *arena) graftItems(dst, src int32) {
	for i := a.nodes[src].first; i != 0; {
		next := a.nodes[i].next
		same := false
		for j := a.nodes[dst].first; j != 0 && !same; j = a.nodes[j].next {
			same = a.equal(i, j)
		}
		if !same {
			a.move(dst, i)
		}
		i = next
	}
}

// move makes i the last child of parent.
func (a *arena) move(parent, i int32) {
	a.nodes[i].next = 0
	p := &a.nodes[parent]
	a.undos = append(a.undos, undo{parent, p.last})
	if p.last == 0 {
		p.first = i
	} else {
		a.nodes[p.last].next = i
	}
	p.last = i
}

// A builder turns arena nodes into fhir nodes, all from a few slices.
type builder struct {
	nodes   []fhir.Node
	members []fhir.Member
	items   []*fhir.Node
}

// newBuilder makes room for all of an arena: a node is a member or an item.
func newBuilder(a *arena, resources int) *builder {
	items := 0
	for i := range a.nodes {
		if a.nodes[i].name == 0 {
			items++
		}
	}
	return &builder{
		nodes:   make([]fhir.Node, 0, len(a.nodes)+resources),
		members: make([]fhir.Member, 0, len(a.nodes)-items+resources), items: make([]*fhir.Node, 0, items),
	}
}

func (b *builder) node(n fhir.Node) *fhir.Node {
	if len(b.nodes) == cap(b.nodes) {
		b.nodes = make([]fhir.Node, 0, 64)
	}
	b.nodes = append(b.nodes, n)
	return &b.nodes[len(b.nodes)-1]
}

// build makes the tree below i. What a resource begins with is put in front.
func (b *builder) build(a *arena, names []string, i int32, resourceType string) *fhir.Node {
	n := &a.nodes[i]
	out := b.node(fhir.Node{Kind: n.kind, Text: n.text})
	count := 0
	for j := n.first; j != 0; j = a.nodes[j].next {
		count++
	}
	switch n.kind {
	case fhir.Object:
		if resourceType != "" {
			count++
		}
		members := b.takeMembers(count)
		if resourceType != "" {
			members = append(members, fhir.Member{Name: "resourceType", Value: b.node(fhir.Node{Kind: fhir.String, Text: resourceType})})
		}
		for j := n.first; j != 0; j = a.nodes[j].next {
			members = append(members, fhir.Member{Name: names[a.nodes[j].name], Value: b.build(a, names, j, "")})
		}
		out.Members = members
	case fhir.Array:
		items := b.takeItems(count)
		for j := n.first; j != 0; j = a.nodes[j].next {
			items = append(items, b.build(a, names, j, ""))
		}
		out.Items = items
	case fhir.Null, fhir.Bool, fhir.Number, fhir.String:
	}
	return out
}

// takeMembers returns an empty slice that may grow to n without touching what
// others hold.
func (b *builder) takeMembers(n int) []fhir.Member {
	if cap(b.members)-len(b.members) < n {
		return make([]fhir.Member, 0, n)
	}
	at := len(b.members)
	b.members = b.members[:at+n]
	return b.members[at : at : at+n]
}

func (b *builder) takeItems(n int) []*fhir.Node {
	if cap(b.items)-len(b.items) < n {
		return make([]*fhir.Node, 0, n)
	}
	at := len(b.items)
	b.items = b.items[:at+n]
	return b.items[at : at : at+n]
}
