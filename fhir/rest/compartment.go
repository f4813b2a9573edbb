package rest

import (
	"slices"

	"github.com/plexus-health/plexus/fhir/definitions"
)

// inCompartment takes the path Compartment/id/Type or Compartment/id/*, and
// reports whether it is one (compartmentdefinition.html).
func (c *call) inCompartment(typ string) bool {
	of := definitions.Compartments(c.typ)
	if len(of) == 0 || typ != "*" && !slices.Contains(of, typ) && typ != c.typ {
		return false
	}
	c.within, c.typ, c.id = c.typ+"/"+c.id+"/", typ, ""
	return true
}
