package rest

import (
	"strings"
	"testing"
)

// TestConditionalAgain: what criteria have made once does not stand in the way
// when it was deleted or does not meet them any more.
func TestConditionalAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		body := func(value string) string {
			return patientJSON("", "X", `,"identifier":[{"system":"urn:m","value":"`+value+`"}]`)
		}
		create := func(status int) string {
			t.Helper()
			_, n := a.want(status, "POST", "/Patient", body("1"), "If-None-Exist", "identifier=urn:m|1")
			return text(n, "id")
		}
		first := create(201)
		if again := create(200); again != first {
			t.Errorf("%s was found, want %s", again, first)
		}
		a.want(204, "DELETE", "/Patient/"+first, "")
		if again := create(201); again != first {
			t.Errorf("created again as %s, was %s", again, first)
		}
		moved := strings.Replace(body("2"), `{`, `{"id":"`+first+`",`, 1)
		moved = `{"resourceType":"Patient",` + strings.Replace(strings.TrimPrefix(moved, `{`), `"resourceType":"Patient",`, "", 1)
		a.want(200, "PUT", "/Patient/"+first, moved)
		for _, by := range []string{"POST", "PUT", "transaction"} {
			var id string
			switch by {
			case "POST":
				// The first one has given the identifier up: the place its criteria
				// name is taken, another one is found.
				if other := create(201); other == first {
					t.Errorf("%s was overwritten", first)
				}
				_, n := a.want(201, "POST", "/Patient", patientJSON("", "Alone", ""), "If-None-Exist", "family=alone")
				id = text(n, "id")
			case "PUT":
				_, n := a.want(201, "PUT", "/Patient?family=second", patientJSON("", "Second", ""))
				id = text(n, "id")
			default:
				_, n := a.want(200, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":`+patientJSON("", "Third", "")+`,"request":{"method":"PUT","url":"Patient?family=third"}}]}`)
				id = text(n.Get("entry").Items[0].Get("resource"), "id")
			}
			a.want(200, "PUT", "/Patient/"+id, patientJSON(id, "Other", ""))
		}
		for family, by := range map[string]string{"Alone": "POST", "Second": "PUT", "Third": "transaction"} {
			switch by {
			case "POST":
				a.want(201, "POST", "/Patient", patientJSON("", family, ""), "If-None-Exist", "family="+family)
			case "PUT":
				a.want(201, "PUT", "/Patient?family="+family, patientJSON("", family, ""))
			default:
				a.want(200, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":`+patientJSON("", family, "")+`,"request":{"method":"PUT","url":"Patient?family=third"}}]}`)
			}
			if _, n := a.want(200, "GET", "/Patient?family="+family, ""); total(n) != 1 {
				t.Errorf("%s: %d found", family, total(n))
			}
		}
		if _, n := a.want(200, "GET", "/Patient?family=other", ""); total(n) != 3 {
			t.Errorf("%d of three are left: another was overwritten", total(n))
		}
		// One match, and an id that is another's.
		a.want(400, "PUT", "/Patient?family=alone", patientJSON("somebody", "Alone", ""))
		a.want(412, "PUT", "/Patient/"+first, moved, "If-None-Match", "*")
		a.want(201, "PUT", "/Patient/fresh", patientJSON("fresh", "F", ""), "If-None-Match", "*")
		a.want(412, "PUT", "/Patient/none", patientJSON("none", "F", ""), "If-Match", "*")
		a.want(412, "DELETE", "/Patient/none", "", "If-Match", `W/"1"`)
		a.want(412, "DELETE", "/Patient/fresh", "", "If-Match", `W/"11"`)
		a.want(204, "DELETE", "/Patient/fresh", "", "If-Match", `W/"7", "1"`)
	})
}
