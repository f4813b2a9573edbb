package fhirpath

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/narrative"
)

// fhirFunctions are those that FHIR adds (FHIR R4, 2.9.1), and type().
var fhirFunctions = map[string]function{
	"type":           {run: typesOf},
	"extension":      {least: 1, most: 1, run: extension},
	"hasValue":       {run: hasValue},
	"getValue":       {run: getValue},
	"resolve":        {run: resolve},
	"conformsTo":     {least: 1, most: 1, run: conformsTo},
	"memberOf":       {least: 1, most: 1, run: memberOf},
	"checkModifiers": {most: -1, run: checkModifiers},
	"htmlChecks":     {run: htmlChecks},
}

func typesOf(m *machine, c *call) ([]Value, error) {
	var out []Value
	for _, v := range c.in {
		out = append(out, Value{kind: TypeInfo, text: v.Type()})
	}
	return out, m.work(len(out), c.n.at)
}

func extension(m *machine, c *call) ([]Value, error) {
	url, ok, err := m.argOf(c, 0, String)
	if err != nil || !ok {
		return nil, err
	}
	var out, found []Value
	for _, v := range c.in {
		if found, err = m.step(v, "extension", found[:0], c.n.at); err != nil {
			return nil, err
		}
		for _, x := range found {
			if memberText(x.node, "url") == url.text {
				out = append(out, x)
			}
		}
	}
	return out, m.size(len(out), c.n.at)
}

// simple reports whether a value is a primitive that has a value.
func (v Value) simple() bool {
	if v.kind != Element {
		return v.kind != None
	}
	return v.node != nil && v.node.Kind != fhir.Object && v.node.Kind != fhir.Array
}

func hasValue(_ *machine, c *call) ([]Value, error) {
	return truthValues(len(c.in) == 1 && c.in[0].simple(), nil)
}

func getValue(_ *machine, c *call) ([]Value, error) {
	if len(c.in) != 1 || !c.in[0].simple() {
		return nil, nil
	}
	v, ok := c.in[0].system()
	if !ok {
		return nil, nil
	}
	return []Value{v}, nil
}

// resolve finds what references name: in what the resource contains, among the
// entries of the Bundle, then where Options.Resolve looks. What is not found is
// left out.
func resolve(m *machine, c *call) ([]Value, error) {
	var out []Value
	for _, v := range c.in {
		if err := m.work(1, c.n.at); err != nil {
			return nil, err
		}
		reference := ""
		if v.kind == Element && v.node != nil && v.node.Kind == fhir.Object {
			reference = memberText(v.node, "reference")
		} else if s, ok := v.system(); ok && s.kind == String {
			reference = s.text
		}
		if reference == "" {
			continue
		}
		found, err := m.named(reference, c.n.at)
		if err != nil {
			return nil, err
		}
		if found != nil {
			out = append(out, Resource(found))
		}
	}
	return out, nil
}

func (m *machine) named(reference string, at int) (*fhir.Node, error) {
	inner, outer := m.opt.Resource, m.opt.RootResource
	if inner == nil {
		inner = m.root.node
	}
	if outer == nil {
		outer = inner
	}
	if id, ok := strings.CutPrefix(reference, "#"); ok {
		if id == "" {
			return outer, nil
		}
		for _, container := range [...]*fhir.Node{outer, inner} {
			if found, err := m.contained(container, id, at); found != nil || err != nil {
				return found, err
			}
		}
		return nil, nil
	}
	for _, bundle := range [...]*fhir.Node{m.root.node, outer} {
		if memberText(bundle, "resourceType") != "Bundle" {
			continue
		}
		if found, err := m.entry(bundle, reference, at); found != nil || err != nil {
			return found, err
		}
	}
	if m.opt.Resolve != nil {
		return m.opt.Resolve(reference), nil
	}
	return nil, nil
}

func (m *machine) contained(n *fhir.Node, id string, at int) (*fhir.Node, error) {
	list := n.Get("contained")
	if list == nil {
		return nil, nil
	}
	for _, one := range list.Items {
		if memberText(one, "id") == id {
			return one, nil
		}
	}
	return nil, m.work(len(list.Items), at)
}

