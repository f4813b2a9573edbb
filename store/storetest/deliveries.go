package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A yard is a store with one channel that has deliveries to make.
type yard struct {
	*testing.T
	store.Store
	channel string
	lease   store.Lease // of the channel
	n       int
}

func newYard(t *testing.T, s store.Store, channel string) *yard {
	t.Helper()
	l, err := s.TakeOver(t.Context(), channel, 0)
	must(t, err)
	return &yard{T: t, Store: s, channel: channel, lease: l}
}

// deliver records a message and finishes it with a delivery for each unit.
func (y *yard) deliver(key string, units ...string) (seq int64, list []message.Delivery) {
	y.Helper()
	y.n++
	in := Intake(y.channel, fmt.Sprint("m", y.n), fmt.Sprint("content ", y.n))
	in.Message.Header.Key = key
	e := record(y.T, y.Store, in)
	o := store.Outcome{Seq: e.Seq, State: message.Done, Actor: "channel:" + y.channel}
	for i, u := range units {
		o.Deliveries = append(o.Deliveries, message.Delivery{
			ID: message.NewID(time.Now()), Unit: u, Part: i, Key: key, Control: fmt.Sprint("C", y.n), Payload: []byte("payload " + u),
		})
	}
	must(y.T, y.lease.Finish(y.Context(), o))
	list, err := y.Deliveries(y.Context(), store.DeliveryFilter{Message: e.Seq})
	must(y.T, err)
	if len(list) != len(units) {
		y.Fatalf("%d deliveries stand there, want %d", len(list), len(units))
	}
	return e.Seq, list
}

func (y *yard) take(unit string) store.Lease {
	y.Helper()
	l, err := y.TakeOver(y.Context(), unit, 0)
	must(y.T, err)
	return l
}

func (y *yard) claim(l store.Lease, d message.Delivery) message.Delivery {
	y.Helper()
	got, err := l.Claim(y.Context(), d.N)
	must(y.T, err)
	return got
}

func (y *yard) find(d message.Delivery) message.Delivery {
	y.Helper()
	got, err := y.FindDelivery(y.Context(), d.ID)
	must(y.T, err)
	return got
}

// queue is the state of one unit.
func (y *yard) queue(unit string) store.QueueState {
	y.Helper()
	all, err := y.Queues(y.Context())
	must(y.T, err)
	for _, q := range all {
		if q.Unit == unit {
			return q
		}
	}
	return store.QueueState{Unit: unit}
}

func answerOf(d message.Delivery, state message.DeliveryState) store.Answer {
	return store.Answer{N: d.N, Message: d.Message, Run: d.Run, State: state}
}

func deliveries(t *testing.T, o Opener) {
	s := o.Open(t)
	claims(newYard(t, s, "claims"))
	answers(newYard(t, s, "answers"))
	orders(newYard(t, s, "orders"))
	operators(newYard(t, s, "operators"))
	s = takeOvers(newYard(t, s, "takeovers"), o)
	merges(newYard(t, s, "merges"))
	units(t, s)
	barriers(newYard(t, s, "barriers"))
	barrierEnds(newYard(t, s, "ends"))
	barrierRace(newYard(t, s, "race"))
}

func claims(y *yard) {
	_, list := y.deliver("k", "claims/a")
	l := y.take("claims/a")
	y.Run("a claim gives the payload and counts the attempt", func(t *testing.T) {
		got := y.claim(l, list[0])
		if got.State != message.Sending || got.Attempts != 1 || string(got.Payload) != "payload claims/a" || got.Control != "C1" || got.Started.IsZero() {
			t.Errorf("got %+v", got)
		}
		if q := y.queue("claims/a"); q.Sending != 1 || q.Waiting != 0 || q.Open() != 1 || q.Oldest.IsZero() {
			t.Errorf("queue %+v", q)
		}
	})
	y.Run("what is claimed is not claimed again", func(t *testing.T) {
		if _, err := l.Claim(t.Context(), list[0].N); !errors.Is(err, store.ErrNotWaiting) {
			t.Errorf("got %v", err)
		}
	})
	y.Run("a unit claims its own only", func(t *testing.T) {
		_, others := y.deliver("k", "claims/b")
		if _, err := l.Claim(t.Context(), others[0].N); !errors.Is(err, store.ErrNotWaiting) {
			t.Errorf("got %v", err)
		}
	})
	y.Run("a lease that was replaced claims and answers nothing", func(t *testing.T) {
		_, more := y.deliver("k", "claims/a")
		y.take("claims/a")
		if _, err := l.Claim(t.Context(), more[0].N); !errors.Is(err, store.ErrFenced) {
			t.Errorf("claim: %v", err)
		}
		if _, err := l.Answer(t.Context(), answerOf(list[0], message.Delivered), 0); !errors.Is(err, store.ErrFenced) {
			t.Errorf("answer: %v", err)
		}
		if d := y.find(list[0]); d.State != message.Waiting || !d.MaybeSent {
			t.Errorf("what was being sent is %s, maybe sent %v", d.State, d.MaybeSent)
		}
	})
}

