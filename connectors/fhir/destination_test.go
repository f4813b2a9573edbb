package fhir

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/network"
	"github.com/plexus-health/plexus/connectors/web"
	"github.com/plexus-health/plexus/connectors/web/webtest"
	"github.com/plexus-health/plexus/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// payload is resource number n and its control id.
func payload(n int) (raw []byte, control string) {
	return fmt.Appendf(nil, `{"resourceType":"Patient", "identifier":[{"system":"urn:mrn","value":"%d %s"}],"name":[{"family":"%s"}]}`+"\n",
		n, connectortest.Canary, connectortest.Canary), fmt.Sprint("C", n)
}

func defaults(address string) *DestinationOptions {
	o := DefaultDestination().(*DestinationOptions)
	o.Base = "http://" + address + "/fhir"
	return o
}

// openDestination opens a destination that the test closes.
func openDestination(t testing.TB, o *DestinationOptions, env connectors.Environment) *Destination {
	t.Helper()
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	d, err := o.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Destination)
}

// created is the answer of a server that did what it was asked.
func created(*http.Request, []byte) string { return webtest.Answer(201, contentType, "") }

func TestDestination(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			connectortest.RunDestination(t, connectortest.DestinationCase{
				Open: func(t *testing.T, env connectors.Environment) (connectors.Destination, connectortest.Receiver) {
					r := webtest.NewReceiver(t)
					r.Answer = created
					if secure {
						ca := webtest.NewAuthority(t, env.Folder)
						r.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue("partner", "", webtest.Later())}}
					}
					r.Behave(connectortest.Accept)
					o := defaults(r.Address)
					if secure {
						o.Base, o.TLS = "https://"+r.Address+"/fhir", &network.TLSOptions{CA: "ca.pem"}
					}
					return openDestination(t, o, env), r
				},
				Payload: payload, Connections: 4,
			})
		})
	}
}

func send(d *Destination, delivery *message.Delivery) (message.Reply, error) {
	ctx, done := context.WithTimeout(context.Background(), webtest.Patience)
	defer done()
	return d.Send(ctx, delivery)
}

