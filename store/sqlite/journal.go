package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

// Chunk writes one part of a large body.
func (s *Store) Chunk(ctx context.Context, id string, n int, data []byte) error {
	if len(data) > store.MaxChunk {
		return fmt.Errorf("a part of %d bytes is larger than %d", len(data), store.MaxChunk)
	}
	now := s.options.Now()
	data = append([]byte(nil), data...)
	err := s.writer.do(ctx, &op{bytes: len(data), small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		return relational.Chunk(ctx, tx, id, n, data, now)
	}})
	killpoint.Hit("chunk_written")
	return err
}

// Part writes one part of the bytes of a resource.
func (s *Store) Part(ctx context.Context, id string, n int, data []byte) error {
	if len(data) > store.MaxChunk {
		return fmt.Errorf("a part of %d bytes is larger than %d", len(data), store.MaxChunk)
	}
	now := s.options.Now()
	return s.writer.do(ctx, &op{bytes: len(data), small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		return relational.Part(ctx, tx, id, n, data, now)
	}})
}

// Record is T1.
func (s *Store) Record(ctx context.Context, in store.Intake) (store.Entry, error) {
	o, t := s.recordOp(&in)
	if err := s.writer.do(ctx, o); err != nil {
		return store.Entry{}, err
	}
	return t.Entry, nil
}

// recordOp is the operation that records a message, and what it records.
func (s *Store) recordOp(in *store.Intake) (*op, *relational.T1) {
	t := &relational.T1{Row: relational.RowOf(in, s.options.Now())}
	o := &op{record: t, bytes: len(t.Row.Body) + 300, after: func() { in.Tell(&t.Entry) }}
	o.small = func(ctx context.Context, tx relational.Tx, led *relational.Ledger) (err error) {
		if t.Row.Alone() {
			t.Entry, err = relational.Record(ctx, tx, &t.Row, led)
			return err
		}
		return relational.RecordSeveral(ctx, tx, []*relational.T1{t}, led)
	}
	return o, t
}

// TakeOver is T5.
//
// Nobody else can be at a send: the folder is open once, and what had it open
// before has ended.
func (s *Store) TakeOver(ctx context.Context, unit string, _ time.Duration) (store.Lease, error) {
	l := &lease{store: s, unit: unit}
	err := s.writer.do(ctx, &op{whole: true, step: stepT5, small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) (err error) {
		l.epoch, err = relational.TakeOver(ctx, tx, unit, s.owner, s.options.Now(), 0, led)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Operate is T6.
func (s *Store) Operate(ctx context.Context, o store.Order) error {
	now := s.options.Now()
	return s.writer.do(ctx, &op{whole: true, step: stepT6, small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) error {
		return relational.Operate(ctx, tx, o, now, led)
	}})
}

// Unit finds, renames or makes a unit.
func (s *Store) Unit(ctx context.Context, name, was string) (id string, err error) {
	err = s.writer.do(ctx, &op{whole: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) (err error) {
		id, err = relational.Unit(ctx, tx, name, was)
		return err
	}})
	return id, err
}

// Write is a transaction of the API.
func (s *Store) Write(ctx context.Context, writes []store.Write, by store.Author) ([]store.Resource, error) {
	now := s.options.Now()
	relational.Triggered(s.trigger, writes, "")
	set := relational.SetOf(writes, 0, now, by.Actor, s.index.Number)
	var out []store.Resource
	err := s.writer.do(ctx, &op{whole: true, step: stepWrite, bytes: weight(writes, nil, nil), small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) error {
		list, err := relational.ApplyAPI(ctx, tx, []relational.WriteSet{set}, []store.Author{by}, led)
		if err == nil {
			out = list[0]
		}
		return err
	}})
	if err != nil {
		return nil, err
	}
	relational.Started(s.trigger, writes, nil)
	return out, nil
}

// Start says who makes the messages that written resources start.
func (s *Store) Start(t store.Trigger) { s.trigger = t }

// Runs notes nothing: no other engine has the folder open.
func (s *Store) Runs(context.Context, map[string]string) error { return nil }

// Older is empty for the same reason.
func (s *Store) Older(context.Context) (map[string]bool, error) { return nil, nil }

// Elsewhere is empty: no other engine has the folder open.
func (s *Store) Elsewhere(context.Context) (map[string]bool, error) { return nil, nil }

// A lease is a unit of this process.
type lease struct {
	store *Store
	unit  string
	epoch int64
	// barred: barriers stand in the unit. The writer's own, as of its batch.
	barred bool
}

var _ store.Lease = (*lease)(nil)

// Unit names the unit.
func (l *lease) Unit() string { return l.unit }

// Epoch is the count of take-overs.
func (l *lease) Epoch() int64 { return l.epoch }

