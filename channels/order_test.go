package channels

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A spanned store notes when outcomes are written, by a clock that counts.
type spanned struct {
	store.Store
	clock *atomic.Int64
	busy  *atomic.Int64 // outcomes being written, or not noted yet
	mu    *sync.Mutex
	spans map[int64][]span                 // of each message, by its number
	hook  *atomic.Pointer[func(at string)] // called before an outcome is written and parked messages are read
}

// A span is one outcome: from when it was begun to when it was durable.
type span struct {
	from, to int64
	state    message.State
}

type spannedLease struct {
	store.Lease
	w *spanned
}

// Ordered says that it is the embedded store.
func (w *spanned) Ordered() {}

func (w *spanned) TakeOver(ctx context.Context, unit string, grace time.Duration) (store.Lease, error) {
	l, err := w.Store.TakeOver(ctx, unit, grace)
	if err != nil {
		return nil, err
	}
	return spannedLease{l, w}, nil
}

func (w *spanned) ParkedKeys(ctx context.Context, channel string) ([]*message.Message, error) {
	w.hooked("parked")
	return w.Store.ParkedKeys(ctx, channel)
}

func (w *spanned) hooked(at string) {
	if hook := w.hook.Load(); hook != nil {
		(*hook)(at)
	}
}

func (l spannedLease) Finish(ctx context.Context, o store.Outcome) error {
	l.w.hooked("finish")
	l.w.busy.Add(1)
	defer l.w.busy.Add(-1)
	from := l.w.clock.Add(1)
	if o.Seq%7 == 0 {
		time.Sleep(time.Duration(o.Seq%3) * time.Millisecond) // some take longer
	}
	err := l.Lease.Finish(ctx, o)
	if err == nil {
		l.w.noted(o.Seq, span{from, l.w.clock.Add(1), o.State})
	}
	return err
}

func (w *spanned) noted(seq int64, s span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spans[seq] = append(w.spans[seq], s)
}

// strict is a channel of which some messages park and hold their keys, or not.
func strictLab(parks bool) string {
	text := "  - name: lab\n    source: { hand: {} }\n    parse: hl7v2\n    on_error: stop\n"
	if parks {
		text += "    require: [ { that: 'not (control startsWith \"B\")', else: park } ]\n"
	}
	return text + "    routes: [ { to: { drop: { reason: a test } } } ]\n"
}

// A crowd are senders who send at once, each its own messages one after the other.
type crowd struct {
	h     *hall
	sent  sync.Map // the keys of a message, by its control id
	count int
}

// patients are few, and the numbers of some of them are very long.
var patients = []string{"P0", "P1", "P2", "P3", strings.Repeat("P", 250), strings.Repeat("P", 251)}

// send sends the messages of one sender. One that the line did not take, because
// it was just changed, is sent again.
func (c *crowd) send(ctx context.Context, name int, rnd *rand.Rand) {
	for i := range c.count {
		control := fmt.Sprintf("M%d-%d", name, i)
		patient, other := patients[rnd.IntN(len(patients))], patients[rnd.IntN(len(patients))]
		raw, keys := order(control, patient), []string{patient}
		switch n := rnd.IntN(100); {
		case n < 8 && patient != other:
			raw, keys = merge(control, patient, other), []string{patient, other}
		case n < 11:
			control = "B" + control
			raw = order(control, patient)
		case n < 13:
			raw += "NTE|1||" + strings.Repeat("x", store.MaxChunk+1000) + "\r"
		}
		c.sent.Store(control, keys)
		for ctx.Err() == nil {
			m := &message.Message{Raw: []byte(raw), Peer: "test"}
			if len(raw) > store.MaxChunk {
				m = &message.Message{Stream: strings.NewReader(raw), Peer: "test"}
			}
			reply, err := c.handler()(ctx, m)
			if err == nil && reply.Answer.Code == message.Accepted {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if rnd.IntN(12) == 0 {
			time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond) // its owner may go meanwhile
		}
	}
}

func (c *crowd) handler() connectors.Handler {
	for {
		c.h.mu.Lock()
		handle := c.h.handlers["in"]
		c.h.mu.Unlock()
		if handle != nil {
			return handle
		}
		time.Sleep(time.Millisecond)
	}
}

// TestOrderOfEffects lets many send for few patients, merge them, and park, while
// the channel is changed, paused and decided about: of each patient one message
// takes effect after the other, in the order in which they were recorded.
func TestOrderOfEffects(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { orderOfEffects(t, seed) })
	}
}

