package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
)

// fromLab is a message of a laboratory: its type, its control id and what
// follows the header. It asks for an accept acknowledgement.
func fromLab(typ, control, rest string) string {
	return fmt.Sprintf("MSH|^~\\&|LAB|NORTH LAB|PLEXUS|CLINIC|20260301101500-0500||%s|%s|P|2.5.1|||AL|NE\r%s\r", typ, control, rest)
}

// identifiers are the values of a resource's identifiers of a type.
func identifiers(resource map[string]any, kind string) []string {
	var out []string
	list, _ := resource["identifier"].([]any)
	for _, item := range list {
		i, _ := item.(map[string]any)
		if strings.Contains(fmt.Sprint(i["type"]), "code:"+kind+" ") {
			out = append(out, fmt.Sprint(i["value"]))
		}
	}
	return out
}

// tell sends a message that nobody answers.
func (s *site) tell(address, raw string) {
	s.t.Helper()
	p, err := dial(address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer p.close()
	if _, err := io.WriteString(p.conn, "\x0b"+raw+"\x1c\r"); err != nil {
		s.t.Fatal(err)
	}
}

// TestOrdersAreAnswered lets a laboratory answer orders that were written
// through the API and send a result: its number and the state go to the order
// that is there, none is made, and what an answer changes is not sent out again.
func TestOrdersAreAnswered(t *testing.T) {
	stores(t, func(t *testing.T, database string) {
		s, lab := newSite(t, database), newArchive(t)
		s.configure(fmt.Sprintf(orderRoutes, "fhir-to-oml-o21", lab.address, s.results))
		lab.here()
		l := s.mustReady()
		defer func() { l.stop() }()
		s.put("Patient/p1", `{"resourceType":"Patient","id":"p1","identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:oid:2.999.1.1","value":"MRN-77"}],"name":[{"family":"Rowan"}]}`)
		order := func(id, status, identifier string) {
			s.put("ServiceRequest/"+id, fmt.Sprintf(`{"resourceType":"ServiceRequest","id":"%s","status":"%s","intent":"order"%s,"code":{"coding":[{"system":"http://loinc.org","code":"24323-8"}]},"subject":{"reference":"Patient/p1"}}`, id, status, identifier))
		}
		order("by-id", "active", "")
		order("by-number", "active", `,"identifier":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"PLAC"}]},"system":"urn:oid:2.999.1.7","value":"P-1001"}]`)
		order("cancelled", "revoked", "")
		order("kept", "active", "")
		lab.frame(t, 3)

		for _, raw := range []string{
			fromLab("ORL^O22^ORL_O22", "A1", "MSA|AA|X\rPID|1||MRN-77^^^&2.999.1.1&ISO^MR\rORC|OK|by-id|F-1^LAB\rOBR|1|by-id|F-1^LAB|24323-8^^LN"),
			fromLab("ORR^O02^ORR_O02", "A2", "MSA|AA|X\rORC|NA|P-1001^^2.999.1.7^ISO|F-2^LAB\rOBR|1|P-1001^^2.999.1.7^ISO|F-2^LAB|24323-8^^LN"),
			fromLab("ORR^O02^ORR_O02", "A3", "MSA|AA|X\rORC|CR|cancelled|F-3^LAB"),
			fromLab("ORR^O02^ORR_O02", "A4", "MSA|AA|X\rORC|UC|kept|F-4^LAB"),
			fromLab("ORR^O02^ORR_O02", "A5", "MSA|AA|X\rORC|OK|never-sent|F-5^LAB"),
			fromLab("ORU^R01^ORU_R01", "A7", "PID|1||MRN-77^^^&2.999.1.1&ISO^MR||Rowan\rORC|RE|by-id|F-1^LAB\rOBR|1|by-id|F-1^LAB|24323-8^^LN|||20260301090000-0500|||||||||||||||20260301100000-0500|||F\rOBX|1|NM|2345-7^^LN||95|mg/dL|||||F"),
		} {
			if code := s.send(s.results, raw); code != "CA" {
				t.Errorf("%s was answered %s", control10(raw), code)
			}
		}
		s.tell(s.results, "MSH|^~\\&|LAB|NORTH LAB|PLEXUS|CLINIC|20260301101500-0500||ACK^O21^ACK|A6|P|2.5.1\rMSA|AA|X\r")
		eventually(t, "the acknowledgement is taken", func() bool { return len(s.rows("control=A6")) == 1 })
		for _, row := range s.settled() {
			if row.State != "done" {
				t.Errorf("%s is %s: %s", row.Control, row.State, row.Reason)
			}
		}

		for id, want := range map[string][2]string{"by-id": {"F-1", "completed"}, "by-number": {"F-2", "active"}, "cancelled": {"F-3", "revoked"}, "kept": {"F-4", "active"}} {
			var got map[string]any
			s.get("/fhir/ServiceRequest/"+id, &got)
			if fill := identifiers(got, "FILL"); len(fill) != 1 || fill[0] != want[0] || got["status"] != want[1] {
				t.Errorf("%s has the numbers %v of its filler and is %v, want %v", id, fill, got["status"], want)
			}
		}
		for typ, want := range map[string]int{"ServiceRequest": 4, "Patient": 1, "DiagnosticReport": 1} {
			if n := len(s.search(typ, url.Values{})); n != want {
				t.Errorf("%d resources of type %s, want %d", n, typ, want)
			}
		}
		if reports := s.search("DiagnosticReport", url.Values{"based-on": {"ServiceRequest/by-id"}}); len(reports) != 1 {
			t.Errorf("%d reports lead to the order", len(reports))
		}
		if n := len(lab.taken()); n != 4 {
			t.Errorf("%d messages went out, want the 4 orders", n)
		}
	})
}
