package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/fhir/rest"
	"github.com/plexus-health/plexus/store/sqlite"
)

// Maps gather from the store as soon as it is open, as the API shows it; what
// cannot be asked is a fault, never absence.
func TestRecordsAreLentToMaps(t *testing.T) {
	opened, err := sqlite.Open(t.Context(), sqlite.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	api := rest.New(rest.Options{Records: opened, Access: access.Loopback{}, Base: "/fhir"})
	write := func(method, place, body string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/fhir/"+place, strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:4000"
		r.Header.Set("Content-Type", "application/fhir+json")
		w := httptest.NewRecorder()
		if api.ServeHTTP(w, r); w.Code >= 300 {
			t.Fatalf("%s %s: %d %s", method, place, w.Code, w.Body)
		}
	}
	r := &records{}
	if n, err := r.Resource(t.Context(), "Patient", "p"); !errors.Is(err, errNotOpen) || n != nil {
		t.Errorf("before the store is open: %v, %v", n, err)
	}
	if n, err := r.Referring(t.Context(), "Coverage", "beneficiary", "Patient/p"); !errors.Is(err, errNotOpen) || n != nil {
		t.Errorf("before the store is open: %v, %v", n, err)
	}
	if n, err := r.Version(t.Context(), "Patient", "p", 1); !errors.Is(err, errNotOpen) || n != nil {
		t.Errorf("before the store is open: %v, %v", n, err)
	}
	r.open(opened)
	write(http.MethodPut, "Patient/p", `{"resourceType":"Patient","id":"p","gender":"female"}`)
	write(http.MethodPut, "Patient/p", `{"resourceType":"Patient","id":"p","gender":"male"}`)
	write(http.MethodPut, "Patient/gone", `{"resourceType":"Patient","id":"gone"}`)
	write(http.MethodDelete, "Patient/gone", "")
	for _, id := range []string{"one", "two"} {
		write(http.MethodPut, "Coverage/"+id, `{"resourceType":"Coverage","id":"`+id+`","status":"active","beneficiary":{"reference":"Patient/p"},"payor":[{"display":"Payer"}]}`)
	}
	write(http.MethodPut, "Coverage/else", `{"resourceType":"Coverage","id":"else","status":"active","beneficiary":{"reference":"Patient/q"},"payor":[{"display":"Payer"}]}`)

	n, err := r.Resource(t.Context(), "Patient", "p")
	if err != nil || n.Get("gender").Text != "male" || n.Get("meta").Get("versionId").Text != "2" {
		t.Errorf("the current version: %s, %v", n.AppendJSON(nil), err)
	}
	for _, place := range [][2]string{{"Patient", "gone"}, {"Patient", "never"}, {"Person", "p"}, {"Nothing", "p"}, {"Patient", ""}, {"Patient", "a/b"}} {
		if n, err := r.Resource(t.Context(), place[0], place[1]); n != nil || err != nil {
			t.Errorf("%v: %v, %v", place, n, err)
		}
	}
	if n, err := r.Version(t.Context(), "Patient", "p", 1); err != nil || n.Get("gender").Text != "female" || n.Get("meta").Get("versionId").Text != "1" {
		t.Errorf("the first version: %s, %v", n.AppendJSON(nil), err)
	}
	for typ, version := range map[string]int{"Patient": 3, "Person": 1, "Nothing": 1} {
		if n, err := r.Version(t.Context(), typ, "p", version); n != nil || err != nil {
			t.Errorf("version %d of %s: %v, %v", version, typ, n, err)
		}
	}
	list, err := r.Referring(t.Context(), "Coverage", "beneficiary", "Patient/p")
	if err != nil || len(list) != 2 || list[0].Get("id").Text != "two" || list[1].Get("id").Text != "one" {
		t.Errorf("%d refer to the patient, %v", len(list), err)
	}
	if list, err := r.Referring(t.Context(), "Coverage", "patient", "Patient/p"); err != nil || len(list) != 2 {
		t.Errorf("by the other name of the parameter: %d, %v", len(list), err)
	}
	for name, ask := range map[string][3]string{
		"no parameter": {"Coverage", "nothing", "Patient/p"}, "no reference": {"Coverage", "status", "Patient/p"},
		"no id": {"Coverage", "beneficiary", "Patient/"}, "no type": {"Coverage", "beneficiary", "p"},
	} {
		if list, err := r.Referring(t.Context(), ask[0], ask[1], ask[2]); err == nil || list != nil {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}
