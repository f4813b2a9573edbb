package rest

import (
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/fhir"
)

func observation(id, more string) string {
	return `{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}` + more + `}`
}

// TestNumbersOfAnySize: a decimal that no column holds is taken, comes back as it
// was written and is found as larger or smaller than others.
func TestNumbersOfAnySize(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		large := []string{"1e999999999", "1e200000", "1e131072", strings.Repeat("9", 5000), "5e299"}
		small := []string{"1e-999999999", "1e-20000", "1e-99"}
		var ids []string
		for i, value := range append(large, small...) {
			id := "n" + string(rune('a'+i))
			ids = append(ids, id)
			w, _ := a.want(201, "PUT", "/Observation/"+id, observation(id, `,"valueQuantity":{"value":`+value+`,"unit":"g"}`))
			if !strings.Contains(w.Body.String(), value) {
				t.Errorf("%.20s did not come back", value)
			}
		}
		a.put(observation("minus", `,"valueQuantity":{"value":-1e400}`), observation("sampled", `,"valueSampledData":{"origin":{"value":0},"period":1,"dimensions":1,"data":"1 `+strings.Repeat("7", 9000)+`"}`))
		if got, want := a.found("Observation?value-quantity=gt1e99&_sort=_id"), strings.Join(append(ids[:len(large):len(large)], "sampled"), " "); got != want {
			t.Errorf("large: %s, want %s", got, want)
		}
		if got, want := a.found("Observation?value-quantity=lt0.1&value-quantity=gt-1&_sort=_id"), strings.Join(ids[len(large):], " "); got != want {
			t.Errorf("small: %s, want %s", got, want)
		}
		if got := a.found("Observation?value-quantity=lt-1e99"); got != "minus" {
			t.Errorf("negative: %s", got)
		}
		a.want(200, "GET", "/Observation?_sort=-value-quantity&_count=2", "")
		a.want(400, "GET", "/Observation?value-quantity=gt"+strings.Repeat("9", 5000), "")
	})
}

// TestQueriesThatAreNone: what is no text is refused on every store, whatever it is
// asked of.
func TestQueriesThatAreNone(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		a.put(patientJSON("p", "A", ""))
		for _, query := range []string{
			"/Patient?_id=%ff", "/Patient?organization=%ff", "/Patient?organization._id=%ff", "/Observation?value-quantity=5||%ff",
			"/Patient?family=a%00b", "/Patient?_has:Observation:patient:_id=%c3", "/Patient?%ff=1", "/Patient/_history?_since=%ff", "/Patient/p/Observation?code=%ff",
		} {
			a.want(400, "GET", query, "")
		}
		a.want(400, "POST", "/Patient/_search", "_id=%ff", "Content-Type", "application/x-www-form-urlencoded")
		a.want(400, "POST", "/Patient", patientJSON("", "B", ""), "If-None-Exist", "_id=%ff")
		a.want(400, "PUT", "/Patient?_id=%ff", patientJSON("", "B", ""))
	})
}

// TestMalformedQueries: a search of which a part is not understood by its form
// finds nothing rather than everything.
func TestMalformedQueries(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		a.put(patientJSON("p", "A", ""))
		for _, query := range []string{"/Patient?family=nomatchxyz%ZZ", "/Patient?family=x;a=b", "/Patient?family=%", "/Patient/p/Observation?code=%2", "/Patient/_history?_since=%"} {
			a.want(400, "GET", query, "")
			a.want(400, "GET", query, "", "Prefer", "handling=strict")
		}
		const form = "application/x-www-form-urlencoded"
		a.want(400, "POST", "/Patient/_search", "family=%ZZ", "Content-Type", form)
		a.want(400, "POST", "/Patient/_search?family=%ZZ", "family=A", "Content-Type", form)
		for _, media := range []string{"text/plain", "application/json", "application/fhir+json", "multipart/form-data; boundary=x", form + "; charset=utf-16"} {
			a.want(415, "POST", "/Patient/_search", "family=nomatchxyz", "Content-Type", media)
			a.want(415, "POST", "/Patient/p/Observation/_search", "code=x", "Content-Type", media)
		}
		for _, media := range []string{form, form + "; charset=UTF-8"} {
			if _, n := a.want(200, "POST", "/Patient/_search", "family=A", "Content-Type", media); total(n) != 1 {
				t.Errorf("%s: %d", media, total(n))
			}
		}
		if _, n := a.want(200, "POST", "/Patient/_search?family=nomatchxyz", ""); total(n) != 0 {
			t.Error("parameters of the address are not taken without a body")
		}
	})
}

// TestWritesThatChangeNothing: what makes no version answers with the time of the
// version that there is.
func TestWritesThatChangeNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		first, n := a.want(201, "PUT", "/Patient/p", patientJSON("p", "A", ""))
		updated := text(n.Get("meta"), "lastUpdated")
		for instant(time.Now()) == updated { // until a new version would have another time
			runtime.Gosched()
		}
		same := func(what string, w *httptest.ResponseRecorder, n *fhir.Node) {
			t.Helper()
			if got := text(n.Get("meta"), "lastUpdated"); got != updated || text(n.Get("meta"), "versionId") != "1" {
				t.Errorf("%s: version %s of %s, want 1 of %s", what, text(n.Get("meta"), "versionId"), got, updated)
			}
			if got := w.Header().Get("Last-Modified"); got != "" && got != first.Header().Get("Last-Modified") {
				t.Errorf("%s: Last-Modified %s", what, got)
			}
		}
		w, n := a.want(200, "PUT", "/Patient/p", patientJSON("p", "A", ""))
		same("PUT", w, n)
		w, n = a.want(200, "PATCH", "/Patient/p", `[{"op":"test","path":"/id","value":"p"}]`, "Content-Type", "application/json-patch+json")
		same("PATCH", w, n)
		for _, kind := range []string{"batch", "transaction"} {
			w, n = a.want(200, "POST", "/", `{"resourceType":"Bundle","type":"`+kind+`","entry":[{"resource":`+patientJSON("p", "A", "")+`,"request":{"method":"PUT","url":"Patient/p"}}]}`)
			entry := n.Get("entry").Items[0]
			same(kind, w, entry.Get("resource"))
			if got := text(entry.Get("response"), "lastModified"); kind == "transaction" && got != updated {
				t.Errorf("%s: lastModified %s", kind, got)
			}
		}
		w, n = a.want(200, "GET", "/Patient/p", "")
		same("GET", w, n)
	})
}
