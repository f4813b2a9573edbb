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
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/connectors/connectortest"
	"github.com/plexus-health/plexus/connectors/web/webtest"
	"github.com/plexus-health/plexus/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func environment() connectors.Environment {
	return connectors.Environment{
		Log: slog.New(slog.DiscardHandler), Count: func(string, int) {}, Size: 1 << 20, Whole: 64 << 10, Connections: 50, Now: time.Now,
	}
}

func patient(n int) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Patient","id":"p%d","name":[{"family":%q}]}`, n, connectortest.Canary)
}

func open(t testing.TB, r *webtest.Receiver, env connectors.Environment, change func(*DestinationOptions)) connectors.Destination {
	t.Helper()
	o, _ := DefaultDestination().(*DestinationOptions)
	o.Base, o.Connections = "http://"+r.Address()+"/fhir", 4
	if change != nil {
		change(o)
	}
	if problems := o.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	d, err := o.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDestination(t *testing.T) {
	connectortest.RunDestination(t, connectortest.DestinationCase{
		Connections: 4,
		Open: func(t *testing.T, env connectors.Environment) (connectors.Destination, connectortest.Receiver) {
			r := webtest.NewReceiver(t)
			return open(t, r, env, nil), r
		},
		Payload: func(n int) ([]byte, string) { return patient(n), fmt.Sprint("C", n) },
	})
}

func TestInteractions(t *testing.T) {
	const (
		withID     = `{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:oid:2.999","value":"A 1"}]}`
		withoutID  = `{"resourceType":"Patient","identifier":[{"system":"urn:oid:2.999","value":"A 1"}]}`
		anonymous  = `{"resourceType":"Patient"}`
		bundle     = `{"resourceType":"Bundle","type":"transaction"}`
		collection = `{"resourceType":"Bundle","type":"collection"}`
	)
	for name, c := range map[string]struct {
		interaction, payload string
		maybe                bool
		want                 string // method, path, If-None-Exist; empty: refused before it is sent
	}{
		"auto with an id":           {auto, withID, false, "PUT /fhir/Patient/p1 "},
		"auto without":              {auto, withoutID, false, "POST /fhir/Patient "},
		"auto again":                {auto, withoutID, true, "POST /fhir/Patient identifier=urn%3Aoid%3A2.999%7CA+1"},
		"auto again without number": {auto, anonymous, true, "POST /fhir/Patient "},
		"auto bundle":               {auto, bundle, false, "POST /fhir "},
		"auto collection":           {auto, collection, false, "POST /fhir/Bundle "},
		"create":                    {create, withID, false, "POST /fhir/Patient "},
		"update":                    {update, withID, false, "PUT /fhir/Patient/p1 "},
		"update without an id":      {update, withoutID, false, ""},
		"conditional create":        {conditionalCreate, withoutID, false, "POST /fhir/Patient identifier=urn%3Aoid%3A2.999%7CA+1"},
		"conditional update":        {conditionalUpdate, withoutID, false, "PUT /fhir/Patient?identifier=urn%3Aoid%3A2.999%7CA+1 "},
		"conditional without":       {conditionalUpdate, anonymous, false, ""},
		"transaction of a patient":  {transaction, withID, false, ""},
		"no json":                   {auto, "MSH|", false, ""},
		"no resource":               {auto, `{"a":1}`, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := webtest.NewReceiver(t)
			d := open(t, r, environment(), func(o *DestinationOptions) { o.Interaction = c.interaction })
			defer d.Close()
			_, err := d.Send(t.Context(), &message.Delivery{ID: "d1", Payload: []byte(c.payload), MaybeSent: c.maybe})
			requests := r.Requests()
			if c.want == "" {
				if message.KindOf(err) != message.RefusedSend || len(requests) != 0 {
					t.Errorf("got %v with %d requests", err, len(requests))
				}
				return
			}
			if err != nil || len(requests) != 1 {
				t.Fatalf("%d requests, %v", len(requests), err)
			}
			got := requests[0].Method + " " + requests[0].RequestURI + " " + requests[0].Header.Get("If-None-Exist")
			if got != c.want || requests[0].Header.Get("Content-Type") != "application/fhir+json" || requests[0].Header.Get("Idempotency-Key") != "d1" {
				t.Errorf("got %q %v, want %q", got, requests[0].Header, c.want)
			}
		})
	}
}

