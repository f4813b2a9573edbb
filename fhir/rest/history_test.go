package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
)

// linked is the path of a Bundle's link, empty when there is none.
func linked(n *fhir.Node, relation string) string {
	if links := n.Get("link"); links != nil {
		for _, l := range links.Items {
			if text(l, "relation") == relation {
				return strings.TrimPrefix(text(l, "url"), "http://127.0.0.1/fhir")
			}
		}
	}
	return ""
}

// told names the versions of a history: "a2 a1".
func told(t *testing.T, n *fhir.Node) string {
	t.Helper()
	var out []string
	if e := n.Get("entry"); e != nil {
		for _, one := range e.Items {
			request, response, resource := one.Get("request"), one.Get("response"), one.Get("resource")
			id := text(one, "fullUrl")
			id = id[strings.LastIndexByte(id, '/')+1:]
			version := strings.Trim(text(response, "etag"), `W/"`)
			if resource != nil && (text(resource, "id") != id || text(resource.Get("meta"), "versionId") != version) {
				t.Errorf("%s %s has another resource", id, version)
			}
			switch method, status := text(request, "method"), text(response, "status")[:3]; {
			case method == "DELETE" && status == "204" && resource == nil:
				version += "-"
			case method == "POST" && version == "1" && status == "201", method == "PUT" && version != "1" && status == "200":
			default:
				t.Errorf("%s %s: %s %s", id, version, method, status)
			}
			if text(response, "lastModified") == "" {
				t.Error("no lastModified")
			}
			out = append(out, id+version)
		}
	}
	return strings.Join(out, " ")
}

func TestHistories(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		a.put(patientJSON("a", "One", ""), patientJSON("b", "One", ""))
		a.want(200, "PUT", "/Patient/a", patientJSON("a", "Two", ""))
		a.put(`{"resourceType":"Basic","id":"x","code":{"text":"x"}}`)
		a.want(204, "DELETE", "/Patient/a", "")
		for path, want := range map[string]string{
			"/_history":                               "a3- x1 a2 b1 a1",
			"/Patient/_history":                       "a3- a2 b1 a1",
			"/Patient/a/_history":                     "a3- a2 a1",
			"/Basic/_history":                         "x1",
			"/Group/_history":                         "",
			"/Patient/_history?_since=2001":           "a3- a2 b1 a1",
			"/Patient/_history?_since=2999-01-01":     "",
			"/Patient/_history?_at=2001":              "",
			"/_history?_at=ge2001":                    "refused",
			"/_history?_since=yesterday":              "refused",
			"/_history?_page=x":                       "refused",
			"/Patient/a/_history?_page=-1":            "refused",
			"/Patient/_history?_at=2999":              "a3- b1",
			"/Patient/a/_history?_at=2999":            "a3-",
			"/_history?_count=0":                      "",
			"/Patient/a/_history?_count=0":            "",
			"/Patient/a/_history?_since=2001&other=1": "a3- a2 a1",
		} {
			w, n := a.do("GET", path, "")
			got := "refused"
			if w.Code == 200 {
				got = told(t, n)
			} else if w.Code != 400 {
				t.Errorf("%s: %d", path, w.Code)
			}
			if got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
		_, n := a.want(200, "GET", "/Patient/a/_history?_count=0", "")
		if n.Get("total").Text != "3" {
			t.Error("the versions are not counted")
		}
		a.want(404, "GET", "/Patient/never/_history", "")
		a.want(400, "GET", "/_history?other=1", "", "Prefer", "handling=strict")
		a.want(405, "DELETE", "/_history", "")
		a.want(405, "POST", "/Patient/_history", "{}")
		a.want(405, "PUT", "/Patient/a/_history", "{}")
		t.Run("pages by their links, while others write", func(t *testing.T) {
			for _, start := range []string{"/_history", "/Patient/_history", "/Patient/a/_history"} {
				_, whole := a.want(200, "GET", start, "")
				var seen []string
				for path := start + "?_count=2"; path != ""; {
					_, n := a.want(200, "GET", path, "")
					seen = append(seen, told(t, n))
					a.put(patientJSON(fmt.Sprintf("new%d-%d", len(seen), len(start)), "New", ""))
					again := linked(n, "self")
					if _, same := a.want(200, "GET", again, ""); strings.Contains(path, "_page") && told(t, same) != told(t, n) {
						t.Errorf("%s became another page", again)
					}
					path = linked(n, "next")
				}
				if got := strings.Join(seen, " "); got != told(t, whole) {
					t.Errorf("%s in pages: %q, want %q", start, got, told(t, whole))
				}
			}
		})
		t.Run("in every format", func(t *testing.T) {
			want := ""
			for _, format := range []string{"json", "json&_pretty=true", "xml", "xml&_pretty=true"} {
				_, n := a.want(200, "GET", "/_history?_format="+format, "")
				if n.Delete("link"); want == "" {
					want = string(n.AppendJSON(nil))
				}
				if got := string(n.AppendJSON(nil)); got != want {
					t.Errorf("%s:\n%s\nwant\n%s", format, got, want)
				}
			}
			_, n := a.want(200, "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Basic/_history"}},{"request":{"method":"GET","url":"_history?_count=1"}}]}`)
			for _, e := range n.Get("entry").Items {
				if text(e.Get("response"), "status") != "200 OK" || text(e.Get("resource"), "type") != "history" {
					t.Errorf("in a batch: %s", e.AppendJSON(nil))
				}
			}
		})
	})
}
