package mapping

import (
	"strings"

	"github.com/plexus-health/plexus/fhir/definitions"
)

// An element is one element of a FHIR type, as far as maps ask.
type element struct {
	name     string
	types    []string // "Period", "Reference"; the element's own path for what it defines inline
	many     bool
	required bool
	choice   bool
	of       string   // the choice this is one type of: doseRange of dose[x]
	targets  []string // the resources a reference may point to
}

// allows reports whether the element may be of a type.
func (e *element) allows(typ string) bool {
	for _, t := range e.types {
		if t == typ {
			return true
		}
	}
	return false
}

// primitive reports whether a type is one: their names begin small.
func primitive(typ string) bool {
	return typ != "" && typ[0] >= 'a' && typ[0] <= 'z'
}

// A model asks the definitions of FHIR R4. A type is a name ("Patient") or the
// path of what a type defines inline ("Patient.contact").
type model struct{}

// element turns a definition into what maps ask.
func (model) element(typ string, e *definitions.Element) element {
	name := e.Path[strings.LastIndexByte(e.Path, '.')+1:]
	out := element{name: name, many: e.Repeats(), required: e.Min > 0, choice: strings.HasSuffix(name, "[x]"), targets: e.Targets}
	root, _, _ := strings.Cut(typ, ".")
	for _, t := range e.Types {
		switch {
		case t == "BackboneElement", t == "Element":
			t = root + "." + e.Path
		case t[0] == '#':
			t = t[1:]
		}
		out.types = append(out.types, t)
	}
	return out
}

func (m model) all(typ string) []element {
	root, below, _ := strings.Cut(typ, ".")
	def, ok := definitions.Lookup(root)
	if !ok {
		return nil
	}
	var out []element
	for _, e := range def.Children(below) {
		out = append(out, m.element(typ, e))
	}
	return out
}

// child finds an element by its name: of a choice value[x], or valueQuantity.
func (m model) child(typ, name string) (element, bool) {
	for _, e := range m.all(typ) {
		if e.name == name {
			return e, true
		}
		base, ok := strings.CutSuffix(e.name, "[x]")
		if !ok || !strings.HasPrefix(name, base) {
			continue
		}
		for _, t := range e.types {
			if name == base+title(t) {
				return element{name: name, types: []string{t}, required: e.required, of: e.name, targets: e.targets}, true
			}
		}
	}
	return element{}, false
}

// children lists the names of a type's elements.
func (m model) children(typ string) []string {
	var out []string
	for _, e := range m.all(typ) {
		out = append(out, e.name)
	}
	return out
}

func (model) resource(typ string) bool {
	_, ok := definitions.Resource(typ)
	return ok
}

func (model) resources() []string { return definitions.Resources() }

func (model) known(typ string) bool {
	_, ok := definitions.Lookup(typ)
	return ok
}

// required lists the elements a type must have.
func (m model) required(typ string) []element {
	var out []element
	for _, e := range m.all(typ) {
		if e.required {
			out = append(out, e)
		}
	}
	return out
}

// An extensionDef is an extension that rows may name.
type extensionDef struct{ url, typ string }

// extensions are those that rows name in brackets; a URL may stand instead.
func extensions() map[string]extensionDef {
	const hl7 = "http://hl7.org/fhir/StructureDefinition/"
	const usCore = "http://hl7.org/fhir/us/core/StructureDefinition/"
	return map[string]extensionDef{
		"patient-birthTime":            {hl7 + "patient-birthTime", "dateTime"},
		"patient-birthPlace":           {hl7 + "patient-birthPlace", "Address"},
		"patient-mothersMaidenName":    {hl7 + "patient-mothersMaidenName", "string"},
		"patient-citizenship":          {hl7 + "patient-citizenship", ""},
		"patient-nationality":          {hl7 + "patient-nationality", ""},
		"patient-religion":             {hl7 + "patient-religion", "CodeableConcept"},
		"patient-importance":           {hl7 + "patient-importance", "CodeableConcept"},
		"patient-interpreterRequired":  {hl7 + "patient-interpreterRequired", "boolean"},
		"humanname-mothers-family":     {hl7 + "humanname-mothers-family", "string"},
		"humanname-own-name":           {hl7 + "humanname-own-name", "string"},
		"humanname-own-prefix":         {hl7 + "humanname-own-prefix", "string"},
		"humanname-assembly-order":     {hl7 + "humanname-assembly-order", "code"},
		"iso21090-ADXP-streetName":     {hl7 + "iso21090-ADXP-streetName", "string"},
		"identifier-checkDigit":        {hl7 + "identifier-checkDigit", "string"},
		"iso21090-ADXP-censusTract":    {hl7 + "iso21090-ADXP-censusTract", "string"},
		"request-statusReason":         {hl7 + "request-statusReason", "CodeableConcept"},
		"originalText":                 {originalText, "string"},
		"data-absent-reason":           {hl7 + "data-absent-reason", "code"},
		"us-core-race":                 {usCore + "us-core-race", ""},
		"us-core-ethnicity":            {usCore + "us-core-ethnicity", ""},
		"us-core-birthsex":             {usCore + "us-core-birthsex", "code"},
		"observation-value-attachment": {"http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value", "Attachment"},
	}
}

// extensionOf finds an extension by its name or URL.
func extensionOf(name string) (extensionDef, bool) {
	if def, ok := extensions()[name]; ok {
		return def, true
	}
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "urn:") {
		return extensionDef{url: name}, true
	}
	return extensionDef{}, false
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
