// Command main of bench measures the engine beside the limits of the machine it
// runs on and the targets of the project, and prints one table: `make bench`.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/plexus-health/plexus/bench"
)

// A run is one measurement of everything that was asked for.
type run struct {
	program  string
	stores   string
	folder   string
	duration time.Duration
	count    int      // messages mapped into the store
	fill     int      // resources that stand in the store when it is searched
	backlog  int      // deliveries that wait for a receiver that is down
	queue    bool     // only these
	patients int      // who stand in the store with results
	ids      []string // of resources that were created
	receiver *bench.Receiver
	table    *tabwriter.Writer
}

func main() {
	r := &run{}
	flag.StringVar(&r.program, "engine", "", "the engine's program; default: built from ./cmd/engine")
	flag.StringVar(&r.stores, "store", "both", "sqlite, postgres or both; none measures the machine only")
	flag.StringVar(&r.folder, "folder", "", "where the stores are put; default: a temporary folder")
	flag.DurationVar(&r.duration, "duration", 5*time.Second, "of each measurement that has no fixed number of messages")
	flag.IntVar(&r.count, "effects", 3000, "messages mapped into the store")
	flag.IntVar(&r.fill, "fill", 0, "resources that stand in the store when it is searched, at least")
	flag.IntVar(&r.backlog, "backlog", 100_000, "deliveries that wait for a receiver that is down")
	flag.BoolVar(&r.queue, "queue", false, "measure only a queue that waits, and its drain")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := r.all(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (r *run) all(ctx context.Context, out io.Writer) error {
	r.table = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer r.table.Flush()
	folder, err := os.MkdirTemp(r.folder, "plexus-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil { // PostgreSQL's user must pass through
		return err
	}
	r.row("what", "measured", "target", "")
	if err := r.machine(ctx, folder); err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	if r.stores == "none" {
		return nil
	}
	if r.program == "" {
		r.program = filepath.Join(folder, "engine")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", r.program, "./cmd/engine")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w\n%s", err, text)
		}
	}
	if r.stores == "sqlite" || r.stores == "both" {
		if err := r.store(ctx, "sqlite", folder, nil); err != nil {
			return fmt.Errorf("sqlite: %w", err)
		}
	}
	if r.stores == "postgres" || r.stores == "both" {
		cluster, err := bench.StartPostgres(ctx, folder)
		if err != nil {
			return err
		}
		err = r.store(ctx, "postgres", folder, cluster)
		if stopped := cluster.Stop(); err == nil {
			err = stopped
		}
		if err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
	}
	return nil
}

// row adds a line to the table.
func (r *run) row(what, measured, target, verdict string) {
	fmt.Fprintf(r.table, "%s\t%s\t%s\t%s\n", what, measured, target, verdict)
}

// machine measures what no engine on it can exceed by itself.
func (r *run) machine(ctx context.Context, folder string) error {
	syncs, err := bench.AppendSync(folder, r.duration/2)
	if err != nil {
		return err
	}
	one, median, err := bench.Loopback(1, r.duration/2)
	if err != nil {
		return err
	}
	many, _, err := bench.Loopback(32, r.duration/2)
	if err != nil {
		return err
	}
	r.row("machine: processors", strconv.Itoa(runtime.NumCPU()), "", "")
	r.row("machine: append of 2 KB and fsync", perSecond(syncs), "", "")
	r.row("machine: loopback round trip, 1 connection", perSecond(one)+", median "+short(median), "", "")
	r.row("machine: loopback round trip, 32 connections", perSecond(many), "", "")
	return r.bare(ctx, folder)
}

