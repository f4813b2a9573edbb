package relational

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// one runs a query that gives at most one row; false when there is none.
func one(ctx context.Context, tx Tx, sql string, args []any, dest ...any) (bool, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return false, err
	}
	found := rows.Next()
	if found {
		err = rows.Scan(dest...)
	}
	return found, errors.Join(err, rows.Err(), rows.Close())
}

// TakeOver is T5: owner takes a unit under a new epoch, unless an engine that
// is alive owns it. now is the database's clock. What was being sent waits
// again, for grace where the engine that was at it may not know yet.
func TakeOver(ctx context.Context, tx Tx, unit, owner string, now time.Time, grace time.Duration, led *Ledger) (epoch int64, err error) {
	if _, err := tx.Exec(ctx, `INSERT INTO units (unit, name) VALUES (?, ?) ON CONFLICT (unit) DO NOTHING`, unit, unit); err != nil {
		return 0, err
	}
	lock := ""
	if tx.Dialect() == PostgreSQL {
		lock = " FOR UPDATE"
	}
	var old string
	if _, err := one(ctx, tx, `SELECT owner, epoch FROM units WHERE unit = ?`+lock, []any{unit}, &old, &epoch); err != nil {
		return 0, err
	}
	if old != "" && old != owner {
		var until, dead int64
		alive, err := one(ctx, tx, `SELECT until, dead FROM engines WHERE owner = ?`, []any{old}, &until, &dead)
		if err != nil {
			return 0, err
		}
		if alive && dead == 0 && until > Micros(now) {
			return 0, store.ErrOwned
		}
		if _, err := tx.Exec(ctx, `UPDATE engines SET dead = 1 WHERE owner = ?`, old); err != nil {
			return 0, err
		}
	}
	due := now
	if old != "" && old != owner {
		due = now.Add(grace)
	}
	if err := resend(ctx, tx, unit, due, led); err != nil {
		return 0, err
	}
	if err := Barriers(ctx, tx, unit); err != nil {
		return 0, err
	}
	epoch++
	_, err = tx.Exec(ctx, `UPDATE units SET owner = ?, epoch = ? WHERE unit = ?`, owner, epoch, unit)
	return epoch, err
}

// Release hands a unit back.
func Release(ctx context.Context, tx Tx, unit, owner string, epoch int64) error {
	_, err := tx.Exec(ctx, `UPDATE units SET owner = '' WHERE unit = ? AND owner = ? AND epoch = ?`, unit, owner, epoch)
	return err
}

// Fence fails with store.ErrFenced when the unit is not this owner's under this
// epoch any more.
func Fence(ctx context.Context, tx Tx, unit, owner string, epoch int64) error {
	lock := ""
	if tx.Dialect() == PostgreSQL {
		lock = " FOR SHARE"
	}
	var held int
	found, err := one(ctx, tx, `SELECT 1 FROM units WHERE unit = ? AND owner = ? AND epoch = ?`+lock, []any{unit, owner, epoch}, &held)
	if err == nil && !found {
		err = store.ErrFenced
	}
	return err
}

// FenceBarred is Fence for T4, and says whether barriers stand in the unit: what
// it closes may take them away then (Barriers). alone keeps others from closing
// deliveries of the unit until this transaction has ended, as they do that find
// barriers: two that share the row would wait for one another.
func FenceBarred(ctx context.Context, tx Tx, unit, owner string, epoch int64, alone bool) (barred bool, err error) {
	lock := ""
	switch {
	case tx.Dialect() != PostgreSQL:
	case alone:
		lock = " FOR UPDATE"
	default:
		lock = " FOR SHARE"
	}
	var barriers string
	found, err := one(ctx, tx, `SELECT barriers FROM units WHERE unit = ? AND owner = ? AND epoch = ?`+lock, []any{unit, owner, epoch}, &barriers)
	if err == nil && !found {
		err = store.ErrFenced
	}
	return barriers != "", err
}

// Began counts a crash in advance.
func Began(ctx context.Context, tx Tx, seq int64) error {
	_, err := tx.Exec(ctx, `UPDATE messages SET crashes = crashes + 1 WHERE seq = ? AND state = 'stored'`, seq)
	return err
}

