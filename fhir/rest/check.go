package rest

import (
	"net/http"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/validate"
)

// check holds a resource that is to be written against the definitions of R4,
// and against the profiles it claims where they are known.
func (s *server) check(n *fhir.Node, typ string) error {
	if err := check(n, typ); err != nil {
		return err
	}
	if !s.Profiles.Claims(n) {
		return nil
	}
	return refusals(s.Profiles.Check(n))
}

// check holds a resource against the definitions of R4. All errors are reported,
// each with its place; typ is the type it has to be, or empty.
func check(n *fhir.Node, typ string) error {
	t, wrong := validate.Type(n)
	switch {
	case wrong != nil:
		return &fault{http.StatusBadRequest, wrong.Code, wrong.Where, wrong.Text}
	case typ != "" && t.Name != typ:
		return &fault{http.StatusBadRequest, "invalid", "", "resourceType is not " + typ}
	}
	return refusals(validate.Resource(n, validate.Options{ErrorsOnly: true}))
}

// refusals are the errors that refuse a write. Those that examples of the
// specification have themselves are $validate's to tell, and refuse nothing.
func refusals(list []validate.Fault) error {
	var found faults
	for _, f := range list {
		if f.Severity == validate.Error && !f.Lax {
			found = append(found, &fault{http.StatusUnprocessableEntity, f.Code, f.Where, f.Text})
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}
