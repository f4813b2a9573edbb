package channels

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/plexus-health/plexus/channels/schedule"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
)

// look reads waiting deliveries into the schedule, on from where it has come
// to. What may still come to be known below that is read again: rows are
// written by T2 of messages at or above the floor.
func (d *dispatch) look(ctx context.Context) {
	d.scan, d.looked, d.unfetched = false, time.Now(), false
	d.mu.Lock()
	d.later.look++
	d.mu.Unlock()
	if err := d.lift(ctx); err != nil {
		d.unread(ctx, err)
		return
	}
	if d.r.anew.Swap(false) || d.pass.isOver(d.looked) {
		d.pos, d.n = 0, 0
		d.begin()
	}
	s := d.r.c.line.options.Store
	for _, m := range d.r.takeMerged() {
		d.mu.Lock()
		d.sched.Fold(m[0], m[1])
		d.mu.Unlock()
	}
	floor, err := s.Floor(ctx, d.r.c.id, d.r.config.Strict || d.r.c.config.OnError == routes.OnErrorStop)
	if err != nil {
		d.unread(ctx, err)
		return
	}
	for page := 0; ; page++ {
		if page == deliveryPages || d.plenty() {
			d.unfetched = true
			break
		}
		rows, err := s.Open(ctx, d.r.unit, d.pos, d.n, deliveryPage)
		var kept []message.Delivery
		if err == nil {
			d.pass.saw(rows)
			kept, err = d.before(ctx, rows)
		}
		if err != nil {
			d.unread(ctx, err)
			return
		}
		if !d.offer(kept) {
			d.unfetched = true
			break
		}
		if len(rows) > 0 {
			d.pos, d.n = rows[len(rows)-1].Pos, rows[len(rows)-1].N
		}
		if len(rows) < deliveryPage {
			break
		}
	}
	d.raise(floor)
	if !d.unfetched {
		d.end()
	}
	if d.pos >= floor-1 {
		// What an operator puts to the end stands at the largest seq there is.
		d.pos, d.n = floor-2, 1<<62
	}
	d.bringBack(ctx)
}

// raise lets deliveries start up to the floor, after everything below it that
// was to be read is known.
func (d *dispatch) raise(floor int64) {
	if !d.r.floored {
		return
	}
	if d.unfetched {
		floor = min(floor, d.pos+1)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sched.Floor = max(floor, 1)
}

// plenty reports whether more may start than will be for a while.
func (d *dispatch) plenty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sched.Ready() >= deliveryPage
}

func (d *dispatch) unread(ctx context.Context, err error) {
	if ctx.Err() == nil {
		d.r.log.Error("waiting deliveries cannot be read, trying again", "error", err.Error())
	}
	d.scan = true
}

// offer takes rows into the schedule; false when there was no room for all.
func (d *dispatch) offer(rows []message.Delivery) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range rows {
		row := &rows[i]
		if !d.sched.Room() && !d.sched.Has(row.N) {
			return false
		}
		d.add(row)
		d.pos, d.n = row.Pos, row.N
	}
	return true
}

// dueOf is when a delivery may be tried. What was written by a clock that was
// ahead and is not any more waits as long as it was to wait, from now on.
func dueOf(row *message.Delivery, now time.Time) time.Time {
	if row.Due.IsZero() || !row.Due.After(now) {
		return row.Due
	}
	last := row.Answered // when it was put off, or at the earliest when a take-over did so
	if row.Started.After(last) {
		last = row.Started
	}
	var wait time.Duration
	if !last.IsZero() {
		wait = max(row.Due.Sub(last), 0)
	}
	if latest := now.Add(wait); latest.Before(row.Due) {
		return latest
	}
	return row.Due
}

func (d *dispatch) add(row *message.Delivery) bool {
	row.Due = dueOf(row, d.r.c.line.options.Now())
	if d.sched.Has(row.N) {
		d.later.sooner(row.N, row.Due) // an operator does not want to wait
		if at, some := d.dues[row.N]; some && row.Due.Before(at) {
			d.dues[row.N] = row.Due
		}
		return true
	}
	// Keys may have been merged since older rows were read, by another engine or
	// a moment ago.
	for _, merged := range [][2]string{{row.MadeKey, row.Key}, {row.MadeKey2, row.Key2}} {
		if merged[0] != "" {
			d.sched.Fold(merged[0], merged[1])
		}
	}
	if !row.Due.IsZero() {
		d.dues[row.N] = row.Due
	}
	taken := d.sched.Add(item(row))
	if !taken {
		delete(d.dues, row.N)
	}
	return taken
}

// broughtAtOnce bounds the keys that one look brings back.
const broughtAtOnce = 256

// bringBack reads the deliveries of keys of which some were left out and none
// is held any more, with those of the keys that share a delivery with them.
func (d *dispatch) bringBack(ctx context.Context) {
	d.mu.Lock()
	keys := d.sched.Lacking()
	d.mu.Unlock()
	keys = keys[:min(len(keys), broughtAtOnce)]
	var rows []message.Delivery
	cut := map[string]message.Delivery{} // the first that is left out again
	for i := 0; i < len(keys); i++ {
		found, err := d.r.c.line.options.Store.OpenOf(ctx, d.r.unit, keys[i], perKey+1)
		if err == nil {
			found, err = d.before(ctx, found)
		}
		if err != nil {
			d.unread(ctx, err)
			return
		}
		if len(found) > perKey {
			cut[keys[i]] = found[perKey]
			found = found[:perKey]
		}
		rows = append(rows, found...)
		keys = d.sharing(keys, found)
	}
	slices.SortFunc(rows, func(a, b message.Delivery) int { return cmp.Or(cmp.Compare(a.Pos, b.Pos), cmp.Compare(a.N, b.N)) })
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.sched.Room() {
		return
	}
	for _, key := range keys {
		d.sched.Return(key)
	}
	for i := range rows {
		d.add(&rows[i])
	}
	for key, row := range cut {
		d.sched.LeaveOut(key, item(&row))
	}
	for _, key := range keys {
		d.sched.Offered(key)
	}
}

// sharing adds to keys the other keys of deliveries of which some were left out
// and none is held: which of two such keys is older shows when both are read.
func (d *dispatch) sharing(keys []string, rows []message.Delivery) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range rows {
		for _, key := range []string{rows[i].Key, rows[i].Key2} {
			if rows[i].Key2 != "" && d.sched.Wanting(key) && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

func item(row *message.Delivery) schedule.Item {
	return schedule.Item{Seq: row.N, Pos: row.Pos, Key: row.Key, Key2: row.Key2}
}