func answers(y *yard) {
	l := y.take("answers/a")
	y.Run("an answer closes a delivery and claims the next in one commit", func(t *testing.T) {
		_, first := y.deliver("k", "answers/a")
		_, second := y.deliver("k", "answers/a")
		y.claim(l, first[0])
		a := answerOf(first[0], message.Delivered)
		a.Raw = []byte("MSA|AA")
		next, err := l.Answer(t.Context(), a, second[0].N)
		must(t, err)
		if next.N != second[0].N || next.State != message.Sending || len(next.Payload) == 0 {
			t.Errorf("next is %+v", next)
		}
		if d := y.find(first[0]); d.State != message.Delivered || string(d.Answer) != "MSA|AA" || d.Answered.IsZero() {
			t.Errorf("first is %+v", d)
		}
		if _, err := l.Answer(t.Context(), a, 0); !errors.Is(err, store.ErrNotSending) {
			t.Errorf("a second answer: %v", err)
		}
		next, err = l.Answer(t.Context(), answerOf(second[0], message.Delivered), second[0].N)
		if err != nil || next.N != 0 {
			t.Errorf("a next that does not wait: %+v %v", next, err)
		}
		if q := y.queue("answers/a"); q.Delivered != 2 || q.Open() != 0 {
			t.Errorf("queue %+v", q)
		}
	})
	y.Run("a retry keeps its place, its due time and what is not known", func(t *testing.T) {
		_, list := y.deliver("k", "answers/a")
		y.claim(l, list[0])
		a := answerOf(list[0], message.Waiting)
		a.Due, a.MaybeSent, a.Class, a.Reason = time.Now().Add(time.Hour), true, message.Unknown, "no answer"
		_, err := l.Answer(t.Context(), a, 0)
		must(t, err)
		open, err := y.Open(t.Context(), "answers/a", 0, 0, 10)
		must(t, err)
		if len(open) != 1 || open[0].Pos != list[0].Pos || !open[0].MaybeSent || open[0].Attempts != 1 || open[0].Due.Sub(a.Due).Abs() > time.Millisecond || open[0].Reason != "no answer" {
			t.Errorf("got %+v", open)
		}
	})
	y.Run("a diverted delivery has its successor, also where the route has one of its own", func(t *testing.T) {
		_, list := y.deliver("k", "answers/c", "answers/d")
		c := y.take("answers/c")
		y.claim(c, list[0])
		a := answerOf(list[0], message.Diverted)
		a.Next = &message.Delivery{ID: message.NewID(time.Now()), Unit: "answers/d", Key: "k", Control: "next", Payload: []byte("other")}
		_, err := c.Answer(t.Context(), a, 0)
		must(t, err)
		open, err := y.Open(t.Context(), "answers/d", 0, 0, 10)
		must(t, err)
		if len(open) != 2 || open[1].Pos != list[0].Pos {
			t.Errorf("got %+v", open)
		}
		if q := y.queue("answers/c"); q.Diverted != 1 || q.Open() != 0 {
			t.Errorf("queue %+v", q)
		}
	})
	y.Run("a stop holds the unit", func(t *testing.T) {
		_, list := y.deliver("k", "answers/e")
		e := y.take("answers/e")
		y.claim(e, list[0])
		a := answerOf(list[0], message.Waiting)
		a.Hold = "refused: MSA AR"
		_, err := e.Answer(t.Context(), a, 0)
		must(t, err)
		held, err := y.Held(t.Context())
		if err != nil || held["answers/e"] != "refused: MSA AR" {
			t.Errorf("held %v %v", held, err)
		}
	})
	y.Run("an answer becomes a message of another channel, once", func(t *testing.T) {
		_, list := y.deliver("k", "answers/f")
		f := y.take("answers/f")
		y.claim(f, list[0])
		a := answerOf(list[0], message.Delivered)
		a.Intakes = []store.Intake{Intake("replies", "reply", "MSA|AA")}
		a.Intakes[0].Message.Via = "answers"
		_, err := f.Answer(t.Context(), a, 0)
		must(t, err)
		got, err := y.List(t.Context(), store.Filter{Channel: "replies"})
		if err != nil || len(got) != 1 || got[0].State != message.Stored || got[0].Via != "answers" {
			t.Errorf("got %+v %v", got, err)
		}
	})
}

