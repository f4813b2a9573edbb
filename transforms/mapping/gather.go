package mapping

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/message"
)

// A gatherDef is one name of gather as written: what is followed from the
// resource in hand before the rows run.
type gatherDef struct {
	name, text string
	at         place
}

// readGathers reads `patient: ServiceRequest.subject` and
// `coverage: Coverage where beneficiary = patient and status = active`.
func (d *definition) readGathers(m *member, probs *problems) {
	if m.tree.sort != mapping {
		probs.add(m.tree.at, "%sgather is a mapping of names", d.prefix())
		return
	}
	for i := range m.tree.members {
		inner := &m.tree.members[i]
		if inner.tree.sort != scalar || inner.tree.text == "" {
			probs.add(inner.at, "%s%s: write the path of a reference, or TYPE where PARAMETER = NAME", d.prefix(), inner.key)
			continue
		}
		d.gathers = append(d.gathers, gatherDef{name: inner.key, text: inner.tree.text, at: inner.tree.at})
	}
}

// A v2Gather is one name of gather, compiled.
type v2Gather struct {
	name     string
	root     int // of the name, among the roots of the run
	path     *v2Path
	where    string // the path as written, for errors
	optional bool
	types    []v2Type
	as       string // the type wanted at the end: through PractitionerRole too

	// The other form: resources of a type that point here.
	typ   string
	param string
	of    int // root whose resource they point to
	also  []v2Filter

	before bool // the third form: the version before of the resource in hand
}

// gathers compiles the names of gather in their order: each may use those
// before it.
func (c *v2Compiler) gathers(defs []gatherDef) {
	for _, def := range defs {
		if _, twice := c.roots[def.name]; twice {
			c.wrong(def.at, "gather: %q has its meaning already", def.name)
			continue
		}
		g := &v2Gather{name: def.name, root: len(c.rootTypes)}
		first, rest, _ := strings.Cut(strings.TrimPrefix(def.text, wordEach+" "), " ")
		var ok bool
		rest = strings.TrimSpace(rest)
		conds, where := strings.CutPrefix(rest, "where ")
		switch {
		case where:
			ok = c.gatherWhere(g, &def, first, conds)
		case rest == "before" && first == c.out.focus:
			g.before, g.optional, g.types, ok = true, true, []v2Type{{name: first}}, true
		default:
			ok = c.gatherPath(g, &def, first, rest)
		}
		if !ok {
			g.types = nil // said already; the name still stands
		} else {
			c.out.gathers = append(c.out.gathers, g)
		}
		c.roots[def.name] = g.root
		c.rootTypes = append(c.rootTypes, g.types)
	}
}

// gatherPath compiles PATH? as TYPE.
func (c *v2Compiler) gatherPath(g *v2Gather, def *gatherDef, path, rest string) bool {
	path, g.optional = strings.CutSuffix(path, "?")
	if g.where = path; g.name == "" {
		return false
	}
	if g.path = c.fhirPath(path, def.at); g.path == nil {
		return false
	}
	for _, t := range g.path.types {
		if t.name != "Reference" {
			c.wrong(def.at, "gather: %s: %s is %s, not a Reference", g.name, path, article(t.name))
			return false
		}
		for _, to := range t.targets {
			g.types = append(g.types, v2Type{name: to})
		}
	}
	if rest == "" {
		if len(g.types) == 0 || g.types[0].name == "Resource" {
			c.wrong(def.at, "gather: %s: %s may point to any resource; say which: %s as TYPE", g.name, path, path)
			return false
		}
		return true
	}
	as, ok := strings.CutPrefix(rest, "as ")
	if as = strings.TrimSpace(as); !ok || !c.lib.model.resource(as) {
		c.wrong(def.at, "gather: %s: %q is not as TYPE", g.name, rest)
		return false
	}
	g.as, g.types = as, []v2Type{{name: as}}
	return true
}

