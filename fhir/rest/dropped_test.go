package rest

import "testing"

// TestDroppedIdentifiers: an identifier that a resource does not have any more may
// be given to another one; one that is of old use is not given up.
func TestDroppedIdentifiers(t *testing.T) { eachStore(t, droppedIdentifiers) }

func droppedIdentifiers(t *testing.T, a *api) {
	with := func(id, list string) string {
		return `{"resourceType":"Patient","id":"` + id + `","identifier":[{"system":"urn:k","value":"own-` + id + `"}` + list + `]}`
	}
	const number, old = `,{"system":"urn:k","value":"1"}`, `,{"use":"old","system":"urn:k","value":"1"}`
	patch := `[{"op":"remove","path":"/identifier/1"}]`
	entries := func(list string) string {
		return `{"resourceType":"Bundle","type":"transaction","entry":[` + list + `]}`
	}
	for name, drop := range map[string]func(id string){
		"update":      func(id string) { a.want(200, "PUT", "/Patient/"+id, with(id, "")) },
		"criteria":    func(id string) { a.want(200, "PUT", "/Patient?identifier=urn:k%7Cown-"+id, with(id, "")) },
		"patch":       func(id string) { a.want(200, "PATCH", "/Patient/"+id, patch, "Content-Type", mediaPatch) },
		"transaction": func(id string) { a.want(200, "POST", "", entries(entryOf("", "PUT", "Patient/"+id, with(id, "")))) },
		"delete":      func(id string) { a.want(204, "DELETE", "/Patient/"+id, "") },
	} {
		id, other := name, name+"2"
		a.want(201, "PUT", "/Patient/"+id, with(id, number))
		a.want(409, "PUT", "/Patient/"+other, with(other, number))
		if name != "delete" {
			a.want(200, "PUT", "/Patient/"+id, with(id, old))
			a.want(409, "PUT", "/Patient/"+other, with(other, number))
			a.want(200, "PUT", "/Patient/"+id, with(id, number))
		}
		drop(id)
		_, n := a.want(201, "POST", "/Patient", with("x", number), "If-None-Exist", "identifier=urn:k|1")
		a.want(409, "PUT", "/Patient/"+id, with(id, number))
		a.want(204, "DELETE", "/Patient/"+text(n, "id"), "")
	}
	a.want(201, "PUT", "/Patient/from", with("from", number))
	a.want(200, "POST", "", entries(entryOf("", "PUT", "Patient/to", with("to", number))+","+entryOf("", "PUT", "Patient/from", with("from", ""))))
	if got := a.found("Patient?identifier=urn:k%7C1"); got != "to" {
		t.Errorf("the number is that of %q, want to", got)
	}
}