func orders(y *yard) {
	y.Run("open deliveries come in the order of their messages, in pages", func(t *testing.T) {
		var want []int64
		for i := range 25 {
			_, list := y.deliver(fmt.Sprint("k", i%3), "orders/a")
			want = append(want, list[0].N)
		}
		var got []int64
		pos, n := int64(0), int64(0)
		for {
			page, err := y.Open(t.Context(), "orders/a", pos, n, 10)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, d := range page {
				got = append(got, d.N)
				pos, n = d.Pos, d.N
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		of, err := y.OpenOf(t.Context(), "orders/a", "k1", 5)
		must(t, err)
		if len(of) != 5 || of[0].N != want[1] || of[4].N != want[13] {
			t.Errorf("of one key: %+v", of)
		}
	})
	y.Run("the floor is the oldest message that is still stored", func(t *testing.T) {
		before, err := y.Floor(t.Context(), "orders", false)
		must(t, err)
		e := record(t, y.Store, Intake("orders", "floor", "floor"))
		if before != e.Seq {
			t.Errorf("with nothing stored it is %d, one above the last is %d", before, e.Seq)
		}
		record(t, y.Store, Intake("orders", "floor2", "floor2"))
		if floor, err := y.Floor(t.Context(), "orders", false); err != nil || floor != e.Seq {
			t.Errorf("got %d %v, want %d", floor, err, e.Seq)
		}
	})
}

func operators(y *yard) {
	l := y.take("operators/a")
	park := func(t *testing.T, d message.Delivery) {
		t.Helper()
		y.claim(l, d)
		_, err := l.Answer(t.Context(), answerOf(d, message.ParkedDelivery), 0)
		must(t, err)
	}
	order := func(action string, d message.Delivery, more ...func(*store.Order)) error {
		o := store.Order{Action: action, Delivery: d.ID, Who: "ann", Why: "lab is back"}
		for _, f := range more {
			f(&o)
		}
		return y.Operate(y.Context(), o)
	}
	y.Run("a parked delivery goes to the end of its key, late only when told so", func(t *testing.T) {
		_, first := y.deliver("k", "operators/a")
		_, second := y.deliver("k", "operators/a")
		park(t, first[0])
		y.claim(l, second[0])
		_, err := l.Answer(t.Context(), answerOf(second[0], message.Delivered), 0)
		must(t, err)
		if err := order(store.ActRetry, first[0]); !errors.Is(err, store.ErrOvertaken) {
			t.Fatalf("got %v", err)
		}
		must(t, order(store.ActRetry, first[0], func(o *store.Order) { o.Late = true }))
		if d := y.find(first[0]); d.State != message.Waiting || !d.Late || d.Pos < second[0].Pos {
			t.Errorf("got %+v", d)
		}
	})
	y.Run("drop, park and move say who and why", func(t *testing.T) {
		seq, list := y.deliver("m", "operators/a")
		must(t, order(store.ActPark, list[0]))
		must(t, order(store.ActMove, list[0], func(o *store.Order) { o.To = "operators/b" }))
		if d := y.find(list[0]); d.Unit != "operators/b" || d.State != message.Waiting {
			t.Errorf("moved: %+v", d)
		}
		must(t, order(store.ActDropDelivery, list[0]))
		if err := order(store.ActRetry, list[0]); !errors.Is(err, store.ErrNotWaiting) {
			t.Errorf("what is dropped stays dropped: %v", err)
		}
		events, err := y.Trace(t.Context(), seq)
		must(t, err)
		steps := 0
		for _, e := range events {
			if e.Who == "ann" && e.Text == "lab is back" {
				steps++
			}
		}
		if steps != 3 {
			t.Errorf("%d steps of the operator in the trace, want 3: %+v", steps, events)
		}
		if q := y.queue("operators/b"); q.Dropped != 1 || q.Open() != 0 {
			t.Errorf("queue %+v", q)
		}
	})
	y.Run("a decision needs a name, a reason and a delivery", func(t *testing.T) {
		if err := y.Operate(t.Context(), store.Order{Action: store.ActRetry, Delivery: "nobody", Who: "ann"}); err == nil {
			t.Error("no reason was asked for")
		}
		if err := order(store.ActRetry, message.Delivery{ID: message.NewID(time.Now())}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	y.Run("a message that is handed in again goes to the end", func(t *testing.T) {
		e := record(t, y.Store, Intake("operators", "again", "again"))
		must(t, y.lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Parked, Reason: "no table"}))
		_, younger := y.deliver("k", "operators/a")
		must(t, y.Operate(t.Context(), store.Order{Action: store.ActReprocess, Message: e.ID, Who: "ann", Why: "table mended"}))
		must(t, y.lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, Run: 1, State: message.Done, Deliveries: []message.Delivery{{
			ID: message.NewID(time.Now()), Unit: "operators/a", Key: "k", Control: "x", Original: true,
		}}}))
		list, err := y.Deliveries(t.Context(), store.DeliveryFilter{Message: e.Seq})
		must(t, err)
		if len(list) != 1 || list[0].Pos < younger[0].Pos || !list[0].Original {
			t.Errorf("got %+v, the younger stands at %d", list, younger[0].Pos)
		}
	})
}

func takeOvers(y *yard, o Opener) store.Store {
	_, list := y.deliver("k", "takeovers/a", "takeovers/a2")
	l := y.take("takeovers/a")
	y.claim(l, list[0])
	s := o.Again(y.T, y.Store)
	y.Store = s
	y.Run("what was being sent waits again, perhaps sent", func(t *testing.T) {
		l := y.take("takeovers/a")
		d := y.find(list[0])
		if d.State != message.Waiting || !d.MaybeSent || d.Attempts != 1 {
			t.Errorf("got %+v", d)
		}
		if q := y.queue("takeovers/a"); q.Waiting != 1 || q.Sending != 0 {
			t.Errorf("queue %+v", q)
		}
		if got := y.claim(l, d); !got.MaybeSent || got.Attempts != 2 || got.Control != list[0].Control || string(got.Payload) != "payload takeovers/a" {
			t.Errorf("the repeat is %+v", got)
		}
		if !l.Valid() {
			t.Error("a lease just taken is not valid")
		}
	})
	return s
}

func merges(y *yard) {
	y.Run("messages of a merged key join the queue of the survivor, over several merges", func(t *testing.T) {
		_, old := y.deliver("a", "merges/x")
		for _, pair := range [][2]string{{"a", "b"}, {"b", "c"}} {
			e := record(t, y.Store, Intake("merges", pair[0]+pair[1], pair[0]+pair[1]))
			must(t, y.lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Done, Alias: pair[0], Survivor: pair[1]}))
		}
		open, err := y.Open(t.Context(), "merges/x", 0, 0, 10)
		must(t, err)
		if len(open) != 1 || open[0].N != old[0].N || open[0].Key != "c" {
			t.Errorf("got %+v", open)
		}
		if of, err := y.OpenOf(t.Context(), "merges/x", "c", 10); err != nil || len(of) != 1 {
			t.Errorf("of the survivor: %+v %v", of, err)
		}
		must(t, y.Operate(t.Context(), store.Order{Action: store.ActPark, Delivery: old[0].ID, Who: "ann", Why: "a test"}))
		seq, younger := y.deliver("c", "merges/x")
		l := y.take("merges/x")
		y.claim(l, younger[0])
		_, err = l.Answer(t.Context(), answerOf(younger[0], message.Delivered), 0)
		must(t, err)
		if late, err := y.Overtaken(t.Context(), "merges/x", []string{"a", ""}, old[0].Message); err != nil || !late {
			t.Errorf("a younger delivery of the survivor has arrived: %v %v", late, err)
		}
		// The other way about: what arrived under the old name is late for the new.
		for _, keys := range [][]string{{"c", ""}, {"other", "b"}} {
			if late, err := y.Overtaken(t.Context(), "merges/x", keys, old[0].Message); err != nil || !late {
				t.Errorf("under %q a younger delivery has arrived: %v %v", keys, late, err)
			}
		}
		for _, none := range [][]string{nil, {"", ""}, {"other", ""}} {
			if late, err := y.Overtaken(t.Context(), "merges/x", none, old[0].Message); err != nil || late {
				t.Errorf("nothing has arrived under %q: %v %v", none, late, err)
			}
		}
		arrived, err := y.Deliveries(t.Context(), store.DeliveryFilter{Unit: "merges/x", Key: "a", Younger: old[0].Message})
		if err != nil || len(arrived) != 1 || arrived[0].Message != seq {
			t.Errorf("younger are %+v %v", arrived, err)
		}
		in := Intake("merges", "late", "late")
		in.Message.Header.Key = "a"
		record(t, y.Store, in)
		stored, err := y.Stored(t.Context(), "merges", 0, 10)
		must(t, err)
		if len(stored) != 1 || stored[0].Header.Key != "c" || stored[0].MadeKey != "a" || stored[0].MadeKey2 != "" {
			t.Errorf("a late message of the old key has key %+v", stored)
		}
	})
}

