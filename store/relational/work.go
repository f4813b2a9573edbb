package relational

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// A Lender lends a connection for reading while f runs.
type Lender func(ctx context.Context, f func(Tx) error) error

// A Work reads the journal over lent connections: the reading half of both
// stores.
type Work struct{ Lend Lender }

const messageColumns = `seq, id, channel, type, peer, state, reason, run, crashes, sender, control, hash, key, key2, routes_version, answer, size, received, chunks, via, pruned`

func scanMessage(rows Rows, more ...any) (*message.Message, string, error) {
	m := &message.Message{}
	var state, answer, chunks string
	var hash []byte
	var received, pruned int64
	dest := append([]any{
		&m.Seq, &m.ID, &m.Channel, &m.Header.Type, &m.Peer, &state, &m.Reason, &m.Run, &m.Crashes, &m.Header.Sender, &m.Header.Control,
		&hash, &m.Header.Key, &m.Header.Key2, &m.RoutesVersion, &answer, &m.Size, &received, &chunks, &m.Via, &pruned,
	}, more...)
	if err := rows.Scan(dest...); err != nil {
		return nil, "", err
	}
	copy(m.Header.Hash[:], hash)
	m.State, m.Answer, m.Received, m.Pruned = message.State(state), answerOf(answer), FromMicros(received), FromMicros(pruned)
	return m, chunks, nil
}

// keyColumns are what orders a message m, its keys as they are called now and as
// they were recorded; scanKeys reads them.
const keyColumns = `seq, run, COALESCE((SELECT survivor FROM aliases WHERE aliases.key = m.key), key), COALESCE((SELECT survivor FROM aliases WHERE aliases.key = m.key2), key2), key, key2`

func scanKeys(rows Rows, m *message.Message) error {
	var key, key2 string
	if err := rows.Scan(&m.Seq, &m.Run, &m.Header.Key, &m.Header.Key2, &key, &key2); err != nil {
		return err
	}
	if key != m.Header.Key {
		m.MadeKey = key
	}
	if key2 != m.Header.Key2 {
		m.MadeKey2 = key2
	}
	return nil
}

// Stored lists the stored messages of a channel, the oldest first.
func (w Work) Stored(ctx context.Context, channel string, after int64, limit int) ([]*message.Message, error) {
	var out []*message.Message
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+keyColumns+` FROM messages m WHERE channel = ? AND state = 'stored' AND seq > ? ORDER BY seq LIMIT ?`, channel, after, limit)
		if err != nil {
			return err
		}
		for rows.Next() {
			m := &message.Message{Channel: channel, State: message.Stored}
			if err := scanKeys(rows, m); err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, m)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// Load returns one message with its content.
func (w Work) Load(ctx context.Context, seq int64) (*message.Message, error) {
	return w.first(ctx, `seq = ?`, seq)
}

// Find returns the message of an id, or of the only id that begins so.
func (w Work) Find(ctx context.Context, id string) (*message.Message, error) {
	if len(id) == 36 {
		return w.first(ctx, `id = ?`, id)
	}
	if len(id) < 4 || strings.Trim(id, "0123456789abcdef-") != "" {
		return nil, store.ErrNotFound
	}
	return w.first(ctx, `id >= ? AND id < ?`, id, id+"g")
}

