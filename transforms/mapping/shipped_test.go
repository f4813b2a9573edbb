package mapping_test

import (
	"os"
	"testing"

	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// shipped compiles the maps the engine brings.
func shipped(t testing.TB, step transforms.Step) *mapping.Map {
	t.Helper()
	set, problems := tables.Load(os.DirFS("../../tables"))
	for _, p := range problems {
		t.Errorf("%s", p.Error())
	}
	m, _, wrong := mapping.New(mapping.Options{Maps: os.DirFS("../../maps"), Tables: set}, step)
	for _, p := range wrong {
		t.Errorf("%s%s:%d:%d: %s", p.Field, p.File, p.Line, p.Column, p.Text)
	}
	if m == nil {
		t.FailNow()
	}
	return m
}

func TestShippedMapsHaveNoProblems(t *testing.T) {
	shipped(t, transforms.Step{Use: "v2-to-fhir"})
}
