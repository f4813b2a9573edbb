package fhir

import (
	"errors"
	"slices"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
)

var _ parsers.Divider = (*Parser)(nil)

// Divide takes a resource apart by an element that repeats: each part is the
// resource with one of them. Elements around it that repeat too stay where they
// hold the one, or none of them.
func (p *Parser) Divide(doc message.Document, by message.Path, take func(part message.Document) error) error {
	d, ok := doc.(*Document)
	if !ok {
		return &message.Failure{Kind: message.Malformed, Err: errors.New("a resource is wanted here")}
	}
	var places [][]*fhir.Node
	held := map[*fhir.Node]bool{} // elements that places are or stand in
	for _, n := range by.Nodes(d.Root()) {
		if place, ok := n.(*Place); ok {
			places = append(places, d.whole(place.chain))
			for _, n := range place.chain {
				held[n] = true
			}
		}
	}
	if len(places) == 1 {
		return take(doc)
	}
	for _, chain := range places {
		part, err := p.Parse(kept(d.tree, chain[1:], held).AppendJSON(nil))
		if err != nil {
			return err
		}
		if err := take(part); err != nil {
			return err
		}
	}
	return nil
}

// Rename leaves a part as it is: a resource has no control id.
func (p *Parser) Rename(part message.Document, _ string) (message.Document, error) { return part, nil }

// whole is a chain that begins at the document: one in a Bundle begins at the
// resource of an entry.
func (d *Document) whole(chain []*fhir.Node) []*fhir.Node {
	if chain[0] == d.tree {
		return chain
	}
	if list := d.tree.Get("entry"); list != nil {
		for _, entry := range list.Items {
			if entry.Get("resource") == chain[0] {
				return slices.Concat([]*fhir.Node{d.tree, entry}, chain)
			}
		}
	}
	return slices.Concat([]*fhir.Node{d.tree}, chain)
}

// kept copies an element with what stands below it: of the elements that places
// are or stand in, those of one chain.
func kept(n *fhir.Node, chain []*fhir.Node, held map[*fhir.Node]bool) *fhir.Node {
	if len(chain) == 0 {
		return n
	}
	out := &fhir.Node{Kind: n.Kind, Text: n.Text}
	for _, m := range n.Members {
		switch {
		case m.Value == chain[0]:
			m.Value = kept(m.Value, chain[1:], held)
		case m.Value.Kind == fhir.Array:
			list := &fhir.Node{Kind: fhir.Array}
			for _, item := range m.Value.Items {
				switch {
				case item == chain[0]:
					list.Items = append(list.Items, kept(item, chain[1:], held))
				case !held[item]:
					list.Items = append(list.Items, item)
				}
			}
			if m.Value = list; len(list.Items) == 0 {
				continue
			}
		case held[m.Value]:
			continue
		}
		out.Members = append(out.Members, m)
	}
	return out
}
