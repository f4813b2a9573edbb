package rest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestConditionalReads(t *testing.T) { eachStore(t, conditionalReads) }

func conditionalReads(t *testing.T, a *api) {
	a.put(patientJSON("p", "One", ""))
	w, _ := a.want(200, "GET", "/Patient/p", "")
	written, err := http.ParseTime(w.Header().Get("Last-Modified"))
	if err != nil {
		t.Fatal(err)
	}
	before, after := written.Add(-time.Second).Format(http.TimeFormat), written.Add(time.Second).Format(http.TimeFormat)
	for _, c := range []struct {
		status  int
		headers []string
	}{
		{304, []string{"If-None-Match", `W/"1"`}},
		{304, []string{"If-None-Match", `"1"`}},
		{304, []string{"If-None-Match", `W/"7", W/"1"`}},
		{304, []string{"If-None-Match", `*`}},
		{200, []string{"If-None-Match", `W/"2"`}},
		{200, []string{"If-None-Match", `W/"11"`}},
		{304, []string{"If-Modified-Since", written.Format(http.TimeFormat)}},
		{304, []string{"If-Modified-Since", after}},
		{200, []string{"If-Modified-Since", before}},
		{200, []string{"If-Modified-Since", "yesterday"}},
		{200, []string{"If-Modified-Since", after, "If-None-Match", `W/"2"`}},
		{304, []string{"If-Modified-Since", before, "If-None-Match", `W/"1"`}},
	} {
		for _, path := range []string{"/Patient/p", "/Patient/p/_history/1"} {
			for _, method := range []string{"GET", "HEAD"} {
				w, _ := a.do(method, path, "", c.headers...)
				if w.Code != c.status || w.Header().Get("ETag") != `W/"1"` || (c.status == 304 || method == "HEAD") && w.Body.Len() > 0 {
					t.Errorf("%s %s %q: %d %v", method, path, c.headers, w.Code, w.Header())
				}
			}
		}
	}
	_, n := a.want(200, "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/p","ifNoneMatch":"W/\"1\""}},{"request":{"method":"GET","url":"Patient/p","ifModifiedSince":"2999-01-01T00:00:00Z"}},{"request":{"method":"GET","url":"Patient/p","ifModifiedSince":"2001-01-01T00:00:00Z"}}]}`)
	for i, want := range []string{"304", "304", "200"} {
		if got := text(n.Get("entry").Items[i].Get("response"), "status"); !strings.HasPrefix(got, want) {
			t.Errorf("entry %d: %s", i, got)
		}
	}
}

func TestCORS(t *testing.T) {
	off := newAPI(t)
	s := off.handler.(*server)
	on := &api{t: t, log: off.log, handler: New(Options{Records: s.Records, Access: s.Access, Base: "/fhir", Log: s.Log, Origins: []string{"https://app.example.org"}})}
	ask := []string{"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type,if-match", "Origin"}
	for name, c := range map[string]struct {
		a              *api
		method, origin string
		asks           bool
		status         int
		allowed        string
	}{
		"asked, allowed":              {on, "OPTIONS", "https://app.example.org", true, 204, "https://app.example.org"},
		"asked by somebody else":      {on, "OPTIONS", "https://evil.example", true, 204, ""},
		"asked, off":                  {off, "OPTIONS", "https://app.example.org", true, 204, ""},
		"used, allowed":               {on, "GET", "https://app.example.org", false, 404, "https://app.example.org"},
		"used by somebody else":       {on, "GET", "https://app.example.org.evil.example", false, 404, ""},
		"used, off":                   {off, "GET", "https://app.example.org", false, 404, ""},
		"used from the same origin":   {on, "GET", "", false, 404, ""},
		"options without the browser": {on, "OPTIONS", "", false, 204, ""},
	} {
		headers := []string{"Origin", c.origin}
		if c.asks {
			headers = append(append([]string{}, ask...), c.origin)
		}
		w, _ := c.a.do(c.method, "/Patient/none", "", headers...)
		h := w.Header()
		if w.Code != c.status || h.Get("Access-Control-Allow-Origin") != c.allowed {
			t.Errorf("%s: %d %v", name, w.Code, h)
		}
		if c.allowed != "" && c.asks && (!strings.Contains(h.Get("Access-Control-Allow-Headers"), "If-Match") || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "X-Security-Context") || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "PATCH")) {
			t.Errorf("%s: %v", name, h)
		}
		if c.allowed != "" && !c.asks && !strings.Contains(h.Get("Access-Control-Expose-Headers"), "ETag") {
			t.Errorf("%s: %v", name, h)
		}
		if c.a == on && h.Get("Vary") != "Origin" {
			t.Errorf("%s: a cache may mix origins: %v", name, h)
		}
	}
}

func TestPreferences(t *testing.T) {
	a := newAPI(t)
	body := func(family string) string { return patientJSON("p", family, "") }
	for i, c := range []struct{ prefer, want string }{
		{"", "Patient"},
		{"return=representation", "Patient"},
		{"return=minimal", ""},
		{"return=OperationOutcome", "OperationOutcome"},
		{"respond-async, return=minimal", ""},
		{`handling=lenient; return="minimal"`, ""},
		{"return=everything", "Patient"},
		{"Return = minimal", ""},
	} {
		for _, method := range []string{"PUT", "PATCH"} {
			send, media := body(strings.Repeat("x", i+1)), "application/fhir+json"
			if method == "PATCH" {
				send, media = `[{"op":"replace","path":"/name/0/family","value":"`+strings.Repeat("y", i+1)+`"}]`, mediaPatch
			}
			w, n := a.do(method, "/Patient/p", send, "Prefer", c.prefer, "Content-Type", media)
			if w.Code > 201 || text(n, "resourceType") != c.want || w.Header().Get("ETag") == "" {
				t.Errorf("%s %q: %d %s", method, c.prefer, w.Code, w.Body)
			}
		}
	}
	entry := `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + body("z") + `,"request":{"method":"PUT","url":"Patient/p"}}]}`
	for prefer, want := range map[string][2]string{"return=minimal": {"", ""}, "return=OperationOutcome": {"", "OperationOutcome"}, "": {"Patient", ""}} {
		_, n := a.want(200, "POST", "", entry, "Prefer", prefer)
		e := n.Get("entry").Items[0]
		if text(e.Get("resource"), "resourceType") != want[0] || text(e.Get("response").Get("outcome"), "resourceType") != want[1] {
			t.Errorf("%q: %s", prefer, e.AppendJSON(nil))
		}
	}
	a.want(200, "DELETE", "/Patient/p", "", "Prefer", "return=OperationOutcome")
	a.want(204, "DELETE", "/Patient/p", "", "Prefer", "return=minimal")
	a.want(400, "GET", "/Patient?nonsense=1", "", "Prefer", `handling="strict"`)
	a.want(200, "GET", "/Patient?nonsense=1", "", "Prefer", "handling=lenient")
}