func TestRequests(t *testing.T) {
	can := connectortest.Canary
	patient := func(more string) string { return `{"resourceType":"Patient"` + more + `}` }
	two := `,"identifier":[{"system":"urn:a b","value":"1|` + can + `&x=y"},{"system":"urn:mrn","value":"2"}]`
	tests := map[string]struct {
		interaction, match string
		payload            string
		attempts           int
		maybe              bool
		want               string // method, address and If-None-Exist
		refused            string // without sending
	}{
		"auto creates what has no id":           {payload: patient(two), want: "POST /fhir/Patient"},
		"auto updates what has an id":           {payload: patient(`,"id":"a-1.b"`), want: "PUT /fhir/Patient/a-1.b"},
		"auto posts a transaction":              {payload: `{"resourceType":"Bundle","type":"transaction"}`, want: "POST /fhir"},
		"auto posts a batch, also with an id":   {payload: `{"resourceType":"Bundle","id":"1","type":"batch"}`, want: "POST /fhir"},
		"auto creates a Bundle of another type": {payload: `{"resourceType":"Bundle","type":"document"}`, want: "POST /fhir/Bundle"},
		"create ignores the id":                 {interaction: create, payload: patient(`,"id":"1"`), want: "POST /fhir/Patient"},
		"a repeated create looks first":         {payload: patient(two), attempts: 2, want: "POST /fhir/Patient identifier=urn%3Aa+b%7C1%5C%7C" + can + "%26x%3Dy"},
		"and so does one that may have arrived": {payload: patient(`,"identifier":[{"value":"1"}]`), maybe: true, want: "POST /fhir/Patient identifier=%7C1"},
		"it cannot where nothing identifies":    {payload: patient(""), attempts: 2, want: "POST /fhir/Patient"},
		"an identifier that is no list":         {payload: `{"resourceType":"QuestionnaireResponse","identifier":{"system":"s","value":"v"}}`, attempts: 3, want: "POST /fhir/QuestionnaireResponse identifier=s%7Cv"},
		"update":                                {interaction: update, payload: patient(`,"id":"1"`), want: "PUT /fhir/Patient/1"},
		"update without an id":                  {interaction: update, payload: patient(two), refused: "the resource has no id, which update needs"},
		"conditional create":                    {interaction: conditionalCreate, payload: patient(two), want: "POST /fhir/Patient identifier=urn%3Aa+b%7C1%5C%7C" + can + "%26x%3Dy"},
		"conditional update":                    {interaction: conditionalUpdate, payload: patient(two), want: "PUT /fhir/Patient?identifier=urn%3Aa+b%7C1%5C%7C" + can + "%26x%3Dy"},
		"by the identifier of a system":         {interaction: conditionalUpdate, match: "identifier={identifier:urn:mrn}&active=true", payload: patient(two), want: "PUT /fhir/Patient?identifier=urn%3Amrn%7C2&active=true"},
		"by parts":                              {interaction: conditionalUpdate, match: "a={identifier.system}&b={identifier.value}&c={id}", payload: patient(`,"id":"7","identifier":[{"system":"s","value":"v"}]`), want: "PUT /fhir/Patient?a=s&b=v&c=7"},
		"what would separate is escaped":        {interaction: conditionalUpdate, match: "a={identifier.system}&b={identifier.value}", payload: patient(`,"identifier":[{"system":"s$","value":"1,2\\3"}]`), want: `PUT /fhir/Patient?a=s%5C%24&b=1%5C%2C2%5C%5C3`},
		"without the identifier that is needed": {interaction: conditionalCreate, payload: patient(""), refused: "the resource has no identifier, which match needs"},
		"without the one of a system":           {interaction: conditionalUpdate, match: "identifier={identifier:urn:x}", payload: patient(two), refused: "the resource has no identifier, which match needs"},
		"transaction of a resource":             {interaction: transaction, payload: patient(""), refused: "the payload is no Bundle of type transaction or batch"},
		"no JSON":                               {payload: can, refused: "the payload is no JSON: byte 0: no JSON value begins here"},
		"no resource":                           {payload: `{"name":"` + can + `"}`, refused: "the payload is no resource: resourceType is missing"},
		"a type that leads elsewhere":           {payload: `{"resourceType":"Patient/../../admin"}`, refused: "the payload is no resource: resourceType is missing"},
		"an id that leads elsewhere":            {payload: patient(`,"id":".."`), refused: "the payload has an id that is none: letters, digits, - and . are"},
		"an id that begins a search":            {payload: patient(`,"id":"1?x=` + can + `"`), refused: "the payload has an id that is none: letters, digits, - and . are"},
		"nothing":                               {payload: "", refused: "the payload is no JSON: byte 0: the text ends where a value is expected"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := webtest.NewReceiver(t)
			r.Answer = func(request *http.Request, body []byte) string {
				if request.URL.Path == "/fhir" {
					return webtest.Answer(200, contentType, `{"resourceType":"Bundle","type":"transaction-response"}`)
				}
				return created(request, body)
			}
			r.Behave(connectortest.Accept)
			o := defaults(r.Address)
			if test.interaction != "" {
				o.Interaction = test.interaction
			}
			if test.match != "" {
				o.Match = test.match
			}
			d := openDestination(t, o, connectors.Environment{})
			defer d.Close()
			_, err := send(d, &message.Delivery{ID: "d-1", Control: "c-1", Payload: []byte(test.payload), Attempts: max(test.attempts, 1), MaybeSent: test.maybe})
			if test.refused != "" {
				if message.KindOf(err) != message.RefusedSend || err.Error() != test.refused || len(r.Requests()) > 0 {
					t.Errorf("Send = %v of kind %s after %d requests, want %q, refused", err, message.KindOf(err), len(r.Requests()), test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := r.Requests()[0]
			if words := strings.TrimSpace(got.Method + " " + got.RequestURI + " " + got.Header.Get("If-None-Exist")); words != test.want {
				t.Errorf("came  %s\nwant %s", words, test.want)
			}
			h := got.Header
			if h.Get("Content-Type") != contentType || h.Get("Accept") != contentType || h.Get("Prefer") != "return=minimal" ||
				h.Get("Idempotency-Key") != "d-1" || h.Get("X-Plexus-Control") != "c-1" || string(r.Taken()[0]) != test.payload {
				t.Errorf("headers %v, content of %d bytes", h, len(r.Taken()[0]))
			}
		})
	}
}

// outcomeText is an OperationOutcome that holds what it must not be asked for.
const outcomeText = `{"resourceType":"OperationOutcome","issue":[` +
	`{"severity":"warning","code":"informational"},` +
	`{"severity":"error","code":"required","diagnostics":"` + connectortest.Canary + `","details":{"text":"` + connectortest.Canary + `"},"expression":["Patient.name[0].family"]},` +
	`{"severity":"error","code":"` + connectortest.Canary + `","expression":["Patient.where(value='` + connectortest.Canary + `')"]},` +
	`{"severity":"error","code":"value","expression":["Patient.smith"]}]}`

func TestAnswersAreClassed(t *testing.T) {
	bundle := func(entries ...string) string {
		return `{"resourceType":"Bundle","type":"batch-response","entry":[` + strings.Join(entries, ",") + `]}`
	}
	entry := func(status, outcome string) string {
		if outcome != "" {
			outcome = `,"outcome":` + outcome
		}
		return `{"response":{"status":"` + status + `"` + outcome + `}}`
	}
	single, batch := `{"resourceType":"Patient"}`, `{"resourceType":"Bundle","type":"batch","entry":[{},{}]}`
	tests := map[string]struct {
		payload string
		status  int
		media   string
		content string
		kind    message.Kind
		text    string
	}{
		"created":                        {payload: single, status: 201},
		"created, with the resource":     {payload: single, status: 201, content: single},
		"200 with an OperationOutcome":   {payload: single, status: 200, content: outcomeText},
		"200 with a page":                {payload: single, status: 200, content: "<html>" + connectortest.Canary, kind: message.Unreadable, text: "answered 200, but with content that is no FHIR resource"},
		"200 with other JSON":            {payload: single, status: 200, content: `{"ok":true}`, kind: message.Unreadable, text: "answered 200, but with content that is no FHIR resource"},
		"302":                            {payload: single, status: 302, kind: message.RefusedSend, text: "answered 302, which points to another address; it is not followed: correct the address"},
		"412 of several that match":      {payload: single, status: 412, content: `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"multiple-matches"}]}`, kind: message.RefusedSend, text: "answered 412: multiple-matches"},
		"422, whose texts are not told":  {payload: single, status: 422, content: outcomeText, kind: message.RefusedSend, text: "answered 422: required at Patient.name[0].family, unknown, value"},
		"422 with a page":                {payload: single, status: 422, content: connectortest.Canary, kind: message.RefusedSend, text: "answered 422"},
		"503":                            {payload: single, status: 503, content: `{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"throttled"}]}`, kind: message.Busy, text: "answered 503: throttled"},
		"all entries taken":              {payload: batch, status: 200, content: bundle(entry("201 Created", ""), entry("304 Not Modified", ""))},
		"an entry refused":               {payload: batch, status: 200, content: bundle(entry("503 Busy", ""), entry("422 "+connectortest.Canary, outcomeText)), kind: message.RefusedSend, text: "Bundle.entry[1]: answered 422: required at Patient.name[0].family, unknown, value"},
		"an entry not now":               {payload: batch, status: 200, content: bundle(entry("200", ""), entry("429 Slow down", "")), kind: message.Unknown, text: "Bundle.entry[1]: answered 429"},
		"no entry now":                   {payload: batch, status: 200, content: bundle(entry("503", ""), entry("429 Slow down", "")), kind: message.Busy, text: "Bundle.entry[0]: answered 503"},
		"an entry without a status":      {payload: batch, status: 200, content: bundle(entry("200", ""), "{}"), kind: message.Unreadable, text: "Bundle.entry[1]: the answer has no status"},
		"an entry with a wrong status":   {payload: batch, status: 200, content: bundle(entry("abc", ""), entry("200", "")), kind: message.Unreadable, text: "Bundle.entry[0]: the answer has no status"},
		"too few entries":                {payload: batch, status: 200, content: bundle(entry("200", "")), kind: message.Unreadable, text: "answered 200, but for 1 entries in place of 2"},
		"a batch and no Bundle":          {payload: batch, status: 200, content: outcomeText, kind: message.Unreadable, text: "answered 200, but with no Bundle of answers"},
		"a batch and nothing":            {payload: batch, status: 200, kind: message.Unreadable, text: "answered 200, but with content that is no FHIR resource"},
		"a batch refused":                {payload: batch, status: 400, content: outcomeText, kind: message.RefusedSend, text: "answered 400: required at Patient.name[0].family, unknown, value"},
		"a create of a Bundle of a type": {payload: `{"resourceType":"Bundle","type":"collection","entry":[{}]}`, status: 201},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := webtest.NewReceiver(t)
			r.Answer = func(*http.Request, []byte) string { return webtest.Answer(test.status, contentType, test.content) }
			r.Behave(connectortest.Accept)
			d := openDestination(t, defaults(r.Address), connectors.Environment{})
			defer d.Close()
			reply, err := send(d, &message.Delivery{ID: "d-1", Payload: []byte(test.payload), Attempts: 1})
			if test.kind == "" {
				if err != nil || reply.Answer.Code != message.Accepted {
					t.Errorf("Send = %q, %v; want accepted", reply.Answer.Code, err)
				}
			} else if err == nil || message.KindOf(err) != test.kind || err.Error() != test.text || reply.Answer.Code == message.Accepted {
				t.Errorf("Send = %q, %v of kind %s\nwant %q of kind %s", reply.Answer.Code, err, message.KindOf(err), test.text, test.kind)
			}
			if string(reply.Raw) != test.content {
				t.Errorf("reply %q", reply.Raw)
			}
			if told := fmt.Sprint(reply.Answer.Problems); strings.Contains(told, connectortest.Canary) {
				t.Errorf("content is in the problems: %s", told)
			}
		})
	}
}

