package schedule

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// bring offers what was left out of the keys that are free again, as the owner
// of a route does: of each the oldest rows, all of them in one order.
func bring(s *Schedule, open []Item, perKey int) {
	keys := s.Lacking()
	var rows []Item
	cut := map[string]Item{}
	for i := 0; i < len(keys); i++ {
		n := 0
		for _, item := range open {
			if item.Key != keys[i] && item.Key2 != keys[i] {
				continue
			}
			if n++; n > perKey {
				cut[keys[i]] = item
				break
			}
			rows = append(rows, item)
			for _, other := range []string{item.Key, item.Key2} {
				if s.Wanting(other) && !slices.Contains(keys, other) {
					keys = append(keys, other)
				}
			}
		}
	}
	for _, k := range keys {
		s.Return(k)
	}
	slices.SortFunc(rows, func(a, b Item) int { return int(a.Seq - b.Seq) })
	for _, item := range rows {
		s.Add(item)
	}
	for k, item := range cut {
		item.Pos = item.Seq
		s.LeaveOut(k, item)
	}
	for _, k := range keys {
		s.Offered(k)
	}
}

func TestTwoKeysThatWereBothLeftOut(t *testing.T) {
	s := New(100, 1)
	rows := []Item{{Seq: 1, Key: "a"}, {Seq: 2, Key: "b"}, {Seq: 3, Key: "a", Key2: "b"}, {Seq: 4, Key: "a"}}
	for _, r := range rows {
		s.Add(r)
	}
	expect(t, s, 1, 2)
	s.Done(1)
	bring(s, rows[1:], 1)
	if s.Lacks() {
		t.Errorf("lacking %v: it waits for b, and is not to be asked for until that is free", s.Lacking())
	}
	s.Done(2)
	bring(s, rows[2:], 1)
	expect(t, s, 3)
	s.Done(3)
	bring(s, rows[3:], 1)
	expect(t, s, 4)
}

func TestAMergeWithAKeyOfWhichSomeWereLeftOut(t *testing.T) {
	s := New(100, 1)
	rows := []Item{{Seq: 1, Key: "old"}, {Seq: 2, Key: "old"}, {Seq: 3, Key: "new"}}
	for _, r := range rows {
		s.Add(r)
	}
	expect(t, s, 1, 3)
	s.Again(3)
	s.Fold("old", "new")
	rows[0].Key, rows[1].Key = "new", "new"
	s.Done(1)
	expect(t, s) // 2 comes before 3, and is not known
	bring(s, rows[1:], 1)
	expect(t, s, 2)
	s.Done(2)
	bring(s, rows[2:], 1)
	expect(t, s, 3)
}

// TestScheduleOfARoute reads rows as the owner of a route does: on from where it
// has come to, and back for what was left out; keys are merged meanwhile.
func TestScheduleOfARoute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		keys := []string{"a", "b", "c", "d", "e"}
		limit, perKey := rapid.IntRange(10, 40).Draw(t, "limit"), rapid.IntRange(1, 4).Draw(t, "perKey")
		s := New(limit, perKey)
		open := make([]Item, n)
		for i := range open {
			open[i] = Item{Seq: int64(i + 1), Key: rapid.SampledFrom(keys).Draw(t, "key")}
			if rapid.IntRange(0, 3).Draw(t, "two") == 0 {
				open[i].Key2 = rapid.SampledFrom(keys).Draw(t, "key2")
			}
		}
		next := int64(1) // the row to be read
		var inHand []Item
		for steps := 0; len(open) > 0; steps++ {
			if steps > 60*n {
				t.Fatalf("stuck: %d are open", len(open))
			}
			if rapid.IntRange(0, 9).Draw(t, "merge") == 0 {
				old, survivor := rapid.SampledFrom(keys).Draw(t, "old"), rapid.SampledFrom(keys).Draw(t, "survivor")
				for _, list := range [][]Item{open, inHand} {
					for i := range list {
						list[i] = renamed(list[i], old, survivor)
					}
				}
				s.Fold(old, survivor)
			}
			for _, item := range open {
				if item.Seq >= next && s.Room() {
					s.Add(item)
					next = item.Seq + 1
				}
			}
			waiting := slices.DeleteFunc(slices.Clone(open), func(i Item) bool { return slices.ContainsFunc(inHand, func(h Item) bool { return h.Seq == i.Seq }) })
			for round := 0; round < 50 && s.Lacks(); round++ {
				bring(s, waiting, perKey)
			}
			if s.Lacks() && s.Room() {
				t.Fatalf("lacking %v although there is room", s.Lacking())
			}
			for {
				item, ok := s.Next()
				if !ok {
					break
				}
				for _, older := range open {
					if older.Seq < item.Seq && shares(older, item) {
						t.Fatalf("%+v started before %+v", item, older)
					}
				}
				inHand = append(inHand, item)
			}
			if len(inHand) == 0 {
				t.Fatalf("nothing runs although %d are open: %+v", len(open), open)
			}
			i := rapid.IntRange(0, len(inHand)-1).Draw(t, "end")
			seq := inHand[i].Seq
			inHand = slices.Delete(inHand, i, i+1)
			open = slices.DeleteFunc(open, func(o Item) bool { return o.Seq == seq })
			s.Done(seq)
		}
	})
}

