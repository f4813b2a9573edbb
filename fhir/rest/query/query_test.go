package query

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir/terms"
	"github.com/plexus-health/plexus/store"
)

// TestParse: a search is compiled, or refused with the code of its issue and
// without a value of it.
func TestParse(t *testing.T) {
	const canary = "zzcanary"
	for text, want := range map[string]string{
		"family=A&birthdate=ge2020&_count=5":              "",
		"general-practitioner.name=A&_sort=-birthdate":    "",
		"_has:Observation:patient:code=1":                 "",
		"_include=Patient:link&_summary=true":             "",
		"birthdate=" + canary:                             "invalid",
		"family:" + canary + "=A":                         "invalid",
		canary + "=1":                                     "invalid",
		"_sort=" + canary:                                 "invalid",
		"_text=" + canary:                                 "not-supported",
		"gender:in=" + canary:                             "not-found",
		"_id=" + strings.Repeat(canary+",", 2500):         "too-costly",
		strings.Repeat("family="+canary+"&", 65):          "too-costly",
		strings.Repeat("_include=Patient:link&", 33):      "too-costly",
		"_list=" + strings.Repeat(canary+",", mostPlaces): "too-costly",
	} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse("Patient", values, true, r4{})
		code := ""
		if e, ok := errors.AsType[*Error](err); ok {
			code = e.Code
		} else if err != nil {
			t.Errorf("%.40s: %v is no *Error", text, err)
		}
		if code != want || err != nil && (strings.Contains(err.Error(), canary) || s != nil) {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
}

func TestPageSize(t *testing.T) {
	for text, want := range map[string]int{"": 50, "_count=7": 7, "_count=0": 0, "_count=-1": -1, "_count=x": -1, "_count=1.5": -1, "_count=": 50, "_count=5000": largestPage, "_count=99999999999999999999": largestPage} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := PageSize(values)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// TestUnselective: what would walk through all resources is told apart by what
// nothing narrows.
func TestUnselective(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "family:contains=ab": true, "family:contains=abc": false, "family:contains=ab&gender=male": false,
		"general-practitioner:Organization.name:contains=a": true, "_has:Observation:patient:code=1": false,
	} {
		values, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse("Patient", values, true, r4{})
		if err != nil {
			t.Fatal(err)
		}
		if got := Unselective(&s.Query); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestHere: a reference with the address of this server and one without it find
// the same.
func TestHere(t *testing.T) {
	for _, ref := range []string{"http://a/fhir/Organization/1", "Organization/1"} {
		s, err := Parse("Patient", url.Values{"organization": {ref}}, true, r4{})
		if err != nil {
			t.Fatal(err)
		}
		Here("http://a/fhir", s.Where)
		found := map[store.Match]bool{}
		for _, m := range s.Where[0].Any {
			found[m] = true
		}
		if !found[store.Match{Type: "Organization", ID: "1"}] || !found[store.Match{ID: "http://a/fhir/Organization/1"}] {
			t.Errorf("%s: %v", ref, s.Where[0].Any)
		}
	}
}

// r4 are the codes of R4.
type r4 struct{}

func (r4) Parts(_, id string, _ bool) ([]string, error) { return []string{id}, nil }

func (r4) In(valueSet string) ([]terms.Concept, error) {
	set, err := terms.Find(valueSet, terms.R4())
	if err != nil {
		return nil, err
	}
	return terms.Expand(set, terms.R4())
}

func (r4) System(url string) (*terms.System, error) { return terms.FindSystem(url, terms.R4()) }
