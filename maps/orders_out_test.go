package maps_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/maps"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// outward compiles a shipped map to HL7 v2.
func outward(t testing.TB, use string) *mapping.Map {
	t.Helper()
	set, _ := tables.Shipped()
	m, _, problems := mapping.New(mapping.Options{Maps: maps.FS, Tables: set}, transforms.Step{
		Use: use, Zone: time.UTC, Format: "fhir", Set: map[string]string{"MSH-4": "NORTH CLINIC", "MSH-5": "LABSYS"},
	})
	for _, p := range problems {
		t.Errorf("%s:%d:%d: %s %s", p.File, p.Line, p.Column, p.Field, p.Text)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
	return m
}

func sent(t testing.TB, m *mapping.Map, file string) *mapping.Message {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Apply(t.Context(), &message.Message{Raw: raw})
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := out[0].Doc.(*mapping.Message)
	doc.Stamp("CTRL-1", time.Date(2026, 3, 1, 14, 30, 0, 0, time.UTC))
	return doc
}

func outSamples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "fhir-to-v2", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no samples in testdata/fhir-to-v2")
	}
	return files
}

// Each resource of testdata/fhir-to-v2 becomes exactly the messages beside it,
// and they can be read as the structure they say they are.
func TestTheMapsMakeOfEachOrderTheMessagesBesideIt(t *testing.T) {
	for _, use := range []string{"fhir-to-orm-o01", "fhir-to-oml-o21"} {
		m := outward(t, use)
		for _, file := range outSamples(t) {
			t.Run(use+" "+filepath.Base(file), func(t *testing.T) {
				doc := sent(t, m, file)
				got := bytes.ReplaceAll(doc.Encode(nil), []byte("\r"), []byte("\n"))
				golden := strings.TrimSuffix(file, ".json") + "." + use[len("fhir-to-"):] + ".hl7"
				if *update {
					if err := os.WriteFile(golden, got, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("the output differs from %s: run with -update and read the difference", golden)
				}
				if f := doc.Findings(); len(f) > 0 {
					t.Errorf("findings %v", f)
				}
				doc.Message().Groups()
				if w := doc.Message().Warnings(); len(w) > 0 {
					t.Errorf("the message is not as its structure: %v", w)
				}
				_, err = hl7v2.New(hl7v2.Options{}).Scan(doc.Encode(nil), strings.NewReader(""))
				if err != nil {
					t.Errorf("it could not be received: %v", err)
				}
			})
		}
	}
}

// What does not come back when an order goes out and is read again, and why.
var losses = map[string][]string{
	"new.json": {
		"category",       // HL7 v2 has no place for it: OBR-24 is the filler's
		"supportingInfo", // goes out as OBX and OBR-13, and comes back as Observation; reasonReference as Condition and reasonCode
	},
	"cancel.json": {"authoredOn"}, // ORC-9 of a cancellation is not when the order was written
	"hold.json":   {"authoredOn"},
	"change.json": {"requester"}, // a name without a person comes back as a person
}

// An order that goes out and is read again is the same order, but for what is
// listed above.
func TestAnOrderComesBackAsItWentOut(t *testing.T) {
	in := shipped(t)
	for _, use := range []string{"fhir-to-orm-o01", "fhir-to-oml-o21"} {
		m := outward(t, use)
		for _, file := range outSamples(t) {
			t.Run(use+" "+filepath.Base(file), func(t *testing.T) {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				whole, err := fhir.Parse(raw)
				if err != nil {
					t.Fatal(err)
				}
				want := whole
				if list := whole.Get("entry"); list != nil {
					want = list.Items[0].Get("resource")
				}
				out, err := in.Apply(t.Context(), &message.Message{Doc: sent(t, m, file)})
				if err != nil {
					t.Fatal(err)
				}
				drafter, _ := out[0].Doc.(transforms.Drafter)
				var got *fhir.Node
				for _, d := range drafter.Drafts() {
					if d.Type == "ServiceRequest" {
						got = d.Tree
					}
				}
				lost := lostFrom(nil, "", want, got)
				allowed := losses[filepath.Base(file)]
				for _, a := range allowed {
					if !slices.ContainsFunc(lost, func(path string) bool {
						return path == a || strings.HasPrefix(path, a+".") || strings.HasPrefix(path, a+"[")
					}) {
						t.Errorf("%s comes back: it is listed among the losses", a)
					}
				}
				for _, path := range lost {
					if !slices.ContainsFunc(allowed, func(a string) bool {
						return path == a || strings.HasPrefix(path, a+".") || strings.HasPrefix(path, a+"[")
					}) {
						t.Errorf("%s did not come back; got %s", path, got.AppendJSON(nil))
					}
				}
			})
		}
	}
}

// lostFrom lists the values of want that got lacks; where a reference leads is
// another matter.
func lostFrom(out []string, path string, want, got *fhir.Node) []string {
	switch want.Kind {
	case fhir.Object:
		for _, m := range want.Members {
			switch {
			case path == "" && (m.Name == "id" || m.Name == "contained" || m.Name == "resourceType"), m.Name == "reference":
			default:
				out = lostFrom(out, strings.TrimPrefix(path+"."+m.Name, "."), m.Value, got.Get(m.Name))
			}
		}
	case fhir.Array:
		for i, item := range want.Items {
			var other *fhir.Node
			if got != nil && i < len(got.Items) {
				other = got.Items[i]
			}
			out = lostFrom(out, path+"["+strconv.Itoa(i)+"]", item, other)
		}
	default:
		if got == nil || got.Text != want.Text {
			out = append(out, path)
		}
	}
	return out
}

// Orders of others map without a fault, and make an order of each that has one.
func TestOrdersOfTheCorpusAreMapped(t *testing.T) {
	dir := corpus.Dir(t, "hl7v2")
	files, err := filepath.Glob(filepath.Join(dir, "orders", "*.hl7"))
	if err != nil || len(files) == 0 {
		t.Fatal("no orders in the corpus")
	}
	m := shipped(t)
	mappedFiles := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := hl7v2.Parse(data)
		if err != nil {
			continue // what is no message is refused before it is mapped
		}
		out, err := m.Apply(t.Context(), &message.Message{Doc: doc})
		if err != nil {
			if message.KindOf(err) != message.Malformed {
				t.Errorf("%s: %v", filepath.Base(file), err)
			}
			continue
		}
		mappedFiles++
		name := filepath.Base(file)
		if !strings.HasPrefix(name, "ORM_O01") && !strings.HasPrefix(name, "OML_") && !strings.HasPrefix(name, "ORL_") {
			continue
		}
		drafter, _ := out[0].Doc.(transforms.Drafter)
		orders := 0
		for _, d := range drafter.Drafts() {
			if d.Type == "ServiceRequest" || d.Type == "MedicationRequest" {
				orders++
				if status := d.Tree.Get("status"); status == nil || status.Text == "" {
					t.Errorf("%s: an order without a status", name)
				}
			}
		}
		if bytes.Contains(data, []byte("ORC|")) && orders == 0 {
			t.Errorf("%s: no order was made", name)
		}
	}
	t.Logf("%d of %d were mapped", mappedFiles, len(files))
	if mappedFiles < len(files)/2 {
		t.Errorf("only %d of %d were mapped", mappedFiles, len(files))
	}
}
