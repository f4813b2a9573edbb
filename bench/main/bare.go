package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/plexus-health/plexus/bench"
)

// bare measures the least that could keep messages on this machine with the same
// library and disk: what the rows of the embedded store are to be compared with
// where the machine is not the one that the targets were set on.
func (r *run) bare(ctx context.Context, folder string) error {
	for _, connections := range []int{1, 32} {
		f, err := r.bareIntake(ctx, folder, connections)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("machine: bare MLLP → SHA-256 → a synced SQLite row → AA, connections: %d", connections)
		r.row(what, perSecond(f.Rate)+", p99 "+short(f.P99), "", "")
	}
	home, err := os.MkdirTemp(folder, "bare")
	if err != nil {
		return err
	}
	rate, err := bench.BareEffects(ctx, home, r.duration)
	if err != nil {
		return err
	}
	r.row("machine: bare synced SQLite rows of 7 resources and 35 index rows", perSecond(rate), "", "")
	return os.RemoveAll(home)
}

func (r *run) bareIntake(ctx context.Context, folder string, connections int) (f bench.Figures, err error) {
	home, err := os.MkdirTemp(folder, "bare")
	if err != nil {
		return f, err
	}
	b, err := bench.StartBare(ctx, home)
	if err != nil {
		return f, err
	}
	f, err = bench.Feed{
		Address: b.Address(), Connections: connections, Duration: r.duration,
		Message: func(n int) []byte { return bench.ORU("A", n, 20) },
	}.Run(ctx)
	return f, errors.Join(err, b.Close(), os.RemoveAll(home))
}
