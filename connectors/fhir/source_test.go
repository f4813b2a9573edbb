package fhir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/connectors/web/webtest"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/message"
)

// openSource opens a listener on a free port, which stays the same when Run is
// called again.
func openSource(t testing.TB, o *SourceOptions, env connectors.Environment, port *webtest.Port) *Source {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	source, err := o.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	s := source.(*Source)
	s.listened = func(a net.Addr) { s.options.Listen = a.String(); port.Listened(a) }
	return s
}

func sourceDefaults() *SourceOptions { return DefaultSource().(*SourceOptions) }

func TestSource(t *testing.T) {
	port := webtest.NewPort()
	connectortest.RunSource(t, connectortest.SourceCase{
		Open: func(t *testing.T, env connectors.Environment) connectors.Source {
			port.Again()
			return openSource(t, sourceDefaults(), env, port)
		},
		Dial: func(t *testing.T) connectortest.Peer {
			s, err := webtest.Connect(port.Wait(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Path = "/fhir/Patient"
			s.Header.Set("Content-Type", contentType)
			return s
		},
		Message: func(n int) []byte { raw, _ := payload(n); return raw },
		Filler:  " \r\n\t",
		Reply: func(_ *message.Message, code message.AnswerCode) message.Reply {
			return message.Reply{Answer: message.Answer{Code: code}}
		},
	})
}

// A site is a listener of a test with a handler that notes what it is given.
type site struct {
	t       testing.TB
	port    *webtest.Port
	options *SourceOptions
	env     connectors.Environment
	answer  func(m *message.Message) (message.Reply, error) // nil: damaged ones are refused, the others taken

	mu    sync.Mutex
	log   bytes.Buffer
	taken []string
}

// Write is the log.
func (s *site) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func newSite(t testing.TB) *site {
	s := &site{t: t, port: webtest.NewPort(), options: sourceDefaults()}
	s.env = connectors.Environment{
		Log:  slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Size: 64 << 10, Whole: 16 << 10, Connections: 10,
		Split: func(io.Reader, func([]byte) error) error { return errors.New("one request is one message") },
	}
	return s
}

// run starts the listener until the end of the test.
func (s *site) run() string {
	s.t.Helper()
	source := openSource(s.t, s.options, s.env, s.port)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx, s.handle) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("Run: %v", err)
		}
		if strings.Contains(s.log.String(), connectortest.Canary) {
			s.t.Errorf("content of a message is in the log:\n%s", s.log.String())
		}
	})
	return s.port.Wait(s.t)
}

func (s *site) handle(_ context.Context, m *message.Message) (message.Reply, error) {
	content := string(m.Raw)
	if m.Stream != nil {
		raw, err := io.ReadAll(m.Stream)
		if err != nil {
			return message.Reply{}, err
		}
		content = fmt.Sprintf("stream of %d", len(raw))
	}
	if len(content) > 200 {
		content = fmt.Sprintf("%d bytes", len(content))
	}
	if m.Damage != nil {
		content = "damaged: " + m.Damage.Error()
	}
	s.mu.Lock()
	s.taken = append(s.taken, content)
	s.mu.Unlock()
	switch {
	case s.answer != nil:
		return s.answer(m)
	case m.Damage != nil:
		return message.Reply{Answer: message.Answer{Code: message.Erroneous, Problems: []message.Problem{message.Explain(m.Damage)}}}, nil
	}
	return message.Reply{Answer: message.Answer{Code: message.Accepted}}, nil
}

// issues is an OperationOutcome as one text.
func issues(t testing.TB, content string) string {
	t.Helper()
	n, err := fhir.Parse([]byte(content))
	if err != nil || text(n, "resourceType") != "OperationOutcome" {
		t.Errorf("no OperationOutcome: %q", content)
		return ""
	}
	var list []string
	for _, item := range n.Get("issue").Items {
		one := text(item, "severity") + " " + text(item, "code") + ": " + text(item, "diagnostics")
		if where := item.Get("expression"); where != nil {
			one += " at " + where.Items[0].Text
		}
		list = append(list, one)
	}
	return strings.Join(list, "; ")
}

