package storetest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

const keepFor = 24 * time.Hour

// keeping is what is kept at a time that is so far from now.
func keeping(later time.Duration) store.Keeping {
	return store.Keeping{For: map[string]time.Duration{"keeps": keepFor}, Else: 10 * keepFor, Now: time.Now().Add(later)}
}

// everything is the block of all messages.
var everything = store.Block{Upto: 1 << 40}

// due are the messages whose content is to be taken away.
func due(t *testing.T, s store.Store, k store.Keeping) []int64 {
	t.Helper()
	found, err := s.Ended(t.Context(), everything, k)
	must(t, err)
	return found.Due
}

// prune takes content away until nothing is left of it.
func prune(t *testing.T, s store.Store, seqs ...int64) (out store.Pruned) {
	t.Helper()
	l, err := s.TakeOver(t.Context(), store.UnitKeep, 0)
	must(t, err)
	out.Messages = map[string]int{}
	for len(seqs) > 0 {
		did, err := l.Prune(t.Context(), seqs)
		must(t, err)
		for channel, n := range did.Messages {
			out.Messages[channel] += n
		}
		out.Bytes += did.Bytes
		seqs = did.Left
	}
	return out
}

func keep(t *testing.T, o Opener) {
	s := o.Open(t)
	y := newYard(t, s, "keeps")
	whatEnds(y)
	whatIsTaken(y, o)
	largeOnes(y)
	wrongClocks(t, o.Open(t))
}

// whatEnds is when everything about a message has ended.
func whatEnds(y *yard) {
	finished := func(t *testing.T, state message.State) int64 {
		t.Helper()
		y.n++
		e := record(t, y.Store, Intake("keeps", fmt.Sprint("state ", y.n), fmt.Sprint("state ", y.n)))
		must(t, y.lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: state, Reason: "r", Actor: "x"}))
		return e.Seq
	}
	l := y.take("keeps/a")
	sent := func(t *testing.T, state message.DeliveryState) int64 {
		t.Helper()
		seq, list := y.deliver("k", "keeps/a")
		y.claim(l, list[0])
		_, err := l.Answer(t.Context(), answerOf(list[0], state), 0)
		must(t, err)
		return seq
	}
	order := func(t *testing.T, o store.Order) {
		t.Helper()
		o.Who, o.Why = "ann", "w"
		must(t, y.Operate(t.Context(), o))
	}
	for name, c := range map[string]struct {
		make func(t *testing.T) int64
		ends bool
	}{
		"stored": {make: func(t *testing.T) int64 {
			return record(t, y.Store, Intake("keeps", "stored", "stored")).Seq
		}},
		"parked":   {make: func(t *testing.T) int64 { return finished(t, message.Parked) }},
		"done":     {make: func(t *testing.T) int64 { return finished(t, message.Done) }, ends: true},
		"filtered": {make: func(t *testing.T) int64 { return finished(t, message.Filtered) }, ends: true},
		"refused":  {make: func(t *testing.T) int64 { return finished(t, message.Refused) }, ends: true},
		"refused at the door": {make: func(t *testing.T) int64 {
			in := Intake("keeps", "door", "door")
			in.Message.State, in.Message.Reason = message.Refused, "no header"
			return record(t, y.Store, in).Seq
		}, ends: true},
		"dropped": {make: func(t *testing.T) int64 {
			in := Intake("keeps", "drop", "drop")
			e := record(t, y.Store, in)
			order(t, store.Order{Action: store.ActDrop, Message: in.Message.ID})
			return e.Seq
		}, ends: true},
		"a delivery waits": {make: func(t *testing.T) int64 { seq, _ := y.deliver("k", "keeps/w"); return seq }},
		"a delivery is being sent": {make: func(t *testing.T) int64 {
			seq, list := y.deliver("k", "keeps/a")
			y.claim(l, list[0])
			return seq
		}},
		"a delivery is put off": {make: func(t *testing.T) int64 { return sent(t, message.Waiting) }},
		"a delivery is parked":  {make: func(t *testing.T) int64 { return sent(t, message.ParkedDelivery) }},
		"delivered":             {make: func(t *testing.T) int64 { return sent(t, message.Delivered) }, ends: true},
		"one of two delivered": {make: func(t *testing.T) int64 {
			seq, list := y.deliver("k", "keeps/a", "keeps/w")
			y.claim(l, list[0])
			_, err := l.Answer(t.Context(), answerOf(list[0], message.Delivered), 0)
			must(t, err)
			return seq
		}},
		"a delivery is dropped": {make: func(t *testing.T) int64 {
			seq, list := y.deliver("k", "keeps/a")
			order(t, store.Order{Action: store.ActDropDelivery, Delivery: list[0].ID})
			return seq
		}, ends: true},
		"diverted, and its successor waits": {make: func(t *testing.T) int64 {
			seq, list := y.deliver("k", "keeps/a")
			y.claim(l, list[0])
			a := answerOf(list[0], message.Diverted)
			a.Next = &message.Delivery{ID: message.NewID(time.Now()), Unit: "keeps/w", Key: "k", Control: "n", Payload: []byte("p")}
			_, err := l.Answer(t.Context(), a, 0)
			must(t, err)
			return seq
		}},
	} {
		y.Run(name, func(t *testing.T) {
			seq := c.make(t)
			if slices.Contains(due(t, y.Store, keeping(keepFor-time.Minute)), seq) {
				t.Error("it is taken away before its time")
			}
			if got := slices.Contains(due(t, y.Store, keeping(keepFor+time.Minute)), seq); got != c.ends {
				t.Errorf("taken away: %v, want %v", got, c.ends)
			}
			prune(t, y.Store, seq) // asked for by mistake: what has not ended stays
			m, err := y.Load(t.Context(), seq)
			must(t, err)
			if m.Pruned.IsZero() == c.ends || (len(m.Raw) == 0) != c.ends {
				t.Errorf("pruned %v with %d bytes, want %v", m.Pruned, len(m.Raw), c.ends)
			}
		})
	}
}

