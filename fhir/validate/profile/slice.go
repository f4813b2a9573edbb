package profile

import (
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/validate"
)

// items are the values of an element of an object: name may be that of a choice
// ("value[x]") or one type of it ("valueQuantity").
func items(of item, name string) []item {
	var out []item
	stem, choice := strings.CutSuffix(name, "[x]")
	n := of.node
	if n == nil || of.typ == nil {
		return nil
	}
	for i := range n.Members {
		full, shadow := strings.CutPrefix(n.Members[i].Name, "_")
		if full != name && (!choice || !strings.HasPrefix(full, stem)) || (shadow && n.Get(full) != nil) {
			continue
		}
		e, code, ok := of.typ.Child(of.path, full)
		if !ok || (choice && e.Path != strings.TrimPrefix(of.path+"."+name, ".")) {
			continue
		}
		out = appendItems(out, of, e, code, full)
	}
	return out
}

func appendItems(out []item, of item, e *definitions.Element, code, full string) []item {
	stem, choice := strings.CutSuffix(e.Path[strings.LastIndexByte(e.Path, '.')+1:], "[x]")
	it := item{code: code, where: of.where + "." + full, full: of.full + "." + stem, at: of.name() + "." + stem}
	if choice {
		it.where = of.where + "." + stem + ".ofType(" + code + ")"
	}
	below := strings.TrimPrefix(of.path+"."+full, ".")
	if owner, path, ref := strings.Cut(strings.TrimPrefix(code, "#"), "."); ref && code[0] == '#' {
		it.typ, _ = definitions.Lookup(owner)
		it.path, it.code = path, "BackboneElement"
	} else if (code == "BackboneElement" || code == "Element") && len(of.typ.Children(below)) > 0 {
		it.typ, it.path = of.typ, below
	} else if code != "Resource" {
		it.typ, _ = definitions.Lookup(code)
	}
	v, shadow := of.node.Get(full), of.node.Get("_"+full)
	if !e.Repeats() {
		it.node, it.shadow = v, shadow
		return append(out, itself(it))
	}
	count := 0
	if v != nil {
		count = len(v.Items)
	}
	if shadow != nil {
		count = max(count, len(shadow.Items))
	}
	for i := range count {
		one := it
		one.where += "[" + strconv.Itoa(i) + "]"
		if v != nil && i < len(v.Items) && v.Items[i].Kind != fhir.Null {
			one.node = v.Items[i]
		}
		if shadow != nil && i < len(shadow.Items) {
			one.shadow = shadow.Items[i]
		}
		out = append(out, itself(one))
	}
	return out
}

// itself gives a resource its own type.
func itself(it item) item {
	if it.code == "Resource" {
		if t, fault := validate.Type(it.node); fault == nil {
			it.typ, it.code = t, t.Name
		}
	}
	return it
}

// child checks the values of one element of an object.
func (k *checker) child(p *profile, e *element, of item, depth int) {
	all := items(of, e.name)
	k.count(p, e, len(all), of.where, e.name)
	for _, it := range all {
		k.element(p, e, it, depth+1)
	}
	if len(e.slices) > 0 {
		k.slices(p, e, of, all, depth)
	}
}

// count checks how often an element stands.
func (k *checker) count(p *profile, e *element, have int, where, what string) {
	if e.slice != "" {
		what += ":" + e.slice
	}
	switch {
	case e.min > 0 && have < e.min && e.min == 1:
		k.fault(where, "required", what+" is missing, which the profile "+p.url+" requires")
	case e.min > 0 && have < e.min:
		k.fault(where, "required", what+" stands less than "+strconv.Itoa(e.min)+" times, which the profile "+p.url+" requires")
	case e.max >= 0 && have > e.max:
		k.fault(where, "structure", what+" stands more than "+strconv.Itoa(e.max)+" times, the most of the profile "+p.url)
	}
}

