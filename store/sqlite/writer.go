package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/store/relational"
)

// Bounds of one batch: what many ask at once shares a commit, and nobody waits
// long for it.
const (
	batchOps   = 512
	batchTime  = 5 * time.Millisecond
	batchBytes = 4 << 20
	finishRun  = 16 // outcomes in one savepoint
	// finishTime bounds the outcomes of a batch while nobody waits to record.
	finishTime = 60 * time.Millisecond
	// company is how long outcomes wait for a record to share its commit with,
	// while records come.
	company = 2 * time.Millisecond
	// sliceTime bounds what is done at once while nobody waits.
	sliceTime = 3 * time.Millisecond
)

// An op is one operation that waits for its commit.
type op struct {
	// small is run by itself, a second time when something in its batch could
	// not be written; nil for an outcome.
	small func(ctx context.Context, tx relational.Tx, led *relational.Ledger) error
	// record, if it is not nil, is what small records: together with those of
	// other operations of its batch, if it may and nothing has to be undone alone.
	record *relational.T1
	// lease, if it is not nil, is what small is fenced by.
	lease *lease
	// outcome is T2 of a message.
	outcome *outcome
	// idle: it is run when nothing else waits, in a transaction of its own.
	idle bool
	// whole: an error undoes the op's own statements only (a savepoint).
	whole bool
	// after, if it is not nil, is called when a record is durable.
	after func()
	// step is what the durable step that this operation is part of is called.
	step  step
	bytes int
	err   error
	done  chan struct{}
}

type outcome struct {
	lease    *lease
	finished *relational.Finished
	set      relational.WriteSet
}

// A writer is the one goroutine that writes. Small operations (someone waits)
// come first, outcomes up to what is left of the budget; every fourth batch
// serves outcomes first, so that a flood cannot starve them.
type writer struct {
	db      *sql.DB
	conn    *sql.Conn
	tx      *statements
	options Options
	files   files

	smalls   chan *op
	outcomes chan *op
	idles    chan *op      // taken when nothing else waits
	restart  chan struct{} // the rest of the log is to be moved
	closing  chan struct{}
	ended    chan struct{}
	failed   chan struct{}
	once     sync.Once
	failing  sync.Once
	batches  int
	guard    guard
	cache    int              // in kB
	list     []*relational.T1 // the records of a batch
	fresh    []*op            // those of them to be told of
	careful  int              // batches still to be run with savepoints
	recorded time.Time        // when somebody last came with a small operation
}

func newWriter(db *sql.DB, conn *sql.Conn, o Options) *writer {
	return &writer{
		db: db, conn: conn, options: o, tx: newStatements(conn, preparedWrite),
		smalls: make(chan *op, 4*batchOps), outcomes: make(chan *op, 4*batchOps), idles: make(chan *op),
		restart: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}), failed: make(chan struct{}),
	}
}

// do hands an operation over and waits for its commit.
func (w *writer) do(ctx context.Context, o *op) error {
	o.done = make(chan struct{})
	queue := w.smalls
	switch {
	case o.outcome != nil:
		queue = w.outcomes
	case o.idle:
		queue = w.idles
	}
	select {
	case <-w.failed:
		return errFailed
	case <-w.closing:
		return errClosed
	default:
	}
	select {
	case queue <- o:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.failed:
		return errFailed
	case <-w.ended:
		return errClosed
	}
	// Once handed over the outcome is awaited whatever happens to ctx: only
	// then is it known.
	select {
	case <-o.done:
		return o.err
	case <-w.failed:
		return errFailed
	case <-w.ended:
		select {
		case <-o.done:
			return o.err
		default:
			return errClosed
		}
	}
}

var (
	errFailed = errors.New("the store can write no more: the process has to end and recover from the log")
	errClosed = errors.New("the store is closed")
)

// close lets the writer finish what it was handed and end.
func (w *writer) close() {
	w.once.Do(func() { close(w.closing) })
}

func (w *writer) run(ctx context.Context) {
	defer close(w.ended)
	idle := time.NewTicker(10 * time.Second)
	defer idle.Stop()
	for {
		select {
		case <-w.restart:
			w.moveRest(ctx)
		default:
		}
		batch := w.gather(nil)
		if len(batch) == 0 {
			select {
			case o := <-w.smalls:
				batch = w.gather([]*op{o})
			case o := <-w.outcomes:
				batch = w.gather([]*op{o})
			case <-w.restart:
				w.moveRest(ctx)
				continue
			case <-idle.C:
				w.sweep(ctx)
				continue
			case o := <-w.idles:
				if !w.leisurely(context.WithoutCancel(ctx), o) {
					return
				}
				continue
			case <-w.closing:
				batch = w.gather(nil)
				if len(batch) == 0 {
					return
				}
			case <-w.failed: // the log could not be moved
				return
			case <-ctx.Done():
				return
			}
		}
		batch = w.accompany(batch)
		w.batches++
		if !w.commit(context.WithoutCancel(ctx), batch) {
			return
		}
	}
}