// whatIsTaken is what goes and what stays.
func whatIsTaken(y *yard, o Opener) {
	in := Intake("keeps", "taken", "the bytes")
	e := record(y.T, y.Store, in)
	must(y.T, y.lease.Finish(y.Context(), store.Outcome{
		Seq: e.Seq, State: message.Done, Actor: "x", Answer: message.Answer{Code: message.Accepted}, Events: []store.Event{{Step: "mapped", Text: "something"}},
		Writes:     []store.Write{patient("kept", "Anna", 0)},
		Deliveries: []message.Delivery{{ID: message.NewID(time.Now()), Unit: "keeps/b", Key: "k", Control: "C", Payload: []byte("payload")}},
	}))
	list, err := y.Deliveries(y.Context(), store.DeliveryFilter{Message: e.Seq})
	must(y.T, err)
	l := y.take("keeps/b")
	y.claim(l, list[0])
	a := answerOf(list[0], message.Delivered)
	a.Raw = []byte("MSA|AA")
	_, err = l.Answer(y.Context(), a, 0)
	must(y.T, err)
	ledger := func(t *testing.T) string {
		all, err := y.Ledger(t.Context())
		must(t, err)
		return fmt.Sprint(all)
	}
	before := ledger(y.T)
	y.Run("its bytes, payloads, answers and trace go", func(t *testing.T) {
		did := prune(t, y.Store, e.Seq)
		if did.Messages["keeps"] != 1 || did.Bytes != int64(len("the bytes")+len("payload")+len("MSA|AA")) {
			t.Errorf("took %+v", did)
		}
		m, err := y.Find(t.Context(), in.Message.ID)
		must(t, err)
		if len(m.Raw) != 0 || m.Body != nil || m.Pruned.IsZero() || m.State != message.Done || m.Size != int64(len("the bytes")) {
			t.Errorf("the message is %+v", m)
		}
		if d := y.find(list[0]); len(d.Payload) != 0 || len(d.Answer) != 0 || d.State != message.Delivered {
			t.Errorf("the delivery is %+v", d)
		}
		trace, err := y.Trace(t.Context(), e.Seq)
		must(t, err)
		if len(trace) != 3 || trace[2].Step != "not kept any longer" {
			t.Errorf("the trace is %v", trace)
		}
	})
	y.Run("a second time nothing is left to take", func(t *testing.T) {
		if did := prune(t, y.Store, e.Seq); len(did.Messages) != 0 || did.Bytes != 0 {
			t.Errorf("took %+v", did)
		}
		if slices.Contains(due(t, y.Store, keeping(100*keepFor)), e.Seq) {
			t.Error("it is due again")
		}
	})
	y.Run("the ledger, records and what copies are known by stay, over a restart too", func(t *testing.T) {
		y.Store = o.Again(y.T, y.Store) // closed with the whole test
		y.lease = y.take("keeps")
		if after := ledger(t); after != before {
			t.Errorf("the ledger was %v and is %v", before, after)
		}
		again := record(t, y.Store, Intake("keeps", "taken", "the bytes"))
		if !again.Copy || again.ID != in.Message.ID || again.State != message.Done || again.Answer.Code != e.Answer.Code {
			t.Errorf("a copy finds %+v", again)
		}
		if _, err := y.Read(t.Context(), "Patient", "kept"); err != nil {
			t.Errorf("a record is read with %v", err)
		}
	})
	y.Run("it is not handed in again", func(t *testing.T) {
		err := y.Operate(t.Context(), store.Order{Action: store.ActReprocess, Message: in.Message.ID, Who: "ann", Why: "w"})
		if !errors.Is(err, store.ErrPruned) {
			t.Errorf("got %v", err)
		}
	})
	y.Run("a lease that was replaced takes nothing", func(t *testing.T) {
		old := y.take(store.UnitKeep)
		y.take(store.UnitKeep)
		seq, list := y.deliver("k", "keeps/c")
		must(t, y.Operate(t.Context(), store.Order{Action: store.ActDropDelivery, Delivery: list[0].ID, Who: "ann", Why: "w"}))
		if _, err := old.Prune(t.Context(), []int64{seq}); !errors.Is(err, store.ErrFenced) {
			t.Errorf("got %v", err)
		}
		if m, err := y.Load(t.Context(), seq); err != nil || !m.Pruned.IsZero() {
			t.Errorf("pruned %v %v", m.Pruned, err)
		}
	})
	y.Run("its unit is no channel", func(t *testing.T) {
		list, err := y.Units(t.Context())
		must(t, err)
		for _, u := range list {
			if u.ID == store.UnitKeep {
				t.Error("it is listed")
			}
		}
	})
	y.Run("a channel that is not named has the time of the others", func(t *testing.T) {
		e := record(t, y.Store, Intake("gone", "1", "1"))
		l := y.take("gone")
		must(t, l.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Filtered, Actor: "x"}))
		if slices.Contains(due(t, y.Store, keeping(5*keepFor)), e.Seq) || !slices.Contains(due(t, y.Store, keeping(11*keepFor)), e.Seq) {
			t.Error("it has another time")
		}
	})
}

