package mapping

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
)

// A backRun is one message on its way back.
type backRun struct {
	ctx      context.Context //nolint:containedctx // of one call of Apply
	m        *Back
	names    map[string][]*fhir.Node
	bundle   []*fhir.Node // what stands beside the resource, with its fullUrl
	urls     []string
	focus    *fhir.Node
	out      *vmessage
	args     []bvalue
	ordinal  int
	depth    int
	origins  []transforms.Origin
	findings []transforms.Finding
}

// treer is a document of FHIR.
type treer interface{ Tree() *fhir.Node }

// Apply makes the HL7 v2 message of a resource.
func (m *Back) Apply(ctx context.Context, in *message.Message) ([]*message.Message, error) {
	tree, err := treeOf(in)
	if err != nil {
		return nil, err
	}
	r := &backRun{ctx: ctx, m: m, names: map[string][]*fhir.Node{}, out: newMessage(m.program.structure, m.program.edition)}
	if r.focus = r.find(tree); r.focus == nil {
		return nil, &message.Failure{Kind: message.Malformed, Where: "resourceType", Code: 200, Err: fmt.Errorf("%s maps %s, and there is none", m.program.name, m.program.resource)}
	}
	r.names[m.program.resource] = []*fhir.Node{r.focus}
	for i := range m.program.gather {
		if err := r.gatherOne(&m.program.gather[i]); err != nil {
			return nil, err
		}
	}
	r.targets(m.program.rows, bvalue{node: r.focus})
	made := &Made{parser: hl7v2.New(hl7v2.Options{}), made: r.out, origins: r.origins, findings: r.findings}
	if made.Message, err = made.parse("", ""); err != nil {
		return nil, &message.Failure{Kind: message.Malformed, Err: errors.New("what was made is no HL7 v2 message")}
	}
	next := *in
	next.Doc = made
	return []*message.Message{&next}, nil
}

func treeOf(in *message.Message) (*fhir.Node, error) {
	if doc, ok := in.Doc.(treer); ok {
		return doc.Tree(), nil
	}
	tree, err := fhir.Parse(in.Raw)
	if err != nil || tree.Kind != fhir.Object {
		return nil, &message.Failure{Kind: message.Malformed, Offset: 1, Err: errors.New("the document is not FHIR")}
	}
	return tree, nil
}

// find is the resource that is mapped: the message, or the first of its type in
// a Bundle.
func (r *backRun) find(tree *fhir.Node) *fhir.Node {
	if textOf(tree, "resourceType") == r.m.program.resource {
		return tree
	}
	entries := tree.Get("entry")
	if textOf(tree, "resourceType") != "Bundle" || entries == nil {
		return nil
	}
	var focus *fhir.Node
	for _, e := range entries.Items {
		resource := e.Get("resource")
		if resource == nil || resource.Kind != fhir.Object {
			continue
		}
		r.bundle, r.urls = append(r.bundle, resource), append(r.urls, textOf(e, "fullUrl"))
		if focus == nil && textOf(resource, "resourceType") == r.m.program.resource {
			focus = resource
		}
	}
	return focus
}

func textOf(n *fhir.Node, name string) string {
	if n == nil || n.Kind != fhir.Object {
		return ""
	}
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}

// gatherOne looks for one name of gather.
func (r *backRun) gatherOne(g *gathering) error {
	if g.search != "" {
		return r.searchFor(g)
	}
	for _, start := range r.names[g.from] {
		for _, ref := range g.walk.Nodes(start) {
			found, err := r.resolve(ref, g.as)
			if err != nil {
				return err
			}
			if found != nil {
				r.names[g.name] = append(r.names[g.name], found)
			}
			if found != nil && !g.each {
				return nil
			}
		}
	}
	if len(r.names[g.name]) == 0 && !g.optional {
		return &message.Failure{Kind: message.Malformed, Where: g.at, Code: 204, Err: errors.New("what it refers to is not in the store")}
	}
	return nil
}

