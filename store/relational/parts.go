package relational

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Part writes one part of the bytes of a resource.
func Part(ctx context.Context, tx Tx, id string, n int, data []byte, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO resource_part (body, n, at, data) VALUES (?, ?, ?, ?)`, id, n, Micros(now), data)
	return err
}

// Data opens the bytes of a resource: one part is in memory at a time.
func (r *Reader) Data(ctx context.Context, parts string) io.Reader {
	return &partReader{ctx: ctx, lend: r.lend, id: parts}
}

type partReader struct {
	ctx  context.Context //nolint:containedctx // of the one read it is made for
	lend Lender
	id   string
	n    int
	left []byte
	end  bool
}

// Read reads on, from the next part when one is used up.
func (r *partReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.end {
			return 0, io.EOF
		}
		var data []byte
		err := r.lend(r.ctx, func(tx Tx) error {
			found, err := one(r.ctx, tx, `SELECT data FROM resource_part WHERE body = ? AND n = ?`, []any{r.id, r.n}, &data)
			r.end = !found
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("part %d: %w", r.n, err)
		}
		r.left = data
		r.n++
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// unowned are parts that no version refers to and that are older than a time.
const unowned = `SELECT p.body FROM resource_part p WHERE p.n = 0 AND p.at < ?
AND NOT EXISTS (SELECT 1 FROM resource r WHERE r.parts = p.body AND r.parts <> '') AND NOT EXISTS (SELECT 1 FROM resource_history h WHERE h.parts = p.body AND h.parts <> '') LIMIT 1`

// SweepParts deletes, every so often until ctx ends, parts that were written for
// a resource which was never written: an upload was cut off. Slice runs each
// step when nothing waits.
func SweepParts(ctx context.Context, slice func(context.Context, func(context.Context, Tx) error) error, now func() time.Time, log *slog.Logger) {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for n := int64(1); n > 0; {
			err := slice(ctx, func(ctx context.Context, tx Tx) (err error) {
				n, err = SweepPart(ctx, tx, now().Add(-time.Hour))
				return err
			})
			if err != nil {
				if ctx.Err() == nil {
					log.Warn("parts without a resource were not swept", "error", err.Error())
				}
				break
			}
		}
	}
}

// SweepPart deletes a few parts of one body that has no owner, the last ones
// first, and returns how many.
func SweepPart(ctx context.Context, tx Tx, before time.Time) (int64, error) {
	var body string
	found, err := one(ctx, tx, unowned, []any{Micros(before)}, &body)
	if err != nil || !found {
		return 0, err
	}
	return tx.Exec(ctx, `DELETE FROM resource_part WHERE body = ? AND n IN (SELECT n FROM resource_part WHERE body = ? ORDER BY n DESC LIMIT 4)`, body, body)
}
