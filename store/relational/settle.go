package relational

import (
	"context"
	"fmt"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// Settle is T2 of several messages without their effects: their changes of
// state, deliveries, traces, work lists, audit. store.ErrNotStored when one of
// them is not stored any more: nothing of the others may stay then.
func Settle(ctx context.Context, tx Tx, list []*Finished, led *Ledger) error {
	if err := settleStates(ctx, tx, list); err != nil {
		return err
	}
	var events, audit []any
	for _, f := range list {
		led.Add(f.Channel, message.Stored, -1)
		led.Add(f.Channel, f.State, 1)
		if f.steps != "" {
			events = append(events, f.Seq, f.Run, f.now, f.steps)
		}
		if len(f.Writes) > 0 || len(f.Deliveries) > 0 { // somebody's record was touched, or something is sent
			audit = append(audit, f.now, f.Actor, "message."+string(f.State), f.Seq)
		}
	}
	if _, err := insert(ctx, tx, `INSERT INTO events (message, run, at, steps)`, 4, "", events); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	if err := insertDeliveries(ctx, tx, list, led); err != nil {
		return err
	}
	for _, f := range list {
		if err := f.settleRest(ctx, tx, led); err != nil {
			return err
		}
	}
	if _, err := insert(ctx, tx, `INSERT INTO audit (at, actor, action, rid)`, 4, "", audit); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// settleRest is what few messages have.
func (f *Finished) settleRest(ctx context.Context, tx Tx, led *Ledger) error {
	if err := insertIntakes(ctx, tx, f.Intakes, FromMicros(f.now), led); err != nil {
		return err
	}
	if err := mergeKeys(ctx, tx, f.Alias, f.Survivor, f.Seq); err != nil {
		return fmt.Errorf("alias: %w", err)
	}
	return insertWorklist(ctx, tx, f.Seq, f.Worklist, f.now)
}

// settleStates changes the states of messages that are stored.
func settleStates(ctx context.Context, tx Tx, list []*Finished) error {
	if tx.Dialect() == PostgreSQL {
		return settleStatesAtOnce(ctx, tx, list)
	}
	for _, f := range list {
		n, err := tx.Exec(ctx, `UPDATE messages SET state = ?, reason = ?, answer = ?, crashes = 0 WHERE seq = ? AND run = ? AND state = 'stored'`,
			string(f.State), f.reason, f.answer, f.Seq, f.Run)
		if err != nil {
			return err
		}
		if n != 1 {
			return store.ErrNotStored
		}
	}
	return nil
}

// settleStatesAtOnce does so where each statement is a round trip.
func settleStatesAtOnce(ctx context.Context, tx Tx, list []*Finished) error {
	seqs, runs := make([]int64, len(list)), make([]int64, len(list))
	states, reasons, answers := make([]string, len(list)), make([]string, len(list)), make([]string, len(list))
	for i, f := range list {
		seqs[i], runs[i] = f.Seq, int64(f.Run)
		states[i], reasons[i], answers[i] = string(f.State), f.reason, f.answer
	}
	n, err := tx.Exec(ctx, `UPDATE messages SET state = q.state, reason = q.reason, answer = q.answer, crashes = 0
FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::text[]) AS q(seq, run, state, reason, answer)
WHERE messages.seq = q.seq AND messages.run = q.run AND messages.state = 'stored'`, seqs, runs, states, reasons, answers)
	if err == nil && n != int64(len(list)) {
		err = store.ErrNotStored
	}
	return err
}
