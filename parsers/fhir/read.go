package fhir

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/message"
)

var (
	_ message.Nested = (*path)(nil)
	_ message.Coded  = (*path)(nil)
)

// Below is the path as it is read from a place of collection: what both have
// in common is the one in hand.
func (p *path) Below(collection message.Path) (message.Path, bool) {
	c, ok := collection.(*path)
	if !ok {
		return p, false
	}
	if c.typ != p.typ {
		for _, end := range c.ends {
			if end.path == "" && (end.resource || nameOf(end.typ) == p.typ) {
				return p, true // a resource inside of another: paths of its own
			}
		}
		return p, false
	}
	n := p.common(c)
	if n == 0 && len(c.steps) > 0 {
		return p, false
	}
	from := *p
	from.kind = kind(p.steps[n:], p.ends)
	return &from, true
}

// Code is the path of the code of a Coding.
func (p *path) Code() message.Path {
	if len(p.ends) != 1 || nameOf(p.ends[0].typ) != "Coding" || p.ends[0].path != "" {
		return nil
	}
	code, _ := definitions.Lookup("code")
	c := *p
	c.text += ".code"
	c.steps = append(slices.Clone(p.steps), step{name: "code", names: []string{"code"}, index: -1})
	c.ends = []context{{typ: code, primitive: true}}
	c.kind = kind(c.steps, c.ends)
	return &c
}

// String is the path as it was written.
func (p *path) String() string { return p.text }

// Kind says what the path gives.
func (p *path) Kind() message.PathKind { return p.kind }

// Anchor is the resource type.
func (p *path) Anchor() string { return p.typ }

// Text reads one value, "" when it is absent or the path gives places.
func (p *path) Text(from message.Node) string {
	if p.kind == message.Places {
		return ""
	}
	text := ""
	p.values(from, func(n *fhir.Node) bool {
		text = n.Text
		return text == ""
	})
	return text
}

// Texts reads all values. Those that are absent or empty are left out.
func (p *path) Texts(from message.Node) []string {
	if p.kind == message.Places {
		return nil
	}
	var texts []string
	p.values(from, func(n *fhir.Node) bool {
		if n.Text != "" {
			texts = append(texts, n.Text)
		}
		return true
	})
	return texts
}

// values calls take with each value until it returns false.
func (p *path) values(from message.Node, take func(*fhir.Node) bool) {
	start, steps, ok := p.start(from)
	if !ok {
		return
	}
	walk(start[len(start)-1], steps, func(n *fhir.Node) bool {
		switch n.Kind {
		case fhir.String, fhir.Number, fhir.Bool:
			return take(n)
		case fhir.Null, fhir.Array, fhir.Object:
		}
		return true
	})
}

// Nodes lists the places.
func (p *path) Nodes(from message.Node) []message.Node {
	start, steps, ok := p.start(from)
	if !ok || p.kind != message.Places {
		return nil
	}
	at := from.(*Place) //nolint:forcetypeassert // start has seen it
	var places []message.Node
	if len(steps) == 0 {
		return append(places, &Place{doc: at.doc, path: p, chain: start})
	}
	chains(start, steps, func(chain []*fhir.Node) {
		places = append(places, &Place{doc: at.doc, path: p, chain: chain})
	})
	return places
}

// start is where reading begins, and the steps that are left from there. What
// the path has in common with the one that led to from is the one in hand.
func (p *path) start(from message.Node) (chain []*fhir.Node, steps []step, ok bool) {
	at, ok := from.(*Place)
	if !ok || at == nil {
		return nil, nil, false
	}
	if at.path != nil && at.path.typ == p.typ {
		n := p.common(at.path)
		return at.chain[: n+1 : n+1], p.steps[n:], isOf(at.chain[0], p.typ)
	}
	// The innermost resource of the type: one of a Bundle's entry has paths of
	// its own, and a Bundle itself those of its first resource of the type.
	for i := len(at.chain) - 1; i >= 0; i-- {
		if isOf(at.chain[i], p.typ) {
			return at.chain[i : i+1 : i+1], p.steps, true
		}
	}
	if at.path == nil {
		for _, r := range at.doc.bundled {
			if isOf(r, p.typ) {
				return []*fhir.Node{r}, p.steps, true
			}
		}
	}
	return nil, nil, false
}

// common is the number of steps that two paths of one type have in common. A
// step without brackets is the same as one with them: the one in hand is meant.
func (p *path) common(other *path) int {
	n := 0
	for n < len(p.steps) && n < len(other.steps) && p.steps[n].leadsTo(&other.steps[n]) {
		n++
	}
	return n
}

func (s *step) leadsTo(other *step) bool {
	return s.name == other.name && (s.brief == "" || s.brief == other.brief) && s.names[0][0] == other.names[0][0]
}

func isOf(n *fhir.Node, typ string) bool {
	said := n.Get("resourceType")
	return said != nil && said.Text == typ
}

// walk calls take with each value the steps lead to until it returns false.
func walk(n *fhir.Node, steps []step, take func(*fhir.Node) bool) bool {
	if len(steps) == 0 {
		return take(n)
	}
	s := &steps[0]
	return s.each(n, func(item *fhir.Node) bool { return walk(item, steps[1:], take) })
}

// chains calls take with the way to each value.
func chains(way []*fhir.Node, steps []step, take func([]*fhir.Node)) {
	if len(steps) == 0 {
		take(way)
		return
	}
	s := &steps[0]
	s.each(way[len(way)-1], func(item *fhir.Node) bool {
		if item.Kind != fhir.Null {
			chains(append(way[:len(way):len(way)], item), steps[1:], take)
		}
		return true
	})
}

// each calls take with each element of the step below n until it returns false.
func (s *step) each(n *fhir.Node, take func(*fhir.Node) bool) bool {
	skip := s.index
	for _, name := range s.names {
		v := n.Get(name)
		switch {
		case v == nil:
		case v.Kind != fhir.Array:
			if s.index <= 0 && s.fits(v) && !take(v) {
				return false
			}
		case s.index >= 0 && len(s.filters) == 0:
			if s.index < len(v.Items) && !take(v.Items[s.index]) {
				return false
			}
		default:
			for _, item := range v.Items {
				if !s.fits(item) {
					continue
				}
				if skip > 0 {
					skip--
					continue
				}
				if !take(item) {
					return false
				}
				if skip == 0 {
					break // the one the index names
				}
			}
		}
	}
	return true
}

// fits reports whether an element passes the filters.
func (s *step) fits(n *fhir.Node) bool {
	for i := range s.filters {
		f := &s.filters[i]
		none := walk(n, f.steps, func(v *fhir.Node) bool { return !f.matches(v.Text) && (!f.loose || !f.coded(v)) })
		if none {
			return false
		}
	}
	return true
}

// matches compares a value. Of a uri the part after the last slash or colon is
// enough, or what follows a dash in it: npi is http://hl7.org/fhir/sid/us-npi.
func (f *filter) matches(text string) bool {
	if text == f.value {
		return true
	}
	if !f.suffix || f.value == "" {
		return false
	}
	before, ok := strings.CutSuffix(text, f.value)
	return ok && before != "" && strings.IndexByte("/:#-", before[len(before)-1]) >= 0
}

// coded compares an object by its code, or by one of its codings.
func (f *filter) coded(n *fhir.Node) bool {
	if code := n.Get("code"); code != nil && f.matches(code.Text) {
		return true
	}
	if codings := n.Get("coding"); codings != nil {
		for _, coding := range codings.Items {
			if code := coding.Get("code"); code != nil && f.matches(code.Text) {
				return true
			}
		}
	}
	return false
}
