package rest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/store"
)

// send sends bytes and gives the answer as it is.
func (a *api) send(method, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), method, "http://127.0.0.1/fhir"+path, bytes.NewReader(body))
	r.RemoteAddr = "127.0.0.1:4000"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return w
}

func TestBinary(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		s := a.handler.(*server)
		a.handler = New(Options{Records: s.Records, Access: s.Access, Base: "/fhir", Log: s.Log, BinaryLimit: 4 << 20})
		random := rand.New(rand.NewPCG(1, 2))
		for _, size := range []int{0, 1, 1000, store.MaxChunk - 1, store.MaxChunk, store.MaxChunk + 1, 3*store.MaxChunk + 17} {
			t.Run(fmt.Sprint(size), func(t *testing.T) {
				a.t = t
				data := make([]byte, size)
				for i := range data {
					data[i] = byte(random.Uint32())
				}
				w := a.send("POST", "/Binary", data, "Content-Type", "application/pdf", "X-Security-Context", "Patient/p")
				if w.Code != 201 || w.Body.Len() > 0 {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				path := strings.TrimPrefix(w.Header().Get("Location"), "http://127.0.0.1/fhir")
				path = path[:strings.Index(path, "/_history")]
				for _, accept := range []string{"", "*/*", "application/pdf", "text/html, */*;q=0.1", "application/*"} {
					w := a.send("GET", path, nil, "Accept", accept)
					if w.Code != 200 || w.Header().Get("Content-Type") != "application/pdf" || !bytes.Equal(w.Body.Bytes(), data) || w.Header().Get("Content-Length") != fmt.Sprint(size) || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") {
						t.Errorf("%q: %d %v, %d bytes", accept, w.Code, w.Header(), w.Body.Len())
					}
				}
				if w := a.send("HEAD", path, nil); w.Body.Len() > 0 || w.Header().Get("Content-Length") != fmt.Sprint(size) {
					t.Errorf("HEAD: %v", w.Header())
				}
				want := base64.StdEncoding.EncodeToString(data)
				for _, how := range [][2]string{{"application/fhir+json", ""}, {"application/fhir+xml", ""}, {"", "?_format=json"}, {"", "?_format=xml"}, {"", "?_format=json&_pretty=true"}, {"", "?_format=xml&_pretty=true"}, {"application/json", ""}} {
					_, n := a.want(200, "GET", path+how[1], "", "Accept", how[0])
					if text(n, "data") != want || text(n, "contentType") != "application/pdf" || text(n.Get("securityContext"), "reference") != "Patient/p" || n.Get("meta").Get("tag") != nil {
						t.Errorf("%q: %d characters, want %d", how, len(text(n, "data")), len(want))
					}
				}
				if w := a.send("GET", path, nil, "Accept", "image/png"); w.Code != 406 {
					t.Errorf("as a picture: %d", w.Code)
				}
				if w := a.send("GET", path, nil, "If-None-Match", `W/"1"`); w.Code != 304 {
					t.Errorf("unchanged: %d", w.Code)
				}
				a.want(200, "PATCH", path, `[{"op":"replace","path":"/contentType","value":"image/png"}]`, "Content-Type", mediaPatch)
				if w := a.send("GET", path, nil, "Accept", "image/png"); w.Code != 200 || !bytes.Equal(w.Body.Bytes(), data) {
					t.Errorf("after a patch: %d, %d bytes", w.Code, w.Body.Len())
				}
				if w := a.send("PUT", path, []byte("new"), "Content-Type", "text/plain", "If-Match", `W/"1"`); w.Code != 412 {
					t.Errorf("replaced an old version: %d", w.Code)
				}
				if w := a.send("PUT", path, []byte("new"), "Content-Type", "text/plain"); w.Code != 200 || w.Header().Get("ETag") != `W/"3"` {
					t.Errorf("replaced: %d", w.Code)
				}
				if w := a.send("GET", path+"/_history/1", nil); !bytes.Equal(w.Body.Bytes(), data) {
					t.Errorf("the first version has %d bytes", w.Body.Len())
				}
				if w := a.send("GET", path, nil); w.Body.String() != "new" || w.Header().Get("Content-Type") != "text/plain" {
					t.Errorf("got %s", w.Body)
				}
				_, history := a.want(200, "GET", path+"/_history", "")
				first := history.Get("entry").Items[2].Get("resource")
				if whole := text(first, "data") == want; whole == (size >= store.MaxChunk) || !whole && first.Get("meta").Get("tag") == nil {
					t.Errorf("history shows %d characters", len(text(first, "data")))
				}
				a.want(204, "DELETE", path, "")
				a.want(410, "GET", path, "")
			})
		}
		a.t = t
		if w := a.send("POST", "/Binary", make([]byte, 4<<20+1), "Content-Type", "application/pdf"); w.Code != 413 {
			t.Errorf("too large: %d", w.Code)
		}
		if w := a.send("POST", "/Binary", []byte("x"), "Content-Type", "application/pdf", "If-None-Exist", "_id=1"); w.Code != 400 {
			t.Errorf("with criteria: %d", w.Code)
		}
		if w := a.send("PUT", "/Binary/made", []byte("<b>x</b>"), "Content-Type", "text/html; charset=utf-8"); w.Code != 201 {
			t.Errorf("by id: %d", w.Code)
		}
		if w := a.send("GET", "/Binary/made", nil, "Accept", "text/html"); w.Body.String() != "<b>x</b>" || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("got %v %s", w.Header(), w.Body)
		}
		a.put(`{"resourceType":"Binary","id":"r","contentType":"text/plain","data":"aGk="}`)
		if w := a.send("GET", "/Binary/r", nil); w.Body.String() != "hi" {
			t.Errorf("got %s", w.Body)
		}
	})
}

