package schedule

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestSchedule(t *testing.T) {
	t.Run("the oldest of a key starts first and alone", func(t *testing.T) {
		s := New(10, 10)
		s.Add(Item{Seq: 2, Key: "a"})
		s.Add(Item{Seq: 1, Key: "a"})
		s.Add(Item{Seq: 3, Key: "b"})
		expect(t, s, 1, 3)
		s.Done(1)
		expect(t, s, 2)
	})
	t.Run("an item of two keys waits for both and holds both", func(t *testing.T) {
		s := New(10, 10)
		s.Add(Item{Seq: 1, Key: "old"})
		s.Add(Item{Seq: 2, Key: "new", Key2: "old"})
		s.Add(Item{Seq: 3, Key: "new"})
		s.Add(Item{Seq: 4, Key: "old"})
		expect(t, s, 1)
		s.Done(1)
		expect(t, s, 2)
		s.Done(2)
		expect(t, s, 3, 4)
	})
	t.Run("a key that is held up leaves room for the others", func(t *testing.T) {
		s := New(100, 2)
		for i := range int64(10) {
			s.Add(Item{Seq: i + 1, Key: "held"})
		}
		if !s.Add(Item{Seq: 50, Key: "other"}) {
			t.Fatal("another key was turned away")
		}
		expect(t, s, 1, 50)
		if !s.TurnedAway() {
			t.Error("TurnedAway does not say that items were left out")
		}
	})
	t.Run("what is held until somebody decides takes no room, and what waits for it takes half", func(t *testing.T) {
		s := New(8, 4)
		for i := range int64(20) {
			s.Hold(Item{Seq: i + 1, Key: fmt.Sprint("held ", i)})
		}
		s.Add(Item{Seq: 30, Key: "runs"})
		expect(t, s, 30)
		s.Hold(Item{Seq: 30})
		if !s.Wants() || !s.Room() || s.Len() != 21 {
			t.Errorf("wants %v, room %v, %d known", s.Wants(), s.Room(), s.Len())
		}
		taken := 0
		for i := range int64(20) {
			if s.Add(Item{Seq: 40 + i, Key: fmt.Sprint("held ", i)}) {
				taken++
			}
		}
		if taken != 4 {
			t.Errorf("%d followers were taken, want 4", taken)
		}
		for i := range int64(4) {
			if !s.Add(Item{Seq: 60 + i, Key: fmt.Sprint("other ", i)}) {
				t.Errorf("other %d was turned away", i)
			}
		}
		expect(t, s, 60, 61, 62, 63)
		s.Done(1)
		s.Done(30)
		expect(t, s, 40)
		if s.Len() != 19+4+4 {
			t.Errorf("%d known", s.Len())
		}
	})
	t.Run("an older one that comes to be known late is taken although younger ones were left out", func(t *testing.T) {
		s := New(100, 2)
		s.Add(Item{Seq: 3, Key: "k"})
		s.Add(Item{Seq: 5, Key: "k"})
		s.Add(Item{Seq: 6, Key: "k"}) // left out
		if !s.Add(Item{Seq: 4, Key: "k"}) || s.Add(Item{Seq: 7, Key: "k"}) {
			t.Fatal("4 stands between what is held, 7 after what was left out")
		}
		for _, want := range []int64{3, 4, 5} {
			expect(t, s, want)
			s.Done(want)
		}
		if got := s.Lacking(); len(got) != 1 || got[0] != "k" {
			t.Errorf("lacking %v", got)
		}
		s.Return("k")
		s.Add(Item{Seq: 6, Key: "k"})
		expect(t, s, 6)
	})
	t.Run("an item that ends hands over to its successor, or keeps its keys for another's sake", func(t *testing.T) {
		s := New(100, 10)
		for _, i := range []Item{{Seq: 1, Key: "a"}, {Seq: 2, Key: "b"}, {Seq: 3, Key: "a"}, {Seq: 4, Key: "b"}} {
			s.Add(i)
		}
		expect(t, s, 1, 2)
		next, some, kept := s.Handover(1)
		if next.Seq != 3 || !some || kept {
			t.Fatalf("after 1 came %d %v %v, want its successor 3", next.Seq, some, kept)
		}
		s.Add(Item{Seq: 0, Pos: 1, Key: "c"})
		next, some, kept = s.Handover(3)
		if next.Key != "c" || !some || !kept {
			t.Fatalf("after 3 came %+v %v %v, want the older one of c", next, some, kept)
		}
		s.Add(Item{Seq: 9, Key: "a"})
		expect(t, s) // a is held until the end of 3 is durable
		s.Done(3)
		expect(t, s, 9)
	})
	t.Run("nothing at or above the floor starts", func(t *testing.T) {
		s := New(100, 10)
		s.Floor = 3
		for seq := int64(1); seq < 6; seq++ {
			s.Add(Item{Seq: seq, Key: "k"})
		}
		expect(t, s, 1)
		if next, some, _ := s.Handover(1); !some || next.Seq != 2 {
			t.Fatalf("got %+v %v", next, some)
		}
		if next, some, kept := s.Handover(2); some || !kept {
			t.Fatalf("got %+v", next)
		}
		s.Done(2)
		expect(t, s)
		s.Floor = 5
		expect(t, s, 3)
	})
	t.Run("merged keys are one line, also while some of both are under way", func(t *testing.T) {
		s := New(100, 10)
		for _, i := range []Item{{Seq: 1, Key: "old"}, {Seq: 2, Key: "new"}, {Seq: 3, Key: "old"}, {Seq: 4, Key: "new"}} {
			s.Add(i)
		}
		expect(t, s, 1, 2)
		s.Fold("old", "new")
		s.Again(1)
		expect(t, s) // 2 is under way
		s.Again(2)
		expect(t, s, 1)
		for _, want := range []int64{2, 3, 4} {
			s.Done(want - 1)
			expect(t, s, want)
		}
	})
	t.Run("no younger one of a key is taken once an older was turned away", func(t *testing.T) {
		s := New(100, 2)
		s.Add(Item{Seq: 1, Key: "k"})
		s.Add(Item{Seq: 2, Key: "k"})
		s.Add(Item{Seq: 3, Key: "k"}) // turned away
		expect(t, s, 1)
		s.Done(1)
		if s.Add(Item{Seq: 4, Key: "k"}) {
			t.Fatal("a younger one was taken in the pass that left an older out")
		}
		s.Begin()
		if !s.Add(Item{Seq: 3, Key: "k"}) {
			t.Fatal("the one turned away was not taken after room was made")
		}
		expect(t, s, 2)
	})
	t.Run("an item put back starts again before its followers", func(t *testing.T) {
		s := New(10, 10)
		s.Add(Item{Seq: 1, Key: "a"})
		s.Add(Item{Seq: 2, Key: "a"})
		expect(t, s, 1)
		s.Again(1)
		expect(t, s, 1)
	})
}

