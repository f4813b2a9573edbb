package validate

import (
	"maps"
	"slices"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

// TestEveryInvariantCompiles, as the code relies on it.
func TestEveryInvariantCompiles(t *testing.T) {
	rules := 0
	for _, s := range allShapes() {
		lists := [][]*rule{s.rules}
		for _, f := range s.fields {
			lists = append(lists, f.rules)
		}
		for _, list := range lists {
			for _, r := range list {
				if rules++; r.compiled() == nil {
					t.Error(r.Key)
				}
			}
		}
	}
	if rules < 220 {
		t.Errorf("%d rules", rules)
	}
}

// TestEveryInvariantIsSeenTo: each row of the table is a rule of a shape or
// field, or one of those that other code sees to.
func TestEveryInvariantIsSeenTo(t *testing.T) {
	have := map[string]bool{}
	for _, s := range allShapes() {
		for _, r := range s.rules {
			have[s.name+" "+r.Key] = true
		}
		for _, f := range s.fields {
			for _, r := range f.rules {
				have[s.typ.Name+"."+f.element.Path+" "+r.Key] = true
			}
		}
	}
	for path, list := range definitions.AllInvariants() {
		for _, v := range list {
			if !have[path+" "+v.Key] && !slices.Contains(elsewhere, v.Key) {
				t.Errorf("%s of %s is held against nothing", v.Key, path)
			}
		}
	}
}

// TestShortcuts: what holds at sight holds by its expression, on the elements of
// all examples.
func TestShortcuts(t *testing.T) {
	used := map[string]int{}
	examples(t, "valid", func(_ string, n *fhir.Node) {
		typ, _ := Type(n)
		k := &checker{full: true, most: most, root: typ.Name, steps: 1 << 30, shapes: allShapes(), frame: &frame{node: n, root: n}}
		k.each(n, k.shapes[typ.Name], func(n *fhir.Node, s *shape) {
			for _, r := range s.rules {
				if !r.short.holds(n) {
					continue
				}
				used[r.Key]++
				if holds, known := k.holds(r.compiled(), n, s.name); known && !holds {
					t.Errorf("%s holds at sight at %s and not by its expression", r.Key, s.name)
				}
			}
		})
	})
	if len(used) < 25 {
		t.Errorf("only %v were met", slices.Sorted(maps.Keys(used)))
	}
}

// each visits every object below one.
func (k *checker) each(n *fhir.Node, s *shape, visit func(*fhir.Node, *shape)) {
	if n.Kind != fhir.Object || s == nil {
		return
	}
	visit(n, s)
	for i := range n.Members {
		f := s.fields[n.Members[i].Name]
		if f == nil {
			continue
		}
		items := []*fhir.Node{n.Members[i].Value}
		if items[0].Kind == fhir.Array {
			items = items[0].Items
		}
		for _, item := range items {
			inner := f.shape
			if f.typ == "Resource" {
				inner = k.shapes[text(item, "resourceType")]
			}
			k.each(item, inner, visit)
		}
	}
}
