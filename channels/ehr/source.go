package ehr

import "github.com/plexus-health/plexus/fhir"

// sourceScheme begins the meta.source of what a message wrote.
const sourceScheme = "urn:uuid:"

// stamp sets meta.source to the message a resource was written by.
func stamp(tree *fhir.Node, id string) *fhir.Node {
	meta := fhir.NewObject()
	if had := tree.Get("meta"); had != nil {
		meta.Members = append(meta.Members, had.Members...)
	}
	meta.Set("source", fhir.Text(sourceScheme+id))
	out := &fhir.Node{Kind: fhir.Object, Members: append([]fhir.Member{{Name: "meta", Value: meta}}, tree.Members...)}
	for i := 1; i < len(out.Members); i++ {
		if out.Members[i].Name == "meta" {
			out.Members = append(out.Members[:i], out.Members[i+1:]...)
			break
		}
	}
	return out
}
