package fhirpath

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
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
		if !goodNarrative(s.text) {
			return no.values(), nil
		}
	}
	return yes.values(), nil
}

// htmlElements are those a narrative may have: chapters 7 to 11 (but 9.4 is
// left out) and 15 of HTML 4.0, images and links.
var htmlElements = strings.Fields(`a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt
	em h1 h2 h3 h4 h5 h6 hr i img kbd li map area ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
	bdo s strike u center font ins del address`)

// htmlAttributes are those it may have, beside lists of names for tables.
var htmlAttributes = strings.Fields(`abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff
	charset cite class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nowrap rel rev rowspan rules
	scope shape span src start style summary tabindex title type valign value vspace width xmlns space`)

const xhtml = "http://www.w3.org/1999/xhtml"

func goodNarrative(s string) bool {
	d := xml.NewDecoder(strings.NewReader(s))
	d.Entity = xml.HTMLEntity
	depth, full := 0, false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return depth == 0 && full
		}
		if err != nil {
			return false
		}
		switch e := t.(type) {
		case xml.StartElement:
			if depth == 0 && (e.Name.Local != "div" || e.Name.Space != xhtml) {
				return false
			}
			if depth++; depth > 100 || !goodElement(e) {
				return false
			}
			full = full || e.Name.Local == "img"
		case xml.EndElement:
			depth--
		case xml.CharData:
			text := strings.TrimSpace(string(e)) != ""
			if depth == 0 && text {
				return false
			}
			full = full || text
		case xml.Directive, xml.ProcInst:
			return false
		}
	}
}

func goodElement(e xml.StartElement) bool {
	if !slices.Contains(htmlElements, e.Name.Local) {
		return false
	}
	for _, a := range e.Attr {
		value := strings.ToLower(strings.TrimSpace(a.Value))
		if !slices.Contains(htmlAttributes, a.Name.Local) || strings.HasPrefix(value, "javascript:") {
			return false
		}
	}
	return true
}
