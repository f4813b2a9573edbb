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
