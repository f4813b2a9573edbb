package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// An exchange is one request to the FHIR API and what has to come back. In path,
// headers and body {name} stands for what was saved under name.
type exchange struct {
	method, path, body string
	headers            []string // name, value
	status             int
	header             []string // name, a part of its value, or "-" where it must be missing
	has, lacks         []string // parts of the body
	save               string   // the id of the Location
}

const (
	sentJSON  = "application/fhir+json"
	sentXML   = "application/fhir+xml"
	sentForm  = "application/x-www-form-urlencoded"
	jsonPatch = "application/json-patch+json"
	xmlPatch  = "application/xml-patch+xml"
)

func pat(id, family, more string) string {
	if id != "" {
		id = `"id":"` + id + `",`
	}
	return `{"resourceType":"Patient",` + id + `"name":[{"family":"` + family + `"}]` + more + `}`
}

func obs(id, patient, code, date, value string) string {
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"` + code + `"}]},"subject":{"reference":"Patient/` + patient +
		`"},"effectiveDateTime":"` + date + `","valueQuantity":{"value":` + value + `,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"}}`
}

func tx(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

func put(resource, url string) string {
	return `{"resource":` + resource + `,"request":{"method":"PUT","url":"` + url + `"}}`
}

func ask(method, url string) string {
	return `{"request":{"method":"` + method + `","url":"` + url + `"}}`
}

// fhirExchanges are the cases, in the order in which they build on each other.
func fhirExchanges() map[string][]exchange {
	fhirPath := `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.gender"},{"name":"value","valueCode":"other"}]}]}`
	binary := `{"resourceType":"Binary","contentType":"` + jsonPatch + `","data":"` + base64.StdEncoding.EncodeToString([]byte(`[{"op":"add","path":"/active","value":true}]`)) + `"}`
	return map[string][]exchange{
		"1 instances": {
			{method: "POST", path: "/Patient", body: pat("", "Abel", `,"extension":[{"url":"urn:x","valueDecimal":7.20}]`), status: 201, save: "a", header: []string{"ETag", `W/"1"`, "Location", "/fhir/Patient/", "Last-Modified", "GMT", "Content-Type", sentJSON, "Cache-Control", "no-store"}, has: []string{`7.20`, `"versionId":"1"`, `"lastUpdated"`}},
			{method: "GET", path: "/Patient/{a}", status: 200, header: []string{"ETag", `W/"1"`}, has: []string{"Abel", "7.20"}},
			{method: "HEAD", path: "/Patient/{a}", status: 200, header: []string{"ETag", `W/"1"`, "Content-Length", ""}},
			{method: "GET", path: "/Patient/{a}", headers: []string{"If-None-Match", `W/"1"`}, status: 304},
			{method: "GET", path: "/Patient/{a}", headers: []string{"If-Modified-Since", "Tue, 01 Jan 2999 00:00:00 GMT"}, status: 304},
			{method: "GET", path: "/Patient/{a}", headers: []string{"If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT"}, status: 200},
			{method: "PUT", path: "/Patient/{a}", body: pat("{a}", "Abels", ""), status: 200, header: []string{"ETag", `W/"2"`}},
			{method: "PUT", path: "/Patient/{a}", body: pat("{a}", "Abels", ""), status: 200, header: []string{"ETag", `W/"2"`}},
			{method: "PUT", path: "/Patient/{a}", body: pat("{a}", "X", ""), headers: []string{"If-Match", `W/"1"`}, status: 412},
			{method: "PUT", path: "/Patient/{a}", body: pat("{a}", "X", ""), headers: []string{"If-None-Match", `*`}, status: 412},
			{method: "PUT", path: "/Patient/{a}", body: pat("other", "X", ""), status: 400},
			{method: "PUT", path: "/Patient/p1", body: pat("p1", "Berg", `,"gender":"female","birthDate":"1970-03-01","identifier":[{"system":"urn:mrn","value":"1"}]`), status: 201},
			{method: "PUT", path: "/Patient/p2", body: pat("p2", "Bergmann", `,"gender":"male","birthDate":"1980-03-01","identifier":[{"system":"urn:mrn","value":"2"}]`), status: 201},
			{method: "POST", path: "/Patient", body: pat("", "Thief", `,"identifier":[{"system":"urn:mrn","value":"1"}]`), status: 409, has: []string{"duplicate"}},
			{method: "GET", path: "/Patient/{a}/_history/1", status: 200, has: []string{"Abel"}, lacks: []string{"Abels"}},
			{method: "GET", path: "/Patient/{a}/_history/9", status: 404},
			{method: "DELETE", path: "/Patient/{a}", status: 204},
			{method: "DELETE", path: "/Patient/{a}", status: 204},
			{method: "GET", path: "/Patient/{a}", status: 410, has: []string{"OperationOutcome", "deleted"}},
			{method: "GET", path: "/Patient/{a}/_history/3", status: 410},
			{method: "PUT", path: "/Patient/{a}", body: pat("{a}", "Again", ""), status: 201, header: []string{"ETag", `W/"4"`}},
			{method: "PUT", path: "/Patient/{a}", body: pat("{a}", "Quiet", ""), headers: []string{"Prefer", "return=minimal"}, status: 200, header: []string{"ETag", `W/"5"`, "Content-Type", "-"}},
			{method: "PUT", path: "/Patient/{a}", body: pat("{a}", "Told", ""), headers: []string{"Prefer", "return=OperationOutcome"}, status: 200, has: []string{"OperationOutcome"}},
		},
		"2 conditional": {
			{method: "POST", path: "/Patient", body: pat("", "Cond", `,"identifier":[{"system":"urn:c","value":"1"}]`), headers: []string{"If-None-Exist", "identifier=urn:c|1"}, status: 201, save: "c"},
			{method: "POST", path: "/Patient", body: pat("", "Cond", `,"identifier":[{"system":"urn:c","value":"1"}]`), headers: []string{"If-None-Exist", "identifier=urn:c|1"}, status: 200, header: []string{"Location", "{c}"}},
			{method: "POST", path: "/Patient", body: pat("", "Berg", ""), headers: []string{"If-None-Exist", "family=berg"}, status: 412, has: []string{"multiple-matches"}},
			{method: "POST", path: "/Patient", body: pat("", "X", ""), headers: []string{"If-None-Exist", "nonsense=1"}, status: 400},
			{method: "PUT", path: "/Patient?identifier=urn:c|1", body: pat("", "Cond2", `,"identifier":[{"system":"urn:c","value":"1"}]`), status: 200, has: []string{"{c}"}},
			{method: "PUT", path: "/Patient?identifier=urn:c|2", body: pat("", "New", `,"identifier":[{"system":"urn:c","value":"2"}]`), status: 201},
			{method: "PUT", path: "/Patient?identifier=urn:c|1", body: pat("wrong", "X", ""), status: 400},
			{method: "PUT", path: "/Patient?family=berg", body: pat("", "X", ""), status: 412},
			{method: "PATCH", path: "/Patient?identifier=urn:c|1", body: `[{"op":"add","path":"/gender","value":"male"}]`, headers: []string{"Content-Type", jsonPatch}, status: 200, has: []string{`"gender":"male"`}},
			{method: "DELETE", path: "/Patient?identifier=urn:c|2", status: 204},
			{method: "DELETE", path: "/Patient?identifier=urn:c|2", status: 204},
			{method: "DELETE", path: "/Patient?family=berg", status: 412},
			{method: "DELETE", path: "/Patient", status: 400},
		},
		"3 patch": {
			{method: "PATCH", path: "/Patient/p1", body: `[{"op":"replace","path":"/gender","value":"male"}]`, headers: []string{"Content-Type", jsonPatch}, status: 200, has: []string{`"gender":"male"`}},
			{method: "PATCH", path: "/Patient/p1", body: fhirPath, status: 200, has: []string{`"gender":"other"`}},
			{method: "PATCH", path: "/Patient/p1", body: `<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:gender/@value">female</replace></diff>`, headers: []string{"Content-Type", xmlPatch}, status: 200, has: []string{`"gender":"female"`}},
			{method: "PATCH", path: "/Patient/p1", body: fhirPath, headers: []string{"If-Match", `W/"1"`}, status: 412},
			{method: "PATCH", path: "/Patient/p1", body: `[{"op":"test","path":"/gender","value":"x"}]`, headers: []string{"Content-Type", jsonPatch}, status: 422},
			{method: "PATCH", path: "/Patient/p1", body: `x`, headers: []string{"Content-Type", "text/plain"}, status: 415, header: []string{"Accept-Patch", xmlPatch}},
			{method: "PATCH", path: "/Patient/none", body: fhirPath, status: 404},
		},
		"4 search": {
			{method: "PUT", path: "/Observation/o1", body: obs("o1", "p1", "718-7", "2026-01-01", "5.40"), status: 201},
			{method: "PUT", path: "/Observation/o2", body: obs("o2", "p1", "718-7", "2026-01-02", "6.1"), status: 201},
			{method: "PUT", path: "/Observation/o3", body: obs("o3", "p2", "4548-4", "2026-01-03", "7"), status: 201},
			{method: "GET", path: "/Patient?family=bergmann", status: 200, has: []string{`"searchset"`, `"p2"`, `"mode":"match"`, `"self"`}, lacks: []string{`"id":"p1"`}},
			{method: "GET", path: "/Patient?identifier=urn:mrn|1", status: 200, has: []string{`"id":"p1"`}, lacks: []string{`"id":"p2"`}},
			{method: "GET", path: "/Patient?birthdate=ge1975&family=berg", status: 200, has: []string{`"id":"p2"`}, lacks: []string{`"id":"p1"`}},
			{method: "GET", path: "/Patient?family:exact=berg", status: 200, lacks: []string{`"entry"`}},
			{method: "GET", path: "/Patient?gender:not=male&family=berg", status: 200, has: []string{`"id":"p1"`}, lacks: []string{`"id":"p2"`}},
			{method: "GET", path: "/Observation?patient=p1&code=http://loinc.org|718-7&_sort=-date", status: 200, has: []string{`"o2"`, `"o1"`}, lacks: []string{`"id":"o3"`}},
			{method: "GET", path: "/Observation?patient.identifier=urn:mrn|2", status: 200, has: []string{`"id":"o3"`}, lacks: []string{`"id":"o1"`}},
			{method: "GET", path: "/Observation?value-quantity=5.4", status: 200, has: []string{`"id":"o1"`, "5.40"}, lacks: []string{`"id":"o2"`}},
			{method: "GET", path: "/Patient?_has:Observation:patient:code=4548-4", status: 200, has: []string{`"id":"p2"`}, lacks: []string{`"id":"p1"`}},
			{method: "GET", path: "/Observation?_id=o1&_include=Observation:subject", status: 200, has: []string{`"id":"p1"`, `"mode":"include"`}},
			{method: "GET", path: "/Patient?_id=p1&_revinclude=Observation:patient", status: 200, has: []string{`"id":"o1"`, `"id":"o2"`}, lacks: []string{`"id":"o3"`}},
			{method: "GET", path: "/Patient/p1/Observation?code=718-7", status: 200, has: []string{`"id":"o1"`}, lacks: []string{`"id":"o3"`}},
			{method: "GET", path: "/Patient/p1/*?_type=Observation", status: 200, has: []string{`"id":"o1"`}, lacks: []string{`"id":"p1"`}},
			{method: "POST", path: "/Patient/_search", body: "family=bergmann", headers: []string{"Content-Type", sentForm}, status: 200, has: []string{`"id":"p2"`}},
			{method: "POST", path: "/Patient/p1/Observation/_search", body: "code=718-7", headers: []string{"Content-Type", sentForm}, status: 200, has: []string{`"id":"o1"`}},
			{method: "GET", path: "/Observation?_summary=count", status: 200, has: []string{`"total":3`}, lacks: []string{`"entry"`}},
			{method: "GET", path: "/Observation?_count=1&_total=accurate&_sort=date", status: 200, has: []string{`"total":3`, `"next"`, `"id":"o1"`}, lacks: []string{`"id":"o2"`}},
			{method: "GET", path: "/Patient?_id=p1&_elements=gender", status: 200, has: []string{"SUBSETTED", "gender"}, lacks: []string{"Berg"}},
			{method: "GET", path: "/Patient?nonsense=1&_id=p1", status: 200, has: []string{`"id":"p1"`}, lacks: []string{"nonsense"}},
			{method: "GET", path: "/Patient?nonsense=1", headers: []string{"Prefer", "handling=strict"}, status: 400},
			{method: "GET", path: "/Patient?family:sounds=x", status: 400},
			{method: "GET", path: "/Patient?birthdate=yesterday", status: 400},
			{method: "GET", path: "/Patient?_page=AAAA", status: 400},
			{method: "GET", path: "/Patient?link.link.link.link.family=x", status: 400},
			{method: "GET", path: "/Patient?family=" + strings.Repeat("x,", 3000), status: 400, has: []string{"too-costly"}},
		},
		"5 bundles": {
			{method: "POST", path: "/", body: tx("transaction", `{"fullUrl":"urn:uuid:1","resource":`+pat("", "Tx", "")+`,"request":{"method":"POST","url":"Patient","ifNoneExist":"family=tx"}}`,
				`{"resource":{"resourceType":"Observation","id":"t1","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:1"}},"request":{"method":"PUT","url":"Observation/t1"}}`), status: 200, has: []string{"transaction-response", "201 Created", `"reference":"Patient/`}},
			{method: "POST", path: "/", body: tx("transaction", `{"resource":`+fhirPath+`,"request":{"method":"PATCH","url":"Patient/p1"}}`, ask("GET", "Patient/p1")), status: 200, has: []string{`"gender":"other"`}},
			{method: "POST", path: "/", body: tx("batch", `{"resource":`+binary+`,"request":{"method":"PATCH","url":"Patient/p1"}}`, ask("DELETE", "Observation/t1"), ask("GET", "Patient/none"), ask("GET", "Patient?_id=p1")), status: 200, has: []string{"batch-response", "200 OK", "204 No Content", "404 Not Found", "searchset"}},
			{method: "GET", path: "/Patient/p1", status: 200, has: []string{`"active":true`}},
			{method: "POST", path: "/", body: tx("transaction", put(pat("half", "Half", ""), "Patient/half"), put(`{"resourceType":"Observation","id":"half"}`, "Observation/half")), status: 422},
			{method: "GET", path: "/Patient/half", status: 404},
			{method: "POST", path: "/", body: tx("transaction", put(pat("p1", "X", ""), "Patient/p1"), put(pat("p1", "Y", ""), "Patient/p1")), status: 400},
			{method: "POST", path: "/", body: tx("transaction", `{"resource":`+pat("p1", "X", "")+`,"request":{"method":"PUT","url":"Patient/p1","ifMatch":"W/\"1\""}}`), status: 412},
			{method: "POST", path: "/", body: tx("collection"), status: 400},
			{method: "POST", path: "/", body: pat("", "X", ""), status: 400},
		},
		"6 history": {
			{method: "GET", path: "/Patient/{a}/_history", status: 200, has: []string{`"history"`, `"total":6`, `"DELETE"`, `"POST"`, "Abel"}},
			{method: "GET", path: "/Patient/{a}/_history?_count=2", status: 200, has: []string{`"next"`}},
			{method: "GET", path: "/Observation/_history?_count=100", status: 200, has: []string{`"o1"`, `"t1"`}, lacks: []string{`"resourceType":"Patient"`}},
			{method: "GET", path: "/_history?_count=100", status: 200, has: []string{`"resourceType":"Patient"`, `"resourceType":"Observation"`}},
			{method: "GET", path: "/_history?_since=2999-01-01T00:00:00Z", status: 200, lacks: []string{`"entry"`}},
			{method: "GET", path: "/Patient/_history?_at=2001", status: 200, lacks: []string{`"entry"`}},
			{method: "GET", path: "/_history?_since=soon", status: 400},
			{method: "GET", path: "/Patient/never/_history", status: 404},
		},
		"7 formats": {
			{method: "GET", path: "/Patient/p2", headers: []string{"Accept", sentXML}, status: 200, header: []string{"Content-Type", sentXML}, has: []string{`<family value="Bergmann"/>`}},
			{method: "GET", path: "/Patient/p2?_format=xml", headers: []string{"Accept", sentJSON}, status: 200, header: []string{"Content-Type", sentXML}},
			{method: "GET", path: "/Patient?_id=p2&_format=xml&_pretty=true", status: 200, has: []string{"\n  <entry>", "Bergmann"}},
			{method: "GET", path: "/Patient/p2?_pretty=true", status: 200, has: []string{"\n  \"id\": \"p2\""}},
			{method: "PUT", path: "/Patient/x1", body: `<Patient xmlns="http://hl7.org/fhir"><id value="x1"/><name><family value="Xml"/></name></Patient>`, headers: []string{"Content-Type", sentXML}, status: 201, header: []string{"Content-Type", sentXML}},
			{method: "GET", path: "/Patient/x1", status: 200, has: []string{`"family":"Xml"`}},
			{method: "GET", path: "/Patient/p2", headers: []string{"Accept", "text/turtle"}, status: 406},
			{method: "POST", path: "/Patient", body: "x", headers: []string{"Content-Type", "text/turtle"}, status: 415},
			{method: "POST", path: "/Patient", body: pat("", "X", ""), headers: []string{"Content-Type", "application/fhir+json; fhirVersion=3.0"}, status: 415},
			{method: "POST", path: "/Patient", body: `<!DOCTYPE x [<!ENTITY e "x">]><Patient xmlns="http://hl7.org/fhir"/>`, headers: []string{"Content-Type", sentXML}, status: 400},
			{method: "POST", path: "/?_format=xml", body: tx("batch", ask("GET", "Patient/none"), ask("GET", "Patient/p2")), status: 200, header: []string{"Content-Type", sentXML}, has: []string{"<outcome><OperationOutcome><issue>", "Bergmann"}},
			{method: "POST", path: "/Bundle", body: `<Bundle xmlns="http://hl7.org/fhir"><type value="batch-response"/><entry><response><status value="404"/><outcome><OperationOutcome><issue><severity value="error"/><code value="not-found"/></issue></OperationOutcome></outcome></response></entry></Bundle>`, headers: []string{"Content-Type", sentXML}, status: 201, has: []string{"<outcome><OperationOutcome><issue>"}},
			{method: "POST", path: "/Patient", body: pat("", "X", ""), headers: []string{"Content-Encoding", "gzip"}, status: 415},
			{method: "POST", path: "/Binary", body: "%PDF-1.4 …", headers: []string{"Content-Type", "application/pdf"}, status: 201, save: "b"},
			{method: "GET", path: "/Binary/{b}", status: 200, header: []string{"Content-Type", "application/pdf", "Content-Security-Policy", "sandbox"}, has: []string{"%PDF-1.4 …"}},
			{method: "GET", path: "/Binary/{b}", headers: []string{"Accept", sentJSON}, status: 200, has: []string{`"contentType":"application/pdf"`, `"data":"`}},
		},
		"7 terms and names": {
			{method: "PUT", path: "/ValueSet/lab", body: `{"resourceType":"ValueSet","id":"lab","status":"active","url":"http://x.example/vs","compose":{"include":[{"system":"http://loinc.org","concept":[{"code":"4548-4"}]}]}}`, status: 201},
			{method: "GET", path: "/Observation?code:in=http://x.example/vs", status: 200, has: []string{`"id":"o3"`}, lacks: []string{`"id":"o1"`}},
			{method: "GET", path: "/Observation?code:not-in=http://x.example/vs&patient=p1", status: 200, has: []string{`"id":"o1"`}, lacks: []string{`"id":"o3"`}},
			{method: "GET", path: "/Observation?code:in=http://x.example/none", status: 400, has: []string{"not-found"}},
			{method: "GET", path: "/Observation?status:below=http://hl7.org/fhir/observation-status|final&patient=p2", status: 200, has: []string{`"id":"o3"`}},
			{method: "GET", path: "/Observation?code:below=http://loinc.org|4548-4", status: 400, has: []string{"not-found"}},
			{method: "GET", path: "/Observation?_id:not=o1&patient=p1", status: 200, lacks: []string{`"id":"o1"`}},
			{method: "PUT", path: "/Observation/low", body: strings.Replace(obs("low", "p1", "x-1", "2026-01-01", "5"), `"value":5`, `"value":5,"comparator":"<"`, 1), status: 201},
			{method: "GET", path: "/Observation?code=x-1&value-quantity=lt5", status: 200, has: []string{`"id":"low"`}},
			{method: "PUT", path: "/Organization/whole", body: `{"resourceType":"Organization","id":"whole","name":"Whole"}`, status: 201},
			{method: "PUT", path: "/Organization/part", body: `{"resourceType":"Organization","id":"part","name":"Part","partOf":{"reference":"Organization/whole"}}`, status: 201},
			{method: "PUT", path: "/Patient/ofpart", body: pat("ofpart", "Of", `,"managingOrganization":{"reference":"Organization/part"}`), status: 201},
			{method: "GET", path: "/Patient?organization:below=whole", status: 200, has: []string{`"id":"ofpart"`}},
			{method: "GET", path: "/Observation?_sort=-code&_count=2&patient=p1", status: 200, has: []string{`"id":"o1"`}},
			{method: "PUT", path: "/MedicationRequest/mr", body: `{"resourceType":"MedicationRequest","id":"mr","status":"active","intent":"order","contained":[{"resourceType":"Medication","id":"m","code":{"coding":[{"system":"urn:d","code":"x"}]}}],"medicationReference":{"reference":"#m"},"subject":{"reference":"Patient/p1"}}`, status: 201},
			{method: "GET", path: "/Medication?code=x", status: 200, lacks: []string{`"entry"`}},
			{method: "GET", path: "/Medication?code=x&_contained=true", status: 200, has: []string{`"id":"mr"`}},
			{method: "GET", path: "/Medication?code=x&_contained=both&_containedType=contained", status: 200, has: []string{`MedicationRequest/mr#m"`}, lacks: []string{`"id":"mr"`}},
			{method: "GET", path: "/MedicationRequest?medication.code=x", status: 200, has: []string{`"id":"mr"`}},
			{method: "PUT", path: "/Questionnaire/q", body: `{"resourceType":"Questionnaire","id":"q","status":"active","url":"http://x.example/q","version":"2","title":"Form"}`, status: 201},
			{method: "PUT", path: "/QuestionnaireResponse/qr", body: `{"resourceType":"QuestionnaireResponse","id":"qr","status":"completed","questionnaire":"http://x.example/q|2"}`, status: 201},
			{method: "GET", path: "/QuestionnaireResponse?questionnaire.title=form&_include=*", status: 200, has: []string{`"id":"qr"`, `"id":"q"`}},
			{method: "GET", path: "/Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed&_revinclude=QuestionnaireResponse:questionnaire", status: 200, has: []string{`"id":"qr"`, `"id":"q"`}},
		},
		"8 errors": {
			{method: "GET", path: "/Patient/none", status: 404, has: []string{`"expression":["Patient.id"]`}},
			{method: "GET", path: "/Patient?birthdate=yesterday", status: 400, has: []string{`"location":["http.birthdate"]`}},
			{method: "GET", path: "/Nonsense/1", status: 404, has: []string{"OperationOutcome"}},
			{method: "GET", path: "/Patient/none", status: 404},
			{method: "GET", path: "/Patient/" + strings.Repeat("a", 65), status: 404},
			{method: "POST", path: "/Patient", body: "{", status: 400},
			{method: "POST", path: "/Patient", body: `{"resourceType":"Observation"}`, status: 400},
			{method: "POST", path: "/Patient", body: pat("", "x", `,"active":"yes"`), status: 422, has: []string{"Patient.active"}},
			{method: "POST", path: "/Observation", body: `{"resourceType":"Observation","status":"final"}`, status: 422},
			{method: "POST", path: "/Patient", body: pat("", "x", `,"meta":{"project":"urn:x"}`), status: 422, has: []string{"Patient.meta"}},
			{method: "POST", path: "/DetectedIssue", body: `{"resourceType":"DetectedIssue","status":"registered"}`, status: 201},
			{method: "GET", path: "/_history?_since=x", status: 400, has: []string{`"location":["http._since"]`}},
			{method: "POST", path: "/Patient", body: pat("", strings.Repeat("x", 17<<20), ""), status: 413},
			{method: "LINK", path: "/Patient/p1", status: 405, header: []string{"Allow", "PATCH"}},
			{method: "OPTIONS", path: "/Patient/p1", status: 204, header: []string{"Allow", "PATCH", "Accept-Patch", xmlPatch, "Access-Control-Allow-Origin", "-"}},
			{method: "GET", path: "/metadata", status: 200, has: []string{"CapabilityStatement", `"4.0.1"`, "history-system", xmlPatch}},
		},
	}
}

// TestFHIRConformance asks a running engine, over both stores.
func TestFHIRConformance(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s := newSite(t, database)
		engine := s.mustReady()
		saved := map[string]string{}
		n := 0
		groups := fhirExchanges()
		for i := range len(groups) {
			for name, list := range groups {
				if name[0] != byte('1'+i) {
					continue
				}
				t.Run(name, func(t *testing.T) {
					for k := range list {
						list[k].run(t, s, saved)
						n++
					}
				})
			}
		}
		t.Logf("%d exchanges", n)
		t.Run("races", func(t *testing.T) { fhirRaces(t, s) })
		engine.stop()
	})
}

