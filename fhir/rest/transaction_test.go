package rest

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// transact sends a transaction of entries.
func (a *api) transact(status int, entries ...string) (*httptest.ResponseRecorder, *fhir.Node) {
	a.t.Helper()
	return a.want(status, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
}

// entryOf is an entry of a Bundle; more are further members of its request.
func entryOf(full, method, url, resource string, more ...string) string {
	if full != "" {
		full = `"fullUrl":"` + full + `",`
	}
	if resource != "" {
		resource = `"resource":` + resource + `,`
	}
	return `{` + full + resource + `"request":{"method":"` + method + `","url":"` + url + `"` + strings.Join(more, "") + `}}`
}

// idIn is the id of the resource that an entry of an answer is about.
func idIn(n *fhir.Node, entry int) string {
	parts := strings.Split(text(n.Get("entry").Items[entry].Get("response"), "location"), "/")
	if len(parts) < 4 {
		return ""
	}
	return parts[1]
}

// subject is what a resource refers to.
func (a *api) subject(path string) string {
	a.t.Helper()
	_, n := a.want(200, "GET", path, "")
	return text(n.Get("subject"), "reference")
}

func condition(subject, more string) string {
	return `{"resourceType":"Condition","subject":{"reference":"` + subject + `"}` + more + `}`
}

// TestDeletedFirst: what a transaction deletes is not there for its other entries
// (http.html#trules).
func TestDeletedFirst(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		owner := func(id string) string {
			return patientJSON(id, "Owner", `,"identifier":[{"system":"urn:s","value":"DD"}]`)
		}
		remove := entryOf("", "DELETE", "Patient/dd1", "")
		create := entryOf("urn:uuid:1", "POST", "Patient", owner(""), `,"ifNoneExist":"identifier=urn:s|DD"`)
		for name, second := range map[string]string{
			"create if there is none": create,
			"create":                  entryOf("urn:uuid:1", "POST", "Patient", owner("")),
			"update by criteria":      entryOf("urn:uuid:1", "PUT", "Patient?identifier=urn:s|DD", owner("")),
		} {
			a.want(201, "PUT", "/Patient/dd1", owner("dd1"))
			_, n := a.transact(200, entryOf("", "POST", "Condition", condition("urn:uuid:1", "")), second, remove)
			if got := statuses(n); got != "201 201 204" {
				t.Errorf("%s: %s", name, got)
			}
			id := idIn(n, 1)
			if got := a.subject("/Condition/" + idIn(n, 0)); got != "Patient/"+id || id == "dd1" {
				t.Errorf("%s: the condition is that of %s, the patient %s", name, got, id)
			}
			if got := a.found("Patient?identifier=urn:s|DD"); got != id {
				t.Errorf("%s: %s was found, want %s", name, got, id)
			}
			a.want(409, "PUT", "/Patient/dd1", owner("dd1"))
			a.transact(200, entryOf("", "DELETE", "Patient/"+id, ""), entryOf("", "PUT", "Patient/dd1", owner("dd1")))
			a.want(200, "GET", "/Patient/dd1", "")
			a.want(204, "DELETE", "/Patient/dd1", "")
		}
		// What is deleted gives its identifiers to who comes with them later.
		for _, headers := range [][]string{nil, {"If-None-Exist", "identifier=urn:s|DD"}} {
			_, n := a.want(201, "POST", "/Patient", owner(""), headers...)
			a.want(409, "PUT", "/Patient/dd1", owner("dd1"))
			a.want(204, "DELETE", "/Patient/"+text(n, "id"), "")
		}
		a.want(201, "PUT", "/Patient/dd1", owner("dd1"))
		w, _ := a.do("POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+remove+","+create+`]}`, "Accept", "application/fhir+xml")
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/fhir+xml") || !strings.HasPrefix(w.Body.String(), "<") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// TestOverlaps: a resource that an entry writes or deletes is that of no other
// entry, whatever is there already (http.html#trules).
func TestOverlaps(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		family := func(id string) string { return patientJSON(id, "Z", "") }
		byID := func(method string) string {
			body := ""
			if method == "PUT" {
				body = patientJSON("z1", "Z", `,"gender":"male"`)
			}
			return entryOf("", method, "Patient/z1", body)
		}
		ifNone := entryOf("", "POST", "Patient", family(""), `,"ifNoneExist":"family=z"`)
		update := entryOf("", "PUT", "Patient?family=z", family(""))
		for _, there := range []string{"never", "now", "deleted"} {
			switch there {
			case "now":
				a.want(201, "PUT", "/Patient/z1", family("z1"))
				a.transact(400, byID("PUT"), ifNone)
				a.transact(400, ifNone, byID("PUT"))
				a.transact(400, byID("PUT"), update)
				a.transact(400, ifNone, update)
				a.transact(400, byID("DELETE"), entryOf("", "DELETE", "Patient?family=z", ""))
				_, n := a.transact(200, ifNone, ifNone)
				if got := statuses(n); got != "200 200" {
					t.Error(got)
				}
			case "deleted":
				a.want(204, "DELETE", "/Patient/z1", "")
			}
			for _, first := range []string{"PUT", "DELETE"} {
				for _, second := range []string{"PUT", "DELETE"} {
					_, n := a.transact(400, byID(first), byID(second))
					if at := n.Get("issue").Items[0].Get("expression").Items[0].Text; !strings.HasPrefix(at, "Bundle.entry[") {
						t.Errorf("the place is %s", at)
					}
				}
			}
			if there != "now" {
				a.transact(400, ifNone, update)
				a.transact(400, ifNone, ifNone)
			}
		}
	})
}

// TestLinksInTransactions: what points to an entry points to its resource after
// the commit (bundle.html#references, http.html#trules).
func TestLinksInTransactions(t *testing.T) {
	a := newAPI(t)
	a.put(patientJSON("77", "Local", ""), patientJSON("old", "Old", ""))
	a.want(200, "PUT", "/Patient/old", patientJSON("old", "Old", `,"gender":"male"`))
	urn := entryOf("urn:uuid:2f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11", "POST", "Patient", patientJSON("", "Urn", ""), `,"ifNoneExist":"family=never&name=urn"`)
	found := entryOf("urn:uuid:3f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11", "POST", "Patient", patientJSON("", "Old", ""), `,"ifNoneExist":"family=old"`)
	for name, c := range map[string]struct{ full, subject, want string }{
		"relative to the same server":   {"http://other/fhir/Condition/1", "Patient/77", "Patient/{0}"},
		"relative to another server":    {"http://third/fhir/Condition/1", "Patient/77", "Patient/77"},
		"relative to a new condition":   {"urn:uuid:4f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11", "Patient/77", "Patient/77"},
		"relative to no full URL":       {"", "Patient/77", "Patient/77"},
		"absolute":                      {"", "http://other/fhir/Patient/77", "Patient/{0}"},
		"a version of the same server":  {"http://other/fhir/Condition/1", "Patient/77/_history/5", "Patient/{0}/_history/1"},
		"a version":                     {"", "urn:uuid:2f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11/_history/1", "Patient/{1}/_history/1"},
		"a version of what was found":   {"", "urn:uuid:3f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11/_history/1", "Patient/old/_history/2"},
		"a fragment":                    {"", "urn:uuid:2f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11#part", "Patient/{1}#part"},
		"the criteria of an entry":      {"", "Patient?name=urn&family=never", "Patient/{1}"},
		"criteria that find an entry's": {"", "Patient?family=old", "Patient/old"},
		"criteria that an entry meets":  {"", "Patient?identifier=urn:s|{name}", "Patient/{0}"},
	} {
		value := strings.ReplaceAll(name, " ", "")
		c.subject = strings.Replace(c.subject, "{name}", value, 1)
		patient := entryOf("http://other/fhir/Patient/77", "POST", "Patient", patientJSON("", "New", `,"identifier":[{"system":"urn:s","value":"`+value+`"}]`))
		_, n := a.transact(200, patient, urn, found, entryOf(c.full, "POST", "Condition", condition(c.subject, "")))
		want := strings.NewReplacer("{0}", idIn(n, 0), "{1}", idIn(n, 1)).Replace(c.want)
		if got := a.subject("/Condition/" + idIn(n, 3)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	a.transact(400, entryOf("", "POST", "Condition", condition("urn:uuid:5f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11#part", "")))
}

// TestLinksBesidesReferences: elements of types of URI and narratives are resolved
// too; names are not.
func TestLinksBesidesReferences(t *testing.T) {
	a := newAPI(t)
	const id = "urn:uuid:2f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11"
	patient := entryOf(id, "POST", "Patient", patientJSON("", "Urn", ""))
	body := `{"resourceType":"Condition","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"` + id + `\">` + id + `</a> <img src='` + id + `' alt='x'/></div>"},` +
		`"contained":[{"resourceType":"Group","id":"g","type":"person","actual":true,"member":[{"entity":{"reference":"` + id + `"}}]}],` +
		`"extension":[{"url":"urn:x:uri","valueUri":"` + id + `"},{"url":"urn:x:url","valueUrl":"` + id + `"},{"url":"urn:x:uuid","valueUuid":"` + id + `"},` +
		`{"url":"urn:x:canonical","valueCanonical":"` + id + `"},{"url":"urn:x:string","valueString":"` + id + `"},{"url":"` + id + `","valueBoolean":true}],` +
		`"identifier":[{"system":"` + id + `","value":"` + id + `"}],"code":{"coding":[{"system":"` + id + `","code":"x"}]},` +
		`"subject":{"reference":"` + id + `","_reference":{"extension":[{"url":"urn:x","valueUri":"` + id + `"}]}},"evidence":[{"detail":[{"reference":"` + id + `"},{"reference":"#g"}]}]}`
	document := `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:6f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11","resource":` + patientJSON("", "In", "") +
		`},{"fullUrl":"urn:uuid:7f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11","resource":` + condition("urn:uuid:6f0c3c57-4ff2-4c1c-9b0b-6b7d7f6a9f11", "") + `}]}`
	_, n := a.transact(200, entryOf("", "POST", "Condition", body), patient, entryOf("", "POST", "Bundle", document))
	w, _ := a.want(200, "GET", "/Condition/"+idIn(n, 0), "")
	place := "Patient/" + idIn(n, 1)
	got := w.Body.String()
	got = `{"resourceType":"Condition",` + got[strings.Index(got, `"text":`):]
	want := body
	for _, one := range []string{`href=\"%"`, `src='%'`, `"reference":"%"`, `"valueUri":"%"`, `"valueUrl":"%`, `"valueUuid":"%"`} {
		one = strings.Replace(one, `%"`, `%`, 1)
		want = strings.ReplaceAll(want, strings.Replace(one, "%", id, 1), strings.Replace(one, "%", place, 1))
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if w, _ := a.want(200, "GET", "/Bundle/"+idIn(n, 2), ""); !strings.Contains(w.Body.String(), `"reference":"urn:uuid:6f0c`) {
		t.Errorf("what is within a Bundle was changed: %s", w.Body)
	}
}

// TestReadsOfTransactions: where a read of a transaction fails, nothing is done;
// else it sees what the transaction has written (http.html#trules).
func TestReadsOfTransactions(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		a.put(patientJSON("p", "Was", ""), patientJSON("gone", "Gone", ""), patientJSON("going", "Going", ""))
		a.want(204, "DELETE", "/Patient/gone", "")
		write := entryOf("", "POST", "Patient", patientJSON("", "Written", ""))
		remove := entryOf("", "DELETE", "Patient/going", "")
		for _, c := range []struct {
			status      int
			method, url string
		}{
			{404, "GET", "Patient/none"},
			{404, "HEAD", "Patient/none"},
			{410, "GET", "Patient/gone"},
			{410, "GET", "Patient/going"},
			{404, "GET", "Patient/p/_history/7"},
			{400, "GET", "Patient?birthdate=never"},
			{404, "GET", "Patient/p/_nothing"},
		} {
			for _, more := range [][]string{{write, remove}, nil} {
				if c.url == "Patient/going" && more == nil {
					continue
				}
				_, n := a.transact(c.status, append(more, entryOf("", c.method, c.url, ""))...)
				at := n.Get("issue").Items[0].Get("expression").Items[0].Text
				if want := fmt.Sprint("Bundle.entry[", len(more), "].request.url"); at != want {
					t.Errorf("%s: the place is %s, want %s", c.url, at, want)
				}
			}
		}
		if got := a.found("Patient?family=written,going"); got != "going" {
			t.Errorf("after refusals there are %s", got)
		}
		_, n := a.transact(200, write, remove, entryOf("", "PUT", "Patient/fresh", patientJSON("fresh", "Fresh", "")), entryOf("", "GET", "Patient/fresh", ""),
			entryOf("", "GET", "Patient?family=written,going,fresh", ""), entryOf("", "GET", "Patient/p", "", `,"ifNoneMatch":"W/\"1\""`), entryOf("", "GET", "Patient/going/_history", ""))
		if got := statuses(n); got != "201 204 201 200 200 304 200" {
			t.Error(got)
		}
		if found := total(n.Get("entry").Items[4].Get("resource")); found != 2 {
			t.Errorf("the search finds %d, want the two that were written", found)
		}
		_, n = a.transact(200, entryOf("", "GET", "Patient/p", ""), entryOf("", "GET", "Patient?family=was", ""))
		if got := statuses(n); got != "200 200" {
			t.Error(got)
		}
	})
}

// TestPlacesOfConflicts: what is refused for another resource names the place.
func TestPlacesOfConflicts(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		owned := func(value string) string {
			return patientJSON("", "X", `,"identifier":[{"system":"urn:s","value":"`+value+`"}]`)
		}
		place := func(n *fhir.Node) string {
			if where := n.Get("issue").Items[0].Get("expression"); where != nil {
				return where.Items[0].Text
			}
			return ""
		}
		a.want(201, "POST", "/Patient", owned("1"))
		a.put(patientJSON("t1", "Twin", ""), patientJSON("t2", "Twin", ""))
		_, n := a.want(409, "POST", "/Patient", owned("1"))
		if got := place(n); got != "Patient.identifier" {
			t.Errorf("a create: %q", got)
		}
		post := func(value, more string) string { return entryOf("", "POST", "Patient", owned(value), more) }
		for _, c := range []struct {
			status  int
			entries []string
			want    string
		}{
			{409, []string{post("2", ""), post("1", "")}, "Bundle.entry[1].resource.identifier"},
			{409, []string{post("3", ""), post("4", ""), post("3", "")}, "Bundle.entry[2].resource.identifier"},
			{412, []string{post("5", `,"ifNoneExist":"family=twin"`)}, "Bundle.entry[0].request.ifNoneExist"},
			{412, []string{post("5", ""), entryOf("", "DELETE", "Patient?family=twin", "")}, "Bundle.entry[1].request.url"},
			{400, []string{entryOf("", "POST", "Patient/abc", owned("6"))}, "Bundle.entry[0].request.url"},
			{400, []string{entryOf("", "POST", "Patient?family=twin", owned("6"))}, "Bundle.entry[0].request.url"},
			{400, []string{post("6", `,"ifNoneExist":"?"`)}, "Bundle.entry[0].request.ifNoneExist"},
			{400, []string{post("6", `,"ifNoneExist":""`)}, "Bundle.entry[0].request.ifNoneExist"},
			{400, []string{entryOf("", "DELETE", "Patient", "")}, "Bundle.entry[0].request.url"},
		} {
			_, n := a.transact(c.status, c.entries...)
			if got := place(n); got != c.want {
				t.Errorf("the place is %q, want %q", got, c.want)
			}
		}
		a.want(400, "POST", "/Patient", owned("6"), "If-None-Exist", "")
		a.want(400, "POST", "/Patient", owned("6"), "If-None-Exist", "?")
		if got := a.found("Patient?identifier=urn:s|2,urn:s|3,urn:s|5,urn:s|6"); got != "" {
			t.Errorf("%s were written", got)
		}
	})
}
