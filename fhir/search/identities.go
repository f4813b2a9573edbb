package search

import (
	"slices"

	"github.com/plexus-health/plexus/fhir"
)

// Identities are the business identifiers that name a resource: those of
// patients, encounters, practitioners, organizations and orders that carry a
// system, but for the numbers of documents. They are the same that messages are matched by.
func Identities(typ string, n *fhir.Node) []string {
	switch typ {
	case "Patient", "Encounter", "Practitioner", "Organization", "ServiceRequest", "Specimen":
	default:
		return nil
	}
	list := n.Get("identifier")
	if list == nil {
		return nil
	}
	var keys []string
	for _, i := range list.Items {
		system, value := textOf(i, "system"), textOf(i, "value")
		if system != "" && value != "" && textOf(i, "use") != "old" && !fhir.OfDocument(i) && (typ != "ServiceRequest" || !shared(i)) {
			keys = append(keys, fhir.IdentityKey(typ, system, value))
		}
	}
	return keys
}

// Dropped are the identities that a resource had and gives up: those of identifiers
// that are gone. One that is only of old use now is not.
func Dropped(typ string, before, after *fhir.Node) []string {
	had := Identities(typ, before)
	if len(had) == 0 {
		return nil
	}
	kept := map[string]bool{}
	if list := after.Get("identifier"); list != nil {
		for _, i := range list.Items {
			kept[fhir.IdentityKey(typ, textOf(i, "system"), textOf(i, "value"))] = true
		}
	}
	return slices.DeleteFunc(had, func(key string) bool { return kept[key] })
}

// shared reports whether several orders may carry an identifier: the number of
// a group, or a filler's, who may give one to all tests of a specimen.
func shared(identifier *fhir.Node) bool {
	codings := identifier.Get("type").Get("coding")
	if codings == nil {
		return false
	}
	for _, c := range codings.Items {
		switch textOf(c, "code") {
		case "FILL", "PGN", "FGN", "ACSN":
			return true
		}
	}
	return false
}
