// Package definitions holds the FHIR R4 (4.0.1) definitions as tables: types
// with their elements, search parameters, the patient compartment. The tables
// are generated from the official bundles.
package definitions

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/plexus-health/plexus/fhir"
)

//go:generate bash ../../scripts/definitions.sh

//go:embed elements.tsv
var elementsText string

//go:embed params.tsv
var paramsText string

//go:embed patient.tsv
var patientText string

//go:embed compartments.tsv
var compartmentsText string

//go:embed summary.tsv
var summaryText string

// A Type is a resource type, data type or primitive.
type Type struct {
	// Number is stable over versions of the engine: the store keeps it.
	Number int
	Name   string
	// Kind is "resource", "complex-type", "primitive-type" or "abstract".
	Kind string
	// Elements are those of the type in their order, backbone elements by
	// their path ("contact.name").
	Elements []Element
	index    map[string]int
	children map[string][]*Element
}

// An Element is one element of a type.
type Element struct {
	// Path is relative to the type: "contact.name", "value[x]".
	Path string
	Min  int
	// Max is 0 to n; -1 for any number.
	Max int
	// Types are the types it may have; "#Type.path" refers to the elements
	// of another.
	Types []string
	// Targets are the resource types a reference may point to.
	Targets []string
	// Binding is the value set that codes must be in: that of a required
	// binding, or the maximum of a weaker one (Weak). Empty: there is none.
	Binding string
	Weak    bool
}

// Repeats reports whether the element is a list.
func (e *Element) Repeats() bool { return e.Max < 0 || e.Max > 1 }

// A Param is a search parameter of one resource type.
type Param struct {
	ID         fhir.Param
	Type, Code string
	// Kind is token, date, string, reference, number, quantity, uri, composite
	// or special.
	Kind       string
	Targets    []string
	Expression string
	// Row is the number its index rows stand under: its own, or that of the
	// parameter it is a part of (patient is subject where that is a Patient) or
	// finds the same as (phonetic is name).
	Row fhir.Param
	// Components are the parts of a composite; Expression is then the element
	// they have in common.
	Components []Component
	part       bool
}

// A Component is one part of a composite parameter.
type Component struct {
	// Code is the parameter of the same type whose values the part takes.
	Code string
	// Expression starts at the element of the composite, or with %resource.
	Expression string
}

// Combined reports whether the parameter is found by two others that have rows:
// combo-code is code or component-code.
func (p *Param) Combined() bool { return strings.HasPrefix(p.Code, "combo-") }

// Alias reports whether the rows of another parameter serve this one too.
func (p *Param) Alias() bool { return p.Row != p.ID }

// Part reports whether the parameter finds a part of what another one finds:
// the references that are to its first target.
func (p *Param) Part() bool { return p.part }

type model struct {
	types   map[string]*Type
	numbers map[int]string
	params  map[string][]*Param // by resource type, sorted by code
	byID    map[fhir.Param]*Param
	patient map[string][]string
	// compartments are the parameters by compartment and type.
	compartments map[string]map[string][]string
	summary      map[string]map[string]bool
}

// load parses the tables once.
var load = sync.OnceValue(func() *model {
	m := &model{types: map[string]*Type{}, numbers: map[int]string{}, params: map[string][]*Param{}, byID: map[fhir.Param]*Param{}, patient: map[string][]string{}, compartments: map[string]map[string][]string{}, summary: map[string]map[string]bool{}}
	m.loadTypes()
	m.loadParams()
	for line := range strings.Lines(patientText) {
		if name, codes, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			m.patient[name] = strings.Fields(codes)
		}
	}
	m.loadCompartments()
	return m
})

