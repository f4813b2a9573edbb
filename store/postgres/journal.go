package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

// A record is an intake that waits for its commit.
type record struct {
	in    store.Intake
	row   relational.Row
	entry store.Entry
	err   error
	done  chan struct{}
}

// An outcome is a T2 that waits for its commit.
type outcome struct {
	lease    *lease
	finished *relational.Finished
	set      relational.WriteSet
	err      error
	done     chan struct{}
}

var errClosed = errors.New("the store is closed")

// Chunk writes one part of a large body.
func (s *Store) Chunk(ctx context.Context, id string, n int, data []byte) error {
	if len(data) > store.MaxChunk {
		return fmt.Errorf("a part of %d bytes is larger than %d", len(data), store.MaxChunk)
	}
	err := s.inTx(ctx, func(t *tx, _ *relational.Ledger) error {
		return relational.Chunk(ctx, t, id, n, data, s.options.Now())
	})
	killpoint.Hit("chunk_written")
	return err
}

// Part writes one part of the bytes of a resource.
func (s *Store) Part(ctx context.Context, id string, n int, data []byte) error {
	if len(data) > store.MaxChunk {
		return fmt.Errorf("a part of %d bytes is larger than %d", len(data), store.MaxChunk)
	}
	return s.inTx(ctx, func(t *tx, _ *relational.Ledger) error {
		return relational.Part(ctx, t, id, n, data, s.options.Now())
	})
}

// Record is T1.
func (s *Store) Record(ctx context.Context, in store.Intake) (store.Entry, error) {
	r := &record{in: in, row: relational.RowOf(&in, s.options.Now()), done: make(chan struct{})}
	select {
	case <-s.closing:
		return store.Entry{}, errClosed
	default:
	}
	select {
	case s.records <- r:
	case <-ctx.Done():
		return store.Entry{}, ctx.Err()
	case <-s.closing:
		return store.Entry{}, errClosed
	}
	// What was handed over is known only when it is done, whatever ctx says.
	select {
	case <-r.done:
		return r.entry, r.err
	case <-s.ended:
		return store.Entry{}, errClosed
	}
}

// take gathers what waits in a queue, up to most.
func take[T any](ctx context.Context, closing <-chan struct{}, queue <-chan T, most int) []T {
	var batch []T
	select {
	case one := <-queue:
		batch = append(batch, one)
	case <-closing:
	case <-ctx.Done():
	}
	for len(batch) < most {
		select {
		case one := <-queue:
			batch = append(batch, one)
		default:
			return batch
		}
	}
	return batch
}

// recorder groups records over one connection.
func (s *Store) recorder(ctx context.Context, shard int) {
	for {
		batch := take(ctx, s.closing, s.records, 256)
		if len(batch) == 0 {
			return
		}
		s.record(context.WithoutCancel(ctx), batch, shard)
		for _, r := range batch {
			if r.err == nil {
				r.in.Tell(&r.entry)
			}
			close(r.done)
		}
	}
}

// record is T1 of a group. A connection that is lost during the commit leaves
// the outcome unknown: it is read back by key before anybody is answered.
func (s *Store) record(ctx context.Context, batch []*record, shard int) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := s.recordGroup(ctx, batch, shard)
	if err == nil {
		killpoint.Hit("after_commit")
		s.journal.wrote(len(batch))
		return
	}
	s.options.Log.Error("a group of records was not committed", "records", len(batch), "error", plain(err).Error())
	again, cancel := asking(ctx)
	defer cancel()
	left := batch
	for try := range 10 {
		if try > 0 {
			time.Sleep(askEach) // the server may still be at the commit
		}
		var missing []*record
		for _, r := range left {
			if r.entry, r.err = s.readBack(again, r, err); r.err != nil {
				missing = append(missing, r)
			}
		}
		if left = missing; len(left) == 0 || !errors.Is(err, errUnknown) {
			return
		}
	}
}

// readBack finds out whether a record was committed after all.
func (s *Store) readBack(ctx context.Context, r *record, cause error) (store.Entry, error) {
	var entry store.Entry
	found := false
	err := s.lend(ctx, func(t relational.Tx) (err error) {
		entry, found, _, err = relational.Known(ctx, t, &r.row)
		return err
	})
	switch {
	case err != nil || !found:
		if err := plain(cause); errors.Is(err, store.ErrUnavailable) {
			return store.Entry{}, err
		}
		return store.Entry{}, fmt.Errorf("%w: the group of records was not committed", store.ErrUnavailable)
	case entry.ID == r.row.ID:
		entry.Copy = false // it is ours
	}
	return entry, nil
}

