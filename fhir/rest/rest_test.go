package rest

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/xml"
	"github.com/plexus-health/plexus/internal/pgtest"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/postgres"
	"github.com/plexus-health/plexus/store/sqlite"
)

// An api is the API over a store of its own.
type api struct {
	t       *testing.T
	handler http.Handler
	log     *strings.Builder
}

func newAPI(t *testing.T) *api {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return apiOver(t, s)
}

func apiOver(t *testing.T, s store.Records) *api {
	log := &strings.Builder{}
	return &api{t: t, log: log, handler: New(Options{Records: s, Access: access.Loopback{}, Base: "/fhir", Log: slog.New(slog.NewTextHandler(log, nil)), Limit: 1 << 20})}
}

// eachStore runs a test over each store there is.
func eachStore(t *testing.T, test func(t *testing.T, a *api)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, newAPI(t)) })
	t.Run("postgres", func(t *testing.T) {
		s, err := postgres.Open(t.Context(), postgres.Options{DSN: pgtest.Start(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, apiOver(t, s))
	})
}

// do sends a request; headers are pairs.
func (a *api) do(method, path, body string, headers ...string) (*httptest.ResponseRecorder, *fhir.Node) {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), method, "http://127.0.0.1/fhir"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:4000"
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	if w.Body.Len() == 0 {
		return w, nil
	}
	parse := fhir.Parse
	if strings.Contains(w.Header().Get("Content-Type"), "xml") {
		parse = xml.Parse
	}
	n, err := parse(w.Body.Bytes())
	if err != nil {
		a.t.Fatalf("%s %s answered no %s: %v", method, path, w.Header().Get("Content-Type"), err)
	}
	return w, n
}

// want sends a request that has to be answered with a status.
func (a *api) want(status int, method, path, body string, headers ...string) (*httptest.ResponseRecorder, *fhir.Node) {
	a.t.Helper()
	w, n := a.do(method, path, body, headers...)
	if w.Code != status {
		a.t.Fatalf("%s %s: %d, want %d\n%s", method, path, w.Code, status, w.Body)
	}
	if status >= 400 && text(n, "resourceType") != "OperationOutcome" {
		a.t.Fatalf("%s %s: an error without OperationOutcome: %s", method, path, w.Body)
	}
	return w, n
}

func patientJSON(id, family, extra string) string {
	if id != "" {
		id = `"id":"` + id + `",`
	}
	return `{"resourceType":"Patient",` + id + `"name":[{"family":"` + family + `"}]` + extra + `}`
}

func total(n *fhir.Node) int {
	if e := n.Get("entry"); e != nil {
		return len(e.Items)
	}
	return 0
}

func TestInteractions(t *testing.T) { eachStore(t, interactions) }