// entry finds a resource of a Bundle by its full URL, or the end of it.
func (m *machine) entry(bundle *fhir.Node, reference string, at int) (*fhir.Node, error) {
	list := bundle.Get("entry")
	if list == nil {
		return nil, nil
	}
	reference, _, _ = strings.Cut(reference, "/_history/")
	for _, e := range list.Items {
		full, inner := memberText(e, "fullUrl"), e.Get("resource")
		if inner == nil {
			continue
		}
		own := memberText(inner, "resourceType") + "/" + memberText(inner, "id")
		if full == reference || own == reference || strings.HasSuffix(full, "/"+reference) {
			return inner, nil
		}
	}
	return nil, m.work(len(list.Items), at)
}

const structures = "http://hl7.org/fhir/StructureDefinition/"

// conformsTo knows the types of FHIR R4 and no profiles.
func conformsTo(m *machine, c *call) ([]Value, error) {
	url, ok, err := m.argOf(c, 0, String)
	if err != nil || !ok || len(c.in) == 0 {
		return nil, err
	}
	if len(c.in) > 1 {
		return nil, fault(c.n.at, "conformsTo() meets %d values", len(c.in))
	}
	name, base := strings.CutPrefix(url.text, structures)
	name, _, _ = strings.Cut(name, "|")
	if _, known := definitions.Lookup(name); !known || !base {
		return nil, fault(c.n.at, "conformsTo() names a profile that is not known")
	}
	return truthFrom(typeName{"FHIR", name}.is(c.in[0])).values(), nil
}

// memberOf asks whether a code, Coding or CodeableConcept is in a value set.
func memberOf(m *machine, c *call) ([]Value, error) {
	set, ok, err := m.argOf(c, 0, String)
	if err != nil || !ok || len(c.in) == 0 {
		return nil, err
	}
	if len(c.in) > 1 {
		return nil, fault(c.n.at, "memberOf() meets %d values", len(c.in))
	}
	codings := c.in
	if c.in[0].kind == Element && c.in[0].place.name == "CodeableConcept" {
		if codings, err = m.step(c.in[0], "coding", nil, c.n.at); err != nil {
			return nil, err
		}
	}
	for _, v := range codings {
		system, code := "", v.String()
		if v.kind == Element && v.node != nil && v.node.Kind == fhir.Object {
			system, code = memberText(v.node, "system"), memberText(v.node, "code")
		}
		if m.opt.Member == nil {
			return nil, fault(c.n.at, "memberOf() names a value set that is not known")
		}
		member, known := m.opt.Member(set.text, system, code)
		if !known {
			return nil, fault(c.n.at, "memberOf() names a value set that is not known")
		}
		if member {
			return yes.values(), nil
		}
	}
	return no.values(), nil
}

// checkModifiers refuses modifier extensions that it is not given.
func checkModifiers(m *machine, c *call) ([]Value, error) {
	var known []string
	for i := range c.n.args {
		url, ok, err := m.argOf(c, i, String)
		if err != nil {
			return nil, err
		}
		if ok {
			known = append(known, url.text)
		}
	}
	for _, v := range c.in {
		found, err := m.step(v, "modifierExtension", nil, c.n.at)
		if err != nil {
			return nil, err
		}
		for _, x := range found {
			if !slices.Contains(known, memberText(x.node, "url")) {
				return nil, fault(c.n.at, "checkModifiers() meets an extension it is not given")
			}
		}
	}
	return c.in, nil
}

// htmlChecks holds a narrative against the rules of FHIR R4, 2.4.0.
func htmlChecks(m *machine, c *call) ([]Value, error) {
	for _, v := range c.in {
		s, ok := v.system()
		if !ok || s.kind != String {
			return no.values(), nil
		}
		if err := m.work(len(s.text)/8, c.n.at); err != nil {
			return nil, err
		}
		if !narrative.Good(s.text) {
			return no.values(), nil
		}
	}
	return yes.values(), nil
}
