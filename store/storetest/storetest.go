// Package storetest is the conformance suite of store.Store: each database is
// one call of Run.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// An Opener opens a store on a fresh database. Again closes what was opened
// and opens the same database anew, as after a restart. Outdate takes the search
// index away, and the mark of who made it, as if no version of the engine had
// known any search parameter.
type Opener struct {
	Open    func(t *testing.T) store.Store
	Again   func(t *testing.T, s store.Store) store.Store
	Outdate func(t *testing.T, s store.Store)
}

// Outdated are the statements of Outdate. A row stays by which the base is known that
// a resource was written under.
var Outdated = []string{
	`DELETE FROM ix_token`, `DELETE FROM ix_date`, `DELETE FROM ix_string`, `DELETE FROM ix_ref WHERE tkey <> 'kept'`, `DELETE FROM ix_number`,
	`UPDATE resource SET indexed = 0, comp = 0`, `UPDATE extractor SET version = 'older'`,
}

// Run runs the suite.
func Run(t *testing.T, o Opener) {
	t.Run("journal", func(t *testing.T) { journal(t, o) })
	t.Run("finish", func(t *testing.T) { finish(t, o) })
	t.Run("operate", func(t *testing.T) { operate(t, o) })
	t.Run("deliveries", func(t *testing.T) { deliveries(t, o) })
	t.Run("numbers", func(t *testing.T) { numbers(newYard(t, o.Open(t), "numbers"), o) })
	t.Run("batches", func(t *testing.T) { batches(t, o.Open) })
	t.Run("triggers", func(t *testing.T) { triggers(t, o) })
	t.Run("bodies", func(t *testing.T) { bodies(t, o) })
	t.Run("keep", func(t *testing.T) { keep(t, o) })
	t.Run("records", func(t *testing.T) { RunRecords(t, o) })
}