func interactions(t *testing.T, a *api) {
	w, n := a.want(201, "POST", "/Patient", patientJSON("", "One", `,"multipleBirthInteger":2,"extension":[{"url":"urn:x","valueDecimal":7.20}]`))
	id := text(n, "id")
	if !strings.Contains(w.Header().Get("Location"), "/fhir/Patient/"+id+"/_history/1") || w.Header().Get("ETag") != `W/"1"` {
		t.Errorf("headers %v", w.Header())
	}
	if !strings.Contains(w.Body.String(), "7.20") {
		t.Error("a decimal was not kept as written")
	}
	path := "/Patient/" + id
	t.Run("read and not modified", func(t *testing.T) {
		w, n := a.want(200, "GET", path, "")
		if text(n.Get("meta"), "versionId") != "1" || text(n.Get("meta"), "lastUpdated") == "" || w.Header().Get("Last-Modified") == "" {
			t.Errorf("got %s", w.Body)
		}
		a.want(304, "GET", path, "", "If-None-Match", `W/"1"`)
	})
	t.Run("update, with and without the version seen", func(t *testing.T) {
		a.want(200, "PUT", path, patientJSON(id, "Two", ""))
		a.want(412, "PUT", path, patientJSON(id, "Three", ""), "If-Match", `W/"1"`)
		a.want(200, "PUT", path, patientJSON(id, "Three", ""), "If-Match", `W/"2"`)
		a.want(400, "PUT", path, patientJSON("other", "X", ""))
		a.want(400, "PUT", path, patientJSON("", "X", ""))
	})
	t.Run("an update of what is the same makes no version", func(t *testing.T) {
		_, n := a.want(200, "PUT", path, patientJSON(id, "Three", ""))
		if v := text(n.Get("meta"), "versionId"); v != "3" {
			t.Errorf("version %s, want 3", v)
		}
	})
	t.Run("versions and history", func(t *testing.T) {
		_, n := a.want(200, "GET", path+"/_history/1", "")
		if !strings.Contains(string(n.AppendJSON(nil)), "One") {
			t.Error("version 1 is not the first")
		}
		if _, h := a.want(200, "GET", path+"/_history", ""); total(h) != 3 {
			t.Errorf("history of %d", total(h))
		}
		a.want(404, "GET", path+"/_history/9", "")
		a.want(404, "GET", path+"/_history/x", "")
	})
	t.Run("delete, gone, again, create again", func(t *testing.T) {
		a.want(204, "DELETE", path, "")
		a.want(410, "GET", path, "")
		a.want(204, "DELETE", path, "")
		a.want(201, "PUT", path, patientJSON(id, "Four", ""))
		if _, n := a.want(200, "GET", path, ""); text(n.Get("meta"), "versionId") != "5" {
			t.Errorf("got %s", n.AppendJSON(nil))
		}
	})
	t.Run("update as create", func(t *testing.T) { a.want(201, "PUT", "/Patient/my.id-1", patientJSON("my.id-1", "Mine", "")) })
	t.Run("what the client prefers", func(t *testing.T) {
		if w, _ := a.want(201, "POST", "/Patient", patientJSON("", "M", ""), "Prefer", "return=minimal"); w.Body.Len() != 0 {
			t.Error("a body was sent")
		}
		if _, n := a.want(201, "POST", "/Patient", patientJSON("", "M", ""), "Prefer", "return=OperationOutcome"); text(n, "resourceType") != "OperationOutcome" {
			t.Error("no outcome was sent")
		}
	})
	t.Run("a repeat under an idempotency key is one resource", func(t *testing.T) {
		a.want(201, "PUT", "/Patient/idem", patientJSON("idem", "I", ""), "Idempotency-Key", "k1")
		a.want(201, "PUT", "/Patient/idem", patientJSON("idem", "I", ""), "Idempotency-Key", "k1")
	})
	t.Run("the capability statement says what is served", func(t *testing.T) {
		_, n := a.want(200, "GET", "/metadata", "")
		if text(n, "fhirVersion") != "4.0.1" || len(n.Get("rest").Items[0].Get("resource").Items) < 140 {
			t.Error("it lacks the types")
		}
	})
}

