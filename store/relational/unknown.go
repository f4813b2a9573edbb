package relational

import (
	"context"
	"errors"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// What follows finds out whether a transaction was committed whose commit was
// asked for over a connection that was lost. The row that it wrote is read with a
// lock first, which waits for the transaction if it still goes on.

func shared(tx Tx) string {
	if tx.Dialect() == PostgreSQL {
		return " FOR SHARE"
	}
	return ""
}

// Written reports whether this outcome is in the database. ErrNotStored: another
// one is, or an operator has decided.
func (f *Finished) Written(ctx context.Context, tx Tx) (bool, error) {
	var state, reason string
	var run int
	found, err := one(ctx, tx, `SELECT state, reason, run FROM messages WHERE seq = ?`+shared(tx), []any{f.Seq}, &state, &reason, &run)
	switch {
	case err != nil:
		return false, err
	case !found:
		return false, store.ErrNotFound
	case run == f.Run && state == string(message.Stored):
		return false, nil
	}
	// What is made anew for each outcome tells it from others.
	var ours bool
	var some int64
	switch {
	case len(f.Deliveries) > 0:
		ours, err = one(ctx, tx, `SELECT n FROM deliveries WHERE id = ?`, []any{f.Deliveries[0].ID}, &some)
	case f.steps != "":
		ours, err = one(ctx, tx, `SELECT n FROM events WHERE message = ? AND run = ? AND at = ? AND steps = ?`, []any{f.Seq, f.Run, f.now, f.steps}, &some)
	default:
		ours = run == f.Run && state == string(f.State) && reason == f.reason
	}
	if err == nil && !ours {
		err = store.ErrNotStored
	}
	return ours, err
}

// Written reports whether this answer is in the database. The caller holds the
// unit: nobody else answers. ErrNotSending: it is not being sent, and was not
// answered so.
func (a *Answered) Written(ctx context.Context, tx Tx, unit string) (bool, error) {
	var state string
	var answered int64
	found, err := one(ctx, tx, `SELECT state, answered FROM deliveries WHERE n = ? AND unit = ?`+shared(tx), []any{a.N, unit}, &state, &answered)
	switch {
	case err != nil:
		return false, err
	case found && state == string(message.Sending):
		return false, nil
	case !found || answered != Micros(a.now):
		return false, store.ErrNotSending
	}
	return true, nil
}

// Claimed returns the delivery that was claimed at a time, with its payload; N is
// 0 when it was not.
func Claimed(ctx context.Context, tx Tx, unit string, n int64, at time.Time) (d message.Delivery, err error) {
	rows, err := tx.Query(ctx, `SELECT `+deliveryColumns+`, payload FROM deliveries WHERE n = ? AND unit = ? AND state = 'sending' AND started = ?`+shared(tx), n, unit, Micros(at))
	if err != nil {
		return d, err
	}
	if rows.Next() {
		var payload []byte
		if d, err = scanDelivery(rows, &payload); err == nil {
			d.Payload = payload
		}
	}
	return d, errors.Join(err, rows.Err(), rows.Close())
}

// Operated reports whether what an operator has decided at a time is in the
// database: its row of the audit trail is.
func Operated(ctx context.Context, tx Tx, o store.Order, now time.Time) (bool, error) {
	lock, id := `SELECT 1 FROM units WHERE unit = ?`, o.Unit
	action, detail := "unit."+o.Action, o.Unit+": "+o.Why
	switch o.Action {
	case store.ActPause, store.ActResume:
	case store.ActReprocess, store.ActRelease, store.ActDrop:
		lock, id = `SELECT 1 FROM messages WHERE id = ?`, o.Message
		action, detail = "message."+o.Action, o.Why
	default:
		lock, id = `SELECT 1 FROM deliveries WHERE id = ?`, o.Delivery
		action, detail = "delivery."+o.Action, o.Why
	}
	var some int64
	if _, err := one(ctx, tx, lock+shared(tx), []any{id}, &some); err != nil {
		return false, err
	}
	return one(ctx, tx, `SELECT seq FROM audit WHERE seq > (SELECT COALESCE(MAX(seq), 0) - 100000 FROM audit) AND at = ? AND actor = ? AND action = ? AND detail = ? LIMIT 1`,
		[]any{Micros(now), Clean(o.Who), action, []byte(detail)}, &some)
}
