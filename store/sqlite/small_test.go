package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
	"github.com/plexus-health/plexus/store/relational"
	"github.com/plexus-health/plexus/store/storetest"
)

// intakes are messages of which many are copies of others, or use a control id
// again with other content; some are refused, some come without a control id,
// some to a channel that refuses what clashes.
func intakes(rnd *rand.Rand, n int) []store.Intake {
	out := make([]store.Intake, n)
	for i := range out {
		control := fmt.Sprint(rnd.IntN(12))
		if rnd.IntN(8) == 0 {
			control = ""
		}
		out[i] = storetest.Intake([]string{"a", "b"}[rnd.IntN(2)], control, fmt.Sprint("content ", rnd.IntN(3)))
		switch rnd.IntN(6) {
		case 0:
			out[i].Message.State, out[i].Message.Reason = message.Refused, "no type"
			out[i].Message.Answer = message.Answer{Code: message.Rejected}
		case 1:
			out[i].RefuseClash = true
			out[i].Clashed.Reason, out[i].Clashed.Answer = "clash", message.Answer{Code: message.Erroneous}
		}
	}
	return out
}

// Messages that are recorded by one statement have the entries, rows, counts and
// content that they have one by one.
func TestRecordsTogether(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		list := intakes(rnd, 1+rnd.IntN(60))
		// What must be recorded alone comes behind the rest of its batch.
		var first, last []store.Intake
		for _, in := range list {
			row := relational.RowOf(&in, in.Message.Received)
			if row.Alone() {
				last = append(last, in)
			} else {
				first = append(first, in)
			}
		}
		list = append(first, last...)
		single, joined := open(t, t.TempDir()), open(t, t.TempDir())
		var ops []*op
		var records []*relational.T1
		told := map[string]int{}
		for i := range list {
			id := list[i].Message.ID
			list[i].Recorded = func(*store.Entry) { told[id]++ }
			o, r := joined.recordOp(&list[i])
			ops, records = append(ops, o), append(records, r)
		}
		for i, err := range together(t, joined, ops...) {
			if err != nil {
				t.Fatalf("seed %d: record %d: %v", seed, i, err)
			}
		}
		for i := range list {
			in := list[i]
			in.Recorded = nil
			want, err := single.Record(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			got := records[i].Entry
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d: record %d of %d: %+v, alone %+v", seed, i, len(list), got, want)
			}
			if fresh := got.State == message.Stored && !got.Copy; told[in.Message.ID] != 0 != fresh {
				t.Errorf("seed %d: record %d was told %d times", seed, i, told[in.Message.ID])
			}
			m, err := joined.Load(t.Context(), got.Seq)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := single.Load(t.Context(), want.Seq); err != nil || string(n.Raw) != string(m.Raw) || string(m.Raw) != string(in.Message.Raw) || n.State != m.State {
				t.Errorf("seed %d: record %d: %q %s, alone %q %v", seed, i, m.Raw, m.State, n.Raw, err)
			}
		}
		counts, err := joined.Ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want, err := single.Ledger(t.Context()); err != nil || fmt.Sprint(counts) != fmt.Sprint(want) {
			t.Errorf("seed %d: ledger %v, alone %v %v", seed, counts, want, err)
		}
	}
}

// A record that cannot be written takes none with it that is written by the same
// statement.
func TestRecordsTogetherButOne(t *testing.T) {
	s := open(t, t.TempDir())
	there := storetest.Intake("c", "0", "zero")
	if _, err := s.Record(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	list := []store.Intake{storetest.Intake("c", "1", "one"), storetest.Intake("c", "2", "two"), storetest.Intake("c", "3", "three")}
	list[1].Message.ID = there.Message.ID // an id is given once
	var ops []*op
	var records []*relational.T1
	for i := range list {
		o, r := s.recordOp(&list[i])
		ops, records = append(ops, o), append(records, r)
	}
	for i, err := range together(t, s, ops...) {
		if (err != nil) != (i == 1) {
			t.Errorf("record %d: %v", i, err)
		}
	}
	for _, i := range []int{0, 2} {
		m, err := s.Load(t.Context(), records[i].Entry.Seq)
		if err != nil || string(m.Raw) != string(list[i].Message.Raw) {
			t.Errorf("record %d: %+v %v", i, m, err)
		}
	}
}

// A new message is told of the keys into which its own had been merged, and all
// are told in the order of their numbers, whatever way they are recorded.
func TestRecordedTells(t *testing.T) {
	for name, careful := range map[string]int{"together": 0, "with savepoints": 1} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			list := []store.Intake{storetest.Intake("c", "1", "one"), storetest.Intake("c", "2", "two"), storetest.Intake("c", "3", "three")}
			list[0].RefuseClash = true // alone
			list[0].Message.Header.Key2, list[1].Message.Header.Key, list[2].Message.Header.Key2 = "old", "old", "other"
			ops := []*op{{small: func(ctx context.Context, tx relational.Tx, _ *relational.Ledger) error {
				_, err := tx.Exec(ctx, `INSERT INTO aliases (key, survivor, message) VALUES ('old', 'new', 1)`)
				return err
			}}}
			if errs := together(t, s, ops...); errs[0] != nil {
				t.Fatal(errs[0])
			}
			s.writer.careful = careful // nothing is being written
			var told []store.Entry
			ops = nil
			for i := range list {
				list[i].Recorded = func(e *store.Entry) { told = append(told, *e) }
				o, _ := s.recordOp(&list[i])
				ops = append(ops, o)
			}
			for i, err := range together(t, s, ops...) {
				if err != nil {
					t.Fatalf("record %d: %v", i, err)
				}
			}
			if len(told) != 3 {
				t.Fatalf("%d were told of", len(told))
			}
			for i, e := range told {
				if i > 0 && e.Seq <= told[i-1].Seq {
					t.Errorf("%d was told after %d", e.Seq, told[i-1].Seq)
				}
				want := map[string][2]string{list[0].Message.ID: {"", "new"}, list[1].Message.ID: {"new", ""}, list[2].Message.ID: {}}[e.ID]
				if e.Survivors != want {
					t.Errorf("message %d: survivors %q, want %q", e.Seq, e.Survivors, want)
				}
			}
		})
	}
}
