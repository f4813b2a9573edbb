package mapping

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
)

// testTables are small tables for maps of tests.
func testTables(t testing.TB) *tables.Set {
	t.Helper()
	set, problems := tables.Load(fstest.MapFS{
		"systems.csv": {Data: []byte("name,uri,oid,v2\nloinc,http://loinc.org,2.16.840.1.113883.6.1,LN\nv2-0203,http://terminology.hl7.org/CodeSystem/v2-0203,,\n" +
			"v2-0001,http://terminology.hl7.org/CodeSystem/v2-0001,,\ngender,http://hl7.org/fhir/administrative-gender,,\n")},
		"administrative-sex.yaml": {Data: []byte("table: administrative-sex\nfrom: { system: v2-0001 }\nto: { system: gender }\n" +
			"entries:\n  - { from: M, to: male, both: true }\n  - { from: F, to: female, both: true }\n")},
		"strict.yaml": {Data: []byte("table: strict\notherwise: park\nentries: [ { from: A, to: b } ]\n")},
		"tests.yaml":  {Data: []byte("table: tests\nto: { system: loinc }\nentries: [ { from: GLU, to: 2345-7, to-display: Glucose } ]\n")},
	})
	for _, p := range problems {
		t.Fatal(p.Error())
	}
	return set
}

// compiled makes a step of one family of maps given as text.
func compiled(t testing.TB, maps string, site ...string) (*Map, []transforms.Problem) {
	t.Helper()
	dir := t.TempDir()
	step := transforms.Step{Use: "test", Folder: dir, Zone: time.FixedZone("", 3600)}
	for i, text := range site {
		name := string(rune('a'+i)) + ".yaml"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		step.With = append(step.With, name)
	}
	m, _, problems := New(Options{Maps: fstest.MapFS{"test/maps.yaml": {Data: []byte(maps)}}, Tables: testTables(t)}, step)
	return m, problems
}

// good is compiled without problems.
func good(t testing.TB, maps string, site ...string) *Map {
	t.Helper()
	m, problems := compiled(t, maps, site...)
	for _, p := range problems {
		t.Errorf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
	}
	if m == nil {
		t.FailNow()
	}
	return m
}

// applied maps segments.
func applied(t testing.TB, m *Map, segments ...string) (*Output, error) {
	t.Helper()
	doc, err := hl7v2.Parse([]byte(strings.Join(segments, "\r") + "\r"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Apply(context.Background(), &message.Message{Doc: doc})
	if err != nil {
		return nil, err
	}
	return out[0].Doc.(*Output), nil
}

// made maps segments that must map, and gives the resources as JSON by name.
func made(t testing.TB, m *Map, segments ...string) (*Output, map[string]string) {
	t.Helper()
	out, err := applied(t, m, segments...)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, d := range out.Drafts() {
		text := string(d.Tree.AppendJSON(nil))
		if texts[d.Name] != "" {
			text = texts[d.Name] + "\n" + text
		}
		texts[d.Name] = text
	}
	return out, texts
}

func draft(t testing.TB, o *Output, name string) fhir.Draft {
	t.Helper()
	for _, d := range o.Drafts() {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no %s was made", name)
	return fhir.Draft{}
}

const msh = `MSH|^~\&|APP|FAC|EHR|CLINIC|20260105093000||ADT^A01^ADT_A01|M1|P|2.5.1`

// onlyPatient is a message map with rows for PID.
func onlyPatient(rows string, more ...string) string {
	return "- map: test/admit\n  from: hl7v2 [ADT_A01]\n  to: fhir Bundle\n  make:\n    patient: Patient from PID\n" +
		"- map: PID to Patient\n  key: [ \"PID-3[5=MR]\", \"PID-3[1]\", PID-2 ]\n  rows:\n" + indent(rows) + strings.Join(more, "")
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	if !strings.HasSuffix(b.String(), "\n") {
		b.WriteByte('\n')
	}
	return b.String()
}
