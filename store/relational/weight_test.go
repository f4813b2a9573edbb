package relational

import (
	"testing"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// TestWeight: what selects few comes first, also among chains: that by an
// identifier is looked up before that by a name.
func TestWeight(t *testing.T) {
	row := func(typ, code string, shape store.Shape) store.Clause {
		p, ok := definitions.FindParam(typ, code)
		if !ok {
			t.Fatalf("no parameter %s of %s", code, typ)
		}
		return store.Clause{Param: p.Row, Shape: shape}
	}
	chain := func(inner store.Clause) store.Clause {
		c := row("Observation", "subject", store.ShapeRef)
		c.Chain = []store.Query{{Type: "Patient", Where: []store.Clause{inner}}}
		return c
	}
	identifier, name := row("Patient", "identifier", store.ShapeToken), row("Patient", "name", store.ShapeString)
	order := []store.Clause{
		{Shape: store.ShapeID},
		chain(identifier), chain(name), name, row("Patient", "gender", store.ShapeToken), row("Patient", "birthdate", store.ShapeDate),
		{Contained: &store.Query{Type: "Patient"}},
		{Not: true},
	}
	for i := 1; i < len(order); i++ {
		if before, after := weight(&order[i-1]), weight(&order[i]); before >= after {
			t.Errorf("clause %d weighs %d, the next one %d", i-1, before, after)
		}
	}
}
