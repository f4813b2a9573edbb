package relational

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/plexus-health/plexus/fhir"
	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/fhir/search"
	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/store"
)

// Extractor is the number this engine's extractor of index rows has in the
// store. One that is not the last becomes the last: of engines that differ, the
// one that started last is right.
func Extractor(ctx context.Context, tx Tx, now time.Time) (n int64, err error) {
	if tx.Dialect() == PostgreSQL {
		if _, err := tx.Exec(ctx, `LOCK TABLE extractor IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return 0, err
		}
	}
	var version string
	if _, err := one(ctx, tx, `SELECT n, version FROM extractor ORDER BY n DESC LIMIT 1`, nil, &n, &version); err != nil || version == search.Version() {
		return n, err
	}
	n++
	_, err = tx.Exec(ctx, `INSERT INTO extractor (n, version, at) VALUES (?, ?, ?)`, n, search.Version(), Micros(now))
	return n, err
}

// Bounds of reindexing.
const (
	sliceTime   = 5 * time.Millisecond
	prepared    = 64      // resources read and taken apart at once
	preparedMax = 1 << 20 // bytes of them
	reindexLock = 0x52656978
)

// A Reindexer makes the index rows of resources anew that an older extractor has
// made. Which they are stands with each resource, so that it goes on where it
// was, however it ended, and also finds what an older engine writes meanwhile.
type Reindexer struct {
	Lend Lender
	// Slice runs f in a transaction, when nothing waits that is more urgent.
	Slice func(ctx context.Context, f func(context.Context, Tx) error) error
	// Number is that of this engine's extractor.
	Number int64
	Log    *slog.Logger
	// Every is when to look again; 0 means never.
	Every time.Duration

	left atomic.Int64
}

// Left is how many resources are still to be done.
func (x *Reindexer) Left() int64 { return x.left.Load() }

// Run works until ctx ends or nothing is left.
func (x *Reindexer) Run(ctx context.Context) {
	for {
		again := x.Every
		if err := x.pass(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			x.Log.Warn("resources were not indexed anew; it is tried again", "error", err.Error(), "left", x.left.Load())
			again = 5 * time.Second
		}
		if again == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(again):
		}
	}
}

// errElsewhere: another engine is at it.
var errElsewhere = errors.New("another engine indexes anew")

// Count counts what is left: nothing while a newer engine is there, which does
// it.
func (x *Reindexer) Count(ctx context.Context) error {
	var left, last int64
	err := x.Lend(ctx, func(tx Tx) error {
		if _, err := one(ctx, tx, `SELECT MAX(n) FROM extractor`, nil, &last); err != nil || last > x.Number {
			return err
		}
		_, err := one(ctx, tx, `SELECT COUNT(*) FROM resource WHERE indexed < ?`, []any{x.Number}, &left)
		return err
	})
	if err == nil {
		x.left.Store(left)
	}
	return err
}

// pass does all there is.
func (x *Reindexer) pass(ctx context.Context) error {
	if err := x.Count(ctx); err != nil || x.left.Load() == 0 {
		return err
	}
	x.Log.Info("the search index of older resources is made anew", "resources", x.left.Load())
	for {
		list, err := x.next(ctx)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			x.left.Store(0)
			x.Log.Info("the search index is up to date")
			return nil
		}
		done, err := x.write(ctx, list)
		if errors.Is(err, errElsewhere) {
			return nil
		}
		if err != nil {
			return err
		}
		if done == 0 { // all of them are being written by others
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
		}
	}
}

// next reads some resources and takes them apart, outside of any transaction.
func (x *Reindexer) next(ctx context.Context) ([]*head, error) {
	var list []*head
	var contents [][]byte
	err := x.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+resourceColumns+` FROM resource r WHERE r.indexed < ? ORDER BY r.indexed, r.rid LIMIT ?`, x.Number, prepared)
		if err != nil {
			return err
		}
		size := 0
		for rows.Next() && size < preparedMax {
			rid, res, err := scanResource(rows)
			if err != nil && rid == 0 {
				return errors.Join(err, rows.Close())
			}
			size += len(res.Content)
			list, contents = append(list, x.headOf(rid, &res, err)), append(contents, res.Content)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		for i, h := range list {
			if err := underBase(ctx, tx, h, contents[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// underBase takes a resource apart once more that was written under a base of this
// server: which one that was only its rows say.
func underBase(ctx context.Context, tx Tx, h *head, content []byte) error {
	if h.skip || !slices.ContainsFunc(h.w.Index.Refs, func(r fhir.RefRow) bool { return r.Type == "" && strings.HasPrefix(r.ID, "http") }) {
		return nil
	}
	rows, err := tx.Query(ctx, `SELECT pid, ttype, tkey FROM ix_ref WHERE rid = ? AND ttype <> 0`, h.rid)
	if err != nil {
		return err
	}
	var before []fhir.RefRow
	for rows.Next() {
		var param, typ int
		var key string
		if err := rows.Scan(&param, &typ, &key); err != nil {
			return errors.Join(err, rows.Close())
		}
		before = append(before, fhir.RefRow{Param: fhir.Param(param), Type: definitions.Name(typ), ID: key})
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	base := search.BaseOf(h.w.Index.Refs, before)
	if base == "" {
		return nil
	}
	n, err := fhir.Parse(content)
	if err != nil {
		return err
	}
	h.w.Index = search.IndexUnder(base, h.w.Type, n)
	*h.rows = rowsOf(h.w)
	return nil
}

// headOf takes a resource apart. One that cannot be read keeps the rows it has.
func (x *Reindexer) headOf(rid int64, res *store.Resource, err error) *head {
	w := &store.Write{Type: res.Type, ID: res.ID, Expect: res.Version, Delete: res.Deleted}
	h := &head{w: w, rows: &rows{}, set: &WriteSet{Extractor: x.Number}, rtype: definitions.Number(res.Type), rid: rid, version: res.Version}
	if res.Deleted {
		return h
	}
	var n *fhir.Node
	if err == nil {
		n, err = fhir.Parse(res.Content)
	}
	if err != nil {
		x.Log.Error("a resource cannot be read and keeps its old index rows", "type", res.Type, "row", rid)
		h.skip = true
		return h
	}
	w.Index = search.Index(res.Type, n)
	*h.rows = rowsOf(w)
	return h
}

// write puts the rows of some resources in place, in slices, and returns of how
// many.
func (x *Reindexer) write(ctx context.Context, list []*head) (done int, err error) {
	for len(list) > 0 {
		taken, changed := 0, 0
		err := x.Slice(ctx, func(ctx context.Context, tx Tx) error {
			taken, changed = 0, 0
			if err := alone(ctx, tx); err != nil {
				return err
			}
			for began := time.Now(); taken < len(list) && (taken == 0 || time.Since(began) < sliceTime); taken++ {
				ok, err := reindex(ctx, tx, list[taken])
				if err != nil {
					return err
				}
				if ok {
					changed++
				}
			}
			killpoint.Hit("before_reindexed")
			return nil
		})
		if err != nil {
			return done, err
		}
		killpoint.Hit("reindexed")
		list, done = list[taken:], done+changed
		x.left.Store(max(x.left.Load()-int64(changed), 1))
	}
	return done, nil
}

// alone lets one engine at a time do it.
func alone(ctx context.Context, tx Tx) error {
	if tx.Dialect() == SQLite {
		return nil
	}
	var mine bool
	if _, err := one(ctx, tx, `SELECT pg_try_advisory_xact_lock(?)`, []any{int64(reindexLock)}, &mine); err != nil {
		return err
	}
	if !mine {
		return errElsewhere
	}
	return nil
}

// reindex replaces the index rows of a resource, unless it has changed since it
// was read or is being changed: it waits for nobody, so that nobody who holds
// several can wait for it in a circle.
func reindex(ctx context.Context, tx Tx, h *head) (bool, error) {
	lock := ""
	if tx.Dialect() == PostgreSQL {
		lock = ` FOR UPDATE SKIP LOCKED`
	}
	var version int
	found, err := one(ctx, tx, `SELECT version FROM resource WHERE rid = ? AND version = ? AND indexed < ?`+lock, []any{h.rid, h.version, h.set.Extractor}, &version)
	if err != nil || !found {
		return false, err
	}
	if h.skip || h.w.Delete {
		_, err := tx.Exec(ctx, `UPDATE resource SET indexed = ? WHERE rid = ?`, h.set.Extractor, h.rid)
		return true, err
	}
	if h.w.Type == "Patient" {
		h.comp = h.rid
	} else if err := compartments(ctx, tx, []*head{h}, map[string]int64{}); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, `UPDATE resource SET indexed = ?, comp = ? WHERE rid = ?`, h.set.Extractor, h.comp, h.rid); err != nil {
		return false, err
	}
	if err := run(ctx, tx, unindexed(h.rid)...); err != nil {
		return false, err
	}
	return true, insertAll(ctx, tx, indexOf([]*head{h})...)
}