// Spared takes back one crash counted in advance.
func Spared(ctx context.Context, tx Tx, seq int64) error {
	_, err := tx.Exec(ctx, `UPDATE messages SET crashes = crashes - 1 WHERE seq = ? AND state = 'stored' AND crashes > 0`, seq)
	return err
}

// A Finished is an outcome prepared outside of the transaction.
type Finished struct {
	store.Outcome
	Channel string
	answer  string
	reason  string
	steps   string
	now     int64
}

// FinishedOf prepares an outcome.
func FinishedOf(o *store.Outcome, channel string, now time.Time) *Finished {
	f := &Finished{Outcome: *o, Channel: channel, answer: answerJSON(o.Answer), reason: CleanText(o.Reason), now: Micros(now)}
	for i := range f.Events {
		if f.Events[i].At.IsZero() {
			f.Events[i].At = now.UTC()
		}
	}
	f.steps = stepsJSON(f.Events)
	return f
}

// Operate is T6.
func Operate(ctx context.Context, tx Tx, o store.Order, now time.Time, led *Ledger) error {
	if o.Who == "" || o.Why == "" {
		return errors.New("who decides, and why? both are needed")
	}
	switch o.Action {
	case store.ActPause, store.ActResume:
		return hold(ctx, tx, o, now)
	case store.ActReprocess, store.ActRelease, store.ActDrop:
	case store.ActRetry, store.ActPark, store.ActMove, store.ActDropDelivery:
		return operateDeliveries(ctx, tx, o, now, led)
	default:
		return fmt.Errorf("%q is no action of an operator", o.Action)
	}
	var seq, run, pruned int64
	var channel, state string
	lock := ""
	if tx.Dialect() == PostgreSQL {
		lock = " FOR UPDATE"
	}
	found, err := one(ctx, tx, `SELECT seq, run, channel, state, pruned FROM messages WHERE id = ?`+lock, []any{o.Message}, &seq, &run, &channel, &state, &pruned)
	if err != nil {
		return err
	}
	if !found {
		return store.ErrNotFound
	}
	switch {
	case pruned != 0:
		return store.ErrPruned
	case state != string(message.Parked) && (state != string(message.Stored) || o.Action == store.ActRelease):
		return store.ErrNotStored
	}
	next, step := message.Stored, "reprocessed"
	switch o.Action {
	case store.ActDrop:
		next, step = message.Dropped, "dropped"
	case store.ActRelease:
		step = store.StepReleased
		fallthrough
	default:
		run++
	}
	if _, err := tx.Exec(ctx, `UPDATE messages SET state = ?, reason = ?, run = ?, crashes = 0 WHERE seq = ?`, string(next), dropReason(o), run, seq); err != nil {
		return err
	}
	led.Add(channel, message.State(state), -1)
	led.Add(channel, next, 1)
	steps, err := json.Marshal([]store.Event{{At: now.UTC(), Run: int(run), Step: step, Text: CleanText(o.Why), Who: Clean(o.Who)}})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO events (message, run, at, steps) VALUES (?, ?, ?, ?)`, seq, run, Micros(now), string(steps)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO audit (at, actor, action, rid, detail) VALUES (?, ?, ?, ?, ?)`, Micros(now), Clean(o.Who), "message."+o.Action, seq, []byte(o.Why))
	return err
}

func dropReason(o store.Order) string {
	if o.Action == store.ActDrop {
		return CleanText("dropped by " + o.Who + ": " + o.Why)
	}
	return ""
}

func hold(ctx context.Context, tx Tx, o store.Order, now time.Time) error {
	held := ""
	if o.Action == store.ActPause {
		held = CleanText("paused by " + o.Who + ": " + o.Why)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO units (unit, name, held) VALUES (?, ?, ?) ON CONFLICT (unit) DO UPDATE SET held = excluded.held`, o.Unit, o.Unit, held); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO audit (at, actor, action, detail) VALUES (?, ?, ?, ?)`, Micros(now), Clean(o.Who), "unit."+o.Action, []byte(o.Unit+": "+o.Why))
	return err
}