// Intake is a message of a channel under a control id with a content.
func Intake(channel, control, content string) store.Intake {
	m := &message.Message{
		ID: message.NewID(time.Now()), Channel: channel, Peer: "127.0.0.1:1", Received: time.Now(), Raw: []byte(content),
		State: message.Stored, Answer: message.Answer{Code: message.Accepted}, RoutesVersion: "v1",
	}
	m.Header = message.Header{Type: "ORU^R01", Sender: "LAB|NORTH", Control: control, Key: "patient:" + content, Hash: sha256.Sum256([]byte(content))}
	return store.Intake{Message: m}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(t *testing.T, s store.Store, in store.Intake) store.Entry {
	t.Helper()
	e, err := s.Record(t.Context(), in)
	must(t, err)
	return e
}

func journal(t *testing.T, o Opener) {
	s := o.Open(t)
	t.Run("a record is found again with its bytes untouched", func(t *testing.T) {
		in := Intake("lab", "1", "MSH|\x00\xff|\r")
		e := record(t, s, in)
		if e.Seq == 0 || e.Copy || e.Clash || e.State != message.Stored || e.ID != in.Message.ID {
			t.Errorf("got %+v", e)
		}
		m, err := s.Load(t.Context(), e.Seq)
		must(t, err)
		if string(m.Raw) != string(in.Message.Raw) || m.Header.Control != "1" || m.Channel != "lab" || m.Header.Hash != in.Message.Header.Hash || m.Answer.Code != message.Accepted {
			t.Errorf("got %+v", m)
		}
		found, err := s.Find(t.Context(), in.Message.ID[:13])
		if err != nil || found.Seq != e.Seq {
			t.Errorf("by the beginning of its id: %v %v", found, err)
		}
		if _, err := s.Find(t.Context(), message.NewID(time.Now())); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an id nobody has: %v", err)
		}
	})
	t.Run("a copy finds the entry of the first", func(t *testing.T) {
		first := record(t, s, Intake("lab", "2", "two"))
		again := record(t, s, Intake("lab", "2", "two"))
		if !again.Copy || again.Seq != first.Seq || again.ID != first.ID || again.Answer.Code != message.Accepted {
			t.Errorf("got %+v, want a copy of %+v", again, first)
		}
	})
	t.Run("another channel is another message", func(t *testing.T) {
		if e := record(t, s, Intake("other", "2", "two")); e.Copy || e.Clash {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("the same control id with other content clashes and is taken", func(t *testing.T) {
		if e := record(t, s, Intake("lab", "2", "other content")); e.Copy || !e.Clash || e.State != message.Stored {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("a clash is refused where the channel says so, and its copy too", func(t *testing.T) {
		in := func() store.Intake {
			in := Intake("lab", "2", "third content")
			in.RefuseClash = true
			in.Clashed.Reason = "used before"
			in.Clashed.Answer = message.Answer{Code: message.Erroneous}
			return in
		}
		for _, again := range []bool{false, true} {
			if e := record(t, s, in()); e.State != message.Refused || e.Reason != "used before" || e.Answer.Code != message.Erroneous || e.Copy != again {
				t.Errorf("got %+v", e)
			}
		}
	})
	t.Run("what was refused has taken no control id", func(t *testing.T) {
		for _, refuse := range []bool{false, true} {
			control := fmt.Sprint("cut", refuse)
			cut := Intake("lab", control, "the begin")
			cut.Message.State, cut.Message.Reason, cut.Message.Answer = message.Refused, "cut off", message.Answer{Code: message.Erroneous}
			if e := record(t, s, cut); e.State != message.Refused {
				t.Fatalf("got %+v", e)
			}
			whole := Intake("lab", control, "the beginning and the end")
			whole.RefuseClash = refuse
			if e := record(t, s, whole); e.State != message.Stored || e.Clash || e.Copy {
				t.Errorf("got %+v", e)
			}
		}
	})
	t.Run("without a control id only the same content is a copy", func(t *testing.T) {
		record(t, s, Intake("lab", "", "a"))
		if e := record(t, s, Intake("lab", "", "b")); e.Copy || e.Clash {
			t.Errorf("got %+v", e)
		}
		if e := record(t, s, Intake("lab", "", "a")); !e.Copy {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("hostile texts are taken and tell one from another", func(t *testing.T) {
		for _, control := range []string{"a\x00b", "\xff\xfe", strings.Repeat("9", 1<<20), "'; DROP TABLE messages; --", strings.Repeat("9", 1<<20) + "x"} {
			if e := record(t, s, Intake("hostile", control, control+"c")); e.Copy || e.Clash {
				t.Errorf("%.10q…: got %+v", control, e)
			}
			if e := record(t, s, Intake("hostile", control, control+"c")); !e.Copy {
				t.Errorf("%.10q…: its copy is not known", control)
			}
		}
	})
	t.Run("copies that come at once are one message", func(t *testing.T) {
		var all sync.WaitGroup
		entries := make([]store.Entry, 40)
		for i := range entries {
			all.Go(func() {
				var err error
				if entries[i], err = s.Record(t.Context(), Intake("burst", fmt.Sprint(i%4), fmt.Sprint(i%4))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		seqs, firsts := map[int64]bool{}, 0
		for _, e := range entries {
			seqs[e.Seq] = true
			if !e.Copy {
				firsts++
			}
		}
		if len(seqs) != 4 || firsts != 4 {
			t.Errorf("%d rows, %d of them new, want 4 and 4", len(seqs), firsts)
		}
	})
	t.Run("stored messages are listed in their order", func(t *testing.T) {
		var want []int64
		for i := range 5 {
			want = append(want, record(t, s, Intake("order", fmt.Sprint(i), fmt.Sprint(i))).Seq)
		}
		got, err := s.Stored(t.Context(), "order", want[0], 3)
		must(t, err)
		if len(got) != 3 || got[0].Seq != want[1] || got[2].Seq != want[3] || got[0].Header.Key == "" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("the list is filtered, the newest first", func(t *testing.T) {
		got, err := s.List(t.Context(), store.Filter{Channel: "order", Limit: 2})
		must(t, err)
		if len(got) != 2 || got[0].Seq < got[1].Seq {
			t.Errorf("got %v", got)
		}
		part := Intake("order", "part", "part")
		part.Message.Header.Key2, part.Message.Header.Sender = "part:X", "OTHER"
		record(t, s, part)
		for _, f := range []store.Filter{{Channel: "order", Key2: "part:X"}, {Channel: "order", Sender: "OTHER"}} {
			if got, err = s.List(t.Context(), f); err != nil || len(got) != 1 || got[0].Header.Control != "part" {
				t.Errorf("%+v: got %v %v", f, got, err)
			}
		}
		if got, err = s.List(t.Context(), store.Filter{Control: "2", State: message.Refused}); err != nil || len(got) != 1 {
			t.Errorf("got %v %v", got, err)
		}
	})
	t.Run("a restart finds all of it", func(t *testing.T) {
		before, err := s.Ledger(t.Context())
		must(t, err)
		s = o.Again(t, s)
		after, err := s.Ledger(t.Context())
		must(t, err)
		if fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("the ledger was %v and is %v", before, after)
		}
	})
}

// counts is the ledger of a channel, without what is zero.
func counts(t *testing.T, s store.Store, channel string) map[message.State]int64 {
	t.Helper()
	all, err := s.Ledger(t.Context())
	must(t, err)
	out := map[message.State]int64{}
	for _, c := range all {
		if c.Channel == channel && c.N != 0 {
			out[c.State] = c.N
		}
	}
	return out
}

func finish(t *testing.T, o Opener) {
	s := o.Open(t)
	lease, err := s.TakeOver(t.Context(), "lab", 0)
	must(t, err)
	t.Run("an outcome changes the state once", func(t *testing.T) {
		e := record(t, s, Intake("lab", "1", "one"))
		out := store.Outcome{
			Seq: e.Seq, State: message.Parked, Reason: "why", Actor: "channel:lab", Answer: message.Answer{Code: message.Erroneous},
			Events:   []store.Event{{Step: "mapped", Text: "first"}, {Step: "parked", Text: "second"}},
			Worklist: []store.WorkItem{{Kind: "unmapped", Where: "OBX-3", Table: "t", Code: "X"}},
		}
		must(t, lease.Finish(t.Context(), out))
		if err := lease.Finish(t.Context(), out); !errors.Is(err, store.ErrNotStored) {
			t.Errorf("a second time: %v", err)
		}
		m, err := s.Load(t.Context(), e.Seq)
		must(t, err)
		if m.State != message.Parked || m.Reason != "why" || m.Answer.Code != message.Erroneous {
			t.Errorf("got %+v", m)
		}
		trace, err := s.Trace(t.Context(), e.Seq)
		must(t, err)
		if len(trace) != 4 || trace[0].Step != "received" || trace[2].Text != "first" || trace[3].Text != "second" {
			t.Errorf("trace %v", trace)
		}
		work, err := s.Worklist(t.Context(), 10)
		if err != nil || len(work) != 1 || work[0].Code != "X" {
			t.Errorf("work list %v %v", work, err)
		}
		if got := counts(t, s, "lab"); got[message.Parked] != 1 || len(got) != 1 {
			t.Errorf("ledger %v", got)
		}
	})
	t.Run("deliveries stand with the message", func(t *testing.T) {
		e := record(t, s, Intake("lab", "d", "d"))
		id := message.NewID(time.Now())
		must(t, lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Done, Actor: "x", Deliveries: []message.Delivery{{ID: id, Unit: "lab/out", Key: "k", Payload: []byte("p")}}}))
		next := record(t, s, Intake("lab", "d2", "d2"))
		err := lease.Finish(t.Context(), store.Outcome{Seq: next.Seq, State: message.Done, Actor: "x", Deliveries: []message.Delivery{{ID: id, Unit: "lab/out"}}})
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("one delivery id was taken twice: %v", err)
		}
		if m, err := s.Load(t.Context(), next.Seq); err != nil || m.State != message.Stored {
			t.Errorf("after a delivery that could not be written the message is %v %v", m.State, err)
		}
	})
	t.Run("one that cannot be written does not undo its neighbours", func(t *testing.T) {
		var all sync.WaitGroup
		var entries []store.Entry
		for i := range 30 {
			entries = append(entries, record(t, s, Intake("lab", fmt.Sprint("n", i), fmt.Sprint("n", i))))
		}
		for i, e := range entries {
			all.Go(func() {
				out := store.Outcome{Seq: e.Seq, State: message.Done, Actor: "x"}
				if i%10 == 3 {
					out.Writes = []store.Write{patient(fmt.Sprint("nobody", i), "A", 7)} // expects a version that is not there
				}
				err := lease.Finish(context.WithoutCancel(t.Context()), out)
				if (i%10 == 3) != errors.Is(err, store.ErrConflict) || (i%10 != 3 && err != nil) {
					t.Errorf("outcome %d: %v", i, err)
				}
			})
		}
		all.Wait()
		left, err := s.Stored(t.Context(), "lab", 0, 100)
		must(t, err)
		if len(left) != 4 { // three conflicts, and the one of the test before
			t.Errorf("%d are still stored, want 4", len(left))
		}
	})
	t.Run("an older lease writes nothing", func(t *testing.T) {
		e := record(t, s, Intake("lab", "fence", "fence"))
		newer, err := s.TakeOver(t.Context(), "lab", 0)
		must(t, err)
		if newer.Epoch() <= lease.Epoch() {
			t.Errorf("epoch %d after %d", newer.Epoch(), lease.Epoch())
		}
		out := store.Outcome{Seq: e.Seq, State: message.Done, Actor: "x", Writes: []store.Write{patient("fenced", "A", 0)}}
		if err := lease.Finish(t.Context(), out); !errors.Is(err, store.ErrFenced) {
			t.Errorf("got %v, want ErrFenced", err)
		}
		if _, err := s.Read(t.Context(), "Patient", "fenced"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a fenced owner wrote: %v", err)
		}
		must(t, newer.Finish(t.Context(), out))
		must(t, newer.Release(t.Context()))
	})
}

func operate(t *testing.T, o Opener) {
	s := o.Open(t)
	lease, err := s.TakeOver(t.Context(), "lab", 0)
	must(t, err)
	in := Intake("lab", "1", "one")
	e := record(t, s, in)
	order := store.Order{Message: in.Message.ID, Who: "ann", Why: "mended"}
	do := func(action string) error {
		order.Action = action
		return s.Operate(t.Context(), order)
	}
	t.Run("who and why are needed", func(t *testing.T) {
		if err := s.Operate(t.Context(), store.Order{Action: store.ActDrop, Message: in.Message.ID}); err == nil {
			t.Error("dropped by nobody")
		}
	})
	t.Run("a parked message is handed in again under the next run", func(t *testing.T) {
		must(t, lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, State: message.Parked, Reason: "x", Actor: "x"}))
		must(t, do(store.ActReprocess))
		stored, err := s.Stored(t.Context(), "lab", 0, 10)
		must(t, err)
		if len(stored) != 1 || stored[0].Run != 1 {
			t.Fatalf("got %v", stored)
		}
		if err := lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, Run: 0, State: message.Done, Actor: "x"}); !errors.Is(err, store.ErrNotStored) {
			t.Errorf("an outcome of the run before: %v", err)
		}
		must(t, lease.Finish(t.Context(), store.Outcome{Seq: e.Seq, Run: 1, State: message.Done, Actor: "x"}))
	})
	t.Run("a done message takes no orders", func(t *testing.T) {
		for _, action := range []string{store.ActReprocess, store.ActDrop} {
			if err := do(action); !errors.Is(err, store.ErrNotStored) {
				t.Errorf("%s: %v", action, err)
			}
		}
	})
	t.Run("only a parked one is released, and its trace says by whom", func(t *testing.T) {
		held := Intake("lab", "held", "held")
		r := record(t, s, held)
		release := store.Order{Action: store.ActRelease, Message: held.Message.ID, Who: "ann", Why: "asked the ward"}
		if err := s.Operate(t.Context(), release); !errors.Is(err, store.ErrNotStored) {
			t.Errorf("a stored one: %v", err)
		}
		must(t, lease.Finish(t.Context(), store.Outcome{Seq: r.Seq, State: message.Parked, Reason: "held", Actor: "x"}))
		must(t, s.Operate(t.Context(), release))
		m, err := s.Find(t.Context(), held.Message.ID)
		must(t, err)
		events, err := s.Trace(t.Context(), r.Seq)
		must(t, err)
		last := events[len(events)-1]
		if m.State != message.Stored || m.Run != 1 || last.Step != store.StepReleased || last.Who != "ann" || last.Text != "asked the ward" || last.Run != 1 {
			t.Errorf("released: %s run %d, %+v", m.State, m.Run, last)
		}
		must(t, lease.Finish(t.Context(), store.Outcome{Seq: r.Seq, Run: 1, State: message.Done, Actor: "x"}))
	})
	t.Run("a dropped one says who and why", func(t *testing.T) {
		other := Intake("lab", "2", "two")
		record(t, s, other)
		must(t, s.Operate(t.Context(), store.Order{Action: store.ActDrop, Message: other.Message.ID, Who: "bob", Why: "a test"}))
		m, err := s.Find(t.Context(), other.Message.ID)
		must(t, err)
		if m.State != message.Dropped || !strings.Contains(m.Reason, "bob") || !strings.Contains(m.Reason, "a test") {
			t.Errorf("got %+v", m)
		}
		if got := counts(t, s, "lab"); got[message.Done] != 2 || got[message.Dropped] != 1 || len(got) != 2 {
			t.Errorf("ledger %v", got)
		}
	})
	t.Run("a unit is held and resumed", func(t *testing.T) {
		must(t, s.Operate(t.Context(), store.Order{Action: store.ActPause, Unit: "lab", Who: "ann", Why: "w"}))
		held, err := s.Held(t.Context())
		if err != nil || held["lab"] == "" {
			t.Errorf("held %v %v", held, err)
		}
		must(t, s.Operate(t.Context(), store.Order{Action: store.ActResume, Unit: "lab", Who: "ann", Why: "w"}))
		if held, err = s.Held(t.Context()); err != nil || len(held) != 0 {
			t.Errorf("held %v %v", held, err)
		}
	})
	t.Run("nobody is found under an id that does not exist", func(t *testing.T) {
		if err := s.Operate(t.Context(), store.Order{Action: store.ActDrop, Message: message.NewID(time.Now()), Who: "a", Why: "b"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}
