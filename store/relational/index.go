package relational

import (
	"strings"
)

// indexOf are the index rows of everything that was written.
func indexOf(heads []*head) []insertion {
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
	const tail = ` ON CONFLICT DO NOTHING`
	return []insertion{
		{`index`, `INSERT INTO ix_token (pid, val, sys, rid, comp)`, `bigint bytea bigint bigint bigint`, tail, tokens},
		{`index`, `INSERT INTO ix_date (pid, lo, hi, rid, comp)`, `bigint bigint bigint bigint bigint`, tail, dates},
		{`index`, `INSERT INTO ix_string (pid, norm, val, rid)`, `bigint text bytea bigint`, tail, texts},
		{`index`, `INSERT INTO ix_ref (pid, ttype, tkey, rid)`, `bigint bigint text bigint`, tail, refs},
		{`index`, `INSERT INTO ix_number (pid, sys, unit, val, rid, comp)`, `bigint bigint text numeric bigint bigint`, tail, numbers},
	}
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

// unindexed delete the index rows of a resource.
func unindexed(rid int64) (list []Statement) {
	for _, table := range []string{"ix_token", "ix_date", "ix_string", "ix_ref", "ix_number"} {
		list = append(list, Statement{`DELETE FROM ` + table + ` WHERE rid = ?`, []any{rid}})
	}
	return list
}
