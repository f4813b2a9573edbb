package ehr_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/channels/ehr"
	"github.com/plexus-health/plexus/message"
	fhirmessage "github.com/plexus-health/plexus/parsers/fhir"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/transforms"
)

// bring puts a FHIR message of a channel into the store.
func (s *site) bring(channel, text string) (*ehr.Plan, error) {
	s.t.Helper()
	s.count++
	doc, err := new(fhirmessage.Parser).Parse([]byte(text))
	if err != nil {
		s.t.Fatal(err)
	}
	drafter, ok := doc.(transforms.ScopedDrafter)
	if !ok {
		s.t.Fatal("FHIR documents are no drafts")
	}
	drafts, err := drafter.DraftsOf(channel)
	if err != nil {
		return nil, err
	}
	plan, err := s.matcher.Prepare(s.t.Context(), drafts, ehr.Origin{
		Message: "0190bbbb-0000-7000-8000-00000000000" + string(rune('0'+s.count)), Type: doc.Header().Type, Received: time.Unix(1_800_000_000, 0),
	})
	if err != nil {
		return nil, err
	}
	if len(plan.Writes) > 0 {
		if _, err := s.store.Write(s.t.Context(), plan.Writes, store.Author{Actor: "channel:" + channel}); err != nil {
			s.t.Fatal(err)
		}
	}
	return plan, nil
}

func (s *site) brought(channel, text string) {
	s.t.Helper()
	if _, err := s.bring(channel, text); err != nil {
		s.t.Fatal(err)
	}
}

// one is the only resource of a type.
func (s *site) one(typ string) store.Resource {
	s.t.Helper()
	list := s.all(typ)
	if len(list) != 1 {
		s.t.Fatalf("%d resources of type %s, want 1", len(list), typ)
	}
	return list[0]
}

const bundleOfTwo = `{"resourceType":"Bundle","type":"transaction","entry":[
{"fullUrl":"urn:uuid:6a1b6c1e-1111-4222-8333-444455556666","resource":{"resourceType":"Patient","identifier":[{"system":"urn:oid:2.999.7.2","value":"70001"}],"name":[{"family":"Rowan"}]},"request":{"method":"POST","url":"Patient"}},
{"fullUrl":"urn:uuid:6a1b6c1e-1111-4222-8333-444455556667","resource":{"resourceType":"Observation","id":"ob-9","meta":{"versionId":"4","lastUpdated":"2026-01-05T10:00:00Z","profile":["http://example.org/p"]},"status":"final","code":{"text":"Glucose"},"subject":{"reference":"urn:uuid:6a1b6c1e-1111-4222-8333-444455556666"},
 "performer":[{"reference":"Practitioner/77"}],"hasMember":[{"reference":"#own"}],"valueQuantity":{"value":5.10}},"request":{"method":"PUT","url":"Observation/ob-9"}}]}`

// TestAFHIRMessageIsStored: resources go in whole, references among them lead
// to what they became, and the same message again writes nothing.
func TestAFHIRMessageIsStored(t *testing.T) {
	s := newSite(t)
	s.brought("portal", bundleOfTwo)
	patient, observation := s.one("Patient"), s.one("Observation")
	s.holds("Observation", observation.ID, `"subject":{"reference":"Patient/`+patient.ID+`"}`, `"value":5.10`, `"profile":["http://example.org/p"]`, `"#own"`, `!"versionId"`, "!Practitioner/77", "!urn:uuid:6a1b")
	if observation.ID == "ob-9" {
		t.Error("the sender's id was taken for an id of this store")
	}
	plan, err := s.bring("portal", bundleOfTwo)
	if err != nil || len(plan.Writes) != 0 {
		t.Errorf("the same again: %d writes, %v", len(plan.Writes), err)
	}
	// What was only referred to comes later, and is what the reference leads to.
	s.brought("portal", `{"resourceType":"Practitioner","id":"77","identifier":[{"system":"http://hl7.org/fhir/sid/us-npi","value":"1234567893"}],"name":[{"family":"Reed"}]}`)
	s.holds("Observation", observation.ID, `"performer":[{"reference":"Practitioner/`+s.one("Practitioner").ID+`"}]`)
}

