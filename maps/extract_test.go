package maps_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/plexus-health/plexus/internal/corpus"
)

// The facts of the expected bundles of the corpus are nearly all found by the
// extractor that judges the maps: it measures the maps, not itself.
func TestTheExtractorFindsTheFactsOfTheExpectedBundles(t *testing.T) {
	dir := corpus.Dir(t, "v2-to-fhir")
	files, _ := filepath.Glob(filepath.Join(dir, "*", "expected.json"))
	sum, n := 0.0, 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, ok := readPortable(t, filepath.Join(filepath.Dir(file), "portable.json"))
		if !ok {
			continue
		}
		got, err := bundleFacts(data)
		if err != nil {
			t.Log(file, err)
			continue
		}
		found, all, _ := recall(want, got, false)
		if all == 0 {
			continue
		}
		sum += float64(found) / float64(all)
		n++
	}
	mean := sum / float64(n)
	t.Logf("%d bundles, mean %.4f", n, mean)
	if mean < 0.999 {
		t.Errorf("the extractor finds only %.4f of the facts of the expected bundles", mean)
	}
}

func readPortable(t testing.TB, file string) (portable, bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		return portable{}, false
	}
	var p portable
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(file, err)
	}
	return p, true
}
