package relational

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// loose is the condition of waiting deliveries in no file, word for word that of
// the partial index.
const loose = `batch = 0 AND ` + open + ` AND state = 'waiting'`

// named are those of them that have a lot.
const named = `lot <> '' AND ` + loose

// Lots lists what waits of a unit outside of files, by what belongs together: one
// lot after the other in the index, so that rows beyond most are not looked at.
func (w Work) Lots(ctx context.Context, s store.Selection, most int) ([]store.Lot, error) {
	var out []store.Lot
	err := w.Lend(ctx, func(tx Tx) error {
		if s.Plain {
			if err := countLot(ctx, tx, s, `lot = '' AND `+loose, nil, most, &out); err != nil {
				return err
			}
		}
		name := ""
		for {
			found, err := one(ctx, tx, `SELECT lot FROM deliveries WHERE unit = ? AND `+named+` AND lot > ? ORDER BY lot LIMIT 1`, []any{s.Unit, name}, &name)
			if err != nil || !found {
				return err
			}
			if err := countLot(ctx, tx, s, named+` AND lot = ?`, []any{name}, most, &out); err != nil {
				return err
			}
		}
	})
	return out, err
}

// countLot counts what waits of one lot, up to most.
func countLot(ctx context.Context, tx Tx, s store.Selection, where string, name []any, most int, out *[]store.Lot) error {
	from := ` FROM deliveries WHERE unit = ? AND ` + where + ` AND pos < ? AND n <= ?`
	args := append(append([]any{s.Unit}, name...), s.Below, s.UpTo)
	l := store.Lot{}
	if found, err := one(ctx, tx, `SELECT id, lot`+from+` ORDER BY pos, n LIMIT 1`, args, &l.First, &l.Name); err != nil || !found {
		return err
	}
	if _, err := one(ctx, tx, `SELECT COUNT(*) FROM (SELECT n`+from+` LIMIT ?) AS counted`, append(args, most), &l.Count); err != nil {
		return err
	}
	*out = append(*out, l)
	return nil
}

// older is the condition that an older delivery o of one of the keys of a
// delivery d, as they are called since merges, is open outside of the file that d
// may go into.
func older(key, other string) string {
	survivor := `COALESCE((SELECT survivor FROM aliases WHERE aliases.key = d.` + other + `), d.` + other + `)`
	return `EXISTS (SELECT 1 FROM deliveries o WHERE o.unit = d.unit AND o.` + key + ` <> '' AND o.` + key +
		` IN (SELECT ` + survivor + ` UNION ALL SELECT aliases.key FROM aliases WHERE aliases.survivor = ` + survivor + `)` +
		` AND o.` + open + ` AND (o.pos, o.n) < (d.pos, d.n) AND (o.lot <> d.lot OR o.batch <> 0))`
}

// passedOver is how many deliveries that wait for others are looked at beyond
// those that a file may hold.
const passedOver = 1000

// LotOf lists what may go into the next file of a lot, with payloads. What waits
// for an older one elsewhere holds up the younger ones of its keys here.
func (w Work) LotOf(ctx context.Context, s store.Selection, lot string, limit int, bytes int64) (out []message.Delivery, full bool, err error) {
	waiting := loose
	if lot != "" {
		waiting = named
	}
	var waits []string
	for _, keys := range [][2]string{{"key", "key"}, {"key", "key2"}, {"key2", "key"}, {"key2", "key2"}} {
		waits = append(waits, older(keys[0], keys[1]))
	}
	sql := `SELECT ` + resolvedColumns + `, payload, (` + strings.Join(waits, ` OR `) + `) FROM deliveries d WHERE unit = ? AND lot = ? AND ` + waiting + ` AND pos < ? AND n <= ? ORDER BY pos, n LIMIT ?`
	err = w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, sql, s.Unit, Clean(lot), s.Below, s.UpTo, limit+passedOver)
		if err != nil {
			return err
		}
		held := map[string]bool{}
		for rows.Next() && len(out) < limit {
			var key, key2 string
			var payload []byte
			var waits bool
			d, err := scanDelivery(rows, &key, &key2, &payload, &waits)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			if waits || held[d.Key] || d.Key2 != "" && held[d.Key2] {
				held[d.Key] = true
				if d.Key2 != "" {
					held[d.Key2] = true
				}
				continue
			}
			if bytes -= int64(len(payload)); bytes < 0 && len(out) > 0 {
				full = true
				break
			}
			d.Payload = payload
			out = append(out, d)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, full, err
}

