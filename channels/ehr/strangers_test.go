package ehr_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/message"
)

// stranger is another patient.
const stranger = "PID|1||70002^^^&2.999.7.2&ISO^MR||OTHER^BO||19800101|M"

// parked checks that a message was parked because a record is another
// patient's, and that it says so without a value of either.
func parked(t *testing.T, err error) {
	t.Helper()
	failure, ok := errors.AsType[*message.Failure](err)
	if !ok || failure.Kind != message.Malformed || failure.Where == "" {
		t.Fatalf("not parked: %v", err)
	}
	if text := failure.Error(); !strings.Contains(text, "another patient") || strings.Contains(text, "F-9") || strings.Contains(text, "OTHER") || strings.Contains(text, "7000") {
		t.Errorf("the reason is %q", text)
	}
}

// A filler's number that comes again for another patient does not move the
// results of the first one; once the two are merged it is his.
func TestANumberOfAnotherPatientParks(t *testing.T) {
	s := newSite(t)
	s.take(results("R1", "ORC|RE||F-9^LAB", "OBR|1||F-9^LAB", "F")...)
	report, result := s.all("DiagnosticReport")[0], s.all("Observation")[0]
	again := results("R2", "ORC|RE||F-9^LAB", "OBR|1||F-9^LAB", "C")
	again[1] = stranger
	_, err := s.offer(again...)
	parked(t, err)
	if s.read("DiagnosticReport", report.ID) != string(report.Content) || s.read("Observation", result.ID) != string(result.Content) {
		t.Error("the results of the first patient were touched")
	}
	s.take(admitted("A1", "70002", "OTHER^BO")...)
	s.take(merge("M1", "70002", "70001")...)
	if _, err := s.offer(again...); err != nil {
		t.Fatalf("after the merge: %v", err)
	}
	s.holds("DiagnosticReport", report.ID, `"status":"corrected"`)
	if n := len(s.all("DiagnosticReport")); n != 1 {
		t.Errorf("%d reports", n)
	}
}

// Two patients of one message cannot share a result either.
func TestTwoPatientsOfOneNumberPark(t *testing.T) {
	s := newSite(t)
	segments := results("R1", "ORC|RE||F-9^LAB", "OBR|1||F-9^LAB", "F")
	more := results("R1", "ORC|RE||F-9^LAB", "OBR|1||F-9^LAB", "F")
	more[1] = stranger
	_, err := s.offer(append(segments, more[1:]...)...)
	parked(t, err)
	if n := len(s.all("DiagnosticReport")); n != 0 {
		t.Errorf("%d reports were written", n)
	}
}

// A result names a visit; it does not take it from another patient.
func TestAVisitOfAnotherPatientParks(t *testing.T) {
	s := newSite(t)
	visit := "PV1|1|I|W1^2^3||||||||||||||||V-77^^^HOSP"
	s.take(append(admitted("A1", "70001", "ROWAN^ALIX"), visit)...)
	segments := results("R1", "ORC|RE||F-9^LAB", "OBR|1||F-9^LAB", "F")
	segments[1] = stranger + "\r" + visit
	_, err := s.offer(segments...)
	parked(t, err)
	s.holds("Encounter", s.all("Encounter")[0].ID, `"subject":{"reference":"Patient/`+s.all("Patient")[0].ID+`"}`)
}

// A filler that gives one number to two orders of one test: each answer goes to
// the order whose placer's number it names, and people are told.
func TestAFillersNumberGivenTwice(t *testing.T) {
	s := newSite(t)
	s.post(patient)
	s.post(order)
	s.post(strings.NewReplacer("order-1", "order-2", "P-200", "P-201").Replace(order))
	answer := func(control, placer string) []string {
		return []string{msh("ORR^O02^ORR_O02", control), "MSA|AA|C1", "ORC|OK|" + placer + "^^2.999.1^ISO|F-9^LAB", "OBR|1|" + placer + "^^2.999.1^ISO|F-9^LAB|2345-7^Glucose^LN"}
	}
	s.take(answer("A1", "P-200")...)
	first := s.read("ServiceRequest", "order-1")
	plan := s.take(answer("A2", "P-201")...)
	if kinds(plan) != "ambiguous" {
		t.Errorf("work list %q", kinds(plan))
	}
	s.holds("ServiceRequest", "order-2", `"value":"F-9"`)
	if s.read("ServiceRequest", "order-1") != first {
		t.Error("the answer to the second order changed the first")
	}
	// The result of the second order.
	s.take(results("R1", "ORC|RE|P-201^^2.999.1^ISO|F-9^LAB", "OBR|1|P-201^^2.999.1^ISO|F-9^LAB", "F")...)
	s.holds("ServiceRequest", "order-1", `"status":"active"`)
	s.holds("ServiceRequest", "order-2", `"status":"completed"`)
	s.holds("DiagnosticReport", s.all("DiagnosticReport")[0].ID, `"ServiceRequest/order-2"`, `!"ServiceRequest/order-1"`)
}

// Orders of messages keep apart in the same way.
func TestAFillersNumberGivenTwiceToOrdersOfMessages(t *testing.T) {
	s := newSite(t)
	s.take(results("R1", "ORC|RE|P-1^CLINIC|F-9^LAB", "OBR|1|P-1^CLINIC|F-9^LAB", "F")...)
	first := s.all("ServiceRequest")[0]
	plan := s.take(results("R2", "ORC|RE|P-2^CLINIC|F-9^LAB", "OBR|1|P-2^CLINIC|F-9^LAB", "F")...)
	if kinds(plan) != "ambiguous" {
		t.Errorf("work list %q", kinds(plan))
	}
	if n := len(s.all("ServiceRequest")); n != 2 {
		t.Errorf("%d orders", n)
	}
	if s.read("ServiceRequest", first.ID) != string(first.Content) {
		t.Error("the first order was changed")
	}
	// The second is found again by its own number.
	s.take(results("R3", "ORC|RE|P-2^CLINIC|F-9^LAB", "OBR|1|P-2^CLINIC|F-9^LAB", "C")...)
	if n := len(s.all("ServiceRequest")); n != 2 {
		t.Errorf("%d orders after a correction", n)
	}
}
