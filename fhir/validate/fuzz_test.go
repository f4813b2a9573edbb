package validate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// FuzzValidate: no resource makes the validation panic, go on without end or
// find more than it may, and no error alone depends on warnings.
func FuzzValidate(f *testing.F) {
	for _, cases := range rulesOfR4 {
		for text := range cases {
			f.Add([]byte(text))
		}
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := fhir.Parse(data)
		if err != nil {
			return
		}
		all := Resource(n, Options{})
		errors := Resource(n, Options{ErrorsOnly: true})
		if len(all) > most || len(Structure(n)) > mostPlain {
			t.Errorf("%d faults", len(all))
		}
		count := 0
		for _, x := range all {
			if x.Severity == Error {
				count++
			}
			if x.Text == "" || x.Code == "" || strings.HasPrefix(x.Where, ".") {
				t.Errorf("%+v", x)
			}
		}
		if len(all) < most && count != len(errors) {
			t.Errorf("%d errors, and %d where warnings are left out", count, len(errors))
		}
	})
}

// TestFaultsNameNoValue: a word of the content is in no fault.
func TestFaultsNameNoValue(t *testing.T) {
	const canary = "zzcanary"
	for _, cases := range rulesOfR4 {
		for text := range cases {
			n := parsed(t, text)
			n.Set("Q"+canary, fhir.Text(canary))
			marked(n, canary)
			for _, f := range append(Resource(n, Options{}), Structure(n)...) {
				if strings.Contains(f.Where+f.Text+f.Code, canary) {
					t.Errorf("%s: %+v", text, f)
				}
			}
		}
	}
}

// marked writes a word into every text below a value but resource types.
func marked(n *fhir.Node, word string) {
	if n.Kind == fhir.String {
		n.Text += word
	}
	for i := range n.Members {
		if n.Members[i].Name != "resourceType" {
			marked(n.Members[i].Value, word)
		}
	}
	for _, item := range n.Items {
		marked(item, word)
	}
}
