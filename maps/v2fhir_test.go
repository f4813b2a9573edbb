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

// mapped maps one message and gives the output and the Bundle as JSON.
func mapped(m *mapping.Map, data []byte) (message.Document, []byte, error) {
	doc, err := hl7v2.Parse(data)
	if err != nil {
		return nil, nil, err
	}
	out, err := m.Apply(context.Background(), &message.Message{Doc: doc})
	if err != nil {
		return nil, nil, err
	}
	return out[0].Doc, out[0].Doc.Encode(nil), nil
}

// Floors of the mean recall over the corpus, a little under what is reached.
const (
	floorResults = 0.95
	floorVisits  = 0.915
	floorAll     = 0.92
)

// Of the facts that any converter should find in a message, the shipped maps
// find at least this part in the mean of the cases. CASE=name shows what one
// case lacks, MISSING=1 what all lack most.
func TestTheMapsFindWhatAnyConverterShouldFind(t *testing.T) {
	dir := corpus.Dir(t, "v2-to-fhir")
	m := shipped(t)
	files, err := filepath.Glob(filepath.Join(dir, "*", "portable.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no cases in the corpus")
	}
	s := scores{strict: map[string]*mean{}, shared: map[string]*mean{}, missing: map[string]float64{}}
	only := os.Getenv("CASE")
	for _, file := range files {
		if name := filepath.Base(filepath.Dir(file)); strings.Contains(name, only) {
			s.judge(t, m, name, file, only != "")
		}
	}
	for _, kind := range sortedKeys(s.strict) {
		t.Logf("%s: mean recall %.4f (%.4f where one instance may stand for several) of %d cases",
			kind, s.strict[kind].value(), s.shared[kind].value(), s.strict[kind].n)
	}
	if os.Getenv("MISSING") != "" {
		keys := sortedKeys(s.missing)
		sort.SliceStable(keys, func(i, j int) bool { return s.missing[keys[i]] > s.missing[keys[j]] })
		for _, k := range keys[:min(len(keys), 100)] {
			t.Logf("%6.1f %s", s.missing[k], k)
		}
	}
	if only != "" {
		return
	}
	for kind, floor := range map[string]float64{"ORU": floorResults, "ADT": floorVisits, "all": floorAll} {
		if got := s.strict[kind].value(); got < floor {
			t.Errorf("%s: recall %.4f fell below its floor %.3f", kind, got, floor)
		}
	}
}

// scores collects what the cases gave, by message type and for all.
type scores struct {
	strict, shared map[string]*mean
	missing        map[string]float64 // percent of a case, summed, by element
}

func (s *scores) judge(t *testing.T, m *mapping.Map, name, file string, tell bool) {
	t.Helper()
	want, _ := readPortable(t, file)
	data, err := os.ReadFile(filepath.Join(filepath.Dir(file), "input.hl7"))
	if err != nil {
		t.Fatal(err)
	}
	var got portable
	if _, bundle, err := mapped(m, data); err != nil {
		t.Logf("%s (%s): %v", name, want.Message, err)
	} else if got, err = bundleFacts(bundle); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	found, all, lacks := recall(want, got, false)
	if all == 0 {
		return
	}
	for _, l := range lacks {
		if tell {
			t.Logf("%s lacks %s", name, l)
		}
		element, _, _ := strings.Cut(l, "=")
		s.missing[element] += 100 / float64(all)
	}
	foundShared, _, _ := recall(want, got, true)
	kind, _, _ := strings.Cut(want.Message, "^")
	for _, k := range []string{kind, "all"} {
		add(s.strict, k, float64(found)/float64(all))
		add(s.shared, k, float64(foundShared)/float64(all))
	}
}

type mean struct {
	sum float64
	n   int
}

func add(means map[string]*mean, kind string, x float64) {
	if means[kind] == nil {
		means[kind] = &mean{}
	}
	means[kind].sum += x
	means[kind].n++
}

func (m *mean) value() float64 {
	if m == nil || m.n == 0 {
		return 0
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
