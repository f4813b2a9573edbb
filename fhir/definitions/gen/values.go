package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// invariants writes "path key severity human expression" of every constraint,
// each at the type that makes it: what all elements, extensions and resources
// have stands once.
func invariants(types []structure) []byte {
	common := map[string]string{"ele-1": "Element", "ext-1": "Extension"}
	var b bytes.Buffer
	for _, s := range types {
		for _, e := range s.Snapshot.Element {
			for _, c := range e.Constraint {
				owner := common[c.Key]
				if strings.HasPrefix(c.Key, "dom-") {
					owner = "DomainResource"
				}
				if owner != "" && owner != e.Path {
					continue
				}
				human := strings.Join(strings.Fields(c.Human), " ")
				fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t%s\n", e.Path, c.Key, c.Severity, human, strings.Join(strings.Fields(c.Expression), " "))
			}
		}
	}
	return b.Bytes()
}

// mostCodes is the value set that codes must be in: that of a required binding,
// or the maximum of a weaker one.
func (e *element) mostCodes() (url string, weak bool) {
	if e.Binding.Strength == "required" {
		url = e.Binding.ValueSet
	}
	for _, x := range e.Binding.Extension {
		if url == "" && strings.HasSuffix(x.URL, "/elementdefinition-maxValueSet") {
			url, weak = x.ValueCanonical, true
		}
	}
	url, _, _ = strings.Cut(url, "|")
	return url, weak
}

// binding is the column of mostCodes: "max " stands before a maximum.
func (e *element) binding() string {
	url, weak := e.mostCodes()
	if weak {
		return "max " + url
	}
	return url
}

type valueSet struct {
	ResourceType, URL, Version string
	Compose                    struct{ Include, Exclude []include }
}

type include struct {
	System   string
	Concept  []concept
	ValueSet []string
	Filter   []struct{ Property, Op, Value string }
}

type codeSystem struct {
	ResourceType, URL, Content string
	Concept                    []concept
}

type concept struct {
	Code     string
	Concept  []concept
	Property []struct{ Code, ValueCode string }
}

// codes writes "value-set system code code …" of the value sets that codes must
// be in: "*" stands for the codes of a system that is not listed here.
func codes(types []structure, from string) []byte {
	sets, systems := terminology(from)
	var b bytes.Buffer
	for _, url := range bound(types) {
		for _, i := range sets[url].Compose.Include {
			list := flat(i.Concept)
			if len(list) == 0 && len(i.Filter) == 0 && systems[i.System].Content == "complete" {
				list = flat(systems[i.System].Concept)
			}
			if len(list) == 0 || len(i.ValueSet) > 0 {
				list = []string{"*"}
			}
			fmt.Fprintf(&b, "%s\t%s\t%s\n", url, i.System, strings.Join(list, "\t"))
		}
	}
	return b.Bytes()
}

// systems writes "system code code …" of the code systems that are defined
// completely by R4, or by HL7 for it; those of v2 and v3 are not.
func systems(from string) []byte {
	_, all := terminology(from)
	var lines []string
	for url, s := range all {
		ours := strings.HasPrefix(url, "http://hl7.org/fhir/") || strings.HasPrefix(url, "http://terminology.hl7.org/CodeSystem/")
		if list := flat(s.Concept); ours && s.Content == "complete" && len(list) > 0 && !strings.Contains(url, "/v2-") && !strings.Contains(url, "/v3-") {
			lines = append(lines, url+"\t"+strings.Join(list, "\t")+"\n")
		}
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

// terminology reads the value sets and code systems by their addresses.
func terminology(from string) (sets map[string]valueSet, systems map[string]codeSystem) {
	sets, systems = map[string]valueSet{}, map[string]codeSystem{}
	for _, name := range []string{"valuesets.json", "v3-codesystems.json", "v2-tables.json"} {
		var b bundle
		read(filepath.Join(from, name), &b)
		for _, e := range b.Entry {
			var v valueSet
			var s codeSystem
			switch {
			case json.Unmarshal(e.Resource, &v) == nil && v.ResourceType == "ValueSet":
				sets[v.URL] = v
			case json.Unmarshal(e.Resource, &s) == nil && s.ResourceType == "CodeSystem":
				systems[s.URL] = s
			}
		}
	}
	return sets, systems
}

// bound lists the value sets that codes must be in.
func bound(types []structure) []string {
	var urls []string
	for _, s := range types {
		for _, e := range s.Snapshot.Element {
			if url, _ := e.mostCodes(); url != "" {
				urls = append(urls, url)
			}
		}
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

func flat(list []concept) []string {
	var out []string
	for _, c := range list {
		out = append(append(out, c.Code), flat(c.Concept)...)
	}
	return out
}
