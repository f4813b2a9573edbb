package profile

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/fhirpath"
	"github.com/plexus-health/plexus/fhir/validate"
)

// Bounds of one validation.
const (
	most     = 200       // faults
	maxDepth = 64        // of objects, and of profiles in profiles
	maxWork  = 1_000_000 // elements held against elements
	maxSteps = 4_000_000 // of all invariants together
)

// Check holds a resource against the profiles that urls name, and this resource
// and those in it against the profiles that they claim (meta.profile) and that
// are loaded. What R4 itself demands is not looked at: validate.Resource does.
func (s *Set) Check(n *fhir.Node, urls ...string) []validate.Fault {
	t, fault := validate.Type(n)
	if fault != nil {
		return nil
	}
	k := &checker{set: s, work: maxWork, steps: maxSteps}
	for _, url := range urls {
		if of, ok := coreType(url); ok && of != t && of.Kind != "abstract" {
			k.fault(t.Name, "structure", "is not of the type "+of.Name)
		}
	}
	k.resource(n, n, t.Name, urls, 0)
	return k.found
}

type checker struct {
	set            *Set
	found          []validate.Fault
	work, steps    int
	resourceNode   *fhir.Node
	root           *fhir.Node
	incomplete     bool
	silent, broken bool // while it is only asked whether something conforms
	lax            bool // while what R4 says of its own extensions is looked at
}

func (k *checker) report(severity validate.Severity, where, code, text string) {
	if k.silent {
		k.broken = k.broken || severity == validate.Error
		return
	}
	f := validate.Fault{Where: where, Code: code, Text: text, Severity: severity, Lax: k.lax && severity == validate.Error}
	if len(k.found) < most && !slices.Contains(k.found, f) { // several ways lead to one element
		k.found = append(k.found, f)
	}
}

func (k *checker) fault(where, code, text string) { k.report(validate.Error, where, code, text) }

// unchecked says what was not looked at, also where it is only asked whether
// something conforms: the answer rests on it.
func (k *checker) unchecked(where, text string) {
	silent := k.silent
	k.silent = false
	k.report(validate.Warning, where, "too-costly", text)
	k.silent = silent
}

// spend takes from the work that is left, and says once when it is used up or
// goes too deep.
func (k *checker) spend(depth int) bool {
	if k.work--; k.work > 0 && depth <= maxDepth {
		return true
	}
	k.ended()
	return false
}

// ended says once that not all was looked at.
func (k *checker) ended() {
	if !k.incomplete {
		k.incomplete = true
		k.unchecked("", "the check against profiles was not ended: it takes too much work")
	}
}

// resource checks a resource and those in it; container is the one that
// contains it, or itself.
func (k *checker) resource(n, container *fhir.Node, where string, urls []string, depth int) {
	t, fault := validate.Type(n)
	if fault != nil || !k.spend(depth) {
		return
	}
	outer, above := k.resourceNode, k.root
	k.resourceNode, k.root = n, container
	done := map[*profile]bool{}
	for _, url := range append(texts(n.Get("meta"), "profile"), urls...) {
		if p := k.set.find(url); p != nil && !done[p] {
			done[p] = true
			k.profile(p, item{node: n, typ: t, where: where, code: t.Name, full: t.Name, at: t.Name}, depth)
		}
	}
	k.extensions(item{node: n, typ: t, where: where, code: t.Name, full: t.Name, at: t.Name}, depth)
	k.inner(n, where, depth)
	k.resourceNode, k.root = outer, above
}

// extensions holds every extension below a value, but not those of resources in
// it, against its definition where that is loaded.
func (k *checker) extensions(of item, depth int) {
	if len(k.found) >= most || !k.spend(depth) {
		return
	}
	owner := of
	if of.node == nil || of.node.Kind != fhir.Object {
		if of.node = of.shadow; of.node == nil {
			return
		}
		of.typ, _ = definitions.Lookup("Element")
		of.path = ""
	}
	for i := range of.node.Members {
		m := &of.node.Members[i]
		name := strings.TrimPrefix(m.Name, "_")
		if m.Value.Kind < fhir.Array && of.node.Get("_"+name) == nil {
			continue
		}
		for _, it := range items(of, name) {
			if it.typ != nil && it.typ.Kind == "resource" {
				continue
			}
			if it.code == "Extension" {
				k.extension(it, owner, depth)
			}
			k.extensions(it, depth+1)
		}
	}
}

