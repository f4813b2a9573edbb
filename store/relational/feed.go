package relational

import (
	"context"
	"errors"
	"math"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// mostPlaced is how many lines of the change log one transaction gives a
// position to.
const mostPlaced = 5000

// Place gives the next positions to the lines of the change log that can be seen
// and have none, in the order of seq, and returns whether there may be more. The
// numbers of a sequence are no order of commit: a line may become visible after
// one with a higher seq. Whoever holds the row of the last position is the one
// owner that places; a line that can be seen then has all before it that were
// committed before it was written (PostgreSQL; with one writer seq is the order).
func Place(ctx context.Context, tx Tx) (more bool, err error) {
	const fresh = `SELECT at, seq FROM change_log WHERE pos IS NULL ORDER BY seq LIMIT ?`
	var at, seq, last int64
	if found, err := one(ctx, tx, fresh, []any{1}, &at, &seq); err != nil || !found {
		return false, err
	}
	if _, err := one(ctx, tx, `SELECT pos FROM change_cursor WHERE consumer = '' FOR UPDATE`, nil, &last); err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, `UPDATE change_log c SET pos = ? + n.n FROM (SELECT at, seq, row_number() OVER (ORDER BY seq) AS n FROM (`+fresh+`) f) n WHERE c.at = n.at AND c.seq = n.seq AND c.pos IS NULL`, last, mostPlaced)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `UPDATE change_cursor SET pos = ? WHERE consumer = ''`, last+n)
	return n == mostPlaced, err
}

// position is the column of a change's position.
func position(tx Tx) string {
	if tx.Dialect() == SQLite {
		return `c.seq`
	}
	return `c.pos`
}

func (r *Reader) placed(ctx context.Context) error {
	if r.Place == nil {
		return nil
	}
	return r.Place(ctx)
}

