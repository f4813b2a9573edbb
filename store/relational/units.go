package relational

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/plexus-health/plexus/store"
)

// Unit finds the unit of a name, renames the one that had it before, or makes a
// new one.
func Unit(ctx context.Context, tx Tx, name, was string) (id string, err error) {
	if tx.Dialect() == PostgreSQL {
		// Engines that start at once make one unit of a name, not two.
		if _, err := tx.Exec(ctx, `LOCK TABLE units IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return "", err
		}
	}
	const named = `SELECT unit FROM units WHERE name = ?`
	if found, err := one(ctx, tx, named, []any{name}, &id); found || err != nil {
		return id, err
	}
	if was != "" {
		if found, err := one(ctx, tx, named, []any{was}, &id); found || err != nil {
			return id, errors.Join(err, rename(ctx, tx, id, name, was))
		}
	}
	for n := 1; ; n++ {
		if id = name; n > 1 {
			id = fmt.Sprintf("%s#%d", name, n) // the id is that of a unit with another name now
		}
		made, err := tx.Exec(ctx, `INSERT INTO units (unit, name) VALUES (?, ?) ON CONFLICT (unit) DO NOTHING`, id, name)
		if made == 1 || err != nil {
			return id, err
		}
	}
}

// rename gives a unit another name, and the routes of a channel theirs.
func rename(ctx context.Context, tx Tx, id, name, was string) error {
	if _, err := tx.Exec(ctx, `UPDATE units SET name = ? WHERE unit = ?`, name, id); err != nil {
		return err
	}
	if strings.Contains(name, "/") {
		return nil
	}
	rest := utf8.RuneCountInString(was) + 1
	_, err := tx.Exec(ctx, `UPDATE units SET name = ? || substr(name, ?) WHERE substr(name, 1, ?) = ? AND NOT EXISTS (SELECT 1 FROM units u WHERE u.name = ? || substr(units.name, ?))`,
		name+"/", rest+1, rest, was+"/", name+"/", rest+1)
	return err
}

// nameOf is the name of a unit; its id where nothing is known of it.
func nameOf(ctx context.Context, tx Tx, id string) (name string, err error) {
	name = id
	_, err = one(ctx, tx, `SELECT name FROM units WHERE unit = ?`, []any{id}, &name)
	return name, err
}

// Units lists the channels and routes by name.
func (w Work) Units(ctx context.Context) ([]store.Unit, error) {
	var out []store.Unit
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT unit, name, rule FROM units WHERE unit <> ? ORDER BY name`, store.UnitKeep)
		if err != nil {
			return err
		}
		for rows.Next() {
			var u store.Unit
			if err := rows.Scan(&u.ID, &u.Name, &u.Rule); err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, u)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// Rules notes the rules of order of some routes. What is open under another
// rule is behind a barrier: every such delivery was committed before, so its
// number is at most the largest there is, and what is made from now on is above.
func Rules(ctx context.Context, tx Tx, rules map[string]string) error {
	units := make([]string, 0, len(rules))
	for unit := range rules {
		units = append(units, unit)
	}
	sort.Strings(units)
	for _, unit := range units {
		if err := newRule(ctx, tx, unit, rules[unit]); err != nil {
			return fmt.Errorf("rule of order: %w", err)
		}
	}
	return nil
}

func newRule(ctx context.Context, tx Tx, unit, rule string) error {
	const read = `SELECT rule, barriers FROM units WHERE unit = ?`
	var old, barriers string
	found, err := one(ctx, tx, read, []any{unit}, &old, &barriers)
	if err != nil || !found || old == rule {
		return err // as nearly always: nothing is locked
	}
	if tx.Dialect() == PostgreSQL {
		if found, err = one(ctx, tx, read+` FOR UPDATE`, []any{unit}, &old, &barriers); err != nil || !found || old == rule {
			return err
		}
	}
	var kept []string
	if old != "" {
		var top int64
		if _, err := one(ctx, tx, `SELECT COALESCE(MAX(n), 0) FROM deliveries WHERE unit = ? AND `+open, []any{unit}, &top); err != nil {
			return err
		}
		if kept, err = standing(ctx, tx, unit, append(barriersOf(barriers), top)); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `UPDATE units SET rule = ?, barriers = ? WHERE unit = ?`, rule, strings.Join(kept, " "), unit)
	return err
}

// standing are the barriers of a list, the smallest first, before which
// something is open.
func standing(ctx context.Context, tx Tx, unit string, barriers []int64) ([]string, error) {
	var kept []string
	for _, b := range barriers {
		if holds, err := openUpTo(ctx, tx, unit, b); err != nil {
			return nil, err
		} else if holds {
			kept = append(kept, strconv.FormatInt(b, 10))
		}
	}
	return slices.Compact(kept), nil
}

// Barriers takes away the barriers of a unit before which nothing is open any
// more. Each transaction that closes a delivery, or gives it to another unit,
// does so: a barrier that was passed does not come back when an operator sends
// an old delivery again. The caller holds the unit's row, so that of two that
// close the last ones side by side the later sees what the earlier did.
func Barriers(ctx context.Context, tx Tx, unit string) error {
	lock := ""
	if tx.Dialect() == PostgreSQL {
		lock = " FOR UPDATE"
	}
	var text string
	found, err := one(ctx, tx, `SELECT barriers FROM units WHERE unit = ? AND barriers <> ''`+lock, []any{unit}, &text)
	if err != nil || !found {
		return err
	}
	kept, err := standing(ctx, tx, unit, barriersOf(text))
	if next := strings.Join(kept, " "); err == nil && next != text {
		_, err = tx.Exec(ctx, `UPDATE units SET barriers = ? WHERE unit = ?`, next, unit)
	}
	return err
}

// barriersOf reads the numbers of a column, the smallest first.
func barriersOf(text string) []int64 {
	var out []int64
	for word := range strings.FieldsSeq(text) {
		if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// openUpTo reports whether a delivery with a number up to n is open.
func openUpTo(ctx context.Context, tx Tx, unit string, n int64) (bool, error) {
	var some int64
	return one(ctx, tx, `SELECT n FROM deliveries WHERE unit = ? AND `+open+` AND n <= ? LIMIT 1`, []any{unit, n}, &some)
}

// Barrier is the first barrier of a unit.
func (w Work) Barrier(ctx context.Context, unit string) (barrier int64, err error) {
	err = w.Lend(ctx, func(tx Tx) error {
		var text string
		if _, err := one(ctx, tx, `SELECT barriers FROM units WHERE unit = ? AND barriers <> ''`, []any{unit}, &text); err != nil {
			return err
		}
		if all := barriersOf(text); len(all) > 0 {
			barrier = all[0]
		}
		return nil
	})
	return barrier, err
}
