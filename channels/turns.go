package channels

import (
	"slices"
	"sync"
	"time"

	"github.com/plexus-health/plexus/store"
)

// hotFor is how long a record stays one that messages take turns at, after the
// last time that two met there; hotRecords bounds how many are known.
const (
	hotFor     = 10 * time.Second
	hotRecords = 4096
)

// turns lets messages that change the same records go one after the other.
// Without it the store tells all but the first that the record has changed, and
// where many change one record most of them would be too late again and again.
// Records where nobody has met are not locked.
type turns struct {
	mu  sync.Mutex
	hot map[string]*turn
}

// A turn is the lock of one record.
type turn struct {
	sync.Mutex
	until time.Time
	users int // who hold it or wait for it
}

func placeOf(w *store.Write) string { return w.Type + "/" + w.ID }

// met says that a message came too late at one of these records.
func (t *turns) met(writes []store.Write) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if len(t.hot) >= hotRecords {
		for p, l := range t.hot {
			if l.users == 0 {
				delete(t.hot, p)
			}
		}
	}
	for i := range writes {
		p := placeOf(&writes[i])
		if t.hot[p] == nil {
			t.hot[p] = &turn{}
		}
		t.hot[p].until = now.Add(hotFor)
	}
}

// take waits for the turn at those of these records that messages have met at,
// and returns how it is given back; nil when there is none among them. All take
// them in one order, so that nobody waits in a ring.
func (t *turns) take(writes []store.Write) (give func()) {
	t.mu.Lock()
	now := time.Now()
	var places []string
	for i := range writes {
		p := placeOf(&writes[i])
		l := t.hot[p]
		switch {
		case l == nil:
		case l.users == 0 && now.After(l.until):
			delete(t.hot, p)
		default:
			places = append(places, p)
		}
	}
	slices.Sort(places)
	places = slices.Compact(places)
	held := make([]*turn, len(places))
	for i, p := range places {
		held[i] = t.hot[p]
		held[i].users++
	}
	t.mu.Unlock()
	if len(held) == 0 {
		return nil
	}
	for _, l := range held {
		l.Lock()
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, l := range held {
			l.users--
			l.Unlock()
		}
	}
}