// store measures the engine on one kind of store; cluster is nil for the
// embedded one.
func (r *run) store(ctx context.Context, name, folder string, cluster *bench.Cluster) error {
	home := filepath.Join(folder, name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	database := ""
	if cluster != nil {
		database = cluster.DSN
	}
	var err error
	if r.receiver, err = bench.NewReceiver(); err != nil {
		return err
	}
	defer func() { _ = r.receiver.Close() }() // after the engine's end nothing is sent to it
	first, err := bench.Start(ctx, r.program, home, database, r.receiver.Address())
	if err != nil {
		return err
	}
	if err := first.Stop(); err != nil {
		return err
	}
	e, err := bench.Start(ctx, r.program, home, database, r.receiver.Address()) // the schema is there now
	if err != nil {
		return err
	}
	defer func() {
		if e != nil {
			_ = e.Stop() // the measurement failed already
		}
	}()
	r.row(name+": first start, with the schema made", short(first.Started), "", "")
	r.row(name+": start", short(e.Started), "< 1 s", verdict(e.Started < time.Second))
	if err := r.memory(ctx, name, e); err != nil {
		return err
	}
	cost := func() (time.Duration, error) {
		used, err := e.CPU()
		if err != nil || cluster == nil {
			return used, err
		}
		theirs, err := cluster.CPU()
		return used + theirs, err
	}
	sent := 0 // by the route whose queue is filled
	if !r.queue {
		sent = 5 * r.count
		for _, measure := range []func(context.Context, string, *bench.Engine, func() (time.Duration, error)) error{r.intake, r.effects, r.fhir, r.sending} {
			if err := measure(ctx, name, e, cost); err != nil {
				return err
			}
		}
	}
	if err := r.waiting(ctx, name, e, sent); err != nil {
		return err
	}
	if err := e.Stop(); err != nil {
		e = nil
		return err
	}
	if e, err = bench.Start(ctx, r.program, home, database, r.receiver.Address()); err != nil {
		return err
	}
	if err := r.drain(ctx, name, e); err != nil {
		return err
	}
	err = e.Stop()
	e = nil
	if err != nil {
		return err
	}
	if r.queue {
		return nil
	}
	return r.raw(ctx, name, home, database)
}

// sending measures MLLP in, journal, durable queue, MLLP out, acknowledged, to a
// receiver that answers at once: from the first message in to the last one out.
func (r *run) sending(ctx context.Context, name string, e *bench.Engine, cost func() (time.Duration, error)) error {
	if err := r.receiver.Open(ctx); err != nil {
		return err
	}
	for _, c := range []struct {
		what, series, address, target string
		observations, count           int
		wanted                        float64
	}{
		{"MLLP → durable queue → MLLP, 1 connection out", "O", e.One, "≥ 4,000/s", 1, 5 * r.count, 4000},
		{"MLLP → durable queue → MLLP, 32 connections out", "M", e.Many, "", 1, 5 * r.count, 0},
		{"MLLP → v2-to-fhir → EHR commit → one delivery, 1 OBX, 1 connection out", "B", e.Both, "", 1, r.count, 0},
		{"MLLP → v2-to-fhir → EHR commit → one delivery, 1 OBX, 32 connections out", "C", e.Wide, "≥ 1,500/s", 1, r.count, 1500},
	} {
		before, err := cost()
		if err != nil {
			return err
		}
		had, began := r.receiver.Taken(), time.Now()
		f, err := bench.Feed{
			Address: c.address, Connections: 32, Count: c.count,
			Message: func(n int) []byte { return bench.ORU(c.series, n, c.observations) },
		}.Run(ctx)
		if err != nil {
			return err
		}
		end, err := r.receiver.Arrived(ctx, had+f.Sent)
		if err != nil {
			return err
		}
		after, err := cost()
		if err != nil {
			return err
		}
		rate := float64(f.Sent) / end.Sub(began).Seconds()
		met := ""
		if c.wanted > 0 {
			met = verdict(rate >= c.wanted)
		}
		r.row(name+": "+c.what, perSecond(rate)+", CPU "+short((after-before)/time.Duration(f.Sent))+" a message", c.target, met)
	}
	return r.receiver.Close()
}

// waiting fills the queue of a receiver that is down; sent have gone before.
func (r *run) waiting(ctx context.Context, name string, e *bench.Engine, sent int) error {
	f, err := bench.Feed{
		Address: e.One, Connections: 32, Count: r.backlog,
		Message: func(n int) []byte { return bench.ORU("W", n, 1) },
	}.Run(ctx)
	if err != nil {
		return err
	}
	if _, err := e.Drained(ctx, "one", "done", f.Sent+sent); err != nil {
		return err
	}
	memory, err := e.Memory()
	if err != nil {
		return err
	}
	r.row(fmt.Sprintf("%s: memory with %d deliveries waiting", name, r.backlog), fmt.Sprintf("%d MB", memory>>20), "< 512 MB", verdict(memory < 512<<20))
	return nil
}

// drain measures the start with a long queue, and how fast it is sent once the
// receiver is back.
func (r *run) drain(ctx context.Context, name string, e *bench.Engine) error {
	r.row(fmt.Sprintf("%s: start with %d deliveries waiting", name, r.backlog), short(e.Started), "< 10 s", verdict(e.Started < 10*time.Second))
	before, err := e.CPU()
	if err != nil {
		return err
	}
	had := r.receiver.Taken()
	if err := r.receiver.Open(ctx); err != nil {
		return err
	}
	if _, err := r.receiver.Arrived(ctx, had+1); err != nil { // the next probe
		return err
	}
	began := time.Now()
	end, err := r.receiver.Arrived(ctx, had+r.backlog)
	if err != nil {
		return err
	}
	after, err := e.CPU()
	if err != nil {
		return err
	}
	r.row(fmt.Sprintf("%s: drain of %d, 1 connection", name, r.backlog), perSecond(float64(r.backlog)/end.Sub(began).Seconds())+
		", CPU "+short((after-before)/time.Duration(r.backlog))+" a delivery", "", "")
	return nil
}

// memory measures an engine that has nothing to do.
func (r *run) memory(ctx context.Context, name string, e *bench.Engine) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * time.Second):
	}
	idle, err := e.Memory()
	if err != nil {
		return err
	}
	r.row(name+": memory when idle", fmt.Sprintf("%d MB", idle>>20), "< 100 MB", verdict(idle < 100<<20))
	return nil
}

