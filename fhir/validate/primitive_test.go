package validate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/corpus"
)

// holding wraps a value of a type in a resource.
func holding(typ, value string) string {
	if typ == "xhtml" {
		return `{"resourceType":"Basic","code":{"text":"a"},"text":{"status":"generated","div":` + value + `}}`
	}
	if typ == "reference" {
		return `{"resourceType":"Basic","code":{"text":"a"},"contained":[{"resourceType":"Patient","id":"p1"}],"subject":` + value + `,"author":{"reference":"#p1"}}`
	}
	return `{"resourceType":"Parameters","parameter":[{"name":"a","value` + strings.ToUpper(typ[:1]) + typ[1:] + `":` + value + `}]}`
}

func parsed(t testing.TB, text string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

func errorsOf(n *fhir.Node) []Fault { return Resource(n, Options{ErrorsOnly: true}) }

// TestPrimitivesOfTheCorpus: each line is a value, valid or not as the name of
// its file says. Null stands there for an element without a value.
func TestPrimitivesOfTheCorpus(t *testing.T) {
	names := map[string]string{"base64_binary": "base64Binary", "date_time": "dateTime", "positive_int": "positiveInt", "unsigned_int": "unsignedInt"}
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t, "fhir", "primitives"), "*.ndjson"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	values := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		typ, verdict, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".ndjson"), ".")
		if full := names[typ]; full != "" {
			typ = full
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if line == "null" && verdict == "valid" {
				continue
			}
			values++
			n, err := fhir.Parse([]byte(holding(typ, line)))
			if good := err == nil && len(errorsOf(n)) == 0; good != (verdict == "valid") {
				t.Errorf("%s %s is %s", typ, line, verdict)
			}
		}
	}
	if values < 60 {
		t.Errorf("%d values", values)
	}
}

func TestPrimitives(t *testing.T) {
	for typ, cases := range map[string]struct{ good, bad string }{
		"boolean":      {`true`, `1`},
		"integer":      {`0 -1 2147483647 -2147483648`, `2147483648 1.0 -0 1e2 "1"`},
		"positiveInt":  {`1 2147483647`, `0 -1 1.5`},
		"unsignedInt":  {`0 7`, `-1 -0`},
		"decimal":      {`0 -1.50 1e10 6.022E23`, `"1" true`},
		"string":       {`"a\u0020b" "a\tb\n"`, `"" "\u0001" 1`},
		"code":         {`"a" "a-b"`, `"a\u0020\u0020b" "\u0020a" "a\n" ""`},
		"id":           {`"a" "A-1.b"`, `"a_b" "" "a/b"`},
		"uri":          {`"urn:oid:1.2.3" "a" "urn:uuid:c757873d-ec9a-4326-a141-556f43239520" "http://a/b#c"`, `"a\u0020b" "urn:oid:9.1" "urn:oid:1.02" "urn:uuid:1" "urn:uuid:C757873D-EC9A-4326-A141-556F43239520"`},
		"oid":          {`"urn:oid:2.16.840.1.113883"`, `"2.16.840" "urn:oid:2" "urn:oid:2..1" "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"`},
		"uuid":         {`"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"`, `"c757873d-ec9a-4326-a141-556f43239520" "urn:oid:1.2"`},
		"canonical":    {`"http://a/b|1" "#a" "urn:x"`, `"a\u0020b" "Questionnaire/a"`},
		"url":          {`"http://a" "mailto:a@b"`, `"http://a\u0020b"`},
		"base64Binary": {`"YQ==" "YWJj" "YW\nJj"`, `"YQ=" "Y" "YQ==YQ==" "Y-Q=" "===="`},
		"date":         {`"2020" "2020-02" "2020-02-29" "1900-12-31"`, `"2021-02-29" "1900-02-29" "0000" "2020-13" "2020-00" "2020-01-00" "20-01" "2020-1-1" "2020-01-01T00:00:00Z" "2020/01/01" "2020-04-31"`},
		"dateTime":     {`"2020" "2020-01-01" "2020-01-01T00:00:00Z" "2020-01-01T23:59:60.123+14:00" "2020-01-01T00:00:00-05:00"`, `"2020-01-01T00:00:00" "2020-01-01T00:00Z" "2020-01-01T24:00:00Z" "2020-01-01T00:00:00+14:30" "2020-01-01T00:00:00+05:60" "2020-01-01T" "2020-01-01T00:00:00.Z" "2020-01-01\u002000:00:00Z" "2020-01T00:00:00Z"`},
		"instant":      {`"2020-01-01T00:00:00Z" "2020-01-01T00:00:00.000+01:00"`, `"2020-01-01" "2020-01-01T00:00:00" "2020"`},
		"time":         {`"00:00:00" "23:59:60.5"`, `"24:00:00" "12:00" "12:60:00" "12:00:00Z" "1:00:00" "12:00:00."`},
	} {
		for _, list := range []struct {
			values string
			good   bool
		}{{cases.good, true}, {cases.bad, false}} {
			for _, value := range strings.Fields(list.values) {
				found := errorsOf(parsed(t, holding(typ, value)))
				if (len(found) == 0) != list.good {
					t.Errorf("%s %s: good is not %v: %v", typ, value, list.good, found)
				}
				if want := "Parameters.parameter[0].value.ofType(" + typ + ")"; !list.good && len(found) == 1 && found[0].Where != want {
					t.Errorf("%s %s: %s, want %s", typ, value, found[0].Where, want)
				}
			}
		}
	}
}
