package relational

import (
	"context"
	"fmt"
	"strings"
)

// writeIndex inserts the index rows of everything that was written.
func writeIndex(ctx context.Context, tx Tx, heads []*head) error {
	var tokens, dates, texts, refs, numbers []any
	for _, h := range heads {
		if h.skip || h.w.Delete {
			continue
		}
		rid, comp := any(h.rid), any(h.comp)
		tokens = appendRows(tokens, h.rows.tokens, rid, comp)
		dates = appendRows(dates, h.rows.dates, rid, comp)
		texts = appendRows(texts, h.rows.texts, rid)
		refs = appendRows(refs, h.rows.refs, rid)
		numbers = appendRows(numbers, h.rows.numbers, rid, comp)
	}
	for _, t := range []struct {
		into  string
		width int
		args  []any
	}{
		{`INSERT INTO ix_token (pid, val, sys, rid, comp)`, 5, tokens},
		{`INSERT INTO ix_date (pid, lo, hi, rid, comp)`, 5, dates},
		{`INSERT INTO ix_string (pid, norm, val, rid)`, 4, texts},
		{`INSERT INTO ix_ref (pid, ttype, tkey, rid)`, 4, refs},
		{`INSERT INTO ix_number (pid, sys, unit, val, rid, comp)`, 6, numbers},
	} {
		if _, err := insert(ctx, tx, t.into, t.width, ` ON CONFLICT DO NOTHING`, t.args); err != nil {
			return fmt.Errorf("index: %w", err)
		}
	}
	return nil
}

func appendRows(args []any, rows [][]any, last ...any) []any {
	for _, r := range rows {
		args = append(append(args, r...), last...)
	}
	return args
}

// limit keeps a value short enough for an index key: a long one by its
// beginning and its hash, so that equal values stay equal.
func limit(s string) string {
	if len(s) <= 200 {
		return s
	}
	return Clean(s)
}

func noNUL(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "\uFFFD")
}

// unindex deletes the index rows of a resource.
func unindex(ctx context.Context, tx Tx, rid int64) error {
	for _, table := range []string{"ix_token", "ix_date", "ix_string", "ix_ref", "ix_number"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE rid = ?`, rid); err != nil {
			return err
		}
	}
	return nil
}
