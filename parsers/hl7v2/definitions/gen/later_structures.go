package main

import (
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// newest is the last version of which the dictionary has structures of its own.
const newest = "2.7"

// laterStructures reads the structures of the versions after 2.7: by version, the
// grammar of each that has a line. A section holds until a later one has the same
// name.
func laterStructures(path string) map[string]map[string]string {
	raw, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		log.Fatal(err)
	}
	out, lines, section := map[string]map[string]string{}, map[string]string{}, ""
	at := slices.Index(versions, newest) + 1
	finish := func(until int) { // the versions for which the lines read so far hold
		for ; at < until; at++ {
			out[versions[at]] = expanded(lines)
		}
	}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if v, ok := strings.CutPrefix(line, "= "); ok {
			if section != "" {
				finish(slices.Index(versions, v))
			}
			if section = v; slices.Index(versions, v) != at {
				log.Fatalf("%s: section %s is out of order", path, v)
			}
			continue
		}
		name, elements, ok := strings.Cut(line, ": ")
		if !ok || section == "" {
			log.Fatalf("%s: %q is no line of a section", path, line)
		}
		lines[name] = elements
	}
	finish(len(versions))
	return out
}

// expanded writes the grammar of every structure, its groups within it.
func expanded(lines map[string]string) map[string]string {
	out := map[string]string{}
	for name, elements := range lines {
		if !strings.Contains(name, ".") {
			out[name] = expand(lines, name, elements)
		}
	}
	return out
}

func expand(lines map[string]string, structure, elements string) string {
	var parts []string
	for word := range strings.FieldsSeq(elements) {
		name := strings.TrimRight(word, "?*+")
		text := name
		if len(name) > 3 {
			within, ok := lines[structure+"."+name]
			if !ok {
				within, ok = lines["*."+name]
			}
			if !ok {
				log.Fatalf("%s: the group %s has no line", structure, name)
			}
			text += "(" + expand(lines, structure, within) + ")"
		}
		switch word[len(name):] {
		case "?":
			text = "[" + text + "]"
		case "+":
			text = "{" + text + "}"
		case "*":
			text = "[{" + text + "}]"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

// overlay puts the structures of later versions in the place of those of 2.7. The
// dictionary has a structure again under the name of each event that uses it:
// that name gets what the structure has become.
func overlay(rows map[string][]string, later map[string]map[string]string) {
	before := slices.Index(versions, newest)
	for version, grammars := range later {
		at := slices.Index(versions, version)
		for name := range rows {
			if grammars[name] == "" && rows[name][before] != "" {
				if of := sameAs(rows, grammars, name, before); of != "" {
					rows[name][at] = of
				}
			}
		}
		for name, grammar := range grammars {
			if strings.Contains(name, "_") {
				if rows[name] == nil {
					rows[name] = make([]string, len(versions))
				}
				rows[name][at] = grammar
			}
		}
	}
}

// sameAs is what became of the structures that were word for word that of a name,
// in messages of the same code; "" when there is none, or they have become several.
func sameAs(rows map[string][]string, grammars map[string]string, name string, before int) string {
	became := ""
	for other, grammar := range grammars {
		if rows[other] == nil || other[:3] != name[:3] || rows[other][before] != rows[name][before] {
			continue
		}
		if became != "" && became != grammar {
			return ""
		}
		became = grammar
	}
	return became
}
