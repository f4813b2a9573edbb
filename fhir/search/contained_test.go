package search

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// TestManyContained: each reference to one of many contained resources finds its
// type at once; going through all of them for each took minutes of a large one.
func TestManyContained(t *testing.T) {
	const many = 40_000
	var inside, refs strings.Builder
	for i := range many {
		fmt.Fprintf(&inside, `,{"resourceType":"Organization","id":"o%d"}`, i)
		fmt.Fprintf(&refs, `,{"reference":"#o%d"}`, i)
	}
	n, err := fhir.Parse([]byte(`{"resourceType":"Patient","contained":["none",{"resourceType":"Practitioner","id":"d"},{"resourceType":"Organization","id":"d"}` + inside.String() + `],"generalPractitioner":[{"reference":"#d"},{"reference":"#none"}` + refs.String() + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for _, r := range Index("Patient", n).Refs {
		if r.Param < ofContained {
			types[r.Type]++
		}
	}
	if types["Organization"] != many || types["Practitioner"] != 1 || types[""] != 1 {
		t.Errorf("the references are to %v", types)
	}
}