// resolve follows a reference: to what the resource contains, what stands in
// the Bundle, what is in the store. What is elsewhere is never fetched.
func (r *backRun) resolve(ref *fhir.Node, as string) (*fhir.Node, error) {
	text := textOf(ref, "reference")
	found, err := r.lookup(text)
	if err != nil || found == nil {
		return nil, err
	}
	typ := textOf(found, "resourceType")
	if as == "" || typ == as {
		return found, nil
	}
	if typ == "PractitionerRole" && (as == "Practitioner" || as == "Organization") {
		return r.resolve(found.Get(strings.ToLower(as)), as)
	}
	return nil, nil
}

func (r *backRun) lookup(text string) (*fhir.Node, error) {
	if id, inside := strings.CutPrefix(text, "#"); inside {
		if list := r.focus.Get("contained"); list != nil {
			for _, c := range list.Items {
				if textOf(c, "id") == id {
					return c, nil
				}
			}
		}
		return nil, nil
	}
	text, _, _ = strings.Cut(text, "/_history/")
	for i, c := range r.bundle {
		if text != "" && (r.urls[i] == text || textOf(c, "resourceType")+"/"+textOf(c, "id") == text) {
			return c, nil
		}
	}
	typ, id, ok := strings.Cut(text, "/")
	if !ok || strings.Contains(id, "/") || r.m.records == nil || id == "" {
		return nil, nil
	}
	found, err := r.m.records.Resource(r.ctx, typ, id)
	return found, unavailable(err)
}

// unavailable makes a fault of the store one of ours that may pass.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &message.Failure{Kind: message.Unavailable, Err: err}
}

// searchFor gathers the resources that refer to another.
func (r *backRun) searchFor(g *gathering) error {
	targets := r.names[g.to]
	if len(targets) == 0 {
		return nil
	}
	ref := textOf(targets[0], "resourceType") + "/" + textOf(targets[0], "id")
	var found []*fhir.Node
	for _, c := range r.bundle {
		if textOf(c, "resourceType") == g.search && refersTo(c.Get(g.param), ref, r.urlOf(targets[0])) {
			found = append(found, c)
		}
	}
	if r.m.records != nil && textOf(targets[0], "id") != "" {
		stored, err := r.m.records.Referring(r.ctx, g.search, g.param, ref)
		if err != nil {
			return unavailable(err)
		}
		found = append(found, stored...)
	}
	seen := map[string]bool{}
	for _, n := range found {
		fits := true
		for _, w := range g.where {
			fits = fits && textOf(n, w[0]) == w[1]
		}
		if id := textOf(n, "id"); fits && (id == "" || !seen[id]) {
			seen[id] = true
			r.names[g.name] = append(r.names[g.name], n)
		}
	}
	return nil
}

func (r *backRun) urlOf(n *fhir.Node) string {
	for i, c := range r.bundle {
		if c == n {
			return r.urls[i]
		}
	}
	return ""
}

func refersTo(ref *fhir.Node, texts ...string) bool {
	got := textOf(ref, "reference")
	for _, t := range texts {
		if got != "" && got == t {
			return true
		}
	}
	return false
}

// targets writes rows, below an item.
func (r *backRun) targets(list []*backTarget, item bvalue) {
	for _, t := range list {
		for _, row := range t.rows {
			if r.write(t, row, item) && !t.more {
				break // the first that gives a value
			}
		}
	}
}

// write runs one row of a target; whether it gave a value.
func (r *backRun) write(t *backTarget, row *backRow, item bvalue) bool {
	if row.when != nil && !row.when(r, item) && !row.each {
		return false
	}
	values := r.values(row, item)
	if len(row.sources) == 0 {
		values = []bvalue{item}
	}
	if len(values) == 0 {
		return false
	}
	if !row.each && len(values) > 1 {
		values = values[:1]
	}
	any := false
	outer := r.ordinal
	for i, v := range values {
		if r.ordinal = i + 1; row.row.max > 0 && i == row.row.max {
			break
		}
		if row.each && row.when != nil && !row.when(r, v) {
			continue
		}
		if len(row.set) > 0 && t.field == 0 {
			if i > 0 || t.more {
				r.out.add(t.segment)
			}
			r.targets(row.set, v)
			any = true
			continue
		}
		f, ok := r.convert(row, v, item)
		if !ok || f.empty() {
			continue
		}
		r.put(t, f)
		r.origins = append(r.origins, transforms.Origin{Target: t.name(), Source: v.from, Map: row.row.owner.name, File: row.row.at.file, Line: row.row.at.line})
		any = true
	}
	r.ordinal = outer
	return any
}

