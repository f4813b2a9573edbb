package relational

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// operateDelivery is T6 of one delivery.
func operateDelivery(ctx context.Context, tx Tx, o store.Order, now time.Time, led *Ledger) error {
	d, err := lockDelivery(ctx, tx, o)
	if err != nil {
		return err
	}
	next := d
	switch {
	case d.State != message.Waiting && d.State != message.ParkedDelivery:
		return store.ErrNotWaiting
	case o.Action == store.ActRetry && d.State == message.Waiting:
		next.Due = now // its turn, at its place
	case o.Action == store.ActRetry:
		next.State, next.Due, err = message.Waiting, now, atEnd(ctx, tx, o, &next)
	case o.Action == store.ActMove:
		next.State, next.Due, next.Unit, err = message.Waiting, now, o.To, moved(ctx, tx, o, &d)
		if err == nil {
			err = atEnd(ctx, tx, o, &next)
		}
	case o.Action == store.ActPark:
		next.State = message.ParkedDelivery
	default:
		next.State = message.DroppedDelivery
	}
	if err != nil {
		return err
	}
	if err := rewrite(ctx, tx, o, &d, &next, now, led); err != nil {
		return err
	}
	if next.State == message.Waiting && next.Unit == d.Unit {
		return nil
	}
	return Barriers(ctx, tx, d.Unit)
}

