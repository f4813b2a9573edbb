package bench

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
)

// Bounds of one commit of the bare intake.
const (
	bareTogether  = 512 // messages
	bareStatement = 16  // rows of one INSERT
)

// A Bare is the least that can take messages and promise to keep them: a frame is
// read, hashed and written as one row with a unique key, many in one synced
// commit, and answered AA. Nothing is parsed but the control id, nothing is
// routed, traced or counted. What an engine on the same library and disk reaches
// stands beside it.
type Bare struct {
	db       *sql.DB
	listener net.Listener
	records  chan *bareRecord
	serving  sync.WaitGroup
	writing  sync.WaitGroup
}

type bareRecord struct {
	key  [sha256.Size]byte
	body []byte
	done chan error
}

// StartBare listens on this machine and keeps what it takes in a new SQLite
// database in folder.
func StartBare(ctx context.Context, folder string) (*Bare, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "bare.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-16384)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	b := &Bare{db: db, records: make(chan *bareRecord, bareTogether)}
	if _, err := db.ExecContext(ctx, `CREATE TABLE message (id INTEGER PRIMARY KEY, k BLOB NOT NULL UNIQUE, body BLOB NOT NULL)`); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if b.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	b.writing.Go(b.write)
	b.serving.Go(b.accept)
	return b, nil
}

// Address is where it takes messages over MLLP.
func (b *Bare) Address() string { return b.listener.Addr().String() }

// Close ends the listener once the connections have ended, and the database.
func (b *Bare) Close() error {
	err := b.listener.Close()
	b.serving.Wait()
	close(b.records)
	b.writing.Wait()
	return errors.Join(err, b.db.Close())
}

func (b *Bare) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.serving.Go(func() { b.serve(conn) })
	}
}

// serve takes the messages of one connection until it ends.
func (b *Bare) serve(conn net.Conn) {
	defer conn.Close()
	r := &bareRecord{done: make(chan error, 1)}
	acknowledge(conn, func(frame []byte) error {
		r.body, r.key = frame[1:len(frame)-1], sha256.Sum256(frame)
		b.records <- r
		return <-r.done
	}, nil)
}

// write is the one writer: what waits shares a commit.
func (b *Bare) write() {
	for first := range b.records {
		batch := []*bareRecord{first}
		for more := true; more && len(batch) < bareTogether; {
			select {
			case r, open := <-b.records:
				if more = open; open {
					batch = append(batch, r)
				}
			default:
				more = false
			}
		}
		err := b.commit(batch)
		for _, r := range batch {
			r.done <- err
		}
	}
}

func (b *Bare) commit(batch []*bareRecord) error {
	tx, err := b.db.Begin()
	if err != nil {
		return err
	}
	for len(batch) > 0 {
		n := min(bareStatement, len(batch))
		args := make([]any, 0, 2*n)
		for _, r := range batch[:n] {
			args = append(args, r.key[:], r.body)
		}
		if _, err := tx.Exec(`INSERT INTO message (k, body) VALUES (?, ?)`+strings.Repeat(`, (?, ?)`, n-1), args...); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		batch = batch[n:]
	}
	return tx.Commit()
}