// TestAnUpdateFindsItsResource: by the sender's id; an older state is kept out,
// and the same id of another channel is another resource.
func TestAnUpdateFindsItsResource(t *testing.T) {
	s := newSite(t)
	state := func(status, at string) string {
		return `{"resourceType":"Observation","id":"ob-9","meta":{"lastUpdated":"` + at + `"},"status":"` + status + `","code":{"text":"Glucose"}}`
	}
	s.brought("portal", state("preliminary", "2026-01-05T10:00:00Z"))
	s.brought("portal", state("final", "2026-01-05T11:00:00+00:00"))
	s.holds("Observation", s.one("Observation").ID, `"status":"final"`)
	s.brought("portal", state("preliminary", "2026-01-05T10:30:00Z"))
	s.holds("Observation", s.one("Observation").ID, `"status":"final"`)
	s.brought("partner", state("registered", "2026-01-06T10:00:00Z"))
	if n := len(s.all("Observation")); n != 2 {
		t.Errorf("%d observations, want that of each channel", n)
	}
}

// TestAFHIRMessageFindsTheRecordsOfOthers: a patient by a number that a message
// of HL7 v2 brought, and by a reference that is a search.
func TestAFHIRMessageFindsTheRecordsOfOthers(t *testing.T) {
	s := newSite(t)
	s.take(msh("ADT^A08^ADT_A01", "A1"), "EVN|A08|20260105", pid)
	known := s.one("Patient")
	s.brought("portal", bundleOfTwo)
	if got := s.one("Patient"); got.ID != known.ID {
		t.Errorf("the patient is %s, want %s", got.ID, known.ID)
	}
	s.brought("portal", `{"resourceType":"Condition","id":"c","code":{"text":"x"},"subject":{"reference":"Patient?identifier=urn:oid:2.999.7.2|70001"}}`)
	s.holds("Condition", s.one("Condition").ID, `"reference":"Patient/`+known.ID+`"`)
}

// TestSharedIdentifiersJoinNothing: two results with the number of their sample
// are two results.
func TestSharedIdentifiersJoinNothing(t *testing.T) {
	s := newSite(t)
	result := func(code string) string {
		return `{"resource":{"resourceType":"Observation","identifier":[{"system":"urn:s","value":"1"}],"status":"final","code":{"text":"` + code + `"}}}`
	}
	s.brought("lab", `{"resourceType":"Bundle","type":"collection","entry":[`+result("a")+","+result("b")+`]}`)
	if n := len(s.all("Observation")); n != 2 {
		t.Errorf("%d observations, want 2", n)
	}
}

// TestWhatCannotBeStoredParks with a reason that says where and no value.
func TestWhatCannotBeStoredParks(t *testing.T) {
	s := newSite(t)
	for reason, text := range map[string]string{
		"Bundle.entry[0]: what is neither":    `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Patient/CANARY"}}]}`,
		"a Bundle of this type is an answer":  `{"resourceType":"Bundle","type":"searchset"}`,
		"Bundle.entry[0] has no resource":     `{"resourceType":"Bundle","type":"batch","entry":[{"fullUrl":"urn:uuid:CANARY"}]}`,
		"Bundle.entry[0] is a Bundle":         `{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Bundle","type":"batch"}}]}`,
		"a reference by a search is taken":    `{"resourceType":"Condition","subject":{"reference":"Patient?name=CANARY"}}`,
		"by an identifier that nobody has":    `{"resourceType":"Condition","subject":{"reference":"Patient?identifier=urn:x|CANARY"}}`,
		"is that of a record of another pati": `{"resourceType":"Condition","id":"mine","code":{"text":"x"},"subject":{"reference":"Patient/CANARY"}}`,
	} {
		if strings.HasPrefix(reason, "is that") {
			s.brought("portal", strings.ReplaceAll(text, "Patient/CANARY", "Patient/another"))
		}
		_, err := s.bring("portal", text)
		f, ok := errors.AsType[*message.Failure](err)
		if !ok || f.Kind != message.Malformed || !strings.Contains(f.Error(), reason) || strings.Contains(f.Error(), "CANARY") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
