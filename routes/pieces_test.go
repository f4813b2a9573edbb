package routes

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestAFaultHidesOnlyItsPiece: what cannot be read as YAML hides neither the rest
// of its file nor other files, and what may stand in it is not said to be missing.
func TestAFaultHidesOnlyItsPiece(t *testing.T) {
	const lab = "  - { name: lab, source: { mllp: { listen: \"127.0.0.1:2575\" } }, parse: hl7v2, filter: PID-3 ==, routes: [ { to: { drop: { reason: a } } } ] }\n"
	const ends = "channel lab: filter: the expression ends too early"
	for name, c := range map[string]struct {
		files map[string]string
		want  string // the problems, one on a line
	}{
		"another key": {
			map[string]string{"routes.yaml": "variables:\n  a: \"x\nchannels:\n" + lab},
			"routes.yaml:2:6: not readable as YAML: could not find end character of double-quoted text\nroutes.yaml:4:95: " + ends,
		},
		"another channel": {
			map[string]string{"routes.yaml": "zone: UTC\nchannels:\n# the first\n\n  - name: [ a\n" + lab + "  - name: 'b\n"},
			"routes.yaml:5:11: not readable as YAML: sequence end token ']' not found\nroutes.yaml:6:95: " + ends +
				"\nroutes.yaml:7:11: not readable as YAML: could not find end character of single-quoted text",
		},
		"another file": {
			map[string]string{"routes.yaml": "include: [ a.yaml, b.yaml ]\nzone: [\nchannels:\n" + lab, "a.yaml": "channels: [\n", "b.yaml": "channels:\n" + strings.Replace(lab, ": lab", ": rad", 1)},
			"routes.yaml:2:7: not readable as YAML: sequence end token ']' not found\nroutes.yaml:4:95: " + ends +
				"\na.yaml:1:11: not readable as YAML: sequence end token ']' not found\nb.yaml:2:44: channel rad: source mllp: 127.0.0.1:2575 is taken by channel lab" +
				"\nb.yaml:2:95: channel rad: filter: the expression ends too early",
		},
		"what is lost is not missing": {
			map[string]string{"routes.yaml": "zone: [\nvariables: [\ntemplates: [\ntables: [\nchannels:\n  - { use: site, with: { a: b } }\n" +
				"  - { name: 'a\n" +
				"  - { name: b, title: \"${x}\", source: { channel: {} }, parse: hl7v2, filter: 'PID-8 in table(\"sex\") and PID-3 == var.y', map: v2-to-fhir, routes: [ { to: { channel: { name: a } } } ] }\n"},
			"routes.yaml:1:7: not readable as YAML: sequence end token ']' not found\nroutes.yaml:2:12: not readable as YAML: sequence end token ']' not found\n" +
				"routes.yaml:3:12: not readable as YAML: sequence end token ']' not found\nroutes.yaml:4:9: not readable as YAML: sequence end token ']' not found\n" +
				"routes.yaml:7:13: not readable as YAML: could not find end character of single-quoted text",
		},
		"defaults are lost": {
			map[string]string{"routes.yaml": "defaults:\n  channel: { parse: [ hl7v2 }\nchannels:\n  - { name: a }\n"},
			"routes.yaml:2:29: not readable as YAML: ',' or ']' must be specified",
		},
		"an anchor is lost": {
			map[string]string{"routes.yaml": "variables: { a: &x 1, b: [ }\nzone: *x\nchannels:\n" + lab},
			"routes.yaml:1:28: not readable as YAML: could not find '{' character corresponding to '}'\nroutes.yaml:4:95: " + ends,
		},
		"faults without end": {
			map[string]string{"routes.yaml": strings.Repeat("a: \"x\n", 10_001) + "channels:\n" + strings.Repeat("  - \"x\n", 10_000)},
			strings.TrimSuffix(faults(), "\n"),
		},
		"nothing is left": {
			map[string]string{"routes.yaml": "\"a\n"},
			"routes.yaml:1:1: not readable as YAML: could not find end character of double-quoted text",
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, problems := Load(LoadOptions{File: "routes.yaml", Parts: fakeParts(t), ReadFile: func(name string) ([]byte, error) {
				text, ok := c.files[name]
				if !ok {
					return nil, os.ErrNotExist
				}
				return []byte(text), nil
			}})
			if got := problems.Error(); got != c.want || config != nil {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// faults are those of a file with one on each line.
func faults() string {
	var b strings.Builder
	for line := range mostFaults {
		fmt.Fprintf(&b, "routes.yaml:%d:4: not readable as YAML: could not find end character of double-quoted text\n", line+1)
	}
	return b.String()
}
