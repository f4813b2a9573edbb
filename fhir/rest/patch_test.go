package rest

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// fhirPatch is a FHIRPath Patch of one operation, given by its parts.
func fhirPatch(parts string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[` + parts + `]}]}`
}

// TestPatchFormats sends each kind of patch, by id, by criteria and in Bundles.
func TestPatchFormats(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		birth := func(date string) string {
			return fhirPatch(`{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.birthDate"},{"name":"value","valueDate":"` + date + `"}`)
		}
		xmlPatch := func(date string) string {
			return `<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:birthDate/@value">` + date + `</replace></diff>`
		}
		a.put(patientJSON("p", "One", `,"birthDate":"1900","identifier":[{"system":"urn:mrn","value":"9"}]`))
		year := 1900
		next := func() string { year++; return fmt.Sprint(year) }
		now := func() {
			t.Helper()
			if _, n := a.want(200, "GET", "/Patient/p", ""); text(n, "birthDate") != fmt.Sprint(year) {
				t.Errorf("got %s, want %d", text(n, "birthDate"), year)
			}
		}
		for _, path := range []string{"/Patient/p", "/Patient?identifier=urn:mrn|9"} {
			a.want(200, "PATCH", path, birth(next()))
			now()
			a.want(200, "PATCH", path, `<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/><part><name value="type"/><valueCode value="replace"/></part><part><name value="path"/><valueString value="Patient.birthDate"/></part><part><name value="value"/><valueDate value="`+next()+`"/></part></parameter></Parameters>`, "Content-Type", "application/fhir+xml")
			now()
			a.want(200, "PATCH", path, xmlPatch(next()), "Content-Type", "application/xml-patch+xml")
			now()
			a.want(412, "PATCH", path, birth("2000"), "If-Match", `W/"1"`)
		}
		binary := func(media, text string) string {
			return `{"resourceType":"Binary","contentType":"` + media + `","data":"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"}`
		}
		for _, kind := range []string{"batch", "transaction"} {
			for _, url := range []string{"Patient/p", "Patient?identifier=urn:mrn|9"} {
				for _, resource := range []func(string) string{
					birth,
					func(d string) string {
						return binary("application/json-patch+json", `[{"op":"replace","path":"/birthDate","value":"`+d+`"}]`)
					},
					func(d string) string { return binary("application/xml-patch+xml", xmlPatch(d)) },
					func(d string) string { return binary("application/fhir+json", birth(d)) },
				} {
					_, n := a.want(200, "POST", "", `{"resourceType":"Bundle","type":"`+kind+`","entry":[{"resource":`+resource(next())+`,"request":{"method":"PATCH","url":"`+url+`"}}]}`)
					if status := text(n.Get("entry").Items[0].Get("response"), "status"); !strings.HasPrefix(status, "200") {
						t.Errorf("%s of %s: %s", kind, url, n.AppendJSON(nil))
					}
					now()
				}
			}
		}
		entry := func(url, resource, more string) string {
			return `{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1","resource":` + patientJSON("", "Beside", "") + `,"request":{"method":"POST","url":"Patient"}},{"resource":` + resource + `,"request":{"method":"PATCH","url":"` + url + `"` + more + `}}]}`
		}
		a.want(404, "POST", "", entry("Patient/none", birth("2000"), ""))
		a.want(404, "POST", "", entry("Patient?identifier=none", birth("2000"), ""))
		a.want(412, "POST", "", entry("Patient/p", birth("2000"), `,"ifMatch":"W/\"1\""`))
		a.want(422, "POST", "", entry("Patient/p", binary("application/json-patch+json", `[{"op":"remove","path":"/x"}]`), ""))
		a.want(415, "POST", "", entry("Patient/p", binary("text/plain", `x`), ""))
		a.want(422, "POST", "", entry("Patient/p", birth("nonsense"), ""))
		if _, n := a.want(200, "GET", "/Patient?family=beside", ""); total(n) != 0 {
			t.Error("half of a transaction was written")
		}
		_, n := a.want(200, "POST", "", entry("Patient/p", fhirPatch(`{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient"},{"name":"name","valueString":"link"},{"name":"value","part":[{"name":"other","valueReference":{"reference":"urn:uuid:1"}},{"name":"type","valueCode":"seealso"}]}`), ""))
		_, p := a.want(200, "GET", "/Patient/p", "")
		if to := text(p.Get("link").Items[0].Get("other"), "reference"); to != "Patient/"+text(n.Get("entry").Items[0].Get("resource"), "id") {
			t.Errorf("a reference in a patch is %q", to)
		}
	})
}