// lockDelivery reads the delivery of an order. Where several write, its unit is
// locked before it, in the order in which T4 does, and the one it goes to.
func lockDelivery(ctx context.Context, tx Tx, o store.Order) (d message.Delivery, err error) {
	const read = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE id = ?`
	if d, err = deliveryOf(ctx, tx, read, o.Delivery); err != nil || tx.Dialect() != PostgreSQL {
		return d, err
	}
	units := []string{d.Unit}
	if o.To != "" && o.To != d.Unit {
		units = append(units, o.To)
	}
	slices.Sort(units)
	for _, unit := range units {
		if _, err := one(ctx, tx, `SELECT name FROM units WHERE unit = ? FOR UPDATE`, []any{unit}, new(string)); err != nil {
			return d, err
		}
	}
	unit := d.Unit
	if d, err = deliveryOf(ctx, tx, read+` FOR UPDATE`, o.Delivery); err == nil && d.Unit != unit {
		err = store.ErrConflict // it was moved a moment ago
	}
	return d, err
}

func deliveryOf(ctx context.Context, tx Tx, sql, id string) (d message.Delivery, err error) {
	rows, err := tx.Query(ctx, sql, id)
	if err != nil {
		return d, err
	}
	if rows.Next() {
		d, err = scanDelivery(rows)
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err == nil && d.N == 0 {
		err = store.ErrNotFound
	}
	return d, err
}

// moved says whether a delivery may go to another route.
func moved(ctx context.Context, tx Tx, o store.Order, d *message.Delivery) error {
	if o.To == "" || o.To == d.Unit {
		return errors.New("to which other route? --to CHANNEL/ROUTE")
	}
	var n int64
	taken, err := one(ctx, tx, `SELECT n FROM deliveries WHERE message = ? AND run = ? AND unit = ? AND part = ?`, []any{d.Message, d.Run, o.To, d.Part}, &n)
	if err == nil && taken {
		err = store.ErrTaken
	}
	return err
}

// atEnd puts a delivery that an operator sends to the end of its key. When
// younger ones have arrived it is late, and the operator has to say so.
func atEnd(ctx context.Context, tx Tx, o store.Order, d *message.Delivery) error {
	late, err := overtaken(ctx, tx, d.Unit, []string{d.Key, d.Key2}, d.Message)
	if err != nil {
		return err
	}
	if late && !o.Late {
		return store.ErrOvertaken
	}
	d.Late = d.Late || late
	_, err = one(ctx, tx, `SELECT MAX(seq) FROM messages`, nil, &d.Pos)
	return err
}

// overtaken looks for a delivery of a younger message that arrived under one of
// the keys or, where that was merged, under any name of the survivor.
func overtaken(ctx context.Context, tx Tx, unit string, keys []string, seq int64) (bool, error) {
	for _, key := range keys {
		if key == "" {
			continue
		}
		names, err := namesOf(ctx, tx, key)
		if err != nil {
			return false, err
		}
		for _, name := range names {
			for _, where := range []string{`key = ?`, `key2 <> '' AND key2 = ?`} {
				var n int64
				found, err := one(ctx, tx, `SELECT n FROM deliveries WHERE unit = ? AND state = 'delivered' AND `+where+` AND message > ? LIMIT 1`, []any{unit, name, seq}, &n)
				if found || err != nil {
					return found, err
				}
			}
		}
	}
	return false, nil
}

// namesOf are the keys that mean the same as one: its survivor, or itself, and
// what was merged into that.
func namesOf(ctx context.Context, tx Tx, key string) ([]string, error) {
	survivor := key
	if _, err := one(ctx, tx, `SELECT survivor FROM aliases WHERE key = ?`, []any{key}, &survivor); err != nil {
		return nil, err
	}
	names := []string{survivor}
	rows, err := tx.Query(ctx, `SELECT key FROM aliases WHERE survivor = ?`, survivor)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		names = append(names, name)
	}
	return names, errors.Join(rows.Err(), rows.Close())
}

// rewrite writes what an operator has decided, with who and why.
func rewrite(ctx context.Context, tx Tx, o store.Order, d, next *message.Delivery, now time.Time, led *Ledger) error {
	reason := ""
	if next.State != message.Waiting {
		reason = CleanText(o.Action + " by " + o.Who + ": " + o.Why)
	}
	if _, err := tx.Exec(ctx, `UPDATE deliveries SET state = ?, reason = ?, unit = ?, pos = ?, due = ?, late = ?, attempts = CASE WHEN ? = 'waiting' THEN 0 ELSE attempts END WHERE n = ?`,
		string(next.State), reason, next.Unit, next.Pos, Micros(next.Due), flag(next.Late), string(next.State), d.N); err != nil {
		return err
	}
	led.Add(d.Unit, deliveryState(d.State), -1)
	led.Add(next.Unit, deliveryState(next.State), 1)
	to, err := nameOf(ctx, tx, next.Unit)
	if err != nil {
		return err
	}
	step := map[string]string{store.ActRetry: "retried", store.ActPark: "delivery parked", store.ActMove: "moved", store.ActDropDelivery: "delivery dropped"}[o.Action]
	steps, err := json.Marshal([]store.Event{{At: now.UTC(), Run: d.Run, Step: step, Text: CleanText(o.Why), Ref: to, Who: Clean(o.Who)}})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO events (message, run, at, steps) VALUES (?, ?, ?, ?)`, d.Message, d.Run, Micros(now), string(steps)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO audit (at, actor, action, rid, detail) VALUES (?, ?, ?, ?, ?)`, Micros(now), Clean(o.Who), "delivery."+o.Action, d.Message, []byte(o.Why))
	return err
}

// deliveries reads what a query of deliveryColumns gives.
func (w Work) deliveries(ctx context.Context, sql string, args ...any) ([]message.Delivery, error) {
	return w.scanned(ctx, func(rows Rows) (message.Delivery, error) { return scanDelivery(rows) }, sql, args)
}

// resolved reads what a query of resolvedColumns gives.
func (w Work) resolved(ctx context.Context, sql string, args ...any) ([]message.Delivery, error) {
	return w.scanned(ctx, func(rows Rows) (message.Delivery, error) {
		var key, key2 string
		d, err := scanDelivery(rows, &key, &key2)
		if key != d.Key {
			d.MadeKey = key
		}
		if key2 != d.Key2 {
			d.MadeKey2 = key2
		}
		return d, err
	}, sql, args)
}

func (w Work) scanned(ctx context.Context, scan func(Rows) (message.Delivery, error), sql string, args []any) ([]message.Delivery, error) {
	var out []message.Delivery
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			d, err := scan(rows)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, d)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// Open lists the waiting deliveries of a unit after a place, in order.
func (w Work) Open(ctx context.Context, unit string, pos, n int64, limit int) ([]message.Delivery, error) {
	return w.resolved(ctx, `SELECT `+resolvedColumns+` FROM deliveries d WHERE unit = ? AND `+open+` AND state = 'waiting' AND batch = 0 AND (pos, n) > (?, ?) ORDER BY pos, n LIMIT ?`, unit, pos, n, limit)
}

// OpenOf lists the waiting deliveries that carry a key or one that was merged
// into it, the oldest first.
func (w Work) OpenOf(ctx context.Context, unit, key string, limit int) ([]message.Delivery, error) {
	const part = `SELECT ` + resolvedColumns + ` FROM deliveries d WHERE unit = ? AND ` + open + ` AND state = 'waiting' AND batch = 0 AND `
	key = Clean(key)
	var names []string
	if err := w.Lend(ctx, func(tx Tx) (err error) {
		names, err = namesOf(ctx, tx, key)
		return err
	}); err != nil {
		return nil, err
	}
	// One name at a time: a list of names would be looked for among all open rows.
	var out []message.Delivery
	for _, name := range names {
		for _, where := range []string{`key = ?`, `key2 <> '' AND key2 = ?`} {
			found, err := w.resolved(ctx, part+where+` ORDER BY pos, n LIMIT ?`, unit, name, limit)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
	}
	return firstOf(out, limit), nil
}

// Floor is the smallest seq of a channel that is still stored or, when asked
// for, parked.
func (w Work) Floor(ctx context.Context, channel string, parked bool) (floor int64, err error) {
	err = w.Lend(ctx, func(tx Tx) error {
		_, err := one(ctx, tx, `SELECT COALESCE((SELECT seq FROM messages WHERE channel = ? AND state = 'stored' ORDER BY seq LIMIT 1), (SELECT COALESCE(MAX(seq), 0) + 1 FROM messages))`, []any{channel}, &floor)
		if err != nil || !parked {
			return err
		}
		var lowest int64
		found, err := one(ctx, tx, `SELECT seq FROM messages WHERE state = 'parked' AND channel = ? ORDER BY seq LIMIT 1`, []any{channel}, &lowest)
		if found {
			floor = min(floor, lowest)
		}
		return err
	})
	return floor, err
}

// Deliveries lists deliveries without payload.
func (w Work) Deliveries(ctx context.Context, f store.DeliveryFilter) ([]message.Delivery, error) {
	where, args := []string{"n > ?"}, []any{f.After}
	if f.Unit != "" {
		where, args = append(where, "unit = ?"), append(args, f.Unit)
	}
	switch f.State {
	case "":
	case message.Waiting, message.Sending:
		where, args = append(where, open, "state = ?"), append(args, string(f.State))
	default:
		where, args = append(where, "state = ?"), append(args, string(f.State))
	}
	if f.Message != 0 {
		where, args = append(where, "message = ?"), append(args, f.Message)
	}
	if f.Younger != 0 {
		where, args = append(where, "message > ?"), append(args, f.Younger)
	}
	if f.Key != "" {
		var names []string
		if err := w.Lend(ctx, func(tx Tx) (err error) {
			names, err = namesOf(ctx, tx, Clean(f.Key))
			return err
		}); err != nil {
			return nil, err
		}
		list := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
		where = append(where, "(key IN "+list+" OR key2 IN "+list+")")
		for range 2 {
			for _, name := range names {
				args = append(args, name)
			}
		}
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	return w.deliveries(ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE `+strings.Join(where, " AND ")+` ORDER BY n LIMIT ?`, append(args, f.Limit)...)
}

