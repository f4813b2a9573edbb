package rest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/store"
)

// versionsIn is how many versions there are of all resources.
func versionsIn(t *testing.T, a *api) int {
	t.Helper()
	_, n := a.want(200, "GET", "/_history?_count=1000", "")
	return total(n)
}

// sameAnswer compares two answers but for what tells the time of the answer.
func sameAnswer(t *testing.T, first, again *httptest.ResponseRecorder) {
	t.Helper()
	if first.Code != again.Code || first.Body.String() != again.Body.String() {
		t.Errorf("again %d %s\nfirst %d %s", again.Code, again.Body, first.Code, first.Body)
	}
	for _, name := range []string{"ETag", "Location", "Last-Modified"} {
		if first.Header().Get(name) != again.Header().Get(name) {
			t.Errorf("%s is %q, first %q", name, again.Header().Get(name), first.Header().Get(name))
		}
	}
}

// TestRepeats: what comes again under its idempotency key is answered like the
// first time and writes nothing, also when the resource was changed meanwhile.
func TestRepeats(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		whole := a.t
		defer func() { a.t = whole }()
		a.put(patientJSON("p", "One", ""), patientJSON("gone", "Two", ""), patientJSON("several1", "S", ""), patientJSON("found", "Found", ""))
		patch := `[{"op":"add","path":"/name/-","value":{"family":"Added"}}]`
		entry := func(method, url, resource, more string) string {
			if resource != "" {
				resource = `"resource":` + resource + `,`
			}
			return `{` + resource + `"request":{"method":"` + method + `","url":"` + url + `"` + more + `}}`
		}
		bundle := func(kind string, entries ...string) string {
			return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
		}
		entries := func(n string) []string {
			return []string{
				entry("POST", "Patient", patientJSON("", "Posted"+n, ""), ""), entry("PUT", "Patient/put"+n, patientJSON("put"+n, "Put", ""), ""),
				entry("POST", "Patient", patientJSON("", "IfNone", ""), `,"ifNoneExist":"family=found"`),
				entry("DELETE", "Patient/put-before"+n, "", ""), entry("DELETE", "Patient/never", "", ""),
			}
		}
		a.put(patientJSON("put-before1", "X", ""), patientJSON("put-before2", "X", ""))
		large := strings.Repeat("content ", store.MaxChunk/4)
		for _, c := range []struct {
			name, method, path, body string
			headers                  []string
			other                    string // another body
		}{
			{"create", "POST", "/Patient", patientJSON("", "New", ""), nil, patientJSON("", "Other", "")},
			{"create if there is none", "POST", "/Patient", patientJSON("", "Only", ""), []string{"If-None-Exist", "family=only"}, patientJSON("", "Other", "")},
			{"create where there is one", "POST", "/Patient", patientJSON("", "Found", ""), []string{"If-None-Exist", "family=found"}, patientJSON("", "Other", "")},
			{"update that creates", "PUT", "/Patient/new", patientJSON("new", "New", ""), []string{"If-None-Match", "*"}, patientJSON("new", "Other", "")},
			{"update of a version", "PUT", "/Patient/p", patientJSON("p", "Changed", ""), []string{"If-Match", `W/"1"`}, patientJSON("p", "Other", "")},
			{"conditional update", "PUT", "/Patient?family=conditional", patientJSON("", "Conditional", ""), nil, patientJSON("", "Other", "")},
			{"patch", "PATCH", "/Patient/p", patch, []string{"Content-Type", mediaPatch}, strings.Replace(patch, "Added", "Else", 1)},
			{"conditional patch", "PATCH", "/Patient?_id=p", patch, []string{"Content-Type", mediaPatch}, strings.Replace(patch, "Added", "Else", 1)},
			{"delete", "DELETE", "/Patient/gone", "", []string{"If-Match", `W/"1"`}, ""},
			{"conditional delete", "DELETE", "/Patient?family=S", "", nil, ""},
			{"delete of nothing", "DELETE", "/Patient/later", "", nil, ""},
			{"transaction", "POST", "", bundle("transaction", entries("1")...), nil, bundle("transaction", entries("1")[1:]...)},
			{"transaction of nothing", "POST", "", bundle("transaction", entries("1")[4]), nil, bundle("transaction")},
			{"batch", "POST", "", bundle("batch", entries("2")...), nil, ""},
			{"content of a Binary", "POST", "/Binary", "short", []string{"Content-Type", "text/plain"}, "other"},
			{"content of a large Binary", "POST", "/Binary", large, []string{"Content-Type", "text/plain"}, large + "x"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a.t = t
				headers := append([]string{"Idempotency-Key", "key of " + c.name}, c.headers...)
				if c.body != "" && !strings.Contains(strings.Join(headers, " "), "Content-Type") {
					headers = append(headers, "Content-Type", "application/fhir+json")
				}
				first := a.send(c.method, c.path, []byte(c.body), headers...)
				if first.Code >= 300 || strings.Contains(first.Body.String(), "OperationOutcome") {
					t.Fatalf("%d %s", first.Code, first.Body)
				}
				// Others go on meanwhile.
				if place := regexp.MustCompile(`Patient/[A-Za-z0-9.-]+`).FindString(first.Header().Get("Location")); place != "" {
					id := strings.TrimPrefix(place, "Patient/")
					a.want(200, "PUT", "/"+place, patientJSON(id, "Meanwhile", ""))
					if id == "found" {
						defer a.want(200, "PUT", "/"+place, patientJSON(id, "Found", ""))
					}
				}
				if c.name == "delete of nothing" {
					a.put(patientJSON("later", "Later", ""))
				}
				before := versionsIn(t, a)
				sameAnswer(t, first, a.send(c.method, c.path, []byte(c.body), headers...))
				if c.other != "" {
					w, n := a.do(c.method, c.path, c.other, headers...)
					if w.Code != http.StatusConflict || !strings.Contains(text(n.Get("issue").Items[0], "diagnostics"), "Idempotency-Key") {
						t.Errorf("another request under the key: %d %s", w.Code, w.Body)
					}
				}
				if after := versionsIn(t, a); after != before {
					t.Errorf("%d versions were written", after-before)
				}
			})
		}
		a.t = whole
		if log := a.log.String(); log != "" {
			t.Errorf("logged %s", log)
		}
	})
}

// TestRepeatsAtOnce: of requests that come at once under one key one is done,
// and all get its answer.
func TestRepeatsAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		var all sync.WaitGroup
		answers := make([]*httptest.ResponseRecorder, 8)
		for i := range answers {
			all.Go(func() {
				answers[i] = a.send("POST", "/Patient", []byte(patientJSON("", "Once", "")), "Idempotency-Key", "k", "Content-Type", "application/fhir+json")
			})
		}
		all.Wait()
		for _, w := range answers {
			if w.Code != 201 || !bytes.Equal(w.Body.Bytes(), answers[0].Body.Bytes()) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if n := versionsIn(t, a); n != 1 {
			t.Errorf("%d were made", n)
		}
	})
}