// Hash is a hash of what search parameters and their types are read from.
var Hash = sync.OnceValue(func() string {
	sum := sha256.New()
	for _, table := range []string{paramsText, patientText, elementsText} {
		sum.Write([]byte(table))
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
})

func (m *model) loadTypes() {
	var t *Type
	for line := range strings.Lines(elementsText) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if head, ok := strings.CutPrefix(fields[0], "@"); ok && len(fields) == 3 {
			n, _ := strconv.Atoi(head) // generated
			t = &Type{Number: n, Name: fields[1], Kind: fields[2], index: map[string]int{}}
			m.types[t.Name], m.numbers[n] = t, t.Name
			continue
		}
		for len(fields) < 6 {
			fields = append(fields, "")
		}
		e := Element{Path: fields[0], Max: -1}
		e.Binding, e.Weak = strings.CutPrefix(fields[5], "max ")
		e.Min, _ = strconv.Atoi(fields[1]) // generated
		if fields[2] != "*" {
			e.Max, _ = strconv.Atoi(fields[2]) // generated
		}
		e.Types, e.Targets = strings.Fields(fields[3]), strings.Fields(fields[4])
		t.index[strings.TrimSuffix(e.Path, "[x]")] = len(t.Elements)
		t.Elements = append(t.Elements, e)
	}
	for _, t := range m.types {
		t.family()
	}
}

func (m *model) loadCompartments() {
	for line := range strings.Lines(compartmentsText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			continue
		}
		if m.compartments[f[0]] == nil {
			m.compartments[f[0]] = map[string][]string{}
		}
		m.compartments[f[0]][f[1]] = strings.Fields(f[2])
	}
	for line := range strings.Lines(summaryText) {
		name, paths, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		m.summary[name] = map[string]bool{}
		for _, path := range strings.Fields(paths) {
			m.summary[name][path] = true
		}
	}
}

func (m *model) loadParams() {
	for line := range strings.Lines(paramsText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 6 {
			continue
		}
		id, _ := strconv.Atoi(f[0]) // generated
		p := &Param{ID: fhir.Param(id), Type: f[1], Code: f[2], Kind: f[3], Targets: strings.Fields(f[4]), Expression: f[5]}
		if p.Kind == "composite" {
			parts := strings.Split(f[5], " $ ")
			p.Expression = parts[0]
			for _, part := range parts[1:] {
				code, expression, _ := strings.Cut(part, "=")
				p.Components = append(p.Components, Component{code, expression})
			}
		}
		m.params[p.Type] = append(m.params[p.Type], p)
		m.byID[p.ID] = p
	}
	for typ, list := range m.params {
		m.rename(typ)
		sort.Slice(list, func(i, j int) bool { return list[i].Code < list[j].Code })
		for _, p := range list {
			p.Row = p.ID
			whole, part := strings.CutSuffix(p.Expression, ".where(resolve() is Patient)")
			if !part || p.Kind != "reference" {
				p.Row = sameRows(list, p)
				continue
			}
			for _, other := range list {
				if other.Expression == whole && other.Kind == "reference" {
					p.Row, p.Targets, p.part = other.ID, []string{"Patient"}, true
				}
			}
		}
	}
}

// sameRows is the number of the first parameter of a type that finds what p
// finds: phonetic is name here.
func sameRows(list []*Param, p *Param) fhir.Param {
	if p.Kind == "composite" || p.Kind == "special" {
		return p.ID
	}
	for _, other := range list {
		if other.Kind == p.Kind && other.Expression == p.Expression && slices.Equal(other.Targets, p.Targets) {
			return other.ID
		}
	}
	return p.ID
}

// rename lets each component name the parameter that has its expression: in R4
// those of DocumentReference's relationship are exchanged.
func (m *model) rename(typ string) {
	for _, p := range m.params[typ] {
		for i := range p.Components {
			c := &p.Components[i]
			for _, other := range m.params[typ] {
				if other.Kind != "composite" && other.Expression == p.Expression+"."+c.Expression {
					c.Code = other.Code
				}
			}
		}
	}
}

// Lookup returns the type of a name.
func Lookup(name string) (*Type, bool) {
	t := load().types[name]
	return t, t != nil
}

// Word reports whether a word is the name of a type, or of an element of one as
// JSON writes it.
func Word(word string) bool { return words()[word] }

var words = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for name, t := range load().types {
		known[name] = true
		for i := range t.Elements {
			e := &t.Elements[i]
			last := e.Path[strings.LastIndexByte(e.Path, '.')+1:]
			stem, choice := strings.CutSuffix(last, "[x]")
			known[stem] = true
			for _, typ := range e.Types {
				if choice {
					known[stem+strings.ToUpper(typ[:1])+typ[1:]] = true
				}
			}
		}
	}
	return known
})

