package rest

import (
	"net/http"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/validate"
)

// check holds the structure of a resource against the definitions. All faults
// are reported, each with its place; typ is the type it has to be, or empty.
func check(n *fhir.Node, typ string) error {
	t, wrong := validate.Type(n)
	switch {
	case wrong != nil:
		return &fault{http.StatusBadRequest, wrong.Code, wrong.Where, wrong.Text}
	case typ != "" && t.Name != typ:
		return &fault{http.StatusBadRequest, "invalid", "", "resourceType is not " + typ}
	}
	var found faults
	for _, f := range validate.Structure(n) {
		found = append(found, &fault{http.StatusUnprocessableEntity, f.Code, f.Where, f.Text})
	}
	if len(found) > 0 {
		return found
	}
	return nil
}
