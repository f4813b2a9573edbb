package rest

import (
	"strings"
	"testing"
)

// TestCanonicals follows canonical references, by url and by url and version, in
// includes, chains and _has.
func TestCanonicals(t *testing.T) { eachStore(t, canonicals) }

func canonicals(t *testing.T, a *api) {
	response := func(id, questionnaire string) string {
		return `{"resourceType":"QuestionnaireResponse","id":"` + id + `","status":"completed","questionnaire":"` + questionnaire + `"}`
	}
	a.put(
		`{"resourceType":"Questionnaire","id":"q1","url":"http://x.example/q","version":"1","status":"retired","title":"First"}`,
		`{"resourceType":"Questionnaire","id":"q2","url":"http://x.example/q","version":"2","status":"active","title":"Second"}`,
		`{"resourceType":"Questionnaire","id":"q0","url":"http://x.example/other","status":"active","title":"Other"}`,
		response("r1", "http://x.example/q|1"), response("r2", "http://x.example/q|2"), response("any", "http://x.example/q"),
		response("other", "http://x.example/other"), response("here", "Questionnaire/q1"), response("none", "http://x.example/none"),
		`{"resourceType":"QuestionnaireResponse","id":"in","status":"completed","questionnaire":"#in","contained":[{"resourceType":"Questionnaire","id":"in","status":"active","title":"Second inside"}]}`,
		`{"resourceType":"Library","id":"l","url":"http://x.example/l","version":"1","status":"active","name":"Lib","type":{"text":"x"}}`,
		`{"resourceType":"PlanDefinition","id":"p","status":"active","url":"http://x.example/p","library":["http://x.example/l|1"],"relatedArtifact":[{"type":"depends-on","resource":"http://x.example/q"}]}`,
		`{"resourceType":"CarePlan","id":"c","status":"active","intent":"plan","subject":{"reference":"Patient/x"},"instantiatesCanonical":["http://x.example/p"]}`,
	)
	for query, want := range map[string]string{
		"QuestionnaireResponse?_id=r1&_include=QuestionnaireResponse:questionnaire":                            "q1 r1",
		"QuestionnaireResponse?_id=r2&_include=QuestionnaireResponse:questionnaire":                            "q2 r2",
		"QuestionnaireResponse?_id=any&_include=QuestionnaireResponse:questionnaire":                           "any q2",
		"QuestionnaireResponse?_id=r1&_include=*":                                                              "q1 r1",
		"QuestionnaireResponse?_id=any,r2&_include=QuestionnaireResponse:*":                                    "any q2 r2",
		"QuestionnaireResponse?_id=other&_include=QuestionnaireResponse:questionnaire:Questionnaire":           "other q0",
		"QuestionnaireResponse?_id=here,none&_include=QuestionnaireResponse:questionnaire":                     "here none q1",
		"Questionnaire?_id=q1&_revinclude=QuestionnaireResponse:questionnaire":                                 "any here q1 r1",
		"Questionnaire?_id=q2&_revinclude=QuestionnaireResponse:questionnaire":                                 "any q2 r2",
		"Questionnaire?_id=q0&_revinclude=QuestionnaireResponse:questionnaire":                                 "other q0",
		"CarePlan?_include=CarePlan:instantiates-canonical&_include:iterate=PlanDefinition:depends-on":         "c l p q2",
		"CarePlan?_include=CarePlan:instantiates-canonical&_include:iterate=PlanDefinition:depends-on:Library": "c l p",
		"QuestionnaireResponse?questionnaire.title=second":                                                     "any in r2",
		"QuestionnaireResponse?questionnaire.title=first":                                                      "any here r1",
		"QuestionnaireResponse?questionnaire:Questionnaire.title=other":                                        "other",
		"QuestionnaireResponse?_id=r1,r2,none&questionnaire.status=active":                                     "r2",
		"QuestionnaireResponse?status=completed&questionnaire.version=1":                                       "any here r1",
		"CarePlan?instantiates-canonical:PlanDefinition.depends-on.name=lib":                                   "c",
		"Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=r1":                                        "q1",
		"Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=any":                                       "q1 q2",
		"Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=none":                                      "",
		"Questionnaire?_has:QuestionnaireResponse:questionnaire:_id=here":                                      "q1",
		"QuestionnaireResponse?questionnaire=http://x.example/q":                                               "any r1 r2",
		"QuestionnaireResponse?questionnaire=http://x.example/q|2":                                             "r2",
		"QuestionnaireResponse?questionnaire=Questionnaire/q1":                                                 "here",
	} {
		if got := a.found(strings.ReplaceAll(query, "|", "%7C")); got != want {
			t.Errorf("%s found %q, want %q", query, got, want)
		}
	}
}
