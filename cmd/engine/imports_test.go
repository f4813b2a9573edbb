package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/plexus-health/plexus/"

// level is the height of a package in the drawing of README: imports go down.
//
//	5                       cmd/engine                      imports all; nothing imports it
//	4      channels     console     fhir/rest  fhir/rest/*
//	3      routes  |  connectors/*  parsers/*  transforms/*  queue/*  store/*  channels/*
//	2      connectors  parsers  transforms  queue  store  expression  maps  tables  worklist  audit
//	1      message  fhir (not rest)  access                 nothing of ours
func level(name string) int {
	kind, member, _ := strings.Cut(name, "/")
	switch kind {
	case "cmd", "bench":
		return 5
	case "console":
		return 4
	case "channels":
		if member == "" {
			return 4
		}
		return 3
	case "fhir":
		if member == "rest" || strings.HasPrefix(member, "rest/") {
			return 4
		}
		return 1
	case "message", "access":
		return 1
	case "connectors", "parsers", "transforms", "queue", "store":
		if member != "" {
			return 3
		}
		return 2
	case "expression", "maps", "tables", "worklist", "audit":
		return 2
	case "routes":
		return 3
	case "internal":
		if member == "partner" {
			return 4 // it answers with the words of a parser, and serves commands and tests only
		}
		return 0 // for tests, kill points and spelling: anybody may import it, it imports nothing of ours
	}
	return -1
}

// allowed are the exceptions of the drawing.
func allowed(from, to string) bool {
	kind, member, _ := strings.Cut(from, "/")
	switch {
	case to == "internal/partner":
		return level(from) == 5
	case strings.HasPrefix(to, "internal/"):
		return true
	case strings.HasPrefix(to, from+"/"), strings.HasPrefix(from, to+"/"):
		return level(from) > level(to) || strings.HasPrefix(from, "fhir") || kind == "parsers" || strings.HasPrefix(from, "bench")
	case kind == "transforms" && member != "" && strings.HasPrefix(to, "parsers/"):
		return true // a transform may import the parsers whose documents it reads
	case from == "parsers/hl7v2/validate" && to == "parsers/hl7v2/definitions":
		return true // the facts of the format it checks
	case kind == "store" && member != "" && to == "store/relational":
		return true // the SQL both databases share
	case kind == "connectors" && member != "" && to == "connectors/folder":
		return true // what folders of this machine and of servers share
	case kind == "connectors" && member != "" && to == "connectors/web":
		return true // what speaks HTTP shares
	case kind == "connectors" && member != "" && member != "network" && to == "connectors/network":
		return true // what listens on the network or connects over it shares
	case isSuite(from):
		return level(from) >= level(to)
	}
	if level(from) <= level(to) {
		return strings.HasPrefix(from, "fhir/") && strings.HasPrefix(to, "fhir") && level(from) == level(to)
	}
	if level(from) == 3 && level(to) == 2 && kind != "routes" {
		// Members import their parent; transforms/* also expression, maps, tables.
		return to == kind || kind == "channels" || (kind == "transforms" && (to == "expression" || to == "maps" || to == "tables"))
	}
	if level(from) == 2 && level(to) == 2 {
		return false
	}
	return true
}

// isSuite reports whether a package is a conformance suite, which only tests import.
func isSuite(name string) bool { return strings.HasSuffix(name, "test") }

func TestImportDirection(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		from := strings.TrimPrefix(p.ImportPath, module)
		if level(from) < 0 {
			t.Errorf("package %s stands in no level of the drawing", from)
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			if ours && !allowed(from, to) {
				t.Errorf("%s (level %d) imports %s (level %d): imports go downwards only", from, level(from), to, level(to))
			}
		}
	}
	if seen < 10 {
		t.Errorf("saw %d packages, want all of the module", seen)
	}
}
