// Package postgres is the store on PostgreSQL: the same tables and SQL as the
// embedded one, with grouped commits over a few connections.
package postgres

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"golang.org/x/sys/unix"

	"github.com/plexus-health/plexus/internal/killpoint"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options of the store.
type Options struct {
	// DSN is postgres://user@host/database or keyword=value pairs.
	DSN string
	// Log gets what an operator should know; nil means nobody.
	Log *slog.Logger
	// Now tells the time of what is written; nil means time.Now. Who owns what
	// is decided by the database's clock.
	Now func() time.Time
}

// How many connections group records and outcomes.
const (
	recorders = 2
	finishers = 2
	answerers = 2
)

// How long an engine is taken to be alive after a beat, by the database's
// clock; it starts nothing in the last part of it.
const (
	lifetime = 6 * time.Second
	lastPart = 1500 * time.Millisecond
)

// A Store is an open database.
type Store struct {
	relational.Work
	*relational.Reader
	options            Options
	pool               *pgxpool.Pool
	searches, lookups  *pgxpool.Pool
	owner              atomic.Pointer[string]
	records            chan *record
	outcomes           chan *outcome
	answers            chan *answer
	writes             chan *write
	trigger            store.Trigger
	index              *relational.Reindexer
	journal, resources *statistics
	until              atomic.Int64  // on the boot-time clock, when nothing may be started any more
	closing            chan struct{} // nothing more is taken
	ended              chan struct{} // what was taken is done
	once               sync.Once
	failed             chan struct{}
	stop               context.CancelFunc
	running            sync.WaitGroup
	survives           string
	versions           sync.Mutex
	runs               map[string]version // by unit
}

var _ store.Store = (*Store)(nil)

// Open connects, brings the tables up to date and checks that a commit is
// synced. It fails when fsync or synchronous_commit is off.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	config, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		return nil, errors.New("--database is not postgres://user@host/database") // the text may hold a password
	}
	config.MaxConns = max(config.MaxConns, 24)
	config.ConnConfig.RuntimeParams["application_name"] = "plexus"
	// An engine that stands still (a suspended machine, a stopped process) or is
	// cut off must not keep its locks: whoever takes over its units waits for
	// them. A transaction of ours that goes on is never idle for so long.
	for name, value := range map[string]string{
		"idle_in_transaction_session_timeout": "5s", "tcp_user_timeout": "8s",
		"tcp_keepalives_idle": "3", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3",
	} {
		if _, said := config.ConnConfig.RuntimeParams[name]; !said {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	// A statement whose time is over is ended in the database too.
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 5 * time.Second}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, plain(err)
	}
	searches, err := searching(ctx, config, config.MaxConns/4, "force_custom_plan")
	if err != nil {
		pool.Close()
		return nil, plain(err)
	}
	lookups, err := searching(ctx, config, config.MaxConns/12, "force_generic_plan")
	if err != nil {
		pool.Close()
		searches.Close()
		return nil, plain(err)
	}
	s := &Store{
		options: o, pool: pool, searches: searches, lookups: lookups,
		journal:   newStatistics("messages", "deliveries, events"),
		resources: newStatistics("resource", "ix_token, ix_date, ix_string, ix_ref, ix_number, identity_key"),
		records:   make(chan *record, 1024), outcomes: make(chan *outcome, 1024), answers: make(chan *answer, 1024), writes: make(chan *write, 1024),
		closing: make(chan struct{}), ended: make(chan struct{}), failed: make(chan struct{}),
	}
	if err := s.open(ctx); err != nil {
		pool.Close()
		searches.Close()
		lookups.Close()
		return nil, err
	}
	return s, nil
}

// searching opens connections for searches: however many there are, what else is
// to be done finds a connection. Most are planned for their values each time, since
// what a condition selects is far from even; where it selects the same whatever the
// value, the plan is kept.
func searching(ctx context.Context, config *pgxpool.Config, most int32, plans string) (*pgxpool.Pool, error) {
	config = config.Copy()
	config.MaxConns = max(most, 1)
	config.MinConns, config.MinIdleConns = 0, 0
	if _, said := config.ConnConfig.RuntimeParams["plan_cache_mode"]; !said {
		config.ConnConfig.RuntimeParams["plan_cache_mode"] = plans
	}
	return pgxpool.NewWithConfig(ctx, config)
}

