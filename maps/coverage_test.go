package maps_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/plexus-health/plexus/maps"
)

const coveragePage = "../docs/formats/fhir-to-v2.md"

// The page of the maps to HL7 v2 lists every row of every one of them.
func TestThePageListsTheRowsOfTheMapsToHL7(t *testing.T) {
	page, err := os.ReadFile(coveragePage)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- rows: begin -->\n", "<!-- rows: end -->\n"
	before, rest, ok := bytes.Cut(page, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		t.Fatalf("%s has no place for the rows", coveragePage)
	}
	want := string(before) + begin + coverage(t) + end + string(after)
	if *update {
		if err := os.WriteFile(coveragePage, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Errorf("%s is not up to date: go test ./maps -run Page -update", coveragePage)
	}
}

// coverage writes the rows of the message maps as tables: of those after the
// first only what differs from it.
func coverage(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	var first map[string]string
	for _, name := range []string{"fhir-to-orm-o01", "fhir-to-oml-o21"} {
		data, err := maps.FS.ReadFile(filepath.ToSlash(filepath.Join("fhir-to-v2", name+".yaml")))
		if err != nil {
			t.Fatal(err)
		}
		var file []yaml.MapSlice
		if err := yaml.UnmarshalWithOptions(data, &file, yaml.UseOrderedMap()); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "### %s\n\n", name)
		if first != nil {
			out.WriteString("The rows of fhir-to-orm-o01, but for these:\n\n")
		}
		out.WriteString("| target | rows |\n|---|---|\n")
		seen := map[string]string{}
		for _, item := range file[0] {
			rows, ok := item.Value.(yaml.MapSlice)
			if item.Key != "rows" || !ok {
				continue
			}
			for _, row := range rows {
				target, text := strings.Replace(fmt.Sprint(row.Key), "ORDER_DETAIL/", "", 1), sentence(row.Value)
				target = strings.Replace(target, "OBSERVATION_REQUEST/", "", 1)
				seen[target] = text
				if first == nil || first[target] != text {
					fmt.Fprintf(&out, "| `%s` | %s |\n", target, text)
				}
			}
			for _, target := range sortedKeys(first) {
				if _, has := seen[target]; !has {
					out.WriteString("| `" + target + "` | none |\n")
				}
			}
		}
		if first == nil {
			first = seen
		}
		out.WriteByte('\n')
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// sentence writes a row, or several, for a cell of a table.
func sentence(v any) string {
	switch row := v.(type) {
	case []any:
		parts := make([]string, len(row))
		for i := range row {
			parts[i] = sentence(row[i])
		}
		return strings.Join(parts, "; ")
	case yaml.MapSlice:
		var parts []string
		for _, m := range row {
			if set, ok := m.Value.(yaml.MapSlice); ok {
				var inner []string
				for _, s := range set {
					key := fmt.Sprint(s.Key)
					if strings.HasPrefix(key, "0.") { // YAML takes .1 for a number
						key = key[1:]
					}
					inner = append(inner, fmt.Sprintf("`%s`: %s", key, sentence(s.Value)))
				}
				parts = append(parts, strings.Join(inner, ", "))
				continue
			}
			parts = append(parts, fmt.Sprintf("%v %v:", m.Key, m.Value))
		}
		return strings.Join(parts, " ")
	}
	return "`" + strings.ReplaceAll(fmt.Sprint(v), "|", "\\|") + "`"
}
