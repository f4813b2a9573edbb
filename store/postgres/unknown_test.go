package postgres

import (
	"crypto/sha256"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/plexus-health/plexus/internal/faults"
	"github.com/plexus-health/plexus/internal/pgtest"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
	"github.com/plexus-health/plexus/store/storetest"
)

// A shaky store reaches its database through a proxy that cuts connections.
type shaky struct {
	*testing.T
	*Store
	proxy *faults.Proxy
	lab   store.Lease
	out   store.Lease
	n     int
}

func newShaky(t *testing.T) *shaky {
	t.Helper()
	dsn, err := url.Parse(pgtest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	p := faults.NewProxy(t, dsn.Host)
	dsn.Host = p.Address()
	s := &shaky{T: t, Store: open(t, dsn.String()), proxy: p}
	s.lab, s.out = s.take("lab"), s.take("lab/out")
	return s
}

func (s *shaky) take(unit string) store.Lease {
	s.Helper()
	l, err := s.TakeOver(s.Context(), unit, 0)
	if err != nil {
		s.Fatal(err)
	}
	return l
}

func (s *shaky) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shaky) stored() store.Entry {
	s.Helper()
	s.n++
	e, err := s.Record(s.Context(), storetest.Intake("lab", message.NewID(time.Now()), "x"))
	s.ok(err)
	return e
}

func done(e store.Entry) store.Outcome {
	return store.Outcome{Seq: e.Seq, State: message.Done, Actor: "channel:lab", Deliveries: []message.Delivery{{
		ID: message.NewID(time.Now()), Unit: "lab/out", Key: "k", Control: "C", Payload: []byte("payload"),
	}}}
}

// queued makes a delivery that waits.
func (s *shaky) queued() message.Delivery {
	s.Helper()
	e := s.stored()
	s.ok(s.lab.Finish(s.Context(), done(e)))
	list, err := s.Deliveries(s.Context(), store.DeliveryFilter{Message: e.Seq})
	s.ok(err)
	return list[0]
}

func (s *shaky) sending() message.Delivery {
	s.Helper()
	d := s.queued()
	_, err := s.out.Claim(s.Context(), d.N)
	s.ok(err)
	return d
}

func (s *shaky) state(d message.Delivery) message.DeliveryState {
	s.Helper()
	got, err := s.FindDelivery(s.Context(), d.ID)
	s.ok(err)
	return got.State
}

