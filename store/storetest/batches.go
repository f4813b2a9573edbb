package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// batches are the promises about files of several deliveries.
func batches(t *testing.T, open func(*testing.T) store.Store) {
	t.Run("a file is claimed, sent again and answered as one", func(t *testing.T) {
		y, l, all := lots(t, open(t), map[string]string{"a": "x", "b": "y", "c": "x"})
		list, err := y.Lots(t.Context(), all, 10)
		must(t, err)
		if len(list) != 2 || list[0].Name != "x" || list[0].Count != 2 || list[1].Count != 1 || len(list[0].First) != 36 {
			t.Fatalf("lots %+v", list)
		}
		if list, err = y.Lots(t.Context(), all, 1); err != nil || len(list) != 2 || list[0].Count != 1 {
			t.Fatalf("counted up to one: %+v %v", list, err)
		}
		y.lot("d", "")
		for plain, want := range map[bool]int{true: 3, false: 2} {
			all.Plain = plain
			if list, err = y.Lots(t.Context(), all, 10); err != nil || len(list) != want {
				t.Errorf("plain %v: lots %+v %v", plain, list, err)
			}
		}
		rows, _, err := y.LotOf(t.Context(), all, "", 10, 1<<20)
		if err != nil || len(rows) != 1 || rows[0].Key != "d" {
			t.Errorf("without a lot: %+v %v", rows, err)
		}
		must(t, y.Operate(t.Context(), store.Order{Action: store.ActDropDelivery, Delivery: rows[0].ID, Who: "t.reed", Why: "a test"}))
		rows, _, err = y.LotOf(t.Context(), all, "x", 10, 1<<20)
		must(t, err)
		if len(rows) != 2 || rows[0].Key != "a" || rows[1].Key != "c" || string(rows[0].Payload) != "payload route" {
			t.Fatalf("of lot x: %+v", rows)
		}
		b, err := l.Bundle(t.Context(), store.Batch{ID: message.NewID(time.Now()), Lot: "x", Number: 1, Control: "F1", Payload: []byte("file"), Deliveries: rows}, time.Now())
		must(t, err)
		if b.N == 0 || len(b.Deliveries) != 2 || b.Deliveries[0].State != message.Sending || b.Deliveries[0].Attempts != 1 {
			t.Fatalf("bundled %+v", b)
		}
		y.states(l.Unit(), map[message.DeliveryState]int{message.Sending: 2, message.Waiting: 1})
		if last, err := y.LastNumber(t.Context(), l.Unit()); err != nil || last != 1 {
			t.Errorf("last number %d %v", last, err)
		}
		waits := []store.Answer{answerTo(&b.Deliveries[0], message.Waiting), answerTo(&b.Deliveries[1], message.Waiting)}
		must(t, l.AnswerBatch(t.Context(), b.N, waits))
		if open, err := y.Open(t.Context(), l.Unit(), 0, 0, 10); err != nil || len(open) != 1 || open[0].Key != "b" {
			t.Errorf("what is in a file is not sent by itself: %+v %v", open, err)
		}
		closed, err := y.Closed(t.Context(), l.Unit())
		if err != nil || len(closed) != 1 || closed[0].N != b.N || len(closed[0].Deliveries) != 2 || closed[0].Lot != "x" {
			t.Fatalf("closed %+v %v", closed, err)
		}
		again, err := l.Resend(t.Context(), b.N)
		if err != nil || string(again.Payload) != "file" || again.ID != b.ID || again.Control != "F1" || again.Number != 1 || len(again.Deliveries) != 2 || again.Deliveries[1].Attempts != 2 {
			t.Fatalf("again %+v %v", again, err)
		}
		done := []store.Answer{answerTo(&b.Deliveries[0], message.Delivered), answerTo(&b.Deliveries[1], message.Delivered)}
		must(t, l.AnswerBatch(t.Context(), b.N, done))
		y.states(l.Unit(), map[message.DeliveryState]int{message.Delivered: 2, message.Waiting: 1})
		if err := l.AnswerBatch(t.Context(), b.N, done); !errors.Is(err, store.ErrNotSending) {
			t.Errorf("answered twice: %v", err)
		}
	})
	t.Run("a file of which one is not waiting any more is not written", func(t *testing.T) {
		y, l, all := lots(t, open(t), map[string]string{"a": "", "b": ""})
		rows, _, err := y.LotOf(t.Context(), all, "", 10, 1<<20)
		must(t, err)
		must(t, y.Operate(t.Context(), store.Order{Action: store.ActPark, Delivery: rows[1].ID, Who: "t.reed", Why: "a test"}))
		_, err = l.Bundle(t.Context(), store.Batch{ID: message.NewID(time.Now()), Number: 1, Payload: []byte("file"), Deliveries: rows}, time.Now())
		if !errors.Is(err, store.ErrNotWaiting) {
			t.Fatalf("got %v, want ErrNotWaiting", err)
		}
		y.states(l.Unit(), map[message.DeliveryState]int{message.Waiting: 1, message.ParkedDelivery: 1})
		if last, err := y.LastNumber(t.Context(), l.Unit()); err != nil || last != 0 {
			t.Errorf("last number %d %v", last, err)
		}
		b, err := l.Bundle(t.Context(), store.Batch{ID: message.NewID(time.Now()), Number: 1, Payload: []byte("file"), Deliveries: rows[:1]}, time.Now())
		must(t, err)
		must(t, l.AnswerBatch(t.Context(), b.N, []store.Answer{answerTo(&b.Deliveries[0], message.ParkedDelivery)}))
		_, err = l.Bundle(t.Context(), store.Batch{ID: message.NewID(time.Now()), Number: 1, Payload: []byte("file"), Deliveries: rows[1:]}, time.Now())
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("a number was taken twice: %v", err)
		}
	})
	t.Run("who takes over sends the same file again", func(t *testing.T) {
		y, l, all := lots(t, open(t), map[string]string{"a": "", "b": ""})
		b := y.bundle(l, all, "")
		next := y.take(l.Unit())
		if err := l.AnswerBatch(t.Context(), b.N, []store.Answer{answerTo(&b.Deliveries[0], message.Delivered), answerTo(&b.Deliveries[1], message.Delivered)}); !errors.Is(err, store.ErrFenced) {
			t.Errorf("who was replaced answered: %v", err)
		}
		again, err := next.Resend(t.Context(), b.N)
		if err != nil || string(again.Payload) != "file" || !again.Deliveries[0].MaybeSent || !again.Deliveries[1].MaybeSent {
			t.Errorf("again %+v %v", again, err)
		}
	})
	t.Run("the file that holds the last ones before a barrier lifts it", func(t *testing.T) {
		y, l, all := lots(t, open(t), map[string]string{"a": ""})
		must(t, y.lease.Rules(t.Context(), map[string]string{l.Unit(): "old"}))
		must(t, y.lease.Rules(t.Context(), map[string]string{l.Unit(): "new"}))
		behind := y.lot("b", "")
		barrier, err := y.Barrier(t.Context(), l.Unit())
		if err != nil || barrier == 0 || barrier >= behind.N {
			t.Fatalf("barrier %d %v, with %d behind it", barrier, err, behind.N)
		}
		all.UpTo = barrier
		b := y.bundle(l, all, "")
		if len(b.Deliveries) != 1 {
			t.Fatalf("%d in the file, want the one before the barrier", len(b.Deliveries))
		}
		must(t, l.AnswerBatch(t.Context(), b.N, []store.Answer{answerTo(&b.Deliveries[0], message.Delivered)}))
		if barrier, err = y.Barrier(t.Context(), l.Unit()); err != nil || barrier != 0 {
			t.Errorf("afterwards %d %v", barrier, err)
		}
	})
	t.Run("an operator decides about a file as a whole", func(t *testing.T) {
		y, l, all := lots(t, open(t), map[string]string{"a": "", "b": ""})
		b := y.bundle(l, all, "")
		order := func(action, to string) error {
			return y.Operate(t.Context(), store.Order{Action: action, Delivery: b.Deliveries[1].ID, To: to, Who: "t.reed", Why: "a test"})
		}
		if err := order(store.ActPark, ""); !errors.Is(err, store.ErrNotWaiting) {
			t.Errorf("parked while it was sent: %v", err)
		}
		must(t, l.AnswerBatch(t.Context(), b.N, []store.Answer{answerTo(&b.Deliveries[0], message.ParkedDelivery), answerTo(&b.Deliveries[1], message.ParkedDelivery)}))
		must(t, order(store.ActRetry, ""))
		y.states(l.Unit(), map[message.DeliveryState]int{message.Waiting: 2})
		if again, err := l.Resend(t.Context(), b.N); err != nil || string(again.Payload) != "file" || len(again.Deliveries) != 2 {
			t.Fatalf("again %+v %v", again, err)
		}
		must(t, l.AnswerBatch(t.Context(), b.N, []store.Answer{answerTo(&b.Deliveries[0], message.Waiting), answerTo(&b.Deliveries[1], message.Waiting)}))
		other := "other/route"
		y.take(other)
		must(t, order(store.ActMove, other))
		open, err := y.Open(t.Context(), other, 0, 0, 10)
		if err != nil || len(open) != 2 || open[0].Batch != 0 {
			t.Errorf("in the other route: %+v %v", open, err)
		}
	})
	t.Run("a successor has the payload of its delivery", func(t *testing.T) {
		y, l, all := lots(t, open(t), map[string]string{"a": ""})
		b := y.bundle(l, all, "")
		a := answerTo(&b.Deliveries[0], message.Diverted)
		next := b.Deliveries[0]
		next.ID, next.Unit, next.N, next.Batch = message.NewID(time.Now()), "other/route", 0, 0
		a.Next = &next
		must(t, l.AnswerBatch(t.Context(), b.N, []store.Answer{a}))
		d, err := y.FindDelivery(t.Context(), next.ID)
		if err != nil || string(d.Payload) != "payload route" || d.Unit != "other/route" || d.Batch != 0 {
			t.Errorf("successor %+v %v", d, err)
		}
	})
	t.Run("an older delivery of the same key goes first, whatever file it goes into", func(t *testing.T) {
		s := open(t)
		y := newYard(t, s, "files")
		l := y.take("files/route")
		for _, d := range [][2]string{{"a", "x"}, {"a", "y"}, {"b", "y"}} {
			y.lot(d[0], d[1])
		}
		all := store.Selection{Unit: l.Unit(), Below: store.All, UpTo: store.All, Plain: true}
		keys := func(lot string) string {
			rows, _, err := y.LotOf(t.Context(), all, lot, 10, 1<<20)
			must(t, err)
			text := ""
			for i := range rows {
				text += rows[i].Key
			}
			return text
		}
		if got := keys("y"); got != "b" {
			t.Errorf("the next file of y has %q, want b: the older one of a is open", got)
		}
		b := y.bundle(l, all, "x")
		if got := keys("y"); got != "b" {
			t.Errorf("while the older one is sent it has %q, want b", got)
		}
		must(t, l.AnswerBatch(t.Context(), b.N, []store.Answer{answerTo(&b.Deliveries[0], message.Delivered)}))
		if got := keys("y"); got != "ab" {
			t.Errorf("then it has %q, want ab", got)
		}
	})
	t.Run("what waits for another lot holds up the younger ones of both its keys", func(t *testing.T) {
		y := newYard(t, open(t), "files")
		l := y.take("files/route")
		y.lot("p1", "y")
		y.make(message.Delivery{Key: "p1", Key2: "p2", Lot: "x"}, store.Outcome{})
		y.lot("p2", "x")
		y.lot("p3", "x")
		all := store.Selection{Unit: l.Unit(), Below: store.All, UpTo: store.All}
		rows, _, err := y.LotOf(t.Context(), all, "x", 10, 1<<20)
		if err != nil || len(rows) != 1 || rows[0].Key != "p3" {
			t.Errorf("the next file of x has %d deliveries, want that of p3 only: %v", len(rows), err)
		}
	})
	t.Run("deliveries of merged keys keep their order in whatever file", func(t *testing.T) {
		y := newYard(t, open(t), "files")
		l := y.take("files/route")
		y.lot("old", "x")
		y.make(message.Delivery{Key: "other", Lot: "z"}, store.Outcome{Alias: "old", Survivor: "new"})
		y.lot("new", "y")
		all := store.Selection{Unit: l.Unit(), Below: store.All, UpTo: store.All}
		if rows, _, err := y.LotOf(t.Context(), all, "y", 10, 1<<20); err != nil || len(rows) != 0 {
			t.Errorf("the next file of y has %d deliveries, want none: that of the old key is open: %v", len(rows), err)
		}
	})
	t.Run("a file is bounded in deliveries and bytes, by floor and barrier", func(t *testing.T) {
		y := newYard(t, open(t), "files")
		l := y.take("files/route")
		var list []message.Delivery
		for i := range 6 {
			list = append(list, y.lot(fmt.Sprint("k", i), ""))
		}
		for name, c := range map[string]struct {
			s     store.Selection
			limit int
			bytes int64
			want  int
		}{
			"all":        {store.Selection{Unit: l.Unit(), Below: store.All, UpTo: store.All, Plain: true}, 10, 1 << 20, 6},
			"deliveries": {store.Selection{Unit: l.Unit(), Below: store.All, UpTo: store.All, Plain: true}, 4, 1 << 20, 4},
			"bytes":      {store.Selection{Unit: l.Unit(), Below: store.All, UpTo: store.All, Plain: true}, 10, 30, 2},
			"one always": {store.Selection{Unit: l.Unit(), Below: store.All, UpTo: store.All, Plain: true}, 10, 1, 1},
			"floor":      {store.Selection{Unit: l.Unit(), Below: list[3].Pos, UpTo: store.All}, 10, 1 << 20, 3},
			"barrier":    {store.Selection{Unit: l.Unit(), Below: store.All, UpTo: list[1].N}, 10, 1 << 20, 2},
		} {
			rows, _, err := y.LotOf(t.Context(), c.s, "", c.limit, c.bytes)
			if err != nil || len(rows) != c.want {
				t.Errorf("%s: %d deliveries, want %d: %v", name, len(rows), c.want, err)
			}
		}
	})
}

