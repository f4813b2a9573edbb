package mapping

import (
	"slices"
	"testing"
	"testing/fstest"
)

// TestNames: what can be taken is offered to who has written another name.
func TestNames(t *testing.T) {
	shipped := fstest.MapFS{"v2-to-fhir/orders.yaml": {}, "fhir-to-v2/fhir-to-oml-o21.yaml": {}, "fhir-to-v2/fhir-to-orm-o01.yaml": {}, "README.md": {}}
	kind := Kind(Options{Maps: shipped})
	names := kind.Names()
	if want := []string{"fhir-to-oml-o21", "fhir-to-orm-o01", "fhir-to-v2", "orders", "v2-to-fhir"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	for _, name := range names {
		if !kind.Takes(name) {
			t.Errorf("%s is not taken", name)
		}
	}
}