func TestRefusals(t *testing.T) {
	a := newAPI(t)
	for name, c := range map[string]struct {
		status             int
		method, path, body string
		headers            []string
		place              string
	}{
		"an unknown type":              {404, "GET", "/Nonsense/1", "", nil, ""},
		"an id with a slash escaped":   {404, "GET", "/Patient/a%2Fb", "", nil, ""},
		"an id that climbs":            {404, "GET", "/Patient/..%2f..", "", nil, ""},
		"a long id":                    {404, "GET", "/Patient/" + strings.Repeat("a", 65), "", nil, ""},
		"a method nobody knows":        {405, "LINK", "/Patient/1", "", nil, ""},
		"Turtle asked for":             {406, "GET", "/Patient/1", "", []string{"Accept", "text/turtle"}, ""},
		"Turtle sent":                  {415, "POST", "/Patient", "<Patient/>", []string{"Content-Type", "text/turtle"}, ""},
		"no JSON":                      {400, "POST", "/Patient", "{", nil, ""},
		"a name twice":                 {400, "POST", "/Patient", `{"resourceType":"Patient","id":"a","id":"b"}`, nil, ""},
		"too deep":                     {400, "POST", "/Patient", strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500), nil, ""},
		"too large":                    {413, "POST", "/Patient", patientJSON("", strings.Repeat("x", 2<<20), ""), nil, ""},
		"another type":                 {400, "POST", "/Patient", `{"resourceType":"Observation"}`, nil, ""},
		"an unknown element":           {422, "POST", "/Patient", patientJSON("", "x", `,"birthdate":"1970"`), nil, "Patient"},
		"a list where there is none":   {422, "POST", "/Patient", patientJSON("", "x", `,"gender":["male"]`), nil, "Patient.gender"},
		"no list where there is one":   {422, "POST", "/Patient", `{"resourceType":"Patient","name":{"family":"x"}}`, nil, "Patient.name"},
		"text where a flag belongs":    {422, "POST", "/Patient", patientJSON("", "x", `,"active":"yes"`), nil, "Patient.active"},
		"a date that is none":          {422, "POST", "/Patient", patientJSON("", "x", `,"birthDate":"1970-13-01"`), nil, "Patient.birthDate"},
		"a required element missing":   {422, "POST", "/Observation", `{"resourceType":"Observation","status":"final"}`, nil, "Observation"},
		"a choice of no type":          {422, "POST", "/Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueNonsense":1}`, nil, "Observation"},
		"an unknown modifier":          {400, "GET", "/Patient?family:sounds=x", "", nil, ""},
		"a date search that is none":   {400, "GET", "/Patient?birthdate=yesterday", "", nil, ""},
		"an unknown parameter, strict": {400, "GET", "/Patient?nonsense=1", "", []string{"Prefer", "handling=strict"}, ""},
		"a page of somebody else":      {400, "GET", "/Patient?_page=AAAA", "", nil, ""},
		"a delete without criteria":    {400, "DELETE", "/Patient", "", nil, ""},
		"a transaction of nonsense":    {400, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Nonsense"}}]}`, nil, "Bundle.entry[0].request.url"},
	} {
		t.Run(name, func(t *testing.T) {
			a.t = t
			w, _ := a.want(c.status, c.method, c.path, c.body, c.headers...)
			if c.place != "" && !strings.Contains(w.Body.String(), `"`+c.place+`"`) {
				t.Errorf("no place %s in %s", c.place, w.Body)
			}
		})
	}
	t.Run("somebody from elsewhere", func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1/fhir/Patient", io.MultiReader(strings.NewReader("{"), neverRead{t}))
		r.RemoteAddr = "10.0.0.9:1"
		w := httptest.NewRecorder()
		a.handler.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%d, want 403", w.Code)
		}
	})
	t.Run("no value of a resource is in an error or a log", func(t *testing.T) {
		const canary = "CANARY77"
		for _, body := range []string{
			patientJSON("", canary, `,"`+canary+`":1`), patientJSON("", "x", `,"birthDate":"`+canary+`"`), `{"resourceType":"` + canary + `"}`, `{"resourceType":"Patient","x":` + canary,
		} {
			if w, _ := a.do("POST", "/Patient", body); w.Code < 400 || strings.Contains(w.Body.String(), canary) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if strings.Contains(a.log.String(), canary) {
			t.Error("the log shows it")
		}
	})
}

type neverRead struct{ t *testing.T }

func (n neverRead) Read([]byte) (int, error) {
	n.t.Error("the body of a request that is not allowed was read")
	return 0, io.EOF
}

func TestConditional(t *testing.T) { eachStore(t, conditionalWrites) }

