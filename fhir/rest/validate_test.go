package rest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/validate/profile"
)

// issues are those of an OperationOutcome: severity, code and place.
func issues(n *fhir.Node) string {
	var out []string
	for _, i := range n.Get("issue").Items {
		one := text(i, "severity") + " " + text(i, "code")
		if at := i.Get("expression"); at != nil {
			one += " " + at.Items[0].Text
		}
		out = append(out, one)
	}
	return strings.Join(out, "; ")
}

const narrated = `"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"}`

func person(rest string) string {
	return `{"resourceType":"Patient",` + narrated + rest + `}`
}

func asking(resource, rest string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":` + resource + `}` + rest + `]}`
}

func TestValidate(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(*testing.T) *api) {
		a := open(t)
		a.put(person(`,"id":"p1","identifier":[{"system":"urn:mrn","value":"1,2"}]`))
		create, update, remove := `,{"name":"mode","valueCode":"create"}`, `,{"name":"mode","valueCode":"update"}`, `{"resourceType":"Parameters","parameter":[{"name":"mode","valueCode":"delete"}]}`
		for name, c := range map[string]struct {
			method, path, body string
			status             int
			want               string
		}{
			"a resource":                      {"POST", "/Patient/$validate", person(""), 200, "information informational"},
			"a warning":                       {"POST", "/Patient/$validate", `{"resourceType":"Patient"}`, 200, "warning invariant Patient"},
			"errors":                          {"POST", "/Patient/$validate", person(`,"gender":"m","name":"x"`), 200, "error code-invalid Patient.gender; error structure Patient.name"},
			"an error that no write fails by": {"POST", "/Patient/$validate", person(`,"managingOrganization":{"reference":"Patient/1"}`), 200, "error structure Patient.managingOrganization"},
			"a byte order mark":               {"POST", "/Patient/$validate", "\xef\xbb\xbf" + person(""), 200, "information informational"},
			"another type":                    {"POST", "/Patient/$validate", `{"resourceType":"Observation"}`, 200, "error invalid"},
			"no type":                         {"POST", "/Patient/$validate", `{}`, 200, "error structure"},
			"Parameters":                      {"POST", "/Patient/$validate", asking(person(`,"birthDate":"x"`), ""), 200, "error value Patient.birthDate"},
			"Parameters as what they are":     {"POST", "/Parameters/$validate", `{"resourceType":"Parameters","parameter":[{"name":"a"}]}`, 200, "error invariant Parameters.parameter[0]"},
			"Parameters in Parameters":        {"POST", "/Parameters/$validate", asking(`{"resourceType":"Parameters"}`, ""), 200, "information informational"},
			"create":                          {"POST", "/Patient/$validate", asking(person(`,"identifier":[{"system":"urn:mrn","value":"7"}]`), create), 200, "information informational"},
			"create of what is there":         {"POST", "/Patient/$validate", asking(person(`,"identifier":[{"system":"urn:mrn","value":"1,2"}]`), create), 200, "error duplicate Patient.identifier"},
			"update":                          {"POST", "/Patient/p1/$validate", asking(person(`,"id":"p1","identifier":[{"system":"urn:mrn","value":"1,2"}]`), update), 200, "information informational"},
			"update of another":               {"POST", "/Patient/p2/$validate", asking(person(`,"id":"p2","identifier":[{"system":"urn:mrn","value":"1,2"}]`), update), 200, "error duplicate Patient.identifier"},
			"update under another id":         {"POST", "/Patient/p1/$validate?mode=update", person(`,"id":"p9"`), 200, "error invalid Patient.id"},
			"update without id":               {"POST", "/Patient/$validate?mode=update", person(""), 200, "error required Patient"},
			"delete":                          {"POST", "/Patient/p1/$validate", remove, 200, "information informational"},
			"delete of nothing":               {"POST", "/Patient/none/$validate", remove, 200, "error not-found"},
			"delete of a type":                {"POST", "/Patient/$validate", remove, 400, "error required"},
			"what is stored":                  {"GET", "/Patient/p1/$validate", "", 200, "information informational"},
			"what is stored, by POST":         {"POST", "/Patient/p1/$validate", "", 200, "information informational"},
			"what is not stored":              {"GET", "/Patient/none/$validate", "", 404, "error not-found Patient.id"},
			"nothing":                         {"POST", "/Patient/$validate", "", 400, "error required"},
			"no JSON":                         {"POST", "/Patient/$validate", "{", 400, "error structure"},
			"an unknown mode":                 {"POST", "/Patient/$validate?mode=x", person(""), 400, "error value"},
			"a profile of R4":                 {"POST", "/Patient/$validate?profile=http://hl7.org/fhir/StructureDefinition/Patient", person(""), 200, "information informational"},
			"a profile of another type":       {"POST", "/Patient/$validate?profile=http://hl7.org/fhir/StructureDefinition/Group", person(""), 200, "error structure Patient"},
			"a profile that is not loaded":    {"POST", "/Patient/$validate?profile=urn:x", person(""), 422, "error not-supported"},
			"another method":                  {"GET", "/Patient/$validate", "", 405, "error not-supported"},
			"another method on an instance":   {"DELETE", "/Patient/p1/$validate", "", 405, "error not-supported"},
			"too deep a path":                 {"POST", "/Patient/p1/x/$validate", "{}", 404, "error not-found"},
			"an id that is none":              {"GET", "/Patient/a_b/$validate", "", 404, "error not-found"},
		} {
			t.Run(name, func(t *testing.T) {
				a.t = t
				_, n := a.want(c.status, c.method, c.path, c.body)
				if got := issues(n); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			})
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1/fhir/Patient/$validate", strings.NewReader("{}"))
		r.RemoteAddr = "10.0.0.9:1"
		w := httptest.NewRecorder()
		if a.handler.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("somebody from elsewhere gets %d", w.Code)
		}
	})
}

