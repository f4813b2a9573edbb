package rest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// resolve replaces references to entries by the places of their resources, and
// conditional references (Patient?identifier=…) by what they find.
func (c *call) resolve(n *fhir.Node, places map[string]string, at string) error {
	for i := range n.Members {
		m := &n.Members[i]
		if m.Name != "reference" || m.Value.Kind != fhir.String {
			if err := c.resolve(m.Value, places, at+"."+m.Name); err != nil {
				return err
			}
			continue
		}
		if place, ok := places[m.Value.Text]; ok {
			m.Value = fhir.Text(place)
			continue
		}
		typ, criteria, conditional := strings.Cut(m.Value.Text, "?")
		if _, known := definitions.Resource(typ); !conditional || !known {
			if strings.HasPrefix(m.Value.Text, "urn:uuid:") || strings.HasPrefix(m.Value.Text, "urn:oid:") {
				return &fault{http.StatusBadRequest, "not-found", at, "refers to an entry that is not in the Bundle"}
			}
			continue
		}
		found, err := c.matching(typ, criteria)
		if err != nil {
			return placed(err, at)
		}
		if len(found) != 1 {
			return &fault{http.StatusPreconditionFailed, "not-found", at, "a conditional reference finds " + strconv.Itoa(len(found)) + " resources"}
		}
		m.Value = fhir.Text(typ + "/" + found[0].ID)
	}
	for i, one := range n.Items {
		if err := c.resolve(one, places, at+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	return nil
}