// lostCommits are transactions that are cut off at their COMMIT. Each returns the
// call, and a check of what stands in the database when it was committed, or not.
var lostCommits = map[string]func(s *shaky) (call func() error, check func(committed bool)){
	"T1": func(s *shaky) (func() error, func(bool)) {
		in := storetest.Intake("lab", "lost", "x")
		return func() error {
				e, err := s.Record(s.Context(), in)
				if err == nil && (e.Copy || e.ID != in.Message.ID || e.Seq == 0) {
					s.Errorf("the entry is %+v", e)
				}
				return err
			}, func(committed bool) {
				_, err := s.Find(s.Context(), in.Message.ID)
				if committed != (err == nil) {
					s.Errorf("it is found with %v", err)
				}
			}
	},
	"T2": func(s *shaky) (func() error, func(bool)) {
		e := s.stored()
		return func() error { return s.lab.Finish(s.Context(), done(e)) }, func(committed bool) {
			list, err := s.Deliveries(s.Context(), store.DeliveryFilter{Message: e.Seq})
			s.ok(err)
			if committed != (len(list) == 1) {
				s.Errorf("%d deliveries", len(list))
			}
			err = s.lab.Finish(s.Context(), done(e)) // what a repeat comes to
			if committed != errors.Is(err, store.ErrNotStored) || !committed && err != nil {
				s.Errorf("again: %v", err)
			}
		}
	},
	"T2 that was parked": func(s *shaky) (func() error, func(bool)) {
		e := s.stored()
		return func() error {
				return s.lab.Finish(s.Context(), store.Outcome{Seq: e.Seq, State: message.Parked, Reason: "why", Events: []store.Event{{Step: "parked"}}})
			}, func(committed bool) {
				m, err := s.Load(s.Context(), e.Seq)
				s.ok(err)
				if committed != (m.State == message.Parked) {
					s.Errorf("it is %s", m.State)
				}
			}
	},
	"T3": func(s *shaky) (func() error, func(bool)) {
		d := s.queued()
		return func() error {
				got, err := s.out.Claim(s.Context(), d.N)
				if err == nil && (got.N != d.N || string(got.Payload) != "payload" || got.State != message.Sending || got.Attempts != 1) {
					s.Errorf("claimed %+v", got)
				}
				return err
			}, func(committed bool) {
				if got := s.state(d); committed != (got == message.Sending) {
					s.Errorf("it is %s", got)
				}
			}
	},
	"T4 and T3 of the next": func(s *shaky) (func() error, func(bool)) {
		d, next := s.sending(), s.queued()
		return func() error {
				got, err := s.out.Answer(s.Context(), store.Answer{N: d.N, Message: d.Message, State: message.Delivered}, next.N)
				if err == nil && (got.N != next.N || string(got.Payload) != "payload") {
					s.Errorf("next is %+v", got)
				}
				return err
			}, func(committed bool) {
				if a, b := s.state(d), s.state(next); committed != (a == message.Delivered && b == message.Sending) || !committed && (a != message.Sending || b != message.Waiting) {
					s.Errorf("they are %s and %s", a, b)
				}
			}
	},
	"T4 of a retry": func(s *shaky) (func() error, func(bool)) {
		d := s.sending()
		return func() error {
				_, err := s.out.Answer(s.Context(), store.Answer{N: d.N, Message: d.Message, State: message.Waiting, Due: time.Now().Add(time.Hour)}, 0)
				return err
			}, func(committed bool) {
				if got := s.state(d); committed != (got == message.Waiting) {
					s.Errorf("it is %s", got)
				}
			}
	},
	"T6 of a message": func(s *shaky) (func() error, func(bool)) {
		e := s.stored()
		return func() error {
				return s.Operate(s.Context(), store.Order{Action: store.ActDrop, Message: e.ID, Who: "ann", Why: "w"})
			}, func(committed bool) {
				m, err := s.Load(s.Context(), e.Seq)
				s.ok(err)
				if committed != (m.State == message.Dropped) {
					s.Errorf("it is %s", m.State)
				}
			}
	},
	"T6 of a delivery": func(s *shaky) (func() error, func(bool)) {
		d := s.queued()
		return func() error {
				return s.Operate(s.Context(), store.Order{Action: store.ActPark, Delivery: d.ID, Who: "ann", Why: "w"})
			}, func(committed bool) {
				if got := s.state(d); committed != (got == message.ParkedDelivery) {
					s.Errorf("it is %s", got)
				}
			}
	},
	"T6 of a unit": func(s *shaky) (func() error, func(bool)) {
		return func() error {
				return s.Operate(s.Context(), store.Order{Action: store.ActPause, Unit: "lab", Who: "ann", Why: "w"})
			}, func(committed bool) {
				held, err := s.Held(s.Context())
				s.ok(err)
				if committed != (held["lab"] != "") {
					s.Errorf("held is %v", held)
				}
			}
	},
	"a write of the API": func(s *shaky) (func() error, func(bool)) {
		content := []byte(`{"resourceType":"Patient","id":"lost"}`)
		return func() error {
				out, err := s.Write(s.Context(), []store.Write{{Type: "Patient", ID: "lost", Content: content, Hash: sha256.Sum256(content)}}, store.Author{Actor: "test"})
				if err == nil && (len(out) != 1 || out[0].Version != 1) {
					s.Errorf("wrote %+v", out)
				}
				return err
			}, func(committed bool) {
				_, err := s.Read(s.Context(), "Patient", "lost")
				if committed != (err == nil) {
					s.Errorf("it is read with %v", err)
				}
			}
	},
}

// A connection that is lost at COMMIT leaves the caller with the truth: what was
// committed is answered so, what was not is not available and can be repeated.
func TestACommitWhoseEndIsNotKnown(t *testing.T) {
	pgtest.Start(t) // one cluster for all of it
	for name, prepare := range lostCommits {
		for when, passed := range map[string]bool{"lost before it arrived": false, "answer lost": true} {
			t.Run(name+"/"+when, func(t *testing.T) {
				s := newShaky(t)
				call, check := prepare(s)
				cut := s.proxy.CutAt("commit\x00", passed)
				err := call()
				select {
				case <-cut:
				default:
					t.Fatal("nothing was cut")
				}
				switch {
				case passed && err != nil:
					t.Errorf("it was committed, and answered %v", err)
				case !passed && !errors.Is(err, store.ErrUnavailable):
					t.Errorf("it was not committed, and answered %v", err)
				}
				check(passed)
			})
		}
	}
}

// An outcome that is not known must not be taken for that of another: an operator
// was first.
func TestAnUnknownOutcomeThatWasNotOurs(t *testing.T) {
	s := newShaky(t)
	e := s.stored()
	o := &outcome{}
	out := done(e)
	s.ok(s.Operate(t.Context(), store.Order{Action: store.ActDrop, Message: e.ID, Who: "ann", Why: "w"}))
	o.finished = relational.FinishedOf(&out, "lab", time.Now())
	if err := s.Store.finished(t.Context(), o); !errors.Is(err, store.ErrNotStored) {
		t.Errorf("got %v, want that it is not stored any more", err)
	}
}