// TestValidateInABatch: an operation is a request like others.
func TestValidateInABatch(t *testing.T) {
	a := newAPI(t)
	_, n := a.want(200, "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"POST","url":"Patient/$validate"},"resource":`+person(`,"gender":"m"`)+`}]}`)
	e := n.Get("entry").Items[0]
	if got := issues(e.Get("resource")); got != "error code-invalid Patient.gender" || text(e.Get("response"), "status") != "200 OK" {
		t.Errorf("%s", n.AppendJSON(nil))
	}
}

func TestValidateShowsNoValue(t *testing.T) {
	const canary = "zzcanary"
	a := newAPI(t)
	for _, body := range []string{
		person(`,"` + canary + `":1`), person(`,"gender":"` + canary + `"`), person(`,"birthDate":"` + canary + `"`), person(`,"id":"_` + canary + `"`),
		person(`,"managingOrganization":{"reference":"` + canary + `"}`), person(`,"extension":[{"url":"` + canary + `","valueString":"a"}]`),
		`{"resourceType":"Patient","text":{"status":"generated","div":"<div><` + canary + `/></div>"}}`, `{"resourceType":"` + canary + `"}`,
	} {
		w, _ := a.want(200, "POST", "/Patient/$validate", body)
		if strings.Contains(w.Body.String(), canary) || strings.Contains(a.log.String(), canary) {
			t.Errorf("%s answers %s", body, w.Body)
		}
	}
}

// TestProfilesOfWrites: what a resource claims is held where it is loaded.
func TestProfilesOfWrites(t *testing.T) {
	folder := t.TempDir()
	const url = "http://example.org/fhir/StructureDefinition/born"
	if err := os.WriteFile(filepath.Join(folder, "born.json"), []byte(`{"resourceType":"StructureDefinition","url":"`+url+`","kind":"resource","type":"Patient","derivation":"constraint",
		"baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{"element":[{"id":"Patient.birthDate","path":"Patient.birthDate","min":1}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := profile.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t)
	a.handler.(*server).Profiles = set
	_, n := a.want(422, "POST", "/Patient", person(`,"meta":{"profile":["`+url+`"]}`))
	if got := issues(n); got != "error required Patient" {
		t.Error(got)
	}
	a.want(201, "POST", "/Patient", person(`,"meta":{"profile":["`+url+`"]},"birthDate":"2020"`))
	a.want(201, "POST", "/Patient", person(`,"meta":{"profile":["urn:other"]}`))
	if _, n = a.want(200, "POST", "/Patient/$validate?profile="+url, person("")); issues(n) != "error required Patient" {
		t.Error(issues(n))
	}
}

func TestOperationsOfTheCapabilityStatement(t *testing.T) {
	_, n := newAPI(t).want(200, "GET", "/metadata", "")
	for _, r := range n.Get("rest").Items[0].Get("resource").Items {
		if o := r.Get("operation"); o == nil || text(o.Items[0], "name") != "validate" {
			t.Errorf("%s does not list $validate", text(r, "type"))
		}
	}
}
