package relational

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/plexus-health/plexus/store"
)

// ErrKeyUsed is returned for an idempotency key that was used with other writes.
var ErrKeyUsed = errors.New("the idempotency key was used with other content")

// ApplyAPI is a transaction of the API: the writes, an audit row for each, and
// the idempotency key if there is one.
func ApplyAPI(ctx context.Context, tx Tx, set WriteSet, by store.Author, led *Ledger) ([]store.Resource, error) {
	writes, now := set.Writes, set.Now
	heads, err := headsOf([]WriteSet{set})
	if err != nil {
		return nil, err
	}
	if by.Key != "" {
		repeated, err := claimKey(ctx, tx, writes, by, now)
		if err != nil || repeated {
			if err == nil {
				return currentOf(ctx, tx, writes)
			}
			return nil, err
		}
	}
	if heads, err = applyHeads(ctx, tx, heads, led); err != nil {
		return nil, err
	}
	var out []store.Resource
	for _, h := range heads {
		action := "fhir.write"
		if h.w.Delete {
			action = "fhir.delete"
		}
		if _, err := tx.Exec(ctx, `INSERT INTO audit (at, actor, action, rtype, rid, comp) VALUES (?, ?, ?, ?, ?, ?)`, Micros(now), by.Actor, action, h.rtype, h.rid, h.comp); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		out = append(out, store.Resource{Type: h.w.Type, ID: h.w.ID, Version: h.version, Updated: now.UTC().Truncate(time.Microsecond), Deleted: h.w.Delete, Content: h.w.Content, Hash: h.w.Hash, Parts: h.w.Parts, Size: h.w.Size})
	}
	return inOrder(out, writes), nil
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

func claimKey(ctx context.Context, tx Tx, writes []store.Write, by store.Author, now time.Time) (repeated bool, err error) {
	sum := sha256.New()
	for i := range writes {
		sum.Write([]byte(writes[i].Type))
		sum.Write(writes[i].Hash[:])
	}
	hash := sum.Sum(nil)
	n, err := tx.Exec(ctx, `INSERT INTO ingest_key (client, k, at, body_hash, outcome) VALUES (?, ?, ?, ?, '') ON CONFLICT DO NOTHING`, by.Actor, keyHash(by.Key), Micros(now), hash)
	if err != nil || n == 1 {
		return false, err
	}
	var had []byte
	if _, err := one(ctx, tx, `SELECT body_hash FROM ingest_key WHERE client = ? AND k = ?`, []any{by.Actor, keyHash(by.Key)}, &had); err != nil {
		return false, err
	}
	if string(had) != string(hash) {
		return false, ErrKeyUsed
	}
	return true, nil
}

func currentOf(ctx context.Context, tx Tx, writes []store.Write) ([]store.Resource, error) {
	var out []store.Resource
	for i := range writes {
		r, err := readOne(ctx, tx, writes[i].Type, writes[i].ID)
		if err != nil && !errors.Is(err, store.ErrDeleted) {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}
