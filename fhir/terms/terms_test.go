package terms

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

func table(t *testing.T, resources ...string) *Table {
	t.Helper()
	out := &Table{}
	for _, r := range resources {
		n, err := fhir.Parse([]byte(r))
		if err != nil {
			t.Fatal(err)
		}
		out.Add(n)
	}
	return out
}

func listed(list []Concept) string {
	var out []string
	for _, c := range list {
		out = append(out, strings.TrimPrefix(c.System, "urn:")+"|"+c.Code)
	}
	return strings.Join(out, " ")
}

// animals is a code system of kinds, with one code that is of two.
const animals = `{"resourceType":"CodeSystem","url":"urn:a","content":"complete","concept":[
	{"code":"animal","concept":[{"code":"bird","concept":[{"code":"owl"}]},{"code":"fish"}]},
	{"code":"pet","property":[{"code":"child","valueCode":"fish"}]},
	{"code":"owlet","property":[{"code":"parent","valueCode":"owl"}]}]}`

func TestExpand(t *testing.T) {
	known := table(t, animals,
		`{"resourceType":"CodeSystem","url":"urn:part","content":"fragment","concept":[{"code":"x"}]}`,
		`{"resourceType":"CodeSystem","url":"urn:whole","content":"complete","hierarchyMeaning":"part-of","concept":[{"code":"body","concept":[{"code":"hand"}]}]}`,
		`{"resourceType":"ValueSet","url":"urn:vs:birds","version":"2","compose":{"include":[{"system":"urn:a","filter":[{"property":"concept","op":"is-a","value":"bird"}]}]}}`,
		`{"resourceType":"ValueSet","url":"urn:vs:self","compose":{"include":[{"valueSet":["urn:vs:self"]}]}}`,
	)
	for compose, want := range map[string]string{
		`{"include":[{"system":"urn:a","concept":[{"code":"owl"},{"code":"cat"}]}]}`:                                                                                      "a|cat a|owl",
		`{"include":[{"system":"urn:a"}]}`:                                                                                                                                "a|animal a|bird a|fish a|owl a|owlet a|pet",
		`{"include":[{"system":"urn:a","filter":[{"property":"concept","op":"is-a","value":"bird"}]}]}`:                                                                   "a|bird a|owl a|owlet",
		`{"include":[{"system":"urn:a","filter":[{"property":"concept","op":"descendent-of","value":"bird"}]}]}`:                                                          "a|owl a|owlet",
		`{"include":[{"system":"urn:a","filter":[{"property":"concept","op":"is-not-a","value":"animal"}]}]}`:                                                             "a|pet",
		`{"include":[{"system":"urn:a","filter":[{"property":"concept","op":"generalizes","value":"fish"}]}]}`:                                                            "a|animal a|fish a|pet",
		`{"include":[{"system":"urn:a","filter":[{"property":"code","op":"in","value":"owl, pet"}]}]}`:                                                                    "a|owl a|pet",
		`{"include":[{"system":"urn:a","filter":[{"property":"concept","op":"is-a","value":"animal"},{"property":"concept","op":"not-in","value":"owl,owlet,animal"}]}]}`: "a|bird a|fish",
		`{"include":[{"system":"urn:a","filter":[{"property":"parent","op":"=","value":"animal"}]}]}`:                                                                     "a|bird a|fish",
		`{"include":[{"system":"urn:a","filter":[{"property":"child","op":"=","value":"fish"}]}]}`:                                                                        "a|animal a|pet",
		`{"include":[{"system":"urn:a","filter":[{"property":"concept","op":"=","value":"owl"}]}]}`:                                                                       "a|owl",
		`{"include":[{"system":"urn:a"}],"exclude":[{"valueSet":["urn:vs:birds|2"]}]}`:                                                                                    "a|animal a|fish a|pet",
		`{"include":[{"system":"urn:open"},{"valueSet":["urn:vs:birds"]}]}`:                                                                                               "a|bird a|owl a|owlet open|",
		`{"include":[{"system":"urn:open"}],"exclude":[{"system":"urn:open"}]}`:                                                                                           "",
		`{"include":[{"system":"urn:a","valueSet":["urn:vs:birds"],"concept":[{"code":"owl"},{"code":"fish"}]}]}`:                                                         "a|owl",
		`{"include":[{"system":"urn:open","valueSet":["urn:vs:birds"]}]}`:                                                                                                 "",
		`{"include":[{"system":"urn:part"}]}`:                                                                                                                             "part|",
		`{"include":[{"system":"urn:whole","filter":[{"property":"concept","op":"is-a","value":"body"}]}]}`:                                                               "whole|body",
		`{"include":[{"system":"urn:open"}],"exclude":[{"system":"urn:open","concept":[{"code":"x"}]}]}`:                                                                  "not-found",
		`{"include":[{"system":"urn:part","filter":[{"property":"concept","op":"is-a","value":"x"}]}]}`:                                                                   "not-found",
		`{"include":[{"system":"urn:a","filter":[{"property":"colour","op":"=","value":"x"}]}]}`:                                                                          "not-supported",
		`{"include":[{"valueSet":["urn:vs:none"]}]}`:                                                                                                                      "not-found",
		`{"include":[{"valueSet":["urn:vs:birds|3"]}]}`:                                                                                                                   "not-found",
		`{"include":[{"valueSet":["urn:vs:self"]}]}`:                                                                                                                      "too-costly",
		`{"include":[{}]}`: "not-supported",
	} {
		n, err := fhir.Parse([]byte(`{"resourceType":"ValueSet","compose":` + compose + `}`))
		if err != nil {
			t.Fatal(err)
		}
		list, err := Expand(ValueSetOf(n), known, R4())
		got := listed(list)
		if e, ok := errors.AsType[*Error](err); ok {
			got = e.Code
		}
		if got != want {
			t.Errorf("%s\n has %q, want %q", compose, got, want)
		}
	}
}

