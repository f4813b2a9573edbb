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

// open is the condition of the partial indexes, word for word.
const open = `state IN ('waiting', 'sending')`

// deliveryState counts a delivery in the ledger, under its unit: units of
// routes have a slash in them, names of channels do not.
func deliveryState(s message.DeliveryState) message.State { return message.State(s) }

// insertOfDelivery writes new deliveries; newDelivery are the values of one.
const insertOfDelivery = `INSERT INTO deliveries (id, message, run, unit, part, pos, key, key2, state, due, late, control, original, payload, lot)`

const deliveryWidth = 15

func newDelivery(d *message.Delivery, due int64) []any {
	return []any{
		d.ID, d.Message, d.Run, d.Unit, d.Part, d.Pos, Clean(d.Key), Clean(d.Key2), string(message.Waiting), due, flag(d.Late), Clean(d.Control), flag(d.Original),
		d.Payload, Clean(d.Lot),
	}
}

// insertDeliveries writes the deliveries of outcomes. Those of a message that
// was handed in again go to the end of their key.
func insertDeliveries(ctx context.Context, tx Tx, list []*Finished, led *Ledger) error {
	var args []any
	for _, f := range list {
		if len(f.Deliveries) == 0 {
			continue
		}
		pos := f.Seq
		if f.Run > 0 {
			if _, err := one(ctx, tx, `SELECT MAX(seq) FROM messages`, nil, &pos); err != nil {
				return err
			}
		}
		for i := range f.Deliveries {
			d := &f.Deliveries[i]
			d.Message, d.Run, d.Pos = f.Seq, f.Run, pos
			due := f.now
			if !d.Due.IsZero() {
				due = Micros(d.Due)
			}
			args = append(args, newDelivery(d, due)...)
			led.Add(d.Unit, deliveryState(message.Waiting), 1)
		}
	}
	if _, err := insert(ctx, tx, insertOfDelivery, deliveryWidth, "", args); err != nil {
		return fmt.Errorf("delivery: %w", err)
	}
	return nil
}

func insertDelivery(ctx context.Context, tx Tx, d *message.Delivery, due int64, led *Ledger) error {
	if _, err := insert(ctx, tx, insertOfDelivery, deliveryWidth, "", newDelivery(d, due)); err != nil {
		return fmt.Errorf("delivery: %w", err)
	}
	led.Add(d.Unit, deliveryState(message.Waiting), 1)
	return nil
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// insertIntakes writes the messages of other channels that a message becomes.
// One that was written before, by the same message, run, route and part, stays.
func insertIntakes(ctx context.Context, tx Tx, intakes []store.Intake, now time.Time, led *Ledger) error {
	for i := range intakes {
		row := RowOf(&intakes[i], now)
		if _, err := Record(ctx, tx, &row, led); err != nil {
			return fmt.Errorf("message of channel %s: %w", row.Channel, err)
		}
	}
	return nil
}

// merge writes that a key of order was merged into another: later messages of
// the old one join the queue of the survivor.
func mergeKeys(ctx context.Context, tx Tx, old, survivor string, seq int64) error {
	old, survivor = Clean(old), Clean(survivor)
	if old == "" || survivor == "" || old == survivor {
		return nil
	}
	// The survivor may have been merged before, away or into the old one.
	if _, err := tx.Exec(ctx, `DELETE FROM aliases WHERE key = ?`, survivor); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE aliases SET survivor = ? WHERE survivor = ?`, survivor, old); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO aliases (key, survivor, message) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET survivor = excluded.survivor, message = excluded.message`, old, survivor, seq)
	return err
}

// deliveryColumns are those of a delivery without payload and answer.
const deliveryColumns = `n, id, message, run, unit, part, pos, key, key2, state, reason, class, due, attempts, started, answered, maybe_sent, late, control, original, lot, batch`

// resolvedColumns are the same with the keys of the survivors of merges, and at
// the end those it was made with.
const resolvedColumns = `n, id, message, run, unit, part, pos, COALESCE((SELECT survivor FROM aliases WHERE aliases.key = d.key), key),
COALESCE((SELECT survivor FROM aliases WHERE aliases.key = d.key2), key2), state, reason, class, due, attempts, started, answered, maybe_sent, late, control, original, lot, batch, key, key2`

func scanDelivery(rows Rows, more ...any) (message.Delivery, error) {
	var d message.Delivery
	var state, class string
	var due, started, answered, maybe, late, original int64
	dest := append([]any{
		&d.N, &d.ID, &d.Message, &d.Run, &d.Unit, &d.Part, &d.Pos, &d.Key, &d.Key2, &state, &d.Reason, &class, &due, &d.Attempts,
		&started, &answered, &maybe, &late, &d.Control, &original, &d.Lot, &d.Batch,
	}, more...)
	if err := rows.Scan(dest...); err != nil {
		return d, err
	}
	d.State, d.Class = message.DeliveryState(state), message.Kind(class)
	d.Due, d.Started, d.Answered = FromMicros(due), FromMicros(started), FromMicros(answered)
	d.MaybeSent, d.Late, d.Original = maybe != 0, late != 0, original != 0
	return d, nil
}

