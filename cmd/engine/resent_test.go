package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// forgetful passes requests on to a FHIR server as one that knows no
// Idempotency-Key. The answer to the first is lost.
func forgetful(t *testing.T, server string) (address string) {
	t.Helper()
	var lost atomic.Bool
	passing := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: server})
			r.Out.Header.Del("Idempotency-Key")
		},
		ModifyResponse: func(*http.Response) error {
			if !lost.Swap(true) {
				panic(http.ErrAbortHandler) // the connection ends without an answer
			}
			return nil
		},
	})
	t.Cleanup(passing.Close)
	return passing.URL
}

// TestResultsSentAgainToAnotherServer has the answer of another FHIR server lost
// when it has taken a transaction: it is sent again, and there is each result
// once. A corrected result is told.
func TestResultsSentAgainToAnotherServer(t *testing.T) {
	other := newSite(t, "")
	theirs := other.mustReady()
	s := newSite(t, "")
	s.configure(fmt.Sprintf(`zone: America/New_York
channels:
  - name: lab-results
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    map: v2-to-fhir
    routes:
      - { name: out, to: { fhir: { base: "%s/fhir", timeout: 10s } }, retry: { unknown: { first: 20ms, max: 200ms } } }
`, s.results, forgetful(t, other.http)))
	l := s.mustReady()
	first := oru("RS1", "M9", "77", 3)
	corrected := strings.NewReplacer("RS1", "RS2", "20260105115500", "20260105125500", "|||F|||2026", "|||C|||2026").Replace(first)
	for n, raw := range []string{first, corrected} {
		if code := s.send(s.results, raw); code != "AA" {
			t.Fatalf("answered %s", code)
		}
		queue := s.drained("lab-results/out", n+1)
		if d := queue[0]; !d.MaybeSent || d.Attempts != 2 {
			t.Fatalf("the delivery whose answer was lost: %+v", d)
		}
		for typ, want := range map[string]int{"Patient": n + 1, "Observation": 3 * (n + 1), "DiagnosticReport": n + 1} {
			if got := len(other.search(typ, url.Values{})); got != want {
				t.Errorf("after %d messages: %d of %s, want %d", n+1, got, typ, want)
			}
		}
	}
	l.stop()
	theirs.stop()
}
