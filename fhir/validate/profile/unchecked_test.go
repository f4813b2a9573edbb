package profile

import (
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/fhirpath"
	"github.com/plexus-health/plexus/fhir/validate"
)

// TestUncheckedIsSaid: what is not looked at is said, also where it is only
// asked whether something conforms to a slice or a profile.
func TestUncheckedIsSaid(t *testing.T) {
	n, err := fhir.Parse([]byte(`{"resourceType":"Patient","name":[{"text":"a"},{"text":"b"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	typ, _ := definitions.Lookup("Patient")
	it := item{node: n, typ: typ, where: "Patient", code: "Patient", full: "Patient", at: "Patient"}
	single, err := fhirpath.Compile("name.single().exists()")
	if err != nil {
		t.Fatal(err)
	}
	const all = "the check against profiles was not ended: it takes too much work"
	for name, c := range map[string]struct {
		work, steps int
		check       func(*checker)
		want        string
	}{
		"work that is used up": {1, 100, func(k *checker) { k.spend(0); k.spend(0) }, all},
		"profiles in profiles": {100, 100, func(k *checker) { k.spend(maxDepth + 1) }, all},
		"steps that are used up": {100, 0, func(k *checker) {
			k.invariant(constraint{key: "x-1", expression: single}, it, &profile{})
		}, all},
		"an invariant that cannot be evaluated": {100, 100, func(k *checker) {
			k.invariant(constraint{key: "x-1", expression: single}, it, &profile{})
		}, "x-1 was not checked: its evaluation did not end well"},
	} {
		t.Run(name, func(t *testing.T) {
			k := &checker{set: &Set{}, work: c.work, steps: c.steps, resourceNode: n, root: n}
			if !k.quietly(func() { c.check(k) }) {
				t.Error("it is taken for an error")
			}
			if len(k.found) != 1 || k.found[0].Text != c.want || k.found[0].Severity != validate.Warning {
				t.Errorf("found %v, want %s", k.found, c.want)
			}
		})
	}
}
