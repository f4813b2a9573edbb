package rest

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/rest/capability"
)

// valueOfKind is a value that a parameter of a kind takes.
func valueOfKind(code, kind string) string {
	switch {
	case code == "_has" || code == "_list":
		return "x"
	case kind == "date":
		return "2026-01-01"
	case kind == "number" || kind == "quantity":
		return "1"
	case kind == "special":
		return "1|2"
	}
	return "x"
}

// TestEverythingClaimed calls everything the CapabilityStatement claims.
func TestEverythingClaimed(t *testing.T) { eachStore(t, everythingClaimed) }

func everythingClaimed(t *testing.T, a *api) {
	_, statement := a.want(200, "GET", "/metadata", "")
	if err := check(statement, "CapabilityStatement"); err != nil {
		t.Errorf("it is not valid: %v", err)
	}
	rest := statement.Get("rest").Items[0]
	calls, least := 0, newLeast(t)
	for _, r := range rest.Get("resource").Items {
		typ := text(r, "type")
		t.Run(typ, func(t *testing.T) {
			a.t = t
			a.everyInteraction(r, least, typ, &calls)
			a.everyParameter(r, typ, &calls)
		})
	}
	a.t = t
	for _, i := range rest.Get("interaction").Items {
		calls++
		switch code := text(i, "code"); code {
		case "batch", "transaction":
			a.want(200, "POST", "", `{"resourceType":"Bundle","type":"`+code+`"}`)
		case "history-system":
			a.want(200, "GET", "/_history", "")
		default:
			t.Errorf("nobody knows how to call %s", code)
		}
	}
	for _, c := range rest.Get("compartment").Items {
		name := c.Text[strings.LastIndexByte(c.Text, '/')+1:]
		a.want(200, "GET", "/"+strings.ToUpper(name[:1])+name[1:]+"/x/*", "")
	}
	for _, f := range statement.Get("format").Items {
		w, _ := a.want(200, "GET", "/Patient?_count=1&_format="+url.QueryEscape(f.Text), "")
		if !strings.Contains(w.Header().Get("Content-Type"), f.Text) {
			t.Errorf("%s is answered as %s", f.Text, w.Header().Get("Content-Type"))
		}
	}
	for _, f := range statement.Get("patchFormat").Items {
		if w, _ := a.do("PATCH", "/Patient/x", "x", "Content-Type", f.Text); w.Code == 415 {
			t.Errorf("a patch in %s is not taken", f.Text)
		}
	}
	on := New(Options{Records: a.handler.(*server).Records, Access: access.Loopback{}, Base: "/fhir", Log: slog.New(slog.DiscardHandler), Origins: []string{"https://a.example"}})
	_, other := (&api{t: t, handler: on}).want(200, "GET", "/metadata", "")
	if off := rest.Get("security").Get("cors").Text; off != "false" || other.Get("rest").Items[0].Get("security").Get("cors").Text != "true" {
		t.Error("it does not say whether browser applications are allowed")
	}
	t.Logf("%d calls", calls)
}

func (a *api) everyInteraction(r *fhir.Node, least *leastMaker, typ string, calls *int) {
	body := least.of(typ)
	with := func(id string) string {
		return strings.Replace(body, `"resourceType":"`+typ+`"`, `"resourceType":"`+typ+`","id":"`+id+`"`, 1)
	}
	w, n := a.want(201, "POST", "/"+typ, body)
	id := text(n, "id")
	if w.Header().Get("ETag") != `W/"1"` {
		a.t.Errorf("versioning: %v", w.Header())
	}
	fhirJSON := []string{"Accept", "application/fhir+json"}
	called := []string{"create"}
	call := func(code string, status int, method, path, body string, headers ...string) {
		a.t.Helper()
		*calls++
		if !slices.Contains(called, code) {
			called = append(called, code)
		}
		a.want(status, method, path, body, append(headers, fhirJSON...)...)
	}
	call("read", 200, "GET", "/"+typ+"/"+id, "")
	call("conditional-read", 304, "GET", "/"+typ+"/"+id, "", "If-None-Match", `W/"1"`)
	call("conditional-read", 304, "GET", "/"+typ+"/"+id, "", "If-Modified-Since", "Tue, 01 Jan 2999 00:00:00 GMT")
	call("conditional-create", 200, "POST", "/"+typ, body, "If-None-Exist", "_id="+id)
	call("update", 200, "PUT", "/"+typ+"/"+id, strings.Replace(with(id), `"resourceType":"`+typ+`"`, `"resourceType":"`+typ+`","language":"en"`, 1))
	call("vread", 200, "GET", "/"+typ+"/"+id+"/_history/1", "")
	call("conditional-update", 200, "PUT", "/"+typ+"?_id="+id, body)
	call("update-create", 201, "PUT", "/"+typ+"/made", with("made"))
	call("patch", 200, "PATCH", "/"+typ+"/"+id, `[{"op":"add","path":"/language","value":"de"}]`, "Content-Type", mediaPatch)
	call("history-instance", 200, "GET", "/"+typ+"/"+id+"/_history", "")
	call("history-type", 200, "GET", "/"+typ+"/_history", "")
	call("search-type", 200, "GET", "/"+typ+"?_id="+id, "")
	call("delete", 204, "DELETE", "/"+typ+"/"+id, "")
	call("conditional-delete", 204, "DELETE", "/"+typ+"?_id=made", "")
	a.want(410, "GET", "/"+typ+"/made", "")
	for _, i := range r.Get("interaction").Items {
		if !slices.Contains(called, text(i, "code")) {
			a.t.Errorf("%s is claimed and was not called", text(i, "code"))
		}
	}
	for name, want := range map[string]string{"versioning": "versioned-update", "conditionalRead": "full-support", "conditionalDelete": "single", "readHistory": "true", "updateCreate": "true", "conditionalCreate": "true", "conditionalUpdate": "true"} {
		if v := r.Get(name); v == nil || v.Text != want {
			a.t.Errorf("%s is not claimed, although it was called", name)
		}
	}
}

func (a *api) everyParameter(r *fhir.Node, typ string, calls *int) {
	query := func(name, value string) {
		a.t.Helper()
		*calls++
		a.want(200, "GET", "/"+typ+"?"+url.Values{name: {value}}.Encode(), "", "Prefer", "handling=strict")
	}
	for _, p := range r.Get("searchParam").Items {
		code, kind := text(p, "name"), text(p, "type")
		switch {
		case kind == "composite":
			param, _ := definitions.FindParam(typ, code)
			var parts []string
			for _, c := range param.Components {
				of, _ := definitions.FindParam(typ, c.Code)
				parts = append(parts, valueOfKind(of.Code, of.Kind))
			}
			query(code, strings.Join(parts, "$"))
		case code == "_has":
			query("_has:Provenance:target:_id", "x")
		default:
			query(code, valueOfKind(code, kind))
		}
	}
	for _, list := range []struct{ member, parameter string }{{"searchInclude", "_include"}, {"searchRevInclude", "_revinclude"}} {
		if r.Get(list.member) == nil {
			continue
		}
		for _, i := range r.Get(list.member).Items {
			query(list.parameter, i.Text)
		}
	}
}

// TestInteractionsAreHeld: the test that is named for each interaction is there.
func TestInteractionsAreHeld(t *testing.T) {
	var all strings.Builder
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") {
			text, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	for _, i := range capability.Interactions() {
		if !strings.Contains(all.String(), "func "+i.Test+"(t *testing.T)") {
			t.Errorf("%s %s: there is no test %s", i.Method, i.Path, fmt.Sprintf("%q", i.Test))
		}
	}
}
