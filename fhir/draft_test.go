package fhir

import "testing"

func TestIfNoneExist(t *testing.T) {
	for text, want := range map[string]string{
		`{"identifier":[{"value":"1"},{"system":"urn:a","value":"old","use":"old"},{"system":"urn:a","value":"1|2, 3"}]}`: "identifier=urn%3Aa%7C1%5C%7C2%5C%2C+3",
		`{"identifier":[{"value":"1"}]}`: "",
		`{}`:                             "",
	} {
		tree, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range []string{"Patient", "Observation"} {
			if typ == "Observation" {
				want = ""
			}
			d := Draft{Type: typ, Tree: tree}
			if got := d.IfNoneExist(); got != want {
				t.Errorf("%s %s: %q, want %q", typ, text, got, want)
			}
		}
		if d := (Draft{Type: "Patient", Tree: tree, Fallback: true}); d.IfNoneExist() != "" {
			t.Errorf("%s: a resource that nothing names is looked for", text)
		}
	}
}