// FindDelivery returns one delivery with payload and answer.
func (w Work) FindDelivery(ctx context.Context, id string) (message.Delivery, error) {
	where, args := `id = ?`, []any{id}
	if len(id) != 36 {
		if len(id) < 4 || strings.Trim(id, "0123456789abcdef-") != "" {
			return message.Delivery{}, store.ErrNotFound
		}
		where, args = `id >= ? AND id < ?`, []any{id, id + "g"}
	}
	var d message.Delivery
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+deliveryColumns+`, payload, answer FROM deliveries WHERE `+where+` LIMIT 2`, args...)
		if err != nil {
			return err
		}
		n := 0
		for rows.Next() {
			var payload, answer []byte
			if d, err = scanDelivery(rows, &payload, &answer); err != nil {
				return errors.Join(err, rows.Close())
			}
			d.Payload, d.Answer = payload, answer
			n++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if n != 1 {
			return store.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return message.Delivery{}, err
	}
	return d, nil
}

// Overtaken reports whether a younger delivery has arrived under one of the keys.
func (w Work) Overtaken(ctx context.Context, unit string, keys []string, seq int64) (late bool, err error) {
	cleaned := make([]string, len(keys))
	for i, key := range keys {
		cleaned[i] = Clean(key)
	}
	err = w.Lend(ctx, func(tx Tx) error {
		late, err = overtaken(ctx, tx, unit, cleaned, seq)
		return err
	})
	return late, err
}

