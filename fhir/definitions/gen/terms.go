package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// trees writes "system code code …" of the code systems that R4 knows completely,
// each code behind a letter for the depth it stands at.
func trees(systems map[string]codeSystem) []byte {
	var b bytes.Buffer
	for _, url := range slices.Sorted(maps.Keys(systems)) {
		if s := systems[url]; s.Content == "complete" && len(s.Concept) > 0 {
			fmt.Fprintf(&b, "%s%s\n", url, tree(s.Concept, 0))
		}
	}
	return b.Bytes()
}

func tree(list []concept, depth int) string {
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "\t%c%s%s", 'A'+depth, c.Code, tree(c.Concept, depth+1))
		for _, p := range c.Property {
			if p.Code == "child" { // stands elsewhere too
				fmt.Fprintf(&b, "\t%c%s", 'A'+depth+1, p.ValueCode)
			}
		}
	}
	return b.String()
}

// sets writes "value-set version sign system words" for each part of each value
// set: package terms says what the words are.
func sets(all map[string]valueSet) []byte {
	var b bytes.Buffer
	for _, url := range slices.Sorted(maps.Keys(all)) {
		v := all[url]
		for _, i := range v.Compose.Include {
			fmt.Fprintf(&b, "%s\t%s\t+\t%s%s\n", url, v.Version, i.System, wordsOf(&i))
		}
		for _, i := range v.Compose.Exclude {
			fmt.Fprintf(&b, "%s\t%s\t-\t%s%s\n", url, v.Version, i.System, wordsOf(&i))
		}
	}
	return b.Bytes()
}

func wordsOf(i *include) string {
	var b strings.Builder
	for _, c := range i.Concept {
		b.WriteString("\t=" + c.Code)
	}
	for _, f := range i.Filter {
		switch {
		case f.Property == "concept" && f.Op == "is-a":
			b.WriteString("\t<" + f.Value)
		case f.Property == "concept" && f.Op == "descendent-of":
			b.WriteString("\t>" + f.Value)
		default:
			b.WriteString("\t?")
		}
	}
	for _, url := range i.ValueSet {
		b.WriteString("\t^" + url)
	}
	return b.String()
}