func TestMethods(t *testing.T) { eachStore(t, methods) }

func methods(t *testing.T, a *api) {
	a.put(patientJSON("p", "One", ""), `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}}`)
	const form = "application/x-www-form-urlencoded"
	for path, allow := range map[string]string{
		"": "POST", "/metadata": "GET, HEAD", "/_history": "GET, HEAD", "/Patient": "GET, HEAD, POST, PUT, PATCH, DELETE", "/Patient/_search": "POST",
		"/Patient/_history": "GET, HEAD", "/Patient/p": "GET, HEAD, PUT, PATCH, DELETE", "/Patient/p/_history": "GET, HEAD", "/Patient/p/_history/1": "GET, HEAD",
		"/Patient/p/Observation": "GET, HEAD", "/Patient/p/*": "GET, HEAD", "/Patient/p/Observation/_search": "POST",
	} {
		if w, _ := a.want(204, "OPTIONS", path, ""); w.Header().Get("Allow") != allow+", OPTIONS" {
			t.Errorf("%s allows %q, want %q", path, w.Header().Get("Allow"), allow)
		}
		w, _ := a.want(405, "LINK", path, "")
		if w.Header().Get("Allow") != allow+", OPTIONS" {
			t.Errorf("%s: %v", path, w.Header())
		}
		if strings.HasPrefix(allow, "GET") {
			got, _ := a.want(200, "GET", path, "")
			head, _ := a.want(200, "HEAD", path, "")
			if head.Body.Len() > 0 || head.Header().Get("Content-Type") != got.Header().Get("Content-Type") || head.Header().Get("ETag") != got.Header().Get("ETag") {
				t.Errorf("HEAD %s: %v", path, head.Header())
			}
		}
	}
	for _, path := range []string{"/Patient/p/Observation/_search", "/Patient/p/*/_search"} {
		if _, n := a.want(200, "POST", path, "code:text=x", "Content-Type", form); path == "/Patient/p/Observation/_search" && total(n) != 1 {
			t.Errorf("%s: %s", path, n.AppendJSON(nil))
		}
	}
	if _, n := a.want(200, "POST", "/Patient/p/*/_search", "_type=Observation", "Content-Type", form); total(n) != 1 {
		t.Errorf("got %s", n.AppendJSON(nil))
	}
	a.want(404, "POST", "/Basic/p/Observation/_search", "", "Content-Type", form)
}
