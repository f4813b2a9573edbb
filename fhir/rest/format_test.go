package rest

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/rest/format"
	"github.com/plexus-health/plexus/store"
)

const patientXML = `<?xml version="1.0"?><Patient xmlns="http://hl7.org/fhir"><id value="x1"/><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">Ann <b>One</b></div></text>` +
	`<extension url="urn:x"><valueDecimal value="7.20"/></extension><name><family value="One &amp; Two"/><given value="Ann"/></name><multipleBirthInteger value="2"/></Patient>`

func TestXML(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		w, n := a.want(201, "PUT", "/Patient/x1", patientXML, "Content-Type", "application/fhir+xml; charset=utf-8")
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "application/fhir+xml") || text(n, "id") != "x1" {
			t.Errorf("answered %v %s", w.Header(), w.Body)
		}
		w, json := a.want(200, "GET", "/Patient/x1", "")
		if !strings.Contains(w.Body.String(), `"valueDecimal":7.20`) || !json.Equal(n) {
			t.Errorf("in JSON it is %s", w.Body)
		}
		w, n = a.want(200, "GET", "/Patient/x1", "", "Accept", "application/fhir+xml")
		if !n.Equal(json) || !strings.Contains(w.Body.String(), `<div xmlns="http://www.w3.org/1999/xhtml">Ann <b>One</b></div>`) {
			t.Errorf("in XML it is %s", w.Body)
		}
		t.Run("what is the same makes no version, in either format", func(t *testing.T) {
			w, _ := a.want(200, "PUT", "/Patient/x1", string(json.AppendJSON(nil)))
			if w.Header().Get("ETag") != `W/"1"` {
				t.Errorf("ETag %s", w.Header().Get("ETag"))
			}
		})
		t.Run("searches, histories and the capability statement", func(t *testing.T) {
			if _, n := a.want(200, "GET", "/Patient?family=one&_format=xml", ""); total(n) != 1 || !n.Get("entry").Items[0].Get("resource").Equal(json) {
				t.Errorf("found %s", n.AppendJSON(nil))
			}
			if _, n := a.want(200, "GET", "/Patient/x1/_history?_format=xml", ""); total(n) != 1 {
				t.Errorf("history %s", n.AppendJSON(nil))
			}
			if _, n := a.want(200, "GET", "/metadata?_format=xml", ""); text(n, "resourceType") != "CapabilityStatement" {
				t.Errorf("got %s", text(n, "resourceType"))
			}
		})
		t.Run("a search by POST says its format in the form", func(t *testing.T) {
			form := url.Values{"family": {"one"}, "_format": {"application/fhir+xml"}}.Encode()
			w, n := a.want(200, "POST", "/Patient/_search", form, "Content-Type", "application/x-www-form-urlencoded")
			if total(n) != 1 || !strings.HasPrefix(w.Body.String(), "<?xml") {
				t.Errorf("got %s", w.Body)
			}
		})
		t.Run("transactions and batches", func(t *testing.T) {
			for _, kind := range []string{"transaction", "batch"} {
				bundle := `<Bundle xmlns="http://hl7.org/fhir"><type value="` + kind + `"/><entry><fullUrl value="urn:uuid:1"/><resource><Patient><active value="true"/></Patient></resource><request><method value="POST"/><url value="Patient"/></request></entry>` +
					`<entry><request><method value="GET"/><url value="Patient?family=one&amp;_format=xml"/></request></entry></Bundle>`
				w, n := a.want(200, "POST", "", bundle, "Content-Type", "application/fhir+xml", "Accept", "text/xml")
				entries := n.Get("entry")
				if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/xml") || total(n) != 2 || text(entries.Items[1].Get("resource"), "resourceType") != "Bundle" {
					t.Errorf("%s answered %s", kind, w.Body)
				}
			}
		})
		t.Run("faults, in the format that was asked for", func(t *testing.T) {
			const canary = "CANARY77"
			for name, c := range map[string]struct {
				status       int
				method, path string
				body         string
			}{
				"no such resource":   {404, "GET", "/Patient/none", ""},
				"no such type":       {404, "GET", "/Nonsense/1", ""},
				"no such method":     {405, "LINK", "/Patient/x1", ""},
				"no XML":             {400, "POST", "/Patient", "<" + canary},
				"a document type":    {400, "POST", "/Patient", `<!DOCTYPE p [<!ENTITY e "` + canary + `">]>` + patientXML},
				"an unknown element": {400, "POST", "/Patient", `<Patient xmlns="http://hl7.org/fhir"><` + canary + `/></Patient>`},
				"a wrong date":       {422, "POST", "/Patient", `<Patient xmlns="http://hl7.org/fhir"><birthDate value="` + canary + `"/></Patient>`},
				"another type":       {400, "POST", "/Patient", `<Basic xmlns="http://hl7.org/fhir"/>`},
				"too large":          {413, "POST", "/Patient", patientXML + strings.Repeat(" ", 2<<20)},
			} {
				w, _ := a.want(c.status, c.method, c.path, c.body, "Content-Type", "application/fhir+xml", "Accept", "application/fhir+xml")
				if !strings.HasPrefix(w.Body.String(), "<?xml") || strings.Contains(w.Body.String(), canary) {
					t.Errorf("%s: %s", name, w.Body)
				}
			}
			if strings.Contains(a.log.String(), canary) {
				t.Error("the log shows a value")
			}
		})
		t.Run("what XML cannot hold is refused to who reads, and told in JSON to who has written", func(t *testing.T) {
			a.want(422, "PUT", "/Patient/odd", patientJSON("odd", "a\\u0001b", ""))
			n, err := fhir.Parse([]byte(patientJSON("odd", "a\\u0001b", `,"identifier":[{"system":"urn:odd","value":"1"}]`)))
			if err != nil {
				t.Fatal(err)
			}
			records := a.handler.(*server).Records // as a message would write it
			if _, err := records.Write(t.Context(), []store.Write{write("Patient", "odd", n, 0)}, store.Author{Actor: "test"}); err != nil {
				t.Fatal(err)
			}
			w, _ := a.want(200, "POST", "/Patient", patientJSON("", "b", ""), "If-None-Exist", "identifier=urn:odd|1", "Accept", "application/fhir+xml")
			if !strings.HasPrefix(w.Header().Get("Content-Type"), "application/fhir+json") {
				t.Errorf("answered %s", w.Body)
			}
			a.want(406, "GET", "/Patient/odd", "", "Accept", "application/fhir+xml")
			a.want(200, "GET", "/Patient/odd", "")
		})
	})
}

