package capability

import (
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir/definitions"
)

// TestStatement: the statement says what it is told of a server, and all types
// with all their parameters.
func TestStatement(t *testing.T) {
	n := Statement(Options{Date: "2026-01-02", CORS: true, Formats: []string{"a/b"}, PatchFormats: []string{"c/d"}})
	if n.Get("date").Text != "2026-01-02" || n.Get("format").Items[2].Text != "a/b" || n.Get("patchFormat").Items[0].Text != "c/d" {
		t.Errorf("got %.200s", n.AppendJSON(nil))
	}
	rest := n.Get("rest").Items[0]
	if rest.Get("security").Get("cors").Text != "true" {
		t.Error("it does not say that other origins are served")
	}
	types := definitions.Resources()
	if got := len(rest.Get("resource").Items); got != len(types) {
		t.Errorf("%d types, want %d", got, len(types))
	}
	for _, r := range rest.Get("resource").Items {
		want := SearchParameters(r.Get("type").Text)
		if got := len(r.Get("searchParam").Items); got != len(want) || !slices.IsSortedFunc(want, func(a, b SearchParameter) int { return strings.Compare(a.Code, b.Code) }) {
			t.Errorf("%s: %d parameters, want %d sorted by code", r.Get("type").Text, got, len(want))
		}
	}
}
