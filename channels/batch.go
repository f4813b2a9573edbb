package channels

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plexus-health/plexus/channels/schedule"
	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/parsers"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// A route with `batch:` sends files of many deliveries. Its owner closes a file
// in one transaction (its bytes, its number, its deliveries sending together) and
// sends one at a time, so that deliveries arrive in their order. A file that was
// not taken is sent again as it is, before any later one of its lot; what became
// of it is written to all of its deliveries at once.

// mostFile bounds the payloads of one file together.
const mostFile = 16 << 20

// A bundle is the sending of one route's files in hand.
type bundle struct {
	r      *route
	lease  store.Lease
	ctx    context.Context //nolint:containedctx // of the send
	looked time.Time       // when it was last looked whether the route is held
	took   time.Duration   // by the last step
	last   string          // the lot of the last file: those after it come first
}

// files sends the files of a route until there is nothing to be sent now, and
// returns when it has to be looked at again. Of a route without `batch:` these
// are files that were closed before; over is false when nothing is left of them,
// and deliveries may be sent by themselves.
func (r *route) files(ctx context.Context, lease store.Lease) (due time.Time, over bool) {
	if r.config.Batch == nil {
		closed, err := r.c.line.options.Store.Closed(ctx, r.unit)
		if err != nil {
			return r.c.line.options.Now().Add(pollEach), true
		}
		if len(closed) == 0 {
			return due, false
		}
	}
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	unhook := context.AfterFunc(ctx, func() { time.AfterFunc(cutAfter, cancel) })
	defer unhook()
	b := &bundle{r: r, lease: lease, ctx: sending, looked: time.Now()}
	now := r.c.line.options.Now
	for {
		if until, stop := b.stops(ctx); stop {
			return until, true
		}
		began := time.Now()
		again, did, err := b.step()
		b.took = time.Since(began)
		switch {
		case errors.Is(err, store.ErrFenced):
			r.log.Warn("unit belongs to another engine now")
			r.c.line.drop(r.unit)
			return now().Add(pollEach / 10), true
		case err != nil:
			// What the store holds is found out by taking the unit over again.
			r.log.Error("sending stops and begins anew", "error", err.Error())
			r.c.line.drop(r.unit)
			return now().Add(pollEach / 4), true
		case did:
			continue
		case r.config.Batch == nil:
			return again, !again.IsZero()
		}
		if !b.idle(ctx) {
			return again, true
		}
	}
}

// idle waits a moment for more to do; false when nothing came. Steps that find
// nothing to send take a fifth of the time at most.
func (b *bundle) idle(ctx context.Context) bool {
	pause := time.NewTimer(min(max(lookGap, 4*b.took), pollEach/10))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return false
	case <-b.r.c.retired:
		return false
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-b.r.pokes:
		return true
	case <-timer.C:
	case <-ctx.Done():
	case <-b.r.c.retired:
	}
	return false
}

// stops reports whether no file may be sent now, and when to look again.
func (b *bundle) stops(ctx context.Context) (time.Time, bool) {
	r := b.r
	now := r.c.line.options.Now()
	if ctx.Err() != nil || r.c.isRetired() {
		return now.Add(pollEach / 4), true
	}
	if !b.lease.Valid() {
		r.c.line.drop(r.unit)
		return now.Add(pollEach / 10), true
	}
	if time.Since(b.looked) >= pollEach {
		b.looked = time.Now()
		if isHeld(context.WithoutCancel(ctx), r.c.line.options.Store, r.unit) || r.c.line.isOlder(r.unit) {
			return now.Add(pollEach / 4), true
		}
	}
	if allowed, until := r.breaker.allowed(now, 1); allowed == 0 {
		return until, true
	}
	if open, next := r.config.Hours.Open(r.c.now()); !open {
		return next, true
	}
	return time.Time{}, false
}

