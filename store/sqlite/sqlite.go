// Package sqlite is the embedded store: one SQLite file in WAL mode with full
// synchronisation, one writer, many readers.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options of the embedded store.
type Options struct {
	// Folder holds the database; it is made when it is missing.
	Folder string
	// Log gets what an operator should know; nil means nobody.
	Log *slog.Logger
	// Now tells the time; nil means time.Now.
	Now func() time.Time
	// Readers is how many connections read at once; 0 means 4.
	Readers int
	// Unsafe turns the sync of commits off (synchronous=NORMAL). It is there
	// for the test that has to lose messages.
	Unsafe bool
}

// A Store is an open database. Only one process has a folder open.
type Store struct {
	relational.Work
	*relational.Reader
	options Options
	owner   string
	lock    *os.File
	readers *lending
	writer  *writer
	stop    context.CancelFunc
	running sync.WaitGroup
	trigger store.Trigger
	index   *relational.Reindexer
	// endIndexing ends what index does; what it has begun is finished.
	endIndexing context.CancelFunc
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Ordered = (*Store)(nil)
)

// Open opens or makes the database of a folder. It fails when another process
// has it open.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Readers == 0 {
		o.Readers = 4
	}
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := lockFolder(o.Folder)
	if err != nil {
		return nil, err
	}
	s := &Store{options: o, lock: lock, owner: newOwner()}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	return s, nil
}

func newOwner() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// lockFolder holds the folder for this process; the lock ends with it.
func lockFolder(folder string) (*os.File, error) {
	path := filepath.Join(folder, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("data folder %s: another engine has it open", folder)
	}
	return f, nil
}

func (s *Store) dsn(more string) string {
	sync := "FULL"
	if s.options.Unsafe {
		sync = "NORMAL"
	}
	return "file:" + filepath.Join(s.options.Folder, "plexus.db") +
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(" + sync + ")&_pragma=busy_timeout(10000)&_pragma=foreign_keys(0)&_pragma=temp_store(2)&_txlock=immediate" + more
}

