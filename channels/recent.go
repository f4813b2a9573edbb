package channels

import (
	"sync"

	"github.com/plexus-health/plexus/message"
)

// What is kept in memory of messages on their way, in bytes.
const (
	recentIntake   = 64 << 20 // of each channel
	recentOutgoing = 32 << 20 // of all routes together
)

// A wanted names a message and the unit that works on it next.
type wanted struct {
	unit string
	seq  int64
}

// recent keeps the content of messages that were just recorded or processed, so
// that the owner of the next unit need not read them back. It is bounded; what
// it lacks is in the store.
type recent struct {
	mu    sync.Mutex
	limit int64
	size  int64
	held  map[wanted]*message.Message
}

func newRecent(limit int64) *recent {
	return &recent{limit: limit, held: map[wanted]*message.Message{}}
}

func (r *recent) put(unit string, m *message.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := wanted{unit, m.Seq}
	if r.held[at] == nil && r.size+m.Size <= r.limit {
		r.held[at] = m
		r.size += m.Size
	}
}

func (r *recent) take(unit string, seq int64) *message.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := wanted{unit, seq}
	m := r.held[at]
	if m != nil {
		delete(r.held, at)
		r.size -= m.Size
	}
	return m
}

// forget drops what the owner of a unit will not ask for any more.
func (r *recent) forget(unit string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, m := range r.held {
		if at.unit == unit {
			delete(r.held, at)
			r.size -= m.Size
		}
	}
}