func (w Work) first(ctx context.Context, where string, args ...any) (*message.Message, error) {
	var found *message.Message
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+messageColumns+`, (SELECT data FROM bodies WHERE bodies.message = messages.seq) FROM messages WHERE `+where+` LIMIT 2`, args...)
		if err != nil {
			return err
		}
		n := 0
		for rows.Next() {
			var body []byte
			m, chunks, err := scanMessage(rows, &body)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			n++
			found = m
			switch {
			case !m.Pruned.IsZero(): // parts of a large one may be left
			case chunks != "":
				m.Body = w.body(chunks)
			default:
				m.Raw = body
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if n != 1 {
			return store.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// body opens a large body: one chunk is in memory at a time.
func (w Work) body(id string) func(context.Context) (io.ReadCloser, error) {
	return func(ctx context.Context) (io.ReadCloser, error) {
		return &chunkReader{ctx: ctx, lend: w.Lend, id: id}, nil
	}
}

type chunkReader struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no context
	lend Lender
	id   string
	n    int
	part bytes.Reader
	end  bool
}

// Read reads on, from the next chunk when one is used up.
func (r *chunkReader) Read(p []byte) (int, error) {
	for r.part.Len() == 0 {
		if r.end {
			return 0, io.EOF
		}
		var data []byte
		err := r.lend(r.ctx, func(tx Tx) error {
			found, err := one(r.ctx, tx, `SELECT data FROM chunks WHERE body = ? AND n = ?`, []any{r.id, r.n}, &data)
			r.end = !found
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("chunk %d: %w", r.n, err)
		}
		r.n++
		r.part.Reset(data)
	}
	return r.part.Read(p)
}

// Close forgets the rest.
func (r *chunkReader) Close() error {
	r.end = true
	r.part.Reset(nil)
	return nil
}

// List returns messages without content, the newest first.
func (w Work) List(ctx context.Context, f store.Filter) ([]*message.Message, error) {
	var where []string
	var args []any
	add := func(column, value string) {
		if value != "" {
			where, args = append(where, column+" = ?"), append(args, value)
		}
	}
	add("channel", f.Channel)
	add("state", string(f.State))
	add("control", Clean(f.Control))
	add("type", Clean(f.Type))
	add("sender", Clean(f.Sender))
	if add("key2", Clean(f.Key2)); f.Key2 != "" {
		where = append(where, "key2 <> ''") // the index holds no others
	}
	if f.Before > 0 {
		where, args = append(where, "seq < ?"), append(args, f.Before)
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	sql := `SELECT ` + messageColumns + ` FROM messages`
	if len(where) > 0 {
		sql += ` WHERE ` + strings.Join(where, " AND ")
	}
	var out []*message.Message
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, sql+` ORDER BY seq DESC LIMIT ?`, append(args, limit)...)
		if err != nil {
			return err
		}
		for rows.Next() {
			m, _, err := scanMessage(rows)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, m)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// Trace returns the events of a message. Its intake is told from its own row.
func (w Work) Trace(ctx context.Context, seq int64) ([]store.Event, error) {
	var out []store.Event
	err := w.Lend(ctx, func(tx Tx) error {
		var received, recorded, pruned int64
		var channel, peer, version, state string
		found, err := one(ctx, tx, `SELECT received, recorded, COALESCE((SELECT name FROM units WHERE units.unit = messages.channel), channel), peer, routes_version, state, pruned FROM messages WHERE seq = ?`, []any{seq}, &received, &recorded, &channel, &peer, &version, &state, &pruned)
		if err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		out = append(out,
			store.Event{At: FromMicros(received), Step: "received", Text: "channel " + channel + " from " + peer},
			store.Event{At: FromMicros(recorded), Step: "recorded", Text: "routes " + version})
		if pruned != 0 {
			out = append(out, store.Event{At: FromMicros(pruned), Step: "not kept any longer", Text: "its content, what was sent of it and its trace were taken away; it is " + state})
		}
		rows, err := tx.Query(ctx, `SELECT steps FROM events WHERE message = ? ORDER BY n`, seq)
		if err != nil {
			return err
		}
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return errors.Join(err, rows.Close())
			}
			var steps []store.Event
			if err := json.Unmarshal([]byte(text), &steps); err != nil {
				return errors.Join(fmt.Errorf("trace: %w", err), rows.Close())
			}
			out = append(out, steps...)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// Ledger counts messages by channel and state.
func (w Work) Ledger(ctx context.Context) ([]store.Count, error) {
	var out []store.Count
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT channel, state, CAST(SUM(n) AS bigint) FROM ledger GROUP BY channel, state ORDER BY channel, state`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var c store.Count
			var state string
			if err := rows.Scan(&c.Channel, &state, &c.N); err != nil {
				return errors.Join(err, rows.Close())
			}
			c.State = message.State(state)
			out = append(out, c)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// Held returns the reasons of the units that are held.
func (w Work) Held(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT unit, held FROM units WHERE held <> ''`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var unit, held string
			if err := rows.Scan(&unit, &held); err != nil {
				return errors.Join(err, rows.Close())
			}
			out[unit] = held
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// Worklist returns the open items, the newest first.
func (w Work) Worklist(ctx context.Context, limit int) ([]store.WorkItem, error) {
	var out []store.WorkItem
	err := w.Lend(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT kind, place, name, code, text FROM worklist WHERE closed IS NULL ORDER BY n DESC LIMIT ?`, limit)
		if err != nil {
			return err
		}
		for rows.Next() {
			var i store.WorkItem
			if err := rows.Scan(&i.Kind, &i.Where, &i.Table, &i.Code, &i.Text); err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, i)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}
