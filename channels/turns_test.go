package channels

import (
	"sync"
	"testing"

	"github.com/plexus-health/plexus/store"
)

func TestTurns(t *testing.T) {
	write := func(ids ...string) []store.Write {
		var writes []store.Write
		for _, id := range ids {
			writes = append(writes, store.Write{Type: "Practitioner", ID: id})
		}
		return writes
	}
	turns := turns{hot: map[string]*turn{}}
	if give := turns.take(write("a", "b")); give != nil {
		t.Fatal("a turn was given where nobody has met")
	}
	turns.met(write("a", "b"))
	if give := turns.take(write("c")); give != nil {
		t.Fatal("a turn was given at a record where nobody has met")
	}
	// Those who change a and b in any order go one after the other.
	inside := map[string]int{}
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			ids := []string{"a", "b", "c"}
			if n%2 == 1 {
				ids = []string{"b", "b", "a"}
			}
			for range 100 {
				give := turns.take(write(ids...))
				if give == nil {
					t.Error("no turn was given")
					return
				}
				inside["a"]++ // the race detector, and a lost count, tell of two at once
				give()
			}
		})
	}
	all.Wait()
	if inside["a"] != 1600 {
		t.Errorf("counted %d, want 1600", inside["a"])
	}
	for place, l := range turns.hot {
		if l.users != 0 {
			t.Errorf("%s is still held", place)
		}
		l.until = l.until.Add(-2 * hotFor)
	}
	if give := turns.take(write("a", "b")); give != nil || len(turns.hot) != 0 {
		t.Error("records stay hot for ever")
	}
}
