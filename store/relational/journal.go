package relational

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// Micros is a time as the databases hold it.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros is the time of a column; the zero time for 0.
func FromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Clean makes a text of a message fit for a key column: valid UTF-8 without
// NUL, and short: a long one keeps its beginning and is told apart by its hash.
func Clean(s string) string {
	const limit = 200
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if len(s) <= limit {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	head := s[:limit-40]
	for !utf8.ValidString(head) {
		head = head[:len(head)-1]
	}
	return head + "#" + hex.EncodeToString(sum[:16])
}

// A Row is an intake as the messages table holds it.
type Row struct {
	ID, Channel, Type, Peer, State, Reason   string
	Sender, Control, Key, Key2, Version      string
	Answer, Chunks, Via                      string
	Hash, Body                               []byte
	Size, Received, Recorded                 int64
	RefuseClash                              bool
	ClashState, ClashReason, ClashAnswerJSON string
}

// RowOf prepares an intake outside of the transaction.
func RowOf(in *store.Intake, now time.Time) Row {
	m := in.Message
	r := Row{
		ID: m.ID, Channel: m.Channel, Type: Clean(m.Header.Type), Peer: Clean(m.Peer), State: string(m.State), Reason: CleanText(m.Reason),
		Sender: Clean(m.Header.Sender), Control: Clean(m.Header.Control), Key: Clean(m.Header.Key), Key2: Clean(m.Header.Key2),
		Version: m.RoutesVersion, Answer: answerJSON(m.Answer), Chunks: in.Chunks, Via: m.Via,
		Hash: m.Header.Hash[:], Body: m.Raw, Size: m.Size, Received: Micros(m.Received), Recorded: Micros(now),
	}
	if in.Chunks == "" {
		r.Size = int64(len(m.Raw))
	} else {
		r.Body = nil
	}
	if r.Body == nil {
		r.Body = []byte{}
	}
	if in.RefuseClash {
		r.RefuseClash = true
		r.ClashState, r.ClashReason, r.ClashAnswerJSON = string(message.Refused), in.Clashed.Reason, answerJSON(in.Clashed.Answer)
	}
	return r
}

// CleanText makes a reason fit for its column.
func CleanText(s string) string {
	if len(s) <= 2000 && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	for len(s) > 2000 || !utf8.ValidString(s) {
		s = s[:min(len(s)-1, 2000)]
	}
	return s
}

func answerJSON(a message.Answer) string {
	if a.Code == message.Accepted && len(a.Problems) == 0 {
		return `{"code":"accepted"}`
	}
	if a.Code == message.None {
		return ""
	}
	out, err := json.Marshal(a)
	if err != nil {
		return "" // strings and numbers always marshal
	}
	return CleanJSON(string(out))
}

// CleanJSON removes what PostgreSQL's text cannot hold.
func CleanJSON(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func answerOf(text string) message.Answer {
	var a message.Answer
	if text == `{"code":"accepted"}` {
		return message.Answer{Code: message.Accepted}
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			return message.Answer{}
		}
	}
	return a
}

const selectIntake = `SELECT seq, id, state, reason, answer, run, hash FROM messages WHERE channel = ? AND sender = ? AND control = ? ORDER BY seq`

const insertMessage = `INSERT INTO messages (id, channel, type, peer, state, reason, sender, control, hash, key, key2, routes_version, answer, size, received, recorded, chunks, via)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`

// insertBody keeps the content of a message beside its row: what becomes of the
// message is written into the row, and need not write the content again.
const insertBody = `INSERT INTO bodies (message, data) VALUES (?, ?)`

// Known looks up what the journal holds under a row's sender and control id:
// the entry of a copy, or whether the id was used with other content.
func Known(ctx context.Context, tx Tx, r *Row) (entry store.Entry, copied, clash bool, err error) {
	if r.Control == "" {
		// Without a control id only the same content is the same message.
		rows, err := tx.Query(ctx, `SELECT seq, id, state, reason, answer, run, hash FROM messages WHERE channel = ? AND sender = ? AND control = ? AND hash = ?`, r.Channel, r.Sender, r.Control, r.Hash)
		if err != nil {
			return entry, false, false, err
		}
		return intakeRows(rows, r)
	}
	rows, err := tx.Query(ctx, selectIntake, r.Channel, r.Sender, r.Control)
	if err != nil {
		return entry, false, false, err
	}
	return intakeRows(rows, r)
}

func intakeRows(rows Rows, r *Row) (entry store.Entry, copied, clash bool, err error) {
	for rows.Next() {
		var e store.Entry
		var state, answer string
		var hash []byte
		if err := rows.Scan(&e.Seq, &e.ID, &state, &e.Reason, &answer, &e.Run, &hash); err != nil {
			return entry, false, false, errors.Join(err, rows.Close())
		}
		if string(hash) != string(r.Hash) {
			clash = clash || state != string(message.Refused) // what was refused has taken no number
			continue
		}
		e.State, e.Answer, e.Copy = message.State(state), answerOf(answer), true
		entry, copied = e, true
		break
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return entry, false, false, err
	}
	entry.Clash = clash
	return entry, copied, clash, nil
}

// Record is T1 of one message.
func Record(ctx context.Context, tx Tx, r *Row, led *Ledger) (store.Entry, error) {
	entry, copied, clash, err := Known(ctx, tx, r)
	if err != nil || copied {
		return entry, err
	}
	if err := Whole(ctx, tx, r); err != nil {
		return store.Entry{}, err
	}
	state, reason, answer := r.State, r.Reason, r.Answer
	if clash && r.RefuseClash && state == string(message.Stored) {
		state, reason, answer = r.ClashState, r.ClashReason, r.ClashAnswerJSON
	}
	rows, err := tx.Query(ctx, insertMessage, r.ID, r.Channel, r.Type, r.Peer, state, reason, r.Sender, r.Control, r.Hash, r.Key, r.Key2, r.Version, answer, r.Size, r.Received, r.Recorded, r.Chunks, r.Via)
	if err != nil {
		return entry, err
	}
	var seq int64
	if rows.Next() {
		err = rows.Scan(&seq)
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return entry, err
	}
	if r.Chunks == "" {
		if _, err := tx.Exec(ctx, insertBody, seq, r.Body); err != nil {
			return entry, err
		}
	}
	led.Add(r.Channel, message.State(state), 1)
	entry = store.Entry{Seq: seq, ID: r.ID, Clash: clash, State: message.State(state), Reason: reason, Answer: answerOf(answer)}
	if tx.Dialect() == SQLite {
		for i, key := range []string{r.Key, r.Key2} {
			if _, err := one(ctx, tx, `SELECT survivor FROM aliases WHERE key = ?`, []any{key}, &entry.Survivors[i]); err != nil {
				return entry, err
			}
		}
	}
	return entry, nil
}

// A Ledger collects the changes of counts of one transaction.
type Ledger struct{ changes map[count]int64 }

type count struct {
	channel string
	state   message.State
}

// Add counts n messages into a state.
func (l *Ledger) Add(channel string, state message.State, n int64) {
	if l.changes == nil {
		l.changes = map[count]int64{}
	}
	l.changes[count{channel, state}] += n
}

// Merge takes the changes of another ledger, of a part that was not rolled back.
func (l *Ledger) Merge(other *Ledger) {
	for c, n := range other.changes {
		l.Add(c.channel, c.state, n)
	}
}

// Write adds the changes to the rows of one shard: connections that commit side
// by side have each their own, so that they do not wait for one another.
func (l *Ledger) Write(ctx context.Context, tx Tx, shard int) error {
	keys := make([]count, 0, len(l.changes))
	for c, n := range l.changes {
		if n != 0 {
			keys = append(keys, c)
		}
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i].channel+string(keys[i].state) < keys[j].channel+string(keys[j].state)
	})
	for _, c := range keys {
		_, err := tx.Exec(ctx, `INSERT INTO ledger (channel, state, shard, n) VALUES (?, ?, ?, ?) ON CONFLICT (channel, state, shard) DO UPDATE SET n = ledger.n + excluded.n`,
			c.channel, string(c.state), shard, l.changes[c])
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return nil
}

