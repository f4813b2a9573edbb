package validate

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/corpus"
)

// examples walks over the JSON files below a folder of the corpus.
func examples(t testing.TB, folder string, visit func(name string, n *fhir.Node)) {
	t.Helper()
	err := filepath.WalkDir(corpus.Dir(t, "fhir", folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".json") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".gz") {
			r, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				return err
			}
			if data, err = io.ReadAll(r); err != nil {
				return err
			}
		}
		n, err := fhir.Parse(data)
		if err != nil {
			t.Errorf("%s: %v", d.Name(), err)
			return nil
		}
		visit(d.Name(), n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestExamplesAreValid: the examples of the specification, of US Core and of
// Synthea have no error.
func TestExamplesAreValid(t *testing.T) {
	for _, folder := range []string{"valid", "uscore", "synthea"} {
		files, warnings, lax := 0, 0, 0
		examples(t, folder, func(name string, n *fhir.Node) {
			files++
			for _, f := range Resource(n, Options{}) {
				if f.Severity == Error && f.Lax {
					lax++
					t.Logf("%s/%s breaks the standard itself: %s: %s", folder, name, f.Where, f.Text)
				} else if f.Severity == Error {
					t.Errorf("%s/%s: %s: %s: %s", folder, name, f.Where, f.Code, f.Text)
				} else {
					warnings++
				}
			}
		})
		t.Logf("%s: %d files, %d warnings", folder, files, warnings)
		if lax > 8 {
			t.Errorf("%d errors that writes forgive", lax)
		}
		if files == 0 {
			t.Errorf("%s has no files", folder)
		}
	}
}

// An expectation is a line of EXPECTED.tsv.
type expectation struct {
	file, kind string
	valid      bool
	places     []string // of its errors, where they have one
}

func expectations(t *testing.T) []expectation {
	t.Helper()
	data, err := os.ReadFile(corpus.Dir(t, "fhir", "validator", "EXPECTED.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var out []expectation
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) < 6 || f[0] == "file" {
			continue
		}
		e := expectation{file: f[0], kind: f[4], valid: f[2] == "valid"}
		for _, m := range strings.Split(f[5], " ;; ") {
			if parts := strings.SplitN(m, "|", 4); len(parts) == 4 {
				e.places = append(e.places, plain(parts[2]))
			}
		}
		out = append(out, e)
	}
	return out
}

var comment = regexp.MustCompile(`/\*[^*]*\*/|\[url=[^\]]*\]`)

// plain is a place without the ids that the reference validator writes in it.
func plain(place string) string { return strings.TrimSuffix(comment.ReplaceAllString(place, ""), ".") }

// beyond are the errors of kind structural that need what is not here: a server
// of terminologies, certificates, or a choice of the caller.
var beyond = map[string]string{
	"cvx.json":             "displays of codes",
	"example-2.json":       "a signature",
	"bad-markdown.json":    "its text is refused on request only: the same file is said to be valid",
	"json-comments-1.json": "comments of JSON are refused here always",
}

// TestReferenceValidator holds the files of the reference validator's own tests
// against what it says of them.
func TestReferenceValidator(t *testing.T) {
	rejects, errors, found, placed, far, farFound := 0, 0, 0, 0, 0, 0
	for _, e := range expectations(t) {
		data, err := os.ReadFile(corpus.Dir(t, "fhir", "validator", e.file))
		if err != nil {
			t.Error(err)
			continue
		}
		n, syntax := fhir.Parse(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
		var faults []Fault
		if syntax == nil {
			faults = Resource(n, Options{ErrorsOnly: true})
		}
		switch {
		case beyond[e.file] != "":
		case e.valid && (syntax != nil || len(faults) > 0):
			rejects++
			t.Errorf("%s is valid: %v %v", e.file, syntax, faults)
		case e.valid:
		case e.kind != "structural":
			for _, place := range e.places {
				far++
				if at(faults, place) {
					farFound++
				}
			}
		case syntax != nil:
			errors, found, placed = errors+len(e.places), found+len(e.places), placed+len(e.places)
		default:
			for _, place := range e.places {
				errors++
				if len(faults) > 0 {
					found++
				}
				if at(faults, place) {
					placed++
				} else {
					t.Logf("%s: nothing at %s, but %v", e.file, place, faults)
				}
			}
		}
	}
	t.Logf("%d false rejects; of %d structural errors %d are found, %d at the place; of %d that need profiles or terminologies %d", rejects, errors, found, placed, far, farFound)
	if placed*100 < errors*95 {
		t.Errorf("%d of %d structural errors are found at their place", placed, errors)
	}
}

// at reports whether a fault stands at a place or in it.
func at(faults []Fault, place string) bool {
	for _, f := range faults {
		if rest, ok := strings.CutPrefix(f.Where, place); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}
