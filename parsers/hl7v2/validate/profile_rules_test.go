package validate

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/parsers/hl7v2"
)

// faulty is a message with faults: PATH=VALUE, -SEG for no such segment and +SEG
// for one more.
func faulty(t *testing.T, message, faults string) *hl7v2.Message {
	t.Helper()
	for fault := range strings.SplitSeq(faults, " & ") {
		path, value, sets := strings.Cut(fault, "=")
		if sets {
			e := hl7v2.Edit(parse(t, strings.Split(message, "\n")...))
			if err := e.SetRaw(path, []byte(value)); err != nil {
				t.Fatalf("%s: %v", fault, err)
			}
			message = strings.ReplaceAll(strings.TrimSpace(string(e.Bytes())), "\r", "\n")
			continue
		}
		var all []string
		for line := range strings.SplitSeq(message, "\n") {
			switch found := strings.HasPrefix(line, fault[1:]); {
			case found && fault[0] == '+':
				all = append(all, line, line)
			case !found:
				all = append(all, line)
			}
		}
		message = strings.Join(all, "\n")
	}
	return parse(t, strings.Split(message, "\n")...)
}

// finds are the findings of a rule, without codes.
func (r *Rule) finds() []string {
	severity := " E"
	if r.Warning {
		severity = " W"
	}
	var all []string
	for kind, asked := range map[string]bool{
		"required": r.Required, "absent": r.Absent, "form": r.Form != "", "length": r.Length > 0, "table": r.Table != "", "value": len(r.Values) > 0,
	} {
		if asked {
			all = append(all, r.At+" profile-"+kind+severity)
		}
	}
	return all
}

// TestEachRuleOfAProfile has for each profile a message in which nothing is
// found, and for each of its rules faults that are found at their places.
func TestEachRuleOfAProfile(t *testing.T) {
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			p, err := Shipped(name)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			message, rows, _ := strings.Cut(strings.TrimSpace(string(raw)), "\n\n")
			if got := lines(t, Message(parse(t, strings.Split(message, "\n")...), Syntax, p)); len(got) > 0 {
				t.Fatalf("the good message: %q", got)
			}
			seen := map[string]bool{} // a finding without its code
			for row := range strings.SplitSeq(rows, "\n") {
				faults, want, _ := strings.Cut(row, " => ")
				found := lines(t, Message(faulty(t, message, faults), Syntax, p))
				if got := cmp.Or(strings.Join(found, "; "), "nothing"); got != want {
					t.Errorf("%s => %s\nwant %s", faults, got, want)
				}
				for _, f := range found {
					words := strings.Fields(f)
					seen[words[0]+" "+words[1]+" "+words[3]] = true
				}
			}
			for i := range p.Rules {
				for _, kind := range p.Rules[i].finds() {
					if !seen[kind] {
						t.Errorf("%s: no row breaks the rule", kind)
					}
				}
			}
		})
	}
}
