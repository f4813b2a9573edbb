package rest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/access"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/sqlite"
)

// with gives the same store under other options.
func (a *api) with(change func(*Options)) *api {
	o := a.handler.(*server).Options
	change(&o)
	return &api{t: a.t, log: a.log, handler: New(o)}
}

// statuses are those of the entries of a Bundle.
func statuses(n *fhir.Node) string {
	var out []string
	for _, e := range n.Get("entry").Items {
		out = append(out, text(e.Get("response"), "status")[:3])
	}
	return strings.Join(out, " ")
}

// TestBundleAnswers: the answers to the entries of a Bundle have a bound
// together; what has no room is not done, and says so.
func TestBundleAnswers(t *testing.T) {
	a := newAPI(t)
	long := strings.Repeat("long ", 2000) // 10 kB
	for i := range 3 {
		a.put(patientJSON(fmt.Sprint("p", i), "F"+long, ""))
	}
	small := a.with(func(o *Options) { o.AnswerLimit = 25_000 })
	get := func(url string) string { return `{"request":{"method":"GET","url":"` + url + `"}}` }
	put := `{"resource":` + patientJSON("new", "N", "") + `,"request":{"method":"PUT","url":"Patient/new"}}`
	for name, c := range map[string]struct{ entries, want string }{
		"reads":              {get("Patient/p0") + "," + get("Patient/p1") + "," + get("Patient/p2") + "," + get("Patient/none"), "200 200 400 404"},
		"a search":           {get("Patient?family=F") + "," + get("Patient/p1"), "400 200"},
		"a history":          {get("Patient/_history") + "," + get("Patient/p1"), "400 200"},
		"a write afterwards": {get("Patient/p0") + "," + get("Patient/p1") + `,{"resource":` + patientJSON("w", "F"+long, "") + `,"request":{"method":"PUT","url":"Patient/w"}},` + put, "200 200 201 400"},
	} {
		t.Run(name, func(t *testing.T) {
			_, n := small.want(200, "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[`+c.entries+`]}`)
			if got := statuses(n); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			for _, e := range n.Get("entry").Items {
				if response := e.Get("response"); text(response, "status")[:3] == "400" && text(response.Get("outcome").Get("issue").Items[0], "code") != "too-costly" {
					t.Errorf("refused with %s", response.AppendJSON(nil))
				}
			}
		})
	}
	a.want(404, "GET", "/Patient/new", "")
	t.Run("reads of a transaction", func(t *testing.T) {
		_, n := small.want(400, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+get("Patient/p0")+","+get("Patient/p1")+","+get("Patient/p2")+","+put+`]}`)
		if issue := n.Get("issue").Items[0]; text(issue, "code") != "too-costly" || issue.Get("expression").Items[0].Text != "Bundle.entry[2].request.url" {
			t.Errorf("refused with %s", issue.AppendJSON(nil))
		}
		a.want(404, "GET", "/Patient/new", "")
	})
	t.Run("patches of a transaction", func(t *testing.T) {
		patch := func(id string) string {
			return `{"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W3sib3AiOiJhZGQiLCJwYXRoIjoiL2FjdGl2ZSIsInZhbHVlIjp0cnVlfV0="},"request":{"method":"PATCH","url":"Patient/` + id + `"}}`
		}
		bundle := `{"resourceType":"Bundle","type":"transaction","entry":[` + patch("p0") + "," + patch("p1") + "," + patch("p2") + `]}`
		_, n := small.want(400, "POST", "", bundle)
		if issue := n.Get("issue").Items[0]; text(issue, "code") != "too-costly" || issue.Get("expression").Items[0].Text != "Bundle.entry[2]" {
			t.Errorf("refused with %s", issue.AppendJSON(nil))
		}
		a.want(200, "POST", "", bundle)
	})
}

// TestBatchOfNobody: a batch whose client has left goes no further.
func TestBatchOfNobody(t *testing.T) {
	a := newAPI(t)
	ctx, cancel := context.WithCancel(t.Context())
	leaving := a.with(func(o *Options) { o.Access = leavesAt{cancel} })
	entries := make([]string, 50)
	for i := range entries {
		entries[i] = `{"resource":` + patientJSON(fmt.Sprint("p", i), "N", "") + `,"request":{"method":"PUT","url":"Patient/p` + fmt.Sprint(i) + `"}}`
	}
	r := httptest.NewRequestWithContext(ctx, "POST", "http://127.0.0.1/fhir", strings.NewReader(`{"resourceType":"Bundle","type":"batch","entry":[`+strings.Join(entries, ",")+`]}`))
	r.RemoteAddr = "127.0.0.1:4000"
	r.Header.Set("Content-Type", "application/fhir+json")
	leaving.handler.ServeHTTP(httptest.NewRecorder(), r)
	if _, n := a.want(200, "GET", "/_history?_count=1000", ""); total(n) != 1 {
		t.Errorf("%d entries were done", total(n))
	}
	if a.log.Len() > 0 {
		t.Errorf("logged %s", a.log)
	}
}

// leavesAt lets the client leave while the first update is decided on.
type leavesAt struct{ leave func() }

// Decide allows.
func (l leavesAt) Decide(_ context.Context, r access.Request) error {
	if r.Action == "fhir.update" {
		l.leave()
	}
	return nil
}

// holding is a store that counts what it is asked for again.
type holding struct {
	store.Records
	again *int
}

// ReadVersion counts.
func (h holding) ReadVersion(ctx context.Context, typ, id string, version int) (store.Resource, error) {
	*h.again++
	return h.Records.ReadVersion(ctx, typ, id, version)
}

// TestIncludedContents: of what is included only so much is held in memory, the
// rest is read when its turn comes; what is left out is said.
func TestIncludedContents(t *testing.T) {
	a := newAPI(t)
	large := a.with(func(o *Options) { o.Limit = 4 << 20 })
	const size = 1 << 20
	var links []string
	for i := range 10 {
		id := fmt.Sprint("other", i)
		large.put(patientJSON(id, "Other", `,"photo":[{"title":"`+strings.Repeat("x", size)+`"}]`))
		links = append(links, `{"other":{"reference":"Patient/`+id+`"},"type":"seealso"}`)
	}
	large.put(patientJSON("p", "Wanted", `,"link":[`+strings.Join(links, ",")+`]`))
	var again int
	counted := large.with(func(o *Options) { o.Records = holding{o.Records, &again} })
	_, n := counted.want(200, "GET", "/Patient?family=wanted&_include=Patient:link", "")
	if total(n) != 11 {
		t.Errorf("%d entries", total(n))
	}
	if again < 5 || again > 7 {
		t.Errorf("%d contents were read when their turn came, want those beyond %d bytes", again, inMemory)
	}
}

// TestLeftOut: includes have a bound, and what is beyond it is said.
func TestLeftOut(t *testing.T) {
	a := newAPI(t)
	var entries []string
	for i := range mostIncluded + 1 {
		entries = append(entries, fmt.Sprintf(`{"resource":{"resourceType":"Patient","id":"g%d","managingOrganization":{"reference":"Organization/o"}},"request":{"method":"PUT","url":"Patient/g%d"}}`, i, i))
	}
	a.put(`{"resourceType":"Organization","id":"o","name":"O"}`)
	a.want(200, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`)
	check := func(all int, said bool) {
		t.Helper()
		_, n := a.want(200, "GET", "/Organization?_id=o&_revinclude=Patient:organization", "")
		list := n.Get("entry").Items
		last := list[len(list)-1]
		if len(list) != all || (text(last.Get("search"), "mode") == "outcome") != said {
			t.Errorf("%d entries, the last %s", len(list), last.AppendJSON(nil))
		}
	}
	check(mostIncluded+2, true)
	a.want(204, "DELETE", "/Patient/g0", "")
	check(mostIncluded+1, false)
}

// TestCauses: an error with a place is still the error that it was, so that a
// race is tried again and the log tells the cause.
func TestCauses(t *testing.T) {
	inner := fmt.Errorf("write: %w", store.ErrConflict)
	err := placed(placed(inner, "Bundle.entry[1]"), "Bundle")
	if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), inner.Error()) {
		t.Errorf("%v", err)
	}
	if list := faultsOf(err); list[0].status != http.StatusConflict || list[0].at != "Bundle.entry[1]" {
		t.Errorf("%v", list)
	}
	log := &strings.Builder{}
	s, err := sqlite.Open(t.Context(), sqlite.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := &api{t: t, log: log, handler: New(Options{Records: odd{s}, Access: access.Loopback{}, Base: "/fhir", Log: slog.New(slog.NewTextHandler(log, nil))})}
	a.want(500, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient?family=f"}}]}`)
	if !strings.Contains(log.String(), "the index is odd") {
		t.Errorf("logged %s", log)
	}
}

// odd is a store whose searches fail.
type odd struct{ store.Records }

// Search fails.
func (odd) Search(context.Context, store.Query) (store.Page, error) {
	return store.Page{}, errors.New("the index is odd")
}

// TestClientLeaves: a client that leaves in the middle of an answer is no fault
// of ours.
func TestClientLeaves(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		a.t = t
		long := a.with(func(o *Options) { o.Limit = 8 << 20 })
		for i := range 8 {
			long.put(patientJSON(fmt.Sprint("p", i), "f", `,"photo":[{"title":"`+strings.Repeat("x", holdBack)+`"}]`))
		}
		content := make([]byte, 3*store.MaxChunk)
		if w := a.send("PUT", "/Binary/b", content, "Content-Type", "text/plain"); w.Code != 201 {
			t.Fatal(w.Code)
		}
		for _, path := range []string{"/Patient?family=f", "/Patient/_history", "/Binary/b", "/Binary/b?_format=json"} {
			for _, how := range []string{"the write fails", "the context ends"} {
				ctx, cancel := context.WithCancel(t.Context())
				w := &leaving{ResponseRecorder: httptest.NewRecorder(), cancel: cancel, fails: how == "the write fails"}
				r := httptest.NewRequestWithContext(ctx, "GET", "http://127.0.0.1/fhir"+path, nil)
				r.RemoteAddr = "127.0.0.1:4000"
				serveAborted(a.handler, w, r)
				cancel()
				if w.writes > 2 {
					t.Errorf("%s, %s: %d pieces were made for nobody", path, how, w.writes)
				}
			}
		}
		if a.log.Len() > 0 {
			t.Errorf("logged %s", a.log)
		}
	})
}

