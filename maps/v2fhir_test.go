package maps_test

import (
	"context"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/maps"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// shipped compiles the shipped maps of v2 to FHIR.
func shipped(t testing.TB) *mapping.Map {
	t.Helper()
	set, wrong := tables.Shipped()
	for _, p := range wrong {
		t.Error(p.Error())
	}
	m, _, problems := mapping.New(mapping.Options{Maps: maps.FS, Tables: set}, transforms.Step{
		Use: "v2-to-fhir", Zone: time.UTC, Format: "hl7v2",
	})
	for _, p := range problems {
		t.Errorf("%s:%d:%d: %s %s", p.File, p.Line, p.Column, p.Field, p.Text)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
	return m
}

// mapped maps one message and gives the Bundle.
func mapped(m *mapping.Map, data []byte) ([]byte, message.Document, error) {
	doc, err := hl7v2.Parse(data)
	if err != nil {
		return nil, nil, err
	}
	out, err := m.Apply(context.Background(), &message.Message{Doc: doc})
	if err != nil {
		return nil, nil, err
	}
	if len(out) != 1 {
		return nil, nil, nil
	}
	return out[0].Doc.Encode(nil), out[0].Doc, nil
}

// Floors of the mean recall over the corpus, a little under what is reached.
const (
	floorResultsAndVisits = 0.5
	floorAll              = 0.5
)

// Of the facts that any converter should find in a message, the shipped maps
// find at least this part in the mean of the cases.
func TestTheMapsFindWhatAnyConverterShouldFind(t *testing.T) {
	dir := corpus.Dir(t, "v2-to-fhir")
	m := shipped(t)
	files, _ := filepath.Glob(filepath.Join(dir, "*", "portable.json"))
	missing := map[string]float64{}
	var all, main mean
	kinds := map[string]*mean{}
	only := os.Getenv("CASE")
	for _, file := range files {
		folder := filepath.Dir(file)
		name := filepath.Base(folder)
		if only != "" && !strings.Contains(name, only) {
			continue
		}
		want, _ := readPortable(t, file)
		data, err := os.ReadFile(filepath.Join(folder, "input.hl7"))
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(want.Message, "^")
		if k := os.Getenv("KIND"); k != "" && k != kind {
			continue
		}
		share := 0.0
		bundle, _, err := mapped(m, data)
		if err != nil {
			t.Logf("%s (%s): %v", name, want.Message, err)
		} else {
			got, err := bundleFacts(bundle)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			found, n, lacks := recall(want, got)
			if n == 0 {
				continue
			}
			share = float64(found) / float64(n)
			for _, l := range lacks {
				if only != "" {
					t.Log("  missing", l)
				}
				key, _, _ := strings.Cut(l, cutAt())
				missing[key] += 100 / float64(n)
			}
		}
		if os.Getenv("CASES") != "" || only != "" {
			t.Logf("%.3f %s %s", share, name, want.Message)
		}
		all.add(share)
		if kinds[kind] == nil {
			kinds[kind] = &mean{}
		}
		kinds[kind].add(share)
		if kind == "ORU" || kind == "ADT" {
			main.add(share)
		}
	}
	for _, kind := range sortedKeys(kinds) {
		t.Logf("%s: mean recall %.4f of %d cases", kind, kinds[kind].value(), kinds[kind].n)
	}
	t.Logf("ORU and ADT: mean recall %.4f of %d cases", main.value(), main.n)
	t.Logf("all: mean recall %.4f of %d cases", all.value(), all.n)
	if os.Getenv("MISSING") != "" {
		keys := sortedKeys(missing)
		sort.SliceStable(keys, func(i, j int) bool { return missing[keys[i]] > missing[keys[j]] })
		for _, k := range keys[:min(len(keys), 100)] {
			t.Logf("%6.1f %s", missing[k], k)
		}
	}
	if only == "" && os.Getenv("KIND") == "" && (main.value() < floorResultsAndVisits || all.value() < floorAll) {
		t.Errorf("recall fell below its floors %.3f and %.3f", floorResultsAndVisits, floorAll)
	}
}

type mean struct {
	sum float64
	n   int
}

func (m *mean) add(x float64) { m.sum += x; m.n++ }

func (m *mean) value() float64 {
	if m.n == 0 {
		return 1
	}
	return m.sum / float64(m.n)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func cutAt() string {
	if os.Getenv("VALUES") != "" {
		return "\x00"
	}
	return "="
}
