package fhir

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var coded = regexp.MustCompile("`([^`]+)`")

// TestPageIsRight compiles what the page of the format shows.
func TestPageIsRight(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "fhir.md"))
	if err != nil {
		t.Fatal(err)
	}
	for header, try := range map[string]func(string) error{
		"| path | gives |":          func(text string) error { _, err := Grammar{}.Compile(text); return err },
		"| condition | true when |": func(text string) error { _, err := condition(t, text); return err },
	} {
		_, table, found := strings.Cut(string(page), header)
		if !found {
			t.Fatalf("the page has no table %s", header)
		}
		table, _, _ = strings.Cut(table, "\n\n")
		seen := 0
		for line := range strings.Lines(table) {
			cells := strings.SplitN(line, "|", 3)
			if len(cells) < 3 {
				continue
			}
			for _, one := range coded.FindAllStringSubmatch(cells[1], -1) {
				seen++
				if err := try(one[1]); err != nil {
					t.Errorf("%s: %v", one[1], err)
				}
			}
		}
		if seen < 7 {
			t.Errorf("%s: %d lines", header, seen)
		}
	}
	if _, err := (Grammar{}).Compile("Patient.birthdate"); err == nil || !strings.Contains(string(page), err.Error()) {
		t.Errorf("the page does not say %v", err)
	}
}