// fhir sends one request to the API.
func (s *site) fhir(method, path, body string, headers ...string) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.http+"/fhir"+path, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if body != "" {
		r.Header.Set("Content-Type", sentJSON)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Timeout: 2 * time.Minute}
	response, err := client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	return response, all, err
}

func (e *exchange) run(t *testing.T, s *site, saved map[string]string) {
	t.Helper()
	pairs := make([]string, 0, 2*len(saved))
	for name, value := range saved {
		pairs = append(pairs, "{"+name+"}", value)
	}
	fill := strings.NewReplacer(pairs...)
	var headers []string
	for _, h := range e.headers {
		headers = append(headers, fill.Replace(h))
	}
	path := strings.NewReplacer("|", "%7C", " ", "%20").Replace(fill.Replace(e.path))
	what := e.method + " " + path[:min(len(path), 80)]
	response, body, err := s.fhir(e.method, path, fill.Replace(e.body), headers...)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	shown := body[:min(len(body), 600)]
	if response.StatusCode != e.status {
		t.Errorf("%s: %d, want %d\n%s", what, response.StatusCode, e.status, shown)
		return
	}
	if e.status >= 400 && e.method != http.MethodHead && !bytes.Contains(body, []byte("OperationOutcome")) {
		t.Errorf("%s: an error without OperationOutcome: %s", what, shown)
	}
	for i := 0; i+1 < len(e.header); i += 2 {
		got, there := response.Header.Get(e.header[i]), len(response.Header.Values(e.header[i])) > 0
		if want := fill.Replace(e.header[i+1]); want == "-" && there || want != "-" && (!there || !strings.Contains(got, want)) {
			t.Errorf("%s: %s is %q, want %q", what, e.header[i], got, want)
		}
	}
	for _, part := range e.has {
		if !bytes.Contains(body, []byte(fill.Replace(part))) {
			t.Errorf("%s: lacks %q\n%s", what, part, shown)
		}
	}
	for _, part := range e.lacks {
		if bytes.Contains(body, []byte(fill.Replace(part))) {
			t.Errorf("%s: has %q\n%s", what, part, shown)
		}
	}
	if e.save != "" {
		place := strings.Split(response.Header.Get("Location"), "/")
		if len(place) < 4 {
			t.Fatalf("%s: no Location", what)
		}
		saved[e.save] = place[len(place)-3]
	}
}