func TestRetryAfterIsHandedOn(t *testing.T) {
	r := webtest.NewReceiver(t)
	r.Answer = func(*http.Request, []byte) string { return webtest.Answer(429, contentType, "", "Retry-After: 30") }
	r.Behave(connectortest.Accept)
	d := openDestination(t, defaults(r.Address), connectors.Environment{})
	defer d.Close()
	raw, _ := payload(1)
	_, err := send(d, &message.Delivery{ID: "d-1", Payload: raw})
	if f, ok := errors.AsType[*message.Failure](err); !ok || f.Kind != message.Busy || f.After != 30*time.Second {
		t.Errorf("Send = %+v, want busy after 30s", f)
	}
}

func TestCredential(t *testing.T) {
	r := webtest.NewReceiver(t)
	r.Answer = created
	r.Behave(connectortest.Accept)
	o := defaults(r.Address)
	o.Credential = &web.CredentialOptions{Bearer: connectors.NewSecret("t-1")}
	d := openDestination(t, o, connectors.Environment{})
	defer d.Close()
	raw, _ := payload(1)
	if _, err := send(d, &message.Delivery{ID: "d-1", Payload: raw}); err != nil {
		t.Fatal(err)
	}
	if got := r.Requests()[0].Header.Get("Authorization"); got != "Bearer t-1" {
		t.Errorf("authorization %q", got)
	}
}

