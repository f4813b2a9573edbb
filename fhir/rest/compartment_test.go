package rest

import (
	"strings"
	"testing"
)

// TestCompartments searches in compartments, on both stores.
func TestCompartments(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(*testing.T) *api) {
		a := open(t)
		a.put(
			`{"resourceType":"Patient","id":"p1"}`,
			`{"resourceType":"Patient","id":"p2","link":[{"other":{"reference":"Patient/p1"},"type":"seealso"}]}`,
			`{"resourceType":"Practitioner","id":"p1"}`,
			`{"resourceType":"Encounter","id":"e1","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Patient/p1"},"participant":[{"individual":{"reference":"Practitioner/d1"}}]}`,
			`{"resourceType":"Observation","id":"o1","meta":{"tag":[{"code":"t"}]},"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"},"encounter":{"reference":"Encounter/e1"},"performer":[{"reference":"Practitioner/d1"}]}`,
			`{"resourceType":"Observation","id":"o2","status":"amended","code":{"text":"x"},"subject":{"reference":"Patient/p2"},"performer":[{"reference":"Patient/p1"}]}`,
			`{"resourceType":"Observation","id":"o3","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p2"},"device":{"reference":"Device/p1"}}`,
			`{"resourceType":"Observation","id":"o4","status":"final","code":{"text":"x"},"subject":{"reference":"Practitioner/p1"},"focus":[{"reference":"Patient/p1"}]}`,
		)
		for query, want := range map[string]string{
			"Patient/p1/Observation": "o1 o2", "Patient/p1/Observation?status=final": "o1", "Patient/p1/Observation?_sort=-_id": "o2 o1", "Patient/p1/Encounter": "e1",
			"Patient/p1/*": "e1 o1 o2 p1 p2", "Patient/p1/*?_type=Observation,Encounter": "e1 o1 o2", "Patient/p1/*?_type=Patient": "p1 p2", "Patient/p1/*?_type=Location": "", "Patient/p1/*?_type=Nothing": "invalid",
			"Patient/p1/*?_tag=t": "o1", "Patient/p1/*?_id=o2": "o2", "Patient/p1/*?status=final": "invalid", "Patient/p9/*": "", "Patient/p1/Patient": "p1 p2",
			"Encounter/e1/Observation": "o1", "Encounter/e1/*": "e1 o1", "Practitioner/d1/*": "e1 o1", "Practitioner/d1/Encounter": "e1", "Device/p1/Observation": "o3", "RelatedPerson/p1/*": "",
			"Patient/p1/Location": "not-found", "Organization/p1/Observation": "not-found", "Patient/p1/Nothing": "not-found",
		} {
			if got := a.found(query); got != want {
				t.Errorf("%s found %q, want %q", query, got, want)
			}
		}
		t.Run("pages of all types", func(t *testing.T) {
			seen, path := 0, "/Patient/p1/*?_count=2&_total=accurate"
			for path != "" {
				_, n := a.want(200, "GET", path, "")
				if n.Get("total").Text != "5" {
					t.Errorf("total %s, want 5", n.Get("total").Text)
				}
				seen, path = seen+total(n), ""
				for _, l := range n.Get("link").Items {
					if text(l, "relation") == "next" {
						_, path, _ = strings.Cut(text(l, "url"), "/fhir")
					}
				}
			}
			if seen != 5 {
				t.Errorf("%d resources, want 5", seen)
			}
		})
	})
}
