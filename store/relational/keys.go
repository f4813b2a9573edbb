package relational

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// freeKeys takes from the resources that a set deletes the identities that others
// of the set claim. Else a deleted resource keeps its identities: who is given one
// of them later is that one again.
func freeKeys(ctx context.Context, tx Tx, heads []*head, claimed []ownedKey) error {
	deleted := map[int64]*WriteSet{}
	for _, h := range heads {
		if h.w.Delete {
			deleted[h.rid] = h.set
		}
	}
	if len(deleted) == 0 || len(claimed) == 0 {
		return nil
	}
	claims := make(map[string]*WriteSet, len(claimed))
	hashes := make([][]byte, 0, len(claimed))
	for _, c := range claimed {
		claims[fmt.Sprint(c.rtype, string(c.hash))] = c.set
		hashes = append(hashes, c.hash)
	}
	var free []ownedKey
	err := inList(hashes, func(marks string, args []any) error {
		rows, err := tx.Query(ctx, `SELECT rtype, k, COALESCE(merged_into, rid) FROM identity_key WHERE tenant = 0 AND k IN (`+marks+`)`, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var k ownedKey
			if err := rows.Scan(&k.rtype, &k.hash, &k.rid); err != nil {
				return errors.Join(err, rows.Close())
			}
			if set := claims[fmt.Sprint(k.rtype, string(k.hash))]; set != nil && deleted[k.rid] == set {
				k.hash = bytes.Clone(k.hash)
				free = append(free, k)
			}
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return err
	}
	slices.SortFunc(free, func(a, b ownedKey) int { return bytes.Compare(a.hash, b.hash) })
	for _, k := range free {
		if _, err := tx.Exec(ctx, `DELETE FROM identity_key WHERE tenant = 0 AND rtype = ? AND k = ?`, k.rtype, k.hash); err != nil {
			return err
		}
	}
	return nil
}
