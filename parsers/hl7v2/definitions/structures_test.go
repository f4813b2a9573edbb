package definitions

import (
	"slices"
	"strings"
	"testing"
)

// walk visits a grammar from the top.
func walk(e *Element, visit func(*Element)) {
	for _, inner := range e.Elements {
		visit(inner)
		walk(inner, visit)
	}
}

func TestStructuresOfVersions(t *testing.T) {
	if n := len(Structures()); n < 200 {
		t.Errorf("%d structures are known", n)
	}
	if StructureIn("2.3", "OML_O21") != nil || StructureIn("2.5.1", "OML_O21") == nil || StructureIn("2.8.2", "OML_O21") == nil {
		t.Error("OML^O21 came with 2.4")
	}
	if g := StructureIn("2.3", "ORU_R01"); g == nil || g.Knows("SPM") || !g.Knows("OBX") {
		t.Error("2.3 has no SPM in ORU^R01")
	}
	if g := StructureIn("2.5.1", "ORU_R01"); g == nil || !g.Knows("SPM") {
		t.Error("2.5.1 has SPM in ORU^R01")
	}
	if Structure("ADT_A08") != nil {
		t.Error("A08 has the structure of A01")
	}
	for _, name := range []string{"ADT_A01", "RSP_K22", "MFK_M01", "SRR_S01", "RRE_O12", "OMI_O23"} {
		if Structure(name) == nil {
			t.Errorf("%s is not known", name)
		}
	}
}

// TestStructuresCanBeUsed: no grammar has more elements than can be counted, an
// unknown segment, or a group that begins with nothing.
func TestStructuresCanBeUsed(t *testing.T) {
	check := func(where string, top *Element) {
		walk(top, func(e *Element) {
			switch {
			case len(e.Elements) > 64:
				t.Errorf("%s: %s has %d elements", where, e.Name, len(e.Elements))
			case !e.Group && !Segment(e.Name):
				t.Errorf("%s: %s is no segment", where, e.Name)
			case e.Group && len(e.begins) == 0:
				t.Errorf("%s: nothing begins %s", where, e.Name)
			case strings.Trim(e.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "":
				t.Errorf("%s: %s is no name", where, e.Name)
			}
		})
	}
	for _, name := range Structures() {
		check(name, Structure(name))
		for _, v := range versions {
			if g := StructureIn(v, name); g != nil {
				check(v+" "+name, g)
			}
		}
	}
}

// TestGrammarsForAllVersionsKnowWhatVersionsHave holds the grammars that were
// written by hand against the table: what any version has in a structure has a
// place there.
func TestGrammarsForAllVersionsKnowWhatVersionsHave(t *testing.T) {
	for _, name := range Structures() {
		if load().later[name] != nil {
			continue
		}
		var lacks []string
		for _, v := range versions {
			if g := StructureIn(v, name); g != nil {
				walk(g, func(e *Element) {
					if !e.Group && !Structure(name).Knows(e.Name) && !slices.Contains(lacks, e.Name) {
						lacks = append(lacks, e.Name)
					}
				})
			}
		}
		if name == "QBP_Q11" { // what answers a query has no event; one version of the table says so
			lacks = slices.DeleteFunc(lacks, func(s string) bool { return s == "EVN" })
		}
		if len(lacks) > 0 {
			t.Errorf("%s lacks %q", name, lacks)
		}
	}
}

// TestGroupsOfEveryStructureAreKnown: paths may name each of them.
func TestGroupsOfEveryStructureAreKnown(t *testing.T) {
	for _, name := range Structures() {
		walk(Structure(name), func(e *Element) {
			if e.Group && !Group(e.Name) {
				t.Errorf("%s: the group %s is not known", name, e.Name)
			}
		})
	}
	for _, group := range Groups() {
		if strings.Trim(group, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" {
			t.Errorf("%q is no name of a group", group)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		readAll()
	}
}
