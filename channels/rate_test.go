package channels

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
)

// A sender above `limits: { rate }` waits for its answer: nothing is refused,
// nothing claimed that was not taken, and other channels notice nothing.
func TestRateOfAChannel(t *testing.T) {
	h := newHall(t)
	h.start(`  - name: slow
    source: { hand: { name: in } }
    parse: hl7v2
    limits: { rate: 3/h }
    routes: [ { to: { drop: { reason: test } } } ]
  - name: quick
    source: { hand: { name: other } }
    parse: hl7v2
    routes: [ { to: { drop: { reason: test } } } ]
`)
	for n := range 3 {
		if reply := h.give(order(fmt.Sprint("R", n), "A")); reply.Answer.Code != message.Accepted {
			t.Fatalf("answered %+v", reply.Answer)
		}
	}
	handler := func(name string) connectors.Handler {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.handlers[name]
	}
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		_, err := handler("in")(ctx, &message.Message{Raw: []byte(order("R3", "A")), Peer: "test"})
		answered <- err
	}()
	h.eventually("the other channel receives", func() bool { return handler("other") != nil })
	for n := range 10 {
		if reply, err := handler("other")(t.Context(), &message.Message{Raw: []byte(order(fmt.Sprint("Q", n), "A")), Peer: "test"}); err != nil || reply.Answer.Code != message.Accepted {
			t.Fatalf("the other channel: %+v %v", reply.Answer, err)
		}
	}
	select {
	case err := <-answered:
		t.Fatalf("the fourth message of an hour was answered: %v", err)
	default:
	}
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("when the sender goes: %v", err)
	}
	counts, err := h.store.Ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]int64{}
	for _, c := range counts {
		taken[c.Channel] += c.N
	}
	if taken["slow"] != 3 || taken["quick"] != 10 {
		t.Errorf("taken %v, want 3 and 10", taken)
	}
}