func renamed(i Item, old, survivor string) Item {
	if i.Key == old {
		i.Key = survivor
	}
	if i.Key2 == old {
		i.Key2 = survivor
	}
	return i
}

func shares(a, b Item) bool {
	return a.Key == b.Key || a.Key == b.Key2 || (a.Key2 != "" && (a.Key2 == b.Key || a.Key2 == b.Key2))
}

// TestReadyStandsBelowTheFloor holds that what may not start is not counted: who
// has enough that may start reads no more.
func TestReadyStandsBelowTheFloor(t *testing.T) {
	s := New(10, 10)
	s.Floor = 3
	for n := int64(5); n > 2; n-- {
		s.Add(Item{Seq: n, Key: string(rune('a' + n))})
	}
	if got := s.Ready(); got != 0 {
		t.Errorf("%d are ready, none stands below the floor", got)
	}
	s.Add(Item{Seq: 2, Key: "x"})
	if item, ok := s.Next(); !ok || item.Seq != 2 {
		t.Errorf("next is %+v %v", item, ok)
	}
	if s.Floor = 6; s.Ready() != 3 {
		t.Errorf("%d are ready, want 3", s.Ready())
	}
}

// TestHandoverKeepsBothKeys holds that a key stays held until the end of what
// held it is durable: a follower that carries only the other one is not handed
// over, it waits for Done.
func TestHandoverKeepsBothKeys(t *testing.T) {
	s := New(10, 10)
	s.Add(Item{Seq: 1, Key: "a", Key2: "b"})
	s.Add(Item{Seq: 2, Key: "a"})
	s.Add(Item{Seq: 3, Key: "b"})
	if item, ok := s.Next(); !ok || item.Seq != 1 {
		t.Fatalf("next is %+v %v", item, ok)
	}
	if next, ok, kept := s.Handover(1); ok || !kept {
		t.Fatalf("handed over to %+v, kept %v", next, kept)
	}
	if item, ok := s.Next(); ok {
		t.Fatalf("%+v started under a key that is held", item)
	}
	s.Done(1)
	for want := int64(2); want <= 3; want++ {
		if item, ok := s.Next(); !ok || item.Seq != want {
			t.Errorf("next is %+v %v, want %d", item, ok, want)
		}
	}
	s = New(10, 10)
	s.Add(Item{Seq: 1, Key: "a", Key2: "b"})
	s.Add(Item{Seq: 2, Key: "b", Key2: "a"})
	if item, ok := s.Next(); !ok || item.Seq != 1 {
		t.Fatalf("next is %+v %v", item, ok)
	}
	if next, ok, kept := s.Handover(1); !ok || kept || next.Seq != 2 {
		t.Errorf("both keys are carried, and %+v %v %v was handed over", next, ok, kept)
	}
}