// A take-over whose end is not known is not available, and is begun again: what
// was being sent then waits, marked, whether the first one was committed or not,
// and nobody sends under an epoch before the last.
func TestATakeOverWhoseEndIsNotKnown(t *testing.T) {
	pgtest.Start(t) // one cluster for all of it
	for when, passed := range map[string]bool{"lost before it arrived": false, "answer lost": true} {
		t.Run(when, func(t *testing.T) {
			s := newShaky(t)
			d := s.sending()
			cut := s.proxy.CutAt("commit\x00", passed)
			lease, err := s.TakeOver(t.Context(), "lab/out", time.Minute)
			select {
			case <-cut:
			default:
				t.Fatal("nothing was cut")
			}
			if lease != nil || !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("it was answered %v %v, want that it is not available", lease, err)
			}
			again, err := s.TakeOver(t.Context(), "lab/out", time.Minute)
			s.ok(err)
			got, err := s.FindDelivery(t.Context(), d.ID)
			s.ok(err)
			if got.State != message.Waiting || !got.MaybeSent || got.Attempts != 1 {
				t.Errorf("the delivery is %+v, want that it waits and is marked", got)
			}
			if want := s.out.Epoch() + 1; again.Epoch() < want || passed != (again.Epoch() > want) {
				t.Errorf("epoch %d after %d", again.Epoch(), s.out.Epoch())
			}
			if _, err := s.out.Answer(t.Context(), store.Answer{N: d.N, Message: d.Message, State: message.Delivered}, 0); !errors.Is(err, store.ErrFenced) {
				t.Errorf("the owner before answered %v, want that it is fenced", err)
			}
			claimed, err := again.Claim(t.Context(), d.N)
			s.ok(err)
			if claimed.Control != d.Control || string(claimed.Payload) != "payload" || !claimed.MaybeSent {
				t.Errorf("claimed %+v", claimed)
			}
		})
	}
}

// A file whose claim is not known to be committed is found out about by a
// take-over: it is there whole and waits, marked, under its bytes, or is not there
// and its deliveries wait by themselves. An answer that is not known is given again:
// where the first one was committed nothing is being sent any more.
func TestAFileWhoseCommitIsNotKnown(t *testing.T) {
	pgtest.Start(t) // one cluster for all of it
	for when, passed := range map[string]bool{"lost before it arrived": false, "answer lost": true} {
		t.Run(when, func(t *testing.T) {
			s := newShaky(t)
			out, ok := s.out.(store.Bundler)
			if !ok {
				t.Fatal("the lease takes no files")
			}
			rows := []message.Delivery{s.queued(), s.queued()}
			file := store.Batch{ID: message.NewID(time.Now()), Number: 1, Control: "F1", Payload: []byte("file"), Deliveries: rows}
			cut := s.proxy.CutAt("commit\x00", passed)
			if _, err := out.Bundle(t.Context(), file, time.Now()); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("the claim was answered %v", err)
			}
			<-cut
			lease, err := s.TakeOver(t.Context(), "lab/out", time.Minute)
			s.ok(err)
			closed, err := s.Closed(t.Context(), "lab/out")
			s.ok(err)
			if passed != (len(closed) == 1) {
				t.Fatalf("files: %+v", closed)
			}
			for _, d := range rows {
				if got, err := s.FindDelivery(t.Context(), d.ID); err != nil || got.State != message.Waiting || got.MaybeSent != passed {
					t.Errorf("a delivery is %+v %v", got, err)
				}
			}
			out, _ = lease.(store.Bundler)
			var taken store.Batch
			if passed {
				taken, err = out.Resend(t.Context(), closed[0].N)
			} else {
				taken, err = out.Bundle(t.Context(), file, time.Now())
			}
			s.ok(err)
			if string(taken.Payload) != "file" || taken.Number != 1 || len(taken.Deliveries) != 2 {
				t.Fatalf("taken %+v", taken)
			}
			answers := make([]store.Answer, 2)
			for i, d := range taken.Deliveries {
				answers[i] = store.Answer{N: d.N, Message: d.Message, State: message.Delivered}
			}
			cut = s.proxy.CutAt("commit\x00", passed)
			if err := out.AnswerBatch(t.Context(), taken.N, answers); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("the answer was answered %v", err)
			}
			<-cut
			if err := out.AnswerBatch(t.Context(), taken.N, answers); passed != errors.Is(err, store.ErrNotSending) || !passed && err != nil {
				t.Errorf("again: %v", err)
			}
			for _, d := range rows {
				if got := s.state(d); got != message.Delivered {
					t.Errorf("a delivery is %s", got)
				}
			}
		})
	}
}