// watchedHall runs strictLab on a store that is watched.
func watchedHall(t *testing.T) (*hall, *spanned) {
	h := newHall(t)
	w := &spanned{clock: &atomic.Int64{}, busy: &atomic.Int64{}, mu: &sync.Mutex{}, spans: map[int64][]span{}, hook: &atomic.Pointer[func(string)]{}}
	h.wrap = func(s store.Store) store.Store {
		w.Store = s
		return w
	}
	h.start(strictLab(true))
	return h, w
}

// first is when the first outcome of a message was begun that is in a state, and
// when it was durable.
func (h *hall) first(w *spanned, control string, state message.State) (span, bool) {
	list, err := h.store.List(h.t.Context(), store.Filter{Control: control})
	must(h.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans[list[0].Seq] {
		if s.state == state {
			return s, true
		}
	}
	return span{}, false
}

// handInAt hands a message in again at one place of the line.
func (h *hall) handInAt(w *spanned, at, control string) {
	var once sync.Once
	hook := func(now string) {
		if now != at {
			return
		}
		once.Do(func() {
			list, err := h.store.List(context.Background(), store.Filter{Control: control})
			if err == nil {
				err = h.store.Operate(context.Background(), store.Order{Action: store.ActReprocess, Message: list[0].ID, Who: "ann", Why: "a test"})
			}
			if err != nil {
				h.t.Error(err)
			}
		})
	}
	w.hook.Store(&hook)
}

// follows checks that one message took effect after another.
func (h *hall) follows(w *spanned, control, after string) {
	h.t.Helper()
	h.eventually(control+" takes effect", func() bool {
		_, done := h.first(w, control, message.Done)
		return done
	})
	h.line.Poke("lab")
	h.eventually(after+" takes effect", func() bool {
		_, done := h.first(w, after, message.Done)
		return done
	})
	before, _ := h.first(w, after, message.Done)
	if s, _ := h.first(w, control, message.Done); s.from < before.to {
		h.t.Errorf("%s took effect from %d on, %s of the same patient until %d", control, s.from, after, before.to)
	}
}

// TestHandedInAgainWhileRowsAreRead has a person hand a message in again that
// parked and holds its key, while the owner reads which are parked.
func TestHandedInAgainWhileRowsAreRead(t *testing.T) {
	h, w := watchedHall(t)
	h.give(order("B1", "P"))
	h.eventually("it parks", func() bool { return h.counted(message.Parked) == 1 })
	h.give(order("M1", "P"))
	must(t, h.line.Apply(h.load(strictLab(false))))
	h.give(order("M2", "Q"))
	h.eventually("another goes on", func() bool { return h.counted(message.Done) == 1 })
	h.handInAt(w, "parked", "B1")
	h.give(order("M3", "Q"))
	h.follows(w, "M1", "B1")
}

// TestHandedInAgainInHand has a person hand a message in again while it is being
// processed.
func TestHandedInAgainInHand(t *testing.T) {
	h, w := watchedHall(t)
	gate := make(chan struct{})
	wait := func(string) { <-gate }
	w.hook.Store(&wait)
	h.give(order("M0", "Q")) // the owner has to know both of P before it starts one
	for _, control := range []string{"M1", "M2"} {
		h.give(order(control, "P"))
	}
	h.handInAt(w, "finish", "M1")
	close(gate)
	h.follows(w, "M2", "M1")
}

func orderOfEffects(t *testing.T, seed uint64) {
	h, w := watchedHall(t)
	c := &crowd{h: h, count: 80}
	var senders sync.WaitGroup
	ended := make(chan struct{})
	for i := range 8 {
		senders.Go(func() { c.send(t.Context(), i, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	go func() {
		senders.Wait()
		close(ended)
	}()
	rnd := rand.New(rand.NewPCG(seed, 99))
	parks, over := true, false
	for !over {
		select {
		case <-ended:
			over = true
		case <-time.After(time.Duration(rnd.IntN(30)) * time.Millisecond):
		}
		switch rnd.IntN(6) {
		case 0:
			parks = !parks
			must(t, h.line.Apply(h.load(strictLab(parks))))
		case 1:
			h.operate(store.Order{Action: store.ActPause, Unit: "lab"})
			h.operate(store.Order{Action: store.ActResume, Unit: "lab"})
		default:
			h.decide(w, rnd)
		}
	}
	must(t, h.line.Apply(h.load(strictLab(false))))
	h.eventually("all have ended", func() bool {
		h.decide(w, rnd)
		counts, err := h.store.Ledger(t.Context())
		must(t, err)
		return open(counts) == 0
	})
	h.eventually("all are noted", func() bool { return w.busy.Load() == 0 })
	h.compare(w, c)
}

func open(counts []store.Count) (n int64) {
	for _, c := range counts {
		if c.State == message.Stored || c.State == message.Parked {
			n += c.N
		}
	}
	return n
}

// decide hands parked messages in again, or drops them.
func (h *hall) decide(w *spanned, rnd *rand.Rand) {
	list, err := h.store.List(h.t.Context(), store.Filter{State: message.Parked, Limit: 1000})
	must(h.t, err)
	for _, m := range list {
		o := store.Order{Action: store.ActReprocess, Message: m.ID, Who: "ann", Why: "a test"}
		if rnd.IntN(4) == 0 {
			o.Action = store.ActDrop
		}
		at := w.clock.Add(1)
		err := h.store.Operate(h.t.Context(), o)
		switch {
		case err == nil && o.Action == store.ActDrop:
			w.noted(m.Seq, span{at, at, message.Dropped})
		case err != nil && !errors.Is(err, store.ErrNotStored) && !errors.Is(err, store.ErrConflict):
			must(h.t, err)
		}
		h.line.Poke("lab")
	}
}

// compare holds the spans of messages that share a key, or keys that were merged
// by one that was recorded before, against the order in which they were recorded.
func (h *hall) compare(w *spanned, c *crowd) {
	list, err := h.store.List(h.t.Context(), store.Filter{Limit: 100_000})
	must(h.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	of := map[int64]string{}
	last := int64(0)
	for _, m := range list {
		of[m.Seq] = m.Header.Control
		last = max(last, m.Seq)
	}
	group, until := map[string]string{}, map[string]span{}
	find := func(k string) string {
		for group[k] != "" {
			k = group[k]
		}
		return k
	}
	n := 0
	for seq := int64(1); seq <= last; seq++ {
		keys, known := c.sent.Load(of[seq])
		if !known {
			continue
		}
		n++
		spans := w.spans[seq]
		if len(spans) == 0 {
			h.t.Fatalf("message %d has no outcome", seq)
		}
		first, end := spans[0], spans[len(spans)-1]
		var groups []string
		for _, k := range keys.([]string) {
			g := find(k)
			groups = append(groups, g)
			if before := until[g]; first.from < before.to {
				h.t.Errorf("message %d (%s) took effect from %d on, one of the same patient before it until %d", seq, of[seq], first.from, before.to)
			}
		}
		if len(groups) == 2 && groups[0] != groups[1] {
			group[groups[1]] = groups[0]
		}
		until[groups[0]] = span{to: max(until[groups[0]].to, until[groups[len(groups)-1]].to, end.to)}
	}
	if n != 8*c.count {
		h.t.Errorf("%d messages were recorded, want %d", n, 8*c.count)
	}
}
