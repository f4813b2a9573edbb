// Command reference writes docs/fhir-reference.md: what the FHIR API does and
// what resources are searched by, each with the test that holds it.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/rest/capability"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reference FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(page()), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// ofAll is the test of the parameters that all types have and no table of R4
// lists for each.
const ofAll = "TestSearchBeyondValues"

// page is the text of the page.
func page() string {
	var b strings.Builder
	b.WriteString("# FHIR API reference\n\nGenerated from the code by `go generate ./fhir/rest`; [the guide](fhir.md) explains it. The tests stand in `fhir/rest`; `TestEverythingClaimed` calls each\n" +
		"line of it for every type, `TestFHIRConformance` in `cmd/engine` asks a running engine on both stores.\n\n## Interactions\n\nPaths are below `/fhir`; `HEAD` answers like `GET`, `OPTIONS` names the methods of a path.\n\n| interaction | request | notes | test |\n|---|---|---|---|\n")
	for _, i := range capability.Interactions() {
		name := i.Code
		if name == "" {
			name = "–"
		}
		fmt.Fprintf(&b, "| %s | `%s %s` | %s | `%s` |\n", name, i.Method, i.Path, i.Note, i.Test)
	}
	b.WriteString("\n## Search parameters of all types\n\n| parameter | kind | test |\n|---|---|---|\n")
	common := map[string]bool{}
	for _, p := range ofAllTypes() {
		common[p.Code] = true
		fmt.Fprintf(&b, "| `%s` | %s | `%s` |\n", p.Code, p.Kind, ofAll)
	}
	b.WriteString("\n## Search parameters of each type\n\nWith their kind, and of references the types they may point to, where these are three at most.\n\n| type | parameters | test |\n|---|---|---|\n")
	for _, typ := range definitions.Resources() {
		var list []string
		for _, p := range capability.SearchParameters(typ) {
			if !common[p.Code] {
				list = append(list, "`"+p.Code+"` "+kindOf(&p))
			}
		}
		if len(list) == 0 {
			list = []string{"those of all types"}
		}
		fmt.Fprintf(&b, "| %s | %s | `TestEveryParameter` |\n", typ, strings.Join(list, ", "))
	}
	return b.String()
}

// ofAllTypes are the parameters that every type has.
func ofAllTypes() []capability.SearchParameter {
	count := map[string]int{}
	types := definitions.Resources()
	for _, typ := range types {
		for _, p := range capability.SearchParameters(typ) {
			count[p.Code]++
		}
	}
	var out []capability.SearchParameter
	for _, p := range capability.SearchParameters(types[0]) {
		if count[p.Code] == len(types) {
			out = append(out, p)
		}
	}
	return out
}

func kindOf(p *capability.SearchParameter) string {
	if n := len(p.Targets); p.Kind == "reference" && n > 0 && n <= 3 {
		return "reference (" + strings.Join(p.Targets, ", ") + ")"
	}
	return p.Kind
}
