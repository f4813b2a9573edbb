package rest

import (
	"net/http"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/validate"
)

// check holds a resource that is to be written against the definitions of R4.
// All errors are reported, each with its place; typ is the type it has to be,
// or empty. Errors that examples of the specification have themselves are
// $validate's to tell, and refuse nothing.
func check(n *fhir.Node, typ string) error {
	t, wrong := validate.Type(n)
	switch {
	case wrong != nil:
		return &fault{http.StatusBadRequest, wrong.Code, wrong.Where, wrong.Text}
	case typ != "" && t.Name != typ:
		return &fault{http.StatusBadRequest, "invalid", "", "resourceType is not " + typ}
	}
	var found faults
	for _, f := range validate.Resource(n, validate.Options{ErrorsOnly: true}) {
		if !f.Lax {
			found = append(found, &fault{http.StatusUnprocessableEntity, f.Code, f.Where, f.Text})
		}
	}
	if len(found) > 0 {
		return found
	}
	return nil
}