func conditionalWrites(t *testing.T, a *api) {
	identified := func(family string) string {
		return patientJSON("", family, `,"identifier":[{"system":"urn:mrn","value":"77"}]`)
	}
	t.Run("of many who create the same patient one does", func(t *testing.T) {
		var all sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		for i := range 20 {
			all.Go(func() {
				w, _ := a.do("POST", "/Patient", identified(fmt.Sprint("F", i)), "If-None-Exist", "identifier=urn:mrn|77")
				mu.Lock()
				defer mu.Unlock()
				codes[w.Code]++
			})
		}
		all.Wait()
		if codes[201] != 1 || codes[200] != 19 {
			t.Errorf("answers %v, want one 201 and nineteen 200", codes)
		}
		if _, n := a.want(200, "GET", "/Patient?identifier=urn:mrn|77", ""); total(n) != 1 {
			t.Errorf("%d patients", total(n))
		}
	})
	t.Run("an identifier that belongs to another is refused", func(t *testing.T) { a.want(409, "POST", "/Patient", identified("Thief")) })
	t.Run("update by criteria", func(t *testing.T) {
		a.want(200, "PUT", "/Patient?identifier=urn:mrn|77", identified("Updated"))
		a.want(201, "PUT", "/Patient?identifier=urn:mrn|78", strings.Replace(identified("New"), `"77"`, `"78"`, 1))
		a.want(400, "PUT", "/Patient?family=", identified("x"))
	})
	t.Run("criteria that find several", func(t *testing.T) {
		a.want(201, "POST", "/Patient", patientJSON("", "Twin", ""))
		a.want(201, "POST", "/Patient", patientJSON("", "Twin", ""))
		a.want(412, "PUT", "/Patient?family=Twin", patientJSON("", "Twin", ""))
		a.want(412, "DELETE", "/Patient?family=Twin", "")
		a.want(412, "POST", "/Patient", patientJSON("", "Twin", ""), "If-None-Exist", "family=Twin")
	})
	t.Run("delete by criteria", func(t *testing.T) {
		a.want(204, "DELETE", "/Patient?identifier=urn:mrn|78", "")
		a.want(204, "DELETE", "/Patient?identifier=urn:mrn|78", "")
	})
	t.Run("updates that name the version lose none", func(t *testing.T) {
		a.want(201, "PUT", "/Patient/count", patientJSON("count", "0", ""))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					_, n := a.do("GET", "/Patient/count", "")
					version, count := text(n.Get("meta"), "versionId"), 0
					if _, err := fmt.Sscan(text(n.Get("name").Items[0], "family"), &count); err != nil {
						t.Error(err)
						return
					}
					w, _ := a.do("PUT", "/Patient/count", patientJSON("count", fmt.Sprint(count+1), ""), "If-Match", `W/"`+version+`"`)
					if w.Code == 200 {
						return
					}
					if w.Code != 412 {
						t.Errorf("%d %s", w.Code, w.Body)
						return
					}
				}
			})
		}
		all.Wait()
		if _, n := a.want(200, "GET", "/Patient/count", ""); text(n.Get("name").Items[0], "family") != "8" {
			t.Errorf("got %s", n.AppendJSON(nil))
		}
	})
}

// A placer's number names one order; a filler's and a group's may be those of
// several.
func TestNumbersThatOrdersShare(t *testing.T) {
	a := newAPI(t)
	order := func(id, kind string) string {
		return `{"resourceType":"ServiceRequest","id":"` + id + `","status":"active","intent":"order","subject":{"display":"x"},` +
			`"identifier":[{"type":{"coding":[{"code":"` + kind + `"}]},"system":"urn:oid:2.999.5","value":"` + kind + `-1"}]}`
	}
	for _, kind := range []string{"FILL", "PGN"} {
		a.want(http.StatusCreated, http.MethodPut, "/ServiceRequest/a", order("a", kind))
		a.want(http.StatusCreated, http.MethodPut, "/ServiceRequest/b", order("b", kind))
		a.want(http.StatusNoContent, http.MethodDelete, "/ServiceRequest/a", "")
		a.want(http.StatusNoContent, http.MethodDelete, "/ServiceRequest/b", "")
	}
	a.want(http.StatusCreated, http.MethodPut, "/ServiceRequest/c", order("c", "PLAC"))
	a.want(http.StatusConflict, http.MethodPut, "/ServiceRequest/d", order("d", "PLAC"))
}

func TestTransaction(t *testing.T) { eachStore(t, transactions) }