// step sends one file, if one is due: the oldest that was closed before, else a
// new one. It returns when the next is due; the zero time when there is none.
func (b *bundle) step() (next time.Time, did bool, err error) {
	s, now := b.r.c.line.options.Store, b.r.c.line.options.Now()
	closed, err := s.Closed(b.ctx, b.r.unit)
	if err != nil {
		return next, false, wrap("files", err)
	}
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	held := map[string]bool{}
	for i := range closed {
		c := &closed[i]
		if held[c.Lot] {
			continue
		}
		held[c.Lot] = true
		if due := dueOf(&c.Deliveries[0], now); due.After(now) {
			earlier(due)
			continue
		}
		taken, err := b.lease.Resend(b.ctx, c.N)
		if errors.Is(err, store.ErrNotWaiting) {
			continue // an operator was first
		}
		if err != nil {
			return next, false, wrap("claim of a file", err)
		}
		return next, true, b.send(&taken)
	}
	if b.r.config.Batch == nil || b.r.config.Strict && len(closed) > 0 {
		return next, false, nil
	}
	due, did, err := b.close(now, held)
	earlier(due)
	return next, did, err
}

// close closes and sends the file of the first lot whose time has come or that
// is full. Lots of which a file has not been taken yet wait for that.
func (b *bundle) close(now time.Time, held map[string]bool) (next time.Time, did bool, err error) {
	s, batch := b.r.c.line.options.Store, b.r.config.Batch
	selection, err := b.selection()
	if err != nil {
		return next, false, err
	}
	lots, err := s.Lots(b.ctx, selection, batch.Max)
	if err != nil {
		return next, false, wrap("lots", err)
	}
	if selection.Plain && batch.By != nil && (len(lots) == 0 || lots[0].Name != "") {
		b.r.named = b.lease.Epoch()
	}
	after := 0 // one lot that is always full keeps no other waiting
	for after < len(lots) && lots[after].Name <= b.last {
		after++
	}
	for _, lot := range slices.Concat(lots[after:], lots[:after]) {
		if held[lot.Name] {
			continue
		}
		made := madeAt(lot.First)
		if made.After(now) {
			made = now // by a clock that was ahead
		}
		closes := batch.Closes(made.In(b.r.c.now().Location()))
		due := !closes.IsZero() && !closes.After(now)
		if !due && lot.Count < batch.Max {
			if !closes.IsZero() && (next.IsZero() || closes.Before(next)) {
				next = closes
			}
			continue
		}
		rows, full, err := s.LotOf(b.ctx, selection, lot.Name, batch.Max, mostFile)
		if err != nil {
			return next, false, wrap("lot", err)
		}
		if len(rows) == 0 || !due && len(rows) < batch.Max && !full {
			// Older deliveries of the same keys are open in another lot.
			if at := now.Add(pollEach); next.IsZero() || at.Before(next) {
				next = at
			}
			continue
		}
		b.last = lot.Name
		did, err := b.bundle(lot.Name, rows, now)
		return next, did, err
	}
	return next, false, nil
}

// selection is what may go into files now.
func (b *bundle) selection() (store.Selection, error) {
	s, r := b.r.c.line.options.Store, b.r
	// With `by` every delivery has a lot but those made before the file said so,
	// or moved here.
	if r.anew.Swap(false) {
		r.named = 0
	}
	all := store.Selection{Unit: r.unit, Below: store.All, UpTo: store.All, Plain: r.config.Batch.By == nil || r.named != b.lease.Epoch()}
	if r.floored {
		floor, err := s.Floor(b.ctx, r.c.id, r.config.Strict || r.c.config.OnError == routes.OnErrorStop)
		if err != nil {
			return all, wrap("floor", err)
		}
		all.Below = floor
	}
	barrier, err := s.Barrier(b.ctx, r.unit)
	if err != nil {
		return all, wrap("barrier", err)
	}
	if barrier != 0 {
		all.UpTo = barrier
	}
	return all, nil
}

// bundle makes a file of some deliveries, claims them with it and sends it.
func (b *bundle) bundle(lot string, rows []message.Delivery, now time.Time) (did bool, err error) {
	s, r := b.r.c.line.options.Store, b.r
	payloads, size := make([][]byte, 0, len(rows)), 0
	for i := range rows {
		free, err := r.content(b.ctx, &rows[i])
		if err != nil {
			return false, wrap("payload", err)
		}
		free()
		if size += len(rows[i].Payload); size > mostFile && i > 0 {
			rows = rows[:i]
			break
		}
		payloads = append(payloads, rows[i].Payload)
	}
	last, err := s.LastNumber(b.ctx, r.unit)
	if err != nil {
		return false, wrap("number", err)
	}
	file := store.Batch{ID: message.NewID(now), Lot: lot, Number: last + 1, Control: fmt.Sprintf("%09d", (last+1)%1_000_000_000), Deliveries: rows}
	made := parsers.Stamp{Time: now.In(r.c.now().Location()).Format("20060102150405"), Control: file.Control}
	if file.Payload, err = r.config.Batch.Bundler.Bundle(payloads, made); err != nil {
		return true, b.unreadable(rows, err)
	}
	for i := range rows {
		rows[i].Payload = nil // they are in the file
	}
	taken, err := b.lease.Bundle(b.ctx, file, now)
	switch {
	case errors.Is(err, store.ErrNotWaiting), errors.Is(err, store.ErrConflict):
		return true, nil // an operator was first: the lot is looked at anew
	case err != nil:
		return false, wrap("claim of a file", err)
	}
	return true, b.send(&taken)
}