func (s *Store) open(ctx context.Context) error {
	if err := s.checkDurable(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	secret, err := s.secret(ctx)
	if err != nil {
		return fmt.Errorf("secret: %w", plain(err))
	}
	s.Work = relational.Work{Lend: s.lend}
	s.Reader = relational.NewReader(s.lend, secret)
	s.Reader.Place, s.Reader.Searching, s.Reader.LookingUp = s.place, s.lendSearch, s.lendLookup
	s.newOwner()
	if err := s.beat(ctx); err != nil {
		return fmt.Errorf("heartbeat: %w", plain(err))
	}
	s.index = &relational.Reindexer{Lend: s.lend, Slice: s.slice, Log: s.options.Log, Every: time.Minute}
	err = s.inTx(ctx, func(t *tx, _ *relational.Ledger) (err error) {
		s.index.Number, err = relational.Extractor(ctx, t, s.options.Now())
		return err
	})
	if err != nil {
		return fmt.Errorf("extractor: %w", err)
	}
	if err := s.index.Count(ctx); err != nil {
		return fmt.Errorf("extractor: %w", err)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.running.Go(func() { s.index.Run(life) })
	s.running.Go(func() { relational.SweepParts(life, s.slice, s.options.Now, s.options.Log) })
	s.running.Go(func() { s.heart(life) })
	s.running.Go(func() { s.analyst(life, s.journal) })
	s.running.Go(func() { s.analyst(life, s.resources) })
	s.running.Go(func() { s.placer(life) })
	for i := range recorders {
		s.running.Go(func() { s.recorder(life, i) })
	}
	for i := range answerers {
		s.running.Go(func() { s.answerer(life, 15+i) })
	}
	for range writers {
		s.running.Go(func() { s.writer(life) })
	}
	for i := range finishers {
		s.running.Go(func() { s.finisher(life, 10+i) })
	}
	return nil
}

// checkDurable refuses a database that acknowledges what it has not synced.
func (s *Store) checkDurable(ctx context.Context) error {
	var fsync, commit, standbys string
	err := s.pool.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names')`).Scan(&fsync, &commit, &standbys)
	if err != nil {
		return fmt.Errorf("connect: %w", plain(err))
	}
	if fsync != "on" {
		return errors.New("the database runs with fsync off: an acknowledgement would not survive a loss of power; turn it on")
	}
	if commit != "on" && commit != "remote_apply" {
		return fmt.Errorf("the database runs with synchronous_commit %s: an acknowledgement would not survive; set it to on", commit)
	}
	s.survives = "loss of power on the database's machine"
	if standbys != "" {
		s.survives = "loss of the database's machine (a synchronous standby has it)"
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { _ = db.Close() }() // the pool stays
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, folder, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func (s *Store) secret(ctx context.Context) ([]byte, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails since Go 1.24
	if _, err := s.pool.Exec(ctx, `INSERT INTO setting (name, value) VALUES ('secret', $1) ON CONFLICT (name) DO NOTHING`, fresh); err != nil {
		return nil, err
	}
	var secret []byte
	err := s.pool.QueryRow(ctx, `SELECT value FROM setting WHERE name = 'secret'`).Scan(&secret)
	return secret, err
}

func (s *Store) newOwner() {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	owner := hex.EncodeToString(b[:])
	s.owner.Store(&owner)
}

// shard is the row of the ledger that one connection of this engine counts in.
func (s *Store) shard(i int) int {
	return int(crc32.ChecksumIEEE([]byte(*s.owner.Load()))%64)*100 + i
}

const clock = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

// clockOf reads the database's clock.
func clockOf(ctx context.Context, t *tx) (time.Time, error) {
	rows, err := t.q.Query(ctx, `SELECT `+clock)
	if err != nil {
		return time.Time{}, err
	}
	now, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	return time.UnixMicro(now), err
}

// beat renews this engine's row by the database's clock.
func (s *Store) beat(ctx context.Context) error {
	var dead int64
	asked := bootTime() // before: the lease is never counted longer than the database does
	err := s.pool.QueryRow(ctx, `INSERT INTO engines (owner, until) VALUES ($1, `+clock+` + $2)
ON CONFLICT (owner) DO UPDATE SET until = excluded.until RETURNING dead`, *s.owner.Load(), lifetime.Microseconds()).Scan(&dead)
	switch {
	case err != nil:
		return err
	case dead != 0:
		s.options.Log.Warn("another engine has taken over from this one; going on as a new one")
		s.newOwner()
		if err := s.beat(ctx); err != nil {
			return err
		}
		s.versions.Lock()
		defer s.versions.Unlock()
		return s.inTx(ctx, func(t *tx, _ *relational.Ledger) error { return s.noteRuns(ctx, t.q, s.runs) })
	}
	s.until.Store(int64(asked + lifetime - lastPart))
	return nil
}

var started = time.Now()

// bootTime is the clock that also runs while the machine is suspended.
func bootTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(started) // a system without it: the clock that stands still in between
	}
	return time.Duration(t.Nano())
}

// Elsewhere lists the units that other engines own which are alive.
func (s *Store) Elsewhere(ctx context.Context) (map[string]bool, error) {
	rows, err := s.pool.Query(ctx, `SELECT u.unit FROM units u JOIN engines e ON e.owner = u.owner WHERE e.dead = 0 AND e.until > `+clock+` AND e.owner <> $1`, *s.owner.Load())
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

func (s *Store) heart(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	sweep := time.NewTicker(time.Minute)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.beat(ctx); err != nil && ctx.Err() == nil {
				s.options.Log.Error("the heartbeat was not written", "error", plain(err).Error())
			}
		case <-sweep.C:
			s.sweep(ctx)
		}
	}
}

// place gives a position to all of the change log that can be seen.
func (s *Store) place(ctx context.Context) error {
	for more := true; more; {
		err := s.inTx(ctx, func(t *tx, _ *relational.Ledger) (err error) {
			more, err = relational.Place(ctx, t)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// placer places what nobody has asked for, so that who asks does not wait.
func (s *Store) placer(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.place(ctx); err != nil && ctx.Err() == nil {
			s.options.Log.Warn("changes were not placed", "error", plain(err).Error())
		}
	}
}

// slice runs a slice of work that can wait in a transaction of its own.
func (s *Store) slice(ctx context.Context, f func(context.Context, relational.Tx) error) error {
	return s.inTx(ctx, func(t *tx, _ *relational.Ledger) error { return f(ctx, t) })
}

// Unindexed is how many resources have no index rows of this version yet.
func (s *Store) Unindexed() int64 { return s.index.Left() }

func (s *Store) sweep(ctx context.Context) {
	err := s.inTx(ctx, func(tx *tx, _ *relational.Ledger) error {
		_, err := relational.SweepChunks(ctx, tx, s.options.Now().Add(-time.Hour))
		if err == nil {
			_, err = relational.SweepKeys(ctx, tx, s.options.Now())
		}
		return err
	})
	if err == nil {
		_, err = s.pool.Exec(ctx, `DELETE FROM engines WHERE until < `+clock+` - 86400000000 AND NOT EXISTS (SELECT 1 FROM units u WHERE u.owner = engines.owner)`)
	}
	if err != nil && ctx.Err() == nil {
		s.options.Log.Warn("what nobody needs was not swept", "error", plain(err).Error())
	}
}

// lend lends a reading connection, for at most half a minute.
func (s *Store) lend(ctx context.Context, f func(relational.Tx) error) error {
	return lendOf(ctx, s.pool, f)
}

// lendSearch lends one for a search.
func (s *Store) lendSearch(ctx context.Context, f func(relational.Tx) error) error {
	return lendOf(ctx, s.searches, f)
}

// lendLookup lends one whose plans are kept.
func (s *Store) lendLookup(ctx context.Context, f func(relational.Tx) error) error {
	return lendOf(ctx, s.lookups, f)
}

func lendOf(ctx context.Context, pool *pgxpool.Pool, f func(relational.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return plain(err)
	}
	defer conn.Release()
	return plain(f(&tx{conn}))
}

// inTx runs f in a transaction of its own.
func (s *Store) inTx(ctx context.Context, f func(*tx, *relational.Ledger) error) error {
	return s.inStep(ctx, "", f)
}

// inStep runs f in a transaction that is a durable step with a name: it passes
// before_<step>_commit and after_<step>_commit (internal/killpoint).
func (s *Store) inStep(ctx context.Context, step string, f func(*tx, *relational.Ledger) error) error {
	err := s.transact(ctx, func(p pgx.Tx) error {
		led := &relational.Ledger{}
		t := &tx{p}
		if err := f(t, led); err != nil {
			return err
		}
		if err := led.Write(ctx, t, s.shard(20)); err != nil {
			return err
		}
		killpoint.Hit("before_" + step + "_commit")
		return nil
	})
	if err == nil {
		killpoint.Hit("after_" + step + "_commit")
	}
	return plain(err)
}

// plain removes from an error of the database what may quote values, and marks
// those that may pass by themselves.
func plain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUnknown):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, errUnknown)
	}
	for _, ours := range []error{
		store.ErrFenced, store.ErrOwned, store.ErrNotStored, store.ErrConflict, store.ErrNotFound, store.ErrDeleted, store.ErrPruned,
		store.ErrUnavailable, store.ErrNotWaiting, store.ErrNotSending, store.ErrOvertaken, store.ErrTaken, store.ErrKeyUsed, store.ErrRepeated, store.ErrCursor, context.Canceled,
	} {
		if errors.Is(err, ours) {
			return err
		}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code[:2] {
		case "40": // serialization failure, deadlock
			return fmt.Errorf("%w (SQLSTATE %s)", store.ErrConflict, e.Code)
		case "08", "53", "57", "58": // 57014: its time was over
			return fmt.Errorf("%w: SQLSTATE %s", store.ErrUnavailable, e.Code)
		}
		if e.Code == "23505" { // a unique key: somebody was first
			return fmt.Errorf("%w: SQLSTATE %s, %s", store.ErrConflict, e.Code, e.ConstraintName)
		}
		return fmt.Errorf("postgres: SQLSTATE %s %s", e.Code, e.ConstraintName)
	}
	if lost(err) {
		return fmt.Errorf("%w: the connection to the database", store.ErrUnavailable)
	}
	return err
}

// lost reports whether the connection was lost or not to be had.
func lost(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) || pgconn.SafeToRetry(err)
}

// Failed is never closed: a database that is away is waited for.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Survives says what a commit survives.
func (s *Store) Survives() string { return s.survives }

// Close finishes what was asked for, hands this engine's row back and closes
// the connections.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.closing)
		s.stop()
		s.running.Wait()
		close(s.ended)
	})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := s.pool.Exec(ctx, `UPDATE engines SET dead = 1 WHERE owner = $1`, *s.owner.Load())
	s.pool.Close()
	s.searches.Close()
	s.lookups.Close()
	return plain(err)
}