func TestPatch(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		const is, media = "Content-Type", "application/json-patch+json"
		first := patientJSON("p", "One", `,"active":true,"identifier":[{"system":"urn:mrn","value":"9"}],"extension":[{"url":"urn:x","valueDecimal":7.20}]`)
		a.want(201, "PUT", "/Patient/p", first)
		t.Run("what it leaves alone stays as it was written", func(t *testing.T) {
			w, n := a.want(200, "PATCH", "/Patient/p", `[{"op":"test","path":"/meta/versionId","value":"1"},{"op":"replace","path":"/name/0/family","value":"Two"},{"op":"add","path":"/name/0/given","value":["Ann"]},{"op":"remove","path":"/active"}]`, is, media)
			if w.Header().Get("ETag") != `W/"2"` || !strings.Contains(w.Body.String(), "7.20") || text(n.Get("name").Items[0], "family") != "Two" || n.Get("active") != nil {
				t.Errorf("got %v %s", w.Header(), w.Body)
			}
			if _, n := a.want(200, "GET", "/Patient?given=ann", ""); total(n) != 1 {
				t.Error("what the patch has added is not found")
			}
		})
		t.Run("one that changes nothing makes no version", func(t *testing.T) {
			if w, _ := a.want(200, "PATCH", "/Patient/p", `[{"op":"test","path":"/name/0/family","value":"Two"}]`, is, media); w.Header().Get("ETag") != `W/"2"` {
				t.Errorf("got %v", w.Header())
			}
		})
		t.Run("the version seen", func(t *testing.T) {
			change := `[{"op":"add","path":"/gender","value":"female"}]`
			a.want(412, "PATCH", "/Patient/p", change, is, media, "If-Match", `W/"1"`)
			a.want(200, "PATCH", "/Patient/p", change, is, media, "If-Match", `W/"2"`)
		})
		t.Run("refusals leave all as it is", func(t *testing.T) {
			const canary = "CANARY77"
			for name, c := range map[string]struct {
				status     int
				path, body string
				media      string
			}{
				"no patch":                 {415, "/Patient/p", first, "text/plain"},
				"a resource":               {400, "/Patient/p", first, "application/fhir+json"},
				"an empty patch in XML":    {400, "/Patient/p", "<diff/>", "application/xml-patch+xml"},
				"no XML":                   {400, "/Patient/p", "<diff>" + canary, "application/xml-patch+xml"},
				"a sel that finds none":    {422, "/Patient/p", `<diff><remove sel="f:Patient/f:` + canary + `"/></diff>`, "application/xml-patch+xml"},
				"parameters that are none": {422, "/Patient/p", `{"resourceType":"Parameters","parameter":[{"` + canary + `":1}]}`, "application/fhir+json"},
				"no FHIRPath":              {400, "/Patient/p", fhirPatch(`{"name":"type","valueCode":"delete"},{"name":"path","valueString":"` + canary + `["}`), "application/fhir+json"},
				"a path to nothing":        {422, "/Patient/p", fhirPatch(`{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.` + canary + `"},{"name":"value","valueString":"x"}`), "application/fhir+json"},
				"no JSON":                  {400, "/Patient/p", "[" + canary, media},
				"no list":                  {400, "/Patient/p", "{}", media},
				"an unknown operation":     {400, "/Patient/p", `[{"op":"` + canary + `","path":"/a"}]`, media},
				"a test that fails":        {422, "/Patient/p", `[{"op":"remove","path":"/name"},{"op":"test","path":"/gender","value":"` + canary + `"}]`, media},
				"a place not there":        {422, "/Patient/p", `[{"op":"remove","path":"/` + canary + `"}]`, media},
				"another id":               {422, "/Patient/p", `[{"op":"replace","path":"/id","value":"q"}]`, media},
				"another type":             {422, "/Patient/p", `[{"op":"replace","path":"/resourceType","value":"Basic"}]`, media},
				"nothing left":             {422, "/Patient/p", `[{"op":"remove","path":""}]`, media},
				"an element unknown":       {422, "/Patient/p", `[{"op":"add","path":"/` + canary + `","value":1}]`, media},
				"a wrong value":            {422, "/Patient/p", `[{"op":"add","path":"/birthDate","value":"` + canary + `"}]`, media},
				"an empty list":            {422, "/Patient/p", `[{"op":"remove","path":"/name/0"}]`, media},
				"no such resource":         {404, "/Patient/none", `[]`, media},
				"no criteria":              {400, "/Patient", `[]`, media},
				"criteria not understood":  {400, "/Patient?nonsense=1", `[]`, media},
				"criteria, none found":     {404, "/Patient?identifier=urn:mrn|none", `[]`, media},
			} {
				w, _ := a.want(c.status, "PATCH", c.path, c.body, is, c.media)
				if strings.Contains(w.Body.String(), canary) {
					t.Errorf("%s: %s", name, w.Body)
				}
				if c.status == 415 && !strings.Contains(w.Header().Get("Accept-Patch"), media) {
					t.Errorf("%s: Accept-Patch %q", name, w.Header().Get("Accept-Patch"))
				}
			}
			if w, _ := a.want(200, "GET", "/Patient/p", ""); w.Header().Get("ETag") != `W/"3"` {
				t.Errorf("got %v", w.Header())
			}
			if strings.Contains(a.log.String(), canary) {
				t.Error("the log shows a value")
			}
		})
		t.Run("by criteria", func(t *testing.T) {
			a.want(200, "PATCH", "/Patient?identifier=urn:mrn|9", `[{"op":"replace","path":"/gender","value":"male"}]`, is, media)
			a.want(201, "PUT", "/Patient/t1", patientJSON("t1", "Twin", ""))
			a.want(201, "PUT", "/Patient/t2", patientJSON("t2", "Twin", ""))
			a.want(412, "PATCH", "/Patient?family=twin", `[{"op":"add","path":"/gender","value":"male"}]`, is, media)
		})
		t.Run("an identifier of another is refused", func(t *testing.T) {
			a.want(409, "PATCH", "/Patient/t1", `[{"op":"add","path":"/identifier","value":[{"system":"urn:mrn","value":"9"}]}]`, is, media)
		})
		t.Run("in XML, what the client prefers, what is deleted", func(t *testing.T) {
			w, _ := a.want(200, "PATCH", "/Patient/p", `[{"op":"replace","path":"/gender","value":"other"}]`, is, media, "Accept", "application/fhir+xml")
			if !strings.Contains(w.Body.String(), `<gender value="other"/>`) {
				t.Errorf("got %s", w.Body)
			}
			if w, _ := a.want(200, "PATCH", "/Patient/p", `[]`, is, media, "Prefer", "return=minimal"); w.Body.Len() > 0 {
				t.Errorf("got %s", w.Body)
			}
			a.want(204, "DELETE", "/Patient/t2", "")
			a.want(410, "PATCH", "/Patient/t2", `[]`, is, media)
		})
		t.Run("of many at once none is lost", func(t *testing.T) {
			var all sync.WaitGroup
			for i := range 6 {
				all.Go(func() {
					body := fmt.Sprintf(`[{"op":"add","path":"/name/0/given/-","value":"G%d"}]`, i)
					if w, _ := a.do("PATCH", "/Patient/p", body, is, media); w.Code != 200 {
						t.Errorf("%d %s", w.Code, w.Body)
					}
				})
			}
			all.Wait()
			if _, n := a.want(200, "GET", "/Patient/p", ""); len(n.Get("name").Items[0].Get("given").Items) != 7 {
				t.Errorf("got %s", n.AppendJSON(nil))
			}
		})
	})
}

