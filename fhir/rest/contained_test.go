package rest

import (
	"slices"
	"strings"
	"testing"
)

// TestContained asks for contained resources, for their containers and for both,
// and by chains into them.
func TestContained(t *testing.T) { eachStore(t, contained) }

func contained(t *testing.T, a *api) {
	a.put(
		`{"resourceType":"Organization","id":"maker","name":"Maker"}`,
		`{"resourceType":"Medication","id":"alone","status":"active","code":{"coding":[{"system":"urn:d","code":"x"}],"text":"X by itself"}}`,
		`{"resourceType":"Medication","id":"kit","status":"inactive","code":{"coding":[{"system":"urn:d","code":"kit"}]},"contained":[{"resourceType":"Medication","id":"in","status":"active","code":{"coding":[{"system":"urn:d","code":"x"}]}}],"ingredient":[{"itemReference":{"reference":"#in"}}]}`,
		`{"resourceType":"MedicationRequest","id":"mr1","status":"active","intent":"order","contained":[
			{"resourceType":"Medication","id":"m1","status":"active","code":{"coding":[{"system":"urn:d","code":"x"}],"text":"Xyl"},"manufacturer":{"reference":"#o"}},
			{"resourceType":"Medication","id":"m2","status":"inactive","code":{"coding":[{"system":"urn:d","code":"y"}]},"manufacturer":{"reference":"Organization/maker"}},
			{"resourceType":"Organization","id":"o","name":"Inner House"}],
			"medicationReference":{"reference":"#m1"},"reasonReference":[{"reference":"#m2"}],"subject":{"reference":"Patient/p"}}`,
		`{"resourceType":"MedicationRequest","id":"mr2","status":"active","intent":"order","contained":[
			{"resourceType":"Medication","id":"m1","status":"inactive","code":{"coding":[{"system":"urn:d","code":"x"}]}}],
			"medicationReference":{"reference":"#m1"},"subject":{"reference":"Patient/p"}}`,
		`{"resourceType":"MedicationRequest","id":"mr3","status":"active","intent":"order","medicationReference":{"reference":"Medication/alone"},"subject":{"reference":"Patient/p"}}`,
		`{"resourceType":"DiagnosticReport","id":"dr","status":"final","code":{"text":"r"},"contained":[{"resourceType":"Observation","id":"i","status":"final","code":{"coding":[{"code":"hb"}]},"valueString":"low"},{"resourceType":"Observation","id":"k","status":"final","code":{"coding":[{"code":"x"}]},"valueString":"high"}],"result":[{"reference":"#i"},{"reference":"#k"}]}`,
		`{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"c"},"contained":[{"resourceType":"Patient","id":"pt","birthDate":"1970-01-02","name":[{"family":"Inside"}]}],"subject":{"reference":"#pt"}}`,
	)
	for query, want := range map[string]string{
		"Medication?code=x":                                                              "alone",
		"Medication?code=x&_contained=false":                                             "alone",
		"Medication?code=x&_contained=true":                                              "kit mr1 mr2",
		"Medication?code=urn:d|x&_contained=true&status=active":                          "kit mr1",
		"Medication?code=urn:d|y&_contained=true&status=active":                          "",
		"Medication?code=x&_contained=both":                                              "alone kit mr1 mr2",
		"Medication?code=x&status=active&_contained=both":                                "alone kit mr1",
		"Medication?_contained=true":                                                     "kit mr1 mr2",
		"Medication?_contained=both":                                                     "alone kit mr1 mr2",
		"Medication?_contained=true&code:not=x":                                          "mr1",
		"Medication?_contained=true&code:text=xyl":                                       "mr1",
		"Medication?_contained=true&manufacturer:missing=true":                           "kit mr2",
		"Medication?_contained=true&manufacturer:missing=false&status=inactive":          "mr1",
		"Medication?_contained=true&manufacturer=Organization/maker":                     "mr1",
		"Medication?_contained=true&manufacturer.name=maker":                             "mr1",
		"Medication?_contained=true&manufacturer.name=maker&code=x":                      "",
		"Medication?_contained=true&manufacturer.name=inner&code=x":                      "mr1",
		"Medication?_contained=true&manufacturer.name=inner&code=y":                      "",
		"Medication?_contained=true&_id=m2":                                              "mr1",
		"Medication?_contained=true&_id=m1&status=inactive":                              "mr2",
		"Patient?_contained=true&family=inside":                                          "o1",
		"Patient?_contained=true&family:exact=Inside&birthdate=1970":                     "o1",
		"Patient?_contained=true&birthdate=1971":                                         "",
		"Patient?family=inside":                                                          "",
		"Medication?code=x&_contained=true&_containedType=container":                     "kit mr1 mr2",
		"Medication?code=x&_contained=true&_containedType=contained":                     "in m1 m1",
		"Medication?code=x&status=active&_contained=true&_containedType=contained":       "in m1",
		"Medication?_contained=true&_containedType=contained":                            "in m1 m1 m2",
		"Medication?code=x&_contained=both&_containedType=contained":                     "alone in m1 m1",
		"Medication?_contained=both&_containedType=contained":                            "alone in kit m1 m1 m2",
		"Medication?code=x&_containedType=contained":                                     "alone",
		"MedicationRequest?medication.code=x":                                            "mr1 mr2 mr3",
		"MedicationRequest?medication.code=x&status=active":                              "mr1 mr2 mr3",
		"MedicationRequest?medication.code=y":                                            "",
		"MedicationRequest?medication.code=x&medication.status=active":                   "mr1 mr3",
		"MedicationRequest?_id=mr1,mr2&medication.status=active":                         "mr1",
		"MedicationRequest?medication.status:not=active":                                 "mr2",
		"MedicationRequest?medication.manufacturer.name=inner":                           "mr1",
		"MedicationRequest?medication.manufacturer.name=maker":                           "",
		"Observation?subject.family=inside":                                              "o1",
		"Observation?subject:Patient.birthdate=lt1970":                                   "",
		"Observation?patient.family=inside":                                              "o1",
		"Medication?_contained=maybe":                                                    "invalid",
		"Medication?_containedType=maybe":                                                "invalid",
		"Medication?_contained=true&_has:MedicationRequest:medication:status=active":     "not-supported",
		"Medication?_contained=true&_sort=status":                                        "not-supported",
		"Medication?_contained=true&_lastUpdated=gt2000":                                 "kit mr1 mr2",
		"Medication?_contained=true&_lastUpdated=lt2000":                                 "",
		"Medication?code=x&_contained=both&_lastUpdated=gt2000,lt2000":                   "alone kit mr1 mr2",
		"Medication?_contained=true&_lastUpdated:missing=true":                           "",
		"Medication?_contained=true&_id:not=m1":                                          "kit mr1",
		"Medication?code=x&_lastUpdated=gt2000&_contained=true&_containedType=contained": "in m1 m1",
		"MedicationRequest?medication._lastUpdated=lt2000":                               "",
		"MedicationRequest?medication._lastUpdated=gt2000":                               "mr1 mr2 mr3",
		"Observation?code-value-string=hb$low&_contained=true":                           "dr",
		"Observation?code-value-string=hb$high&_contained=true":                          "",
		"Observation?component-code-value-quantity=a$1&_contained=true":                  "not-supported",
		"Observation?_contained=true&_list=l":                                            "not-supported",
		"Location?_contained=true&near=1|1":                                              "not-supported",
		"Medication?_contained=true&_containedType=contained&_total=accurate":            "not-supported",
		"Patient/p/Medication?_contained=true":                                           "not-found",
		"Patient/p/MedicationRequest?_contained=true":                                    "not-supported",
	} {
		if got := a.found(strings.ReplaceAll(query, "|", "%7C")); got != want {
			t.Errorf("%s found %q, want %q", query, got, want)
		}
	}
	_, n := a.want(200, "GET", "/Medication?code=x&status=active&_contained=true&_containedType=contained&_elements=code", "")
	var full []string
	for _, e := range n.Get("entry").Items {
		full = append(full, strings.TrimPrefix(text(e, "fullUrl"), "http://127.0.0.1/fhir/"))
		if e.Get("resource").Get("status") != nil || text(e.Get("search"), "mode") != "match" {
			t.Errorf("an entry is %s", e.AppendJSON(nil))
		}
	}
	if slices.Sort(full); strings.Join(full, " ") != "Medication/kit#in MedicationRequest/mr1#m1" {
		t.Errorf("full URLs %v", full)
	}
	_, n = a.want(200, "GET", "/Medication?code=x&_contained=true&_total=accurate&_count=2", "")
	if n.Get("total").Text != "3" || len(n.Get("entry").Items) != 2 || len(n.Get("link").Items) != 2 {
		t.Errorf("a page of containers: %s", n.AppendJSON(nil))
	}
	a.want(400, "PUT", "/Medication?code=x&_contained=true", `{"resourceType":"Medication"}`)
	a.want(200, "PUT", "/MedicationRequest/mr2", `{"resourceType":"MedicationRequest","id":"mr2","status":"active","intent":"order","medicationCodeableConcept":{"text":"none"},"subject":{"reference":"Patient/p"}}`)
	if got := a.found("Medication?code=x&_contained=true"); got != "kit mr1" {
		t.Errorf("after an update %q, want kit mr1", got)
	}
}