// units have an id that stays when they are renamed.
func units(t *testing.T, s store.Store) {
	unit := func(name, was string) string {
		t.Helper()
		id, err := s.Unit(t.Context(), name, was)
		must(t, err)
		return id
	}
	names := func() map[string]string {
		t.Helper()
		list, err := s.Units(t.Context())
		must(t, err)
		out := map[string]string{}
		for _, u := range list {
			out[u.Name] = u.ID
		}
		return out
	}
	t.Run("a new unit is named after its name and found again", func(t *testing.T) {
		for range 2 {
			if a, r := unit("alpha", ""), unit("alpha/out", ""); a != "alpha" || r != "alpha/out" {
				t.Errorf("got %s and %s", a, r)
			}
		}
	})
	t.Run("a rename keeps the id, and takes the routes along", func(t *testing.T) {
		unit("alphabet", "")
		unit("alphabet/out", "")
		for range 2 { // was stays in the file
			if id := unit("beta", "alpha"); id != "alpha" {
				t.Errorf("got %s", id)
			}
		}
		got := names()
		if got["beta"] != "alpha" || got["beta/out"] != "alpha/out" || got["alpha"] != "" || got["alpha/out"] != "" || got["alphabet/out"] != "alphabet/out" {
			t.Errorf("got %v", got)
		}
		if id := unit("beta/sent", "beta/out"); id != "alpha/out" {
			t.Errorf("the renamed route is %s", id)
		}
	})
	t.Run("the old name is a new unit with another id", func(t *testing.T) {
		if id := unit("alpha", ""); id == "alpha" || id == "" {
			t.Errorf("got %q", id)
		}
		if id := unit("alpha/out", "alpha/absent"); id == "alpha/out" {
			t.Errorf("got %q", id)
		}
		if id := unit("alpha", "beta"); id == "alpha" {
			t.Error("a name that is there was taken from another unit")
		}
	})
	t.Run("a copy is known and counted under the id, and the trace says the name", func(t *testing.T) {
		e := record(t, s, Intake("alpha", "C1", "content"))
		if again := record(t, s, Intake("alpha", "C1", "content")); !again.Copy || again.ID != e.ID {
			t.Errorf("got %+v", again)
		}
		events, err := s.Trace(t.Context(), e.Seq)
		must(t, err)
		if !strings.Contains(events[0].Text, "channel beta ") {
			t.Errorf("the trace says %q", events[0].Text)
		}
	})
	t.Run("who asks at the same time gets one unit", func(t *testing.T) {
		var all sync.WaitGroup
		ids := make([]string, 8)
		for i := range ids {
			all.Go(func() {
				id, err := s.Unit(context.WithoutCancel(t.Context()), "gamma", "")
				if err != nil {
					t.Error(err)
				}
				ids[i] = id
			})
		}
		all.Wait()
		for _, id := range ids {
			if id != "gamma" {
				t.Errorf("got %v", ids)
				break
			}
		}
	})
}
