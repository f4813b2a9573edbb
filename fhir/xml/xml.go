// Package xml reads and writes resources as FHIR XML over the node tree of
// package fhir, led by the definitions of R4.
package xml

import (
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Namespaces of FHIR XML.
const (
	namespace = "http://hl7.org/fhir"
	xhtml     = "http://www.w3.org/1999/xhtml"
	schema    = "http://www.w3.org/2001/XMLSchema-instance" // its attributes say nothing of a resource
)

// Bounds of a resource, those of JSON (fhir.Parse).
const (
	maxDepth = 64 // as JSON nests
	maxItems = 100_000
)

// An Error says where a resource is wrong. It holds nothing of its values.
type Error struct {
	// Line is that of the XML text, from 1; 0 when it is about a resource
	// that was to be written.
	Line int
	// Where is the place as a FHIRPath expression, or empty.
	Where string
	Text  string
}

// Error gives place and reason.
func (e *Error) Error() string {
	text := e.Text
	if e.Where != "" {
		text = e.Where + " " + text
	}
	if e.Line > 0 {
		text = "line " + strconv.Itoa(e.Line) + ": " + text
	}
	return text
}

// A place is where elements stand: directly below path of a type.
type place struct {
	t    *definitions.Type
	path string
}

// attribute reports whether XML writes an element as an attribute
// (R4, 2.6.1: ids of elements and the url of an extension).
func (p place) attribute(name string) bool {
	if name == "url" {
		return p.t.Name == "Extension" && p.path == ""
	}
	return name == "id" && (p.t.Kind != "resource" || p.path != "")
}

// Shapes of an element's value.
type shape uint8

const (
	complexValue shape = iota
	primitiveValue
	resourceValue
	narrativeValue
)

// value finds what shape the value of an element has, and for a complex one
// where its elements are defined.
func (p place) value(name, typ string) (shape, place, bool) {
	below := name
	if p.path != "" {
		below = p.path + "." + name
	}
	if owner, ok := strings.CutPrefix(typ, "#"); ok {
		owner, inner, _ := strings.Cut(owner, ".")
		t, known := definitions.Lookup(owner)
		return complexValue, place{t, inner}, known
	}
	switch {
	case typ == "BackboneElement" || (typ == "Element" && len(p.t.Children(below)) > 0):
		return complexValue, place{p.t, below}, true
	case typ == "Resource":
		return resourceValue, place{}, true
	case typ == "xhtml":
		return narrativeValue, place{}, true
	}
	t, known := definitions.Lookup(typ)
	if !known {
		return 0, place{}, false
	}
	if t.Kind == "primitive-type" {
		return primitiveValue, place{t, ""}, true
	}
	return complexValue, place{t, ""}, true
}

// extension is where the elements of an extension are defined.
func extension() place {
	t, _ := definitions.Lookup("Extension") // it is one of R4
	return place{t, ""}
}

// kindOf is the kind of JSON value that a primitive type has.
func kindOf(typ string) fhir.Kind {
	switch typ {
	case "boolean":
		return fhir.Bool
	case "integer", "decimal", "positiveInt", "unsignedInt":
		return fhir.Number
	}
	return fhir.String
}