// inner checks the resources that stand in one.
func (k *checker) inner(n *fhir.Node, where string, depth int) {
	each := func(list *fhir.Node, at string, visit func(*fhir.Node, string)) {
		if list == nil {
			return
		}
		for i, one := range list.Items {
			visit(one, at+"["+strconv.Itoa(i)+"]")
		}
	}
	each(n.Get("contained"), where+".contained", func(c *fhir.Node, at string) { k.resource(c, k.root, at, nil, depth+1) })
	switch text(n, "resourceType") {
	case "Bundle":
		each(n.Get("entry"), where+".entry", func(e *fhir.Node, at string) {
			if r := e.Get("resource"); r != nil {
				k.resource(r, r, at+".resource", nil, depth+1)
			}
		})
	case "Parameters":
		each(n.Get("parameter"), where+".parameter", func(e *fhir.Node, at string) {
			if r := e.Get("resource"); r != nil {
				k.resource(r, r, at+".resource", nil, depth+1)
			}
		})
	}
}

// extension holds one against its definition, where that is known.
func (k *checker) extension(it, owner item, depth int) {
	url := text(it.node, "url")
	p := k.set.find(url)
	if p == nil && strings.HasPrefix(url, core) {
		k.report(validate.Warning, it.where, "not-found", "the extension is none that R4 defines")
	}
	if p == nil || p.typ.Name != "Extension" {
		return
	}
	k.lax = p.core
	if !p.placed(owner) {
		k.fault(it.where, "structure", "the extension "+p.url+" is not meant for this element")
	}
	k.profile(p, it, depth+1)
	k.lax = false
}

// An item is a value of the resource: where it stands, and what it is.
type item struct {
	node, shadow *fhir.Node // shadow: what stands in the member with the underscore
	typ          *definitions.Type
	path         string // within typ
	code         string // the type as profiles name it
	where        string
	// full is the path from the resource, at that from the type around it, both
	// without indices: "Patient.name.period", "HumanName.period".
	full, at string
}

// name is the place as FHIRPath calls it.
func (i item) name() string {
	switch {
	case i.typ == nil:
		return i.code
	case i.path != "":
		return i.typ.Name + "." + i.path
	}
	return i.typ.Name
}

// profile checks a resource or data type against all a profile says.
func (k *checker) profile(p *profile, it item, depth int) {
	if p.typ != it.typ || it.path != "" {
		k.fault(it.where, "structure", "is not of the type of the profile "+p.url)
		return
	}
	k.element(p, p.root, it, depth)
}

// conforms reports whether a value has no error by a profile.
func (k *checker) conforms(p *profile, it item, depth int) bool {
	return k.quietly(func() { k.profile(p, it, depth) })
}

// quietly reports whether a check finds no error.
func (k *checker) quietly(check func()) bool {
	silent, broken := k.silent, k.broken
	k.silent, k.broken = true, false
	check()
	good := !k.broken
	k.silent, k.broken = silent, broken
	return good
}

// element checks one value against one element or slice.
func (k *checker) element(p *profile, e *element, it item, depth int) {
	if !k.spend(depth) || len(k.found) >= most {
		return
	}
	k.value(p, e, it)
	k.typed(p, e, it, depth)
	for _, c := range e.rules {
		k.invariant(c, it, p)
	}
	if it.node == nil || it.node.Kind != fhir.Object {
		it.node = it.shadow // of a primitive there are ids and extensions
		it.typ, _ = definitions.Lookup("Element")
		it.path = ""
	}
	if it.node == nil {
		return
	}
	children := e.children
	if e.content != "" && len(children) == 0 {
		if same := p.elements[e.content]; same != nil {
			children = same.children
		}
	}
	for _, c := range children {
		if c.name == "resourceType" {
			continue
		}
		k.child(p, c, it, depth)
	}
}

// value checks what is fixed, bound or limited.
func (k *checker) value(p *profile, e *element, it item) {
	switch {
	case e.fixed != nil && (it.node == nil || !e.fixed.Equal(it.node)):
		k.fault(it.where, "value", "is not what the profile "+p.url+" fixes")
	case e.pattern != nil && !matches(e.pattern, it.node):
		k.fault(it.where, "value", "does not match the pattern of the profile "+p.url)
	}
	if e.longest > 0 && it.node != nil && it.node.Kind == fhir.String && len([]rune(it.node.Text)) > e.longest {
		k.fault(it.where, "value", "is longer than "+strconv.Itoa(e.longest)+" characters, the most of the profile "+p.url)
	}
	if e.valueSet != "" && it.node != nil && (e.strength == "required" || e.strength == "extensible") {
		k.bound(p, e, it)
	}
}

// matches reports whether a value has all that a pattern has
// (elementdefinition-definitions.html#pattern).
func matches(pattern, n *fhir.Node) bool {
	if n == nil || pattern.Kind != n.Kind {
		return false
	}
	switch pattern.Kind {
	case fhir.Object:
		for i := range pattern.Members {
			if !matches(pattern.Members[i].Value, n.Get(pattern.Members[i].Name)) {
				return false
			}
		}
		return true
	case fhir.Array:
		for _, want := range pattern.Items {
			if !anyOf(n.Items, func(have *fhir.Node) bool { return matches(want, have) }) {
				return false
			}
		}
		return true
	}
	return pattern.Text == n.Text
}

