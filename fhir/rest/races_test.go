package rest

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/store"
)

// between is a store where something happens after the first search.
type between struct {
	store.Records
	happen *func()
}

// Search searches, and then lets it happen.
func (b between) Search(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := b.Records.Search(ctx, q)
	if f := *b.happen; f != nil {
		*b.happen = nil
		f()
	}
	return page, err
}

// TestConditionalRaces: what the criteria found and somebody changed before it
// was written is searched for again.
func TestConditionalRaces(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		var happen func()
		plain := a.handler
		s := plain.(*server)
		raced := New(Options{Records: between{s.Records, &happen}, Access: s.Access, Base: "/fhir", Log: s.Log})
		patch := `[{"op":"add","path":"/active","value":true}]`
		entries := `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient?family=wanted"}}]}`
		for name, c := range map[string]struct {
			method, path, body, media string
			moved, doubled            int // the status when it does not match any more, and when two do
		}{
			"delete":      {"DELETE", "/Patient?family=wanted", "", "", 204, 412},
			"patch":       {"PATCH", "/Patient?family=wanted", patch, mediaPatch, 404, 412},
			"update":      {"PUT", "/Patient?family=wanted", patientJSON("", "Wanted", ""), "", 201, 412},
			"transaction": {"POST", "", entries, "", 200, 412},
		} {
			t.Run(name, func(t *testing.T) {
				a.t = t
				for _, doubled := range []bool{false, true} {
					id := strings.ToLower(name)
					if doubled {
						id += "2"
					}
					a.handler = plain
					a.want(201, "PUT", "/Patient/"+id, patientJSON(id, "Wanted", ""))
					happen = func() {
						was := a.handler
						a.handler = plain
						if doubled {
							a.want(200, "PUT", "/Patient/"+id, patientJSON(id, "Wanted", `,"gender":"male"`))
							a.want(201, "PUT", "/Patient/"+id+"-other", patientJSON(id+"-other", "Wanted", ""))
						} else {
							a.want(200, "PUT", "/Patient/"+id, patientJSON(id, "Moved", ""))
						}
						a.handler = was
					}
					a.handler = raced
					status := c.moved
					if doubled {
						status = c.doubled
					}
					headers := []string{}
					if c.media != "" {
						headers = append(headers, "Content-Type", c.media)
					}
					a.want(status, c.method, c.path, c.body, headers...)
					a.handler = plain
					want := "2"
					if _, n := a.want(200, "GET", "/Patient/"+id, ""); text(n.Get("meta"), "versionId") != want {
						t.Errorf("it was written over: %s", n.AppendJSON(nil))
					}
					for _, gone := range []string{id, id + "-other"} {
						a.want(204, "DELETE", "/Patient/"+gone, "")
					}
					_, n := a.want(200, "GET", "/Patient?family=wanted", "")
					if total(n) > 0 {
						a.want(204, "DELETE", "/Patient/"+text(n.Get("entry").Items[0].Get("resource"), "id"), "")
					}
				}
			})
		}
	})
}

// TestBytesStay: a Binary keeps its bytes when something else in it is called
// data.
func TestBytesStay(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		content := bytes.Repeat([]byte("content "), store.MaxChunk/4)
		if w := a.send("PUT", "/Binary/b", content, "Content-Type", "text/plain"); w.Code != 201 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		patch := `[{"op":"add","path":"/meta/extension","value":[{"url":"urn:x","valueAttachment":{"contentType":"text/plain","data":"AAAA"}}]}]`
		a.want(200, "PATCH", "/Binary/b", patch, "Content-Type", mediaPatch)
		if w := a.send("GET", "/Binary/b", nil); !bytes.Equal(w.Body.Bytes(), content) {
			t.Errorf("%d bytes are left, want %d", w.Body.Len(), len(content))
		}
		a.want(200, "PATCH", "/Binary/b", `[{"op":"add","path":"/data","value":"AAAA"}]`, "Content-Type", mediaPatch)
		if w := a.send("GET", "/Binary/b", nil); w.Body.Len() != 3 {
			t.Errorf("%d bytes after others were given, want 3", w.Body.Len())
		}
	})
}
