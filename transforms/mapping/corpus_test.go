package mapping_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// Every message that can be parsed maps, or is refused with a Failure; each
// reference inside the output leads to a resource of it.
func TestTheCorpusMapsOrIsRefused(t *testing.T) {
	m := shipped(t, transforms.Step{Use: "v2-to-fhir"})
	read, mapped := 0, 0
	for _, part := range []string{"hl7v2", "v2-to-fhir"} {
		err := filepath.WalkDir(corpus.Dir(t, part), func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(file) != ".hl7" {
				return err
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			doc, err := hl7v2.Parse(raw)
			if err != nil {
				return nil
			}
			read++
			out, err := m.Apply(context.Background(), &message.Message{Doc: doc})
			if err != nil {
				if _, ok := errors.AsType[*message.Failure](err); !ok {
					t.Errorf("%s: the error is no Failure: %v", filepath.Base(file), err)
				}
				return nil
			}
			mapped++
			checkOutput(t, filepath.Base(file), out[0].Doc.(*mapping.Output))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d messages read, %d mapped", read, mapped)
	if mapped*2 < read {
		t.Error("less than half of the corpus is mapped")
	}
}

func checkOutput(t *testing.T, name string, o *mapping.Output) {
	t.Helper()
	known := map[string]bool{}
	keys := map[string]bool{}
	for _, d := range o.Drafts() {
		known[d.URN] = true
		if len(d.Keys) == 0 {
			t.Errorf("%s: %s has no key", name, d.Name)
		}
		for _, key := range d.Keys {
			if keys[key] {
				t.Errorf("%s: two resources share a key of %s", name, d.Name)
			}
			keys[key] = true
		}
	}
	if len(known) != len(o.Drafts()) {
		t.Errorf("%s: two resources share a URN", name)
	}
	for _, origin := range o.Provenance() {
		if origin.Map == "" || origin.Line == 0 {
			t.Errorf("%s: %s has no row", name, origin.Target)
		}
	}
	for _, d := range o.Drafts() {
		for _, urn := range references(d.Tree, nil) {
			if !known[urn] {
				t.Errorf("%s: %s refers to nothing", name, d.Name)
			}
		}
	}
}

func references(n *fhir.Node, out []string) []string {
	for i := range n.Members {
		if n.Members[i].Name == "reference" && n.Members[i].Value.Kind == fhir.String {
			out = append(out, n.Members[i].Value.Text)
		}
		out = references(n.Members[i].Value, out)
	}
	for _, item := range n.Items {
		out = references(item, out)
	}
	return out
}
