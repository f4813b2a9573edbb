package definitions

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/internal/corpus"
)

// official reads the definitions that HL7 published with 4.0.1.
func official[R any](t *testing.T, file string) (list []R) {
	t.Helper()
	f, err := os.Open(corpus.Dir(t, "fhir", "spec", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var one R
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		list = append(list, one)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestElementsAreThoseOfR4: no element is of another release, or of whoever has
// carried the definitions here, and none is missing.
func TestElementsAreThoseOfR4(t *testing.T) {
	types := official[struct {
		Name, Derivation string
		Snapshot         struct {
			Element []struct {
				Path, Max, ContentReference string
				Min                         int
				Type                        []struct {
					Code          string
					TargetProfile []string
				}
			}
		}
	}](t, "StructureDefinition.ndjson.gz")
	for _, s := range types {
		if s.Derivation == "constraint" {
			continue
		}
		typ, ok := Lookup(s.Name)
		if !ok {
			t.Errorf("%s is not known", s.Name)
			continue
		}
		want, got := map[string]string{}, map[string]string{}
		for _, e := range s.Snapshot.Element {
			path, below := strings.CutPrefix(e.Path, s.Name+".")
			if !below {
				continue
			}
			var names, targets []string
			for _, of := range e.Type {
				if !strings.Contains(of.Code, "/") { // those of FHIRPath have no name of a type here
					names = append(names, of.Code)
				}
				for _, p := range of.TargetProfile {
					targets = append(targets, p[strings.LastIndexByte(p, '/')+1:])
				}
			}
			slices.Sort(targets)
			if e.ContentReference != "" || len(names) == 0 {
				names = nil
			}
			want[path] = fmt.Sprint(e.Min, " ", strings.ReplaceAll(e.Max, "*", "-1"), " ", names, " ", slices.Compact(targets))
			for i := range typ.Elements {
				if of := &typ.Elements[i]; of.Path == path {
					kinds := of.Types
					if names == nil {
						kinds = nil
					}
					got[path] = fmt.Sprint(of.Min, " ", of.Max, " ", kinds, " ", of.Targets)
				}
			}
		}
		for _, e := range typ.Elements {
			if want[e.Path] == "" {
				t.Errorf("%s.%s is no element of R4", s.Name, e.Path)
			}
		}
		for path, one := range want {
			if got[path] != one {
				t.Errorf("%s.%s is %s, want %s", s.Name, path, got[path], one)
			}
		}
	}
}

// TestParametersAreThoseOfR4: each search parameter that R4 has an expression for
// is there for each of its types, and no other one. Those of extensions, which are
// examples of what a server may define, are not.
func TestParametersAreThoseOfR4(t *testing.T) {
	known := map[string]bool{"_id": true, "_lastUpdated": true} // without a row of their own
	for _, p := range official[struct {
		Code, Type, Expression string
		Base                   []string
	}](t, "SearchParameter.ndjson.gz") {
		for _, base := range p.Base {
			if strings.Contains(strings.ToLower(p.Expression), "extension(") {
				continue
			}
			types := []string{base}
			if base == "Resource" || base == "DomainResource" {
				types = Resources()
			}
			for _, typ := range types {
				known[typ+" "+p.Code] = true
				got, ok := FindParam(typ, p.Code)
				if ok != (p.Expression != "") && !known[p.Code] || ok && got.Kind != p.Type {
					t.Errorf("%s?%s: %v, want a %s", typ, p.Code, got, p.Type)
				}
			}
		}
	}
	for _, typ := range Resources() {
		for _, p := range Params(typ) {
			if !known[typ+" "+p.Code] {
				t.Errorf("%s?%s is no parameter of R4", typ, p.Code)
			}
		}
	}
}
