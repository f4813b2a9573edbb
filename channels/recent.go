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

// recent keeps the content of messages on their way to the unit that works on
// them next, so that its owner need not read them back. It is bounded; what it
// lacks is in the store.
type recent struct {
	mu    sync.Mutex
	limit int64
	size  int64
	held  map[string]map[int64]*message.Message // by unit and seq
}

func newRecent(limit int64) *recent {
	return &recent{limit: limit, held: map[string]map[int64]*message.Message{}}
}

// put keeps a message for a unit. What stands in its way goes: perhaps nobody
// will ask for it any more.
func (r *recent) put(unit string, m *message.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[unit][m.Seq] != nil || m.Size > r.limit {
		return
	}
	for r.size+m.Size > r.limit {
		for of, list := range r.held {
			for seq := range list {
				r.drop(of, seq)
				break
			}
			break
		}
	}
	if r.held[unit] == nil {
		r.held[unit] = map[int64]*message.Message{}
	}
	r.held[unit][m.Seq] = m
	r.size += m.Size
}

// drop takes out what is held.
func (r *recent) drop(unit string, seq int64) {
	list := r.held[unit]
	r.size -= list[seq].Size
	if delete(list, seq); len(list) == 0 {
		delete(r.held, unit)
	}
}

func (r *recent) take(unit string, seq int64) *message.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.held[unit][seq]
	if m != nil {
		r.drop(unit, seq)
	}
	return m
}

// forget drops what the owner of a unit will not ask for any more.
func (r *recent) forget(unit string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for seq := range r.held[unit] {
		r.drop(unit, seq)
	}
}