func anyOf(list []*fhir.Node, good func(*fhir.Node) bool) bool {
	for _, one := range list {
		if good(one) {
			return true
		}
	}
	return false
}

// typed checks the type of a value and what profiles say of it.
func (k *checker) typed(p *profile, e *element, it item, depth int) {
	if len(e.types) == 0 || e == p.root {
		return
	}
	var of *typeOf
	for i := range e.types {
		if t := &e.types[i]; t.code == it.code || t.code == "Resource" || t.code == "Element" || t.code == "BackboneElement" || t.code == "DomainResource" {
			of = t
		}
	}
	if of == nil {
		if !plainType(e.types) {
			k.fault(it.where, "structure", "is of a type that the profile "+p.url+" does not allow here")
		}
		return
	}
	if it.code == "Reference" {
		k.target(p, e, it)
	}
	var all []*profile
	for _, url := range of.profiles {
		t := k.set.find(url)
		if t == nil {
			return // one that is not loaded may be the one it conforms to
		}
		all = append(all, t)
	}
	switch {
	case len(all) == 0:
	case len(all) == 1:
		k.profile(all[0], k.whole(it), depth+1)
	default:
		for _, t := range all {
			if k.conforms(t, k.whole(it), depth+1) {
				return
			}
		}
		k.fault(it.where, "structure", "conforms to none of the profiles that "+p.url+" allows here")
	}
}

// plainType reports whether the types are those of the text of a primitive,
// which snapshots name in their own way.
func plainType(types []typeOf) bool { return len(types) == 1 && types[0].code == "String" }

// whole is a resource as the root of a profile.
func (k *checker) whole(it item) item {
	if it.code == "Resource" || it.typ == nil {
		if t, fault := validate.Type(it.node); fault == nil {
			it.typ, it.path, it.code = t, "", t.Name
		}
	}
	return it
}

// target checks the type of what a reference names.
func (k *checker) target(p *profile, e *element, it item) {
	typ := k.referred(it.node)
	if typ == "" {
		return
	}
	known := false
	for _, t := range e.types {
		for _, url := range t.targets {
			known = true
			of, ok := coreType(url)
			if !ok {
				loaded := k.set.find(url)
				if loaded == nil {
					return // its type is not known
				}
				of = loaded.typ
			}
			if of.Name == typ || of.Name == "Resource" || of.Name == "DomainResource" {
				return
			}
		}
	}
	if known {
		k.fault(it.where, "structure", "refers to a type that the profile "+p.url+" does not allow here")
	}
}

// referred is the type that a Reference names, as far as can be told.
func (k *checker) referred(n *fhir.Node) string {
	if r := k.resolved(n); r != nil {
		return text(r, "resourceType")
	}
	ref := text(n, "reference")
	ref, _, _ = strings.Cut(ref, "?")
	ref, _, _ = strings.Cut(ref, "/_history/")
	parts := strings.Split(ref, "/")
	for _, i := range []int{len(parts) - 2, 0} {
		if i >= 0 {
			if _, ok := definitions.Resource(parts[i]); ok {
				return parts[i]
			}
		}
	}
	if _, ok := definitions.Resource(text(n, "type")); ok {
		return text(n, "type")
	}
	return ""
}

// resolved is the contained resource that a Reference names.
func (k *checker) resolved(n *fhir.Node) *fhir.Node {
	id, ok := strings.CutPrefix(text(n, "reference"), "#")
	list := k.root.Get("contained")
	if !ok || list == nil {
		return nil
	}
	for _, c := range list.Items {
		if k.work--; text(c, "id") == id {
			return c
		}
	}
	return nil
}

// invariant evaluates one of the profile's own.
func (k *checker) invariant(c constraint, it item, p *profile) {
	if it.node == nil {
		return
	}
	if k.steps <= 0 {
		k.ended()
		return
	}
	values, err := c.expression.Eval(context.Background(), it.node, fhirpath.Options{
		Type: it.name(), Resource: k.resourceNode, RootResource: k.root, AsFilters: true, Budget: &k.steps, Member: k.set.member,
	})
	if err != nil || len(values) > 1 {
		k.unchecked(it.where, c.key+" was not checked: its evaluation did not end well")
		return
	}
	if len(values) == 0 {
		return
	}
	if good, ok := values[0].Bool(); ok && !good {
		severity := validate.Error
		if c.warning {
			severity = validate.Warning
		}
		k.report(severity, it.where, "invariant", c.key+": "+c.human+" (profile "+p.url+")")
	}
}
