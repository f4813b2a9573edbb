package validate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/internal/corpus"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// figures are what became of the messages of one folder.
type figures struct {
	files, parsed, same, refused, taken, clean, grouped, errors int
}

// measured reads one file of a folder.
func (f *figures) measured(raw []byte) {
	f.files++
	p := hl7v2.New(hl7v2.Options{})
	if _, err := p.Scan(raw, nil); err == nil || p.Batch(raw) {
		f.taken++
	}
	m, err := hl7v2.Parse(raw)
	if err != nil {
		if fault, ok := errors.AsType[*message.Failure](err); ok && (fault.Where != "" || fault.Offset > 0) {
			f.refused++
		}
		return
	}
	f.parsed++
	if slices.Equal(m.Encode(nil), raw) && slices.Equal(m.Rebuild(nil), raw) {
		f.same++
	}
	if len(m.Warnings()) == 0 {
		f.clean++
	}
	grouping, severe := false, false
	for _, x := range Message(m, Tables) {
		grouping = grouping || x.Rule == "grouping"
		severe = severe || x.Severity == Error
	}
	if !grouping {
		f.grouped++
	}
	if severe {
		f.errors++
	}
}

// TestPageTellsTheFigures holds the table of the page equal to what becomes of
// the messages that other people have published.
func TestPageTellsTheFigures(t *testing.T) {
	root := corpus.Dir(t, "hl7v2")
	folders, err := filepath.Glob(filepath.Join(root, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.hl7"))
		if err != nil || len(files) == 0 {
			continue // frames are no messages
		}
		var f figures
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f.measured(raw)
		}
		want = append(want, fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %d |", filepath.Base(folder), f.files, f.parsed, f.same, f.refused, f.taken, f.clean, f.grouped, f.errors))
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "hl7v2.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| folder | files | parsed | same bytes again | refused | taken | no warning | in order | errors |\n|---|---|---|---|---|---|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if got := strings.Split(table, "\n"); !found || !slices.Equal(got, want) {
		t.Errorf("the page has\n%s\nwant\n%s", table, strings.Join(want, "\n"))
	}
}
