package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

// together reports whether an operation is a record that shares a statement with
// others.
func (o *op) together() bool { return o.record != nil && !o.record.Row.Alone() }

// records runs the records of a batch together, before the rest of it: nobody
// whose operation shares the batch has been told of another one.
func (w *writer) records(ctx context.Context, batch []*op, led *relational.Ledger) error {
	if w.careful > 0 {
		return nil
	}
	w.list = w.list[:0]
	for _, o := range batch {
		if o.together() {
			w.list = append(w.list, o.record)
		}
	}
	err := relational.RecordSeveral(ctx, w.tx, w.list, led)
	clear(w.list)
	if err != nil && !full(err) && !w.guard.undone {
		return errAgain // each by itself
	}
	return w.guard.because(err)
}

// small runs an operation that somebody waits for. What is no fault of the
// database is the operation's own answer: it has written nothing then.
func (w *writer) small(ctx context.Context, o *op, led *relational.Ledger, fenced map[*lease]error) error {
	if l := o.lease; l != nil {
		answer, known := fenced[l]
		if !known {
			l.barred, answer = relational.FenceBarred(ctx, w.tx, l.unit, l.store.owner, l.epoch, true)
			fenced[l] = answer
		}
		if answer != nil {
			return w.answered(o, answer)
		}
	}
	if !o.whole && w.careful == 0 {
		err := o.small(ctx, w.tx, led)
		if isFault(err) && !full(err) && !w.guard.undone {
			return errAgain // what it wrote until then cannot be undone alone
		}
		return w.answered(o, err)
	}
	if o.lease == nil {
		clear(fenced) // it may be a take-over, or a new rule of order
	}
	own := &relational.Ledger{}
	err := w.savepoint(ctx, func() error { return o.small(ctx, w.tx, own) })
	if err == nil {
		led.Merge(own)
	}
	return w.answered(o, err)
}

// answered gives an operation its answer, or returns the fault that concerns
// the whole batch: the disk or the database cannot be relied on, or the batch
// was undone.
func (w *writer) answered(o *op, err error) error {
	if isFault(err) && full(err) {
		return err
	}
	o.err = ownFault(err)
	return w.guard.because(err)
}

// ownFault is the error of a statement that the database did not take, in words
// of ours: what it says may quote values.
func ownFault(err error) error {
	e, ok := errors.AsType[*driver.Error](err)
	switch {
	case !ok:
		return err
	case e.Code() == codes.SQLITE_CONSTRAINT_UNIQUE, e.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY: // somebody was first
		return fmt.Errorf("%w: %s", store.ErrConflict, codeName(e.Code()))
	}
	return unavailable(err)
}

// isFault reports whether an error is one of the database and not an answer.
func isFault(err error) bool {
	_, fault := errors.AsType[*driver.Error](err)
	return fault
}

// told tells of what was recorded, in the order of Seq.
func (w *writer) told(batch, left []*op) {
	w.fresh = w.fresh[:0]
	for _, o := range batch {
		if o.after != nil && o.err == nil && !contains(left, o) {
			w.fresh = append(w.fresh, o)
		}
	}
	slices.SortFunc(w.fresh, func(a, b *op) int { return cmp.Compare(a.record.Entry.Seq, b.record.Entry.Seq) })
	for _, o := range w.fresh {
		o.after()
	}
	clear(w.fresh)
}
