package definitions

import (
	"slices"
	"strings"
	"testing"
)

// TestNumbersNeverChange pins a few numbers: databases hold them.
func TestNumbersNeverChange(t *testing.T) {
	for name, want := range map[string]int{"Address": 1, "Observation": 158} {
		if got := Number(name); got != want || Name(want) != name {
			t.Errorf("Number(%s) = %d, want %d", name, got, want)
		}
	}
	for code, want := range map[string]int{"code": 1452, "subject": 1475, "identifier": 1468} {
		if p, ok := FindParam("Observation", code); !ok || int(p.ID) != want {
			t.Errorf("Observation.%s is %v, want %d", code, p, want)
		}
	}
}

func TestTypes(t *testing.T) {
	if n := len(Resources()); n < 140 || !slices.Contains(Resources(), "Patient") || slices.Contains(Resources(), "Resource") {
		t.Errorf("%d resource types", n)
	}
	for name, c := range map[string]struct {
		typ, path, child string
		want             string
		ok               bool
	}{
		"an element":                  {"Patient", "", "birthDate", "date", true},
		"a wrong case":                {"Patient", "", "birthdate", "", false},
		"a choice with its type":      {"Observation", "", "valueQuantity", "Quantity", true},
		"a choice without its type":   {"Observation", "", "value", "", false},
		"a choice of a type it lacks": {"Observation", "", "valueAddress", "", false},
		"a primitive choice":          {"Patient", "", "deceasedBoolean", "boolean", true},
		"a backbone's element":        {"Patient", "contact", "gender", "code", true},
		"a content reference":         {"Observation", "component", "referenceRange", "#Observation.referenceRange", true},
		"of a data type":              {"HumanName", "", "family", "string", true},
	} {
		t.Run(name, func(t *testing.T) {
			typ, ok := Lookup(c.typ)
			if !ok {
				t.Fatal("no such type")
			}
			if _, got, ok := typ.Child(c.path, c.child); got != c.want || ok != c.ok {
				t.Errorf("Child(%q, %q) = %q %v, want %q %v", c.path, c.child, got, ok, c.want, c.ok)
			}
		})
	}
	if e, _, _ := mustLookup(t, "Patient").Child("", "name"); !e.Repeats() {
		t.Error("Patient.name does not repeat")
	}
}

// TestLongNames: a name of a megabyte is none of an element, and every element
// is shorter than what is looked for.
func TestLongNames(t *testing.T) {
	if _, _, ok := mustLookup(t, "Patient").Child("", strings.Repeat("A", 1<<20)); ok {
		t.Error("a name of a megabyte is an element")
	}
	for name, typ := range load().types {
		for _, e := range typ.Elements {
			last := e.Path[strings.LastIndexByte(e.Path, '.')+1:]
			for _, one := range e.Types {
				if len(last)+len(one) > longest && !strings.HasPrefix(one, "#") {
					t.Errorf("%s.%s of %s is longer than %d", name, e.Path, one, longest)
				}
			}
		}
	}
}

func mustLookup(t *testing.T, name string) *Type {
	t.Helper()
	typ, ok := Lookup(name)
	if !ok {
		t.Fatal(name)
	}
	return typ
}

func TestPatientIsPartOfSubject(t *testing.T) {
	patient, _ := FindParam("Observation", "patient")
	subject, _ := FindParam("Observation", "subject")
	if !patient.Alias() || patient.Row != subject.ID || subject.Alias() {
		t.Errorf("patient %+v, subject %+v", patient, subject)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		m := &model{types: map[string]*Type{}, numbers: map[int]string{}}
		m.loadTypes()
	}
}
