package ehr_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/plexus-health/plexus/channels/ehr"
	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/maps"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers/hl7v2"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/sqlite"
	"github.com/plexus-health/plexus/tables"
	"github.com/plexus-health/plexus/transforms"
	"github.com/plexus-health/plexus/transforms/mapping"
)

// A site is a store and what turns messages into writes of it.
type site struct {
	t       *testing.T
	store   *sqlite.Store
	matcher *ehr.Matcher
	maps    *mapping.Map
	count   int
}

func newSite(t *testing.T) *site {
	t.Helper()
	opened, err := sqlite.Open(t.Context(), sqlite.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	set, wrong := tables.Shipped()
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	m, _, problems := mapping.New(mapping.Options{Maps: maps.FS, Tables: set}, transforms.Step{Use: "v2-to-fhir", Zone: time.UTC})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &site{t: t, store: opened, matcher: &ehr.Matcher{Records: opened}, maps: m}
}

// post writes a resource as the API does: its numbers with a system are its
// identities.
func (s *site) post(text string) {
	s.t.Helper()
	tree, err := fhir.Parse([]byte(text))
	if err != nil {
		s.t.Fatal(err)
	}
	typ, id := tree.Get("resourceType").Text, tree.Get("id").Text
	w := store.Write{Type: typ, ID: id, Content: []byte(text), Hash: sha256.Sum256([]byte(text)), Index: search.Index(typ, tree)}
	if list := tree.Get("identifier"); list != nil {
		for _, i := range list.Items {
			if system := i.Get("system"); system != nil && !strings.Contains(string(i.AppendJSON(nil)), `"FILL"`) {
				w.Keys = append(w.Keys, fhir.IdentityKey(typ, system.Text, i.Get("value").Text))
			}
		}
	}
	if current, err := s.store.Read(s.t.Context(), typ, id); err == nil {
		w.Expect = current.Version
	}
	if _, err := s.store.Write(s.t.Context(), []store.Write{w}, store.Author{Actor: "test"}); err != nil {
		s.t.Fatal(err)
	}
}

// take puts a message through the maps and the matcher into the store.
func (s *site) take(segments ...string) *ehr.Plan {
	s.t.Helper()
	plan, err := s.offer(segments...)
	if err != nil {
		s.t.Fatal(err)
	}
	return plan
}

// offer does the same with a message that may have to be parked.
func (s *site) offer(segments ...string) (*ehr.Plan, error) {
	s.t.Helper()
	s.count++
	doc, err := hl7v2.Parse([]byte(strings.Join(segments, "\r") + "\r"))
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := s.maps.Apply(context.Background(), &message.Message{Doc: doc})
	if err != nil {
		return nil, err
	}
	drafter, _ := out[0].Doc.(transforms.Drafter)
	plan, err := s.matcher.Prepare(s.t.Context(), drafter.Drafts(), ehr.Origin{
		Message: "0190aaaa-0000-7000-8000-00000000000" + string(rune('0'+s.count)), Type: doc.Header().Type, Received: time.Unix(1_800_000_000, 0),
	})
	if err != nil {
		return nil, err
	}
	if len(plan.Writes) > 0 {
		if _, err := s.store.Write(s.t.Context(), plan.Writes, store.Author{Actor: "channel:test"}); err != nil {
			s.t.Fatal(err)
		}
	}
	return plan, nil
}

// read gives a resource as text.
func (s *site) read(typ, id string) string {
	s.t.Helper()
	r, err := s.store.Read(s.t.Context(), typ, id)
	if err != nil {
		s.t.Fatalf("%s/%s: %v", typ, id, err)
	}
	return string(r.Content)
}

// all lists the resources of a type.
func (s *site) all(typ string) []store.Resource {
	s.t.Helper()
	page, err := s.store.Search(s.t.Context(), store.Query{Type: typ, Limit: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	return page.Resources
}

// holds checks that a resource says things, and does not say others (!).
func (s *site) holds(typ, id string, wants ...string) {
	s.t.Helper()
	got := s.read(typ, id)
	for _, want := range wants {
		lacks, not := strings.CutPrefix(want, "!")
		if strings.Contains(got, lacks) == not {
			s.t.Errorf("%s/%s: want %s in\n%s", typ, id, want, got)
		}
	}
}

func kinds(plan *ehr.Plan) string {
	var out []string
	for _, w := range plan.Worklist {
		out = append(out, w.Kind)
	}
	return strings.Join(out, " ")
}

const (
	patient = `{"resourceType":"Patient","id":"pat-1","identifier":[{"system":"urn:oid:2.999.7.2","value":"70001"}],"name":[{"family":"Rowan"}]}`
	order   = `{"resourceType":"ServiceRequest","id":"order-1","identifier":[{"type":{"coding":[{"code":"PLAC"}]},"system":"urn:oid:2.999.1","value":"P-200"}],` +
		`"status":"active","intent":"order","priority":"stat","code":{"coding":[{"system":"http://loinc.org","code":"2345-7"}],"text":"as written"},"subject":{"reference":"Patient/pat-1"},"authoredOn":"2026-01-05"}`
	pid  = "PID|1||70001^^^&2.999.7.2&ISO^MR||ROWAN^ALIX||19790412|F"
	head = `MSH|^~\&|LABSYS|NORTH LAB|EHR|CLINIC|20260105100000+0100||`
)

func msh(kind, control string) string { return head + kind + "|" + control + "|P|2.5.1" }

func TestAnAnswerFollowsTheOrderThatWasWrittenHere(t *testing.T) {
	for name, c := range map[string]struct {
		had      string // status of the order
		segments []string
		want     []string
		worklist string
	}{
		"accepted by ORR": {
			"active",
			[]string{msh("ORR^O02^ORR_O02", "A1"), "MSA|AA|C1", "PID|1||OTHER^^^LAB", "ORC|OK|P-200^^2.999.1^ISO|F-9^LAB||IP"},
			[]string{`"status":"active"`, `"value":"F-9"`, `"code":"FILL"`, `"text":"as written"`, `"priority":"stat"`, `"Patient/pat-1"`},
			"",
		},
		"accepted by ORL, under its LOINC code": {
			"active",
			[]string{msh("ORL^O22^ORL_O22", "A2"), "MSA|AA|C1", "PID|1||OTHER^^^LAB", "ORC|OK|P-200^^2.999.1^ISO|F-9^^2.999.5^ISO", "OBR|1|P-200^^2.999.1^ISO|F-9^^2.999.5^ISO|2345-7^Glucose^LN"},
			[]string{`"status":"active"`, `"system":"urn:oid:2.999.5"`, `"text":"as written"`},
			"",
		},
		"by specimen, ORL^O34": {
			"active",
			[]string{msh("ORL^O34^ORL_O34", "A3"), "MSA|AA|C1", "PID|1||OTHER^^^LAB", "SPM|1||| BLD", "ORC|OK|P-200^^2.999.1^ISO|F-9^LAB"},
			[]string{`"value":"F-9"`},
			"",
		},
		"completed": {"active", []string{msh("ORR^O02^ORR_O02", "A4"), "MSA|AA|C1", "ORC|SC|P-200^^2.999.1^ISO|F-9^LAB||CM"}, []string{`"status":"completed"`}, ""},
		"cancelled by the laboratory": {
			"active",
			[]string{msh("ORM^O01^ORM_O01", "A5"), pid, "ORC|OC|P-200^^2.999.1^ISO|F-9^LAB", "OBR|1|P-200^^2.999.1^ISO|F-9^LAB|2345-7^Glucose^LN"},
			[]string{`"status":"revoked"`, `"text":"as written"`},
			"",
		},
		"cancelled as asked": {"revoked", []string{msh("ORR^O02^ORR_O02", "A6"), "MSA|AA|C1", "ORC|CR|P-200^^2.999.1^ISO"}, []string{`"status":"revoked"`}, ""},
		"unable to accept": {
			"active",
			[]string{msh("ORR^O02^ORR_O02", "A7"), "MSA|AA|C1", "ORC|UA|P-200^^2.999.1^ISO||||||||||||||X^no such test"},
			[]string{`"status":"revoked"`, `"code":"UA"`, `"no such test"`},
			"refused",
		},
		"unable to cancel": {
			"revoked",
			[]string{msh("ORR^O02^ORR_O02", "A8"), "MSA|AA|C1", "ORC|UC|P-200^^2.999.1^ISO|F-9^LAB||IP"},
			[]string{`"status":"revoked"`, `"code":"UC"`},
			"refused",
		},
		"data errors": {"active", []string{msh("ORR^O02^ORR_O02", "A9"), "MSA|AE|C1", "ORC|DE|P-200^^2.999.1^ISO"}, []string{`"status":"active"`, `"code":"DE"`}, "refused"},
		"accepted late, after it was cancelled here": {
			"revoked",
			[]string{msh("ORR^O02^ORR_O02", "B1"), "MSA|AA|C1", "ORC|OK|P-200^^2.999.1^ISO|F-9^LAB"},
			[]string{`"status":"revoked"`, `"value":"F-9"`},
			"",
		},
		"carried out all the same, after it was cancelled here": {
			"revoked",
			results("B4", "ORC|RE|P-200^^2.999.1^ISO|F-9^LAB", "OBR|1|P-200^^2.999.1^ISO|F-9^LAB", "F"),
			[]string{`"status":"completed"`, `"value":"F-9"`, `"text":"as written"`},
			"performed",
		},
		"a first result of what was cancelled here": {
			"revoked",
			results("B5", "ORC|RE|P-200^^2.999.1^ISO|F-9^LAB||IP", "OBR|1|P-200^^2.999.1^ISO|F-9^LAB", "P"),
			[]string{`"status":"revoked"`, `"value":"F-9"`},
			"",
		},
		"accepted while on hold": {"on-hold", []string{msh("ORR^O02^ORR_O02", "B2"), "MSA|AA|C1", "ORC|OK|P-200^^2.999.1^ISO|F-9^LAB"}, []string{`"status":"on-hold"`}, ""},
		"the number alone":       {"active", []string{msh("ORR^O02^ORR_O02", "B3"), "MSA|AA|C1", "ORC|OK|P-200|F-9"}, []string{`"value":"F-9"`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.post(patient)
			s.post(strings.Replace(order, `"status":"active"`, `"status":"`+c.had+`"`, 1))
			plan := s.take(c.segments...)
			s.holds("ServiceRequest", "order-1", c.want...)
			if got := kinds(plan); got != c.worklist {
				t.Errorf("work list %q, want %q", got, c.worklist)
			}
			if n := len(s.all("ServiceRequest")); n != 1 {
				t.Errorf("%d orders", n)
			}
			if n := len(s.all("Patient")); n != 1 {
				t.Errorf("%d patients", n)
			}
		})
	}
}

func TestAnAnswerToNoOrderMakesNone(t *testing.T) {
	s := newSite(t)
	plan := s.take(msh("ORR^O02^ORR_O02", "A1"), "MSA|AA|C1", "ORC|OK|P-404^^2.999.1^ISO|F-9^LAB")
	if kinds(plan) != "unmatched" || len(s.all("ServiceRequest")) != 0 {
		t.Errorf("%d orders, work list %q", len(s.all("ServiceRequest")), kinds(plan))
	}
	if plan := s.take(msh("ACK^O01^ACK", "A2"), "MSA|AA|C1"); len(plan.Writes) != 0 || kinds(plan) != "" {
		t.Errorf("an acknowledgement: %d writes, work list %q", len(plan.Writes), kinds(plan))
	}
}

// results is an ORU that answers an order.
func results(control, orc, obr, status string) []string {
	return []string{
		msh("ORU^R01^ORU_R01", control), pid, orc, obr + "|2345-7^Glucose^LN|||20260105093000+0100|||||||||||||||20260105110000+0100|||" + status,
		"OBX|1|NM|2345-7^Glucose^LN||5.5|mmol/L|||||" + status,
	}
}

func TestResultsFindTheOrderThatWasWrittenHere(t *testing.T) {
	for name, c := range map[string]struct{ order, orc, obr string }{
		"by placer number":        {order, "ORC|RE|P-200^^2.999.1^ISO|F-9^LAB", "OBR|1|P-200^^2.999.1^ISO|F-9^LAB"},
		"by placer number alone":  {order, "ORC|RE|P-200|F-9", "OBR|1|P-200|F-9"},
		"by the id that was sent": {strings.Replace(order, "PLAC", "ACSN", 1), "ORC|RE|order-1|F-9^LAB", "OBR|1|order-1|F-9^LAB"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.post(patient)
			s.post(c.order)
			s.take(results("R1", c.orc, c.obr, "P")...)
			s.take(results("R2", c.orc, c.obr, "F")...)
			orders, reports := s.all("ServiceRequest"), s.all("DiagnosticReport")
			if len(orders) != 1 || len(reports) != 1 || len(s.all("Patient")) != 1 {
				t.Fatalf("%d orders, %d reports, %d patients", len(orders), len(reports), len(s.all("Patient")))
			}
			s.holds("DiagnosticReport", reports[0].ID, `"basedOn":[{"reference":"ServiceRequest/order-1"}]`, `"status":"final"`)
			s.holds("ServiceRequest", "order-1", `"status":"completed"`, `"value":"F-9"`, `"text":"as written"`, `"priority":"stat"`, `"2026-01-05"`)
		})
	}
}

func TestResultsFindTheOrderByTheNumberOfAnAnswer(t *testing.T) {
	s := newSite(t)
	s.post(patient)
	s.post(order)
	s.take(msh("ORR^O02^ORR_O02", "A1"), "MSA|AA|C1", "ORC|OK|P-200^^2.999.1^ISO|F-9^^2.999.5^ISO")
	s.take(results("R1", "ORC|RE||F-9^^2.999.5^ISO", "OBR|1||F-9^^2.999.5^ISO", "F")...)
	if n := len(s.all("ServiceRequest")); n != 1 {
		t.Errorf("%d orders", n)
	}
	s.holds("DiagnosticReport", s.all("DiagnosticReport")[0].ID, `"basedOn":[{"reference":"ServiceRequest/order-1"}]`)
}

// A laboratory may give one number to all tests of a specimen: each answer and
// result goes to the order of its code.
func TestOneFillerNumberOfTwoOrders(t *testing.T) {
	s := newSite(t)
	s.post(patient)
	s.post(order)
	s.post(strings.NewReplacer("order-1", "order-2", "P-200", "P-201", "2345-7", "718-7").Replace(order))
	s.take(msh("ORR^O02^ORR_O02", "A1"), "MSA|AA|C1", "ORC|OK|P-200^^2.999.1^ISO|F-9^^2.999.5^ISO", "ORC|OK|P-201^^2.999.1^ISO|F-9^^2.999.5^ISO")
	s.holds("ServiceRequest", "order-1", `"value":"F-9"`)
	s.holds("ServiceRequest", "order-2", `"value":"F-9"`)
	second := results("R1", "ORC|RE||F-9^^2.999.5^ISO", "OBR|1||F-9^^2.999.5^ISO", "F")
	second[3] = strings.Replace(second[3], "2345-7^Glucose", "718-7^Hemoglobin", 1)
	s.take(second...)
	s.holds("ServiceRequest", "order-1", `"status":"active"`)
	s.holds("ServiceRequest", "order-2", `"status":"completed"`)
	if n := len(s.all("ServiceRequest")); n != 2 {
		t.Errorf("%d orders", n)
	}
	s.post(s.read("ServiceRequest", "order-2")) // the API may write it again
}

// Two results of one message under one placer number are one order.
func TestTwoResultsOfOneOrder(t *testing.T) {
	s := newSite(t)
	s.post(patient)
	s.post(order)
	segments := results("R1", "ORC|RE|P-200^^2.999.1^ISO|F-1^LAB", "OBR|1|P-200^^2.999.1^ISO|F-1^LAB", "F")
	more := results("R1", "ORC|RE|P-200^^2.999.1^ISO|F-2^LAB", "OBR|2|P-200^^2.999.1^ISO|F-2^LAB", "F")
	more[3] = strings.Replace(more[3], "2345-7^Glucose", "9999-9^Reflex", 1)
	s.take(append(segments, more[2:]...)...)
	s.holds("ServiceRequest", "order-1", `"value":"F-1"`, `"value":"F-2"`, `"text":"as written"`, "!9999-9")
	for _, r := range s.all("DiagnosticReport") {
		s.holds("DiagnosticReport", r.ID, `"ServiceRequest/order-1"`)
	}
	if n, orders := len(s.all("DiagnosticReport")), len(s.all("ServiceRequest")); n != 2 || orders != 1 {
		t.Errorf("%d reports, %d orders", n, orders)
	}
}

func TestNumbersOfOthersAreNotTakenForOurs(t *testing.T) {
	other := "PID|1||70002^^^&2.999.7.2&ISO^MR||OTHER^BO||19800101|M"
	for name, c := range map[string]struct {
		pid, orc, obr, worklist string
	}{
		"the number of another patient's order":      {other, "ORC|RE|P-200^^2.999.1^ISO|F-9^LAB", "OBR|1|P-200^^2.999.1^ISO|F-9^LAB", "ambiguous"},
		"the bare number of another patient's order": {other, "ORC|RE|P-200|F-9", "OBR|1|P-200|F-9", ""},
		"the number of another assigner":             {pid, "ORC|RE|P-200^^2.999.2^ISO|F-9^LAB", "OBR|1|P-200^^2.999.2^ISO|F-9^LAB", ""},
		"the id of an order of another patient":      {other, "ORC|RE|order-1|F-9", "OBR|1|order-1|F-9", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.post(patient)
			s.post(order)
			segments := results("R1", c.orc, c.obr, "F")
			segments[1] = c.pid
			plan := s.take(segments...)
			s.holds("ServiceRequest", "order-1", `"status":"active"`, "!F-9")
			if n := len(s.all("ServiceRequest")); n != 2 {
				t.Errorf("%d orders, want theirs beside ours", n)
			}
			if got := kinds(plan); got != c.worklist {
				t.Errorf("work list %q, want %q", got, c.worklist)
			}
		})
	}
	t.Run("a bare number of two orders", func(t *testing.T) {
		s := newSite(t)
		s.post(patient)
		for _, id := range []string{"order-1", "order-2"} {
			s.post(strings.Replace(strings.Replace(order, "order-1", id, 1), `"system":"urn:oid:2.999.1","value"`, `"value"`, 1))
		}
		plan := s.take(msh("ORR^O02^ORR_O02", "A1"), "MSA|AA|C1", "ORC|OK|P-200|F-9")
		if kinds(plan) != "ambiguous unmatched" {
			t.Errorf("work list %q", kinds(plan))
		}
		for _, id := range []string{"order-1", "order-2"} {
			s.holds("ServiceRequest", id, "!F-9")
		}
	})
}

// What messages alone make goes by its keys as before: a second sender's bare
// number is another order.
func TestOrdersOfMessagesKeepTheirOwnNumbers(t *testing.T) {
	s := newSite(t)
	s.take(results("R1", "ORC|RE|P-1|F-1", "OBR|1|P-1|F-1", "F")...)
	second := results("R2", "ORC|RE|P-1|F-2", "OBR|1|P-1|F-2", "F")
	second[0] = strings.Replace(second[0], "NORTH LAB", "SOUTH LAB", 1)
	s.take(second...)
	if n := len(s.all("ServiceRequest")); n != 2 {
		t.Errorf("%d orders", n)
	}
}

func TestAnOrderMessageIsFollowed(t *testing.T) {
	s := newSite(t)
	send := func(control, orc string) {
		s.take(msh("ORM^O01^ORM_O01", control), pid, "ORC|"+orc, "OBR|1|P-7^OE||2345-7^Glucose^LN")
	}
	for i, step := range []struct{ orc, status string }{
		{"NW|P-7^OE", "active"}, {"HD|P-7^OE", "on-hold"}, {"RL|P-7^OE", "active"}, {"XO|P-7^OE", "active"}, {"SC|P-7^OE|||CM", "completed"}, {"CA|P-7^OE", "revoked"}, {"RE|P-7^OE|||CM", "completed"},
	} {
		send("O"+string(rune('1'+i)), step.orc)
		orders := s.all("ServiceRequest")
		if len(orders) != 1 {
			t.Fatalf("%s: %d orders", step.orc, len(orders))
		}
		s.holds("ServiceRequest", orders[0].ID, `"status":"`+step.status+`"`)
	}
}

func merge(control, survivor, former string) []string {
	return []string{
		msh("ADT^A40^ADT_A39", control), "EVN|A40|20260105100000+0100", "PID|1||" + survivor + "^^^&2.999.7.2&ISO^MR||ROWAN^ALIX||19790412|F", "MRG|" + former + "^^^&2.999.7.2&ISO^MR",
	}
}

func admitted(control, number, name string) []string {
	return []string{msh("ADT^A08^ADT_A01", control), "EVN|A08|20260105100000+0100", "PID|1||" + number + "^^^&2.999.7.2&ISO^MR||" + name + "||19790412|F"}
}

func TestAMergeLinksBothPatientsAndLateEventsFindTheSurvivor(t *testing.T) {
	s := newSite(t)
	s.post(patient)
	s.post(strings.NewReplacer("pat-1", "pat-2", "70001", "70002").Replace(patient))
	s.take(merge("M1", "70001", "70002")...)
	s.holds("Patient", "pat-2", `"active":false`, `"link":[{"other":{"reference":"Patient/pat-1"},"type":"replaced-by"}]`, `"70002"`, `"Rowan"`)
	s.holds("Patient", "pat-1", `"link":[{"other":{"reference":"Patient/pat-2"},"type":"replaces"}]`, `!"active":false`)
	// Again: nothing new, no second link.
	s.take(merge("M2", "70001", "70002")...)
	s.holds("Patient", "pat-1", `!"replaces"},{`)
	s.take(admitted("M3", "70002", "LATE^EVENT")...)
	if n := len(s.all("Patient")); n != 2 {
		t.Fatalf("%d patients", n)
	}
	s.holds("Patient", "pat-1", `"LATE"`)
	s.holds("Patient", "pat-2", `!"LATE"`)
	// The survivor is replaced in turn: the first number finds the last.
	s.post(strings.NewReplacer("pat-1", "pat-3", "70001", "70003").Replace(patient))
	s.take(merge("M4", "70003", "70001")...)
	s.take(admitted("M5", "70002", "LATER^EVENT")...)
	s.holds("Patient", "pat-3", `"LATER"`, `"Patient/pat-1"`)
	s.holds("Patient", "pat-1", `!"LATER"`)
	// Results under the old number go to the survivor, and find his order.
	s.post(order)
	late := results("M6", "ORC|RE|P-200^^2.999.1^ISO|F-9^LAB", "OBR|1|P-200^^2.999.1^ISO|F-9^LAB", "F")
	late[1] = strings.Replace(late[1], "70001", "70002", 1)
	s.take(late...)
	s.holds("ServiceRequest", "order-1", `"status":"completed"`)
	s.holds("DiagnosticReport", s.all("DiagnosticReport")[0].ID, `"subject":{"reference":"Patient/pat-3"}`, `"ServiceRequest/order-1"`)
}

func TestAMergeOfAPatientWhoIsNotHereLendsHisNumbers(t *testing.T) {
	s := newSite(t)
	s.post(patient)
	s.take(merge("M1", "70001", "70009")...)
	if n := len(s.all("Patient")); n != 1 {
		t.Fatalf("%d patients", n)
	}
	s.holds("Patient", "pat-1", `!"link"`, `!"active":false`)
	s.take(admitted("M2", "70009", "LATE^EVENT")...)
	if n := len(s.all("Patient")); n != 1 {
		t.Fatalf("%d patients after a late event", n)
	}
	s.holds("Patient", "pat-1", `"LATE"`)
}

func TestAMoveIsNoMerge(t *testing.T) {
	s := newSite(t)
	s.post(patient)
	s.post(strings.NewReplacer("pat-1", "pat-2", "70001", "70002").Replace(patient))
	segments := merge("M1", "70001", "70002")
	segments[0] = msh("ADT^A43^ADT_A43", "M1")
	s.take(segments...)
	s.holds("Patient", "pat-2", `!"link"`, `!"active":false`)
}