func transactions(t *testing.T, a *api) {
	bundle := func(kind string, entries ...string) string {
		return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
	}
	patient := `{"fullUrl":"urn:uuid:1","resource":` + patientJSON("", "Tx", `,"identifier":[{"system":"urn:mrn","value":"5"}]`) + `,"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=urn:mrn|5"}}`
	result := `{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:1"}},"request":{"method":"POST","url":"Observation"}}`
	t.Run("references between entries are resolved", func(t *testing.T) {
		_, n := a.want(200, "POST", "", bundle("transaction", result, patient))
		if total(n) != 2 || text(n, "type") != "transaction-response" {
			t.Fatalf("got %s", n.AppendJSON(nil))
		}
		if _, n := a.want(200, "GET", "/Observation?patient.identifier=urn:mrn|5", ""); total(n) != 1 {
			t.Error("the result is not the patient's")
		}
	})
	t.Run("a conditional entry finds what is there", func(t *testing.T) {
		a.want(200, "POST", "", bundle("transaction", patient, result))
		if _, n := a.want(200, "GET", "/Patient?identifier=urn:mrn|5", ""); total(n) != 1 {
			t.Errorf("%d patients", total(n))
		}
	})
	t.Run("all or nothing", func(t *testing.T) {
		a.want(422, "POST", "", bundle("transaction",
			`{"resource":`+patientJSON("", "Half", "")+`,"request":{"method":"POST","url":"Patient"}}`,
			`{"resource":{"resourceType":"Observation","status":"final"},"request":{"method":"POST","url":"Observation"}}`))
		a.want(400, "POST", "", bundle("transaction",
			`{"resource":`+patientJSON("", "Half", "")+`,"request":{"method":"POST","url":"Patient"}}`,
			`{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:nobody"}},"request":{"method":"POST","url":"Observation"}}`))
		if _, n := a.want(200, "GET", "/Patient?family=Half", ""); total(n) != 0 {
			t.Error("half of a transaction was written")
		}
	})
	t.Run("a batch does each by itself", func(t *testing.T) {
		_, n := a.want(200, "POST", "", bundle("batch",
			`{"resource":`+patientJSON("", "Batch", "")+`,"request":{"method":"POST","url":"Patient"}}`,
			`{"resource":{"resourceType":"Observation"},"request":{"method":"POST","url":"Observation"}}`,
			`{"request":{"method":"GET","url":"Patient?family=Tx"}}`))
		var statuses []string
		for _, e := range n.Get("entry").Items {
			statuses = append(statuses, text(e.Get("response"), "status")[:3])
		}
		if fmt.Sprint(statuses) != "[201 422 200]" {
			t.Errorf("statuses %v", statuses)
		}
	})
	t.Run("update and delete in one", func(t *testing.T) {
		a.want(201, "PUT", "/Patient/t1", patientJSON("t1", "A", ""))
		a.want(200, "POST", "", bundle("transaction",
			`{"request":{"method":"DELETE","url":"Patient/t1"}}`,
			`{"resource":`+patientJSON("t2", "B", "")+`,"request":{"method":"PUT","url":"Patient/t2"}}`,
			`{"request":{"method":"GET","url":"Patient/t2"}}`))
		a.want(410, "GET", "/Patient/t1", "")
		a.want(200, "GET", "/Patient/t2", "")
	})
}

