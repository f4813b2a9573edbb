package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDrawingOfStates holds the drawings of the documentation equal to those
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
	for name, at := range map[string]struct {
		until string
		lines int
	}{"State": {"type State string", 8}, "DeliveryState": {"type DeliveryState string", 7}} {
		t.Run(name, func(t *testing.T) {
			before, _, found := strings.Cut(string(source), at.until)
			if !found {
				t.Fatalf("message/state.go has no %s", name)
			}
			_, comment, _ := strings.Cut(before, "// "+name+" is where")
			var drawing []string
			for line := range strings.Lines(comment) {
				if text, ok := strings.CutPrefix(line, "//\t"); ok {
					drawing = append(drawing, strings.TrimRight(text, "\n"))
				}
			}
			if len(drawing) < at.lines {
				t.Fatalf("the drawing has %d lines", len(drawing))
			}
			if want := strings.Join(drawing, "\n"); !strings.Contains(string(page), want) {
				t.Errorf("docs/line.md does not hold the drawing of message/state.go:\n%s", want)
			}
		})
	}
}

var (
	createTable = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n?\)[^;()]*;`)
	addColumn   = regexp.MustCompile(`ALTER TABLE (\w+) ADD COLUMN (\w+)`)
	dropColumn  = regexp.MustCompile(`ALTER TABLE (\w+) DROP COLUMN (\w+)`)
	tableRow    = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]*) \\|")
	quoted      = regexp.MustCompile("`(\\w+)`")
)

// TestTablesAreDescribed holds the tables and columns of docs/store.md equal to
// those of both databases' migrations.
func TestTablesAreDescribed(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "store.md"))
	if err != nil {
		t.Fatal(err)
	}
	described := map[string][]string{}
	_, tables, _ := strings.Cut(string(page), "## Journal")
	for _, row := range tableRow.FindAllStringSubmatch(tables, -1) {
		described[row[1]] = nil
		for _, column := range quoted.FindAllStringSubmatch(row[2], -1) {
			described[row[1]] = append(described[row[1]], column[1])
		}
	}
	existing := map[string]map[string]bool{}
	for _, dialect := range []string{"sqlite", "postgres"} {
		tables := columnsAfter(t, filepath.Join("..", "..", "store", dialect, "migrations", "*.sql"))
		for table, columns := range tables {
			if existing[table] == nil {
				existing[table] = map[string]bool{}
			}
			for column := range columns {
				existing[table][column] = true
				if !slices.Contains(described[table], column) {
					t.Errorf("docs/store.md: %s.%s of %s is not described", table, column, dialect)
				}
			}
		}
	}
	if len(existing) < 20 {
		t.Fatalf("only %d tables were found in the migrations", len(existing))
	}
	for table, columns := range described {
		for _, column := range columns {
			if !existing[table][column] {
				t.Errorf("docs/store.md: there is no %s.%s", table, column)
			}
		}
	}
}

// columnsAfter are the columns of each table after all migrations.
func columnsAfter(t *testing.T, pattern string) map[string]map[string]bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations at %s: %v", pattern, err)
	}
	tables := map[string]map[string]bool{}
	for _, file := range files { // in the order of their numbers
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sql := string(text)
		for _, table := range createTable.FindAllStringSubmatch(sql, -1) {
			tables[table[1]] = map[string]bool{}
			for _, column := range columnsOf(table[2]) {
				tables[table[1]][column] = true
			}
		}
		for _, added := range addColumn.FindAllStringSubmatch(sql, -1) {
			tables[added[1]][added[2]] = true
		}
		for _, dropped := range dropColumn.FindAllStringSubmatch(sql, -1) {
			if !tables[dropped[1]][dropped[2]] {
				t.Errorf("%s drops %s.%s, which is not there", filepath.Base(file), dropped[1], dropped[2])
			}
			delete(tables[dropped[1]], dropped[2])
		}
	}
	return tables
}

// columnsOf cuts what stands between the brackets of CREATE TABLE at commas
// outside of brackets and returns the first word of each part.
func columnsOf(inside string) []string {
	var out []string
	depth, from := 0, 0
	for i := 0; i <= len(inside); i++ {
		switch {
		case i == len(inside) || inside[i] == ',' && depth == 0:
			if words := strings.Fields(inside[from:i]); len(words) > 1 && words[0] != "PRIMARY" && words[0] != "UNIQUE" {
				out = append(out, words[0])
			}
			from = i + 1
		case inside[i] == '(':
			depth++
		case inside[i] == ')':
			depth--
		}
	}
	return out
}