// name is a target as rows write it.
func (t *backTarget) name() string {
	text := fmt.Sprintf("%s-%d", t.segment, t.field)
	if t.comp > 0 {
		text += fmt.Sprintf(".%d", t.comp)
	}
	return text
}

// put writes a field, or a component of one.
func (r *backRun) put(t *backTarget, f vfield) {
	s := r.out.segment(t.segment)
	if t.more || len(s.fields[t.field]) == 0 {
		s.fields[t.field] = append(s.fields[t.field], nil)
	}
	last := len(s.fields[t.field]) - 1
	if t.comp == 0 {
		s.fields[t.field][last] = f
		return
	}
	at := s.fields[t.field][last]
	if t.sub > 0 || len(f) == 1 && len(f[0]) == 1 {
		s.fields[t.field][last] = at.put(t.comp, t.sub, f[0][0])
		return
	}
	for i, comp := range f {
		if len(comp) > 0 {
			at = at.put(t.comp, i+1, comp[0])
		}
	}
	s.fields[t.field][last] = at
}

// values are those of the first source that has any.
func (r *backRun) values(row *backRow, item bvalue) []bvalue {
	for i := range row.sources {
		if found := row.sources[i].get(r, item); len(found) > 0 {
			return found
		}
	}
	return nil
}

// first makes the field of a row: of its first value.
func (r *backRun) first(row *backRow, item bvalue) (vfield, bool) {
	if row.when != nil && !row.when(r, item) {
		return nil, false
	}
	values := r.values(row, item)
	if len(values) == 0 {
		return nil, false
	}
	return r.convert(row, values[0], item)
}

// convert makes a field of a value.
func (r *backRun) convert(row *backRow, v, item bvalue) (vfield, bool) {
	if row.table != nil {
		return r.throughTable(row, v)
	}
	if row.convert != nil {
		args := make([]bvalue, len(row.with))
		for i := range row.with {
			if found := row.with[i].get(r, item); len(found) > 0 {
				args[i] = found[0]
			}
		}
		f, ok := row.convert(r, v, args)
		if !ok && !v.missing() {
			r.finding("conversion", row, "the value does not fit "+row.row.as)
		}
		return f, ok
	}
	if v.field != nil {
		return v.field, true
	}
	text := v.plain()
	return textField(text), text != ""
}

func (r *backRun) finding(kind string, row *backRow, text string) {
	r.findings = append(r.findings, transforms.Finding{Kind: kind, Where: row.row.text, Text: text})
}

// throughTable reads a table backwards: of a code, a Coding or a
// CodeableConcept. A code without an entry stays as the table says.
func (r *backRun) throughTable(row *backRow, v bvalue) (vfield, bool) {
	codes := codesOf(v)
	for _, code := range codes {
		if e, ok := row.table.Back(code, time.Time{}); ok {
			return textField(e.From), true
		}
	}
	if len(codes) == 0 || row.table.Ignores(codes[0]) {
		return nil, false
	}
	switch row.table.Otherwise {
	case tables.Default:
		return textField(row.table.Default), row.table.Default != ""
	case tables.Keep:
		r.findings = append(r.findings, transforms.Finding{Kind: "unmapped", Where: v.from, Table: row.table.Name, Code: codes[0], Text: "code not in table " + row.table.Name})
	case tables.Nothing, tables.Park:
	}
	return nil, false
}

// codesOf are the codes of a value.
func codesOf(v bvalue) []string {
	if v.node == nil || v.node.Kind != fhir.Object {
		if text := v.plain(); text != "" {
			return []string{text}
		}
		return nil
	}
	if code := textOf(v.node, "code"); code != "" {
		return []string{code}
	}
	var out []string
	if list := v.node.Get("coding"); list != nil {
		for _, c := range list.Items {
			if code := textOf(c, "code"); code != "" {
				out = append(out, code)
			}
		}
	}
	return out
}
