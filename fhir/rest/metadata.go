package rest

import (
	"net/http"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// metadata answers with the CapabilityStatement, made from what is served.
func (c *call) metadata() error {
	words := func(list ...string) *fhir.Node {
		n := &fhir.Node{Kind: fhir.Array}
		for _, w := range list {
			n.Items = append(n.Items, fhir.Text(w))
		}
		return n
	}
	interactions := func(list ...string) *fhir.Node {
		n := &fhir.Node{Kind: fhir.Array}
		for _, w := range list {
			o := fhir.NewObject()
			o.Set("code", fhir.Text(w))
			n.Items = append(n.Items, o)
		}
		return n
	}
	resources := &fhir.Node{Kind: fhir.Array}
	for _, name := range definitions.Resources() {
		r := fhir.NewObject()
		r.Set("type", fhir.Text(name))
		r.Set("interaction", interactions("read", "vread", "update", "patch", "delete", "history-instance", "create", "search-type"))
		r.Set("operation", operations())
		r.Set("versioning", fhir.Text("versioned-update"))
		r.Set("readHistory", fhir.Flag(true))
		r.Set("updateCreate", fhir.Flag(true))
		r.Set("conditionalCreate", fhir.Flag(true))
		r.Set("conditionalRead", fhir.Text("not-match"))
		r.Set("conditionalUpdate", fhir.Flag(true))
		r.Set("conditionalDelete", fhir.Text("single"))
		params := &fhir.Node{Kind: fhir.Array}
		add := func(code, kind string) {
			o := fhir.NewObject()
			o.Set("name", fhir.Text(code))
			o.Set("type", fhir.Text(kind))
			params.Items = append(params.Items, o)
		}
		add("_id", "token")
		add("_lastUpdated", "date")
		includes := words()
		for _, p := range definitions.Params(name) {
			add(p.Code, p.Kind)
			if p.Kind == "reference" {
				includes.Items = append(includes.Items, fhir.Text(name+":"+p.Code))
			}
		}
		if len(includes.Items) > 0 {
			r.Set("searchInclude", includes)
		}
		r.Set("searchParam", params)
		resources.Items = append(resources.Items, r)
	}
	rest := fhir.NewObject()
	rest.Set("mode", fhir.Text("server"))
	rest.Set("resource", resources)
	rest.Set("interaction", interactions("transaction", "batch"))
	n := fhir.NewObject()
	n.Set("resourceType", fhir.Text("CapabilityStatement"))
	n.Set("status", fhir.Text("active"))
	n.Set("date", fhir.Text(c.Now().UTC().Format("2006-01-02")))
	n.Set("kind", fhir.Text("instance"))
	software := fhir.NewObject()
	software.Set("name", fhir.Text("Plexus"))
	n.Set("software", software)
	implementation := fhir.NewObject()
	implementation.Set("description", fhir.Text("The core store of a Plexus integration engine"))
	n.Set("implementation", implementation)
	n.Set("fhirVersion", fhir.Text("4.0.1"))
	n.Set("format", words(append([]string{"json", "xml"}, medias...)...))
	n.Set("patchFormat", words(mediaPatch))
	n.Set("rest", &fhir.Node{Kind: fhir.Array, Items: []*fhir.Node{rest}})
	c.send(http.StatusOK, n.AppendJSON(nil))
	return nil
}
