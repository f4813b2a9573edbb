// Command gen writes the tables of package definitions: facts of fields,
// components and codes, one row for the versions in which they are the same.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// versions are those of the tables, in their order. The dictionary has them up to
// 2.7, and what it calls 2.7.1 and 2.8 is 2.7 again: the later ones are 2.7 with
// what other sources have more.
var versions = []string{"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2", "2.9"}

type part struct {
	Type, Desc, Opt string
	Rep             any
	Len, Table      int
}

type parent struct {
	Desc   string
	Fields map[string]part
}

// An element is a segment or group of a message; Max nil: it repeats.
type element struct {
	Idx, Min int
	Max      *int
	Segments map[string]element
}

// A version is what the standard had at a time.
type version struct {
	Segments, Types map[string]parent
	Messages        map[string]element
}

type dictionary map[string]*version

func main() {
	from := flag.String("dictionary", "", "the dictionary as JSON, by version")
	codes := flag.String("codes", "", "the FHIR bundle of HL7 v2 tables")
	newer := flag.String("newer", "", "the segments of 2.8 as JSON")
	later := flag.String("later", "", "the table of what 2.8.2 and 2.9 have more")
	changed := flag.String("structures", "", "the message structures of 2.8 to 2.8.2")
	to := flag.String("to", ".", "folder of the tables")
	flag.Parse()
	log.SetFlags(0)
	d := dictionary{}
	read(*from, &d)
	d.more(*newer, *later)
	d.mend()
	for _, v := range versions {
		if len(d[v].Segments) == 0 {
			log.Fatalf("the dictionary has no version %s", v)
		}
	}
	segments, types := map[string]map[string]parent{}, map[string]map[string]parent{}
	for _, v := range versions {
		segments[v], types[v] = d[v].Segments, d[v].Types
	}
	write(filepath.Join(*to, "fields.tsv"), table("segment", segments))
	write(filepath.Join(*to, "components.tsv"), table("data type", types))
	write(filepath.Join(*to, "codes.tsv"), tables(*codes))
	write(filepath.Join(*to, "structures.tsv"), structures(d, laterStructures(*changed)))
}

func read(path string, into any) {
	raw, err := os.ReadFile(filepath.Clean(path))
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func write(path string, data []byte) {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		log.Fatal(err)
	}
}

// table writes the parts of every parent; number 0 is the parent itself.
func table(what string, by map[string]map[string]parent) []byte {
	rows := map[string]map[int][]string{} // by name and number: the facts of each version
	for at, v := range versions {
		for name, p := range by[v] {
			if rows[name] == nil {
				rows[name] = map[int][]string{}
			}
			put(rows[name], 0, at, "\t\t\t\t\t"+clean(p.Desc))
			for number, f := range p.Fields {
				n, err := strconv.Atoi(number)
				if err != nil || n < 1 {
					log.Fatalf("%s %s: %q is no number", v, name, number)
				}
				put(rows[name], n, at, facts(f))
			}
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# %s\tnumber (0: itself)\tfirst version\tlast version\ttype\tlength\toptionality\trepeats\ttable\tname\n", what)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		for _, n := range slices.Sorted(maps.Keys(rows[name])) {
			ranges(&out, name, n, rows[name][n])
		}
	}
	return out.Bytes()
}

// structures writes the grammar of every structure that has a name of the form
// CODE_EVENT, one row for each run of versions with the same.
func structures(d dictionary, later map[string]map[string]string) []byte {
	rows := map[string][]string{}
	for at, v := range versions {
		for name, m := range d[v].Messages {
			code, event, found := strings.Cut(name, "_")
			if !found || len(code) != 3 || event == "" || event[0] < 'A' || len(m.Segments) == 0 {
				continue // OMG_019 among them, which is OMG_O19
			}
			if rows[name] == nil {
				rows[name] = make([]string, len(versions))
			}
			rows[name][at] = grammar(m.Segments)
			if !strings.HasPrefix(rows[name][at], "MSH") { // some were copied without it
				rows[name][at] = "MSH " + rows[name][at]
			}
		}
	}
	overlay(rows, later)
	var out bytes.Buffer
	out.WriteString("# structure\tfirst version\tlast version\tgrammar: [X] optional, {X} repeating, NAME( … ) a group\n")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		for from := 0; from < len(versions); {
			to := from
			for to+1 < len(versions) && rows[name][to+1] == rows[name][from] {
				to++
			}
			if rows[name][from] != "" {
				fmt.Fprintf(&out, "%s\t%s\t%s\t%s\n", name, versions[from], versions[to], rows[name][from])
			}
			from = to + 1
		}
	}
	return out.Bytes()
}

