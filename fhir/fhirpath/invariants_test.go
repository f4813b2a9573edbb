package fhirpath

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/internal/corpus"
)

// An invariant is a constraint of the specification on an element.
type invariant struct {
	key, path string
	where, is *Expression
}

// eachLine hands over the resources of a compressed NDJSON file.
func eachLine(t *testing.T, path string, take func(line []byte)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		take(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// invariants reads the constraints of the resource types.
func invariants(t *testing.T) map[string][]invariant {
	t.Helper()
	found := map[string][]invariant{}
	eachLine(t, corpus.Dir(t, "fhir", "spec", "StructureDefinition.ndjson.gz"), func(line []byte) {
		var d struct {
			Name, Kind, Derivation string
			Snapshot               struct {
				Element []struct {
					Path       string
					Constraint []struct{ Key, Severity, Expression string }
				}
			}
		}
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatal(err)
		}
		if (d.Kind != "resource" && d.Kind != "complex-type") || d.Derivation == "constraint" {
			return
		}
		for _, e := range d.Snapshot.Element {
			paths := e.Path
			if d.Kind == "complex-type" {
				if e.Path != d.Name || d.Name == "Element" || d.Name == "BackboneElement" {
					continue
				}
				paths = "descendants().ofType(" + d.Name + ")"
			}
			for _, c := range e.Constraint {
				if c.Severity != "error" || c.Expression == "" {
					continue
				}
				is, err := Compile(c.Expression)
				if err != nil {
					t.Errorf("%s of %s: %s: %v", c.Key, e.Path, c.Expression, err)
					continue
				}
				where, err := Compile(paths)
				if err != nil {
					continue // value[x]
				}
				name := d.Name
				if d.Kind == "complex-type" {
					name = "" // stands in any resource
				}
				found[name] = append(found[name], invariant{c.Key, e.Path, where, is})
			}
		}
	})
	return found
}

// TestInvariants holds the examples of the specification against its own
// invariants. Empty is no breach: R4 asks "fullUrl.contains(…).not()" of entries
// that have no fullUrl.
func TestInvariants(t *testing.T) {
	all := invariants(t)
	resources, held := 0, 0
	err := filepath.WalkDir(corpus.Dir(t, "fhir", "valid"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		root, err := fhir.Parse(data)
		if err != nil {
			return err
		}
		resources++
		list := all[memberText(root, "resourceType")]
		if memberText(root, "resourceType") != "Bundle" { // whose entries are roots of their own
			list = append(slices.Clip(list), all[""]...)
		}
		for _, v := range list {
			o := Options{Type: v.path, Resource: root, AsFilters: true}
			places, err := v.where.Eval(t.Context(), root, o)
			if err != nil {
				t.Errorf("%s: %s: %v", d.Name(), v.path, err)
				continue
			}
			for _, at := range places {
				if at.Node() == nil || at.Node().Kind != fhir.Object {
					continue
				}
				values, err := v.is.Eval(t.Context(), at.Node(), o)
				if held++; err != nil || len(values) > 1 || (len(values) == 1 && values[0].String() != "true") {
					t.Errorf("%s: %s: %s is broken (%v): %s", d.Name(), v.path, v.key, err, v.is)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d invariants were held against %d resources", held, resources)
	if held < 1000 {
		t.Error("too few invariants were met")
	}
}

// TestSearchParameters compiles the expressions of all search parameters and
// holds them against their type.
func TestSearchParameters(t *testing.T) {
	read := 0
	for _, typ := range definitions.Resources() {
		read += len(definitions.Params(typ))
		for _, p := range definitions.Params(typ) {
			if _, err := CompileFor(typ, p.Expression); err != nil {
				t.Errorf("%s %s: %s: %v", typ, p.Code, p.Expression, err)
			}
		}
	}
	if read < 1000 {
		t.Errorf("%d search parameters, want all", read)
	}
}