// Queues lists the routes that have or had deliveries.
func (w Work) Queues(ctx context.Context) ([]store.QueueState, error) {
	counts, err := w.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	held, err := w.Held(ctx)
	if err != nil {
		return nil, err
	}
	var out []store.QueueState
	for _, c := range counts {
		if !strings.Contains(c.Channel, "/") {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Unit != c.Channel {
			out = append(out, store.QueueState{Unit: c.Channel, Held: held[c.Channel]})
		}
		q := &out[len(out)-1]
		switch message.DeliveryState(c.State) {
		case message.Waiting:
			q.Waiting = c.N
		case message.Sending:
			q.Sending = c.N
		case message.Delivered:
			q.Delivered = c.N
		case message.ParkedDelivery:
			q.Parked = c.N
		case message.Diverted:
			q.Diverted = c.N
		case message.DroppedDelivery:
			q.Dropped = c.N
		}
	}
	for i := range out {
		if err := w.head(ctx, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Busy lists the units that have something to do.
func (w Work) Busy(ctx context.Context) ([]string, error) {
	var out []string
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT channel FROM ledger WHERE state IN ('stored', 'waiting', 'sending') GROUP BY channel HAVING SUM(n) > 0 ORDER BY channel`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var unit string
			if err := rows.Scan(&unit); err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, unit)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// ParkedKeys lists the parked messages of a channel, without content.
func (w Work) ParkedKeys(ctx context.Context, channel string) ([]*message.Message, error) {
	var out []*message.Message
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+keyColumns+` FROM messages m WHERE state = 'parked' AND channel = ? ORDER BY seq LIMIT 100000`, channel)
		if err != nil {
			return err
		}
		for rows.Next() {
			m := &message.Message{Channel: channel, State: message.Parked}
			if err := scanKeys(rows, m); err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, m)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// head fills in what the oldest open delivery of a queue says.
func (w Work) head(ctx context.Context, q *store.QueueState) error {
	if q.Open() == 0 {
		return nil
	}
	return w.Lend(ctx, func(tx Tx) error {
		var received, due int64
		found, err := one(ctx, tx, `SELECT m.received, d.due, d.reason, d.attempts FROM deliveries d JOIN messages m ON m.seq = d.message WHERE d.unit = ? AND d.`+open+` ORDER BY d.pos, d.n LIMIT 1`,
			[]any{q.Unit}, &received, &due, &q.Reason, &q.Attempts)
		if found {
			q.Oldest, q.Next = FromMicros(received), FromMicros(due)
		}
		return err
	})
}

// firstOf are the oldest of several lists of deliveries, each once.
func firstOf(list []message.Delivery, limit int) []message.Delivery {
	sortDeliveries(list)
	var out []message.Delivery
	for _, d := range list {
		if len(out) > 0 && out[len(out)-1].N == d.N {
			continue
		}
		if len(out) == limit {
			break
		}
		out = append(out, d)
	}
	return out
}

func sortDeliveries(list []message.Delivery) {
	slices.SortFunc(list, func(a, b message.Delivery) int {
		return cmp.Or(cmp.Compare(a.Pos, b.Pos), cmp.Compare(a.N, b.N))
	})
}