func TestSearchAPI(t *testing.T) {
	a := newAPI(t)
	for i := range 6 {
		a.want(201, "PUT", fmt.Sprint("/Patient/p", i), patientJSON(fmt.Sprint("p", i), fmt.Sprint("Family", i), fmt.Sprintf(`,"birthDate":"195%d-01-01","gender":"female"`, i)))
		a.want(201, "PUT", fmt.Sprint("/Observation/o", i), fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"subject":{"reference":"Patient/p%d"},"effectiveDateTime":"2026-01-0%d","valueQuantity":{"value":5.%d,"unit":"g"}}`, i, i, i+1, i))
	}
	for query, want := range map[string]int{
		"Patient?family=family":                                        6,
		"Patient?family:exact=Family1":                                 1,
		"Patient?family:exact=family1":                                 0,
		"Patient?family:contains=ily3":                                 1,
		"Patient?birthdate=1953":                                       1,
		"Patient?birthdate=ge1953&birthdate=lt1955":                    2,
		"Patient?gender=female&_id=p1,p2":                              2,
		"Patient?gender:not=female":                                    0,
		"Patient?deceased:missing=true":                                0,
		"Patient?nonsense=1":                                           6,
		"Patient?_has:Observation:patient:code=718-7":                  6,
		"Patient?_lastUpdated=gt2001":                                  6,
		"Observation?patient=p3":                                       1,
		"Observation?patient=Patient/p3":                               1,
		"Observation?subject:Patient=p3":                               1,
		"Observation?patient.family=family4":                           1,
		"Observation?subject:Patient.birthdate=1952":                   1,
		"Observation?code=http://loinc.org|718-7":                      6,
		"Observation?code=http://snomed.info/sct|718-7":                0,
		"Observation?code=|718-7":                                      0,
		"Observation?value-quantity=5.2":                               1,
		"Observation?value-quantity=gt5.2":                             3,
		"Observation?value-quantity=5||g":                              5,
		"Observation?value-quantity=ap4.7":                             2,
		"Observation?date=2026-01-02":                                  1,
		"Observation?patient=p1&_include=Observation:subject":          2,
		"Patient?_id=p1&_revinclude=Observation:patient":               2,
		"Patient?family=x%27%20OR%201=1--":                             0,
		"Observation?patient=Group/p3":                                 0,
		"Patient?family=Family1,Family2":                               2,
		"Patient?_has:Observation:patient:_id=o1":                      1,
		"Observation?_sort=-date&_count=2":                             2,
		"Patient?identifier:missing=true":                              6,
		"Observation?patient:missing=false":                            6,
		"Observation?code=718-7&patient.gender=female&date=2026-01-03": 1,
	} {
		t.Run(query, func(t *testing.T) {
			a.t = t
			if _, n := a.want(200, "GET", "/"+query, ""); total(n) != want {
				t.Errorf("%d found, want %d", total(n), want)
			}
		})
	}
	t.Run("the self link says what was understood", func(t *testing.T) {
		a.t = t
		w, _ := a.want(200, "GET", "/Patient?nonsense=1&family=family1", "")
		if strings.Contains(w.Body.String(), "nonsense") || !strings.Contains(w.Body.String(), "family=family1") {
			t.Errorf("got %s", w.Body)
		}
	})
	t.Run("pages are walked by their links", func(t *testing.T) {
		a.t = t
		path, seen := "/Observation?_sort=-date&_count=2", []string{}
		for pages := 0; path != "" && pages < 10; pages++ {
			_, n := a.want(200, "GET", path, "")
			for _, e := range n.Get("entry").Items {
				seen = append(seen, text(e.Get("resource"), "id"))
			}
			path = ""
			for _, l := range n.Get("link").Items {
				if text(l, "relation") == "next" {
					path = strings.TrimPrefix(text(l, "url"), "http://127.0.0.1/fhir")
				}
			}
		}
		if fmt.Sprint(seen) != "[o5 o4 o3 o2 o1 o0]" {
			t.Errorf("seen %v", seen)
		}
	})
	t.Run("counted, by form, in part", func(t *testing.T) {
		a.t = t
		if _, n := a.want(200, "GET", "/Patient?_summary=count", ""); n.Get("total").Text != "6" || total(n) != 0 {
			t.Errorf("got %s", n.AppendJSON(nil))
		}
		if _, n := a.want(200, "POST", "/Patient/_search", "family=family1", "Content-Type", "application/x-www-form-urlencoded"); total(n) != 1 {
			t.Errorf("got %s", n.AppendJSON(nil))
		}
		if w, _ := a.want(200, "GET", "/Patient?_id=p1&_elements=gender", ""); strings.Contains(w.Body.String(), "Family1") || !strings.Contains(w.Body.String(), "female") {
			t.Errorf("got %s", w.Body)
		}
	})
}