func expect(t *testing.T, s *Schedule, want ...int64) {
	t.Helper()
	var got []int64
	for {
		item, ok := s.Next()
		if !ok {
			break
		}
		got = append(got, item.Seq)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("started %v, want %v", got, want)
	}
}

// TestScheduleModel draws random arrivals and ends and checks that every item
// runs once, in the order of each of its keys, never two of a key at once.
func TestScheduleModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		keys := []string{"a", "b", "c", "d"}
		backlog := make([]Item, n)
		for i := range backlog {
			backlog[i] = Item{Seq: int64(i + 1), Key: rapid.SampledFrom(keys).Draw(t, "key")}
			if rapid.IntRange(0, 4).Draw(t, "two") == 0 {
				backlog[i].Key2 = rapid.SampledFrom(keys).Draw(t, "key2")
			}
		}
		s := New(rapid.IntRange(1, 20).Draw(t, "limit"), rapid.IntRange(1, 5).Draw(t, "perKey"))
		finished := map[int64]bool{}
		last := map[string]int64{}
		running := map[string]int64{}
		var inHand []Item
		for steps := 0; len(finished) < n; steps++ {
			if steps > 50*n {
				t.Fatalf("stuck after %d of %d", len(finished), n)
			}
			s.Begin()
			for _, item := range backlog { // the scan of the rows, oldest first
				if !finished[item.Seq] {
					s.Add(item)
				}
			}
			for {
				item, ok := s.Next()
				if !ok {
					break
				}
				for _, k := range []string{item.Key, item.Key2} {
					if k == "" || (k == item.Key2 && item.Key == item.Key2) {
						continue
					}
					if running[k] != 0 {
						t.Fatalf("%d and %d run under key %s at once", running[k], item.Seq, k)
					}
					if last[k] > item.Seq {
						t.Fatalf("%d started after %d under key %s", item.Seq, last[k], k)
					}
					running[k], last[k] = item.Seq, item.Seq
				}
				inHand = append(inHand, item)
			}
			if len(inHand) == 0 {
				t.Fatalf("nothing runs although %d are open", n-len(finished))
			}
			i := rapid.IntRange(0, len(inHand)-1).Draw(t, "end")
			item := inHand[i]
			inHand = append(inHand[:i], inHand[i+1:]...)
			delete(running, item.Key)
			delete(running, item.Key2)
			finished[item.Seq] = true
			s.Done(item.Seq)
		}
	})
}
