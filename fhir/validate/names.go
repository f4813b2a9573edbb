package validate

import (
	"slices"
	"strings"

	"github.com/plexus-health/plexus/fhir/definitions"
)

// printable is the name of a member as far as an error may show it: a word like
// one of the elements there are. Others may be anything, a patient's data too.
func printable(name string, elements []*definitions.Element) string {
	if len(name) > 40 {
		return "(a name)"
	}
	for i := range len(name) {
		if c := name[i]; c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "(a name)"
		}
	}
	if slices.Contains(common, strings.ToLower(name)) {
		return name
	}
	for _, e := range elements {
		if stem, choice := strings.CutSuffix(lastOf(e.Path), "[x]"); choice && strings.HasPrefix(name, stem) {
			return stem + "[x]"
		}
		if alike(strings.ToLower(name), strings.ToLower(strings.TrimSuffix(lastOf(e.Path), "[x]"))) {
			return name
		}
	}
	return "(a name)"
}

// common are names of members that people often give and FHIR does not have.
var common = []string{"foo", "bar", "test", "unknown", "extra", "custom", "data", "type", "date", "value", "name", "status", "code", "fhir_comments"}

// alike reports whether two words differ in at most three letters, and in half of
// them at most.
func alike(a, b string) bool {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)] <= 3 && 2*row[len(b)] <= len(b)
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