// gather takes what waits, within the bounds of a batch.
func (w *writer) gather(batch []*op) []*op {
	size := 0
	for _, o := range batch {
		size += o.bytes
	}
	take := func(queue chan *op, room int) {
		for len(batch) < batchOps && size < batchBytes && room > 0 {
			select {
			case o := <-queue:
				batch = append(batch, o)
				size += o.bytes
				room--
			default:
				return
			}
		}
	}
	if w.batches%4 == 3 {
		take(w.outcomes, 256)
		take(w.smalls, batchOps)
		return batch
	}
	take(w.smalls, batchOps)
	take(w.outcomes, 256)
	return batch
}

// moveRest moves what is left of the log, between two batches.
func (w *writer) moveRest(ctx context.Context) {
	_, err := moveLog(ctx, w.conn)
	if err == nil {
		err = w.fit(ctx, largeDatabase)
	}
	if err != nil {
		w.notMoved(ctx, err)
	}
}

// notMoved deals with a log that could not be moved into the database.
func (w *writer) notMoved(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil: // the store is being closed
	case passing(err):
		w.options.Log.Warn("the log could not be moved into the database", "error", unavailable(err).Error())
	default:
		w.fail(err)
	}
}

// accompany lets a few outcomes wait a moment for records to come, so that they
// share one commit: under a steady trickle each would pay for its own.
func (w *writer) accompany(batch []*op) []*op {
	for _, o := range batch {
		if o.outcome == nil {
			w.recorded = time.Now()
			return batch
		}
	}
	if len(batch) >= finishRun || time.Since(w.recorded) > 2*company {
		return batch
	}
	timer := time.NewTimer(company)
	defer timer.Stop()
	select {
	case o := <-w.smalls:
		w.recorded = time.Now()
		batch = w.gather(append(batch, o))
	case <-timer.C:
	case <-w.closing:
	}
	return batch
}

// commit writes a batch in one transaction and one sync. It reports false when
// the store can write no more.
func (w *writer) commit(ctx context.Context, batch []*op) bool {
	left, err := w.write(ctx, batch)
	switch {
	case err == nil:
	case passing(err):
		// Nothing was written: all are told so, and the next batch may succeed.
		w.options.Log.Error("nothing was written", "error", unavailable(err).Error(), "operations", len(batch))
		for _, o := range batch {
			o.err = unavailable(err)
		}
		left = nil
	default:
		w.fail(err)
		return false
	}
	select {
	case <-w.failed: // while it was written: nobody is told that it was
		return false
	default:
	}
	killpoint.Hit("after_commit")
	hit("after", batch)
	w.told(batch, left)
	for _, o := range batch {
		if contains(left, o) {
			continue
		}
		close(o.done)
	}
	if len(left) > 0 {
		return w.commit(ctx, left)
	}
	return true
}

// fail ends the store: nothing it wrote from now on could be relied on. A sync
// is never tried again, because the second would forget what the first has lost.
func (w *writer) fail(err error) {
	w.failing.Do(func() {
		w.options.Log.Error("the database cannot be written; the process has to end", "error", unavailable(err).Error())
		close(w.failed)
	})
}

func contains(list []*op, o *op) bool {
	for _, l := range list {
		if l == o {
			return true
		}
	}
	return false
}

// passing reports whether a fault of the database wrote nothing and may pass by
// itself: the disk is full.
func passing(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return false
	}
	return e.Code()&0xff == codes.SQLITE_FULL || e.Code() == codes.SQLITE_IOERR_SHMSIZE || e.Code()&0xff == codes.SQLITE_BUSY
}

// carefulFor is how many batches run with savepoints after one that had to be
// begun again.
const carefulFor = 32

// errAgain: an operation could not be written, and without a savepoint nothing
// of its batch was.
var errAgain = errors.New("an operation could not be written")

// write runs a batch. It returns what there was no time for. A savepoint keeps
// a copy of every page that is changed under it, a third of the work of writing
// records; outcomes that cannot be written are rare. So a batch is run without,
// and when there is such an outcome in it undone and run again with them.
func (w *writer) write(ctx context.Context, batch []*op) (left []*op, err error) {
	if w.careful == 0 {
		if left, err = w.attempt(ctx, batch); !errors.Is(err, errAgain) {
			return left, err
		}
		w.careful = carefulFor
	}
	left, err = w.attempt(ctx, batch)
	w.careful--
	return left, err
}

