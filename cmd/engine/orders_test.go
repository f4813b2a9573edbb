package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// orderRoutes sends orders that were written here to a laboratory.
const orderRoutes = `zone: America/New_York
channels:
  - name: orders
    source: { ehr: { on: ServiceRequest, when: 'ServiceRequest.status in ["active", "revoked"]', by: api } }
    parse: fhir
    map: { use: %s, set: { MSH-4: CLINIC, MSH-5: LAB } }
    routes:
      - { name: lab, to: { mllp: { address: "%s" } }, retry: { down: { first: 20ms, max: 200ms } } }
  - name: answers
    source: { mllp: { listen: "%s" } }
    parse: hl7v2
    map: v2-to-fhir
    routes: [ { to: { ehr: {} } } ]
`

// put writes a resource under its own id.
func (s *site) put(place, body string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+s.http+"/fhir/"+place, bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		s.t.Fatalf("PUT %s: %s", place, response.Status)
	}
}

// frame is the n-th message that an archive took, once it did.
func (l *archivePeer) frame(t *testing.T, n int) string {
	t.Helper()
	eventually(t, fmt.Sprintf("message %d arrives", n+1), func() bool { return len(l.taken()) > n })
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frames[l.took[n]]
}

// TestOrdersGoOut writes orders through the API: each leaves as a message with
// what the store holds of its patient, again when it changes or is cancelled, and the maps read
// the store after a reload too.
func TestOrdersGoOut(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s, lab := newSite(t, database), newArchive(t)
		config := func(use string) string { return fmt.Sprintf(orderRoutes, use, lab.address, s.results) }
		s.configure(config("fhir-to-orm-o01"))
		lab.here()
		l := s.mustReady()
		defer func() { l.stop() }()
		s.put("Patient/p1", `{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:oid:2.999.1.1","value":"MRN-77"}],"name":[{"family":"Rowan","given":["Alix"]}]}`)
		s.put("Practitioner/d1", `{"resourceType":"Practitioner","id":"d1","name":[{"family":"Hale"}]}`)
		s.put("PractitionerRole/r1", `{"resourceType":"PractitionerRole","id":"r1","practitioner":{"reference":"Practitioner/d1"}}`)
		s.put("Coverage/c1", `{"resourceType":"Coverage","id":"c1","status":"active","beneficiary":{"reference":"Patient/p1"},"payor":[{"display":"Payer One"}],"subscriberId":"S-1"}`)
		s.put("Coverage/c2", `{"resourceType":"Coverage","id":"c2","status":"cancelled","beneficiary":{"reference":"Patient/p1"},"payor":[{"display":"Old Payer"}]}`)
		order := func(id, status, patient string) string {
			return fmt.Sprintf(`{"resourceType":"ServiceRequest","id":"%s","status":"%s","intent":"order","code":{"coding":[{"system":"http://loinc.org","code":"24323-8"}]},"subject":{"reference":"Patient/%s"},"requester":{"reference":"PractitionerRole/r1"}}`, id, status, patient)
		}
		expect := func(n int, want ...string) {
			t.Helper()
			got := lab.frame(t, n)
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("message %d lacks %q:\n%s", n+1, w, strings.ReplaceAll(got, "\r", "\n"))
				}
			}
			if strings.Contains(got, "Old Payer") {
				t.Errorf("message %d has a coverage that ended", n+1)
			}
		}
		s.put("ServiceRequest/o1", order("o1", "active", "p1"))
		expect(0, "|CLINIC|LAB|", "|ORM^O01^ORM_O01|", "|MRN-77^", "|Rowan^Alix", "\rIN1|1|", "Payer One", "\rORC|NW|o1", "^Hale", "24323-8")
		s.put("ServiceRequest/o1", order("o1", "revoked", "p1"))
		expect(1, "\rORC|CA|o1")
		if a, b := control10(lab.frame(t, 0)), control10(lab.frame(t, 1)); a == b {
			t.Errorf("both messages have the control id %s", a)
		}

		// What was a draft is new, what was in force is changed, though no filler has given it a number.
		s.put("ServiceRequest/o4", order("o4", "draft", "p1"))
		s.put("ServiceRequest/o4", order("o4", "active", "p1"))
		expect(2, "\rORC|NW|o4")
		s.put("ServiceRequest/o4", strings.Replace(order("o4", "active", "p1"), `"order"`, `"order","priority":"stat"`, 1))
		expect(3, "\rORC|XO|o4")

		l.reload(config("fhir-to-oml-o21"), "configuration changed")
		s.put("ServiceRequest/o2", order("o2", "active", "p1"))
		expect(4, "|OML^O21^OML_O21|", "|MRN-77^", "Payer One", "\rORC|NW|o2")
		s.put("ServiceRequest/o2", strings.Replace(order("o2", "active", "p1"), `"order"`, `"order","priority":"stat"`, 1))
		expect(5, "\rORC|XO|o2", "\rTQ1|1||||||||S")

		// An order whose patient is not here is parked with the path that leads nowhere.
		s.put("ServiceRequest/o3", order("o3", "active", "nobody"))
		eventually(t, "the order is parked", func() bool { return len(s.rows("state=parked")) == 1 })
		if parked := s.rows("state=parked"); !strings.Contains(parked[0].Reason, "ServiceRequest.subject") {
			t.Errorf("parked because %q", parked[0].Reason)
		}
	})
}
