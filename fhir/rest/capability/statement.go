package capability

import (
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// Options are what a statement says of one server.
type Options struct {
	// Date is the day it is made, as FHIR writes it.
	Date string
	// CORS is true when pages of other origins may use the API.
	CORS bool
	// RequireReferences is true when references have to lead to resources.
	RequireReferences bool
	// Formats and PatchFormats are the media types that are taken.
	Formats, PatchFormats []string
}

func words(list ...string) *fhir.Node {
	n := &fhir.Node{Kind: fhir.Array}
	for _, w := range list {
		n.Items = append(n.Items, fhir.Text(w))
	}
	return n
}

// object makes an object of pairs of name and text.
func object(pairs ...string) *fhir.Node {
	n := fhir.NewObject()
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			n.Set(pairs[i], fhir.Text(pairs[i+1]))
		}
	}
	return n
}

// interactionsOf are those of the types or of the system.
func interactionsOf(system bool) *fhir.Node {
	n := &fhir.Node{Kind: fhir.Array}
	for _, i := range Interactions() {
		if i.Code != "" && i.System == system {
			n.Items = append(n.Items, object("code", i.Code))
		}
	}
	return n
}

// Statement makes the CapabilityStatement.
func Statement(o Options) *fhir.Node {
	n := object("resourceType", "CapabilityStatement", "status", "active", "date", o.Date, "kind", "instance")
	n.Set("software", object("name", "Plexus"))
	n.Set("implementation", object("description", "The core store of a Plexus integration engine"))
	n.Set("fhirVersion", fhir.Text("4.0.1"))
	n.Set("format", words(append([]string{"json", "xml"}, o.Formats...)...))
	n.Set("patchFormat", words(o.PatchFormats...))
	rest := object("mode", "server")
	security := fhir.NewObject()
	security.Set("cors", fhir.Flag(o.CORS))
	security.Set("description", fhir.Text("Requests from this machine only"))
	rest.Set("security", security)
	resources := &fhir.Node{Kind: fhir.Array}
	pointing := pointingTo()
	for _, name := range definitions.Resources() {
		one := capabilitiesOf(name, pointing[name])
		if o.RequireReferences {
			one.Set("referencePolicy", words("literal", "logical", "enforced"))
		}
		resources.Items = append(resources.Items, one)
	}
	rest.Set("resource", resources)
	rest.Set("interaction", interactionsOf(true))
	compartments := &fhir.Node{Kind: fhir.Array}
	for _, name := range definitions.Resources() {
		if len(definitions.Compartments(name)) > 0 {
			compartments.Items = append(compartments.Items, fhir.Text("http://hl7.org/fhir/CompartmentDefinition/"+lower(name)))
		}
	}
	rest.Set("compartment", compartments)
	n.Set("rest", &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{rest}})
	return n
}

func lower(name string) string { return string(name[0]+'a'-'A') + name[1:] }

// pointingTo lists the _revinclude of each type.
func pointingTo() map[string][]string {
	out := map[string][]string{}
	for _, name := range definitions.Resources() {
		for _, p := range definitions.Params(name) {
			if p.Kind != "reference" {
				continue
			}
			for _, target := range p.Targets {
				out[target] = append(out[target], name+":"+p.Code)
			}
		}
	}
	return out
}

// capabilitiesOf is what is done with one type.
func capabilitiesOf(name string, pointing []string) *fhir.Node {
	r := object("type", name, "profile", "http://hl7.org/fhir/StructureDefinition/"+name)
	r.Set("interaction", interactionsOf(false))
	r.Set("operation", operations())
	r.Set("versioning", fhir.Text("versioned-update"))
	r.Set("readHistory", fhir.Flag(true))
	r.Set("updateCreate", fhir.Flag(true))
	r.Set("conditionalCreate", fhir.Flag(true))
	r.Set("conditionalRead", fhir.Text("full-support"))
	r.Set("conditionalUpdate", fhir.Flag(true))
	r.Set("conditionalDelete", fhir.Text("single"))
	r.Set("referencePolicy", words("literal", "logical"))
	var includes []string
	params := &fhir.Node{Kind: fhir.Array}
	for _, p := range SearchParameters(name) {
		params.Items = append(params.Items, object("name", p.Code, "definition", p.Canonical, "type", p.Kind))
		if p.Kind == "reference" {
			includes = append(includes, name+":"+p.Code)
		}
	}
	if len(includes) > 0 {
		r.Set("searchInclude", words(append(includes, name+":*")...))
	}
	if len(pointing) > 0 {
		r.Set("searchRevInclude", words(pointing...))
	}
	r.Set("searchParam", params)
	return r
}

// operations lists those of every resource type.
func operations() *fhir.Node {
	return &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{object("name", "validate", "definition", "http://hl7.org/fhir/OperationDefinition/Resource-validate")}}
}