// TestBundlesInXML: of a Bundle the rest goes out, and what XML cannot hold is
// named.
func TestBundlesInXML(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		n, err := fhir.Parse([]byte(patientJSON("odd", "a\\u0001b", `,"identifier":[{"system":"urn:odd","value":"1"}]`)))
		if err != nil {
			t.Fatal(err)
		}
		records := a.handler.(*server).Records // as a message would write it
		if _, err := records.Write(t.Context(), []store.Write{write("Patient", "odd", n, 0)}, store.Author{Actor: "test"}); err != nil {
			t.Fatal(err)
		}
		a.want(201, "PUT", "/Patient/even", patientJSON("even", "E", ""))
		const named = "has no form in XML, ask for JSON: name[0].family has a character that XML cannot hold"
		bundle := func(kind string, entries ...string) string {
			return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
		}
		get := func(url string) string { return `{"request":{"method":"GET","url":"` + url + `"}}` }
		create := `{"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=urn:odd|1"},"resource":` + patientJSON("", "b", "") + `}`
		for _, c := range []struct {
			method, path, body string
			has                []string
		}{
			{"GET", "/Patient?_id=odd,even", "", []string{`<mode value="outcome"/>`, `<diagnostics value="Patient/odd: the resource ` + named, `<severity value="warning"/>`}},
			{"GET", "/Patient/_history", "", []string{`<status value="201 Created"/>`, `<outcome><OperationOutcome><issue><severity value="information"/>`, named}},
			{
				"POST", "", bundle("batch", get("Patient/odd"), get("Patient/even"), get("Patient/none"), create),
				[]string{`<status value="406 Not Acceptable"/>`, `<outcome><OperationOutcome><issue><severity value="error"/>`, named, `<status value="404 Not Found"/>`, `<severity value="information"/>`},
			},
			{"POST", "", bundle("transaction", create, get("Patient/even")), []string{`<status value="200 OK"/><location value="Patient/odd/_history/1"/>`, named}},
		} {
			w, _ := a.want(200, c.method, c.path, c.body, "Accept", "application/fhir+xml")
			for _, one := range append(c.has, `<id value="even"/>`) {
				if !strings.Contains(w.Body.String(), one) {
					t.Errorf("%s %s answers %s, want %s", c.method, c.path, w.Body, one)
				}
			}
			if _, err := format.Parse(w.Body.Bytes(), "application/fhir+xml"); err != nil {
				t.Errorf("%s %s: %v", c.method, c.path, err)
			}
		}
	})
}