// unreadable parks deliveries that no file can be made of: they are no messages
// of the format. It is found with the first.
func (b *bundle) unreadable(rows []message.Delivery, cause error) error {
	r := b.r
	r.log.Error("no file can be made", "deliveries", len(rows), "error", cause.Error())
	err := r.c.line.options.Store.Operate(b.ctx, store.Order{
		Action: store.ActPark, Delivery: rows[0].ID, Who: "channel:" + r.c.config.Name, Why: "no file can be made of it: " + cause.Error(),
	})
	if errors.Is(err, store.ErrNotWaiting) {
		return nil // an operator was first
	}
	return err
}

// send sends a file that was claimed, and writes what became of it.
func (b *bundle) send(file *store.Batch) error {
	killpoint.Hit("after_claim")
	r, began := b.r, time.Now()
	first := &file.Deliveries[0]
	del := *first
	del.N, del.ID, del.Control, del.Payload, del.Original = file.N, file.ID, file.Control, file.Payload, false
	reply, err := r.transmit(b.ctx, &del)
	killpoint.Hit("after_send_before_answer")
	a := r.judgeSend(&del, reply, err, r.c.line.options.Now())
	if a.State == message.Delivered {
		r.answerGoesOn(b.ctx, &a, &del)
	}
	r.noted(schedule.Item{Seq: file.N, Key: file.Lot}, &del, &a, time.Since(began))
	answers := make([]store.Answer, len(file.Deliveries))
	for i := range file.Deliveries {
		answers[i] = r.answerOf(&a, &file.Deliveries[i], i == 0)
	}
	if err := b.answer(file.N, answers); err != nil {
		return err
	}
	killpoint.Hit("after_answer")
	if a.Hold != "" {
		b.looked = time.Time{} // the route is held now
	}
	l := r.c.line
	if a.State != message.Waiting {
		for i := range answers {
			l.progress.tell(answers[i].Message)
		}
	}
	if a.Next != nil {
		if next := l.findRoute(a.Next.Unit); next != nil {
			next.anew.Store(true)
		}
		l.pokeUnit(b.ctx, a.Next.Unit, false)
	}
	return nil
}

// answerOf is what became of one delivery of a file. What there is once for the
// file goes with the first.
func (r *route) answerOf(of *store.Answer, d *message.Delivery, first bool) store.Answer {
	a := *of
	a.N, a.Message, a.Run, a.MaybeSent = d.N, d.Message, d.Run, of.MaybeSent || d.MaybeSent
	if a.Next != nil {
		next := *d
		next.ID, next.Unit = message.NewID(r.c.line.options.Now()), a.Next.Unit
		next.N, next.Attempts, next.MaybeSent, next.Answer, next.Payload, next.Batch, next.Lot = 0, 0, false, nil, nil, 0, ""
		a.Next = &next
	}
	if !first {
		a.Raw, a.Intakes, a.Worklist, a.Hold = nil, nil, nil, ""
	}
	return a
}

// answer is T4 of a file. A fault of the store that may pass is waited out as
// long as the lease holds.
func (b *bundle) answer(n int64, answers []store.Answer) error {
	doubtful := false
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := b.lease.AnswerBatch(context.WithoutCancel(b.ctx), n, answers)
		switch {
		case err == nil, doubtful && errors.Is(err, store.ErrNotSending): // one before was committed after all
			return nil
		case !b.lease.Valid() || !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrConflict):
			return wrap("answer", err)
		}
		doubtful = doubtful || errors.Is(err, store.ErrUnavailable)
		select {
		case <-b.r.c.line.options.Store.Failed():
			return wrap("answer", err)
		case <-time.After(wait):
		}
	}
}
