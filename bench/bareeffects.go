package bench

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"
)

// What one message leaves in the store by BareEffects: that of a result of one
// observation by v2-to-fhir, about.
const (
	bareResources = 7
	bareIndexRows = 35
	bareContent   = 700 // bytes of a resource as it is packed
	bareMessages  = 8   // of one statement
	bareCommit    = 32  // messages of one synced transaction
)

// BareEffects returns how many messages' resources a second one writer puts into
// a new SQLite database in folder when they are at hand already: 7 rows with
// content, 35 of indexes that can be read from both sides, and 7 of a change log,
// by statements of many rows. Nothing is parsed, mapped, looked up or compared.
func BareEffects(ctx context.Context, folder string, d time.Duration) (float64, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "bare-effects.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-16384)&_txlock=immediate")
	if err != nil {
		return 0, err
	}
	db.SetMaxOpenConns(1)
	n, elapsed, err := bareEffects(ctx, db, d)
	return float64(n) / elapsed.Seconds(), errors.Join(err, db.Close())
}

func bareEffects(ctx context.Context, db *sql.DB, d time.Duration) (int, time.Duration, error) {
	for _, query := range []string{
		`CREATE TABLE resource (rid INTEGER PRIMARY KEY, rtype INTEGER NOT NULL, id TEXT NOT NULL, hash BLOB NOT NULL, content BLOB NOT NULL, UNIQUE (rtype, id))`,
		`CREATE TABLE ix (pid INTEGER NOT NULL, val BLOB NOT NULL, sys INTEGER NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (pid, val, sys, rid)) WITHOUT ROWID`,
		`CREATE INDEX ix_r ON ix (rid, pid)`,
		`CREATE TABLE log (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, rid INTEGER NOT NULL, op TEXT NOT NULL)`,
	} {
		if _, err := db.ExecContext(ctx, query); err != nil {
			return 0, 0, err
		}
	}
	statement := func(table string, columns, rows int) (*sql.Stmt, error) {
		one := "(?" + strings.Repeat(", ?", columns-1) + ")"
		return db.PrepareContext(ctx, `INSERT INTO `+table+` VALUES `+one+strings.Repeat(", "+one, rows-1))
	}
	resources, err := statement("resource", 5, bareResources*bareMessages)
	if err != nil {
		return 0, 0, err
	}
	defer resources.Close()
	index, err := statement("ix", 4, bareIndexRows*bareMessages)
	if err != nil {
		return 0, 0, err
	}
	defer index.Close()
	changes, err := statement("log", 4, bareResources*bareMessages)
	if err != nil {
		return 0, 0, err
	}
	defer changes.Close()
	made := bareRows{random: rand.New(rand.NewPCG(1, 2))}
	began := time.Now()
	for time.Since(began) < d {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, 0, err
		}
		for range bareCommit / bareMessages {
			heads, rows, logs := made.next()
			for _, s := range []struct {
				of   *sql.Stmt
				args []any
			}{{resources, heads}, {index, rows}, {changes, logs}} {
				if _, err := tx.StmtContext(ctx, s.of).ExecContext(ctx, s.args...); err != nil {
					return 0, 0, errors.Join(err, tx.Rollback())
				}
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, 0, err
		}
	}
	return made.messages, time.Since(began), nil
}

// bareRows makes the rows of messages that never repeat.
type bareRows struct {
	random   *rand.Rand
	messages int
	rid      int64
}

// next are the rows of one statement for each table.
func (b *bareRows) next() (heads, rows, logs []any) {
	for range bareMessages {
		b.messages++
		for range bareResources {
			b.rid++
			content := make([]byte, bareContent)
			for i := 0; i < len(content); i += 8 {
				copy(content[i:], binary.LittleEndian.AppendUint64(nil, b.random.Uint64()))
			}
			sum := sha256.Sum256(content)
			id := fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
			heads = append(heads, b.rid, b.rid%bareResources, id, sum[:], content)
			logs = append(logs, nil, b.rid, b.rid, "create")
			for k := range bareIndexRows / bareResources {
				rows = append(rows, 100+k, sum[2*k:2*k+8], int64(k%3), b.rid)
			}
		}
	}
	return heads, rows, logs
}
