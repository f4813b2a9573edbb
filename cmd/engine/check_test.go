package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/routes"
)

// command runs a command in this process.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return out.String(), errs.String(), code
}

// checked writes files into a folder and returns the name of routes.yaml there.
func checked(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		full := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "routes.yaml")
}

const checkRoutes = `zone: Europe/Berlin
channels:
  - name: lab
    source: { mllp: { listen: "127.0.0.1:${port}" } }
    parse: hl7v2
    filter: PID-3[*].4 == "MRN"
    map: v2-to-fhir
    routes:
      - { to: { fax: {} } }
      - { to: { ehr: {} }, batch: { every: 5m } }
`

const textRoutes = `zone: Europe/Berlin
channels:
  - name: lab
    source: { mllp: { listen: "127.0.0.1:2575" } }
    parse:
      hl7v2:
        strict: [ charset-wrong ]
        lenient: [ charset-wrong ]
        texts:
          - { codes: [ AX ], text: "{name}" }
          - { codes: [ AA ], versions: [ 2.3, 2.4 ] }
    routes: [ { to: { ehr: {} } } ]
`

// destinations are the kinds that `to:` knows.
func destinations() string {
	known := []string{"channel", "drop", "ehr"}
	for _, k := range connectorKinds() {
		if k.Destination != nil {
			known = append(known, k.Name)
		}
	}
	slices.Sort(known)
	return strings.Join(known, ", ")
}

func TestCheck(t *testing.T) {
	t.Run("the shipped file is right", func(t *testing.T) {
		out, errs, code := command(t, "check", "--routes", filepath.Join("..", "..", "routes.yaml"))
		if code != exitOK || !strings.Contains(out, "no problems") {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
	})
	t.Run("every problem is told with its place", func(t *testing.T) {
		file := checked(t, map[string]string{"routes.yaml": checkRoutes})
		out, _, code := command(t, "check", "--routes", file)
		want := `:4:31: variable "port" is not set; set it in variables, env/NAME.yaml or PLEXUS_VAR_PORT
:6:13: channel lab: filter: PID-3[*].4 has several values: write has(PID-3[*].4, "MRN")
:9:17: channel lab: route fax: to: fax is not known; known: ` + destinations() + `
:10:28: channel lab: route ehr: batch beside to: ehr: it is part of the message's own transaction and never queued
`
		got := strings.ReplaceAll(out, file, "")
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if code != exitSome {
			t.Errorf("exit %d", code)
		}
	})
	t.Run("lists of a format's options, too", func(t *testing.T) {
		file := checked(t, map[string]string{"routes.yaml": textRoutes})
		out, _, code := command(t, "check", "--routes", file)
		want := `:8:18: channel lab: parse hl7v2: lenient: "charset-wrong" is strict, too: it can be one of them
:10:22: channel lab: parse hl7v2: texts[0].codes: "AX" is not known; known: AA, AE, AR, CA, CE, CR
:10:36: channel lab: parse hl7v2: texts[0].text has the placeholder "name", which is not known; known: ack, channel, code, condition, control, reason, where
:11:15: channel lab: parse hl7v2: texts[1].text is missing: what the acknowledgement says
:12:23: channel lab: route ehr: to: ehr takes FHIR resources: add map:, such as map: v2-to-fhir
`
		if got := strings.ReplaceAll(out, file, ""); got != want || code != exitSome {
			t.Errorf("exit %d, got\n%s\nwant\n%s", code, got, want)
		}
	})
	t.Run("environments set variables", func(t *testing.T) {
		text := strings.NewReplacer("    filter: PID-3[*].4 == \"MRN\"\n", "", "      - { to: { fax: {} } }\n", "", ", batch: { every: 5m }", "").Replace(checkRoutes)
		file := checked(t, map[string]string{"routes.yaml": text, "env/test.yaml": "port: 2601\n", "env/prod.yaml": "prt: 2601\n"})
		if out, _, code := command(t, "check", "--routes", file, "--env", "test"); code != exitOK {
			t.Errorf("exit %d\n%s", code, out)
		}
		out, _, code := command(t, "check", "--routes", file, "--env", "all")
		if code != exitSome || !strings.Contains(out, `variable "port" is not set, did you mean "prt"?`) || !strings.Contains(out, "--env prod") || strings.Contains(out, "--env test") {
			t.Errorf("exit %d\n%s", code, out)
		}
		out, _, code = command(t, "check", "--routes", file, "--env", "test", "--explain", "channel/lab")
		if code != exitOK || !strings.Contains(out, "127.0.0.1:2601") || !strings.Contains(out, ":4:31, from a variable") {
			t.Errorf("exit %d\n%s", code, out)
		}
	})
	t.Run("programs get JSON", func(t *testing.T) {
		file := checked(t, map[string]string{"routes.yaml": "chanels: []\n"})
		out, _, code := command(t, "check", "--routes", file, "--json")
		var problems []routes.Problem
		if err := json.Unmarshal([]byte(out), &problems); err != nil || code != exitSome || len(problems) == 0 || problems[0].Line != 1 || problems[0].Column != 1 {
			t.Errorf("exit %d, %v\n%s", code, err, out)
		}
	})
	t.Run("a wrong command line says so", func(t *testing.T) {
		file := checked(t, map[string]string{"routes.yaml": "channels: []\n"})
		for _, args := range [][]string{{"--env", "all"}, {"--explain", "lab"}} {
			if _, errs, code := command(t, append([]string{"check", "--routes", file}, args...)...); code != exitUsage || errs == "" {
				t.Errorf("%v: exit %d, %q", args, code, errs)
			}
		}
	})
}

func TestSchemaCommand(t *testing.T) {
	out, _, code := command(t, "schema")
	if code != exitOK || !json.Valid([]byte(out)) || !strings.Contains(out, "Address to listen on") {
		t.Errorf("exit %d, %d bytes", code, len(out))
	}
}

// TestReference holds docs/routes-reference.md to the code.
func TestReference(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "routes-reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != routes.Reference(parts(nil)) {
		t.Error("docs/routes-reference.md is not up to date: go generate ./routes")
	}
	for _, k := range parts(nil).Connectors {
		name := "docs/connectors/" + k.Name + ".md"
		page, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		made, err := routes.ConnectorPage(string(page), k)
		if err != nil {
			t.Fatal(err)
		}
		if string(page) != made {
			t.Errorf("%s is not up to date: go generate ./routes", name)
		}
	}
}