const insertRecords = `WITH fresh AS (
  INSERT INTO messages (id, channel, type, peer, state, reason, sender, control, hash, key, key2, routes_version, answer, size, received, recorded, chunks)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[], $17::text[])
  ON CONFLICT DO NOTHING RETURNING id, seq, chunks
), kept AS (
  INSERT INTO bodies (message, data)
  SELECT f.seq, b.data FROM fresh f JOIN unnest($1::text[], $18::bytea[]) AS b(id, data) ON b.id = f.id WHERE f.chunks = ''
)
SELECT id, seq FROM fresh`

const knownRecords = `SELECT q.n, m.seq, m.id, m.state, m.reason, m.answer, m.run, m.hash = q.hash
FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bytea[]) AS q(n, channel, sender, control, hash)
JOIN messages m ON m.channel = q.channel AND m.sender = q.sender AND m.control = q.control AND (m.hash = q.hash OR q.control <> '') ORDER BY m.seq`

func (s *Store) recordGroup(ctx context.Context, batch []*record, shard int) error {
	return s.transact(ctx, func(p pgx.Tx) error {
		led := &relational.Ledger{}
		if err := known(ctx, p, batch); err != nil {
			return err
		}
		fresh, err := whole(ctx, p, distinct(batch))
		if err != nil {
			return err
		}
		if err := insertFresh(ctx, p, fresh, led); err != nil {
			return err
		}
		// What neither stood there nor was inserted was inserted beside us, or
		// stands in this group twice.
		var rest []*record
		for _, r := range batch {
			if r.entry.Seq == 0 && r.err == nil {
				rest = append(rest, r)
			}
		}
		if len(rest) > 0 {
			if err := known(ctx, p, rest); err != nil {
				return err
			}
			for _, r := range rest {
				if r.entry.Seq == 0 {
					return fmt.Errorf("%w: a record was inserted beside this one", store.ErrUnavailable)
				}
			}
		}
		if err := led.Write(ctx, &tx{p}, s.shard(shard)); err != nil {
			return err
		}
		killpoint.Hit("before_commit")
		return nil
	})
}

// known looks up which records stand in the journal already.
func known(ctx context.Context, p pgx.Tx, batch []*record) error {
	n := make([]int32, len(batch))
	channel, sender, control := make([]string, len(batch)), make([]string, len(batch)), make([]string, len(batch))
	hash := make([][]byte, len(batch))
	for i, r := range batch {
		n[i], channel[i], sender[i], control[i], hash[i] = int32(i), r.row.Channel, r.row.Sender, r.row.Control, r.row.Hash
	}
	rows, err := p.Query(ctx, knownRecords, n, channel, sender, control, hash)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var i, run int
		var seq int64
		var id, state, reason, answer string
		var same bool
		if err := rows.Scan(&i, &seq, &id, &state, &reason, &answer, &run, &same); err != nil {
			return err
		}
		r := batch[i]
		switch {
		case !same:
			r.entry.Clash = r.entry.Clash || state != string(message.Refused) // what was refused has taken no number
		case r.entry.Seq == 0:
			clash := r.entry.Clash
			r.entry = relational.EntryOf(seq, id, state, reason, answer, run)
			r.entry.Copy, r.entry.Clash = true, clash
		}
	}
	return rows.Err()
}

// distinct are the records of a group that are to be inserted: the first of
// those that are the same.
func distinct(batch []*record) []*record {
	seen := map[string]bool{}
	var fresh []*record
	for _, r := range batch {
		key := r.row.Channel + "\x00" + r.row.Sender + "\x00" + r.row.Control + "\x00" + string(r.row.Hash)
		if r.entry.Seq == 0 && !seen[key] {
			seen[key] = true
			fresh = append(fresh, r)
		}
	}
	return fresh
}

// whole leaves out the records whose large body is not there whole; they are told.
func whole(ctx context.Context, p pgx.Tx, fresh []*record) ([]*record, error) {
	var out []*record
	for _, r := range fresh {
		r.err = relational.Whole(ctx, &tx{p}, &r.row)
		switch {
		case r.err == nil:
			out = append(out, r)
		case !errors.Is(r.err, store.ErrUnavailable): // a fault of the database
			return nil, r.err
		}
	}
	return out, nil
}

