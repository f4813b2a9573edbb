package rest

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/access"
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
		seen := 0
		for next := "/Observation?_sort=-value-quantity&_count=1"; next != ""; seen++ {
			_, n := a.want(200, "GET", next, "")
			next = linked(n, "next")
		}
		if all := len(ids) + 2; seen != all {
			t.Errorf("%d pages, want %d", seen, all)
		}
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

func linkedTo(id, to string) string {
	return patientJSON(id, "F", `,"link":[{"other":{"reference":"Patient/`+to+`"},"type":"seealso"}]`)
}

// TestIncludesGoOn: :iterate goes on until nothing new is found or the bound is
// met, * are all references, and a target that is no type is not known.
func TestIncludesGoOn(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		for i := range 7 {
			a.put(linkedTo(string(rune('a'+i)), string(rune('a'+(i+1)%7)))) // a circle
		}
		a.put(
			`{"resourceType":"Practitioner","id":"pr"}`, `{"resourceType":"Group","id":"g","type":"person","actual":true}`,
			observation("o", `,"subject":{"reference":"Patient/a"},"performer":[{"reference":"Practitioner/pr"}]`), observation("og", `,"subject":{"reference":"Group/g"}`),
		)
		for query, want := range map[string]string{
			"Patient?_id=a&_include=Patient:link":                        "a b",
			"Patient?_id=a&_include:iterate=Patient:link":                "a b c d e f g",
			"Patient?_id=a&_include:recurse=Patient:link":                "a b c d e f g",
			"Patient?_id=a&_revinclude:iterate=Patient:link":             "a b c d e f g",
			"Observation?_id=o&_include=Observation:*":                   "a o pr",
			"Observation?_id=o&_include=Observation:*:Practitioner":      "o pr",
			"Observation?_id=o&_include=Observation:subject:Group":       "o",
			"Practitioner?_id=pr&_revinclude=Observation:*":              "o pr",
			"Patient?_id=a&_revinclude=Observation:subject:Group":        "a",
			"Group?_id=g&_revinclude=Observation:patient":                "g",
			"Group?_id=g&_revinclude=Observation:subject":                "g og",
			"Observation?_id=o&_include=Observation:subject:Foo":         "invalid",
			"Observation?_id=o&_include=Foo:*":                           "invalid",
			"Observation?_id=o&_include:once=Observation:subject":        "invalid",
			"Observation?_id=o&_include=Observation:*&_include=Foo:link": "invalid",
		} {
			if got := a.found(query); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		_, n := a.want(200, "GET", "/Observation?_id=o&_include=Observation:subject:Foo", "")
		if link := text(n.Get("link").Items[0], "url"); total(n) != 1 || strings.Contains(link, "Foo") {
			t.Errorf("an include that is not known: %d, %s", total(n), link)
		}
	})
}

// TestIncludesEnd: a row of links that is longer than the bound is cut there, and
// that is said.
func TestIncludesEnd(t *testing.T) {
	a := newAPI(t)
	var entries []string
	for i := range mostIncluded + 3 {
		entries = append(entries, fmt.Sprintf(`{"resource":%s,"request":{"method":"PUT","url":"Patient/c%d"}}`, linkedTo(fmt.Sprint("c", i), fmt.Sprint("c", i+1)), i))
	}
	a.want(200, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
	_, n := a.want(200, "GET", "/Patient?_id=c0&_include:iterate=Patient:link", "")
	list := n.Get("entry").Items
	if last := list[len(list)-1]; len(list) != mostIncluded+2 || text(last.Get("search"), "mode") != "outcome" {
		t.Errorf("%d entries, the last %s", len(list), last.AppendJSON(nil))
	}
}

// TestReferencesUnderTheOwnBase: a reference that is written with the address of
// this server leads where a relative one does, and one to a contained resource is
// not missing.
func TestReferencesUnderTheOwnBase(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		const base = "http://127.0.0.1/fhir/"
		whole := observation("o", `,"subject":{"reference":"`+base+`Patient/gp"},"performer":[{"reference":"`+base+`Practitioner/pr/_history/1"}]`)
		a.put(
			patientJSON("gp", "Own", ""), `{"resourceType":"Practitioner","id":"pr","name":[{"family":"Doc"}]}`, whole,
			observation("elsewhere", `,"subject":{"reference":"http://other.example/fhir/Patient/gp"}`),
			patientJSON("inside", "In", `,"contained":[{"resourceType":"Practitioner","id":"c"}],"generalPractitioner":[{"reference":"#c"}]`),
		)
		if w, _ := a.want(200, "GET", "/Observation/o", ""); !strings.Contains(w.Body.String(), base+"Patient/gp") {
			t.Error("what is stored was changed")
		}
		for query, want := range map[string]string{
			"Observation?subject=gp":                                                    "o",
			"Observation?subject=Patient/gp":                                            "o",
			"Observation?subject=" + base + "Patient/gp":                                "o",
			"Observation?subject=http://other.example/fhir/Patient/gp":                  "elsewhere",
			"Observation?patient=gp":                                                    "o",
			"Observation?subject:Patient.family=own":                                    "o",
			"Observation?performer:Practitioner.family=doc":                             "o",
			"Patient?_has:Observation:patient:status=final":                             "gp",
			"Observation?_id=o&_include=Observation:subject":                            "gp o",
			"Observation?_id=o&_include=Observation:*":                                  "gp o pr",
			"Patient?_id=gp&_revinclude=Observation:subject":                            "gp o",
			"Patient/gp/Observation?":                                                   "o",
			"Patient?general-practitioner:missing=true":                                 "gp",
			"Patient?general-practitioner:missing=false":                                "inside",
			"Patient?_id=inside&_include=Patient:general-practitioner":                  "inside",
			"Patient?general-practitioner=c":                                            "",
			"Observation?subject:missing=false&_id=elsewhere&_include=Observation:*":    "elsewhere",
			"Observation?performer:missing=false&performer=" + base + "Practitioner/pr": "o",
		} {
			if got := a.found(query); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		a.want(200, "POST", "/", `{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"`+base+`Patient/new","resource":`+patientJSON("", "New", "")+`,"request":{"method":"POST","url":"Patient"}},
			{"resource":`+observation("t", `,"subject":{"reference":"`+base+`Patient/new"},"performer":[{"reference":"`+base+`Practitioner/pr"}]`)+`,"request":{"method":"PUT","url":"Observation/t"}}]}`)
		if got := a.found("Observation?subject:Patient.family=new&performer=pr"); got != "t" {
			t.Errorf("of a transaction: %s", got)
		}
	})
}