// Changes returns what was written behind a position.
func (r *Reader) Changes(ctx context.Context, after int64, limit int) ([]store.Change, error) {
	if err := r.placed(ctx); err != nil {
		return nil, err
	}
	var out []store.Change
	err := r.lend(ctx, func(tx Tx) error {
		pos := position(tx)
		rows, err := tx.Query(ctx, `SELECT `+pos+`, c.at, c.rtype, r.id, c.version, c.op, COALESCE(c.message, 0) FROM change_log c JOIN resource r ON r.rid = c.rid WHERE `+pos+` > ? ORDER BY `+pos+` LIMIT ?`, after, limit)
		if err != nil {
			return err
		}
		for rows.Next() {
			var c store.Change
			var at int64
			var rtype int
			var op string
			if err := rows.Scan(&c.Pos, &at, &rtype, &c.ID, &c.Version, &op, &c.Message); err != nil {
				return errors.Join(err, rows.Close())
			}
			c.At, c.Type, c.Deleted = FromMicros(at), definitions.Name(rtype), op == "D"
			out = append(out, c)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// History returns versions, the newest first.
func (r *Reader) History(ctx context.Context, q store.HistoryQuery) (store.HistoryPage, error) {
	page := store.HistoryPage{Total: -1}
	if q.Before <= 0 {
		q.Before = math.MaxInt64
	}
	if q.ID == "" {
		if err := r.placed(ctx); err != nil {
			return page, err
		}
	}
	err := r.lend(ctx, func(tx Tx) error {
		if q.ID != "" {
			return r.ofOne(ctx, tx, &q, &page)
		}
		if q.Limit == 0 {
			return nil
		}
		text, err := ofMany(ctx, tx, &q)
		if err != nil {
			return err
		}
		return versions(ctx, tx, text, &q, &page)
	})
	return page, err
}

// ofOne reads the history of one resource, by its versions.
func (r *Reader) ofOne(ctx context.Context, tx Tx, q *store.HistoryQuery, page *store.HistoryPage) error {
	if _, err := readOne(ctx, tx, q.Type, q.ID); err != nil && !errors.Is(err, store.ErrDeleted) {
		return err
	}
	kept := func(text *sqlText) {
		rtype := definitions.Number(q.Type)
		text.add(`(SELECT `+resourceColumns+` FROM resource r WHERE r.tenant = 0 AND r.rtype = ? AND r.id = ? UNION ALL `, rtype, q.ID)
		text.add(historyOf+`) v WHERE v.last_updated >= ?`, rtype, q.ID, q.Since)
		text.at(q.At, "v", "v.last_updated")
	}
	count := &sqlText{}
	count.add(`SELECT COUNT(*) FROM `)
	kept(count)
	if _, err := one(ctx, tx, count.b.String(), count.args, &page.Total); err != nil || q.Limit == 0 {
		return err
	}
	text := &sqlText{}
	text.add(`SELECT v.*, v.version FROM `)
	kept(text)
	text.add(` AND v.version < ? ORDER BY v.version DESC LIMIT ?`, q.Before, q.Limit+1)
	return versions(ctx, tx, text, q, page)
}

// ofMany asks for the history of a type or of all, by position.
func ofMany(ctx context.Context, tx Tx, q *store.HistoryQuery) (*sqlText, error) {
	pos := position(tx)
	text := &sqlText{}
	text.add(`SELECT r.rid, r.rtype, r.id, c.version, COALESCE(h.last_updated, r.last_updated), COALESCE(h.deleted, r.deleted), COALESCE(h.codec, r.codec),
CASE WHEN h.rid IS NULL THEN r.content ELSE h.content END, 0, r.body_hash, COALESCE(h.parts, r.parts), COALESCE(h.size, r.size), ` + pos + `
FROM change_log c JOIN resource r ON r.rid = c.rid LEFT JOIN resource_history h ON h.rid = c.rid AND h.version = c.version WHERE ` + pos)
	text.add(` < ?`, q.Before)
	if q.Type != "" {
		text.add(` AND c.rtype = ?`, definitions.Number(q.Type))
	}
	order := pos
	if q.Since > 0 {
		text.add(` AND c.at >= ?`, q.Since)
		few, err := fewSince(ctx, tx, q.Since)
		if err != nil {
			return nil, err
		}
		if few { // sorted, rather than looked for among all
			order = `(` + pos + ` + 0)`
		}
	}
	text.at(q.At, "c", "c.at")
	text.add(` ORDER BY `+order+` DESC LIMIT ?`, q.Limit+1)
	return text, nil
}

// fewSince reports whether little was written since a time.
func fewSince(ctx context.Context, tx Tx, since int64) (bool, error) {
	var n int64
	more, err := one(ctx, tx, `SELECT 1 FROM change_log WHERE at >= ? LIMIT 1 OFFSET 5000`, []any{since}, &n)
	return !more, err
}

// at keeps the versions that were current at some moment of a period: written
// before its end, and the next one, if there is one, not before its beginning.
func (q *sqlText) at(period *[2]int64, alias, written string) {
	if period == nil {
		return
	}
	q.add(` AND `+written+` <= ?`, period[1])
	for _, table := range []string{"resource", "resource_history"} {
		q.add(` AND NOT EXISTS (SELECT 1 FROM `+table+` n WHERE n.rid = `+alias+`.rid AND n.version = `+alias+`.version + 1 AND n.last_updated <= ?)`, period[0])
	}
}

// versions reads a page of versions, each with its position.
func versions(ctx context.Context, tx Tx, text *sqlText, q *store.HistoryQuery, page *store.HistoryPage) error {
	rows, err := tx.Query(ctx, text.b.String(), text.args...)
	if err != nil {
		return err
	}
	var last int64
	room := roomOf(q.Bytes)
	for rows.Next() {
		var pos int64
		_, res, err := room.scan(rows, &pos)
		if err != nil {
			return errors.Join(err, rows.Close())
		}
		if len(page.Versions) == q.Limit {
			page.Next = last
			break
		}
		page.Versions, last = append(page.Versions, res), pos
	}
	return errors.Join(rows.Err(), rows.Close())
}
