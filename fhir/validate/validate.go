// Package validate holds resources against the definitions of FHIR R4. What it
// says names places and never a value.
package validate

import (
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Known reports whether a word is a resource type, or an element of any type,
// as JSON writes it.
func Known(word string) bool { return definitions.Word(word) }

// Severity is how much a finding counts.
type Severity uint8

// The severities of an OperationOutcome.
const (
	Error Severity = iota // the resource is not valid
	Warning
	Information
)

// String is the code of issue-severity.
func (s Severity) String() string { return [...]string{"error", "warning", "information"}[s] }

// A Fault is one thing that is wrong with a resource.
type Fault struct {
	// Where is a FHIRPath expression ("Patient.name[0].family"), or empty.
	Where string
	// Code is a code of issue-type: structure, required, value, invalid,
	// invariant, code-invalid, business-rule.
	Code string
	Text string
	// Severity is Error where nothing else is said.
	Severity Severity
	// Lax is true for an error that examples of the specification have
	// themselves: a write is not refused for it.
	Lax bool
}

// Bounds of one validation.
const (
	most      = 200       // faults
	mostPlain = 50        // faults of Structure
	maxDepth  = 64        // of objects in objects
	maxSteps  = 4_000_000 // of all invariants together
)

// ID reports whether a text is a logical id (FHIR R4, 2.24.0.1).
func ID(text string) bool {
	if len(text) == 0 || len(text) > 64 {
		return false
	}
	for i := range len(text) {
		if c := text[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// Type is the resource type that a resource says it is, and what is wrong with
// that.
func Type(n *fhir.Node) (*definitions.Type, *Fault) {
	said := ""
	if v := n.Get("resourceType"); v != nil && v.Kind == fhir.String {
		said = v.Text
	}
	if said == "" {
		return nil, &Fault{Code: "structure", Text: "resourceType is missing"}
	}
	t, ok := definitions.Resource(said)
	if !ok {
		return nil, &Fault{Code: "structure", Text: "resourceType is no resource type of R4"}
	}
	return t, nil
}

// Options of a validation.
type Options struct {
	// ErrorsOnly leaves out what is no error, and the work of looking for it.
	ErrorsOnly bool
}

// Resource holds a resource against all that R4 demands of it without a
// profile and without a server of terminologies: structure, forms of values,
// codes of required bindings, invariants, references, the rules of Bundles and
// of conformance resources. It returns the first 200 faults, in the order of
// the content.
func Resource(n *fhir.Node, o Options) []Fault {
	t, fault := Type(n)
	if fault != nil {
		return []Fault{*fault}
	}
	k := &checker{full: true, warns: !o.ErrorsOnly, most: most, root: t.Name, steps: maxSteps, shapes: allShapes()}
	k.resource(n, t, false)
	return k.found
}

// Structure holds a resource against what is needed to read it: known elements,
// JSON types, lists where they belong, required elements, the forms of dates and
// numbers. It is what messages are held to, and forgives what senders do: a
// dateTime without an offset, a narrative without its text. Where is the path
// as JSON has it ("Observation.valueQuantity.value").
func Structure(n *fhir.Node) []Fault {
	t, fault := Type(n)
	if fault != nil {
		return []Fault{*fault}
	}
	k := &checker{most: mostPlain, root: t.Name, shapes: allShapes()}
	k.resource(n, t, false)
	return k.found
}