// TestRequiredReferences: when references have to lead to a resource, a write of
// which one leads to nobody is refused with its place.
func TestRequiredReferences(t *testing.T) {
	eachStore(t, func(t *testing.T, loose *api) {
		strict := *loose
		strict.handler = New(Options{Records: loose.handler.(*server).Records, Access: access.Loopback{}, Base: "/fhir", Log: slog.New(slog.DiscardHandler), RequireReferences: true})
		a := &strict
		refused := func(n *fhir.Node, places ...string) {
			t.Helper()
			var got []string
			for _, issue := range n.Get("issue").Items {
				got = append(got, issue.Get("expression").Items[0].Text)
			}
			if !slices.Equal(got, places) {
				t.Errorf("got %q, want %q", got, places)
			}
			if strings.Contains(string(n.AppendJSON(nil)), "nobody") {
				t.Errorf("a value is shown: %s", n.AppendJSON(nil))
			}
		}
		a.put(patientJSON("p", "A", ""), patientJSON("gone", "B", ""))
		a.want(204, "DELETE", "/Patient/gone", "")
		subject := func(id, reference string) string {
			return observation(id, `,"subject":{"reference":"`+reference+`"}`)
		}
		for _, reference := range []string{"Patient/nobody", "Patient/gone", "Patient/p/_history/7", "http://127.0.0.1/fhir/Patient/nobody"} {
			_, n := a.want(422, "PUT", "/Observation/o", subject("o", reference))
			refused(n, "Observation.subject")
		}
		for _, reference := range []string{"Patient/p", "Patient/p/_history/1", "http://127.0.0.1/fhir/Patient/p", "http://other.example/fhir/Patient/nobody", "urn:uuid:7d6a1d59-0b3b-4d09-8b1a-0a3a1f2b3c4d"} {
			a.do("DELETE", "/Observation/o", "")
			a.want(201, "PUT", "/Observation/o", subject("o", reference))
		}
		a.want(201, "POST", "/Patient", patientJSON("", "In", `,"contained":[{"resourceType":"Practitioner","id":"c"}],"generalPractitioner":[{"reference":"#c"},{"display":"x"}]`))
		_, n := a.want(422, "POST", "/Patient", patientJSON("", "In", `,"contained":[{"resourceType":"Practitioner","id":"c","extension":[{"url":"http://x.example/y","valueReference":{"reference":"Patient/nobody"}}]}],"generalPractitioner":[{"reference":"Practitioner/nobody"},{"reference":"#c"}]`))
		refused(n, "Patient.contained[0].extension[0].valueReference", "Patient.generalPractitioner[0]")
		_, n = a.want(422, "PATCH", "/Observation/o", `[{"op":"add","path":"/subject","value":{"reference":"Patient/nobody"}}]`, "Content-Type", "application/json-patch+json")
		refused(n, "Observation.subject")
		bundle := func(kind, entries string) string {
			return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + entries + `]}`
		}
		put := func(typ, id, resource string) string {
			return `{"resource":` + resource + `,"request":{"method":"PUT","url":"` + typ + `/` + id + `"}}`
		}
		a.want(200, "POST", "/", bundle("transaction", put("Observation", "t", subject("t", "Patient/new"))+","+put("Patient", "new", patientJSON("new", "N", ""))))
		_, n = a.want(422, "POST", "/", bundle("transaction", put("Patient", "q", patientJSON("q", "N", ""))+","+put("Observation", "u", subject("u", "Patient/nobody"))))
		refused(n, "Bundle.entry[1].resource.subject")
		_, n = a.want(422, "POST", "/", bundle("transaction", `{"request":{"method":"DELETE","url":"Patient/new"}},`+put("Observation", "u", subject("u", "Patient/new"))))
		refused(n, "Bundle.entry[1].resource.subject")
		a.want(404, "GET", "/Patient/q", "")
		a.want(200, "GET", "/Patient/new", "")
		_, n = a.want(200, "POST", "/", bundle("batch", put("Patient", "q", patientJSON("q", "N", ""))+","+put("Observation", "u", subject("u", "Patient/nobody"))))
		refused(n.Get("entry").Items[1].Get("response").Get("outcome"), "Observation.subject")
		if _, n = a.want(200, "GET", "/metadata", ""); !strings.Contains(string(n.AppendJSON(nil)), `"enforced"`) {
			t.Error("metadata does not say so")
		}
		loose.want(200, "PUT", "/Observation/o", subject("o", "Patient/nobody"))
	})
}
