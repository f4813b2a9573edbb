package storetest

import (
	"errors"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// numbers are those of deliveries that are counted with the receiver.
func numbers(y *yard, o Opener) {
	const unit = "numbers/a"
	l := y.take(unit)
	list := make([]message.Delivery, 0, 4)
	for _, key := range []string{"a", "b", "c", "d"} {
		_, made := y.deliver(key, unit)
		list = append(list, made...)
	}
	numbered := func(t *testing.T, l store.Lease, want ...int64) {
		t.Helper()
		for i, n := range want {
			if got, err := l.(store.Numbers).Numbered(t.Context(), list[i].N); err != nil || got != n {
				t.Errorf("delivery %d has number %d, %v, want %d", i, got, err, n)
			}
		}
	}
	give := func(l store.Lease, i int, n int64) error { return l.(store.Numbers).Number(y.Context(), list[i].N, n) }
	y.Run("a delivery that is not being sent gets no number", func(t *testing.T) {
		if err := give(l, 0, 1); !errors.Is(err, store.ErrNotSending) {
			t.Errorf("%v", err)
		}
	})
	for i := range list {
		y.claim(l, list[i])
	}
	y.Run("the last one that had a number has it", func(t *testing.T) {
		for i, n := range []int64{7, 8, 8} {
			must(t, give(l, i, n))
		}
		numbered(t, l, 7, 0, 8, 0)
	})
	y.Run("a receiver that counts anew takes numbers away", func(t *testing.T) {
		must(t, give(l, 3, 7))
		numbered(t, l, 0, 0, 0, 7)
		must(t, give(l, 2, 8))
		must(t, give(l, 2, 0))
		must(t, give(l, 2, 0))
		numbered(t, l, 0, 0, 0, 7)
	})
	y.Run("it outlives what ended in the middle, and goes with the delivery", func(t *testing.T) {
		must(t, give(l, 2, 8))
		s := o.Again(t, y.Store)
		after, err := s.TakeOver(t.Context(), unit, 0)
		must(t, err)
		numbered(t, after, 0, 0, 8, 7)
		for _, i := range []int{2, 3} {
			_, err = after.Claim(t.Context(), list[i].N)
			must(t, err)
		}
		_, err = after.Answer(t.Context(), answerOf(list[3], message.Delivered), 0)
		must(t, err)
		must(t, after.(store.Numbers).Number(t.Context(), list[2].N, 9))
		numbered(t, after, 0, 0, 9, 0)
		if err := give(l, 2, 10); err == nil {
			t.Error("a lease of before gives numbers")
		}
	})
}