func insertFresh(ctx context.Context, p pgx.Tx, fresh []*record, led *relational.Ledger) error {
	if len(fresh) == 0 {
		return nil
	}
	text := make([][]string, 13)
	numbers := make([][]int64, 3)
	var hash, body [][]byte
	byID := make(map[string]*record, len(fresh))
	for _, r := range fresh {
		w := &r.row
		if r.entry.Clash && w.RefuseClash && w.State == string(message.Stored) {
			w.State, w.Reason, w.Answer = w.ClashState, w.ClashReason, w.ClashAnswerJSON
		}
		for i, v := range []string{w.ID, w.Channel, w.Type, w.Peer, w.State, w.Reason, w.Sender, w.Control, w.Key, w.Key2, w.Version, w.Answer, w.Chunks} {
			text[i] = append(text[i], v)
		}
		for i, v := range []int64{w.Size, w.Received, w.Recorded} {
			numbers[i] = append(numbers[i], v)
		}
		hash, body = append(hash, w.Hash), append(body, w.Body)
		byID[w.ID] = r
	}
	rows, err := p.Query(ctx, insertRecords, text[0], text[1], text[2], text[3], text[4], text[5], text[6], text[7], hash, text[8], text[9], text[10], text[11],
		numbers[0], numbers[1], numbers[2], text[12], body)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var seq int64
		if err := rows.Scan(&id, &seq); err != nil {
			return err
		}
		r := byID[id]
		clash := r.entry.Clash
		r.entry = relational.EntryOf(seq, id, r.row.State, r.row.Reason, r.row.Answer, 0)
		r.entry.Clash = clash
		led.Add(r.row.Channel, message.State(r.row.State), 1)
	}
	return rows.Err()
}