// TestFilters asks for each filter of a concept's properties (valueset-filter-operator).
func TestFilters(t *testing.T) {
	known := table(t, `{"resourceType":"CodeSystem","url":"urn:p","content":"complete","property":[{"code":"unused","type":"string"}],"concept":[
		{"code":"a1","display":"Ant","property":[{"code":"legs","valueInteger":6},{"code":"inactive","valueBoolean":true},{"code":"eats","valueCoding":{"system":"urn:f","code":"leaf"}},{"code":"eats","valueString":"wood"}]},
		{"code":"b2","display":"Bat","property":[{"code":"legs","valueInteger":2},{"code":"eats","valueCode":"fly"}],"concept":[{"code":"b21","display":"Bat, brown"}]},
		{"code":"c","property":[{"code":"parent","valueCode":"a1"}]}]}`)
	for text, want := range map[string]string{
		`"legs","op":"=","value":"6"`:                                     "p|a1",
		`"legs","op":"=","value":"7"`:                                     "",
		`"legs","op":"in","value":"6, 2"`:                                 "p|a1 p|b2",
		`"legs","op":"not-in","value":"6"`:                                "p|b2 p|b21 p|c",
		`"legs","op":"exists","value":"false"`:                            "p|b21 p|c",
		`"inactive","op":"=","value":"true"`:                              "p|a1",
		`"inactive","op":"exists","value":"true"`:                         "p|a1",
		`"eats","op":"=","value":"wood"`:                                  "p|a1",
		`"eats","op":"=","value":"leaf"`:                                  "p|a1",
		`"eats","op":"regex","value":"f.*|w.*"`:                           "p|a1 p|b2",
		`"eats","op":"regex","value":"oo"`:                                "",
		`"code","op":"regex","value":"[ab][0-9]"`:                         "p|a1 p|b2",
		`"code","op":"exists","value":"true"`:                             "p|a1 p|b2 p|b21 p|c",
		`"display","op":"regex","value":"Bat.*"`:                          "p|b2 p|b21",
		`"parent","op":"=","value":"a1"`:                                  "p|c",
		`"parent","op":"exists","value":"false"`:                          "p|a1 p|b2",
		`"child","op":"in","value":"c,b21"`:                               "p|a1 p|b2",
		`"unused","op":"exists","value":"true"`:                           "",
		`"colour","op":"exists","value":"true"`:                           "not-supported",
		`"legs","op":"is-a","value":"6"`:                                  "not-supported",
		`"legs","op":"exists","value":"maybe"`:                            "not-supported",
		`"legs","op":"regex","value":"("`:                                 "not-supported",
		`"legs","op":"regex","value":"` + strings.Repeat("a", 1001) + `"`: "too-costly",
	} {
		n, err := fhir.Parse([]byte(`{"resourceType":"ValueSet","compose":{"include":[{"system":"urn:p","filter":[{"property":` + text + `}]}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		list, err := Expand(ValueSetOf(n), known)
		got := listed(list)
		if e, ok := errors.AsType[*Error](err); ok {
			got = e.Code
		}
		if got != want {
			t.Errorf("%.80s has %q, want %q", text, got, want)
		}
	}
}

// TestExpansions: an expansion that is whole counts where the definition cannot be
// followed.
func TestExpansions(t *testing.T) {
	const contains = `"contains":[{"system":"urn:x","abstract":true,"code":"top","contains":[{"system":"urn:x","code":"1"}]},{"display":"heading","contains":[{"system":"urn:x","code":"2"}]}]`
	for text, want := range map[string]string{
		`"expansion":{` + contains + `}`:                      "x|1 x|2",
		`"expansion":{"total":2,` + contains + `}`:            "x|1 x|2",
		`"expansion":{"total":3,` + contains + `}`:            "",
		`"expansion":{"total":2,"offset":0,` + contains + `}`: "",
		`"expansion":{"total":1,"contains":[{"code":"a"}]}`:   "|a",
		`"compose":{"include":[{"system":"urn:x","filter":[{"property":"p","op":"=","value":"v"}]}]},"expansion":{` + contains + `}`: "x|1 x|2",
		`"compose":{"include":[{"system":"urn:x","concept":[{"code":"9"}]}]},"expansion":{` + contains + `}`:                         "x|9",
	} {
		n, err := fhir.Parse([]byte(`{"resourceType":"ValueSet",` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		list, err := Expand(ValueSetOf(n), R4())
		if got := listed(list); got != want {
			t.Errorf("%s has %q (%v), want %q", text, got, err, want)
		}
	}
}

// TestCostly: a value set of many filters over many codes is refused, not waited for.
func TestCostly(t *testing.T) {
	var system, filters strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&system, `,{"code":"c%d"}`, i)
	}
	for range 20_000 {
		filters.WriteString(`,{"property":"concept","op":"is-not-a","value":"c1"}`)
	}
	known := table(t, `{"resourceType":"CodeSystem","url":"urn:many","content":"complete","concept":[`+system.String()[1:]+`]}`)
	n, err := fhir.Parse([]byte(`{"resourceType":"ValueSet","compose":{"include":[{"system":"urn:many","filter":[` + filters.String()[1:] + `]}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Expand(ValueSetOf(n), known)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != "too-costly" {
		t.Errorf("got %v, want too-costly", err)
	}
}

// TestR4 holds the tables against what R4 says.
func TestR4(t *testing.T) {
	status, err := FindSystem("http://hl7.org/fhir/observation-status", R4())
	if err != nil || strings.Join(status.Below("amended"), " ") != "amended corrected" || strings.Join(status.Above("corrected"), " ") != "corrected amended" || !status.Has("final") {
		t.Errorf("observation-status: %v", err)
	}
	set, err := Find("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode|2014-03-26", R4())
	if err != nil {
		t.Fatal(err)
	}
	list, err := Expand(set, R4())
	if err != nil {
		t.Fatal(err)
	}
	codes := listed(list)
	for code, want := range map[string]bool{"|AMB": true, "|IMP": true, "|ACUTE": true, "|_ActEncounterCode": false} {
		if got := strings.Contains(codes+" ", code+" "); got != want {
			t.Errorf("%s in the encounter codes: %v, want %v", code, got, want)
		}
	}
	told := 0
	for _, set := range R4().sets {
		if _, err := Expand(set, R4()); err == nil {
			told++
		} else if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: %v", set.URL, err)
		}
	}
	if told < 1200 {
		t.Errorf("%d of %d value sets of R4 can be told", told, len(R4().sets))
	}
	t.Logf("%d of %d value sets, %d code systems", told, len(R4().sets), len(R4().systems))
}
