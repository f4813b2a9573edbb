package patch

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/internal/corpus"
)

func parse(t testing.TB, text string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

func TestApply(t *testing.T) {
	for name, c := range map[string]struct{ doc, patch, want string }{
		"nothing to do":                    {`{"a":1.50}`, `[]`, `{"a":1.50}`},
		"add a member":                     {`{"a":1.50}`, `[{"op":"add","path":"/b","value":2.00}]`, `{"a":1.50,"b":2.00}`},
		"add over a member":                {`{"a":1,"b":2}`, `[{"op":"add","path":"/a","value":null}]`, `{"a":null,"b":2}`},
		"add the whole":                    {`{"a":1}`, `[{"op":"add","path":"","value":[1]}]`, `[1]`},
		"add before, between and at last":  {`[1]`, `[{"op":"add","path":"/0","value":0},{"op":"add","path":"/2","value":2},{"op":"add","path":"/-","value":3}]`, `[0,1,2,3]`},
		"names with / and ~ and none":      {`{"a/b":1,"c~d":2,"":3}`, `[{"op":"remove","path":"/a~1b"},{"op":"replace","path":"/c~0d","value":4},{"op":"test","path":"/","value":3}]`, `{"c~d":4,"":3}`},
		"an escape is resolved once":       {`{"~1":1}`, `[{"op":"replace","path":"/~01","value":2}]`, `{"~1":2}`},
		"replace keeps the place":          {`{"a":1,"b":2}`, `[{"op":"replace","path":"/a","value":3}]`, `{"a":3,"b":2}`},
		"replace an item and the whole":    {`[1,2]`, `[{"op":"replace","path":"/1","value":3},{"op":"replace","path":"","value":{"a":1}}]`, `{"a":1}`},
		"remove an item":                   {`{"a":[1,2,3]}`, `[{"op":"remove","path":"/a/1"}]`, `{"a":[1,3]}`},
		"remove the whole":                 {`{"a":1}`, `[{"op":"remove","path":""}]`, `null`},
		"move within a list":               {`[1,2,3]`, `[{"op":"move","from":"/0","path":"/2"}]`, `[2,3,1]`},
		"move out of a list to its end":    {`{"a":[1,2]}`, `[{"op":"move","from":"/a/0","path":"/a/-"}]`, `{"a":[2,1]}`},
		"move to where it is":              {`{"a":1}`, `[{"op":"move","from":"/a","path":"/a"}]`, `{"a":1}`},
		"move to a name that begins alike": {`{"a":1}`, `[{"op":"move","from":"/a","path":"/ab"}]`, `{"ab":1}`},
		"move over what is around it":      {`{"a":{"b":1}}`, `[{"op":"move","from":"/a/b","path":"/a"}]`, `{"a":1}`},
		"copy, and change the copy only":   {`{"a":{"b":1}}`, `[{"op":"copy","from":"/a","path":"/c"},{"op":"replace","path":"/c/b","value":2}]`, `{"a":{"b":1},"c":{"b":2}}`},
		"copy into itself":                 {`{"a":{"b":1}}`, `[{"op":"copy","from":"/a","path":"/a/c"}]`, `{"a":{"b":1,"c":{"b":1}}}`},
		"a value that is added twice":      {`{}`, `[{"op":"add","path":"/a","value":{"b":1}},{"op":"add","path":"/a/c","value":2},{"op":"test","path":"/a","value":{"c":2,"b":1}}]`, `{"a":{"b":1,"c":2}}`},
		"tests of every kind":              {`{"a":1.50,"b":"x","c":null,"d":[true,{}],"e":{"f":1,"g":2}}`, `[{"op":"test","path":"/a","value":15e-1},{"op":"test","path":"/b","value":"x"},{"op":"test","path":"/c","value":null},{"op":"test","path":"/d","value":[true,{}]},{"op":"test","path":"/e","value":{"g":2.0,"f":1}}]`, `{"a":1.50,"b":"x","c":null,"d":[true,{}],"e":{"f":1,"g":2}}`},
		"members that nobody defines":      {`{}`, `[{"op":"add","path":"/a","value":1,"from":7,"x":"y"}]`, `{"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			doc, changes := parse(t, c.doc), parse(t, c.patch)
			got, err := Apply(t.Context(), doc, changes)
			if err != nil || string(got.AppendJSON(nil)) != c.want {
				t.Errorf("got %s %v, want %s", got.AppendJSON(nil), err, c.want)
			}
			if !doc.Equal(parse(t, c.doc)) || !changes.Equal(parse(t, c.patch)) {
				t.Error("what was given was changed")
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	const canary = "CANARY77"
	for name, c := range map[string]struct {
		patch, want string
		failed      bool
	}{
		"no list":                      {`{}`, "the patch is no list of operations", false},
		"no object":                    {`["` + canary + `"]`, "operation 0 is no object", false},
		"no op":                        {`[{"path":"/a"}]`, "operation 0 has no op", false},
		"an unknown op":                {`[{"op":"` + canary + `","path":"/a"}]`, "operation 0 is not add, remove, replace, move, copy or test", false},
		"no path":                      {`[{"op":"remove"}]`, "operation 0 has no path", false},
		"a path that is no text":       {`[{"op":"remove","path":1}]`, "operation 0 has no path", false},
		"a path without a slash":       {`[{"op":"remove","path":"` + canary + `"}]`, "operation 0 has a path that does not begin with /", false},
		"a wrong escape":               {`[{"op":"remove","path":"/~2"}]`, "operation 0 has a path with a ~ that is followed by neither 0 nor 1", false},
		"no value":                     {`[{"op":"add","path":"/b"}]`, "operation 0 has no value", false},
		"no from":                      {`[{"op":"copy","path":"/b"}]`, "operation 0 has no from", false},
		"a place that is not there":    {`[{"op":"add","path":"/a","value":1},{"op":"remove","path":"/` + canary + `"}]`, "operation 1 points to a place that is not there", true},
		"add below what is not there":  {`[{"op":"add","path":"/x/y","value":1}]`, "operation 0 points to a place that is not there", true},
		"add below a text":             {`[{"op":"add","path":"/t/y","value":1}]`, "operation 0 points to a place that is not there", true},
		"an index beyond the end":      {`[{"op":"add","path":"/l/3","value":1}]`, "operation 0 points to a place that is not there", true},
		"an index with a zero before":  {`[{"op":"add","path":"/l/01","value":1}]`, "operation 0 points to a place that is not there", true},
		"an index that is negative":    {`[{"op":"remove","path":"/l/-1"}]`, "operation 0 points to a place that is not there", true},
		"an index beyond all measure":  {`[{"op":"remove","path":"/l/99999999999999999999"}]`, "operation 0 points to a place that is not there", true},
		"the end of a list, to remove": {`[{"op":"remove","path":"/l/-"}]`, "operation 0 points to a place that is not there", true},
		"a name in a list":             {`[{"op":"replace","path":"/l/x","value":1}]`, "operation 0 points to a place that is not there", true},
		"replace what is not there":    {`[{"op":"replace","path":"/x","value":1}]`, "operation 0 points to a place that is not there", true},
		"copy what is not there":       {`[{"op":"copy","from":"/x","path":"/y"}]`, "operation 0 points to a place that is not there", true},
		"move what is not there":       {`[{"op":"move","from":"/x","path":"/x"}]`, "operation 0 points to a place that is not there", true},
		"move into itself":             {`[{"op":"move","from":"/o","path":"/o/p"}]`, "operation 0 moves a value into itself", true},
		"a test that fails":            {`[{"op":"test","path":"/t","value":"` + canary + `"}]`, "operation 0 is a test that failed", true},
		"a test of another kind":       {`[{"op":"test","path":"/t","value":1}]`, "operation 0 is a test that failed", true},
		"a test of another number":     {`[{"op":"test","path":"/n","value":1.51}]`, "operation 0 is a test that failed", true},
		"a test of what is not there":  {`[{"op":"test","path":"/x","value":null}]`, "operation 0 points to a place that is not there", true},
		"copies that double":           {`[` + strings.Repeat(`{"op":"copy","from":"/l","path":"/l/-"},`, 99) + `{"op":"copy","from":"/l","path":"/l/-"}]`, "operation 18 makes a document that is too large", true},
		"copies that nest":             {`[` + strings.Repeat(`{"op":"copy","from":"","path":"/o"},`, 99) + `{"op":"copy","from":"","path":"/o"}]`, "operation 62 makes a document that is nested more than 64 deep", true},
		"too many operations":          {`[` + strings.Repeat(`{"op":"test","path":"/n","value":1.5},`, 1000) + `{"op":"remove","path":"/n"}]`, "the patch has more than 1000 operations", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Apply(t.Context(), parse(t, `{"l":[1,2],"t":"x","n":1.5,"o":{}}`), parse(t, c.patch))
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Failed != c.failed || e.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"1", "1.0", true},
		{"1e2", "100", true},
		{"0.001", "1E-3", true},
		{"-0", "0.00", true},
		{"0e5", "0", true},
		{"10", "1", false},
		{"-1", "1", false},
		{"0.1", "0.01", false},
		{"1e99999999999999999999", "1e99999999999999999998", false},
		{"1e999999999", "1e999999998", false},
		{"12345678901234567890.1", "12345678901234567890.10", true},
		{"12345678901234567890.1", "12345678901234567890.2", false},
	} {
		if got := number(c.a) == number(c.b); got != c.same {
			t.Errorf("%s and %s: %v, want %v", c.a, c.b, got, c.same)
		}
	}
}

// TestCorpus runs the JSON Patch cases of the corpus.
func TestCorpus(t *testing.T) {
	data, err := os.ReadFile(corpus.Dir(t, "fhir", "patch", "json-patch-tests.json"))
	if err != nil {
		t.Fatal(err)
	}
	cases := parse(t, string(data))
	for _, c := range cases.Items {
		name := c.Get("comment").Text
		got, err := Apply(t.Context(), c.Get("doc"), c.Get("patch"))
		want := c.Get("expected")
		switch {
		case c.Get("error") != nil && err == nil:
			t.Errorf("%s: was done", name)
		case c.Get("error") == nil && (err != nil || !got.Equal(want)):
			t.Errorf("%s: got %s %v, want %s", name, got.AppendJSON(nil), err, want.AppendJSON(nil))
		}
	}
	t.Logf("%d cases", len(cases.Items))
	if len(cases.Items) < 8 {
		t.Error("cases are missing")
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":2}]}`), []byte(`[{"op":"copy","from":"/a","path":"/a/-"},{"op":"move","from":"/a/0","path":"/c"},{"op":"test","path":"/c","value":1.0}]`))
	f.Add([]byte(`[1,2]`), []byte(`[{"op":"add","path":"/0","value":{}},{"op":"remove","path":"/1"},{"op":"replace","path":"","value":null}]`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		doc, err := fhir.Parse(a)
		if err != nil {
			return
		}
		changes, err := fhir.Parse(b)
		if err != nil {
			return
		}
		got, err := Apply(t.Context(), doc, changes)
		if err != nil {
			return
		}
		if again, err := fhir.Parse(got.AppendJSON(nil)); err != nil || !again.Equal(got) {
			t.Fatalf("is no JSON: %v", err)
		}
	})
}