// says is an answer with a body.
func says(status, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

func TestAnswers(t *testing.T) {
	const canary = connectortest.Canary
	refusal := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"` + canary + ` is wrong","expression":["Patient.name[0].family"]},{"code":"` + canary + `","expression":["Patient.` + canary + `"]}]}`
	for name, c := range map[string]struct {
		answer string
		want   message.Kind
		text   string
	}{
		"created":         {says("201 Created", ""), "", ""},
		"refused":         {says("422 No", refusal), message.RefusedSend, "answered 422: invalid at Patient.name[0].family"},
		"another version": {says("409 Conflict", ""), message.RefusedSend, "answered 409"},
		"busy":            {says("503 Later", "<html>"), message.Busy, "answered 503"},
		"batch taken":     {says("200 OK", `{"resourceType":"Bundle","entry":[{"response":{"status":"201 Created"}},{"response":{"status":"200"}}]}`), "", ""},
		"entry refused":   {says("200 OK", `{"resourceType":"Bundle","entry":[{"response":{"status":"201"}},{"response":{"status":"422 Unprocessable","outcome":{"resourceType":"OperationOutcome","issue":[{"code":"required","expression":["Observation.status"]}]}}}]}`), message.RefusedSend, "answered 422: entry[1] required at Observation.status"},
		"entry busy":      {says("200 OK", `{"resourceType":"Bundle","entry":[{"response":{"status":"503"}}]}`), message.Busy, "entry[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := webtest.NewReceiver(t)
			r.Says(c.answer)
			d := open(t, r, environment(), nil)
			defer d.Close()
			_, err := d.Send(t.Context(), &message.Delivery{ID: "d1", Payload: patient(1)})
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			f, _ := errors.AsType[*message.Failure](err)
			if f == nil || f.Kind != c.want || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v, want %s %q", err, c.want, c.text)
			}
		})
	}
}

// caller posts patients.
type caller struct {
	client  *http.Client
	address string
}

func (c caller) Send(ctx context.Context, raw []byte) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.address+"/fhir/Patient", bytes.NewReader(raw))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/fhir+json")
	response, err := c.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return false, err
	}
	return response.StatusCode == http.StatusOK, nil
}

func (c caller) Close() { c.client.CloseIdleConnections() }

// A spot says where a source of a test listens.
type spot struct{ came chan string }

func (s *spot) listening(a net.Addr) {
	select {
	case <-s.came:
	default:
	}
	s.came <- a.String()
}

func (s *spot) wait(t testing.TB) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		select {
		case address := <-s.came:
			select {
			case s.came <- address:
			default: // a newer one came
			}
			if c, err := net.Dial("tcp", address); err == nil {
				_ = c.Close() // it listens
				return address
			}
		default:
		}
	}
	t.Fatal("it does not listen")
	return ""
}

func TestSource(t *testing.T) {
	var s *spot
	connectortest.RunSource(t, connectortest.SourceCase{
		Open: func(t *testing.T, env connectors.Environment) connectors.Source {
			s = &spot{came: make(chan string, 1)}
			o, _ := DefaultSource().(*SourceOptions)
			o.Listen = "127.0.0.1:0"
			source, err := o.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			p, _ := source.(*Source)
			p.listening, p.grace = s.listening, time.Second
			return p
		},
		Dial: func(t *testing.T) connectortest.Peer {
			return caller{client: &http.Client{Transport: &http.Transport{}}, address: s.wait(t)}
		},
		Message: patient,
		Reply: func(_ *message.Message, code message.AnswerCode) message.Reply {
			return message.Reply{Answer: message.Answer{Code: code}}
		},
	})
}

func TestCalls(t *testing.T) {
	var taken []string
	reply := message.Reply{Answer: message.Answer{Code: message.Accepted}, Raw: []byte(`{"resourceType":"OperationOutcome"}`)}
	o, _ := DefaultSource().(*SourceOptions)
	o.Listen, o.Types = "127.0.0.1:0", []string{"Patient", "Bundle"}
	env := environment()
	env.Size = 2000
	source, err := o.Open(env)
	if err != nil {
		t.Fatal(err)
	}
	s := &spot{came: make(chan string, 1)}
	p, _ := source.(*Source)
	p.listening, p.grace = s.listening, 100*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- p.Run(ctx, func(_ context.Context, m *message.Message) (message.Reply, error) {
			taken = append(taken, string(m.Raw))
			return reply, nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	address := s.wait(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	const fhirJSON = "application/fhir+json; charset=utf-8"
	for _, c := range []struct {
		name, method, path, content, accept, body string
		status                                    int
		want                                      string
	}{
		{"create", "POST", "/fhir/Patient", fhirJSON, "", `{"resourceType":"Patient"}`, 200, "OperationOutcome"},
		{"update", "PUT", "/fhir/Patient/p1", fhirJSON, "application/fhir+json", `{"resourceType":"Patient","id":"p1"}`, 200, ""},
		{"bundle", "POST", "/fhir", "application/json", "*/*", `{"resourceType":"Bundle","type":"batch"}`, 200, ""},
		{"bundle with a slash", "POST", "/fhir/", fhirJSON, "", `{"resourceType":"Bundle","type":"batch"}`, 200, ""},
		{"no type at the beginning is left to the parser", "POST", "/fhir/Patient", fhirJSON, "", `{"name":[],"resourceType":"Patient"}`, 200, ""},
		{"another type in the body", "POST", "/fhir/Patient", fhirJSON, "", `{"resourceType":"Observation"}`, 400, "resourceType is not Patient"},
		{"another id in the body", "PUT", "/fhir/Patient/p1", fhirJSON, "", `{"resourceType":"Patient","id":"p2"}`, 400, "the id"},
		{"a type that is not taken", "POST", "/fhir/Observation", fhirJSON, "", `{"resourceType":"Observation"}`, 404, "not taken here"},
		{"no type", "POST", "/fhir/Patiant", fhirJSON, "", `{}`, 404, "no resource type"},
		{"xml", "POST", "/fhir/Patient", "application/fhir+xml", "", `<Patient/>`, 415, "application/fhir+json"},
		{"answers in xml", "POST", "/fhir/Patient", fhirJSON, "application/fhir+xml", `{"resourceType":"Patient"}`, 406, "application/fhir+json"},
		{"read", "GET", "/fhir/Patient/p1", "", "", "", 405, "resources are taken by"},
		{"another base", "POST", "/fhirx/Patient", fhirJSON, "", `{}`, 404, "the service base"},
		{"metadata", "GET", "/fhir/metadata", "", "", "", 200, `"type":"Patient"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			taken = nil
			request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+address+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", c.content)
			request.Header.Set("Accept", c.accept)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.status || !strings.Contains(string(body), c.want) || response.Header.Get("Content-Type") != "application/fhir+json" {
				t.Errorf("answered %d %q %s, want %d %q", response.StatusCode, response.Header.Get("Content-Type"), body, c.status, c.want)
			}
			if want := c.status == 200 && c.method != "GET"; want != (len(taken) == 1 && taken[0] == c.body) {
				t.Errorf("taken %q", taken)
			}
		})
	}
	t.Run("too large", func(t *testing.T) {
		taken, reply.Answer.Code = nil, message.Erroneous
		raw := []byte(`{"resourceType":"Patient","text":"` + strings.Repeat("x", 3000) + `"}`)
		ok, err := caller{client: client, address: address}.Send(t.Context(), raw)
		if err != nil || ok || len(taken) != 1 {
			t.Errorf("ok %v %v, %d taken", ok, err, len(taken))
		}
	})
}