// serveAborted serves, and takes the panic that net/http is told by.
func serveAborted(h http.Handler, w http.ResponseWriter, r *http.Request) {
	defer func() {
		p := recover()
		if err, ok := p.(error); p != nil && (!ok || !errors.Is(err, http.ErrAbortHandler)) {
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
}

// leaving is a client that leaves at the first piece.
type leaving struct {
	*httptest.ResponseRecorder
	cancel func()
	fails  bool
	writes int
}

// Write lets the client leave.
func (l *leaving) Write(b []byte) (int, error) {
	l.writes++
	if l.fails {
		return 0, errors.New("the connection is closed")
	}
	l.cancel()
	return len(b), nil
}

// TestTransactionConditions: ifNoneMatch holds in a transaction as If-None-Match
// does, and an identity of another is no lost race.
func TestTransactionConditions(t *testing.T) {
	eachStore(t, func(t *testing.T, a *api) {
		a.t = t
		owned := func(id string) string {
			return patientJSON(id, "N", `,"identifier":[{"system":"urn:m","value":"1"}]`)
		}
		a.put(owned("p"), patientJSON("q", "N", ""))
		put := func(status int, id, condition string) *fhir.Node {
			t.Helper()
			_, n := a.want(status, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":`+patientJSON(id, "N", "")+`,"request":{"method":"PUT","url":"Patient/`+id+`","ifNoneMatch":"`+condition+`"}}]}`)
			return n
		}
		put(412, "q", "*")
		n := put(412, "q", `W/\"1\"`)
		if at := n.Get("issue").Items[0].Get("expression").Items[0].Text; at != "Bundle.entry[0].request.ifNoneMatch" {
			t.Errorf("at %s", at)
		}
		put(200, "q", `W/\"2\"`)
		put(200, "fresh", "*")
		_, n = a.want(409, "PUT", "/Patient/q", owned("q"), "If-Match", `W/"1"`)
		if code := text(n.Get("issue").Items[0], "code"); code != "duplicate" {
			t.Errorf("refused as %s", code)
		}
	})
}
