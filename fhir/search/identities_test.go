package search

import (
	"slices"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// TestIdentities: an identifier with a system names the resource, but an old one,
// a number that several orders may carry and that of a driver's licence do not.
func TestIdentities(t *testing.T) {
	const identifiers = `"identifier":[{"system":"urn:a","value":"1"},{"value":"2"},{"system":"urn:a"},{"use":"old","system":"urn:a","value":"3"},` +
		`{"type":{"coding":[{"code":"FILL"}]},"system":"urn:f","value":"4"},` +
		`{"type":{"coding":[{"code":"DL"}]},"system":"urn:d","value":"5"},{"type":{"coding":[{"code":"x"},{"code":"PPN"}]},"system":"urn:d","value":"6"}]`
	for typ, want := range map[string][]string{
		"Patient":        {fhir.IdentityKey("Patient", "urn:a", "1"), fhir.IdentityKey("Patient", "urn:f", "4")},
		"ServiceRequest": {fhir.IdentityKey("ServiceRequest", "urn:a", "1")},
		"Observation":    nil,
	} {
		n, err := fhir.Parse([]byte(`{"resourceType":"` + typ + `",` + identifiers + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := Identities(typ, n); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", typ, got, want)
		}
	}
}
