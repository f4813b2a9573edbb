package search

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
)

func parse(t testing.TB, text string) *fhir.Node {
	t.Helper()
	n, err := fhir.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rowsOf lists the index rows of one parameter as text.
func rowsOf(x fhir.Index, typ, code string) []string {
	p, ok := definitions.FindParam(typ, code)
	if !ok {
		return []string{"no such parameter"}
	}
	out := []string{}
	for _, r := range x.Tokens {
		if r.Param == p.Row {
			out = append(out, r.System+"|"+r.Value)
		}
	}
	for _, r := range x.Strings {
		if r.Param == p.Row {
			out = append(out, r.Norm+"="+r.Exact)
		}
	}
	for _, r := range x.Refs {
		if r.Param == p.Row {
			out = append(out, r.Type+"/"+r.ID)
		}
	}
	for _, r := range x.Numbers {
		if r.Param == p.Row {
			out = append(out, r.Value+" "+r.System+"|"+r.Unit)
		}
	}
	for _, r := range x.Dates {
		if r.Param == p.Row {
			out = append(out, time.UnixMicro(r.Lo).UTC().Format(time.RFC3339)+".."+time.UnixMicro(r.Hi).UTC().Format(time.RFC3339))
		}
	}
	sort.Strings(out)
	return out
}

func TestIndex(t *testing.T) {
	patient := parse(t, `{"resourceType":"Patient","id":"p1","active":true,"identifier":[{"system":"urn:mrn","value":"7"},{"value":"8"}],
"name":[{"family":"Müller-Ángel","given":["Zoë","Q"]},{"text":"Whole Name"}],"telecom":[{"system":"phone","value":"555","use":"home"},{"system":"email","value":"a@b"}],
"address":[{"line":["1 Main"],"city":"Bath","postalCode":"03801"}],"birthDate":"1970-02","deceasedDateTime":"2020-01-01","generalPractitioner":[{"reference":"Practitioner/d1"}],
"managingOrganization":{"reference":"https://elsewhere.example/fhir/Organization/9"},"link":[{"other":{"reference":"Patient/p2/_history/3"},"type":"seealso"}]}`)
	observation := parse(t, `{"resourceType":"Observation","id":"o1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"},{"code":"HGB"}],"text":"Hb"},
"subject":{"reference":"Patient/p1"},"effectivePeriod":{"start":"2026-01-05T08:30:00-05:00"},"valueQuantity":{"value":11.90,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"},
"component":[{"code":{"coding":[{"code":"C1"}]},"valueString":"x"}],"derivedFrom":[{"reference":"#contained"},{"reference":"urn:uuid:1"}]}`)
	for name, c := range map[string]struct {
		n         *fhir.Node
		typ, code string
		want      string
	}{
		"identifiers":                     {patient, "Patient", "identifier", "[urn:mrn|7 |8]"},
		"a boolean":                       {patient, "Patient", "active", "[|true]"},
		"names, folded":                   {patient, "Patient", "name", "[muller-angel=Müller-Ángel q=Q whole name=Whole Name zoe=Zoë]"},
		"a family name":                   {patient, "Patient", "family", "[muller-angel=Müller-Ángel]"},
		"a telephone number":              {patient, "Patient", "phone", "[|555]"},
		"a mail address":                  {patient, "Patient", "email", "[|a@b]"},
		"an address":                      {patient, "Patient", "address", "[03801=03801 1 main=1 Main bath=Bath]"},
		"a month":                         {patient, "Patient", "birthdate", "[1970-02-01T00:00:00Z..1970-02-28T23:59:59Z]"},
		"a time of death":                 {patient, "Patient", "death-date", "[2020-01-01T00:00:00Z..2020-01-01T23:59:59Z]"},
		"dead":                            {patient, "Patient", "deceased", "[|true]"},
		"a reference":                     {patient, "Patient", "general-practitioner", "[Practitioner/d1]"},
		"a reference to elsewhere":        {patient, "Patient", "organization", "[/https://elsewhere.example/fhir/Organization/9]"},
		"a reference with version":        {patient, "Patient", "link", "[Patient/p2]"},
		"codings":                         {observation, "Observation", "code", "[http://loinc.org|718-7 |HGB]"},
		"a code":                          {observation, "Observation", "status", "[|final]"},
		"a quantity":                      {observation, "Observation", "value-quantity", "[11.90 http://unitsofmeasure.org|g/dL]"},
		"a choice that is not there":      {observation, "Observation", "value-string", "[]"},
		"components":                      {observation, "Observation", "component-code", "[|C1]"},
		"the patient of a subject":        {observation, "Observation", "patient", "[Patient/p1]"},
		"references into itself and URNs": {observation, "Observation", "derived-from", "[/#contained /urn:uuid:1]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(rowsOf(Index(c.typ, c.n), c.typ, c.code)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	t.Run("an open period", func(t *testing.T) {
		for _, r := range Index("Observation", observation).Dates {
			if p, _ := definitions.ParamByID(r.Param); p.Code == "date" && (r.Hi != 1<<63-1 || time.UnixMicro(r.Lo).UTC().Hour() != 13) {
				t.Errorf("got %d..%d", r.Lo, r.Hi)
			}
		}
	})
	t.Run("the compartment", func(t *testing.T) {
		if got := Index("Observation", observation).Patient; got != "p1" {
			t.Errorf("an observation of %q", got)
		}
		if got := Index("Patient", patient).Patient; got != "p1" {
			t.Errorf("a patient of %q", got)
		}
		two := parse(t, `{"resourceType":"Observation","subject":{"reference":"Patient/a"},"performer":[{"reference":"Patient/b"}]}`)
		if got := Index("Observation", two).Patient; got != "" {
			t.Errorf("of two patients: %q", got)
		}
	})
	t.Run("what has no form gives no row", func(t *testing.T) {
		odd := parse(t, `{"resourceType":"Observation","code":"x","subject":[1],"effectiveDateTime":"never","valueQuantity":{"value":"x"},"status":{"a":1}}`)
		if x := Index("Observation", odd); len(x.Dates)+len(x.Numbers)+len(x.Refs) != 0 {
			t.Errorf("got %+v", x)
		}
	})
	t.Run("thousands of references are not compared with one another", func(t *testing.T) {
		refs := strings.TrimSuffix(strings.Repeat(`{"reference":"Observation/x"},`, 20000), ",")
		if x := Index("DiagnosticReport", parse(t, `{"resourceType":"DiagnosticReport","result":[`+refs+`]}`)); len(x.Refs) != 1 {
			t.Errorf("%d rows, want 1", len(x.Refs))
		}
	})
}

func TestInterval(t *testing.T) {
	for text, want := range map[string]string{
		"2026":                          "2026-01-01T00:00:00Z 8760h0m0s",
		"2024-02":                       "2024-02-01T00:00:00Z 696h0m0s",
		"2026-01-05":                    "2026-01-05T00:00:00Z 24h0m0s",
		"2026-01-05T08:30-05:00":        "2026-01-05T13:30:00Z 1m0s",
		"2026-01-05T08:30:15-05:00":     "2026-01-05T13:30:15Z 1s",
		"2026-01-05T08:30:15.250-05:00": "2026-01-05T13:30:15Z 1ms",
		"2026-01-05T08:30:15":           "2026-01-05T08:30:15Z 1s",
		"9999-12-31":                    "9999-12-31T00:00:00Z 24h0m0s",
		"2026-02-30":                    "no", "26": "no", "": "no", "2026-1-5": "no", "2026-01-05T25:00:00Z": "no",
	} {
		got := "no"
		if lo, hi, ok := Interval(text); ok {
			got = time.UnixMicro(lo).UTC().Format(time.RFC3339) + " " + (time.Duration(hi-lo+1) * time.Microsecond).String()
		}
		if got != want {
			t.Errorf("Interval(%q) = %s, want %s", text, got, want)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	n := parse(b, `{"resourceType":"Observation","id":"o1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2026-01-05T08:30:00-05:00","valueQuantity":{"value":11.9,"unit":"g/dL"}}`)
	for b.Loop() {
		Index("Observation", n)
	}
}
