package rest

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"
)

// issue is the code of an answer's first issue.
func (a *api) issue(status int, path string) string {
	a.t.Helper()
	_, n := a.want(status, "GET", path, "")
	return text(n.Get("issue").Items[0], "code")
}

func TestCostlySearches(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		s := a.handler.(*server)
		a.handler = New(Options{Records: s.Records, Access: s.Access, Base: "/fhir", Log: slog.New(slog.DiscardHandler), Walked: 3, SearchTime: 5 * time.Minute})
		for i := range 4 {
			a.put(patientJSON(fmt.Sprint("p", i), fmt.Sprint("Family", i), `,"gender":"male"`))
		}
		a.put(`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p1"}}`)
		// Each argument is compared with each on SQLite: the shapes that have many
		// are asked for 2000 values on PostgreSQL only.
		many := 1999
		if strings.Contains(t.Name(), "sqlite") {
			many = 299
		}
		for query, want := range map[string]string{
			"Patient?family:contains=a":                 "too-costly",
			"Patient?family:contains=ab":                "too-costly",
			"Patient?family:contains=xyz,a":             "too-costly",
			"Patient?name:contains=a&family:contains=b": "too-costly",
			"Patient?family:contains=":                  "invalid",
			"Patient?family=%CC%81":                     "invalid", // an accent without its letter
			"Patient?family:contains=ily":               "",
			"Patient?family:contains=a&gender=male":     "",
			"Patient?family=f":                          "",
			"Observation?patient.family:contains=a":     "", // of few that can be walked
			"Patient?_has:Observation:patient:code=x":   "",
			"Patient?link.link.link.link.family=x":      "too-costly",
			"Patient?link.link.link.family=x":           "",
			"Patient?_has:Patient:link:_has:Patient:link:_has:Patient:link:_has:Patient:link:family=x":  "too-costly",
			"Patient?_has:Patient:link:_has:Patient:link:_has:Patient:link:family=x":                    "",
			"Patient?_sort=family,given,birthdate,gender,_id":                                           "too-costly",
			"Patient?_sort=family,given&_sort=birthdate,gender&_sort=_id":                               "too-costly",
			"Patient?_sort=family,given,birthdate,_id":                                                  "",
			"ValueSet?url:above=http://x/" + strings.Repeat("a/", 70):                                   "too-costly",
			"Provenance?target.identifier=x":                                                            "",
			"Provenance?target.subject.patient.family=x":                                                "too-costly",
			"Patient?family=x" + strings.Repeat("&family=x", 64):                                        "too-costly",
			"Patient?family=x" + strings.Repeat("&_include=Patient:link", 33):                           "too-costly",
			"Patient?family=" + strings.Repeat("x,", 2500):                                              "too-costly",
			"Patient?_id=" + strings.Repeat("x,", 1999) + "x":                                           "",
			"Patient?family=" + strings.Repeat("x,", 1999) + "x":                                        "",
			"Patient?identifier=" + strings.Repeat("urn:a%7Cx,", 1999) + "x":                            "",
			"Patient?birthdate=" + strings.Repeat("ap1970,", many) + "1970":                             "",
			"Observation?subject=" + strings.Repeat("Patient/x,", many) + "Patient/x":                   "",
			"Observation?value-quantity=" + strings.Repeat("1%7Curn:u%7Cg,", many) + "1":                "",
			"ValueSet?url:below=" + strings.Repeat("http://x/y,", many) + "http://x/y":                  "",
			"Location?near=" + strings.Repeat("1%7C2,", 99) + "1%7C2":                                   "",
			"Location?near=" + strings.Repeat("1%7C2,", 100) + "1%7C2":                                  "too-costly",
			"Observation?component-code-value-quantity=" + strings.Repeat("a$1,", many) + "a$1":         "",
			"Observation?combo-code-value-quantity=" + strings.Repeat("a$1%7Curn:u%7Cg,", 2400) + "a$1": "too-costly",
			"Patient?_has:Observation:patient:code=" + strings.Repeat("x,", many) + "x":                 "",
		} {
			name := query[:min(len(query), 60)]
			w, n := a.do("GET", "/"+query, "")
			got := ""
			switch w.Code {
			case 200:
			case 400:
				got = text(n.Get("issue").Items[0], "code")
			default:
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
			if got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		form := url.Values{"_id": {strings.Repeat("x", 1<<20)}}.Encode()
		a.want(413, "POST", "/Patient/_search", form, "Content-Type", "application/x-www-form-urlencoded")
		t.Run("what takes too long", func(t *testing.T) {
			a := &api{t: t, log: a.log, handler: New(Options{Records: s.Records, Access: s.Access, Base: "/fhir", Log: slog.New(slog.DiscardHandler), SearchTime: time.Nanosecond})}
			for _, path := range []string{"/Patient?family=f", "/_history"} {
				if got := a.issue(503, path); got != "timeout" {
					t.Errorf("%s: %q", path, got)
				}
			}
		})
	})
}
