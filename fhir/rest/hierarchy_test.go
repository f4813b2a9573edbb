package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/store"
)

// TestHierarchies asks for what refers to a place or house, or to one that is part
// of it or that it is part of.
func TestHierarchies(t *testing.T) { eachStore(t, hierarchies) }

func hierarchies(t *testing.T, a *api) {
	place := func(id, of string) string {
		if of != "" {
			of = `,"partOf":{"reference":"` + of + `"}`
		}
		return `{"resourceType":"Location","id":"` + id + `"` + of + `}`
	}
	encounter := func(id, at string) string {
		return `{"resourceType":"Encounter","id":"` + id + `","status":"finished","class":{"code":"AMB"},"location":[{"location":{"reference":"` + at + `"}}]}`
	}
	a.put(
		place("house", ""), place("ward", "Location/house"), place("room", "http://127.0.0.1/fhir/Location/ward"), place("other", ""), place("a", "Location/b"), place("b", "Location/a"), place("lost", "Location/gone"),
		encounter("in-house", "Location/house"), encounter("in-ward", "http://127.0.0.1/fhir/Location/ward"), encounter("in-room", "Location/room"), encounter("in-other", "Location/other"), encounter("in-a", "Location/a"),
		`{"resourceType":"Organization","id":"o1","name":"x"}`, `{"resourceType":"Organization","id":"o2","name":"y","partOf":{"reference":"Organization/o1"}}`,
		`{"resourceType":"Patient","id":"p1","managingOrganization":{"reference":"Organization/o1"}}`, `{"resourceType":"Patient","id":"p2","managingOrganization":{"reference":"Organization/o2"}}`,
		`{"resourceType":"Observation","id":"ob","status":"final","code":{"text":"x"},"encounter":{"reference":"Encounter/in-room"},"subject":{"reference":"Patient/p2"},"focus":[{"reference":"Location/room"}]}`,
	)
	for query, want := range map[string]string{
		"Encounter?location:below=house":                           "in-house in-room in-ward",
		"Encounter?location:below=Location/ward":                   "in-room in-ward",
		"Encounter?location:below=room,other":                      "in-other in-room",
		"Encounter?location:above=room":                            "in-house in-room in-ward",
		"Encounter?location:above=house":                           "in-house",
		"Encounter?location:below=a":                               "in-a",
		"Encounter?location:above=b":                               "in-a",
		"Encounter?location:above=lost":                            "",
		"Encounter?location:below=none":                            "",
		"Location?partof:below=house":                              "room ward",
		"Patient?organization:below=o1":                            "p1 p2",
		"Patient?organization:above=o2":                            "p1 p2",
		"Patient?organization:below=o2":                            "p2",
		"Observation?patient.organization:below=o1":                "ob",
		"Patient?_has:Observation:patient:encounter:below=in-room": "p2",
		"Observation?focus:below=Location/house":                   "ob",
		"Observation?focus:below=Patient/p1":                       "invalid",
		"Observation?subject:below=p2":                             "ob",
		"Patient?organization:below=Location/house":                "invalid",
		"Patient?general-practitioner:below=x y":                   "invalid",
		"Observation?performer:in=x":                               "invalid",
		"Observation?device:below=x":                               "invalid",
	} {
		if got := a.found(strings.ReplaceAll(query, " ", "%20")); got != want {
			t.Errorf("%s found %q, want %q", query, got, want)
		}
	}
	var writes []store.Write
	for i := range 1001 {
		n, err := fhir.Parse([]byte(place(fmt.Sprint("many", i), "Location/other")))
		if err != nil {
			t.Fatal(err)
		}
		writes = append(writes, write("Location", fmt.Sprint("many", i), n, 0))
	}
	if _, err := a.handler.(*server).Records.Write(t.Context(), writes, store.Author{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	if got := a.found("Encounter?location:below=other"); got != "too-costly" {
		t.Errorf("below a place of 1001 parts %q is found", got)
	}
}