// intake measures MLLP in, journal, synced, AA: the channel only journals.
func (r *run) intake(ctx context.Context, name string, e *bench.Engine, cost func() (time.Duration, error)) error {
	total := 0
	feed := func(series string, connections int, rate float64) (bench.Figures, time.Duration, error) {
		before, err := cost()
		if err != nil {
			return bench.Figures{}, 0, err
		}
		f, err := bench.Feed{
			Address: e.Intake, Connections: connections, Duration: r.duration, Rate: rate,
			Message: func(n int) []byte { return bench.ORU(series, n, 20) },
		}.Run(ctx)
		if err != nil {
			return f, 0, err
		}
		// The channel's own work on them is part of their price.
		total += f.Sent
		if _, err := e.Drained(ctx, "intake", "filtered", total); err != nil {
			return f, 0, err
		}
		after, err := cost()
		return f, (after - before) / time.Duration(max(f.Sent, 1)), err
	}
	one, cpu, err := feed("A", 1, 0)
	if err != nil {
		return err
	}
	r.row(name+": MLLP → AA, 1 connection", figures(one, cpu), "≥ 4,000/s", verdict(one.Rate >= 4000))
	many, cpu, err := feed("B", 32, 0)
	if err != nil {
		return err
	}
	r.row(name+": MLLP → AA, 32 connections", figures(many, cpu), "≥ 15,000/s, p99 < 10 ms", verdict(many.Rate >= 15000 && many.P99 < 10*time.Millisecond))
	open, cpu, err := feed("C", 32, 0.7*many.Rate)
	if err != nil {
		return err
	}
	r.row(name+": the same, open loop at 70 % of it", figures(open, cpu), "p99 < 10 ms", verdict(open.P99 < 10*time.Millisecond))
	return nil
}

// effects measures MLLP in, v2-to-fhir, commit of the resources: seven of them,
// the target's measure, and a panel of 20 observations.
func (r *run) effects(ctx context.Context, name string, e *bench.Engine, cost func() (time.Duration, error)) error {
	sent := 0
	for _, observations := range []int{1, 20} {
		before, err := cost()
		if err != nil {
			return err
		}
		began := time.Now()
		f, err := bench.Feed{
			Address: e.Results, Connections: 32, Count: r.count,
			Message: func(n int) []byte { return bench.ORU(fmt.Sprintf("R%dX", observations), n, observations) },
		}.Run(ctx)
		if err != nil {
			return err
		}
		sent += f.Sent
		end, err := e.Drained(ctx, "results", "done", sent)
		if err != nil {
			return err
		}
		after, err := cost()
		if err != nil {
			return err
		}
		rate := float64(f.Sent) / end.Sub(began).Seconds()
		target, met := "", ""
		if observations == 1 {
			target, met = "≥ 1,500/s", verdict(rate >= 1500)
		}
		r.row(fmt.Sprintf("%s: MLLP → v2-to-fhir → EHR commit, %d OBX", name, observations),
			perSecond(rate)+", CPU "+short((after-before)/time.Duration(f.Sent))+" a message", target, met)
	}
	memory, err := e.Memory()
	if err != nil {
		return err
	}
	r.row(name+": memory after all of it", fmt.Sprintf("%d MB", memory>>20), "", "")
	return nil
}

func figures(f bench.Figures, cpu time.Duration) string {
	return fmt.Sprintf("%s, p50 %s p99 %s p99.9 %s max %s, CPU %s a message",
		perSecond(f.Rate), short(f.P50), short(f.P99), short(f.P999), short(f.Max), short(cpu))
}

func perSecond(n float64) string { return fmt.Sprintf("%.0f/s", n) }

func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}
