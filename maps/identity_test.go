package maps_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// drafts maps a sample with some of its text changed: old, new, old, new …
func drafts(t *testing.T, m *mapping.Map, sample string, change ...string) []fhir.Draft {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", sample))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), "\n", "\r")
	for i := 0; i < len(change); i += 2 {
		if !strings.Contains(text, change[i]) {
			t.Fatalf("the sample has no %q", change[i])
		}
		text = strings.ReplaceAll(text, change[i], change[i+1])
	}
	doc, _, err := mapped(m, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	drafter, ok := doc.(transforms.Drafter)
	if !ok {
		t.Fatal("the output of a map to FHIR makes no drafts")
	}
	return drafter.Drafts()
}

// keysOf lists the keys of the resources of a type, those of each sorted.
func keysOf(list []fhir.Draft, typ string) []string {
	var out []string
	for i := range list {
		if list[i].Type == typ {
			keys := slices.Sorted(slices.Values(list[i].Keys))
			out = append(out, strings.Join(keys, "\n"))
		}
	}
	return out
}

func TestResourcesAreKnownAgainByTheNumbersOfTheirSenders(t *testing.T) {
	m := shipped(t)
	const lab, adt = "blood-count.hl7", "admission.hl7"
	later := []string{"20260105093000+0100", "20260106101500+0100", "LAB00017", "LAB00042"}
	for _, c := range []struct {
		name, sample, typ string
		both              []string // changed in both messages
		change            []string // changed in the second
		same              bool
	}{
		{"a correction under another control id finds its results", lab, "Observation", nil, append([]string{"|N|||F", "|H|||C"}, later...), true},
		{"a correction finds its report", lab, "DiagnosticReport", nil, later, true},
		{"results of another accession are others", lab, "Observation", nil, []string{"F-200", "F-201", "P-100", "P-101"}, false},
		{
			"without any order number, another day is another report though the control id began again", lab, "DiagnosticReport",
			[]string{"P-100^EHR", "", "F-200^LABSYS", ""},
			[]string{"20260105093000+0100", "20260106093000+0100"},
			false,
		},
		{"a patient is known by his number whatever his name", lab, "Patient", nil, []string{"ROWAN^ALIX", "ROWAN-REED^ALIX"}, true},
		{"another number is another patient", lab, "Patient", nil, []string{"70001", "70002", "900-11-2222", "900-11-2223"}, false},
		{"an update finds its visit", adt, "Encounter", nil, []string{"ADT^A01^ADT_A01", "ADT^A08^ADT_A01", "A0009", "A0010"}, true},
		{"the same vital sign sent again is the same", adt, "Observation", nil, []string{"A0009", "A0010", "20260110120000+0100", "20260110130000+0100"}, true},
		{"a vital sign of another time is another", adt, "Observation", nil, []string{"20260110115000+0100", "20260110125000+0100"}, false},
		{"an allergy sent again is the same", adt, "AllergyIntolerance", nil, []string{"A0009", "A0010"}, true},
		{"the same number of another authority is another practitioner", adt, "Practitioner", nil, []string{"2.16.840.1.113883.4.6", "2.999.8"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			first := keysOf(drafts(t, m, c.sample, c.both...), c.typ)
			second := keysOf(drafts(t, m, c.sample, append(c.both, c.change...)...), c.typ)
			if len(first) == 0 || len(first) != len(second) {
				t.Fatalf("%d and %d resources", len(first), len(second))
			}
			for i := range first {
				if (first[i] == second[i]) != c.same {
					t.Errorf("resource %d: same keys %t, want %t", i, first[i] == second[i], c.same)
				}
			}
		})
	}
}