// TakeOver is T5.
func (s *Store) TakeOver(ctx context.Context, unit string, grace time.Duration) (store.Lease, error) {
	l := &lease{store: s, unit: unit, owner: *s.owner.Load()}
	err := s.inStep(ctx, "t5", func(t *tx, led *relational.Ledger) error {
		now, err := clockOf(ctx, t)
		if err != nil {
			return err
		}
		l.epoch, err = relational.TakeOver(ctx, t, unit, l.owner, now, grace, led)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Operate is T6. A transaction that met another one in a circle of locks, or a
// delivery that was just moved, is run again.
func (s *Store) Operate(ctx context.Context, o store.Order) (err error) {
	now := s.options.Now()
	for range 3 {
		err = s.inStep(ctx, "t6", func(t *tx, led *relational.Ledger) error {
			return relational.Operate(ctx, t, o, now, led)
		})
		if !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if errors.Is(err, errUnknown) {
		return s.operated(ctx, o, now)
	}
	return err
}

// Unit finds, renames or makes a unit.
func (s *Store) Unit(ctx context.Context, name, was string) (id string, err error) {
	err = s.inTx(ctx, func(t *tx, _ *relational.Ledger) (err error) {
		id, err = relational.Unit(ctx, t, name, was)
		return err
	})
	return id, err
}

// Start says who makes the messages that written resources start.
func (s *Store) Start(t store.Trigger) { s.trigger = t }

// finisher groups outcomes over one connection.
func (s *Store) finisher(ctx context.Context, shard int) {
	for {
		batch := take(ctx, s.closing, s.outcomes, 16)
		if len(batch) == 0 {
			return
		}
		s.finish(context.WithoutCancel(ctx), batch, shard)
		for _, o := range batch {
			close(o.done)
		}
	}
}

// finish is T2 of a group in one transaction; when one of them cannot be
// written, each in its own.
func (s *Store) finish(ctx context.Context, batch []*outcome, shard int) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	err := s.together(ctx, batch, shard)
	if err == nil || len(batch) == 1 || errors.Is(err, store.ErrUnavailable) {
		for _, o := range batch {
			o.err = err
		}
	} else {
		for _, o := range batch {
			o.err = s.together(ctx, []*outcome{o}, shard)
		}
	}
	ctx, ended := asking(ctx)
	defer ended()
	for _, o := range batch {
		if errors.Is(o.err, errUnknown) {
			o.err = s.finished(ctx, o)
		}
	}
	killpoint.Hit("after_t2_commit")
}

func (s *Store) together(ctx context.Context, batch []*outcome, shard int) error {
	err := s.transact(ctx, func(p pgx.Tx) error {
		t, led := &tx{p}, &relational.Ledger{}
		fenced := map[*lease]bool{}
		sets := make([]relational.WriteSet, 0, len(batch))
		finished := make([]*relational.Finished, 0, len(batch))
		for _, o := range batch {
			if !fenced[o.lease] {
				if err := relational.Fence(ctx, t, o.lease.unit, o.lease.owner, o.lease.epoch); err != nil {
					return err
				}
				fenced[o.lease] = true
			}
			finished = append(finished, o.finished)
			if len(o.set.Writes) > 0 {
				sets = append(sets, o.set)
			}
		}
		if err := relational.Settle(ctx, t, finished, led); err != nil {
			return err
		}
		if len(sets) > 0 {
			if err := relational.ApplyWrites(ctx, t, sets, led); err != nil {
				return err
			}
		}
		if err := led.Write(ctx, t, s.shard(shard)); err != nil {
			return err
		}
		killpoint.Hit("before_t2_commit")
		return nil
	})
	if err == nil {
		for _, o := range batch {
			s.resources.wrote(len(o.set.Writes))
		}
	}
	return plain(err)
}

// A lease is a unit of this engine.
type lease struct {
	store *Store
	unit  string
	owner string
	epoch int64
	// barred: barriers stood in the unit when it was last fenced.
	barred atomic.Bool
}

var _ store.Lease = (*lease)(nil)

// Unit names the unit.
func (l *lease) Unit() string { return l.unit }

// Epoch is the count of take-overs.
func (l *lease) Epoch() int64 { return l.epoch }

// Began counts a crash in advance.
func (l *lease) Began(ctx context.Context, seq int64) error {
	return l.fenced(ctx, func(t *tx, _ *relational.Ledger) error { return relational.Began(ctx, t, seq) })
}

// Spared takes it back.
func (l *lease) Spared(ctx context.Context, seq int64) error {
	return l.fenced(ctx, func(t *tx, _ *relational.Ledger) error { return relational.Spared(ctx, t, seq) })
}

// Rules notes the rules of order of the channel's routes.
func (l *lease) Rules(ctx context.Context, rules map[string]string) error {
	return l.fenced(ctx, func(t *tx, _ *relational.Ledger) error { return relational.Rules(ctx, t, rules) })
}

// Finish is T2.
func (l *lease) Finish(ctx context.Context, o store.Outcome) error {
	now := l.store.options.Now()
	relational.Triggered(l.store.trigger, o.Writes, o.Via)
	out := &outcome{
		lease: l, finished: relational.FinishedOf(&o, l.unit, now), done: make(chan struct{}),
		set: relational.SetOf(o.Writes, o.Seq, now, o.Actor, l.store.index.Number),
	}
	select {
	case <-l.store.closing:
		return errClosed
	default:
	}
	select {
	case l.store.outcomes <- out:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.store.closing:
		return errClosed
	}
	select {
	case <-out.done:
		if out.err == nil {
			relational.Started(l.store.trigger, o.Writes, o.Intakes)
		}
		return out.err
	case <-l.store.ended:
		return errClosed
	}
}

// pruneAtOnce are the messages that lose their content in one transaction.
const pruneAtOnce = 32

// Prune takes content away in a small transaction.
func (l *lease) Prune(ctx context.Context, seqs []int64) (out store.Pruned, err error) {
	some := seqs[:min(len(seqs), pruneAtOnce)]
	now := l.store.options.Now()
	err = l.store.inTx(ctx, func(t *tx, _ *relational.Ledger) (err error) {
		if err := relational.Fence(ctx, t, l.unit, l.owner, l.epoch); err != nil {
			return err
		}
		out, err = relational.PruneSome(ctx, t, some, now, time.Second)
		killpoint.Hit("before_prune")
		return err
	})
	if err != nil {
		return store.Pruned{}, err
	}
	killpoint.Hit("after_prune")
	out.Left = append(out.Left, seqs[len(some):]...)
	return out, nil
}

// Release hands the unit back.
func (l *lease) Release(ctx context.Context) error {
	return l.store.inTx(ctx, func(t *tx, _ *relational.Ledger) error {
		return relational.Release(ctx, t, l.unit, l.owner, l.epoch)
	})
}
