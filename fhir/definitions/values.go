package definitions

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed invariants.tsv
var invariantsText string

//go:embed codes.tsv
var codesText string

// An Invariant is a constraint that R4 makes on an element.
type Invariant struct {
	Key string
	// Warning is true for what is a matter of good practice only.
	Warning bool
	// Human says what has to hold, Expression says it in FHIRPath.
	Human, Expression string
}

// Invariants lists the constraints that stand at a path ("Patient",
// "Patient.contact", "Period", "Narrative.div"). Those of every element, every
// extension and every resource stand at Element, Extension and DomainResource.
func Invariants(path string) []Invariant { return invariants()[path] }

// AllInvariants are those of all paths. The map is not to be changed.
func AllInvariants() map[string][]Invariant { return invariants() }

var invariants = sync.OnceValue(func() map[string][]Invariant {
	out := map[string][]Invariant{}
	for line := range strings.Lines(invariantsText) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 5 {
			out[f[0]] = append(out[f[0]], Invariant{Key: f[1], Warning: f[2] == "warning", Human: f[3], Expression: f[4]})
		}
	}
	return out
})

// A ValueSet is one that codes of some element must be in.
type ValueSet struct {
	URL string
	// systems are its code systems, each with its codes, sorted; nil where all
	// codes of the system are in it.
	systems []string
	codes   [][]string
}

// Codes returns a value set that an element of R4 is bound to (Element.Binding).
func Codes(url string) (*ValueSet, bool) {
	v := valueSets()[url]
	return v, v != nil
}

var valueSets = sync.OnceValue(func() map[string]*ValueSet {
	out := map[string]*ValueSet{}
	for line := range strings.Lines(codesText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) < 3 {
			continue
		}
		v := out[f[0]]
		if v == nil {
			v = &ValueSet{URL: f[0]}
			out[f[0]] = v
		}
		codes := f[2:]
		if codes[0] == "*" {
			codes = nil
		}
		slices.Sort(codes)
		v.systems, v.codes = append(v.systems, f[1]), append(v.codes, codes)
	}
	return out
})

//go:embed systems.tsv
var systemsText string

var codeSystems = sync.OnceValue(func() map[string][]string {
	out := map[string][]string{}
	for line := range strings.Lines(systemsText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		slices.Sort(f[1:])
		out[f[0]] = f[1:]
	}
	return out
})

// Code reports whether a code is one of a code system; known is false for
// systems that R4 does not define completely.
func Code(system, code string) (exists, known bool) {
	codes, known := codeSystems()[system]
	_, exists = slices.BinarySearch(codes, code)
	return exists, known
}

// Open is the code system of which all codes are in the value set, or empty
// where all codes are listed.
func (v *ValueSet) Open() string {
	for i, codes := range v.codes {
		if codes == nil {
			return v.systems[i]
		}
	}
	return ""
}

// HasCode reports whether a code of any of the systems is listed.
func (v *ValueSet) HasCode(code string) bool {
	for _, codes := range v.codes {
		if _, found := slices.BinarySearch(codes, code); found {
			return true
		}
	}
	return false
}

// Has reports whether a code of a system is listed.
func (v *ValueSet) Has(system, code string) bool {
	for i, codes := range v.codes {
		if _, found := slices.BinarySearch(codes, code); found && v.systems[i] == system {
			return true
		}
	}
	return false
}

// Systems lists the code systems of a value set.
func (v *ValueSet) Systems() []string { return v.systems }

// Of lists the codes of a system that are in the value set; open is true where all
// of them are. The list is not to be changed.
func (v *ValueSet) Of(system string) (codes []string, open, there bool) {
	for i, one := range v.systems {
		if one == system {
			return v.codes[i], v.codes[i] == nil, true
		}
	}
	return nil, false, false
}