// slices tells the values apart and checks each slice (profiling.html#slicing).
func (k *checker) slices(p *profile, e *element, of item, all []item, depth int) {
	by := slicingOf(e)
	if by == nil {
		return
	}
	counts := make([]int, len(e.slices))
	last := -1
	for _, it := range all {
		found := -1
		for i, s := range e.slices {
			if k.in(p, by, s, it, depth) {
				found = i
				counts[i]++
				k.element(p, s, it, depth+1)
				break
			}
		}
		switch {
		case found < 0 && by.rules == "closed":
			k.fault(it.where, "structure", "is none of the slices, and the profile "+p.url+" allows no others")
		case found < 0 && by.rules == "openAtEnd":
			last = len(e.slices)
		case found >= 0 && found < last && (by.ordered || by.rules == "openAtEnd"):
			k.fault(it.where, "structure", "is not in the order of the slices of the profile "+p.url)
		case found >= 0:
			last = found
		}
	}
	for i, s := range e.slices {
		if k.decidable(p, by, s, depth) {
			k.count(p, s, counts[i], of.where, s.name)
		}
	}
}

// slicingOf is how the slices of an element are told apart: extensions by their
// url and choices by their type, where nothing else is said.
func slicingOf(e *element) *slicing {
	switch {
	case e.slicing != nil && len(e.slicing.by) > 0:
		return e.slicing
	case e.name == "extension" || e.name == "modifierExtension":
		return &slicing{by: []discriminator{{"value", "url"}}, rules: "open"}
	case strings.HasSuffix(e.name, "[x]"):
		return &slicing{by: []discriminator{{"type", "$this"}}, rules: "open"}
	}
	return nil
}

// decidable reports whether a slice says something of every discriminator.
func (k *checker) decidable(p *profile, by *slicing, s *element, depth int) bool {
	for _, d := range by.by {
		if d.kind == "value" || d.kind == "pattern" {
			if e, url := k.at(p, s, d.path, depth); url == "" && !decides(e, k.set) {
				return false
			}
		}
	}
	return true
}

// decides reports whether an element says which values it takes.
func decides(e *element, set *Set) bool {
	if e == nil {
		return false
	}
	if e.fixed != nil || e.pattern != nil {
		return true
	}
	if e.valueSet != "" && e.strength == "required" {
		_, known := set.expansion(e.valueSet)
		return known
	}
	for _, c := range e.children {
		if decides(c, set) {
			return true
		}
	}
	return false
}

// in reports whether a value belongs to a slice.
func (k *checker) in(p *profile, by *slicing, s *element, it item, depth int) bool {
	for _, d := range by.by {
		if !k.discriminated(p, d, s, it, depth) {
			return false
		}
	}
	return true
}

func (k *checker) discriminated(p *profile, d discriminator, s *element, it item, depth int) bool {
	e, url := k.at(p, s, d.path, depth)
	values := k.follow([]item{it}, d.path)
	switch d.kind {
	case "exists":
		return e == nil || (e.max == 0) == (len(values) == 0)
	case "type":
		return e != nil && len(values) > 0 && ofTypes(e.types, values[0].code)
	case "profile":
		return e != nil && len(values) > 0 && k.ofProfiles(e.types, values[0], depth)
	}
	if url != "" {
		return len(values) > 0 && values[0].node != nil && values[0].node.Text == url
	}
	if !decides(e, k.set) {
		return false
	}
	for _, v := range values {
		if k.takes(p, e, v, depth) {
			return true
		}
	}
	return false
}

// takes reports whether a value is one of those that an element says it takes:
// what is fixed or bound in it and below it.
func (k *checker) takes(p *profile, e *element, it item, depth int) bool {
	if !k.spend(depth) {
		return false
	}
	if !k.quietly(func() { k.value(p, e, it) }) {
		return false
	}
	for _, c := range e.children {
		if !decides(c, k.set) {
			continue
		}
		found := false
		for _, v := range items(it, c.name) {
			found = found || k.takes(p, c, v, depth+1)
		}
		if !found {
			return false
		}
	}
	return true
}

