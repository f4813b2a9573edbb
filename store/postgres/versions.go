package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/plexus-health/plexus/store/relational"
)

// A version is the configuration of a unit that this engine runs, and since
// when by the database's clock.
type version struct {
	hash  string
	since int64
}

// Runs notes which configuration of each unit this engine runs from now on.
func (s *Store) Runs(ctx context.Context, hashes map[string]string) error {
	s.versions.Lock()
	defer s.versions.Unlock()
	return s.inTx(ctx, func(t *tx, _ *relational.Ledger) error {
		now, err := clockOf(ctx, t)
		if err != nil {
			return err
		}
		next := make(map[string]version, len(hashes))
		for unit, hash := range hashes {
			had := s.runs[unit]
			if had.hash != hash {
				had = version{hash, now.UnixMicro()}
			}
			next[unit] = had
		}
		if err := s.noteRuns(ctx, t.q, next); err != nil {
			return err
		}
		s.runs = next
		return nil
	})
}

// noteRuns writes what this engine runs in place of what stands there.
func (s *Store) noteRuns(ctx context.Context, q querier, runs map[string]version) error {
	owner := *s.owner.Load()
	if _, err := q.Exec(ctx, `DELETE FROM running WHERE owner = $1`, owner); err != nil {
		return err
	}
	units := slices.Sorted(maps.Keys(runs))
	hashes, since := make([]string, len(units)), make([]int64, len(units))
	for i, u := range units {
		hashes[i], since[i] = runs[u].hash, runs[u].since
	}
	_, err := q.Exec(ctx, `INSERT INTO running (owner, unit, hash, since) SELECT $1, u, h, s FROM unnest($2::text[], $3::text[], $4::bigint[]) AS r (u, h, s)`,
		owner, units, hashes, since)
	return err
}

// Older lists the units of which another engine that is alive runs another
// configuration, which it read later than this one.
func (s *Store) Older(ctx context.Context) (map[string]bool, error) {
	rows, err := s.pool.Query(ctx, `SELECT DISTINCT m.unit FROM running m
JOIN running r ON r.unit = m.unit AND r.owner <> m.owner AND r.hash <> m.hash AND (r.since, r.owner) > (m.since, m.owner)
JOIN engines e ON e.owner = r.owner AND e.dead = 0 AND e.until > `+clock+`
WHERE m.owner = $1`, *s.owner.Load())
	if err != nil {
		return nil, plain(err)
	}
	units, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, plain(err)
	}
	out := make(map[string]bool, len(units))
	for _, u := range units {
		out[u] = true
	}
	return out, nil
}
