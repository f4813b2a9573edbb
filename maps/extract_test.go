package maps_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"github.com/plexus-health/plexus/internal/corpus"
)

// The facts of the expected bundles of the corpus are nearly all found by the
// extractor that judges the maps: it measures the maps, not itself.
func TestTheExtractorFindsTheFactsOfTheExpectedBundles(t *testing.T) {
	dir := corpus.Dir(t, "v2-to-fhir")
	files, _ := filepath.Glob(filepath.Join(dir, "*", "expected.json"))
	sum, n := 0.0, 0
	miss := map[string]int{}
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
		found, all, missing := recall(want, got)
		if all == 0 {
			continue
		}
		for _, m := range missing {
			miss[m]++
		}
		sum += float64(found) / float64(all)
		n++
	}
	mean := sum / float64(n)
	t.Logf("%d bundles, mean %.4f", n, mean)
	if os.Getenv("MISSING") != "" {
		keys := make([]string, 0)
		for k := range miss {
			keys = append(keys, k)
		}
		sort.Slice(keys, func(i, j int) bool { return miss[keys[i]] > miss[keys[j]] })
		for _, k := range keys[:min(len(keys), 80)] {
			t.Log(miss[k], k)
		}
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