// largeOnes go part by part; nobody reads what is left meanwhile.
func largeOnes(y *yard) {
	y.Run("a large body goes part by part", func(t *testing.T) {
		const parts = 11
		in := Intake("keeps", "large", "x")
		in.Message.Raw, in.Message.Size, in.Chunks = nil, parts*1000, in.Message.ID
		for n := range parts {
			must(t, y.Chunk(t.Context(), in.Chunks, n, make([]byte, 1000)))
		}
		e := record(t, y.Store, in)
		must(t, y.lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Filtered, Actor: "x"}))
		before, err := y.Load(t.Context(), e.Seq)
		must(t, err)
		read := func() int {
			body, err := before.Body(t.Context())
			must(t, err)
			all, err := io.ReadAll(body)
			must(t, err)
			return len(all)
		}
		if n := read(); n != parts*1000 {
			t.Fatalf("%d bytes", n)
		}
		l := y.take(store.UnitKeep)
		did, err := l.Prune(t.Context(), []int64{e.Seq})
		must(t, err)
		if len(did.Left) != 1 || did.Messages["keeps"] != 1 || did.Bytes != parts*1000 {
			t.Errorf("the first step took %+v", did)
		}
		if m, err := y.Load(t.Context(), e.Seq); err != nil || m.Body != nil || m.Pruned.IsZero() {
			t.Errorf("half a body can be read: %+v %v", m, err)
		}
		// After a kill it is found again, whatever the time.
		if !slices.Contains(due(t, y.Store, keeping(0)), e.Seq) {
			t.Error("what is left is not due")
		}
		prune(t, y.Store, e.Seq)
		if n := read(); n != 0 {
			t.Errorf("%d bytes are left", n)
		}
		if slices.Contains(due(t, y.Store, keeping(0)), e.Seq) {
			t.Error("it is due still")
		}
	})
}

// wrongClocks record messages at times that are not so: nothing goes early.
func wrongClocks(t *testing.T, s store.Store) {
	l, err := s.TakeOver(t.Context(), "keeps", 0)
	must(t, err)
	ended := func(control string) int64 {
		t.Helper()
		e := record(t, s, Intake("keeps", control, control))
		must(t, l.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Filtered, Actor: "x"}))
		return e.Seq
	}
	first, second := ended("1"), ended("2")
	t.Run("a message counts from the newest record before it", func(t *testing.T) {
		k := keeping(keepFor / 2)
		found, err := s.Ended(t.Context(), store.Block{After: first, Upto: second, Recorded: time.Now().Add(keepFor / 4)}, k)
		must(t, err)
		if want := time.Now().Add(keepFor * 5 / 4); len(found.Due) != 0 || found.Next.Sub(want).Abs() > time.Minute {
			t.Errorf("next is %v, want %v", found.Next, want)
		}
	})
	t.Run("and not from one that is yet to come", func(t *testing.T) {
		found, err := s.Ended(t.Context(), store.Block{Upto: second}, keeping(-time.Hour))
		must(t, err)
		if len(found.Due) != 0 || !found.Recorded.IsZero() || !found.Last {
			t.Errorf("got %+v", found)
		}
	})
	t.Run("blocks follow one another", func(t *testing.T) {
		found, err := s.Ended(t.Context(), store.Block{Upto: first}, keeping(keepFor+time.Minute))
		must(t, err)
		if len(found.Due) != 1 || found.Last || !found.Next.IsZero() || found.Recorded.IsZero() {
			t.Errorf("got %+v", found)
		}
	})
}