// errParts: a large body is not there whole. Its sender is made to send again.
var errParts = fmt.Errorf("%w: parts of the large body are missing", store.ErrUnavailable)

// Whole fails with store.ErrUnavailable when parts of a large body are missing:
// it took longer to arrive than parts without a message are kept, or the clock
// was set ahead meanwhile. It holds the parts until the message refers to them.
func Whole(ctx context.Context, tx Tx, r *Row) error {
	if r.Chunks == "" {
		return nil
	}
	var some, size int64
	if tx.Dialect() == PostgreSQL {
		found, err := one(ctx, tx, `SELECT n FROM chunks WHERE body = ? AND n = 0 FOR SHARE`, []any{r.Chunks}, &some)
		if err == nil && !found {
			err = errParts
		}
		if err != nil {
			return err
		}
	}
	_, err := one(ctx, tx, `SELECT CAST(COALESCE(SUM(LENGTH(data)), 0) AS bigint) FROM chunks WHERE body = ?`, []any{r.Chunks}, &size)
	if err == nil && size != r.Size {
		err = errParts
	}
	return err
}

// Chunk writes one part of a large body.
func Chunk(ctx context.Context, tx Tx, id string, n int, data []byte, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO chunks (body, n, at, data) VALUES (?, ?, ?, ?)`, id, n, Micros(now), data)
	return err
}

// SweepChunks deletes a few of the parts that no message refers to and that
// are older than before; it returns how many. Where several write, it leaves
// those that a message is about to refer to (Whole), and holds the others while
// it looks once more.
func SweepChunks(ctx context.Context, tx Tx, before time.Time) (int64, error) {
	const nobodys = `NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = c.body AND m.chunks = c.body)`
	lock := ""
	if tx.Dialect() == PostgreSQL {
		lock = " FOR UPDATE OF c SKIP LOCKED"
	}
	rows, err := tx.Query(ctx, `SELECT c.body FROM chunks c WHERE c.n = 0 AND c.at < ? AND `+nobodys+` LIMIT 4`+lock, Micros(before))
	if err != nil {
		return 0, err
	}
	var bodies []string
	for rows.Next() {
		var body string
		if err := rows.Scan(&body); err != nil {
			return 0, errors.Join(err, rows.Close())
		}
		bodies = append(bodies, body)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, err
	}
	var all int64
	for _, body := range bodies {
		n, err := tx.Exec(ctx, `DELETE FROM chunks WHERE body = (SELECT c.body FROM chunks c WHERE c.body = ? AND c.n = 0 AND `+nobodys+`)`, body)
		if err != nil {
			return all, err
		}
		all += n
	}
	return all, nil
}

// EntryOf is an entry from the columns of its row.
func EntryOf(seq int64, id, state, reason, answer string, run int) store.Entry {
	return store.Entry{Seq: seq, ID: id, State: message.State(state), Reason: reason, Answer: answerOf(answer), Run: run}
}