func TestNegotiation(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		a.want(201, "PUT", "/Patient/n", patientJSON("n", "N", ""))
		const json, xml = "application/fhir+json", "application/fhir+xml"
		for name, c := range map[string]struct{ accept, query, want string }{
			"nothing said":                    {"", "", json},
			"all":                             {"*/*", "", json},
			"a kind":                          {"application/*", "", json},
			"texts":                           {"text/*", "", "text/json"},
			"FHIR JSON":                       {json, "", json},
			"plain JSON":                      {"application/json", "", "application/json"},
			"FHIR XML":                        {xml, "", xml},
			"plain XML":                       {"application/xml", "", "application/xml"},
			"text XML":                        {"text/xml", "", "text/xml"},
			"weights":                         {json + ";q=0.5, " + xml + ";q=0.9", "", xml},
			"weights, the other way":          {xml + ";q=0.5," + json + ";q=0.9", "", json},
			"a weight of nothing":             {json + ";q=0, application/json;q=0, */*;q=0.1", "", "text/json"},
			"the closer range counts":         {"application/*;q=0.9, " + json + ";q=0.1", "", "application/json"},
			"what is named before all others": {"application/xml, */*", "", "application/xml"},
			"a browser":                       {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", "application/xml"},
			"something else, then ours":       {"text/turtle, " + xml + ";q=0.2", "", xml},
			"the release":                     {xml + "; fhirVersion=4.0", "", xml},
			"a letter case":                   {"Application/FHIR+XML", "", xml},
			"_format before Accept":           {json, "?_format=xml", xml},
			"_format xml":                     {"", "?_format=xml", xml},
			"_format text/xml":                {"", "?_format=text/xml", "text/xml"},
			"_format application/xml":         {"", "?_format=application/xml", "application/xml"},
			"_format application/fhir+xml":    {"", "?_format=application/fhir%2Bxml", xml},
			"_format with a plus as it is":    {"", "?_format=application/fhir+xml", xml},
			"_format with the release":        {"", "?_format=application/fhir%2Bxml;+fhirVersion%3D4.0", xml},
			"_format with it escaped":         {"", "?_format=" + url.QueryEscape(xml+"; fhirVersion=4.0"), xml},
			"_format json":                    {xml, "?_format=json", json},
			"_format application/json":        {xml, "?_format=application/json", "application/json"},
			"_format text/json":               {xml, "?_format=text/json", "text/json"},
			"_format application/fhir+json":   {xml, "?_format=application/fhir%2Bjson", json},
			"_format of what is not there":    {json, "?_format=ttl", ""},
			"Turtle":                          {"text/turtle", "", ""},
			"another release":                 {json + "; fhirVersion=3.0", "", ""},
			"a weight that is none":           {json + ";q=x", "", ""},
		} {
			t.Run(name, func(t *testing.T) {
				r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1/fhir/Patient/n"+strings.ReplaceAll(c.query, ";", "%3B"), nil)
				r.RemoteAddr = "127.0.0.1:4000"
				if c.accept != "" {
					r.Header.Set("Accept", c.accept)
				}
				w := httptest.NewRecorder()
				a.handler.ServeHTTP(w, r)
				got, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
				status := http.StatusOK
				want := c.want
				if want == "" {
					status, want = http.StatusNotAcceptable, json
				}
				if w.Code != status || got != want || format.IsXML(want) != strings.HasPrefix(w.Body.String(), "<?xml") {
					t.Errorf("%d %s, want %d %s", w.Code, got, status, want)
				}
			})
		}
	})
}

