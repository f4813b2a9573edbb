package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProfilesOfTheOperator: what is loaded refuses a write that claims it.
func TestProfilesOfTheOperator(t *testing.T) {
	s := newSite(t, "")
	const url = "http://example.org/fhir/StructureDefinition/born"
	folder := filepath.Join(s.folder, "profiles")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "born.json"), []byte(`{"resourceType":"StructureDefinition","url":"`+url+`","kind":"resource","type":"Patient","derivation":"constraint",
		"baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{"element":[{"id":"Patient.birthDate","path":"Patient.birthDate","min":1}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := s.mustReady("PLEXUS_PROFILES=" + folder)
	defer l.stop()
	for body, want := range map[string]int{
		`{"resourceType":"Patient","meta":{"profile":["` + url + `"]}}`:                       http.StatusUnprocessableEntity,
		`{"resourceType":"Patient","meta":{"profile":["` + url + `"]},"birthDate":"2020-01"}`: http.StatusCreated,
		`{"resourceType":"Patient"}`: http.StatusCreated,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.http+"/fhir/Patient", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/fhir+json")
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		if closing := response.Body.Close(); err != nil || closing != nil {
			t.Fatal(err, closing)
		}
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d: %s", body, response.StatusCode, want, answer)
		}
	}
}
