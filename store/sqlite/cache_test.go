package sqlite

import (
	"context"
	"testing"

	"github.com/plexus-health/plexus/store/relational"
)

func TestCache(t *testing.T) {
	s, err := Open(t.Context(), Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // its errors are tested elsewhere
	for _, c := range []struct {
		from int64
		want int
	}{{largeDatabase, -smallCache}, {1, -largeCache}, {largeDatabase, -smallCache}} {
		var got int
		err := s.writer.do(t.Context(), &op{idle: true, small: func(ctx context.Context, _ relational.Tx, _ *relational.Ledger) error {
			if err := s.writer.fit(ctx, c.from); err != nil {
				return err
			}
			return s.writer.conn.QueryRowContext(ctx, `PRAGMA cache_size`).Scan(&got)
		}})
		if err != nil || got != c.want {
			t.Errorf("from %d bytes: cache_size %d, want %d: %v", c.from, got, c.want, err)
		}
	}
}
