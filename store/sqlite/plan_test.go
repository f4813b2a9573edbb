package sqlite

import (
	"context"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

// explained notes how SQLite goes about the queries that pass through it.
type explained struct {
	relational.Tx
	plan *[]string
}

func (e explained) Query(ctx context.Context, query string, args ...any) (relational.Rows, error) {
	rows, err := e.Tx.Query(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return nil, err
		}
		*e.plan = append(*e.plan, detail)
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	return e.Tx.Query(ctx, query, args...)
}

// TestSearchLooksUp holds that a search looks the resources up that its leading
// clause finds: neither all of their type nor the whole index is gone over.
func TestSearchLooksUp(t *testing.T) {
	s := open(t, t.TempDir())
	row := func(typ, code string) fhir.Param {
		p, ok := definitions.FindParam(typ, code)
		if !ok {
			t.Fatalf("no parameter %s of %s", code, typ)
		}
		return p.Row
	}
	text := func(s string) *string { return &s }
	identifier := store.Clause{Param: row("ServiceRequest", "identifier"), Shape: store.ShapeToken, Any: []store.Match{
		{System: text("urn:a"), Value: text("1")}, {Value: text("2")},
	}}
	many := identifier
	for range 100 {
		many.Any = append(many.Any, store.Match{Value: text("3")})
	}
	listed := store.Clause{Param: identifier.Param, Shape: store.ShapeToken}
	names := store.Clause{Param: row("Patient", "family"), Shape: store.ShapeString}
	for range 100 {
		listed.Any = append(listed.Any, store.Match{System: text("urn:a"), Value: text("1")})
		names.Any = append(names.Any, store.Match{Text: "a"})
	}
	patient := store.Clause{Param: row("Observation", "subject"), Shape: store.ShapeRef, Any: []store.Match{{Type: "Patient", ID: "a"}, {Type: "Patient", ID: "b"}}}
	for name, q := range map[string]store.Query{
		"an identifier":    {Type: "ServiceRequest", Where: []store.Clause{{Param: identifier.Param, Shape: store.ShapeToken, Any: identifier.Any[:1]}}},
		"two identifiers":  {Type: "ServiceRequest", Where: []store.Clause{identifier}},
		"many identifiers": {Type: "ServiceRequest", Where: []store.Clause{many}},
		"two names": {Type: "Patient", Where: []store.Clause{{
			Param: row("Patient", "family"), Shape: store.ShapeString, Any: []store.Match{{Text: "a"}, {Text: "b"}},
		}}},
		"a list of identifiers": {Type: "ServiceRequest", Where: []store.Clause{listed}},
		"a list of names":       {Type: "Patient", Where: []store.Clause{names}},
		"two patients":          {Type: "Observation", Where: []store.Clause{patient}},
		"patient, code and date": {Type: "Observation", Where: []store.Clause{
			{Param: row("Observation", "date"), Shape: store.ShapeDate, Any: []store.Match{{Prefix: "ge", Lo: 1, Hi: 2}}},
			{Param: row("Observation", "code"), Shape: store.ShapeToken, Any: []store.Match{{Value: text("718-7")}}},
			patient,
		}},
		"a chain": {Type: "Observation", Where: []store.Clause{{
			Param: row("Observation", "subject"), Shape: store.ShapeRef,
			Chain: []store.Query{{Type: "Patient", Where: []store.Clause{{
				Param: row("Patient", "identifier"), Shape: store.ShapeToken, Any: []store.Match{{Value: text("1")}},
			}}}},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			var plan []string
			reader := relational.NewReader(func(ctx context.Context, f func(relational.Tx) error) error {
				return s.lend(ctx, func(tx relational.Tx) error { return f(explained{tx, &plan}) })
			}, nil)
			q.Limit = 10
			if _, err := reader.Search(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			whole := strings.Join(plan, "\n")
			if len(plan) == 0 || strings.Contains(whole, "SCAN r") || strings.Contains(whole, "SCAN x") || strings.Contains(whole, "resource_lu") || strings.Contains(whole, "(pid=?)") || strings.Contains(whole, "(tenant=? AND rtype=?)") {
				t.Errorf("the plan is\n%s", whole)
			}
		})
	}
}