// TestStreamedBundles asks for more than is held in memory, and holds how it
// arrives.
func TestStreamedBundles(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		const patients, size = 30, 300_000
		var ids []string
		for i := range patients {
			id := fmt.Sprintf("p%02d", i)
			ids = append(ids, id)
			a.put(patientJSON(id, "F"+strings.Repeat("long ", size/5), fmt.Sprintf(`,"link":[{"other":{"reference":"Patient/q%02d"},"type":"seealso"}]`, i)))
		}
		for i := range 3 {
			a.put(fmt.Sprintf(`{"resourceType":"Patient","id":"q%02d","name":[{"text":%q}]}`, i, strings.Repeat("other ", 10)))
		}
		for _, query := range []string{"/Patient?family=f&_include=Patient:link", "/Patient/_history", "/Patient?family=f&_sort=-_id"} {
			for _, format := range []string{"json", "xml"} {
				separator := "?"
				if strings.Contains(query, "?") {
					separator = "&"
				}
				r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1/fhir"+query+separator+"_format="+format, nil)
				r.RemoteAddr = "127.0.0.1:4000"
				w := &pieces{ResponseRecorder: httptest.NewRecorder()}
				a.handler.ServeHTTP(w, r)
				if w.Code != http.StatusOK || w.largest > 2*holdBack+2*size || w.count < 10 {
					t.Errorf("%s as %s: %d, %d pieces of up to %d bytes", query, format, w.Code, w.count, w.largest)
				}
				for _, id := range ids {
					quote := `"id":"` + id + `"`
					if format == "xml" {
						quote = `<id value="` + id + `"/>`
					}
					if strings.Count(w.Body.String(), quote) != 1 {
						t.Errorf("%s as %s: %s is not there once", query, format, id)
					}
				}
				if strings.Count(w.Body.String(), "long ") != patients*size/5 {
					t.Errorf("%s as %s: contents are lacking", query, format)
				}
				if strings.Contains(query, "include") && strings.Count(w.Body.String(), "other other") == 0 {
					t.Errorf("%s as %s: what is included is lacking", query, format)
				}
			}
		}
		if _, n := a.want(200, "GET", "/Patient?family=f&_include=Patient:link", ""); total(n) != patients+3 {
			t.Errorf("%d entries", total(n))
		}
	})
}

// pieces counts what a handler writes.
type pieces struct {
	*httptest.ResponseRecorder
	count, largest int
}

// Write counts.
func (p *pieces) Write(b []byte) (int, error) {
	p.count, p.largest = p.count+1, max(p.largest, len(b))
	return p.ResponseRecorder.Write(b)
}

// TestCutOff: when the store fails in the middle of a Bundle the connection is
// cut, so that nobody takes the half for the whole.
func TestCutOff(t *testing.T) {
	a := newAPI(t)
	for i := range 20 {
		a.put(patientJSON(fmt.Sprint("p", i), "F"+strings.Repeat("long ", 60_000), ""))
	}
	s := a.handler.(*server)
	server := httptest.NewServer(New(Options{Records: failing{s.Records}, Access: s.Access, Base: "/fhir", Log: s.Log}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/fhir/Patient?family=f", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var all bytes.Buffer
	if _, err := all.ReadFrom(response.Body); err == nil {
		t.Errorf("half of a Bundle arrived as a whole: %d bytes", all.Len())
	}
	if _, err := fhir.Parse(all.Bytes()); err == nil {
		t.Error("what arrived is whole")
	}
}

// failing is a store that reads no version.
type failing struct{ store.Records }

// ReadVersion fails.
func (failing) ReadVersion(context.Context, string, string, int) (store.Resource, error) {
	return store.Resource{}, store.ErrUnavailable
}
