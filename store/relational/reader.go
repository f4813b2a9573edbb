package relational

import (
	"context"
	"errors"
	"math"

	"github.com/plexus-health/plexus/fhir/definitions"
	"github.com/plexus-health/plexus/store"
)

// A Reader reads the FHIR records over lent connections: the reading half of
// both stores.
type Reader struct {
	lend   Lender
	secret []byte
	// Place, if it is not nil, gives a position to what was written and has
	// none yet, before the change log is read.
	Place func(ctx context.Context) error
	// Searching, if it is not nil, lends the connections of searches.
	Searching Lender
	// LookingUp, if it is not nil, lends those of searches that are planned once,
	// whatever their values.
	LookingUp Lender
}

// NewReader returns a reader; secret is the store's key of ids and cursors.
func NewReader(lend Lender, secret []byte) *Reader { return &Reader{lend: lend, secret: secret} }

// Secret is the key of ids made from identities.
func (r *Reader) Secret() []byte { return r.secret }

const resourceColumns = `r.rid, r.rtype, r.id, r.version, r.last_updated, r.deleted, r.codec, r.content, r.source_at, r.body_hash, r.parts, r.size`

// A room is how many bytes of content may still be read along; below 0 none.
type room int

func roomOf(bytes int) *room {
	r := room(bytes)
	if bytes == 0 {
		r = math.MaxInt
	}
	return &r
}

func scanResource(rows Rows, more ...any) (rid int64, res store.Resource, err error) {
	return roomOf(0).scan(rows, more...)
}

// scan reads a resource, without its content when there is no room for it.
func (r *room) scan(rows Rows, more ...any) (rid int64, res store.Resource, err error) {
	var rtype, deleted, codec int
	var updated, source int64
	var content, hash []byte
	dest := append([]any{&rid, &rtype, &res.ID, &res.Version, &updated, &deleted, &codec, &content, &source, &hash, &res.Parts, &res.Size}, more...)
	if err := rows.Scan(dest...); err != nil {
		return 0, res, err
	}
	res.Type, res.Updated, res.Deleted, res.SourceAt = definitions.Name(rtype), FromMicros(updated), deleted == 1, FromMicros(source)
	copy(res.Hash[:], hash)
	if !res.Deleted && *r > 0 {
		res.Content, err = unpack(codec, content)
		*r -= room(len(res.Content))
	}
	return rid, res, err
}

func readOne(ctx context.Context, tx Tx, typ, id string) (store.Resource, error) {
	rows, err := tx.Query(ctx, `SELECT `+resourceColumns+` FROM resource r WHERE r.tenant = 0 AND r.rtype = ? AND r.id = ?`, definitions.Number(typ), id)
	if err != nil {
		return store.Resource{}, err
	}
	var res store.Resource
	found := rows.Next()
	if found {
		_, res, err = scanResource(rows)
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return store.Resource{}, err
	}
	switch {
	case !found:
		return res, store.ErrNotFound
	case res.Deleted:
		return res, store.ErrDeleted
	}
	return res, nil
}

// Read returns the current version.
func (r *Reader) Read(ctx context.Context, typ, id string) (res store.Resource, err error) {
	err = r.lend(ctx, func(tx Tx) error {
		res, err = readOne(ctx, tx, typ, id)
		return err
	})
	return res, err
}

const historyOf = `SELECT h.rid, r.rtype, r.id, h.version, h.last_updated, h.deleted, h.codec, h.content, 0, r.body_hash, h.parts, h.size
FROM resource r JOIN resource_history h ON h.rid = r.rid WHERE r.tenant = 0 AND r.rtype = ? AND r.id = ?`

// ReadVersion returns one version.
func (r *Reader) ReadVersion(ctx context.Context, typ, id string, version int) (store.Resource, error) {
	current, err := r.Read(ctx, typ, id)
	if err != nil && !errors.Is(err, store.ErrDeleted) {
		return current, err
	}
	if current.Version == version {
		return current, err
	}
	var found []store.Resource
	err = r.lend(ctx, func(tx Tx) (err error) {
		found, err = old(ctx, tx, historyOf+` AND h.version = ?`, definitions.Number(typ), id, version)
		return err
	})
	switch {
	case err != nil:
		return store.Resource{}, err
	case len(found) == 0:
		return store.Resource{}, store.ErrNotFound
	case found[0].Deleted:
		return found[0], store.ErrDeleted
	}
	return found[0], nil
}

func old(ctx context.Context, tx Tx, sql string, args ...any) ([]store.Resource, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var out []store.Resource
	for rows.Next() {
		_, res, err := scanResource(rows)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out = append(out, res)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// Identify returns the owners of keys.
func (r *Reader) Identify(ctx context.Context, keys []store.Identity) (map[store.Identity]store.Resource, error) {
	out := make(map[store.Identity]store.Resource, len(keys))
	asked := make(map[string]store.Identity, len(keys))
	hashes := make([][]byte, 0, len(keys))
	for _, k := range keys {
		h := keyHash(k.Key)
		asked[k.Type+"/"+string(h)] = k
		hashes = append(hashes, h)
	}
	err := r.lend(ctx, func(tx Tx) error {
		return inList(hashes, func(marks string, args []any) error {
			rows, err := tx.Query(ctx, `SELECT `+resourceColumns+`, k.k, k.rtype FROM identity_key k JOIN resource r ON r.rid = COALESCE(k.merged_into, k.rid) WHERE k.tenant = 0 AND k.k IN (`+marks+`)`, args...)
			if err != nil {
				return err
			}
			for rows.Next() {
				var hash []byte
				var rtype int
				_, res, err := scanResource(rows, &hash, &rtype)
				if err != nil {
					return errors.Join(err, rows.Close())
				}
				if k, ok := asked[definitions.Name(rtype)+"/"+string(hash)]; ok {
					out[k] = res
				}
			}
			return errors.Join(rows.Err(), rows.Close())
		})
	})
	return out, err
}
