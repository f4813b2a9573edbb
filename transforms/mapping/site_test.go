package mapping

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/transformtest"
)

const admit = "gender: PID-8 through administrative-sex\nbirthDate: PID-7 as date\nidentifier[+]: each PID-3 as CX\n"

func admitMaps() string {
	return onlyPatient(admit, dataTypes[strings.Index(dataTypes, "- map: CX"):strings.Index(dataTypes, "- map: CWE")])
}

func TestASiteChangesSingleRows(t *testing.T) {
	pid := "PID|||7||||19800102|F|||||||||||||||Town"
	tests := map[string]struct{ site, want string }{
		"another row takes a row's place":     {"- { map: local, override: PID to Patient, rows: { birthDate: = 1900 } }", `"gender":"female","birthDate":"1900","identifier":[{"value":"7"}]`},
		"inherited keeps the shipped rows":    {"- { map: local, override: PID to Patient, rows: { \"identifier[+]\": [ inherited, { from: PID-23, set: { value: PID-23 } } ] } }", `"gender":"female","birthDate":"1980-01-02","identifier":[{"value":"7"},{"value":"Town"}]`},
		"none drops a row":                    {"- { map: local, override: PID to Patient, rows: { birthDate: none } }", `"gender":"female","identifier":[{"value":"7"}]`},
		"a new row is added":                  {"- { map: local, override: PID to Patient, rows: { active: = true } }", `"gender":"female","birthDate":"1980-01-02","identifier":[{"value":"7"}],"active":true`},
		"expects that the shipped row is so":  {"- map: local\n  override: PID to Patient\n  rows:\n    birthDate: { expects: PID-7 as date, from: = 1900 }", `"gender":"female","birthDate":"1900","identifier":[{"value":"7"}]`},
		"a segment of the site's own is read": {"- map: ZPI to Patient\n  segments: { ZPI: { after: PID, fields: { 2: ST language } } }\n  rows: { language: ZPI-2 }\n- map: local/admit\n  extends: test/admit\n  make: { patient: \"Patient from PID, ZPI\" }", `"gender":"female","birthDate":"1980-01-02","identifier":[{"value":"7"}],"language":"fr"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, got := made(t, good(t, admitMaps(), test.site), msh, pid, "ZPI||fr")
			if want := `{"resourceType":"Patient",` + test.want + "}"; got["patient"] != want {
				t.Errorf("got  %s\nwant %s", got["patient"], want)
			}
		})
	}
}

func TestFilesThatDoNotFit(t *testing.T) {
	over := "- { map: local, override: PID to Patient, rows: { birthDate: = 1900 } }"
	tests := map[string]struct {
		site []string
		want string
	}{
		"two files change one row": {[]string{over, over}, "b.yaml:1:51: map PID to Patient: birthDate is changed in a.yaml:1 too; the later says inherited to build on it\n"},
		"a map that is not there":  {[]string{"- { map: local, override: PID to Patent, rows: { id: none } }"}, "a.yaml:1:5: map \"PID to Patent\" is not known; did you mean \"PID to Patient\"?\n"},
		"an upgrade changed the row": {
			[]string{"- map: local\n  override: PID to Patient\n  rows:\n    birthDate: { expects: PID-7 as dateTime, from: = 1900 }"},
			"a.yaml:4:18: map PID to Patient: birthDate expects \"PID-7 as dateTime\", but the row is now \"PID-7 as date\"\n",
		},
		"nothing to inherit":   {[]string{"- { map: local, override: PID to Patient, rows: { id: inherited } }"}, "a.yaml:1:55: map PID to Patient: id: there is no row to inherit\n"},
		"a map of a used name": {[]string{"- { map: PID to Patient, rows: { id: PID-2 } }"}, "a.yaml:1:5: map PID to Patient: stands also in maps/test/maps.yaml:6; to change its rows write override\n"},
		"extends what is not":  {[]string{"- { map: local, extends: test/admits, make: { a: Patient from PID } }"}, "a.yaml:1:5: map local: extends \"test/admits\", which is not known; did you mean \"test/admit\"?\n"},
		"a field not declared": {[]string{"- map: ZPI to Patient\n  segments: { ZPI: { fields: { x: ST a, 2: ST language } } }\n  rows: { language: ZPI-3 }"}, "a.yaml:2:32: map ZPI to Patient: \"x\" is not the number of a field\na.yaml:3:21: map ZPI to Patient: ZPI-3: segment ZPI declares no field 3\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, problems := compiled(t, admitMaps(), test.site...)
			if got := words(problems); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
	t.Run("with an earlier change, inherited builds on it", func(t *testing.T) {
		next := "- { map: local2, override: PID to Patient, rows: { birthDate: [ PID-9 as date, inherited ] } }"
		_, got := made(t, good(t, admitMaps(), over, next), msh, "PID|||7")
		if !strings.Contains(got["patient"], `"birthDate":"1900"`) {
			t.Error(got["patient"])
		}
	})
}

func TestTheStep(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("sex.csv", "from,to\n1,male\n")
	write("bad.csv", "from,too\n1,male\n")
	write("mine.yaml", "- map: mine\n  from: hl7v2 [ADT_A01]\n  to: fhir Bundle\n  make: { patient: Patient from PID }\n")
	write("marked.yaml", "\ufeff- map: marked\n  from: hl7v2 [ADT_A01]\n  to: fhir Bundle\n  make: { patient: Patient from PID }\n")
	kind := Kind(Options{Maps: fstest.MapFS{"test/maps.yaml": {Data: []byte(admitMaps())}}, Tables: testTables(t)})
	for use, want := range map[string]bool{"test": true, "test/admit": true, "mine.yaml": true, "script": false, "": false, "../test": false, "original": false} {
		if got := kind.Takes(use); got != want {
			t.Errorf("Takes(%q) = %t, want %t", use, got, want)
		}
	}
	tests := map[string]struct {
		step transforms.Step
		want string
	}{
		"a table of the site":         {transforms.Step{Use: "test", Tables: map[string]string{"administrative-sex": "sex.csv"}}, ""},
		"a table of the site, broken": {transforms.Step{Use: "test", Tables: map[string]string{"administrative-sex": "bad.csv"}}, "bad.csv:1:6: unknown column \"too\"; did you mean \"to\"?\n"},
		"another table by its name":   {transforms.Step{Use: "test", Tables: map[string]string{"administrative-sex": "tests"}}, ""},
		"a table that is not there":   {transforms.Step{Use: "test", Tables: map[string]string{"administrative-sex": "test"}}, "tables.administrative-sex:0:0: table \"test\" is not known; did you mean \"tests\"?\n"},
		"a file that is not there":    {transforms.Step{Use: "test", With: []string{"none.yaml"}}, "with:0:0: \"none.yaml\": there is no such file\n"},
		"a map of the family":         {transforms.Step{Use: "test/admit"}, ""},
		"a map that is not there":     {transforms.Step{Use: "test/admits"}, "use:0:0: map \"test/admits\" is not known; did you mean \"test/admit\"?\n"},
		"a file of its own":           {transforms.Step{Use: "mine.yaml"}, ""},
		"with a byte order mark":      {transforms.Step{Use: "marked.yaml"}, ""},
		"another format":              {transforms.Step{Use: "test", Format: "x12"}, "use:0:0: the map reads hl7v2, but the channel parses x12\n"},
		"parameters":                  {transforms.Step{Use: "test", Set: map[string]string{"a": "b"}}, "set:0:0: maps to FHIR take no parameters\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.step.Folder = dir
			if test.step.Format == "" {
				test.step.Format = "hl7v2"
			}
			got, _, problems := kind.Make(test.step)
			if text := words(problems); text != test.want {
				t.Errorf("got\n%swant\n%s", text, test.want)
			}
			if (got != nil) != (test.want == "") {
				t.Errorf("a transform: %t", got != nil)
			}
		})
	}
	t.Run("the files read are listed, so that their change reloads", func(t *testing.T) {
		_, files, _ := kind.Make(transforms.Step{Use: "test", Folder: dir, Tables: map[string]string{"administrative-sex": "sex.csv"}})
		if len(files) != 1 || files[0] != filepath.Join(dir, "sex.csv") {
			t.Errorf("files are %q", files)
		}
	})
}

func TestWhatCannotBeMappedParks(t *testing.T) {
	m := good(t, onlyPatient("gender: PID-8 through strict"))
	t.Run("no map for the structure", func(t *testing.T) {
		_, err := applied(t, m, strings.ReplaceAll(msh, "A01", "A40"), "PID|||7")
		var f *message.Failure
		if !errors.As(err, &f) || f.Kind != message.Malformed || f.Err.Error() != "no map for structure ADT_A40 in test" && f.Err.Error() != "no map for structure ADT_A39 in test" {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a code that the table parks", func(t *testing.T) {
		_, err := applied(t, m, msh, "PID|||7|||||Q")
		if err == nil || err.Error() != "PID-8: code not in table strict" {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a document of another format", func(t *testing.T) {
		_, err := m.Apply(context.Background(), &message.Message{})
		if message.KindOf(err) != message.Malformed {
			t.Errorf("error is %v", err)
		}
	})
}

func TestTransform(t *testing.T) {
	m := good(t, onlyPatient("gender: PID-8 through strict\nname[+]: each PID-5 as XPN\n", dataTypes[:strings.Index(dataTypes, "- map: CX")]))
	parse := func(t *testing.T, raw []byte) message.Document {
		t.Helper()
		doc, err := hl7v2.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	transformtest.Run(t, m, parse, []transformtest.Case{
		{Name: "a patient", Raw: []byte(msh + "\rPID|||7||" + transformtest.Canary + "\r")},
		{Name: "a structure without a map", Raw: []byte("MSH|^~\\&|A|B|||20260105||" + transformtest.Canary + "|1|P|2.5\rPID|1\r"), Fails: true},
		{Name: "a code that parks", Raw: []byte(msh + "\rPID|||7|||||" + transformtest.Canary + "\r"), Fails: true},
	})
}

// No bytes make the map panic.
func FuzzApply(f *testing.F) {
	f.Add([]byte(msh + "\rPID|||7^^^A&1.2.3&ISO^MR||A^B~C||1980|F\r"))
	f.Add([]byte(oru + "\rPID|||1\rOBR|1||F^Y|C\rOBX|1|ST|A||1\rOBX|2|NM|B||<5\rNTE||x\r"))
	a, b := good(f, admitMaps()), good(f, resultMaps)
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := hl7v2.Parse(raw)
		if err != nil {
			return
		}
		for _, m := range []*Map{a, b} {
			out, err := m.Apply(context.Background(), &message.Message{Doc: doc})
			if err != nil {
				if _, ok := errors.AsType[*message.Failure](err); !ok {
					t.Errorf("the error is no Failure: %v", err)
				}
				continue
			}
			o := out[0].Doc.(*Output)
			o.Provenance()
			o.Unmapped()
			o.Encode(nil)
		}
	})
}
