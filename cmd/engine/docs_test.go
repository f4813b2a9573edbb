package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDrawingOfStates holds the drawing of the documentation equal to the one
// beside the constants.
func TestDrawingOfStates(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "..", "message", "state.go"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "line.md"))
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(source), "type State string")
	if !found {
		t.Fatal("message/state.go has no State")
	}
	var drawing []string
	for line := range strings.Lines(before) {
		if text, ok := strings.CutPrefix(line, "//\t"); ok {
			drawing = append(drawing, strings.TrimRight(text, "\n"))
		}
	}
	if len(drawing) < 8 {
		t.Fatalf("the drawing has %d lines", len(drawing))
	}
	if want := strings.Join(drawing, "\n"); !strings.Contains(string(page), want) {
		t.Errorf("docs/line.md does not hold the drawing of message/state.go:\n%s", want)
	}
}
