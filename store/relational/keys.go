package relational

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// freeKeys takes identities that are claimed from resources that are deleted, and
// reports whether there were any: until somebody else claims it a deleted resource
// keeps its identity, so that who is given it later is that one again. On
// PostgreSQL the deleted ones are locked: one that comes back meanwhile keeps its
// identities, one that comes back later finds them taken.
func freeKeys(ctx context.Context, tx Tx, claimed []ownedKey) (bool, error) {
	claims := make(map[string]int64, len(claimed))
	hashes := make([][]byte, 0, len(claimed))
	for _, c := range claimed {
		claims[fmt.Sprint(c.rtype, string(c.hash))] = c.rid
		hashes = append(hashes, c.hash)
	}
	slices.SortFunc(hashes, bytes.Compare)
	lock := ""
	if tx.Dialect() == PostgreSQL {
		lock = ` ORDER BY r.rid FOR UPDATE OF r`
	}
	var free []ownedKey
	err := inList(hashes, func(marks string, args []any) error {
		rows, err := tx.Query(ctx, `SELECT k.rtype, k.k, r.rid FROM identity_key k JOIN resource r ON r.rid = COALESCE(k.merged_into, k.rid)
WHERE k.tenant = 0 AND k.k IN (`+marks+`) AND r.deleted = 1`+lock, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var k ownedKey
			if err := rows.Scan(&k.rtype, &k.hash, &k.rid); err != nil {
				return errors.Join(err, rows.Close())
			}
			if rid, asked := claims[fmt.Sprint(k.rtype, string(k.hash))]; asked && rid != k.rid {
				k.hash = bytes.Clone(k.hash)
				free = append(free, k)
			}
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return false, err
	}
	slices.SortFunc(free, func(a, b ownedKey) int { return bytes.Compare(a.hash, b.hash) })
	for _, k := range free {
		if _, err := tx.Exec(ctx, `DELETE FROM identity_key WHERE tenant = 0 AND rtype = ? AND k = ?`, k.rtype, k.hash); err != nil {
			return false, err
		}
	}
	return len(free) > 0, nil
}
