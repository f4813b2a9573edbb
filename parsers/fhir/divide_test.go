package fhir

import (
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
)

func TestDivide(t *testing.T) {
	p := &Parser{lenient: true}
	claim := `{"resourceType":"Claim","status":"active","item":[{"sequence":1,"net":{"value":1.50},"detail":[{"sequence":1},{"sequence":2}]},{"sequence":2,"detail":[{"sequence":3}]},{"sequence":3}],"use":"claim"}`
	for name, c := range map[string]struct {
		raw, by string
		want    []string
	}{
		"each item with all around": {claim, "Claim.item", []string{
			`{"resourceType":"Claim","status":"active","item":[{"sequence":1,"net":{"value":1.50},"detail":[{"sequence":1},{"sequence":2}]}],"use":"claim"}`,
			`{"resourceType":"Claim","status":"active","item":[{"sequence":2,"detail":[{"sequence":3}]}],"use":"claim"}`,
			`{"resourceType":"Claim","status":"active","item":[{"sequence":3}],"use":"claim"}`,
		}},
		"an element inside of one that repeats": {claim, "Claim.item.detail", []string{
			`{"resourceType":"Claim","status":"active","item":[{"sequence":1,"net":{"value":1.50},"detail":[{"sequence":1}]},{"sequence":3}],"use":"claim"}`,
			`{"resourceType":"Claim","status":"active","item":[{"sequence":1,"net":{"value":1.50},"detail":[{"sequence":2}]},{"sequence":3}],"use":"claim"}`,
			`{"resourceType":"Claim","status":"active","item":[{"sequence":2,"detail":[{"sequence":3}]},{"sequence":3}],"use":"claim"}`,
		}},
		"none": {claim, "Claim.careTeam", nil},
		"one is the document": {`{"resourceType":"Claim", "item":[ {"sequence":1} ]}`, "Claim.item", []string{
			`{"resourceType":"Claim", "item":[ {"sequence":1} ]}`,
		}},
		"entries of a Bundle": {`{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"Patient","id":"a"}},{"resource":{"resourceType":"Patient","id":"b"}}]}`, "Bundle.entry", []string{
			`{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"Patient","id":"a"}}]}`,
			`{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"Patient","id":"b"}}]}`,
		}},
		"within the resource of an entry": {`{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"Claim","item":[{"sequence":1},{"sequence":2}]}},{"fullUrl":"x"}]}`, "Claim.item", []string{
			`{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"Claim","item":[{"sequence":1}]}},{"fullUrl":"x"}]}`,
			`{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"Claim","item":[{"sequence":2}]}},{"fullUrl":"x"}]}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := p.Parse([]byte(c.raw))
			if err != nil {
				t.Fatal(err)
			}
			by, err := p.Grammar().Compile(c.by)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if err := p.Divide(doc, by, func(part message.Document) error {
				got = append(got, string(part.Encode(nil)))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
