package maps_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/validate"
	"github.com/plexus-health/plexus/internal/corpus"
)

// What the maps make of the samples is valid FHIR, and so are the samples of
// FHIR messages.
func TestOutputsAndSamplesAreValidFHIR(t *testing.T) {
	files := 0
	for _, pattern := range []string{"testdata/*.json", "../testdata/messages/fhir/*.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			n, err := fhir.Parse(data)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			files++
			for _, f := range validate.Resource(n, validate.Options{ErrorsOnly: true}) {
				t.Errorf("%s: %s: %s: %s", file, f.Where, f.Code, f.Text)
			}
		}
	}
	if files < 15 {
		t.Errorf("%d files", files)
	}
}

// faulty are the messages of the corpus that say what FHIR cannot, with the
// reason: they are mapped as they stand.
var faulty = map[string]string{
	"google-adt-a01":                  "a visit ends before it begins",
	"rsinv-cwe-quantity-cwe-quantity": "results of no patient",
	"rsinv-orcobr-orc-obr-to-servicerequest-diagnosticreport-orc-obr-populated": "an organization is at home",
}

// What the maps make of the messages of the corpus is valid FHIR too.
func TestOutputsOfTheCorpusAreValidFHIR(t *testing.T) {
	m := shipped(t)
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t, "v2-to-fhir"), "*", "input.hl7"))
	if err != nil || len(files) == 0 {
		t.Fatal("no cases in the corpus")
	}
	mappedFiles, lax := 0, 0
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, bundle, err := mapped(m, data)
		if err != nil {
			continue // other tests tell which messages are refused
		}
		n, err := fhir.Parse(bundle)
		if err != nil {
			t.Fatal(err)
		}
		mappedFiles++
		for _, f := range validate.Resource(n, validate.Options{ErrorsOnly: true}) {
			switch {
			case f.Lax:
				lax++
			case faulty[name] == "":
				t.Errorf("%s: %s: %s: %s", name, f.Where, f.Code, f.Text)
			}
		}
	}
	t.Logf("%d of %d messages mapped, %d errors that no write is refused for", mappedFiles, len(files), lax)
}