// lots is a yard with one delivery for each key, in the order of the keys, that
// goes into the file of its lot.
func lots(t *testing.T, s store.Store, byKey map[string]string) (*yard, store.Lease, store.Selection) {
	t.Helper()
	y := newYard(t, s, "files")
	l := y.take("files/route")
	for _, key := range []string{"a", "b", "c"} {
		if lot, there := byKey[key]; there {
			y.lot(key, lot)
		}
	}
	return y, l, store.Selection{Unit: l.Unit(), Below: store.All, UpTo: store.All, Plain: true}
}

// lot makes a delivery that goes into the file of a lot.
func (y *yard) lot(key, lot string) message.Delivery {
	y.Helper()
	return y.make(message.Delivery{Key: key, Lot: lot}, store.Outcome{})
}

// make makes a delivery with what else its message does.
func (y *yard) make(d message.Delivery, o store.Outcome) message.Delivery {
	y.Helper()
	y.n++
	in := Intake(y.channel, fmt.Sprint("m", y.n), fmt.Sprint("content ", y.n))
	in.Message.Header.Key = d.Key
	e := record(y.T, y.Store, in)
	d.ID, d.Unit, d.Control, d.Payload = message.NewID(time.Now()), "files/route", fmt.Sprint("C", y.n), []byte("payload route")
	o.Seq, o.State, o.Actor, o.Deliveries = e.Seq, message.Done, "channel:"+y.channel, []message.Delivery{d}
	must(y.T, y.lease.Finish(y.Context(), o))
	list, err := y.Deliveries(y.Context(), store.DeliveryFilter{Message: e.Seq})
	must(y.T, err)
	return list[0]
}