// Began counts a crash in advance.
func (l *lease) Began(ctx context.Context, seq int64) error {
	return l.small(ctx, func(ctx context.Context, tx relational.Tx) error { return relational.Began(ctx, tx, seq) })
}

// Spared takes it back.
func (l *lease) Spared(ctx context.Context, seq int64) error {
	return l.small(ctx, func(ctx context.Context, tx relational.Tx) error { return relational.Spared(ctx, tx, seq) })
}

// Rules notes the rules of order of the channel's routes.
func (l *lease) Rules(ctx context.Context, rules map[string]string) error {
	return l.small(ctx, func(ctx context.Context, tx relational.Tx) error { return relational.Rules(ctx, tx, rules) })
}

// small runs a few statements behind the fence.
func (l *lease) small(ctx context.Context, f func(ctx context.Context, tx relational.Tx) error) error {
	return l.store.writer.do(ctx, &op{lease: l, whole: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		return f(ctx, tx)
	}})
}

// Finish is T2.
func (l *lease) Finish(ctx context.Context, o store.Outcome) error {
	now := l.store.options.Now()
	relational.Triggered(l.store.trigger, o.Writes, o.Via)
	err := l.store.writer.do(ctx, &op{step: stepT2, bytes: weight(o.Writes, o.Deliveries, o.Intakes), outcome: &outcome{
		lease:    l,
		finished: relational.FinishedOf(&o, l.unit, now),
		set:      relational.SetOf(o.Writes, o.Seq, now, o.Actor, l.store.index.Number),
	}})
	if err == nil {
		relational.Started(l.store.trigger, o.Writes, o.Intakes)
	}
	return err
}

// weight is about how much a batch grows by what an outcome writes.
func weight(writes []store.Write, deliveries []message.Delivery, intakes []store.Intake) int {
	const row = 300
	n := row
	for i := range writes {
		n += len(writes[i].Content) + weight(nil, nil, writes[i].Starts)
	}
	for i := range deliveries {
		n += len(deliveries[i].Payload) + row
	}
	for i := range intakes {
		n += len(intakes[i].Message.Raw) + row
	}
	return n
}

// answerWeight is the same of an answer.
func answerWeight(a *store.Answer) int {
	n := len(a.Raw) + weight(nil, nil, a.Intakes)
	if a.Next != nil {
		n += len(a.Next.Payload)
	}
	return n
}

// Valid is always true: the folder's lock is held as long as the process lives.
func (l *lease) Valid() bool { return true }

// Claim is T3.
func (l *lease) Claim(ctx context.Context, n int64) (d message.Delivery, err error) {
	now := l.store.options.Now()
	err = l.store.writer.do(ctx, &op{lease: l, small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) (err error) {
		d, err = relational.Claim(ctx, tx, l.unit, n, now, led)
		return err
	}})
	return d, err
}

// Answer is T4, and T3 of next.
func (l *lease) Answer(ctx context.Context, a store.Answer, next int64) (d message.Delivery, err error) {
	now := l.store.options.Now()
	answered := relational.AnsweredOf(&a, now)
	killpoint.Hit("before_answer")
	err = l.store.writer.do(ctx, &op{lease: l, whole: answered.Several(), bytes: answerWeight(&a), small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) (err error) {
		err = answered.Settle(ctx, tx, l.unit, led)
		if err == nil && l.barred && answered.Closes() {
			err = relational.Barriers(ctx, tx, l.unit)
		}
		if err == nil && next != 0 {
			d, err = relational.Claim(ctx, tx, l.unit, next, now, led)
			if errors.Is(err, store.ErrNotWaiting) {
				err = nil
			}
		}
		return err
	}})
	if err == nil {
		relational.Started(l.store.trigger, nil, a.Intakes)
	}
	return d, err
}

// Prune takes content away when nobody waits for the writer.
func (l *lease) Prune(ctx context.Context, seqs []int64) (out store.Pruned, err error) {
	now := l.store.options.Now()
	err = l.store.writer.do(ctx, &op{idle: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) (err error) {
		if err := relational.Fence(ctx, tx, l.unit, l.store.owner, l.epoch); err != nil {
			return err
		}
		out, err = relational.PruneSome(ctx, tx, seqs, now, sliceTime)
		killpoint.Hit("before_prune")
		return err
	}})
	if err != nil {
		return store.Pruned{}, err
	}
	killpoint.Hit("after_prune")
	return out, nil
}

// Release hands the unit back.
func (l *lease) Release(ctx context.Context) error {
	return l.store.writer.do(ctx, &op{whole: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		return relational.Release(ctx, tx, l.unit, l.store.owner, l.epoch)
	}})
}