// Resource returns the resource type of a name.
func Resource(name string) (*Type, bool) {
	t := load().types[name]
	return t, t != nil && t.Kind == "resource"
}

// Types lists the names of all types, sorted.
func Types() []string { return slices.Sorted(maps.Keys(load().types)) }

// Resources lists the resource types, sorted.
func Resources() []string {
	var names []string
	for name, t := range load().types {
		if t.Kind == "resource" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Number is the stable number of a type; 0 when it is not known.
func Number(name string) int {
	if t := load().types[name]; t != nil {
		return t.Number
	}
	return 0
}

// Name is the type of a number.
func Name(number int) string { return load().numbers[number] }

// Primitive reports whether a type is a primitive one.
func Primitive(name string) bool {
	t := load().types[name]
	return (t != nil && t.Kind == "primitive-type") || name == "string" || name == "xhtml"
}

// longest bounds the names that may be those of elements; the time that looking
// for a choice takes grows with the square of their length.
const longest = 64

// Child finds an element by its name as JSON writes it below path of a type
// ("" for the type itself). For a choice ("valueQuantity") it returns the
// element "value[x]" and the type the name says; for another element typ is
// its one type, or empty.
func (t *Type) Child(path, name string) (e *Element, typ string, ok bool) {
	if len(name) > longest {
		return nil, "", false
	}
	full := name
	if path != "" {
		full = path + "." + name
	}
	if i, found := t.index[full]; found {
		e = &t.Elements[i]
		if strings.HasSuffix(e.Path, "[x]") {
			return nil, "", false // a choice is never written without its type
		}
		if len(e.Types) == 1 {
			typ = e.Types[0]
		}
		return e, typ, true
	}
	for cut := len(full) - 1; cut > len(full)-len(name); cut-- {
		if full[cut] < 'A' || full[cut] > 'Z' {
			continue
		}
		i, found := t.index[full[:cut]]
		if !found || !strings.HasSuffix(t.Elements[i].Path, "[x]") {
			continue
		}
		for _, one := range t.Elements[i].Types {
			if strings.EqualFold(one[:1], full[cut:cut+1]) && one[1:] == full[cut+1:] {
				return &t.Elements[i], one, true
			}
		}
	}
	return nil, "", false
}

// Children lists the elements directly below path. The list is not to be
// changed.
func (t *Type) Children(path string) []*Element { return t.children[path] }

// family notes which elements stand directly below which.
func (t *Type) family() {
	t.children = map[string][]*Element{}
	for i := range t.Elements {
		e := &t.Elements[i]
		above := ""
		if dot := strings.LastIndexByte(e.Path, '.'); dot >= 0 {
			above = e.Path[:dot]
		}
		t.children[above] = append(t.children[above], e)
	}
}

// Params lists the search parameters of a resource type, sorted by code.
func Params(typ string) []*Param { return load().params[typ] }

// FindParam returns a search parameter of a resource type.
func FindParam(typ, code string) (*Param, bool) {
	list := load().params[typ]
	i := sort.Search(len(list), func(i int) bool { return list[i].Code >= code })
	if i < len(list) && list[i].Code == code {
		return list[i], true
	}
	return nil, false
}

// ParamByID returns the parameter of a number.
func ParamByID(id fhir.Param) (*Param, bool) {
	p := load().byID[id]
	return p, p != nil
}

// PatientParams lists the reference parameters that put a resource of a type
// into the compartment of a patient.
func PatientParams(typ string) []string { return load().patient[typ] }

// Compartment lists the parameters that put a resource of a type into a
// compartment (Patient, Encounter, Practitioner, RelatedPerson, Device); "{def}"
// is the resource itself.
func Compartment(name, typ string) []string { return load().compartments[name][typ] }

// Compartments lists the types a compartment has, sorted; none when the name is
// no compartment.
func Compartments(name string) []string {
	return slices.Sorted(maps.Keys(load().compartments[name]))
}

// InSummary reports whether _summary=true keeps an element of a resource type:
// path as in Element.
func InSummary(typ, path string) bool { return load().summary[typ][path] }
