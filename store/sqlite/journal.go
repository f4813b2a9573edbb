package sqlite

import (
	"context"
	"fmt"

	"github.com/plexus-health/plexus/internal/killpoint"
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

// Record is T1.
func (s *Store) Record(ctx context.Context, in store.Intake) (store.Entry, error) {
	row := relational.RowOf(&in, s.options.Now())
	var entry store.Entry
	err := s.writer.do(ctx, &op{bytes: len(row.Body) + 300, small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) (err error) {
		entry, err = relational.RecordAtOnce(ctx, tx, &row, led)
		return err
	}})
	if err != nil {
		return store.Entry{}, err
	}
	return entry, nil
}

// TakeOver is T5.
func (s *Store) TakeOver(ctx context.Context, unit string) (store.Lease, error) {
	l := &lease{store: s, unit: unit}
	err := s.writer.do(ctx, &op{whole: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) (err error) {
		l.epoch, err = relational.TakeOver(ctx, tx, unit, s.owner, s.options.Now())
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
	return s.writer.do(ctx, &op{whole: true, small: func(ctx context.Context, tx relational.Tx, led *relational.Ledger) error {
		return relational.Operate(ctx, tx, o, now, led)
	}})
}

// Write is a transaction of the API.
func (s *Store) Write(ctx context.Context, writes []store.Write, by store.Author) ([]store.Resource, error) {
	now := s.options.Now()
	var out []store.Resource
	err := s.writer.do(ctx, &op{whole: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) (err error) {
		out, err = relational.ApplyAPI(ctx, tx, writes, by, now)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// A lease is a unit of this process.
type lease struct {
	store *Store
	unit  string
	epoch int64
}

var _ store.Lease = (*lease)(nil)

// Unit names the unit.
func (l *lease) Unit() string { return l.unit }

// Epoch is the count of take-overs.
func (l *lease) Epoch() int64 { return l.epoch }

// Began counts a crash in advance.
func (l *lease) Began(ctx context.Context, seq int64) error {
	return l.store.writer.do(ctx, &op{whole: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		if err := relational.Fence(ctx, tx, l.unit, l.store.owner, l.epoch); err != nil {
			return err
		}
		return relational.Began(ctx, tx, seq)
	}})
}

// Finish is T2.
func (l *lease) Finish(ctx context.Context, o store.Outcome) error {
	now := l.store.options.Now()
	return l.store.writer.do(ctx, &op{outcome: &outcome{
		lease:    l,
		finished: relational.FinishedOf(&o, l.unit, now),
		set:      relational.WriteSet{Writes: o.Writes, Message: o.Seq, Now: now, Actor: o.Actor},
	}})
}

// Release hands the unit back.
func (l *lease) Release(ctx context.Context) error {
	return l.store.writer.do(ctx, &op{whole: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		return relational.Release(ctx, tx, l.unit, l.store.owner, l.epoch)
	}})
}
