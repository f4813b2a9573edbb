package relational

import (
	"context"
	"fmt"
	"time"

	"github.com/plexus-health/plexus/store"
)

// ApplyAPI are transactions of the API that are committed together: the writes of
// each, an audit row for each write, and the idempotency key if there is one. by are
// their authors. A resource may stand in one of them only (store.ErrConflict).
func ApplyAPI(ctx context.Context, tx Tx, sets []WriteSet, by []store.Author, led *Ledger) ([][]store.Resource, error) {
	heads, err := headsOf(sets)
	if err != nil {
		return nil, err
	}
	for i := range by {
		if by[i].Key == "" {
			continue
		}
		if err := claimKey(ctx, tx, by[i], sets[i].Now); err != nil {
			return nil, fmt.Errorf("idempotency key: %w", err)
		}
	}
	if heads, err = applyHeads(ctx, tx, heads, led, auditOf); err != nil {
		return nil, err
	}
	written := map[*WriteSet][]store.Resource{}
	for _, h := range heads {
		written[h.set] = append(written[h.set], store.Resource{Type: h.w.Type, ID: h.w.ID, Version: h.version, Updated: FromMicros(h.updated), Deleted: h.w.Delete, Content: h.w.Content, Hash: h.w.Hash, Parts: h.w.Parts, Size: h.w.Size})
	}
	out := make([][]store.Resource, len(sets))
	for i := range sets {
		out[i] = inOrder(written[&sets[i]], sets[i].Writes)
		if by[i].Key == "" {
			continue
		}
		if err := keepOutcome(ctx, tx, by[i], out[i]); err != nil {
			return nil, fmt.Errorf("idempotency key: %w", err)
		}
	}
	return out, nil
}

// auditOf are the audit rows of the API's writes.
func auditOf(heads []*head) insertion {
	var rows []any
	for _, h := range heads {
		action := "fhir.write"
		if h.w.Delete {
			action = "fhir.delete"
		}
		rows = append(rows, Micros(h.set.Now), h.set.Actor, action, h.rtype, h.rid, h.comp)
	}
	return insertion{`audit`, `INSERT INTO audit (at, actor, action, rtype, rid, comp)`, `bigint text text bigint bigint bigint`, "", rows}
}

func inOrder(list []store.Resource, writes []store.Write) []store.Resource {
	place := map[string]store.Resource{}
	for _, r := range list {
		place[r.Type+"/"+r.ID] = r
	}
	out := make([]store.Resource, 0, len(writes))
	for i := range writes {
		out = append(out, place[writes[i].Type+"/"+writes[i].ID])
	}
	return out
}

// claimKey takes an idempotency key for a request, with what comes of it: of two
// that come at once under one key the second waits for the first.
func claimKey(ctx context.Context, tx Tx, by store.Author, now time.Time) error {
	n, err := tx.Exec(ctx, `INSERT INTO ingest_key (client, k, at, body_hash, outcome) VALUES (?, ?, ?, ?, '') ON CONFLICT DO NOTHING`, by.Actor, keyHash(by.Key), Micros(now), by.Hash[:])
	if err != nil || n == 1 {
		return err
	}
	if _, err := outcomeOf(ctx, tx, by); err != nil {
		return err
	}
	return store.ErrRepeated
}

// keepOutcome notes under a key that was taken what has come of the request.
func keepOutcome(ctx context.Context, tx Tx, by store.Author, written []store.Resource) error {
	if by.Outcome == nil {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE ingest_key SET outcome = ? WHERE client = ? AND k = ?`, by.Outcome(written), by.Actor, keyHash(by.Key))
	return err
}

// outcomeOf is what is kept under a key.
func outcomeOf(ctx context.Context, tx Tx, by store.Author) (string, error) {
	var hash []byte
	var outcome string
	found, err := one(ctx, tx, `SELECT body_hash, outcome FROM ingest_key WHERE client = ? AND k = ?`, []any{by.Actor, keyHash(by.Key)}, &hash, &outcome)
	switch {
	case err != nil:
		return "", err
	case !found:
		return "", store.ErrNotFound
	case string(hash) != string(by.Hash[:]):
		return "", store.ErrKeyUsed
	}
	return outcome, nil
}

// Outcome is what a write has kept under an idempotency key.
func (r *Reader) Outcome(ctx context.Context, by store.Author) (outcome string, err error) {
	err = r.lend(ctx, func(tx Tx) error {
		outcome, err = outcomeOf(ctx, tx, by)
		return err
	})
	return outcome, err
}

// KeysKept is how long the repeat of a request is known by its key.
const KeysKept = 7 * 24 * time.Hour

// SweepKeys deletes a few of the keys that are older.
func SweepKeys(ctx context.Context, tx Tx, now time.Time) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM ingest_key WHERE (client, k) IN (SELECT client, k FROM ingest_key WHERE at < ? ORDER BY at LIMIT 500)`, Micros(now.Add(-KeysKept)))
}
