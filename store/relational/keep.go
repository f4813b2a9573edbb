package relational

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

const (
	// lookAgain is when a message is looked at again that has not ended.
	lookAgain = time.Hour
	// chunksAtOnce are the parts of a large body that one step deletes.
	chunksAtOnce = 4
)

// unended is the state of deliveries that keep their message.
const unended = `state IN ('waiting', 'sending', 'parked')`

// final reports whether nothing more happens to a message by itself or by an
// operator.
func final(s message.State) bool {
	switch s {
	case message.Done, message.Filtered, message.Dropped, message.Refused:
		return true
	}
	return false
}

// A kept message has content.
type kept struct {
	seq     int64
	channel string
	state   message.State
	ended   int64 // the last that is known to have happened to it
	pruned  bool  // parts of a large body are left
	open    bool
}

// Ended finds what of a block has been kept long enough.
func (w Work) Ended(ctx context.Context, b store.Block, k store.Keeping) (store.Ended, error) {
	out := store.Ended{Recorded: b.Recorded}
	err := w.Lend(ctx, func(tx Tx) error {
		list, err := keptOf(ctx, tx, b, k.Now, &out)
		if err == nil && len(list) > 0 {
			err = endsOf(ctx, tx, b, list)
		}
		if err != nil {
			return err
		}
		var above int64
		more, err := one(ctx, tx, `SELECT seq FROM messages WHERE seq > ? ORDER BY seq LIMIT 1`, []any{b.Upto}, &above)
		out.Last = !more
		for _, m := range list {
			m.judge(k, &out)
		}
		return err
	})
	return out, err
}

// judge says whether the time of a message has come, or when it may.
func (m *kept) judge(k store.Keeping, out *store.Ended) {
	keep, named := k.For[m.channel]
	if !named {
		keep = k.Else
	}
	next := FromMicros(m.ended).Add(keep)
	switch {
	case m.pruned:
		next = k.Now
	case m.open || !final(m.state):
		next = k.Now.Add(lookAgain)
	}
	if !next.After(k.Now) {
		out.Due = append(out.Due, m.seq)
		return
	}
	if out.Next.IsZero() || next.Before(out.Next) {
		out.Next = next
	}
}

// keptOf reads the messages of a block that have content. What was recorded
// counts from the newest record before it: seq tells what came first, whatever
// the clock said.
func keptOf(ctx context.Context, tx Tx, b store.Block, now time.Time, out *store.Ended) ([]*kept, error) {
	rows, err := tx.Query(ctx, `SELECT seq, channel, state, recorded, pruned, chunks FROM messages WHERE seq > ? AND seq <= ? ORDER BY seq`, b.After, b.Upto)
	if err != nil {
		return nil, err
	}
	var list []*kept
	newest := Micros(b.Recorded)
	for rows.Next() {
		m := &kept{}
		var state, chunks string
		var recorded, pruned int64
		if err := rows.Scan(&m.seq, &m.channel, &state, &recorded, &pruned, &chunks); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		if recorded > newest && recorded <= Micros(now) {
			newest = recorded
		}
		m.state, m.ended, m.pruned = message.State(state), max(recorded, newest), pruned != 0
		if !m.pruned || chunks != "" {
			list = append(list, m)
		}
	}
	out.Recorded = FromMicros(newest)
	return list, errors.Join(rows.Err(), rows.Close())
}