// Closed lists the files whose deliveries wait.
func (w Work) Closed(ctx context.Context, unit string) ([]store.Batch, error) {
	var out []store.Batch
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE unit = ? AND batch <> 0 AND `+open+` AND state = 'waiting' ORDER BY batch, pos, n`, unit)
		if err != nil {
			return err
		}
		for rows.Next() {
			d, err := scanDelivery(rows)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			if len(out) == 0 || out[len(out)-1].N != d.Batch {
				out = append(out, store.Batch{N: d.Batch, Lot: d.Lot})
			}
			b := &out[len(out)-1]
			b.Deliveries = append(b.Deliveries, d)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// LastNumber is the number of the last file of a unit.
func (w Work) LastNumber(ctx context.Context, unit string) (n int64, err error) {
	err = w.Lend(ctx, func(tx Tx) error {
		_, err := one(ctx, tx, `SELECT COALESCE(MAX(number), 0) FROM batches WHERE unit = ?`, []any{unit}, &n)
		return err
	})
	return n, err
}

// Bundle is T3 of a new file.
func Bundle(ctx context.Context, tx Tx, unit string, b store.Batch, at, now time.Time, led *Ledger) (store.Batch, error) {
	if _, err := one(ctx, tx, `INSERT INTO batches (id, unit, lot, number, control, made, payload) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING n`,
		[]any{b.ID, unit, Clean(b.Lot), b.Number, b.Control, Micros(at), b.Payload}, &b.N); err != nil {
		return b, err
	}
	if b.N == 0 {
		return b, store.ErrConflict
	}
	const atOnce = 200
	var claimed int64
	for from := 0; from < len(b.Deliveries); from += atOnce {
		some := b.Deliveries[from:min(from+atOnce, len(b.Deliveries))]
		args := []any{b.N, Micros(now), unit}
		for i := range some {
			args = append(args, some[i].N)
		}
		n, err := tx.Exec(ctx, `UPDATE deliveries SET state = 'sending', batch = ?, attempts = attempts + 1, started = ? WHERE unit = ? AND state = 'waiting' AND batch = 0 AND n IN (?`+strings.Repeat(", ?", len(some)-1)+`)`, args...)
		if err != nil {
			return b, err
		}
		claimed += n
	}
	if claimed != int64(len(b.Deliveries)) {
		return b, store.ErrNotWaiting
	}
	for i := range b.Deliveries {
		d := &b.Deliveries[i]
		d.State, d.Batch, d.Attempts, d.Started = message.Sending, b.N, d.Attempts+1, now
	}
	led.Add(unit, deliveryState(message.Waiting), -claimed)
	led.Add(unit, deliveryState(message.Sending), claimed)
	return b, nil
}

// Resend is T3 of a file that is sent again: the same bytes under the same name.
func Resend(ctx context.Context, tx Tx, unit string, n int64, now time.Time, led *Ledger) (store.Batch, error) {
	b := store.Batch{N: n}
	found, err := one(ctx, tx, `SELECT id, lot, number, control, payload FROM batches WHERE n = ? AND unit = ?`, []any{n, unit}, &b.ID, &b.Lot, &b.Number, &b.Control, &b.Payload)
	if err != nil {
		return b, err
	}
	if !found {
		return b, store.ErrNotFound
	}
	claimed, err := tx.Exec(ctx, `UPDATE deliveries SET state = 'sending', attempts = attempts + 1, started = ? WHERE batch = ? AND unit = ? AND state = 'waiting'`, Micros(now), n, unit)
	if err != nil {
		return b, err
	}
	rows, err := tx.Query(ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE batch = ? AND unit = ? AND state = 'sending' ORDER BY pos, n`, n, unit)
	if err != nil {
		return b, err
	}
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return b, errors.Join(err, rows.Close())
		}
		b.Deliveries = append(b.Deliveries, d)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return b, err
	}
	if claimed == 0 || claimed != int64(len(b.Deliveries)) {
		return b, store.ErrNotWaiting
	}
	led.Add(unit, deliveryState(message.Waiting), -claimed)
	led.Add(unit, deliveryState(message.Sending), claimed)
	return b, nil
}

// AnsweredAll prepares the answers of a file.
func AnsweredAll(answers []store.Answer, now time.Time) []*Answered {
	out := make([]*Answered, len(answers))
	for i := range answers {
		out[i] = AnsweredOf(&answers[i], now)
	}
	return out
}

// SettleBatch is T4 of a file: of each of its deliveries. A file that will not be
// sent again is not kept: its deliveries have their payloads.
func SettleBatch(ctx context.Context, tx Tx, unit string, n int64, answers []*Answered, led *Ledger) error {
	over := true
	for _, a := range answers {
		if a.Next != nil && a.Next.Payload == nil && !a.Next.Original {
			next := *a.Next
			if _, err := one(ctx, tx, `SELECT payload FROM deliveries WHERE n = ?`, []any{a.N}, &next.Payload); err != nil {
				return err
			}
			a.Next = &next
		}
		if err := a.Settle(ctx, tx, unit, led); err != nil {
			return err
		}
		over = over && (a.State == message.Delivered || a.State == message.Diverted)
	}
	if over {
		if _, err := tx.Exec(ctx, `UPDATE batches SET payload = NULL WHERE n = ?`, n); err != nil {
			return err
		}
	}
	return Barriers(ctx, tx, unit)
}

// operateDeliveries is T6 of a delivery and of those in one file with it: the
// file is sent as it is, or not at all. What goes to another route leaves it.
func operateDeliveries(ctx context.Context, tx Tx, o store.Order, now time.Time, led *Ledger) error {
	rows, err := tx.Query(ctx, `SELECT id, batch FROM deliveries WHERE batch <> 0 AND batch = (SELECT batch FROM deliveries WHERE id = ?) ORDER BY n`, o.Delivery)
	if err != nil {
		return err
	}
	var ids []string
	var batch int64
	for rows.Next() {
		var id string
		if err := rows.Scan(&id, &batch); err != nil {
			return errors.Join(err, rows.Close())
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if len(ids) == 0 {
		return operateDelivery(ctx, tx, o, now, led)
	}
	for _, id := range ids {
		o.Delivery = id
		if err := operateDelivery(ctx, tx, o, now, led); err != nil {
			return fmt.Errorf("%w (it is one of %d in a file)", err, len(ids))
		}
	}
	if o.Action != store.ActMove && o.Action != store.ActDropDelivery {
		return nil
	}
	if o.Action == store.ActMove {
		if _, err := tx.Exec(ctx, `UPDATE deliveries SET batch = 0, lot = '' WHERE batch = ?`, batch); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `UPDATE batches SET payload = NULL WHERE n = ?`, batch)
	return err
}
