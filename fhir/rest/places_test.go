package rest

import (
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// placesOf are the expressions and locations of an outcome's issues.
func placesOf(n *fhir.Node) string {
	var out []string
	if list := n.Get("issue"); list != nil {
		for _, i := range list.Items {
			for _, name := range []string{"expression", "location"} {
				if at := i.Get(name); at != nil {
					out = append(out, at.Items[0].Text)
				}
			}
		}
	}
	return strings.Join(out, " ")
}

// TestPlaces: what is refused says at which element, or by which parameter or
// header of the request.
func TestPlaces(t *testing.T) { eachStore(t, places) }

func places(t *testing.T, a *api) {
	a.want(201, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p","name":[{"given":["A","B"]}],"identifier":[{"system":"urn:mrn","value":"1"}]}`)
	a.want(201, "PUT", "/Patient/gone", `{"resourceType":"Patient","id":"gone"}`)
	a.want(204, "DELETE", "/Patient/gone", "")
	a.want(201, "PUT", "/Patient/q", `{"resourceType":"Patient","id":"q","name":[{"given":["A"]}]}`)
	const xml = "application/xml-patch+xml"
	for _, c := range []struct {
		status                   int
		method, path, body, want string
		headers                  []string
	}{
		{404, "GET", "/Patient/none", "", "Patient.id", nil},
		{410, "GET", "/Patient/gone", "", "Patient.id", nil},
		{404, "GET", "/Patient/none/_history", "", "Patient.id", nil},
		{404, "GET", "/Patient/p/_history/9", "", "Patient.meta.versionId", nil},
		{404, "GET", "/Patient/p/_history/x", "", "Patient.meta.versionId", nil},
		{400, "GET", "/Patient/_history?_since=x", "", "http._since", nil},
		{400, "GET", "/Patient/_history?_page=x", "", "http._page", nil},
		{400, "GET", "/Patient?_count=x", "", "http._count", nil},
		{400, "GET", "/Patient?_page=x", "", "http._page", nil},
		{415, "POST", "/Patient", `{"resourceType":"Patient"}`, "http.Content-Encoding", []string{"Content-Encoding", "gzip"}},
		{415, "POST", "/Binary", "x", "http.Content-Encoding", []string{"Content-Type", "text/plain", "Content-Encoding", "br"}},
		{201, "POST", "/Patient", `{"resourceType":"Patient"}`, "", []string{"Content-Encoding", "identity"}},
		{410, "PATCH", "/Patient/gone", `[]`, "Patient.id", []string{"Content-Type", mediaPatch}},
		{409, "PUT", "/Patient/r", `{"resourceType":"Patient","id":"r","identifier":[{"system":"urn:mrn","value":"1"}]}`, "Patient.identifier", nil},
		{412, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`, "http.If-Match", []string{"If-Match", `W/"7"`}},
		{412, "PUT", "/Patient/p", `{"resourceType":"Patient","id":"p"}`, "http.If-None-Match", []string{"If-None-Match", "*"}},
		{412, "POST", "/Patient", `{"resourceType":"Patient"}`, "http.If-None-Exist", []string{"If-None-Exist", "given=A"}},
		{422, "PATCH", "/Patient/p", `[{"op":"test","path":"/name/0/given/1","value":"C"}]`, "Patient.name[0].given[1]", []string{"Content-Type", mediaPatch}},
		{422, "PATCH", "/Patient/p", `[{"op":"remove","path":"/Müller"}]`, "Patient", []string{"Content-Type", mediaPatch}},
		{422, "PATCH", "/Patient/p", `[{"op":"replace","path":"/id","value":"x"}]`, "Patient.id", []string{"Content-Type", mediaPatch}},
		{422, "PATCH", "/Patient/p", `[{"op":"add","path":"/gender","value":"x"}]`, "Patient.gender", []string{"Content-Type", mediaPatch}},
		{422, "PATCH", "/Patient/p", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.birthDate"},{"name":"value","valueDate":"2020-01-01"}]}]}`, "Parameters.parameter[0]", []string{"Content-Type", "application/fhir+json"}},
		{422, "PATCH", "/Patient/p", `<diff xmlns:f="http://hl7.org/fhir"><remove sel="f:Patient/f:gender"/></diff>`, "Patient", []string{"Content-Type", xml}},
		{400, "GET", "/Patient?birthdate=x", "", "http.birthdate", nil},
		{400, "GET", "/Patient?name:Smith=x", "", "http.name", nil},
		{400, "GET", "/Patient?_sort=Smith", "", "http._sort", nil},
		{400, "GET", "/Patient?organization.name:Smith=x", "", "http.organization", nil},
		{400, "GET", "/Patient?Smith=x", "", "", []string{"Prefer", "handling=strict"}},
		{404, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"Patient/none"}}]}`, "Bundle.entry[0].request.url", nil},
		{422, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W3sib3AiOiJ0ZXN0IiwicGF0aCI6Ii9uYW1lIiwidmFsdWUiOjF9XQ=="},"request":{"method":"PATCH","url":"Patient/p"}}]}`, "Bundle.entry[0].resource", nil},
		{400, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient?birthdate=x"}}]}`, "Bundle.entry[0].request.url", nil},
	} {
		w, n := a.do(c.method, c.path, c.body, c.headers...)
		if got := placesOf(n); w.Code != c.status || got != c.want {
			t.Errorf("%s %s: %d at %q, want %d at %q\n%s", c.method, c.path, w.Code, got, c.status, c.want, w.Body)
		}
	}
}
