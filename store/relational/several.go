package relational

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

var errNotOurs = errors.New("a row was inserted that was not asked for")

// AtOnce is how many messages one statement of RecordSeveral records, at most.
const AtOnce = 16

// A T1 is the record of one message in a transaction with others.
type T1 struct {
	Row   Row
	Entry store.Entry
}

// Alone reports whether a message cannot be recorded with others: what is there
// decides about more than whether it is a copy.
func (r *Row) Alone() bool { return r.RefuseClash || r.Chunks != "" }

const (
	recordColumns  = `id, channel, type, peer, state, reason, sender, control, hash, key, key2, routes_version, answer, size, received, recorded`
	recordValues   = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	recordReturned = ` ON CONFLICT DO NOTHING RETURNING id, seq, messages.control <> '' AND EXISTS (SELECT 1 FROM messages m
WHERE m.channel = messages.channel AND m.sender = messages.sender AND m.control = messages.control AND m.hash <> messages.hash AND m.state <> 'refused'), ` + survivors + `messages.key), ` + survivors + `messages.key2)`
	survivors = `(SELECT survivor FROM aliases WHERE aliases.key = `
)

// recordStatements and bodyStatements insert 1, 2, 4, 8 or 16 rows: as many
// statements as are worth to be kept prepared.
var recordStatements, bodyStatements = func() (records, bodies map[int]string) {
	records, bodies = map[int]string{}, map[int]string{}
	for n := 1; n <= AtOnce; n *= 2 {
		records[n] = `INSERT INTO messages (` + recordColumns + `) VALUES ` + recordValues + strings.Repeat(", "+recordValues, n-1) + recordReturned
		bodies[n] = insertBody + strings.Repeat(", (?, ?)", n-1)
	}
	return records, bodies
}()

// RecordSeveral is T1 of several messages on SQLite that need not be recorded
// alone, in the order in which they are given: a statement inserts several of
// them unless they are there, and says of each whether its control id was used
// with other content, by one before it in the same statement too.
func RecordSeveral(ctx context.Context, tx Tx, list []*T1, led *Ledger) error {
	for len(list) > 0 {
		n := AtOnce
		for n > len(list) {
			n /= 2
		}
		if err := recordTogether(ctx, tx, list[:n], led); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func recordTogether(ctx context.Context, tx Tx, list []*T1, led *Ledger) error {
	args := make([]any, 0, 16*len(list))
	for _, t := range list {
		r := &t.Row
		t.Entry = store.Entry{}
		args = append(args, r.ID, r.Channel, r.Type, r.Peer, r.State, r.Reason, r.Sender, r.Control, r.Hash, r.Key, r.Key2, r.Version, r.Answer, r.Size, r.Received, r.Recorded)
	}
	rows, err := tx.Query(ctx, recordStatements[len(list)], args...)
	if err != nil {
		return err
	}
	bodies := make([]any, 0, 2*len(list))
	for rows.Next() {
		var id string
		var seq int64
		var clash bool
		var key, key2 sql.NullString
		if err := rows.Scan(&id, &seq, &clash, &key, &key2); err != nil {
			return errors.Join(err, rows.Close())
		}
		i := slices.IndexFunc(list, func(t *T1) bool { return t.Row.ID == id })
		if i < 0 {
			return errors.Join(errNotOurs, rows.Close())
		}
		r := &list[i].Row
		list[i].Entry = store.Entry{Seq: seq, ID: id, Clash: clash, State: message.State(r.State), Reason: r.Reason, Answer: answerOf(r.Answer), Survivors: [2]string{key.String, key2.String}}
		led.Add(r.Channel, message.State(r.State), 1)
		bodies = append(bodies, seq, r.Body)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if err := insertBodies(ctx, tx, bodies); err != nil {
		return err
	}
	for _, t := range list {
		if t.Entry.Seq != 0 {
			continue
		}
		if t.Entry, err = Record(ctx, tx, &t.Row, led); err != nil { // a copy: the entry of the first
			return err
		}
	}
	return nil
}

// insertBodies inserts rows of two columns each.
func insertBodies(ctx context.Context, tx Tx, args []any) error {
	for n := AtOnce; len(args) > 0; {
		if 2*n > len(args) {
			n /= 2
			continue
		}
		if _, err := tx.Exec(ctx, bodyStatements[n], args[:2*n]...); err != nil {
			return err
		}
		args = args[2*n:]
	}
	return nil
}
