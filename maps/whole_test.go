package maps_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/internal/corpus"
)

// Every Bundle the maps make of the corpus hangs together: each reference leads
// to a resource of the Bundle, no member is without a name, no object empty.
func TestEveryBundleOfTheCorpusHangsTogether(t *testing.T) {
	m := shipped(t)
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t, "v2-to-fhir"), "*", "input.hl7"))
	if err != nil || len(files) == 0 {
		t.Fatal("no cases in the corpus")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, bundle, err := mapped(m, data)
		if err != nil {
			continue // messages without a map are counted by the recall
		}
		var tree struct {
			Entry []struct {
				FullURL  string `json:"fullUrl"`
				Resource any    `json:"resource"`
			} `json:"entry"`
		}
		if err := json.Unmarshal(bundle, &tree); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		known := map[string]bool{}
		for _, e := range tree.Entry {
			if known[e.FullURL] {
				t.Errorf("%s: %s stands twice", file, e.FullURL)
			}
			known[e.FullURL] = true
		}
		for _, e := range tree.Entry {
			for _, wrong := range flaws(e.Resource, known, "") {
				t.Errorf("%s: %s", filepath.Base(filepath.Dir(file)), wrong)
			}
		}
	}
}

func flaws(v any, known map[string]bool, at string) []string {
	var out []string
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			out = append(out, at+": an empty object")
		}
		for name, item := range v {
			if name == "" {
				out = append(out, at+": a member without a name")
			}
			if ref, ok := item.(string); ok && name == "reference" && strings.HasPrefix(ref, "urn:uuid:") && !known[ref] {
				out = append(out, at+": a reference that leads nowhere")
			}
			out = append(out, flaws(item, known, at+"."+name)...)
		}
	case []any:
		if len(v) == 0 {
			out = append(out, at+": an empty list")
		}
		for _, item := range v {
			out = append(out, flaws(item, known, at)...)
		}
	case string:
		if v == "" {
			out = append(out, at+": an empty text")
		}
	}
	return out
}