// gatherWhere compiles TYPE where PARAMETER = NAME and ELEMENT = CODE.
func (c *v2Compiler) gatherWhere(g *v2Gather, def *gatherDef, typ, conds string) bool {
	g.typ, g.optional, g.types = typ, true, []v2Type{{name: typ}}
	if !c.lib.model.resource(typ) {
		c.wrong(def.at, "gather: %s: %q is not a resource type%s", g.name, typ, near(typ, c.lib.model.resources()))
		return false
	}
	for _, cond := range strings.Split(conds, " and ") {
		element, value, ok := strings.Cut(cond, "=")
		element, value = strings.TrimSpace(element), strings.TrimSpace(value)
		value, _ = unquote(value)
		if !ok || element == "" || value == "" {
			c.wrong(def.at, "gather: %s: %q is not ELEMENT = VALUE", g.name, cond)
			return false
		}
		if root, known := c.roots[value]; known && g.param == "" {
			e, found := c.lib.model.child(typ, element)
			if !found || !e.allows("Reference") {
				c.wrong(def.at, "gather: %s: %q is no reference of %s%s", g.name, element, typ, near(element, c.lib.model.children(typ)))
				return false
			}
			if p, searched := definitions.FindParam(typ, element); !searched || p.Kind != "reference" {
				c.wrong(def.at, "gather: %s: %s has no search parameter %q that is a reference: the store cannot find by it", g.name, typ, element)
				return false
			}
			g.param, g.of = element, root
			continue
		}
		steps, _ := c.steps(strings.Split(element, "."), []v2Type{{name: typ}}, element, def.at)
		if steps == nil {
			return false
		}
		g.also = append(g.also, c.filterOf(steps, value, false))
	}
	if g.param == "" {
		c.wrong(def.at, "gather: %s: one condition names what is gathered already, as patient in beneficiary = patient", g.name)
		return false
	}
	return true
}

// gather fills the root of a name. It reports false when the run ends here.
func (g *v2Gather) gather(r *v2Run) bool {
	switch {
	case g.typ != "":
		return g.pointing(r)
	case g.before:
		return g.versionBefore(r)
	}
	before := len(r.stack)
	r.stack = g.path.eval(r, nil, r.stack)
	for _, ref := range r.stack[before:] {
		to, ok := r.follow(ref)
		if r.err != nil {
			return false
		}
		if ok && g.as != "" && to.typ == "PractitionerRole" && g.as == "Practitioner" {
			to, ok = r.through(to, "practitioner")
		}
		if ok && g.as != "" && to.typ != g.as {
			ok = false
		}
		if ok {
			r.roots[g.root] = append(r.roots[g.root], to)
		}
	}
	referred := len(r.stack) > before
	r.stack = r.stack[:before]
	if r.err == nil && !g.optional && len(r.roots[g.root]) == 0 {
		why := "names no resource"
		if referred {
			why = "points to a resource that is not there"
		}
		r.err = &message.Failure{Kind: message.Malformed, Where: g.where, Code: 204, Err: errors.New(why)}
	}
	return r.err == nil
}

// pointing finds the resources of a type that point to one gathered before:
// those that came with the message, else those of the store.
func (g *v2Gather) pointing(r *v2Run) bool {
	if len(r.roots[g.of]) == 0 {
		return true
	}
	of := r.roots[g.of][0]
	place := of.typ + "/" + textOf(of.node.Get("id"))
	url := r.urlOf(of.node)
	take := func(n *fhir.Node) {
		it := v2Item{node: n, typ: g.typ, owner: n}
		for i := range g.also {
			if !g.also[i].holds(r, &it) {
				return
			}
		}
		r.roots[g.root] = append(r.roots[g.root], it)
	}
	for _, e := range r.entries {
		if n := e.resource; textOf(n.Get("resourceType")) == g.typ {
			refs := []*fhir.Node{n.Get(g.param)}
			if refs[0] != nil && refs[0].Kind == fhir.Array {
				refs = refs[0].Items
			}
			if slices.ContainsFunc(refs, func(of *fhir.Node) bool {
				ref := textOf(of.Get("reference"))
				return ref != "" && (ref == place || ref == url)
			}) {
				take(n)
			}
		}
	}
	if len(r.roots[g.root]) > 0 || r.prog.records == nil || textOf(of.node.Get("id")) == "" {
		return true
	}
	found, err := r.prog.records.Referring(r.ctx, g.typ, g.param, place)
	if err != nil {
		r.err = &message.Failure{Kind: message.Unavailable, Where: g.name, Err: err}
		return false
	}
	for _, n := range found {
		take(n)
	}
	return true
}

// versionBefore finds the version of the resource in hand that stood in the
// store before it. A resource of another's, which happens to have the id of one
// here, has none.
func (g *v2Gather) versionBefore(r *v2Run) bool {
	focus := r.roots[0][0]
	id := textOf(focus.node.Get("id"))
	version, err := strconv.Atoi(textOf(focus.node.Get("meta").Get("versionId")))
	if err != nil || version < 2 || id == "" || r.prog.records == nil {
		return true
	}
	var read [2]*fhir.Node
	for i := range read {
		if read[i], err = r.prog.records.Version(r.ctx, focus.typ, id, version-i); err != nil {
			r.err = &message.Failure{Kind: message.Unavailable, Where: g.name, Err: err}
			return false
		}
		if read[i] == nil || i == 0 && !sameButMeta(read[i], focus.node) {
			return true
		}
	}
	r.roots[g.root] = append(r.roots[g.root], resourceItem(read[1]))
	return true
}

