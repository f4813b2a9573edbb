package fhirpath

import (
	"slices"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// A typeName is a type as an expression names it. Without a namespace it is a
// type of FHIR for elements and one of System for computed values.
type typeName struct{ space, name string }

func systemType(name string) bool { return name == "Any" || slices.Contains(systemNames[Bool:], name) }

func fhirType(name string) bool {
	_, ok := definitions.Lookup(name)
	return ok || slices.Contains(quantities[:], name)
}

// known reports whether there is such a type, if in the other namespace:
// Patient is none of System, and asking is no mistake.
func (t typeName) known() bool { return systemType(t.name) || fhirType(t.name) }

// quantities are the types that are read as quantities.
var quantities = [...]string{"Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"}

func isQuantity(name string) bool { return slices.Contains(quantities[:], name) }

// parentOf is the type a type of FHIR is derived from; "" for the roots.
func parentOf(name string) string {
	switch name {
	case "code", "id", "markdown":
		return "string"
	case "url", "canonical", "oid", "uuid":
		return "uri"
	case "unsignedInt", "positiveInt":
		return "integer"
	case "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity":
		return "Quantity"
	case "Bundle", "Binary", "Parameters", "DomainResource":
		return "Resource"
	case "Timing", "Dosage", "ElementDefinition", "MarketingStatus", "Population", "ProdCharacteristic", "ProductShelfLife", "SubstanceAmount":
		return "BackboneElement"
	case "Element", "Resource", "":
		return ""
	}
	if _, ok := definitions.Resource(name); ok {
		return "DomainResource"
	}
	return "Element"
}

// derived reports whether a type of FHIR is another, or made of it.
func derived(name, from string) bool {
	for ; name != ""; name = parentOf(name) {
		if name == from {
			return true
		}
	}
	return false
}

// is reports whether a value is of a type or one derived from it.
func (t typeName) is(v Value) bool {
	if v.kind == Element {
		return t.space != "System" && derived(v.place.name, t.name)
	}
	return t.space != "FHIR" && (t.name == "Any" || systemNames[v.kind] == t.name)
}

// keeps reports whether as and ofType take a value. Primitives must be of the
// very type: the official tests do not take a code for a string.
func (t typeName) keeps(v Value) bool {
	if v.kind == Element && definitions.Primitive(v.place.name) {
		return t.space != "System" && v.place.name == t.name
	}
	return t.is(v)
}

func memberText(n *fhir.Node, name string) string {
	if v := n.Get(name); v != nil && v.Kind == fhir.String {
		return v.Text
	}
	return ""
}
