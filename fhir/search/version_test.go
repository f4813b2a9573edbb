package search

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// rowsOfCode is the hash of the rows that the resources below give by the
// definitions and the code of this version.
const rowsOfCode = "2be04e45e8a95c519d0d34cdb4b8eea63ea9bd938b8d7a661c77c3421756aa2b"

// TestVersionFollowsTheRows fails when the rows are others than those the
// version stands for: resources that are stored would keep the old ones.
func TestVersionFollowsTheRows(t *testing.T) {
	sum := sha256.New()
	for _, text := range []string{
		`{"resourceType":"Patient","id":"p","identifier":[{"type":{"coding":[{"system":"urn:t","code":"MR"}],"text":"Record"},"system":"urn:mrn","value":"1"}],"name":[{"family":"Müller","given":["Änne"],"text":"Änne Müller"}],"birthDate":"1970-02","deceasedBoolean":true,"telecom":[{"system":"phone","value":"1"}],"managingOrganization":{"reference":"Organization/o","display":"House"},"link":[{"other":{"reference":"Patient/q"},"type":"seealso"}],"meta":{"tag":[{"system":"urn:tag","code":"a"}],"profile":["http://example.org/p|1"],"source":"urn:s"}}`,
		`{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Pressure"}],"text":"Blood pressure"},"subject":{"reference":"Patient/p"},"effectivePeriod":{"start":"2026-01-01","end":"2026-01-02T10:00:00+02:00"},"valueQuantity":{"value":5.40,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"},"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":140}},{"code":{"text":"x"},"valueCodeableConcept":{"coding":[{"code":"y"}]}}],"hasMember":[{"identifier":{"system":"urn:x","value":"7"}}]}`,
		`{"resourceType":"Location","id":"l","position":{"longitude":8.5,"latitude":47.4},"address":{"city":"Zürich","line":["Straße 1"]}}`,
		`{"resourceType":"RiskAssessment","id":"r","status":"final","subject":{"reference":"https://elsewhere.example/Patient/9"},"prediction":[{"probabilityDecimal":0.25},{"probabilityRange":{"low":{"value":1},"high":{"value":2}}}]}`,
		`{"resourceType":"MedicationRequest","id":"m","status":"active","intent":"order","contained":[{"resourceType":"Medication","id":"med","code":{"coding":[{"system":"urn:d","code":"x"}],"text":"X"}}],"medicationReference":{"reference":"#med"},"subject":{"reference":"Patient/p"}}`,
		`{"resourceType":"Observation","id":"e","valueQuantity":{"value":0.01,"comparator":"<","unit":"mg"},"component":[{"code":{"text":"x"},"valueQuantity":{"value":9,"comparator":">="}}]}`,
		`{"resourceType":"PlanDefinition","id":"d","status":"draft","url":"urn:plan","version":"1","library":["urn:lib","urn:lib|2"]}`,
	} {
		n, err := fhir.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		x := Index(n.Get("resourceType").Text, n)
		if len(x.Tokens)+len(x.Strings)+len(x.Refs)+len(x.Numbers) == 0 {
			t.Errorf("no rows of a %s", n.Get("resourceType").Text)
		}
		fmt.Fprintf(sum, "%+v\n", x)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != rowsOfCode {
		t.Errorf("the rows changed: raise rowsVersion in version.go, and write %q into rowsOfCode", got)
	}
	if v := Version(); !strings.HasPrefix(v, fmt.Sprint(rowsVersion, "-")) || len(v) < 20 {
		t.Errorf("version %q", v)
	}
}
