package rest

import (
	"strings"
	"testing"
)

// TestValueSets asks for :in, :not-in, :below and :above of tokens: by value sets
// and code systems that are stored, by those of R4, and by none that is known.
func TestValueSets(t *testing.T) { eachStore(t, valueSets) }

func valueSets(t *testing.T, a *api) {
	a.put(
		`{"resourceType":"CodeSystem","id":"cs","url":"urn:lab","status":"active","content":"complete","concept":[{"code":"blood","concept":[{"code":"count","concept":[{"code":"hb","property":[{"code":"panel","valueBoolean":false}]},{"code":"wbc"}]}]},{"code":"urine"}]}`,
		`{"resourceType":"CodeSystem","id":"part","url":"urn:part","status":"active","content":"fragment","concept":[{"code":"x"}]}`,
		`{"resourceType":"ValueSet","id":"old","url":"http://x.example/vs/lab","version":"1","status":"retired","compose":{"include":[{"system":"urn:lab","concept":[{"code":"urine"}]}]}}`,
		`{"resourceType":"ValueSet","id":"vs","url":"http://x.example/vs/lab","version":"2","status":"active","compose":{"include":[{"system":"urn:lab","filter":[{"property":"concept","op":"is-a","value":"count"}]}]}}`,
		`{"resourceType":"ValueSet","id":"open","url":"http://x.example/vs/open","status":"active","compose":{"include":[{"system":"urn:elsewhere"},{"valueSet":["http://x.example/vs/lab|1"]}]}}`,
		`{"resourceType":"ValueSet","id":"far","url":"http://x.example/vs/far","status":"active","compose":{"include":[{"valueSet":["http://x.example/vs/none"]}]}}`,
		`{"resourceType":"ValueSet","id":"kinds","url":"http://x.example/vs/kinds","status":"active","compose":{"include":[{"system":"urn:elsewhere","filter":[{"property":"concept","op":"is-a","value":"x"}]}]}}`,
		`{"resourceType":"ValueSet","id":"single","url":"http://x.example/vs/single","status":"active","compose":{"include":[{"system":"urn:lab","filter":[{"property":"panel","op":"=","value":"false"}]}]}}`,
		`{"resourceType":"ValueSet","id":"like","url":"http://x.example/vs/like","status":"active","compose":{"include":[{"system":"urn:lab","filter":[{"property":"code","op":"regex","value":"u.*|.bc"}]}]}}`,
		`{"resourceType":"ValueSet","id":"colour","url":"http://x.example/vs/colour","status":"active","compose":{"include":[{"system":"urn:lab","filter":[{"property":"colour","op":"=","value":"red"}]}]}}`,
		`{"resourceType":"Observation","id":"hb","status":"final","code":{"coding":[{"system":"urn:lab","code":"hb"}]}}`,
		`{"resourceType":"Observation","id":"count","status":"amended","code":{"coding":[{"system":"urn:lab","code":"count"}]}}`,
		`{"resourceType":"Observation","id":"urine","status":"corrected","code":{"coding":[{"system":"urn:lab","code":"urine"}]}}`,
		`{"resourceType":"Observation","id":"other","status":"preliminary","code":{"coding":[{"system":"urn:elsewhere","code":"hb"}]},"component":[{"code":{"coding":[{"system":"urn:lab","code":"wbc"}]},"valueString":"x"}]}`,
		`{"resourceType":"Observation","id":"bare","status":"final","code":{"coding":[{"code":"hb"}]},"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}]}`,
		`{"resourceType":"Encounter","id":"acute","status":"planned","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"ACUTE"}}`,
		`{"resourceType":"Encounter","id":"amb","status":"planned","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}}`,
		`{"resourceType":"Patient","id":"f","gender":"female"}`, `{"resourceType":"Patient","id":"m","gender":"male"}`, `{"resourceType":"Patient","id":"n"}`,
	)
	for query, want := range map[string]string{
		"Observation?code:in=http://x.example/vs/lab":                                                                 "count hb",
		"Observation?code:in=http://x.example/vs/lab|1":                                                               "urine",
		"Observation?code:in=http://x.example/vs/lab|2":                                                               "count hb",
		"Observation?code:in=ValueSet/old":                                                                            "urine",
		"Observation?code:in=http://127.0.0.1/fhir/ValueSet/old":                                                      "urine",
		"Observation?code:in=ValueSet/old,http://x.example/vs/lab":                                                    "count hb urine",
		"Observation?code:in=http://x.example/vs/open":                                                                "other urine",
		"Observation?combo-code:in=http://x.example/vs/lab":                                                           "count hb other",
		"Observation?code:in=http://x.example/vs/single":                                                              "hb",
		"Observation?combo-code:in=http://x.example/vs/like":                                                          "other urine",
		"Observation?code:in=http://x.example/vs/colour":                                                              "not-supported",
		"Observation?code:not-in=http://x.example/vs/lab":                                                             "bare other urine",
		"Observation?combo-code:not-in=http://x.example/vs/lab":                                                       "bare urine",
		"Observation?code:in=http://x.example/vs/lab&status=final":                                                    "hb",
		"Observation?status:in=http://hl7.org/fhir/ValueSet/observation-status":                                       "bare count hb other urine",
		"Observation?category:in=http://hl7.org/fhir/ValueSet/observation-category":                                   "bare",
		"Observation?category:in=http://hl7.org/fhir/ValueSet/observation-category|4.0.1":                             "bare",
		"Observation?category:in=http://hl7.org/fhir/ValueSet/observation-category|3":                                 "not-found",
		"Observation?code:below=urn:lab|count":                                                                        "count hb",
		"Observation?code:below=urn:lab|blood,urn:lab|urine":                                                          "count hb urine",
		"Observation?code:above=urn:lab|hb":                                                                           "count hb",
		"Observation?code:above=urn:lab|urine":                                                                        "urine",
		"Observation?code:below=urn:lab|unheard":                                                                      "",
		"Observation?status:below=amended":                                                                            "count urine",
		"Observation?status:below=http://hl7.org/fhir/observation-status|amended":                                     "count urine",
		"Observation?status:above=corrected":                                                                          "count urine",
		"Observation?status:above=amended":                                                                            "count",
		"Encounter?class:below=http://terminology.hl7.org/CodeSystem/v3-ActCode|IMP":                                  "acute",
		"Encounter?class:in=http://terminology.hl7.org/ValueSet/v3-ActEncounterCode":                                  "acute amb",
		"Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender":                                        "f m",
		"Patient?gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender":                                    "n",
		"Patient?gender=http://hl7.org/fhir/administrative-gender|male":                                               "m",
		"Patient?gender=http://hl7.org/fhir/administrative-gender|":                                                   "f m",
		"Patient?gender=|male":                                                                                        "m",
		"Patient?gender=urn:x|male":                                                                                   "",
		"Patient?_has:Observation:patient:code:in=http://x.example/vs/lab":                                            "",
		"Observation?code:in=http://x.example/vs/none":                                                                "not-found",
		"Observation?code:in=ValueSet/none":                                                                           "not-found",
		"Observation?code:in=http://x.example/vs/far":                                                                 "not-found",
		"Observation?code:in=http://x.example/vs/kinds":                                                               "not-found",
		"Observation?code:below=urn:part|x":                                                                           "not-found",
		"Observation?code:below=urn:none|x":                                                                           "not-found",
		"Observation?code:below=hb":                                                                                   "invalid",
		"Observation?code:above=|hb":                                                                                  "invalid",
		"Observation?code:in=http://terminology.hl7.org/ValueSet/v3-ActEncounterCode,ValueSet/old":                    "urine",
		"Observation?_security:in=http://x.example/vs/lab":                                                            "",
		"Encounter?class:in=" + strings.Repeat("http://terminology.hl7.org/ValueSet/v3-ActCode,", 3) + "ValueSet/old": "too-costly",
	} {
		if got := a.found(strings.ReplaceAll(query, "|", "%7C")); got != want {
			t.Errorf("%s found %q, want %q", query, got, want)
		}
	}
}