// misspelt are names of groups that the dictionary has wrong.
var misspelt = map[string]string{"TIIMING": "TIMING"}

func grammar(elements map[string]element) string {
	names := slices.SortedFunc(maps.Keys(elements), func(a, b string) int { return elements[a].Idx - elements[b].Idx })
	var parts []string
	for _, name := range names {
		e := elements[name]
		if strings.Contains(name, ",") { // a choice: any of them
			for one := range strings.SplitSeq(name, ",") {
				parts = append(parts, "["+strings.TrimSpace(one)+"]")
			}
			continue
		}
		if name == "GenericSegment" {
			continue // any segment: that of the master file
		}
		if right := misspelt[name]; right != "" {
			name = right
		}
		name = strings.ReplaceAll(strings.ToUpper(name), "/", "_")
		if len(e.Segments) > 0 {
			name += "(" + grammar(e.Segments) + ")"
		}
		if e.Max == nil {
			name = "{" + name + "}"
		}
		if e.Min == 0 || name == "DSC" { // only what goes on has it
			name = "[" + name + "]"
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, " ")
}

func put(rows map[int][]string, n, at int, facts string) {
	if rows[n] == nil {
		rows[n] = make([]string, len(versions))
	}
	rows[n][at] = facts
}

// ranges writes one row for each run of versions with the same facts.
func ranges(out *bytes.Buffer, name string, n int, facts []string) {
	for from := 0; from < len(facts); {
		to := from
		for to+1 < len(facts) && facts[to+1] == facts[from] {
			to++
		}
		if facts[from] != "" {
			fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%s\n", name, n, versions[from], versions[to], facts[from])
		}
		from = to + 1
	}
}

func facts(p part) string {
	repeats := ""
	// A number beside a table of the same number is that table in the wrong column.
	if n, ok := p.Rep.(float64); !ok && p.Rep != nil || n > 1 && int(n) != p.Table {
		repeats = "*"
	}
	return strings.Join([]string{p.Type, positive(p.Len), p.Opt, repeats, number(p.Table), clean(p.Desc)}, "\t")
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func number(table int) string {
	if table <= 0 {
		return ""
	}
	return fmt.Sprintf("%04d", table)
}

// clean is a name on one line.
func clean(s string) string { return strings.Join(strings.Fields(s), " ") }

// tables writes the codes of each table, without their narrative.
func tables(path string) []byte {
	var b struct {
		Entry []struct {
			Resource struct {
				ResourceType, ID, Name, Content string
				Concept                         []struct{ Code, Display string }
			}
		}
	}
	read(path, &b)
	codes := map[string][]string{}
	for _, e := range b.Entry {
		id, found := strings.CutPrefix(e.Resource.ID, "v2-")
		if !found || e.Resource.ResourceType != "CodeSystem" || len(id) != 4 || e.Resource.Content != "complete" {
			continue // tables that differ by version have other names, and are left out
		}
		for _, c := range e.Resource.Concept {
			codes[id] = append(codes[id], id+"\t"+c.Code+"\t"+clean(c.Display)+"\n")
		}
	}
	var out bytes.Buffer
	out.WriteString("# table\tcode\tname\n")
	for _, id := range slices.Sorted(maps.Keys(codes)) {
		for _, row := range codes[id] {
			out.WriteString(row)
		}
	}
	return out.Bytes()
}