// attempt runs a batch in one transaction, with savepoints when it is to be
// careful.
func (w *writer) attempt(ctx context.Context, batch []*op) (left []*op, err error) {
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.back(ctx)
		}
	}()
	began := time.Now()
	led := &relational.Ledger{}
	var outcomes []*op
	fenced := map[*lease]error{}
	if err := w.records(ctx, batch, led); err != nil {
		return nil, err
	}
	for _, o := range batch {
		if o.outcome != nil {
			outcomes = append(outcomes, o)
			continue
		}
		if o.together() && w.careful == 0 {
			continue
		}
		if err := w.small(ctx, o, led, fenced); err != nil {
			return nil, err
		}
	}
	for len(outcomes) > 0 {
		spent := time.Since(began)
		if spent > finishTime || (spent > batchTime && (len(outcomes) < len(batch) || len(w.smalls) > 0)) {
			left = outcomes // those who record do not wait for them
			break
		}
		n := min(finishRun, len(outcomes))
		if err := w.finish(ctx, outcomes[:n], led); err != nil {
			return nil, err
		}
		outcomes = outcomes[n:]
	}
	if err := led.Write(ctx, w.tx, 0); err != nil {
		return nil, err
	}
	killpoint.Hit("before_commit")
	hit("before", batch)
	if err := w.end(ctx); err != nil {
		return nil, err
	}
	return left, w.files.there()
}

func (w *writer) savepoint(ctx context.Context, f func() error) error {
	if _, err := w.tx.Exec(ctx, `SAVEPOINT one`); err != nil {
		return err
	}
	err := f()
	if w.guard.undone {
		return w.guard.because(err) // with the savepoint
	}
	if err != nil {
		if _, back := w.tx.Exec(ctx, `ROLLBACK TO one`); back != nil {
			return errors.Join(back, err)
		}
	}
	if _, release := w.tx.Exec(ctx, `RELEASE one`); release != nil {
		return errors.Join(release, err)
	}
	return err
}

// finish runs T2 of several messages, in one savepoint when it is to be careful;
// when one of them cannot be written, each in its own, so that it does not undo
// its neighbours.
func (w *writer) finish(ctx context.Context, group []*op, led *relational.Ledger) error {
	own := &relational.Ledger{}
	var err error
	if w.careful == 0 {
		err = w.together(ctx, group, own)
	} else {
		err = w.savepoint(ctx, func() error { return w.together(ctx, group, own) })
	}
	if err == nil {
		led.Merge(own)
		return nil
	}
	if full(err) || w.guard.undone {
		return err
	}
	if w.careful == 0 {
		return errAgain
	}
	for _, o := range group {
		own := &relational.Ledger{}
		err := w.savepoint(ctx, func() error { return w.together(ctx, []*op{o}, own) })
		if err == nil {
			led.Merge(own)
		}
		if err := w.answered(o, err); err != nil {
			return err
		}
	}
	return nil
}

// full reports faults that concern the database as a whole and not one message.
func full(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case codes.SQLITE_CONSTRAINT, codes.SQLITE_TOOBIG, codes.SQLITE_MISMATCH, codes.SQLITE_ERROR:
		return false
	}
	return true
}

func (w *writer) together(ctx context.Context, group []*op, led *relational.Ledger) error {
	fenced := map[*lease]bool{}
	sets := make([]relational.WriteSet, 0, len(group))
	finished := make([]*relational.Finished, 0, len(group))
	for _, o := range group {
		l := o.outcome.lease
		if !fenced[l] {
			if err := relational.Fence(ctx, w.tx, l.unit, l.store.owner, l.epoch); err != nil {
				return err
			}
			fenced[l] = true
		}
		finished = append(finished, o.outcome.finished)
		if len(o.outcome.set.Writes) > 0 {
			sets = append(sets, o.outcome.set)
		}
	}
	if err := relational.Settle(ctx, w.tx, finished, led); err != nil || len(sets) == 0 {
		return err
	}
	return relational.ApplyWrites(ctx, w.tx, sets, led)
}

// leisurely runs an operation that nobody waits for. It reports false when the
// store can write no more.
func (w *writer) leisurely(ctx context.Context, o *op) bool {
	err := w.alone(ctx, func() error { return o.small(ctx, w.tx, nil) })
	if err == nil {
		err = w.files.there()
	}
	if err != nil && !passing(err) && (isFault(err) && full(err) || errors.Is(err, errUndone) || errors.Is(err, errReplaced)) {
		w.fail(err)
		return false
	}
	o.err = ownFault(err)
	close(o.done)
	return true
}

// sweep deletes parts of bodies that no message refers to, when nothing waits.
func (w *writer) sweep(ctx context.Context) {
	before := w.options.Now().Add(-time.Hour)
	var n int64
	err := w.alone(ctx, func() (err error) {
		if n, err = relational.SweepChunks(ctx, w.tx, before); err == nil {
			_, err = relational.SweepKeys(ctx, w.tx, w.options.Now())
		}
		return err
	})
	if err != nil {
		w.options.Log.Warn("what nobody needs was not swept", "error", unavailable(err).Error())
	} else if n > 0 {
		w.options.Log.Info("parts without a message were swept", "parts", n)
	}
}
