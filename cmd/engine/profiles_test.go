package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProfilesOfTheOperator: what is loaded refuses a write that claims it.
func TestProfilesOfTheOperator(t *testing.T) {
	s := newSite(t, "")
	const canonical = "http://example.org/fhir/StructureDefinition/born"
	folder := filepath.Join(s.folder, "profiles")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "born.json"), []byte(`{"resourceType":"StructureDefinition","url":"`+canonical+`","kind":"resource","type":"Patient","derivation":"constraint",
		"baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{"element":[{"id":"Patient.birthDate","path":"Patient.birthDate","min":1}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := s.mustReady("PLEXUS_PROFILES=" + folder)
	defer l.stop()
	for body, want := range map[string]int{
		`{"resourceType":"Patient","meta":{"profile":["` + canonical + `"]}}`:                       http.StatusUnprocessableEntity,
		`{"resourceType":"Patient","meta":{"profile":["` + canonical + `"]},"birthDate":"2020-01"}`: http.StatusCreated,
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

// TestWhatMessagesWriteIsValid: what a result and an admission have written, the
// engine's own Provenance too, has no error by $validate.
func TestWhatMessagesWriteIsValid(t *testing.T) {
	s := newSite(t, "")
	l := s.mustReady()
	defer l.stop()
	for _, m := range []struct{ address, raw string }{{s.results, oru("V1", "M1", "1", 3)}, {s.admit, adt("V2", "M1", 1, "A01")}} {
		if code := s.send(m.address, m.raw); code != "AA" {
			t.Fatalf("answered %s, want AA", code)
		}
	}
	s.settled()
	seen := 0
	for _, typ := range []string{"Patient", "Encounter", "DiagnosticReport", "Observation", "ServiceRequest", "Provenance", "Organization", "Practitioner", "MessageHeader"} {
		for _, r := range s.search(typ, url.Values{}) {
			var found struct {
				Issue []struct {
					Severity, Code, Diagnostics string
					Expression                  []string
				} `json:"issue"`
			}
			if status, body := s.get("/fhir/"+typ+"/"+fmt.Sprint(r["id"])+"/$validate", &found); status != http.StatusOK {
				t.Fatalf("%s: %d %s", typ, status, body)
			}
			seen++
			for _, i := range found.Issue {
				if i.Severity == "error" {
					t.Errorf("%s: %+v", typ, i)
				}
			}
		}
	}
	if seen < 7 {
		t.Errorf("only %d resources were written", seen)
	}
}