// sameButMeta reports whether two resources say the same.
func sameButMeta(a, b *fhir.Node) bool {
	return without(a, "meta").Equal(without(b, "meta"))
}

func without(n *fhir.Node, name string) *fhir.Node {
	out := &fhir.Node{Kind: n.Kind}
	for _, m := range n.Members {
		if m.Name != name {
			out.Members = append(out.Members, m)
		}
	}
	return out
}

// through follows one reference more.
func (r *v2Run) through(from v2Item, element string) (v2Item, bool) {
	ref := from.node.Get(element)
	if ref == nil {
		return v2Item{}, false
	}
	return r.follow(v2Item{node: ref, typ: "Reference", owner: from.owner})
}

// An entry is one resource of a Bundle.
type entry struct {
	url      string
	resource *fhir.Node
}

// enter takes the input apart: the entries of a Bundle, and the resource that
// the map is of.
func (r *v2Run) enter(tree *fhir.Node) {
	focus := func(n *fhir.Node) {
		if r.roots[0] == nil && textOf(n.Get("resourceType")) == r.prog.focus {
			r.roots[0] = []v2Item{{node: n, typ: r.prog.focus, owner: n}}
		}
	}
	if textOf(tree.Get("resourceType")) != "Bundle" {
		focus(tree)
		return
	}
	list := tree.Get("entry")
	if list == nil {
		return
	}
	r.entries = make([]entry, 0, len(list.Items))
	for _, e := range list.Items {
		if n := e.Get("resource"); n != nil {
			r.entries = append(r.entries, entry{textOf(e.Get("fullUrl")), n})
			focus(n)
		}
	}
}

// urlOf is the fullUrl of a resource that came in a Bundle.
func (r *v2Run) urlOf(n *fhir.Node) string {
	for i := range r.entries {
		if r.entries[i].resource == n {
			return r.entries[i].url
		}
	}
	return ""
}

// follow finds the resource a reference points to: contained, in the Bundle,
// in the store. What is not to be found is no resource; a fault of the store
// ends the run.
func (r *v2Run) follow(ref v2Item) (v2Item, bool) {
	text := textOf(ref.node.Get("reference"))
	if text == "" {
		return v2Item{}, false
	}
	r.touched = append(r.touched, ref.node.Get("reference"))
	if id, inside := strings.CutPrefix(text, "#"); inside {
		return contained(ref.owner, id)
	}
	text, _, _ = strings.Cut(text, "/_history/")
	parts := strings.Split(text, "/")
	typ, id := "", ""
	if len(parts) == 2 {
		typ, id = parts[0], parts[1]
	}
	for i := range r.entries {
		e := &r.entries[i]
		if e.url == text || typ != "" && textOf(e.resource.Get("id")) == id && textOf(e.resource.Get("resourceType")) == typ {
			return resourceItem(e.resource), true
		}
	}
	if typ == "" || r.prog.records == nil || !(model{}).resource(typ) {
		return v2Item{}, false
	}
	if n, seen := r.read[text]; seen {
		return resourceItem(n), n != nil
	}
	n, err := r.prog.records.Resource(r.ctx, typ, id)
	if err != nil {
		r.err = &message.Failure{Kind: message.Unavailable, Where: typ, Err: err}
		return v2Item{}, false
	}
	if r.read == nil {
		r.read = map[string]*fhir.Node{}
	}
	r.read[text] = n
	return resourceItem(n), n != nil
}

// resourceItem is a resource as a value of its own.
func resourceItem(n *fhir.Node) v2Item {
	return v2Item{node: n, typ: textOf(n.Get("resourceType")), owner: n}
}

// contained finds a resource inside another; what it refers to with # stands
// beside it.
func contained(owner *fhir.Node, id string) (v2Item, bool) {
	if id == "" {
		return resourceItem(owner), owner != nil
	}
	list := owner.Get("contained")
	if list == nil {
		return v2Item{}, false
	}
	for _, n := range list.Items {
		if textOf(n.Get("id")) == id {
			return v2Item{node: n, typ: textOf(n.Get("resourceType")), owner: owner}, true
		}
	}
	return v2Item{}, false
}

// textOf is the text of a primitive, "" when there is none.
func textOf(n *fhir.Node) string {
	if n == nil || n.Kind == fhir.Object || n.Kind == fhir.Array || n.Kind == fhir.Null {
		return ""
	}
	return n.Text
}