// FuzzAnswer holds that no bytes of a server cause a panic, and that nothing of
// them is told but codes and simple paths.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(outcomeText))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"response":{"status":"422","outcome":` + outcomeText + `}},{},null,1]}`))
	f.Add([]byte(`{"resourceType":"OperationOutcome","issue":{"code":1}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		a := readAnswer(content)
		if strings.Contains(a.told(), connectortest.Canary) {
			t.Errorf("told %q", a.told())
		}
		_ = a.problems()
		if a != nil {
			if failure := a.entry(); failure != nil && strings.Contains(failure.Error(), connectortest.Canary) {
				t.Errorf("failure %v", failure)
			}
		}
	})
}

// FuzzResource holds that no payload causes a panic, and that what a resource
// says of itself leads nowhere but to its own address.
func FuzzResource(f *testing.F) {
	raw, _ := payload(1)
	f.Add(raw)
	f.Add([]byte(`{"resourceType":"Patient","id":"..","identifier":{"value":1}}`))
	f.Add([]byte(`{"resourceType":"Bundle","type":"batch","entry":1}`))
	o := defaults("127.0.0.1:1")
	f.Fuzz(func(t *testing.T, raw []byte) {
		destination, err := o.Open(connectors.Environment{})
		if err != nil {
			t.Fatal(err)
		}
		d := destination.(*Destination)
		r, err := readResource(raw)
		if err != nil {
			return
		}
		for _, interaction := range interactions[1:] {
			request, err := d.request(interaction, r, &message.Delivery{Attempts: 2})
			if err != nil {
				continue
			}
			if got := request.URL.Host + request.URL.Path; !strings.HasPrefix(got, "127.0.0.1:1/fhir") || strings.Contains(got, "..") && !strings.Contains(r.id, "..") {
				t.Errorf("leads to %q", got)
			}
			if strings.ContainsAny(request.URL.RawQuery+request.Header.Get("If-None-Exist"), "\r\n #") {
				t.Error("a search holds what no header or address can carry")
			}
		}
	})
}
