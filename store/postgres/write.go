package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

// Bounds of the transactions of the API that are committed together.
const (
	writers      = 3
	mostTogether = 32        // transactions
	fewTogether  = 16        // writes of one: a larger one goes by itself
	lightEnough  = 256 << 10 // bytes of one: a heavier one too
)

// A write is a transaction of the API on its way.
type write struct {
	set  relational.WriteSet
	by   store.Author
	out  []store.Resource
	err  error
	done chan struct{}
}

// Write is a transaction of the API. Small ones that come at once share a commit.
func (s *Store) Write(ctx context.Context, writes []store.Write, by store.Author) ([]store.Resource, error) {
	relational.Triggered(s.trigger, writes, "")
	w := &write{set: relational.SetOf(writes, 0, s.options.Now(), by.Actor, s.index.Number), by: by, done: make(chan struct{})}
	if by.Key != "" || len(writes) > fewTogether || weight(writes) > lightEnough {
		w.err = s.writeTogether(ctx, []*write{w})
		s.settled(ctx, w)
	} else if err := s.queue(ctx, w); err != nil {
		return nil, err
	}
	if w.err != nil {
		return nil, w.err
	}
	relational.Started(s.trigger, writes, nil)
	return w.out, nil
}

func weight(writes []store.Write) (bytes int) {
	for i := range writes {
		bytes += len(writes[i].Content)
	}
	return bytes
}

// queue hands a write to the writers and waits for what becomes of it.
func (s *Store) queue(ctx context.Context, w *write) error {
	select {
	case <-s.closing:
		return errClosed
	default:
	}
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return errClosed
	}
	select {
	case <-w.done:
		return nil
	case <-s.ended:
		return errClosed
	}
}

// writer groups transactions of the API over one connection.
func (s *Store) writer(ctx context.Context) {
	for {
		batch := take(ctx, s.closing, s.writes, mostTogether)
		if len(batch) == 0 {
			return
		}
		s.write(context.WithoutCancel(ctx), batch)
	}
}

// write writes a group in one transaction; when one of them cannot be written,
// each in its own.
func (s *Store) write(ctx context.Context, batch []*write) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	err := s.writeTogether(ctx, batch)
	alone := err != nil && len(batch) > 1 && !errors.Is(err, store.ErrUnavailable)
	for _, w := range batch {
		if w.err = err; alone {
			w.err = s.writeTogether(ctx, []*write{w})
		}
		s.settled(ctx, w)
		close(w.done)
	}
}

// settled finds out what became of a write whose commit is not known.
func (s *Store) settled(ctx context.Context, w *write) {
	if errors.Is(w.err, errUnknown) {
		w.err = s.wrote(ctx, w.out)
	}
	if w.err == nil {
		killpoint.Hit("after_commit")
		s.resources.wrote(len(w.set.Writes))
	}
}

func (s *Store) writeTogether(ctx context.Context, batch []*write) error {
	err := s.transact(ctx, func(p pgx.Tx) error {
		t, led := &tx{p}, &relational.Ledger{}
		sets, by := make([]relational.WriteSet, len(batch)), make([]store.Author, len(batch))
		for i, w := range batch {
			sets[i], by[i] = w.set, w.by
		}
		out, err := relational.ApplyAPI(ctx, t, sets, by, led)
		if err != nil {
			return err
		}
		for i, w := range batch {
			w.out = out[i]
		}
		killpoint.Hit("before_commit")
		if err := led.Write(ctx, t, s.shard(20)); err != nil {
			return err
		}
		killpoint.Hit("before_write_commit")
		return nil
	})
	if err == nil {
		killpoint.Hit("after_write_commit")
	}
	return plain(err)
}