func (s *Store) open(ctx context.Context) error {
	db, err := sql.Open("sqlite", s.dsn("&_pragma=wal_autocheckpoint(0)"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(2) // the writer's and the checkpointer's
	if err := migrate(ctx, db); err != nil {
		return errors.Join(fmt.Errorf("migrate: %w", err), db.Close())
	}
	if s.readers, err = openReaders(ctx, s.dsn("&_pragma=query_only(1)&_pragma=cache_size(-16384)&_pragma=mmap_size(268435456)"), s.options.Readers); err != nil {
		return errors.Join(err, db.Close())
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s.Work = relational.Work{Lend: s.lend}
	secret, err := secretOf(ctx, conn)
	if err != nil {
		return errors.Join(err, conn.Close(), db.Close())
	}
	s.Reader = relational.NewReader(s.lend, secret)
	s.writer = newWriter(db, conn, s.options)
	if s.writer.files, err = openedFiles(s.options.Folder); err == nil {
		err = s.writer.guard.watch(conn)
	}
	if err == nil {
		err = unavailable(s.writer.fit(ctx, largeDatabase))
	}
	if err != nil {
		return errors.Join(err, conn.Close(), db.Close())
	}
	var number int64
	err = s.writer.alone(ctx, func() (err error) {
		number, err = relational.Extractor(ctx, s.writer.tx, s.options.Now())
		return err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("extractor: %w", unavailable(err)), conn.Close(), db.Close())
	}
	s.index = &relational.Reindexer{Lend: s.lend, Slice: s.slice, Number: number, Log: s.options.Log}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	if err := s.index.Count(ctx); err != nil {
		stop()
		return errors.Join(fmt.Errorf("extractor: %w", err), conn.Close(), db.Close())
	}
	indexing, endIndexing := context.WithCancel(life)
	s.endIndexing = endIndexing
	s.running.Go(func() { s.index.Run(indexing) })
	s.running.Go(func() { relational.SweepParts(indexing, s.slice, s.options.Now, s.options.Log) })
	s.running.Go(func() { s.writer.run(life) })
	s.running.Go(func() { s.checkpoint(life, db) })
	return nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, folder)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// secretOf reads the key of ids, or makes it.
func secretOf(ctx context.Context, conn *sql.Conn) ([]byte, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails since Go 1.24
	if _, err := conn.ExecContext(ctx, `INSERT INTO setting (name, value) VALUES ('secret', ?) ON CONFLICT (name) DO NOTHING`, fresh); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	var secret []byte
	if err := conn.QueryRowContext(ctx, `SELECT value FROM setting WHERE name = 'secret'`).Scan(&secret); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return secret, nil
}

// slice runs a slice of work that can wait, when nothing else does.
func (s *Store) slice(ctx context.Context, f func(context.Context, relational.Tx) error) error {
	return s.writer.do(ctx, &op{idle: true, whole: true, small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
		return f(ctx, tx)
	}})
}

// Unindexed is how many resources have no index rows of this version yet.
func (s *Store) Unindexed() int64 { return s.index.Left() }

// lend lends a reading connection.
func (s *Store) lend(ctx context.Context, f func(relational.Tx) error) error {
	return unavailable(s.readers.lend(ctx, f))
}

// unavailable marks errors of the database that may pass by themselves; others
// pass as they are.
func unavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	if e, ok := errors.AsType[*driver.Error](err); ok {
		switch e.Code() & 0xff {
		case codes.SQLITE_FULL, codes.SQLITE_BUSY, codes.SQLITE_NOMEM, codes.SQLITE_INTERRUPT, codes.SQLITE_CANTOPEN:
			return fmt.Errorf("%w: %s", store.ErrUnavailable, codeName(e.Code()))
		}
		if e.Code() == codes.SQLITE_IOERR_SHMSIZE {
			return fmt.Errorf("%w: %s", store.ErrUnavailable, codeName(e.Code()))
		}
		return fmt.Errorf("sqlite: %s", codeName(e.Code()))
	}
	return err
}

// codeName names an error of SQLite without what it was about: its text may
// quote values.
func codeName(code int) string {
	if text, ok := driver.ErrorCodeString[code]; ok {
		return text
	}
	if text, ok := driver.ErrorCodeString[code&0xff]; ok {
		return fmt.Sprintf("%s (extended code %d)", text, code)
	}
	return fmt.Sprintf("code %d", code)
}

// Bounds of the log, in frames of a page each.
const (
	fewFrames  = 256   // moved by the writer itself, so that the log begins anew
	manyFrames = 16384 // 64 MB: moved by the writer whatever it costs
)

// checkpoint moves the log into the database beside the writer, on its own
// connection. When little is left the writer moves the rest between two
// batches: only a log that was moved whole begins anew, and a log that does not
// grow is synced faster.
func (s *Store) checkpoint(ctx context.Context, db *sql.DB) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	wal := filepath.Join(s.options.Folder, "plexus.db-wal")
	alarmed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		info, err := os.Stat(wal)
		if err != nil || info.Size() < 4<<20 {
			continue
		}
		left := 0
		for range 3 {
			if left, err = moveLog(ctx, db); err != nil || left <= fewFrames {
				break
			}
		}
		if err != nil {
			s.writer.notMoved(ctx, err)
			continue
		}
		if left <= fewFrames || left > manyFrames {
			select {
			case s.writer.restart <- struct{}{}:
			default:
			}
		}
		if large := info.Size() > 256<<20; large != alarmed {
			alarmed = large
			if large {
				s.options.Log.Error("the database's log is larger than 256 MB: a reader may be holding it", "bytes", info.Size())
			}
		}
	}
}

// A runner runs a query: the pool of the checkpointer or the writer's connection.
type runner interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// moveLog moves what it can without waiting for anybody and returns how many
// frames are left.
func moveLog(ctx context.Context, r runner) (left int, err error) {
	var busy, frames, moved int
	err = r.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &frames, &moved)
	return max(frames-moved, 0), err
}

// Failed is closed when the store can write no more.
func (s *Store) Failed() <-chan struct{} { return s.writer.failed }

// Ordered says that messages become visible in the order of their numbers: one
// writer gives them and commits.
func (s *Store) Ordered() {}

// Survives says what a commit survives.
func (s *Store) Survives() string {
	if s.options.Unsafe {
		return "death of the process"
	}
	return "loss of power on this machine"
}

// Close waits for the writer to finish what was asked of it and closes the
// files.
func (s *Store) Close() error {
	s.endIndexing()
	s.writer.close()
	s.stop()
	s.running.Wait()
	err := s.writer.conn.Close()
	return errors.Join(err, s.writer.db.Close(), s.closeFiles())
}

func (s *Store) closeFiles() error {
	var err error
	if s.readers != nil {
		err = s.readers.close()
	}
	return errors.Join(err, s.lock.Close())
}
