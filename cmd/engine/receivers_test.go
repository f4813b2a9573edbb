package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// A trade is what is sent through the engine in the fault tests, and how.
type trade struct {
	unit      string // of the route that sends
	configure func(s *site, r receiver)
	lanes     func(lanes, n int) [][]string
	once      func(s *site, raw string) bool // sends; whether it was taken
}

// tradeOf is the trade that a receiver is there for: FHIR resources written
// through the API, or HL7 messages over MLLP.
func tradeOf(r receiver) trade {
	if _, ok := r.(fhirReceiver); ok {
		return trade{unit: "orders/out", configure: configureOrders, lanes: orderLanes, once: putOnce}
	}
	return trade{
		unit:      "lab-results/out",
		configure: func(s *site, r receiver) { s.forwardTo(r) },
		lanes:     lanesOf,
		once: func(s *site, raw string) bool {
			p, err := dial(s.results)
			if err != nil {
				return false
			}
			defer p.close()
			code, err := p.exchange(raw)
			return err == nil && code == "AA"
		},
	}
}

// forwardTo sends on what channel lab-results gets.
func (s *site) forwardTo(r receiver) {
	s.t.Helper()
	s.configure(fmt.Sprintf(deliveryForward, s.results, r.to(), s.admit))
}

// nameOf is what tells a message of a trade: its control id, or the id of the
// resource.
func nameOf(raw string) string {
	if !strings.HasPrefix(raw, "{") {
		return control10(raw)
	}
	var resource struct {
		ID string `json:"id"`
	}
	if json.Unmarshal([]byte(raw), &resource) != nil {
		return ""
	}
	return resource.ID
}

// A bodyReceiver is an HTTP server that keeps what it gets.
type bodyReceiver struct {
	address string
	mu      *sync.Mutex
	names   *[]string
}

func newBodyReceiver(t *testing.T, name func(r *http.Request, body []byte) string) bodyReceiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := bodyReceiver{address: l.Addr().String(), mu: &sync.Mutex{}, names: &[]string{}}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it did not arrive
		}
		b.mu.Lock()
		*b.names = append(*b.names, name(r, body))
		b.mu.Unlock()
		w.WriteHeader(http.StatusOK)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // until it is closed
	t.Cleanup(func() {
		_ = server.Close() // the engine's connections end with it
		serving.Wait()
	})
	return b
}

func (b bodyReceiver) arrived(*testing.T) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), *b.names...)
}

type httpReceiver struct{ bodyReceiver }

func newHTTPReceiver(t *testing.T) receiver {
	return httpReceiver{newBodyReceiver(t, func(_ *http.Request, body []byte) string { return control10(string(body)) })}
}

func (r httpReceiver) to() string {
	return fmt.Sprintf(`{ http: { url: "http://%s/in", content: application/hl7-v2, timeout: 2s } }`, r.address)
}

// A fhirReceiver is a FHIR server that takes updates, or an MLLP peer's worth of
// them by plain HTTP: what matters of it is that its messages are resources.
type fhirReceiver struct {
	bodyReceiver
	plain bool
}

func newFHIRReceiver(t *testing.T) receiver {
	return fhirReceiver{bodyReceiver: newBodyReceiver(t, func(r *http.Request, _ []byte) string { return path.Base(r.URL.Path) })}
}

// newStoreSource has resources written to the store go out as they are.
func newStoreSource(t *testing.T) receiver {
	return fhirReceiver{bodyReceiver: newBodyReceiver(t, func(_ *http.Request, body []byte) string { return nameOf(string(body)) }), plain: true}
}

func (r fhirReceiver) to() string {
	if r.plain {
		return fmt.Sprintf(`{ http: { url: "http://%s/in", content: application/fhir+json, timeout: 2s } }`, r.address)
	}
	return fmt.Sprintf(`{ fhir: { base: "http://%s/fhir", timeout: 2s } }`, r.address)
}

func configureOrders(s *site, r receiver) {
	s.configure(fmt.Sprintf(`zone: America/New_York
channels:
  - name: orders
    source: { ehr: { on: ServiceRequest, when: 'ServiceRequest.status == "active"', by: api } }
    parse: fhir
    routes:
      - { name: out, to: %s, retry: { down: { first: 20ms, max: 200ms }, unknown: { first: 20ms, max: 200ms } } }
  - name: lab-results
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    routes: [ { to: { drop: { reason: not sent in these tests } } } ]
`, r.to(), s.results))
}

// orderLanes makes n orders for each of some patients.
func orderLanes(lanes, n int) [][]string {
	out := make([][]string, lanes)
	for lane := range out {
		for i := range n {
			out[lane] = append(out[lane], fmt.Sprintf(`{"resourceType":"ServiceRequest","id":"D%d-%03d","status":"active","intent":"order","code":{"text":"CMP"},"subject":{"reference":"Patient/K%d"}}`, lane, i, lane))
		}
	}
	return out
}

// putOnce writes a resource under its own id: a repeat changes nothing.
func putOnce(s *site, raw string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+s.http+"/fhir/ServiceRequest/"+nameOf(raw), bytes.NewReader([]byte(raw)))
	if err != nil {
		s.t.Error(err)
		return false
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK || response.StatusCode == http.StatusCreated
}
