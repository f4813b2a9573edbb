package rest

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/corpus"
)

// TestSynthea sends the Bundles of Synthea as transactions and reads everything
// back: equal, but for ids and for references to what the transaction made, which
// lead to it; and found by its patient.
func TestSynthea(t *testing.T) { eachStore(t, synthea) }

func synthea(t *testing.T, a *api) {
	s := a.handler.(*server)
	a.handler = New(Options{Records: s.Records, Access: s.Access, Base: "/fhir", Log: s.Log})
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t, "fhir", "synthea"), "*.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files) // hospitals and practitioners come first
	resources, patients := 0, 0
	for _, file := range files {
		sent := unzipped(t, file)
		w, answer := a.do("POST", "", string(sent.AppendJSON(nil)))
		if w.Code != 200 {
			t.Errorf("%s: %d %.500s", filepath.Base(file), w.Code, w.Body)
			continue
		}
		places := map[string]string{}
		entries := sent.Get("entry").Items
		for i, e := range answer.Get("entry").Items {
			place, _, _ := strings.Cut(strings.TrimPrefix(text(e.Get("response"), "location"), "http://127.0.0.1/fhir/"), "/_history/")
			places[text(entries[i], "fullUrl")] = place
		}
		patient, ofPatient := "", map[string][]string{}
		for i, e := range entries {
			place := places[text(e, "fullUrl")]
			typ, id, _ := strings.Cut(place, "/")
			_, back := a.want(200, "GET", "/"+place, "")
			want, got := fhir.Unstamped(led(e.Get("resource").Clone(), places), typ, id), fhir.Unstamped(conditionals(back, e.Get("resource")), typ, id)
			if !got.Equal(want) {
				t.Errorf("%s: entry %d (%s) came back changed", filepath.Base(file), i, typ)
			}
			resources++
			if typ == "Patient" {
				patient = id
				patients++
				identifier := back.Get("identifier").Items[0]
				if found := a.found("Patient?identifier=" + text(identifier, "system") + "%7C" + text(identifier, "value")); found != id {
					t.Errorf("the patient is found as %q", found)
				}
			}
			if text(back.Get("subject"), "reference") == "Patient/"+patient && patient != "" && typ != "Provenance" {
				ofPatient[typ] = append(ofPatient[typ], id)
			}
		}
		for typ, ids := range ofPatient {
			slices.Sort(ids)
			if found := a.found(typ + "?_count=1000&subject=Patient/" + patient); len(ids) <= 1000 && found != strings.Join(ids, " ") {
				t.Errorf("%s: %d %s are found by the patient, want %d", filepath.Base(file), len(strings.Fields(found)), typ, len(ids))
			}
		}
	}
	if patients < 10 || resources < 1000 {
		t.Errorf("%d patients, %d resources", patients, resources)
	}
	t.Logf("%d Bundles, %d patients, %d resources", len(files), patients, resources)
}

func unzipped(t *testing.T, file string) *fhir.Node {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	n, err := fhir.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// led lets references lead to the places of entries.
func led(n *fhir.Node, places map[string]string) *fhir.Node {
	for i := range n.Members {
		m := &n.Members[i]
		if place := places[m.Value.Text]; m.Name == "reference" && place != "" {
			m.Value = fhir.Text(place)
		}
		led(m.Value, places)
	}
	for _, item := range n.Items {
		led(item, places)
	}
	return n
}

// conditionals puts the conditional references that were sent back in place of what
// they found, where that is a resource of their type.
func conditionals(n, sent *fhir.Node) *fhir.Node {
	if n == nil || sent == nil {
		return n
	}
	for i := range n.Members {
		m := &n.Members[i]
		before := sent.Get(m.Name)
		if before != nil && m.Name == "reference" {
			if typ, _, conditional := strings.Cut(before.Text, "?"); conditional && strings.HasPrefix(m.Value.Text, typ+"/") {
				m.Value = before
			}
		}
		conditionals(m.Value, before)
	}
	for i := range n.Items {
		if sent.Kind == fhir.Array && i < len(sent.Items) {
			conditionals(n.Items[i], sent.Items[i])
		}
	}
	return n
}