func TestSourceRequests(t *testing.T) {
	can := connectortest.Canary
	patient := `{"resourceType":"Patient","id":"p-1","name":[{"family":"` + can + `"}]}`
	bundle := `{"resourceType":"Bundle","type":"transaction","entry":[]}`
	large := `{"meta":{"tag":[{"code":"a"}]},"resourceType":"Patient","id":"p-1","text":{"div":"` + strings.Repeat("x", 20<<10) + `"}}`
	late := `{"text":{"div":"` + strings.Repeat("x", 20<<10) + `"},"resourceType":"Patient"}`
	const nowhere = "error not-found: there is nothing at this path, or this type of resource is not taken"
	const notHere = "error not-supported: this interaction is not taken here"
	tests := map[string]struct {
		change       func(*site)
		method, path string
		headers      []string
		content      string
		status       int
		want         string // the issues
		taken        string
	}{
		"a Bundle at the base":                    {path: "/fhir", content: bundle, status: 200, want: "information informational: taken", taken: bundle},
		"a Bundle at the base with a slash":       {path: "/fhir/", content: bundle, status: 200, want: "information informational: taken", taken: bundle},
		"a resource at its type":                  {path: "/fhir/Patient", content: patient, status: 200, want: "information informational: taken", taken: patient},
		"a resource at its place":                 {method: "PUT", path: "/fhir/Patient/p-1", content: patient, status: 200, want: "information informational: taken", taken: patient},
		"with a byte order mark":                  {path: "/fhir/Patient", content: "\xef\xbb\xbf" + patient, status: 200, want: "information informational: taken", taken: "\xef\xbb\xbf" + patient},
		"as other JSON, at a base of none":        {change: func(s *site) { s.options.Base = "" }, path: "/Patient", headers: []string{"Content-Type: application/json; charset=UTF-8"}, content: patient, status: 200, want: "information informational: taken", taken: patient},
		"a large one":                             {method: "PUT", path: "/fhir/Patient/p-1", content: large, status: 200, want: "information informational: taken", taken: fmt.Sprintf("stream of %d", len(large))},
		"a large one of another type":             {path: "/fhir/Observation", content: large, status: 400, want: "error not-supported: it is not the type of the address at resourceType", taken: "damaged: resourceType: it is not the type of the address"},
		"a large one that says its type too late": {path: "/fhir/Patient", content: late, status: 400, want: "error required: it is missing, or does not stand at the beginning of a large resource at resourceType", taken: "damaged: resourceType: it is missing, or does not stand at the beginning of a large resource"},
		"one above the limit":                     {path: "/fhir/Patient", content: strings.Repeat(" ", 65<<10), status: 413, want: "error structure: the content is larger than this channel takes: more than 65536 bytes", taken: "damaged: the content is larger than this channel takes: more than 65536 bytes"},
		"a resource at another type":              {path: "/fhir/Observation", content: patient, status: 400, want: "error not-supported: it is not the type of the address at resourceType", taken: "damaged: resourceType: it is not the type of the address"},
		"a resource at the base":                  {path: "/fhir", content: patient, status: 400, want: "error not-supported: it is not the type of the address at resourceType", taken: "damaged: resourceType: it is not the type of the address"},
		"a resource at another place":             {method: "PUT", path: "/fhir/Patient/p-2", content: patient, status: 400, want: "error structure: it is not that of the address at Patient.id", taken: "damaged: Patient.id: it is not that of the address"},
		"a resource without its place":            {method: "PUT", path: "/fhir/Patient/p-2", content: `{"resourceType":"Patient"}`, status: 400, want: "error required: it is missing, or does not stand at the beginning of a large resource; an update needs that of the address at Patient.id", taken: "damaged: Patient.id: it is missing, or does not stand at the beginning of a large resource; an update needs that of the address"},
		"no JSON":                                 {path: "/fhir/Patient", content: can, status: 400, want: "error structure: no JSON: no JSON value begins here", taken: "damaged: byte 0: no JSON: no JSON value begins here"},
		"two types in one":                        {path: "/fhir/Patient", content: `{"resourceType":"Patient","resourceType":"Group"}`, status: 400, want: "error structure: no JSON: a member's name stands twice", taken: "damaged: byte 26: no JSON: a member's name stands twice"},
		"two resources":                           {path: "/fhir/Patient", content: patient + "\n" + patient, status: 400, want: "error structure: no JSON: something follows the end of the value", taken: "damaged: byte 72: no JSON: something follows the end of the value"},
		"no resource":                             {path: "/fhir/Patient", content: `[]`, status: 400, want: "error required: it is missing, or does not stand at the beginning of a large resource at resourceType", taken: "damaged: resourceType: it is missing, or does not stand at the beginning of a large resource"},
		"no content":                              {path: "/fhir/Patient", status: 400, want: "error processing: the request has no content"},
		"a type that is none":                     {path: "/fhir/Nothing", content: patient, status: 404, want: nowhere},
		"a type that is not taken":                {change: func(s *site) { s.options.Types = []string{"Observation"} }, path: "/fhir/Patient", content: patient, status: 404, want: nowhere},
		"a Bundle where none is taken":            {change: func(s *site) { s.options.Types = []string{"Observation"} }, path: "/fhir", content: bundle, status: 404, want: nowhere},
		"a type that is taken":                    {change: func(s *site) { s.options.Types = []string{"Patient"} }, path: "/fhir/Patient", content: patient, status: 200, want: "information informational: taken", taken: patient},
		"outside of the base":                     {path: "/Patient", content: patient, status: 404, want: nowhere},
		"what only begins like the base":          {path: "/fhirPatient", content: patient, status: 404, want: nowhere},
		"deeper":                                  {method: "PUT", path: "/fhir/Patient/p-1/x", content: patient, status: 404, want: nowhere},
		"dots":                                    {method: "PUT", path: "/fhir/Patient/..", content: patient, status: 404, want: nowhere},
		"two slashes":                             {path: "/fhir//Patient", content: patient, status: 404, want: nowhere},
		"a read":                                  {method: "GET", path: "/fhir/Patient/p-1", status: 405, want: notHere},
		"a search":                                {method: "GET", path: "/fhir/Patient?name=" + can, status: 405, want: notHere},
		"a delete":                                {method: "DELETE", path: "/fhir/Patient/p-1", status: 405, want: notHere},
		"an update by a search":                   {method: "PUT", path: "/fhir/Patient?identifier=" + can, content: patient, status: 405, want: notHere},
		"a create at a place":                     {path: "/fhir/Patient/p-1", content: patient, status: 405, want: notHere},
		"a post to metadata":                      {path: "/fhir/metadata", content: patient, status: 405, want: notHere},
		"XML":                                     {path: "/fhir/Patient", headers: []string{"Content-Type: application/fhir+xml"}, content: "<Patient/>", status: 415, want: "error not-supported: content is application/fhir+json in UTF-8"},
		"another charset":                         {path: "/fhir/Patient", headers: []string{"Content-Type: application/fhir+json; charset=latin1"}, content: patient, status: 415, want: "error not-supported: content is application/fhir+json in UTF-8"},
		"no type of content":                      {path: "/fhir/Patient", headers: []string{"X-A: b"}, content: patient, status: 415, want: "error not-supported: content is application/fhir+json in UTF-8"},
		"compressed":                              {path: "/fhir/Patient", headers: []string{"Content-Type: application/fhir+json", "Content-Encoding: gzip"}, content: patient, status: 415, want: "error not-supported: compressed content is not taken"},
		"an answer in XML":                        {path: "/fhir/Patient", headers: []string{"Accept: application/fhir+xml, text/xml;q=0.5"}, content: patient, status: 406, want: "error not-supported: answers are application/fhir+json"},
		"an answer in anything":                   {path: "/fhir/Patient", headers: []string{"Content-Type: application/fhir+json", "Accept: text/html, */*;q=0.1"}, content: patient, status: 200, want: "information informational: taken", taken: patient},
		"an answer in anything but JSON":          {path: "/fhir/Patient", headers: []string{"Accept: application/fhir+json;q=0, text/*"}, content: patient, status: 406, want: "error not-supported: answers are application/fhir+json"},
		"_format=xml":                             {path: "/fhir/Patient?_format=xml", content: patient, status: 406, want: "error not-supported: answers are application/fhir+json"},
		"_format=application/fhir+json":           {path: "/fhir/Patient?_format=application/fhir+json", content: patient, status: 200, want: "information informational: taken", taken: patient},
		"a version to be compared":                {method: "PUT", path: "/fhir/Patient/p-1", headers: []string{"Content-Type: application/fhir+json", `If-Match: W/"1"`}, content: patient, status: 412, want: "error not-supported: nothing is kept here that a version could be compared with"},
		"no credential":                           {change: func(s *site) { s.options.Auth = &web.AuthOptions{Bearer: connectors.NewSecret("t-1")} }, path: "/fhir/Patient", content: patient, status: 401, want: "error login: a credential is needed"},
		"no credential for metadata":              {change: func(s *site) { s.options.Auth = &web.AuthOptions{Bearer: connectors.NewSecret("t-1")} }, method: "GET", path: "/fhir/metadata", status: 401, want: "error login: a credential is needed"},
		"a credential":                            {change: func(s *site) { s.options.Auth = &web.AuthOptions{Bearer: connectors.NewSecret("t-1")} }, path: "/fhir/Patient", headers: []string{"Content-Type: application/fhir+json", "Authorization: Bearer t-1"}, content: patient, status: 200, want: "information informational: taken", taken: patient},
		"problems of the channel": {
			change: func(s *site) {
				s.answer = reply(message.Reply{Answer: message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Where: "Patient.name", Code: 101, Text: "no name"}, {Code: 103, Text: "not a code"}}}})
			},
			path: "/fhir/Patient", content: patient, status: 422, want: "error required: no name at Patient.name; error code-invalid: not a code", taken: patient,
		},
		"an answer of the channel": {
			change: func(s *site) {
				s.answer = reply(message.Reply{Answer: message.Answer{Code: message.Rejected}, Raw: []byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"value","diagnostics":"its own"}]}`)})
			},
			path: "/fhir/Patient", content: patient, status: 400, want: "fatal value: its own", taken: patient,
		},
		"an answer of the channel in another format": {
			change: func(s *site) {
				s.answer = reply(message.Reply{Answer: message.Answer{Code: message.Accepted}, Raw: []byte("MSH|^~\\&|")})
			},
			path: "/fhir/Patient", content: patient, status: 200, want: "information informational: taken", taken: patient,
		},
		"a refusal without a reason": {change: func(s *site) { s.answer = reply(message.Reply{Answer: message.Answer{Code: message.Erroneous}}) }, path: "/fhir/Patient", content: patient, status: 422, want: "error processing: refused without a reason", taken: patient},
		"parked": {
			change: func(s *site) {
				s.answer = reply(message.Reply{Answer: message.Answer{Code: message.Erroneous, Problems: []message.Problem{{Code: 207, Text: "kept"}}}})
			},
			path: "/fhir/Patient", content: patient, status: 503, want: "error transient: kept", taken: patient,
		},
		"a fault of ours": {
			change: func(s *site) {
				s.answer = func(*message.Message) (message.Reply, error) { return message.Reply{}, errors.New("the store is away") }
			},
			path: "/fhir/Patient", content: patient, status: 503, want: "error transient: not taken now, send it again later", taken: patient,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if test.change != nil {
				test.change(s)
			}
			sender := webtest.Dial(t, s.run(), nil)
			sender.Path = test.path
			if test.method != "" {
				sender.Method = test.method
			}
			if test.headers == nil {
				sender.Header.Set("Content-Type", contentType)
			}
			for _, h := range test.headers {
				key, value, _ := strings.Cut(h, ": ")
				sender.Header.Set(key, value)
			}
			response, content, err := sender.Post([]byte(test.content))
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || response.Header.Get("Content-Type") != contentType {
				t.Errorf("answered %d %s, want %d", response.StatusCode, response.Header.Get("Content-Type"), test.status)
			}
			if got := issues(t, content); got != test.want {
				t.Errorf("issues %q\nwant %q", got, test.want)
			}
			if strings.Contains(content, connectortest.Canary) {
				t.Errorf("content of the message is in the answer: %s", content)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if got := strings.Join(s.taken, "|"); got != test.taken {
				t.Errorf("taken %q\nwant %q", got, test.taken)
			}
		})
	}
}

// reply is a handler that answers everything alike.
func reply(r message.Reply) func(*message.Message) (message.Reply, error) {
	return func(*message.Message) (message.Reply, error) { return r, nil }
}

func TestCapability(t *testing.T) {
	for types, want := range map[string]string{
		"Patient Bundle": "Patient:create,update Bundle:create,update system:transaction,batch",
		"Patient":        "Patient:create,update system:",
	} {
		s := newSite(t)
		s.env.Now = func() time.Time { return time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC) }
		s.options.Types = strings.Fields(types)
		sender := webtest.Dial(t, s.run(), nil)
		sender.Method, sender.Path = "GET", "/fhir/metadata"
		response, content, err := sender.Post(nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("answered %v, %v", response, err)
		}
		n, err := fhir.Parse([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		codes := func(n *fhir.Node) string {
			var list []string
			if n != nil {
				for _, item := range n.Items {
					list = append(list, text(item, "code"))
				}
			}
			return strings.Join(list, ",")
		}
		rest := n.Get("rest").Items[0]
		var got []string
		for _, r := range rest.Get("resource").Items {
			got = append(got, text(r, "type")+":"+codes(r.Get("interaction")))
		}
		got = append(got, "system:"+codes(rest.Get("interaction")))
		if text := strings.Join(got, " "); text != want {
			t.Errorf("takes %q, want %q", text, want)
		}
		if text(n, "fhirVersion") != "4.0.1" || text(n, "date") != "2026-01-05T12:00:00Z" || text(n, "kind") != "instance" {
			t.Errorf("statement %s", content)
		}
	}
}

// FuzzPeek holds that no beginning of a resource causes a panic, and that what
// is found is what a whole resource says.
func FuzzPeek(f *testing.F) {
	f.Add([]byte(`{"meta":{"a":[1,{"b":2}]},"id":"1","resourceType":"Patient"}`))
	f.Add([]byte(`{"resourceType":{"id":"x"},"id":[`))
	f.Add([]byte(`[{"id":1}]`))
	f.Fuzz(func(t *testing.T, head []byte) {
		typ, id := peek(head)
		n, err := fhir.Parse(head)
		if err != nil || n.Kind != fhir.Object {
			return
		}
		if typ != text(n, "resourceType") || id != text(n, "id") {
			t.Error("another type or id than the whole resource has")
		}
	})
}
