package channels

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// checking is a channel that sends orders of the store, unless a check holds them.
func checking(on string) string {
	return `  - name: orders
    source: { ehr: { on: ServiceRequest, by: api } }
    parse: fhir
    check: [ { duplicate-order: { within: 7d, on: ` + on + ` } } ]
    routes: [ { name: out, order: none, to: { hand: {} } } ]
`
}

// request writes an order through the API's way in.
func (h *hall) request(id, patient, code, authored, status string) {
	h.t.Helper()
	content := fmt.Sprintf(`{"resourceType":"ServiceRequest","id":"%s","status":"%s","intent":"order","authoredOn":"%s","subject":{"reference":"Patient/%s"},"code":{"coding":[{"system":"http://loinc.org","code":"%s"}]}}`, id, status, authored, patient, code)
	tree, err := fhir.Parse([]byte(content))
	must(h.t, err)
	current, err := h.store.Read(context.Background(), "ServiceRequest", id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		h.t.Fatal(err)
	}
	w := store.Write{Expect: current.Version, Hash: sha256.Sum256([]byte(content)), Type: "ServiceRequest", ID: id, Content: []byte(content), Index: search.Index("ServiceRequest", tree)}
	if _, err := h.store.Write(context.Background(), []store.Write{w}, store.Author{Actor: "test"}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) messages(state message.State) []*message.Message {
	h.t.Helper()
	list, err := h.store.List(h.t.Context(), store.Filter{State: state})
	must(h.t, err)
	return list
}

func TestADuplicateOrderIsHeldUntilItIsReleased(t *testing.T) {
	h := newHall(t)
	h.start(checking("hold"))
	h.request("first", "p1", "2345-7", "2026-03-01T10:00:00Z", "active")
	h.drained("orders/out", 1)
	h.request("again", "p1", "2345-7", "2026-03-03T10:00:00Z", "active")
	h.eventually("the second is held", func() bool { return len(h.messages(message.Parked)) == 1 })
	parked := h.messages(message.Parked)[0]
	if want := "held: check duplicate-order: the same is ordered for this patient by ServiceRequest/first, not 7d apart"; parked.Reason != want {
		t.Errorf("held because %q, want %q", parked.Reason, want)
	}
	for _, other := range [][4]string{
		{"other-patient", "p2", "2345-7", "2026-03-03T10:00:00Z"}, {"other-code", "p1", "718-7", "2026-03-03T10:00:00Z"}, {"late", "p1", "2345-7", "2026-03-12T10:00:00Z"},
	} {
		h.request(other[0], other[1], other[2], other[3], "active")
	}
	h.drained("orders/out", 4)
	h.request("first", "p1", "2345-7", "2026-03-01T10:00:01Z", "active") // a change of the first, which was there before
	h.drained("orders/out", 5)

	must(t, h.store.Operate(t.Context(), store.Order{Action: store.ActReprocess, Message: parked.ID, Who: "t.reed", Why: "a test"}))
	h.line.Poke("orders")
	h.eventually("it is held again", func() bool { list := h.messages(message.Parked); return len(list) == 1 && list[0].Run == 1 })
	must(t, h.store.Operate(t.Context(), store.Order{Action: store.ActRelease, Message: parked.ID, Who: "d.okafor", Why: "the sample was haemolysed"}))
	h.line.Poke("orders")
	h.drained("orders/out", 6)
	events, err := h.store.Trace(t.Context(), parked.Seq)
	must(t, err)
	text := ""
	for _, e := range events {
		text += e.Step + ": " + e.Text + " (" + e.Who + ")\n"
	}
	if !strings.Contains(text, "released: the sample was haemolysed (d.okafor)") || !strings.Contains(text, "released by d.okafor") {
		t.Errorf("the trace says\n%s", text)
	}
}

func TestADuplicateOrderIsBlockedOrShown(t *testing.T) {
	for on, want := range map[string]struct {
		state message.State
		sent  int64
	}{"block": {message.Parked, 1}, "warn": {message.Done, 2}} {
		t.Run(on, func(t *testing.T) {
			h := newHall(t)
			h.start(checking(on))
			h.request("first", "p1", "2345-7", "2026-03-01", "completed")
			h.drained("orders/out", 1)
			h.request("again", "p1", "2345-7", "2026-03-03", "active")
			h.eventually("the second has ended", func() bool {
				list, err := h.store.List(t.Context(), store.Filter{})
				return err == nil && len(list) == 2 && list[0].State == want.state
			})
			items, err := h.store.Worklist(t.Context(), 10)
			if err != nil || len(items) != 1 || items[0].Kind != "check" || items[0].Where != "duplicate-order" {
				t.Errorf("work list %+v %v", items, err)
			}
			if on == "block" {
				must(t, h.store.Operate(t.Context(), store.Order{Action: store.ActRelease, Message: h.messages(message.Parked)[0].ID, Who: "t.reed", Why: "a test"}))
				h.line.Poke("orders")
				h.eventually("nobody releases what is blocked", func() bool {
					list := h.messages(message.Parked)
					return len(list) == 1 && list[0].Run == 1 && strings.HasPrefix(list[0].Reason, "blocked: ")
				})
			}
			h.drained("orders/out", want.sent)
		})
	}
}

func TestWhatCannotBeCheckedIsHeld(t *testing.T) {
	h := newHall(t)
	h.start(checking("hold"))
	h.request("none", "", "2345-7", "2026-03-01", "active")
	h.eventually("it is held", func() bool {
		list := h.messages(message.Parked)
		return len(list) == 1 && strings.Contains(list[0].Reason, "not checked")
	})
	h.request("gone", "p1", "2345-7", "2026-03-01", "revoked")
	h.request("first", "p1", "2345-7", "2026-03-01", "active")
	h.drained("orders/out", 2)
}

// TestAFHIRMessageGoesIntoTheStore as it is, by `to: ehr` without a map; what is
// no resource to store parks.
func TestAFHIRMessageGoesIntoTheStore(t *testing.T) {
	h := newHall(t)
	h.start("  - { name: in, source: { hand: {} }, parse: fhir, ack: processed, routes: [ { to: { ehr: {} } } ] }\n")
	if reply := h.give(`{"resourceType":"Patient","id":"p","name":[{"family":"Test"}]}`); reply.Answer.Code != message.Accepted {
		t.Fatalf("answered %+v", reply.Answer)
	}
	page, err := h.store.Search(t.Context(), store.Query{Type: "Patient", Limit: 5})
	if err != nil || len(page.Resources) != 1 || !strings.Contains(string(page.Resources[0].Content), `"family":"Test"`) {
		t.Fatalf("the store holds %v, %v", page.Resources, err)
	}
	if reply := h.give(`{"resourceType":"Bundle","type":"searchset"}`); reply.Answer.Code == message.Accepted {
		t.Error("an answer to a search was taken as stored")
	}
}
