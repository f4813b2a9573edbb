package channels

import (
	"errors"
	"fmt"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// TestAWholeMessageIsNoCopyOfADamagedOne: a frame of which only the end was
// missing holds the bytes of the message that is sent again.
func TestAWholeMessageIsNoCopyOfADamagedOne(t *testing.T) {
	h := newHall(t)
	h.start("  - { name: in, source: { hand: {} }, parse: hl7v2, duplicates: refuse, routes: [ { to: { drop: { reason: test } } } ] }\n")
	for range 2 {
		cut := &message.Message{Raw: []byte(order("C1", "A")), Peer: "test", Damage: &message.Failure{Kind: message.Malformed, Where: "frame", Err: errors.New("cut off")}}
		if reply := h.hand(cut); reply.Answer.Code == message.Accepted {
			t.Fatalf("a damaged message was answered %+v", reply.Answer)
		}
	}
	for range 2 {
		if reply := h.give(order("C1", "A")); reply.Answer.Code != message.Accepted {
			t.Fatalf("the whole message was answered %+v", reply.Answer)
		}
	}
	list, err := h.store.List(t.Context(), store.Filter{Limit: 10})
	if err != nil || len(list) != 2 {
		t.Errorf("the journal holds %d messages, want the damaged one and the whole one, %v", len(list), err)
	}
}

// TestNumbersOfOneSenderHoldUpNoOther: while one sender's message is being
// recorded the next sender's has its turn, and numbers in use are not forgotten.
func TestNumbersOfOneSenderHoldUpNoOther(t *testing.T) {
	var c counted
	first := c.of("A")
	first.last, first.known = 7, true
	for i := range sendersMost + 10 { // would wait for ever where they shared a lock
		c.release(c.of(fmt.Sprint("sender", i)))
	}
	if len(c.senders) > sendersMost {
		t.Errorf("%d senders are kept, want at most %d", len(c.senders), sendersMost)
	}
	c.release(first)
	if again := c.of("A"); again != first {
		t.Error("the numbers of a sender who had a turn were forgotten")
	}
}
