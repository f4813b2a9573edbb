package channels

import (
	"fmt"
	"testing"
)

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
