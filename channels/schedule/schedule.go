// Package schedule decides in memory who is next: the oldest of each key, and
// one of a key at a time. The rows in the store are the truth; a Schedule is
// made from them and may be thrown away.
package schedule

// An Item is something to be done under one or two keys.
type Item struct {
	// Seq is the place in received order.
	Seq int64
	// Run tells an item that an operator has handed in again from the same
	// item before.
	Run int
	// Key is the key of order; Key2 a second one, or empty. An item waits for
	// both and holds both.
	Key, Key2 string
}

// A Schedule holds the items known and says which may start. It is used by one
// goroutine. Limits bound its memory whatever the backlog.
type Schedule struct {
	limit, perKey int
	items         map[int64]*entry
	keys          map[string][]*entry // of each key, in the order of seq
	turned        map[string]struct{} // keys of which this pass has left items out
	ready         []*entry            // a heap by seq of entries that may start
}

type entry struct {
	Item
	running bool
	queued  bool // in ready
	gone    bool
}

// New returns a schedule that holds at most limit items, at most perKey of one
// key: followers of a key that is held up must not fill it.
func New(limit, perKey int) *Schedule {
	return &Schedule{limit: limit, perKey: perKey, items: map[int64]*entry{}, keys: map[string][]*entry{}, turned: map[string]struct{}{}}
}

// Len is the number of items held, running ones too.
func (s *Schedule) Len() int { return len(s.items) }

// Room reports whether another item would be taken.
func (s *Schedule) Room() bool { return len(s.items) < s.limit }

// Ready is the number of items that may start now.
func (s *Schedule) Ready() int { return len(s.ready) }

// Begin starts a pass over the rows: items are then offered by Add from the
// oldest open one on, in ascending order.
func (s *Schedule) Begin() { clear(s.turned) }

// Add offers an item. It reports false when the item was not taken because
// there is no room for it or its key: it is offered again by a later pass, and
// no younger one of its keys is taken in this one. Items already held are
// taken as known.
func (s *Schedule) Add(i Item) bool {
	if _, known := s.items[i.Seq]; known {
		return true
	}
	two := i.Key2 != "" && i.Key2 != i.Key
	if len(s.items) >= s.limit || s.full(i.Key) || (two && s.full(i.Key2)) {
		s.turned[i.Key] = struct{}{}
		if two {
			s.turned[i.Key2] = struct{}{}
		}
		return false
	}
	e := &entry{Item: i}
	s.items[i.Seq] = e
	s.join(e, i.Key)
	if two {
		s.join(e, i.Key2)
	}
	s.offer(e)
	return true
}

// TurnedAway reports whether the last pass left items out.
func (s *Schedule) TurnedAway() bool { return len(s.turned) > 0 }

// Next returns the oldest item that may start and marks it as running. It
// reports false when none may.
func (s *Schedule) Next() (Item, bool) {
	for len(s.ready) > 0 {
		e := s.pop()
		e.queued = false
		if e.gone || e.running || !s.free(e) {
			continue
		}
		e.running = true
		return e.Item, true
	}
	return Item{}, false
}

// Done ends an item: its keys go on.
func (s *Schedule) Done(seq int64) {
	e := s.items[seq]
	if e == nil {
		return
	}
	e.gone = true
	delete(s.items, seq)
	s.leave(e, e.Key)
	if e.Key2 != "" && e.Key2 != e.Key {
		s.leave(e, e.Key2)
	}
}

// Again puts a running item back to the head of its keys: it may start again.
func (s *Schedule) Again(seq int64) {
	if e := s.items[seq]; e != nil && e.running {
		e.running = false
		s.offer(e)
	}
}

// full reports whether a key takes no further item in this pass.
func (s *Schedule) full(key string) bool {
	if _, turned := s.turned[key]; turned {
		return true
	}
	return len(s.keys[key]) >= s.perKey
}

// join puts e into the line of a key, in the order of seq.
func (s *Schedule) join(e *entry, key string) {
	line := s.keys[key]
	at := len(line)
	for at > 0 && line[at-1].Seq > e.Seq {
		at--
	}
	line = append(line, nil)
	copy(line[at+1:], line[at:])
	line[at] = e
	s.keys[key] = line
}

// leave takes e out of the line of a key and offers the next.
func (s *Schedule) leave(e *entry, key string) {
	line := s.keys[key]
	for i, w := range line {
		if w == e {
			line = append(line[:i], line[i+1:]...)
			break
		}
	}
	if len(line) == 0 {
		delete(s.keys, key)
		return
	}
	s.keys[key] = line
	s.offer(line[0])
}

func (s *Schedule) offer(e *entry) {
	if !e.queued && !e.running && s.free(e) {
		e.queued = true
		s.push(e)
	}
}

// free reports whether e is the oldest of each of its keys and none of them
// has one running.
func (s *Schedule) free(e *entry) bool {
	return s.first(e, e.Key) && (e.Key2 == "" || e.Key2 == e.Key || s.first(e, e.Key2))
}

func (s *Schedule) first(e *entry, key string) bool {
	line := s.keys[key]
	if len(line) == 0 || line[0] != e {
		return false
	}
	for _, w := range line[1:] {
		if w.running { // an older one came to be known after a younger had started
			return false
		}
	}
	return true
}

func (s *Schedule) push(e *entry) {
	s.ready = append(s.ready, e)
	for i := len(s.ready) - 1; i > 0; {
		parent := (i - 1) / 2
		if s.ready[parent].Seq <= s.ready[i].Seq {
			break
		}
		s.ready[parent], s.ready[i] = s.ready[i], s.ready[parent]
		i = parent
	}
}

func (s *Schedule) pop() *entry {
	top := s.ready[0]
	last := len(s.ready) - 1
	s.ready[0] = s.ready[last]
	s.ready[last] = nil
	s.ready = s.ready[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && s.ready[child+1].Seq < s.ready[child].Seq {
			child++
		}
		if s.ready[i].Seq <= s.ready[child].Seq {
			break
		}
		s.ready[i], s.ready[child] = s.ready[child], s.ready[i]
		i = child
	}
	return top
}