func ofTypes(types []typeOf, code string) bool {
	for _, t := range types {
		if t.code == code || t.code == "Resource" {
			return true
		}
	}
	return false
}

func (k *checker) ofProfiles(types []typeOf, it item, depth int) bool {
	for _, t := range types {
		for _, url := range append(t.profiles, t.targets...) {
			if p := k.set.find(url); p != nil {
				if k.conforms(p, k.whole(it), depth+1) {
					return true
				}
			} else if of, ok := coreType(url); ok && of.Name == it.code {
				return true
			}
		}
	}
	return false
}

// at is the element that the path of a discriminator leads to from a slice; url
// is what the url of an extension has to be.
func (k *checker) at(p *profile, e *element, path string, depth int) (found *element, url string) {
	for _, step := range steps(path) {
		if step == "resolve()" {
			continue // what is referred to: its profiles are those of the reference
		}
		next := (*element)(nil)
		for _, c := range e.children {
			if c.name == step || strings.TrimSuffix(c.name, "[x]") == step || (c.name == "extension" && sliceOfURL(c, step) != nil) {
				next = c
				if strings.HasPrefix(step, "extension(") {
					next = sliceOfURL(c, step)
				}
			}
		}
		if next == nil || (step == "url" && !decides(next, k.set)) {
			for _, t := range e.types {
				for _, profile := range t.profiles {
					if t.code == "Extension" && step == "url" {
						url, _, _ = strings.Cut(profile, "|")
						return nil, url
					}
					if other := k.set.find(profile); other != nil && depth < maxDepth && next == nil {
						return k.at(other, other.root, step, depth+1)
					}
				}
			}
		}
		if next == nil {
			return nil, ""
		}
		e = next
	}
	return e, ""
}

// sliceOfURL is the slice of extensions that a step "extension('url')" names.
func sliceOfURL(e *element, step string) *element {
	url := urlOf(step)
	for _, s := range e.slices {
		for _, t := range s.types {
			for _, p := range t.profiles {
				if p == url {
					return s
				}
			}
		}
	}
	return nil
}

func urlOf(step string) string {
	return strings.Trim(strings.TrimSuffix(strings.TrimPrefix(step, "extension("), ")"), `'"`)
}

// steps cuts the path of a discriminator at the dots outside of parentheses.
func steps(path string) []string {
	var out []string
	depth, from := 0, 0
	for i := 0; i <= len(path); i++ {
		switch {
		case i == len(path) || (path[i] == '.' && depth == 0):
			if step := path[from:i]; step != "$this" && step != "" && !strings.HasPrefix(step, "ofType(") {
				out = append(out, step)
			}
			from = i + 1
		case path[i] == '(':
			depth++
		case path[i] == ')':
			depth--
		}
	}
	return out
}

// follow finds the values that the path of a discriminator leads to.
func (k *checker) follow(from []item, path string) []item {
	for _, step := range steps(path) {
		var next []item
		for _, it := range from {
			switch {
			case step == "resolve()":
				next = append(next, k.resolution(it)...)
			case strings.HasPrefix(step, "extension("):
				for _, x := range items(it, "extension") {
					if text(x.node, "url") == urlOf(step) {
						next = append(next, x)
					}
				}
			default:
				found := items(it, step)
				if len(found) == 0 {
					found = items(it, step+"[x]")
				}
				next = append(next, found...)
			}
		}
		from = next
	}
	return from
}

// resolution is what a reference names: the contained resource, or its type.
func (k *checker) resolution(it item) []item {
	if it.node == nil || it.node.Kind != fhir.Object {
		return nil
	}
	it.node, it.typ, it.path, it.code = k.resolved(it.node), nil, "", k.referred(it.node)
	if it.code == "" {
		return nil
	}
	it.typ, _ = definitions.Lookup(it.code)
	return []item{it}
}