// Claim is T3: the delivery is sending.
func Claim(ctx context.Context, tx Tx, unit string, n int64, now time.Time, led *Ledger) (message.Delivery, error) {
	rows, err := tx.Query(ctx, `UPDATE deliveries SET state = 'sending', attempts = attempts + 1, started = ? WHERE n = ? AND unit = ? AND state = 'waiting' RETURNING `+deliveryColumns+`, payload`, Micros(now), n, unit)
	if err != nil {
		return message.Delivery{}, err
	}
	var d message.Delivery
	if rows.Next() {
		var payload []byte
		if d, err = scanDelivery(rows, &payload); err == nil {
			d.Payload = payload
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return message.Delivery{}, err
	}
	if d.N == 0 {
		return d, store.ErrNotWaiting
	}
	led.Add(unit, deliveryState(message.Waiting), -1)
	led.Add(unit, deliveryState(message.Sending), 1)
	return d, nil
}

// An Answered is the answer to a send, prepared outside of the transaction.
type Answered struct {
	store.Answer
	reason string
	steps  string
	now    time.Time
}

// AnsweredOf prepares an answer.
func AnsweredOf(a *store.Answer, now time.Time) *Answered {
	out := &Answered{Answer: *a, reason: CleanText(a.Reason), now: now}
	for i := range out.Events {
		if out.Events[i].At.IsZero() {
			out.Events[i].At = now.UTC()
		}
	}
	out.steps = stepsJSON(out.Events)
	return out
}

// Several reports whether more is written than the delivery's own row.
func (a *Answered) Several() bool {
	return a.Next != nil || len(a.Intakes) > 0 || a.Hold != "" || a.steps != "" || len(a.Worklist) > 0
}

// Closes reports whether the delivery is not open any more.
func (a *Answered) Closes() bool { return a.State != message.Waiting }

// Settle is T4 of one delivery of a unit. Where it closes the delivery and
// barriers stand in the unit, Barriers follows.
func (a *Answered) Settle(ctx context.Context, tx Tx, unit string, led *Ledger) error {
	n, err := tx.Exec(ctx, `UPDATE deliveries SET state = ?, reason = ?, class = ?, due = ?, answered = ?, maybe_sent = ?, answer = ?, attempts = attempts - ? WHERE n = ? AND unit = ? AND state = 'sending'`,
		string(a.State), a.reason, string(a.Class), Micros(a.Due), Micros(a.now), flag(a.MaybeSent), a.Raw, flag(a.Unsent), a.N, unit)
	if err != nil {
		return err
	}
	if n != 1 {
		return store.ErrNotSending
	}
	led.Add(unit, deliveryState(message.Sending), -1)
	led.Add(unit, deliveryState(a.State), 1)
	if a.Next != nil {
		if err := a.divert(ctx, tx, led); err != nil {
			return err
		}
	}
	if err := insertIntakes(ctx, tx, a.Intakes, a.now, led); err != nil {
		return err
	}
	if a.Hold != "" {
		if _, err := tx.Exec(ctx, `UPDATE units SET held = ? WHERE unit = ?`, CleanText(a.Hold), unit); err != nil {
			return err
		}
	}
	if a.steps != "" {
		if _, err := tx.Exec(ctx, `INSERT INTO events (message, run, at, steps) VALUES (?, ?, ?, ?)`, a.Message, a.Run, Micros(a.now), a.steps); err != nil {
			return fmt.Errorf("trace: %w", err)
		}
	}
	return insertWorklist(ctx, tx, a.Message, a.Worklist, Micros(a.now))
}

// divert makes the successor of a delivery in the failure route, at its own
// place in order.
func (a *Answered) divert(ctx context.Context, tx Tx, led *Ledger) error {
	next := *a.Next
	next.Message, next.Run = a.Message, a.Run
	if _, err := one(ctx, tx, `SELECT pos, part FROM deliveries WHERE n = ?`, []any{a.N}, &next.Pos, &next.Part); err != nil {
		return err
	}
	// The failure route may have a delivery of this message of its own.
	if _, err := one(ctx, tx, `SELECT COALESCE(MAX(part) + 1, ?) FROM deliveries WHERE message = ? AND run = ? AND unit = ? AND part >= ?`,
		[]any{next.Part, next.Message, next.Run, next.Unit, next.Part}, &next.Part); err != nil {
		return err
	}
	return insertDelivery(ctx, tx, &next, Micros(a.now), led)
}

func insertWorklist(ctx context.Context, tx Tx, seq int64, items []store.WorkItem, now int64) error {
	for i := range items {
		w := &items[i]
		_, err := tx.Exec(ctx, `INSERT INTO worklist (at, message, kind, place, name, code, text) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			now, seq, w.Kind, Clean(w.Where), w.Table, Clean(w.Code), CleanText(w.Text))
		if err != nil {
			return fmt.Errorf("work list: %w", err)
		}
	}
	return nil
}

func stepsJSON(events []store.Event) string {
	if len(events) == 0 {
		return ""
	}
	text, err := json.Marshal(events)
	if err != nil {
		return "" // texts and times always marshal
	}
	return CleanJSON(string(text))
}

// resend is what a take-over does with what was being sent: it waits again,
// perhaps sent already.
func resend(ctx context.Context, tx Tx, unit string, due time.Time, led *Ledger) error {
	n, err := tx.Exec(ctx, `UPDATE deliveries SET state = 'waiting', maybe_sent = 1, due = ?, reason = 'the engine ended while it was being sent' WHERE unit = ? AND `+open+` AND state = 'sending'`, Micros(due), unit)
	if err != nil {
		return err
	}
	led.Add(unit, deliveryState(message.Sending), -n)
	led.Add(unit, deliveryState(message.Waiting), n)
	return nil
}
