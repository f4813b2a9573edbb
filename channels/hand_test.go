package channels

import (
	"context"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A lingeringStore lets whoever asks for records wait, until it may go on or gives up.
type lingeringStore struct {
	store.Store
	on chan struct{}
}

func (s lingeringStore) Identify(ctx context.Context, keys []store.Identity) (map[store.Identity]store.Resource, error) {
	select {
	case <-s.on:
		return s.Store.Identify(ctx, keys)
	case <-ctx.Done():
		return nil, &message.Failure{Kind: message.Unavailable, Err: ctx.Err()}
	}
}

// TestMessageThatTakesLong counts the crash of a message that takes long in
// advance, whatever its size; ends it when the engine is to end; and takes the
// count back, since nothing has crashed.
func TestMessageThatTakesLong(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a message in hand has seconds to end")
	}
	h := newHall(t)
	on := make(chan struct{})
	h.wrap = func(s store.Store) store.Store { return lingeringStore{s, on} }
	const lab = "  - name: lab\n    source: { hand: {} }\n    parse: hl7v2\n    map: v2-to-fhir\n    routes: [ { to: { ehr: {} } } ]\n"
	h.start(lab)
	h.give(order("SLOW", "P1"))
	crashes := func() (state message.State, n int) {
		list, err := h.store.List(t.Context(), store.Filter{Control: "SLOW"})
		must(t, err)
		m, err := h.store.Load(t.Context(), list[0].Seq)
		must(t, err)
		return m.State, m.Crashes
	}
	h.eventually("its crash is counted in advance", func() bool { _, n := crashes(); return n == 1 })
	h.stop() // it waits for nobody who takes longer than a while
	h.start(lab)
	if state, n := crashes(); state != message.Stored || n > 1 {
		t.Errorf("after an end in order it is %s with %d crashes, want stored with none but that of now", state, n)
	}
	h.eventually("it is in hand again, and counted once", func() bool { _, n := crashes(); return n == 1 })
	close(on)
	h.eventually("it is done", func() bool { state, n := crashes(); return state == message.Done && n == 0 })
}
