package main

import (
	"log"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// more makes the versions after 2.7 from 2.7 and what else is known of them.
func (d dictionary) more(newer, later string) {
	d["2.8"] = d["2.7"].clone()
	var segments map[string]parent
	read(newer, &segments)
	for name, s := range segments {
		if strings.ContainsAny(name, "xz") || name[0] == 'Z' {
			continue // Hxx: any segment
		}
		for number, f := range s.Fields {
			d["2.8"].add(name, s.Desc, number, f)
		}
	}
	d["2.8.1"] = d["2.8"].clone()
	d["2.8.2"] = d["2.8.1"].clone()
	d.table(later, "2.8.2")
	d["2.9"] = d["2.8.2"].clone()
	d.table(later, "2.9")
}

// add takes over a field that the version does not have yet. The source does not
// say what repeats: nothing is said against it of what has components.
func (v *version) add(segment, desc, number string, f part) {
	p, known := v.Segments[segment]
	if !known {
		p = parent{Desc: desc, Fields: map[string]part{}}
	}
	if _, known := p.Fields[number]; known {
		return
	}
	if f.Opt == "D" { // depends on something
		f.Opt = "C"
	}
	if len(v.Types[f.Type].Fields) > 0 {
		f.Rep = "*"
	}
	f.Desc = strings.ReplaceAll(f.Desc, "\u2013", "-")
	p.Fields[number] = f
	v.Segments[segment] = p
}

// table takes over the rows of a version: segment, or data type, number, version,
// type, repeats, table, name. All are optional. A field without a type is the one
// that there is, and repeats.
func (d dictionary) table(path, of string) {
	raw, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if line[0] == '#' || len(cells) != 7 || cells[2] != of {
			continue
		}
		into := d[of].Segments
		if len(cells[0]) == 2 {
			into = d[of].Types
		}
		if into[cells[0]].Fields == nil {
			into[cells[0]] = parent{Fields: map[string]part{}}
		}
		if cells[1] == "0" {
			into[cells[0]] = parent{Desc: cells[6], Fields: into[cells[0]].Fields}
			continue
		}
		f := part{Type: cells[3], Opt: "O", Desc: cells[6]}
		if cells[3] == "" {
			f = into[cells[0]].Fields[cells[1]]
			f.Rep = "*"
			into[cells[0]].Fields[cells[1]] = f
			continue
		}
		if cells[4] == "*" {
			f.Rep = "*"
		}
		f.Table, _ = strconv.Atoi(cells[5]) // "" is 0
		into[cells[0]].Fields[cells[1]] = f
	}
}

// clone copies what is added to.
func (v *version) clone() *version {
	out := &version{Segments: map[string]parent{}, Types: map[string]parent{}, Messages: v.Messages}
	for name, p := range v.Segments {
		out.Segments[name] = parent{Desc: p.Desc, Fields: maps.Clone(p.Fields)}
	}
	for name, p := range v.Types {
		out.Types[name] = parent{Desc: p.Desc, Fields: maps.Clone(p.Fields)}
	}
	return out
}