func TestPatchInABatch(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		a.want(201, "PUT", "/Patient/p", patientJSON("p", "One", ""))
		entry := func(media, data string) string {
			return `{"resource":{"resourceType":"Binary","contentType":"` + media + `","data":"` + data + `"},"request":{"method":"PATCH","url":"Patient/p"}}`
		}
		good := base64.StdEncoding.EncodeToString([]byte(`[{"op":"add","path":"/gender","value":"other"}]`))
		_, n := a.want(200, "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[`+entry("application/json-patch+json", good)+`,`+entry("application/json-patch+json", "%")+`,`+entry("text/plain", good)+`]}`)
		for i, want := range []string{"200", "400", "415"} {
			if got := text(n.Get("entry").Items[i].Get("response"), "status"); !strings.HasPrefix(got, want) {
				t.Errorf("entry %d: %s, want %s", i, got, want)
			}
		}
		if _, n := a.want(200, "GET", "/Patient/p", ""); text(n, "gender") != "other" {
			t.Errorf("got %s", n.AppendJSON(nil))
		}
	})
}

// TestPatchTime: the patches of a request have a time together, of a transaction
// too.
func TestPatchTime(t *testing.T) {
	a := newAPI(t)
	a.put(patientJSON("p", "A", ""), patientJSON("q", "A", ""))
	short := a.with(func(o *Options) { o.PatchTime = 1 })
	const xmlPatch = `<diff xmlns:f="http://hl7.org/fhir"><remove sel="f:Patient/f:name"/></diff>`
	entry := func(id string) string {
		return `{"resource":` + fhirPatch(`{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.name"}`) + `,"request":{"method":"PATCH","url":"Patient/` + id + `"}}`
	}
	for media, body := range map[string]string{
		mediaPatch:              `[{"op":"remove","path":"/name"}]`,
		mediaXMLPatch:           xmlPatch,
		"application/fhir+json": fhirPatch(`{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.name"}`),
	} {
		_, n := short.want(400, "PATCH", "/Patient/p", body, "Content-Type", media)
		if code := text(n.Get("issue").Items[0], "code"); code != "too-costly" {
			t.Errorf("%s: refused as %s", media, code)
		}
	}
	_, n := short.want(400, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+entry("p")+","+entry("q")+`]}`)
	if code := text(n.Get("issue").Items[0], "code"); code != "too-costly" {
		t.Errorf("a transaction is refused as %s", code)
	}
	a.want(200, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+entry("p")+","+entry("q")+`]}`)
}