// endsOf finds out when the last happened to the messages of a block, and which
// still have deliveries to be closed.
func endsOf(ctx context.Context, tx Tx, b store.Block, list []*kept) error {
	bySeq := make(map[int64]*kept, len(list))
	for _, m := range list {
		bySeq[m.seq] = m
	}
	for _, sql := range []string{
		`SELECT message, MAX(at), 0 FROM events WHERE message > ? AND message <= ? GROUP BY message`,
		`SELECT message, MAX(answered), MAX(CASE WHEN ` + unended + ` THEN 1 ELSE 0 END) FROM deliveries WHERE message > ? AND message <= ? GROUP BY message`,
	} {
		rows, err := tx.Query(ctx, sql, b.After, b.Upto)
		if err != nil {
			return err
		}
		for rows.Next() {
			var seq, at, open int64
			if err := rows.Scan(&seq, &at, &open); err != nil {
				return errors.Join(err, rows.Close())
			}
			if m := bySeq[seq]; m != nil {
				m.ended, m.open = max(m.ended, at), m.open || open != 0
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Prune takes the content of one message away: its bytes, the payloads and
// answers of its deliveries, its trace. Its row stays, with what copies are
// known by, and those of its deliveries: the sums of the ledger stay true. One
// that has not ended is left as it is. more: parts of a large body are left.
func Prune(ctx context.Context, tx Tx, seq int64, now time.Time, out *store.Pruned) (more bool, err error) {
	lock := ""
	if tx.Dialect() == PostgreSQL {
		lock = " FOR UPDATE"
	}
	var channel, state, chunks string
	var size, pruned int64
	found, err := one(ctx, tx, `SELECT channel, state, size, pruned, chunks FROM messages WHERE seq = ?`+lock, []any{seq}, &channel, &state, &size, &pruned, &chunks)
	if err != nil || !found || !final(message.State(state)) {
		return false, err
	}
	if pruned == 0 {
		if done, err := pruneRows(ctx, tx, seq, now, out); err != nil || !done {
			return false, err
		}
		if out.Messages == nil {
			out.Messages = map[string]int{}
		}
		out.Messages[channel]++
		out.Bytes += size
	}
	if chunks == "" {
		return false, nil
	}
	// The last ones first: the sweep finds bodies by their first part.
	n, err := tx.Exec(ctx, `DELETE FROM chunks WHERE body = ? AND n IN (SELECT n FROM chunks WHERE body = ? ORDER BY n DESC LIMIT ?)`, chunks, chunks, chunksAtOnce)
	if err != nil || n == chunksAtOnce {
		return n == chunksAtOnce, err
	}
	_, err = tx.Exec(ctx, `UPDATE messages SET chunks = '' WHERE seq = ?`, seq)
	return false, err
}

// pruneRows takes away what stands in the rows of a message; false when a
// delivery of it is not closed.
func pruneRows(ctx context.Context, tx Tx, seq int64, now time.Time, out *store.Pruned) (bool, error) {
	var some, bytes int64
	if open, err := one(ctx, tx, `SELECT n FROM deliveries WHERE message = ? AND `+unended+` LIMIT 1`, []any{seq}, &some); err != nil || open {
		return false, err
	}
	if _, err := one(ctx, tx, `SELECT CAST(COALESCE(SUM(COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(answer), 0)), 0) AS bigint) FROM deliveries WHERE message = ?`, []any{seq}, &bytes); err != nil {
		return false, err
	}
	out.Bytes += bytes
	if _, err := tx.Exec(ctx, `DELETE FROM events WHERE message = ?`, seq); err != nil {
		return false, err
	}
	var err error
	if tx.Dialect() == SQLite {
		err = shrink(ctx, tx, seq, now)
	} else {
		if _, err = tx.Exec(ctx, `UPDATE deliveries SET payload = NULL, answer = NULL WHERE message = ? AND (payload IS NOT NULL OR answer IS NOT NULL)`, seq); err == nil {
			err = pruneBody(ctx, tx, seq, now)
		}
	}
	return err == nil, err
}

// shrink does the same where rows stand in a tree. A row that gets smaller leaves
// its page as it is, mostly empty, and nothing else comes there: rows of messages
// are added at the end. One that is deleted has its page joined with the next
// ones; so each is deleted and written again.
func shrink(ctx context.Context, tx Tx, seq int64, now time.Time) error {
	rows, err := tx.Query(ctx, `SELECT n FROM deliveries WHERE message = ? AND (payload IS NOT NULL OR answer IS NOT NULL)`, seq)
	if err != nil {
		return err
	}
	var sent []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return errors.Join(err, rows.Close())
		}
		sent = append(sent, n)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, n := range sent {
		if err := rewriteRow(ctx, tx, "deliveries", "n", n, map[string]any{"payload": nil, "answer": nil}); err != nil {
			return err
		}
	}
	return pruneBody(ctx, tx, seq, now)
}

// pruneBody takes the content of a message away that is kept in one piece.
func pruneBody(ctx context.Context, tx Tx, seq int64, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM bodies WHERE message = ?`, seq); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE messages SET pruned = ? WHERE seq = ?`, Micros(now), seq)
	return err
}

// rewriteRow deletes a row and writes it again with other values in some columns.
func rewriteRow(ctx context.Context, tx Tx, table, key string, id int64, set map[string]any) error {
	columns, err := columnsOf(ctx, tx, table)
	if err != nil {
		return err
	}
	var asked []string
	for _, c := range columns {
		if _, other := set[c]; other {
			c = "NULL" // it is not read
		}
		asked = append(asked, c)
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	found, err := one(ctx, tx, `SELECT `+strings.Join(asked, ", ")+` FROM `+table+` WHERE `+key+` = ?`, []any{id}, into...)
	if err != nil || !found {
		return err
	}
	for i, c := range columns {
		if v, other := set[c]; other {
			values[i] = v
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE `+key+` = ?`, id); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO `+table+` (`+strings.Join(columns, ", ")+`) VALUES (?`+strings.Repeat(", ?", len(columns)-1)+`)`, values...)
	return err
}

// columnsOf are the columns of a table of SQLite, whatever migrations have added.
func columnsOf(ctx context.Context, tx Tx, table string) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT name FROM pragma_table_info(?)`, table)
	if err != nil {
		return nil, err
	}
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out = append(out, name)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// PruneSome takes away the content of some messages until it has taken long
// enough; what it did not come to is left.
func PruneSome(ctx context.Context, tx Tx, seqs []int64, now time.Time, most time.Duration) (out store.Pruned, err error) {
	began := time.Now()
	for i, seq := range seqs {
		if i > 0 && time.Since(began) > most {
			out.Left = append(out.Left, seqs[i:]...)
			break
		}
		more, err := Prune(ctx, tx, seq, now, &out)
		if err != nil {
			return store.Pruned{}, err
		}
		if more {
			out.Left = append(out.Left, seq)
		}
	}
	return out, nil
}
