package rest

import (
	"net/url"
	"strings"
	"testing"
)

// TestOpenEnds: what is said to be below or above a value, and a Range without one
// of its ends, go on to where nothing is searched for.
func TestOpenEnds(t *testing.T) { eachStore(t, openEnds) }

func openEnds(t *testing.T, a *api) {
	observation := func(id, value string) string {
		return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"coding":[{"code":"x"}]},"component":[{"code":{"coding":[{"code":"c"}]},"valueQuantity":{` + value + `,"unit":"mg","system":"urn:u","code":"mg"}}],"valueQuantity":{` + value + `,"unit":"mg","system":"urn:u","code":"mg"}}`
	}
	risk := func(id, onset string) string {
		return `{"resourceType":"RiskAssessment","id":"` + id + `","status":"final","subject":{"display":"x"},"prediction":[{"probabilityRange":{` + onset + `}}]}`
	}
	a.put(
		observation("below", `"value":0.01,"comparator":"<"`), observation("upto", `"value":7,"comparator":"<="`), observation("above", `"value":100,"comparator":">"`), observation("is", `"value":50`),
		risk("from", `"low":{"value":20}`), risk("to", `"high":{"value":10}`), risk("within", `"low":{"value":12},"high":{"value":15}`),
	)
	for query, want := range map[string]string{
		"Observation?value-quantity=lt0.01":                       "below upto",
		"Observation?value-quantity=lt0.01|urn:u|mg":              "below upto",
		"Observation?value-quantity=lt-5||mg":                     "below upto",
		"Observation?value-quantity=lt0.01|urn:u|g":               "",
		"Observation?value-quantity=gt0.01":                       "above is upto",
		"Observation?value-quantity=gt1000":                       "above",
		"Observation?value-quantity=lt60":                         "below is upto",
		"Observation?value-quantity=gt60":                         "above",
		"Observation?value-quantity=50":                           "is",
		"Observation?value-quantity=1e99":                         "",
		"Observation?component-code-value-quantity=c$lt0.01":      "below upto",
		"Observation?component-code-value-quantity=c$gt1000":      "above",
		"Observation?value-quantity=gt0.01&_sort=-value-quantity": "above is upto",
		"Observation?_sort=value-quantity":                        "below upto is above",
		"RiskAssessment?probability=gt30":                         "from",
		"RiskAssessment?probability=lt5":                          "to",
		"RiskAssessment?probability=gt11":                         "from within",
		"RiskAssessment?probability=lt12":                         "to",
	} {
		if got := a.found(strings.ReplaceAll(url.PathEscape(query), "%3F", "?")); got != want {
			t.Errorf("%s found %q, want %q", query, got, want)
		}
	}
}