// bundle makes a file of what waits of a lot.
func (y *yard) bundle(l store.Lease, s store.Selection, lot string) store.Batch {
	y.Helper()
	rows, _, err := y.LotOf(y.Context(), s, lot, 100, 1<<20)
	must(y.T, err)
	b, err := l.Bundle(y.Context(), store.Batch{ID: message.NewID(time.Now()), Lot: lot, Number: 1, Control: "F1", Payload: []byte("file"), Deliveries: rows}, time.Now())
	must(y.T, err)
	return b
}

// answerTo is what became of a delivery of a file.
func answerTo(d *message.Delivery, state message.DeliveryState) store.Answer {
	return store.Answer{N: d.N, Message: d.Message, Run: d.Run, State: state, Class: message.Busy, Reason: "a test"}
}

// states counts the deliveries of a unit in the ledger and one by one.
func (y *yard) states(unit string, want map[message.DeliveryState]int) {
	y.Helper()
	list, err := y.Deliveries(y.Context(), store.DeliveryFilter{Unit: unit})
	must(y.T, err)
	got := map[message.DeliveryState]int{}
	for i := range list {
		got[list[i].State]++
	}
	counts, err := y.Ledger(y.Context())
	must(y.T, err)
	for state, n := range want {
		if got[state] != n {
			y.Errorf("%d are %s, want %d", got[state], state, n)
		}
		counted := int64(0)
		for _, c := range counts {
			if c.Channel == unit && string(c.State) == string(state) {
				counted += c.N
			}
		}
		if counted != int64(n) {
			y.Errorf("the ledger counts %d %s, want %d", counted, state, n)
		}
	}
}