func TestContentTypes(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		for media, status := range map[string]int{
			"application/fhir+json": 201, "application/json": 201, "text/json": 201, "application/fhir+json; charset=UTF-8": 201, "application/fhir+json; fhirVersion=4.0": 201,
			"application/fhir+json; charset=iso-8859-1": 415, "application/fhir+json; fhirVersion=5.0": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, ";": 415,
		} {
			a.want(status, "POST", "/Patient", patientJSON("", "C", ""), "Content-Type", media)
		}
		for _, media := range []string{"application/fhir+xml", "application/xml", "text/xml", "text/xml; charset=utf-8"} {
			a.want(201, "POST", "/Patient", patientXML, "Content-Type", media)
			a.want(400, "POST", "/Patient", patientJSON("", "C", ""), "Content-Type", media)
		}
		a.want(415, "POST", "/Patient", patientXML, "Content-Type", "text/xml; charset=utf-16")
	})
}

func TestPretty(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		_, plain := a.want(201, "PUT", "/Patient/p", patientJSON("p", "P", ""))
		for _, format := range []string{"json", "xml"} {
			w, n := a.want(200, "GET", "/Patient/p?_pretty=true&_format="+format, "")
			if strings.Count(w.Body.String(), "\n") < 5 || !n.Equal(plain) {
				t.Errorf("%s: got %s", format, w.Body)
			}
			if w, _ := a.want(404, "GET", "/Patient/q?_pretty=true&_format="+format, ""); strings.Count(w.Body.String(), "\n") < 5 {
				t.Errorf("%s: got %s", format, w.Body)
			}
			if w, _ := a.want(200, "GET", "/Patient/p?_pretty=false&_format="+format, ""); strings.Contains(w.Body.String(), "\n") {
				t.Errorf("%s: got %s", format, w.Body)
			}
		}
	})
}

func TestFormatsOfTheCapabilityStatement(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		_, n := a.want(200, "GET", "/metadata", "")
		if err := check(n, "CapabilityStatement"); err != nil {
			t.Error(err)
		}
		formats := n.Get("format")
		if formats == nil || len(formats.Items) < 6 {
			t.Fatal("it names no formats")
		}
		for _, f := range formats.Items {
			a.want(200, "GET", "/metadata?_format="+url.QueryEscape(f.Text), "")
		}
		if formats.Kind != fhir.Array {
			t.Error("they are no list")
		}
	})
}

func TestHeadAndOptions(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		a.want(201, "PUT", "/Patient/h", patientJSON("h", "H", ""))
		for path, status := range map[string]int{
			"/Patient/h": 200, "/Patient/h/_history": 200, "/Patient/h/_history/1": 200, "/Patient?family=h": 200, "/metadata": 200, "/Patient/none": 404, "/Patient/h?_format=ttl": 406, "/Patient/h?_format=xml": 200,
		} {
			w, _ := a.do("HEAD", path, "")
			got, _ := a.do("GET", path, "")
			if w.Code != status || got.Code != status || w.Body.Len() > 0 {
				t.Errorf("HEAD %s: %d with %d bytes, GET %d, want %d", path, w.Code, w.Body.Len(), got.Code, status)
			}
			for _, header := range []string{"ETag", "Content-Type", "Content-Length", "Last-Modified"} {
				if w.Header().Get(header) != got.Header().Get(header) {
					t.Errorf("HEAD %s: %s %q, with GET %q", path, header, w.Header().Get(header), got.Header().Get(header))
				}
			}
		}
		for path, allow := range map[string]string{
			"": "POST, OPTIONS", "/metadata": "GET, HEAD, OPTIONS", "/Patient": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", "/Patient/_search": "POST, OPTIONS",
			"/Patient/h": "GET, HEAD, PUT, PATCH, DELETE, OPTIONS", "/Patient/h/_history": "GET, HEAD, OPTIONS",
		} {
			if w, _ := a.do("OPTIONS", path, ""); w.Code != 204 || w.Header().Get("Allow") != allow {
				t.Errorf("OPTIONS %s: %d %q, want %q", path, w.Code, w.Header().Get("Allow"), allow)
			}
			if w, _ := a.want(405, "LINK", path, ""); w.Header().Get("Allow") != allow {
				t.Errorf("LINK %s: %q, want %q", path, w.Header().Get("Allow"), allow)
			}
		}
		a.want(404, "OPTIONS", "/Nonsense", "")
	})
}