// fhirRaces lets many write the same at once.
func fhirRaces(t *testing.T, s *site) {
	count := func(n int, do func(i int) int) map[int]int {
		var all sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		for i := range n {
			all.Go(func() {
				code := do(i)
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
		all.Wait()
		return codes
	}
	send := func(method, path, body string, headers ...string) int {
		response, _, err := s.fhir(method, path, body, headers...)
		if err != nil {
			t.Error(err)
			return 0
		}
		return response.StatusCode
	}
	entries := func(path string) int {
		var b bundle
		if status, _ := s.get("/fhir"+path, &b); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
		return len(b.Entry)
	}
	t.Run("of 64 conditional creates one creates", func(t *testing.T) {
		codes := count(64, func(i int) int {
			return send("POST", "/Patient", pat("", fmt.Sprint("R", i), `,"identifier":[{"system":"urn:race","value":"1"}]`), "If-None-Exist", "identifier=urn:race|1")
		})
		if codes[201] != 1 || codes[200] != 63 || entries("/Patient?identifier=urn:race%7C1") != 1 {
			t.Errorf("answers %v, %d resources", codes, entries("/Patient?identifier=urn:race%7C1"))
		}
	})
	t.Run("of 32 conditional creates by other criteria one creates", func(t *testing.T) {
		codes := count(32, func(i int) int {
			return send("POST", "/Patient", pat("", "Same", fmt.Sprintf(`,"identifier":[{"system":"urn:race","value":"2"},{"system":"urn:other","value":"%d"}]`, i)), "If-None-Exist", fmt.Sprintf("identifier=urn:race|2,urn:other|%d", i))
		})
		if codes[201] != 1 || codes[200] != 31 || entries("/Patient?identifier=urn:race%7C2") != 1 {
			t.Errorf("answers %v", codes)
		}
	})
	t.Run("of 16 updates that name a version one wins", func(t *testing.T) {
		if code := send("PUT", "/Patient/race", pat("race", "First", "")); code != 201 {
			t.Fatalf("%d", code)
		}
		codes := count(16, func(i int) int {
			return send("PUT", "/Patient/race", pat("race", fmt.Sprint("W", i), ""), "If-Match", `W/"1"`)
		})
		if codes[200] != 1 || codes[412] != 15 {
			t.Errorf("answers %v", codes)
		}
	})
	t.Run("updates and patches that name none are all done", func(t *testing.T) {
		codes := count(24, func(i int) int {
			return send("PATCH", "/Patient/race", fmt.Sprintf(`[{"op":"add","path":"/name/-","value":{"text":"n%d"}}]`, i), "Content-Type", jsonPatch)
		})
		_, body := s.get("/fhir/Patient/race", nil)
		var patient struct{ Name []any }
		if err := json.Unmarshal(body, &patient); err != nil || codes[200] != 24 || len(patient.Name) != 25 {
			t.Errorf("answers %v, %d names (%v)", codes, len(patient.Name), err)
		}
	})
	t.Run("transactions over the same resources in any order", func(t *testing.T) {
		const resources, writers = 6, 24
		codes := count(writers, func(i int) int {
			var list []string
			for k := range resources {
				id := fmt.Sprint("d", (k*(1+2*(i%3))+i)%resources)
				list = append(list, put(pat(id, fmt.Sprint("T", i), fmt.Sprintf(`,"identifier":[{"system":"urn:d","value":%q}]`, id)), "Patient/"+id))
			}
			seen, distinct := map[string]bool{}, []string(nil)
			for _, e := range list {
				url := e[strings.LastIndex(e, "Patient/"):]
				if !seen[url] {
					seen[url] = true
					distinct = append(distinct, e)
				}
			}
			return send("POST", "/", tx("transaction", distinct...))
		})
		if codes[200] != writers || entries("/Patient?identifier=urn:d%7C") != resources {
			t.Errorf("answers %v, %d resources", codes, entries("/Patient?identifier=urn:d%7C"))
		}
	})
}
