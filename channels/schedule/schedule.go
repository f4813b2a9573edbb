// Package schedule decides in memory who is next: the oldest of each key, and
// one of a key at a time. The rows in the store are the truth; a Schedule is
// made from them and may be thrown away.
package schedule

import "slices"

// An Item is something to be done under one or two keys.
type Item struct {
	// Seq names the item.
	Seq int64
	// Pos is the place in received order; items of one place follow each other
	// by Seq. 0: Seq is the place too.
	Pos int64
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
	// Floor, if it is above 0, keeps items from starting whose place is not
	// below it: older ones may still come to be known.
	Floor int64

	limit, perKey int
	items         map[int64]*entry
	keys          map[string][]*entry // of each key, in order
	turned        map[string]struct{} // keys of which items were left out
	lacking       map[string]struct{} // those among them of which none is held
	ready         []*entry            // a heap by place of entries that may start
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
	return &Schedule{limit: limit, perKey: perKey, items: map[int64]*entry{}, keys: map[string][]*entry{}, turned: map[string]struct{}{}, lacking: map[string]struct{}{}}
}

// Len is the number of items held, running ones too.
func (s *Schedule) Len() int { return len(s.items) }

// Room reports whether another item would be taken.
func (s *Schedule) Room() bool { return len(s.items) < s.limit }

// Ready is the number of items that may start now.
func (s *Schedule) Ready() int { return len(s.ready) }

// Begin starts a pass over all rows: items are then offered by Add from the
// oldest open one on, in ascending order. Who reads on from where the last pass
// ended does not call it, and brings in what was left out by Lacking.
func (s *Schedule) Begin() {
	clear(s.turned)
	clear(s.lacking)
}

// Lacking lists the keys of which items were left out and none is held any
// more: the oldest of each are to be offered again, after Return.
func (s *Schedule) Lacking() []string {
	keys := make([]string, 0, len(s.lacking))
	for k := range s.lacking {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Lacks reports whether Lacking lists any.
func (s *Schedule) Lacks() bool { return len(s.lacking) > 0 }

// Return says that the items of a key that were left out are offered now, from
// the oldest open one on.
func (s *Schedule) Return(key string) {
	delete(s.turned, key)
	delete(s.lacking, key)
}

// LeaveOut says that there are items of a key that were not offered.
func (s *Schedule) LeaveOut(key string) {
	s.turned[key] = struct{}{}
	if len(s.keys[key]) == 0 {
		s.lacking[key] = struct{}{}
	}
}

// Has reports whether an item is held.
func (s *Schedule) Has(seq int64) bool { return s.items[seq] != nil }

// Add offers an item. It reports false when the item was not taken because
// there is no room for it or its key: it is offered again by a later pass, and
// no younger one of its keys is taken in this one. Items already held are
// taken as known.
func (s *Schedule) Add(i Item) bool {
	if _, known := s.items[i.Seq]; known {
		return true
	}
	if i.Pos == 0 {
		i.Pos = i.Seq
	}
	two := i.Key2 != "" && i.Key2 != i.Key
	if len(s.items) >= s.limit || s.closed(i.Key, &i) || (two && s.closed(i.Key2, &i)) {
		s.LeaveOut(i.Key)
		if two {
			s.LeaveOut(i.Key2)
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

// Hold takes an item that holds its keys until Done, whatever the limits.
func (s *Schedule) Hold(i Item) {
	if i.Pos == 0 {
		i.Pos = i.Seq
	}
	e := &entry{Item: i, running: true}
	s.items[i.Seq] = e
	s.join(e, i.Key)
	if i.Key2 != "" && i.Key2 != i.Key {
		s.join(e, i.Key2)
	}
}

// Next returns the oldest item that may start and marks it as running. It
// reports false when none may.
func (s *Schedule) Next() (Item, bool) {
	for len(s.ready) > 0 {
		if s.Floor > 0 && s.ready[0].Pos >= s.Floor {
			return Item{}, false
		}
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

// Handover ends the running item seq and returns in the same step what may
// follow it: the oldest that may start, its own successors among it. When that
// is one of another key, or none, the keys of seq stay held and kept is true:
// Done frees them once the end of seq is durable. When it is a successor the
// two are to become durable together.
func (s *Schedule) Handover(seq int64) (next Item, ok, kept bool) {
	e := s.items[seq]
	if e == nil {
		next, ok = s.Next()
		return next, ok, false
	}
	var follower *entry
	for _, key := range []string{e.Key, e.Key2} {
		line := s.keys[key]
		if len(line) > 1 && line[0] == e && s.freeAfter(line[1], e) && (follower == nil || line[1].before(follower)) {
			follower = line[1]
		}
	}
	for len(s.ready) > 0 && (s.ready[0].gone || s.ready[0].running || !s.free(s.ready[0])) {
		s.pop().queued = false
	}
	if follower == nil || (s.Floor > 0 && follower.Pos >= s.Floor) || (len(s.ready) > 0 && s.ready[0].before(follower)) {
		next, ok = s.Next()
		return next, ok, true
	}
	follower.running = true
	s.Done(seq)
	return follower.Item, true, false
}

// freeAfter reports whether f may start once e has ended.
func (s *Schedule) freeAfter(f, e *entry) bool {
	if f.running {
		return false
	}
	for _, key := range []string{f.Key, f.Key2} {
		if key == "" && f.Key != "" {
			continue
		}
		line := s.keys[key]
		if len(line) > 0 && line[0] == e {
			line = line[1:]
		}
		if len(line) == 0 || line[0] != f {
			return false
		}
		for _, w := range line[1:] {
			if w.running {
				return false
			}
		}
	}
	return true
}

// Fold puts the items of a key that was merged into the line of the survivor.
func (s *Schedule) Fold(old, survivor string) {
	if old == survivor {
		return
	}
	if _, turned := s.turned[old]; turned {
		s.LeaveOut(survivor)
		s.Return(old)
	}
	line := s.keys[old]
	delete(s.keys, old)
	for _, e := range line {
		if e.Key == old {
			e.Key = survivor
		}
		if e.Key2 == old {
			e.Key2 = survivor
		}
		if !s.in(e, survivor) {
			s.join(e, survivor)
		}
	}
	if line := s.keys[survivor]; len(line) > 0 {
		delete(s.lacking, survivor)
		s.offer(line[0])
	}
}

func (s *Schedule) in(e *entry, key string) bool {
	return slices.Contains(s.keys[key], e)
}

// Again puts a running item back to the head of its keys: it may start again.
func (s *Schedule) Again(seq int64) {
	e := s.items[seq]
	if e == nil || !e.running {
		return
	}
	e.running = false
	for _, key := range []string{e.Key, e.Key2} {
		if line := s.keys[key]; len(line) > 0 {
			s.offer(line[0]) // an older one may have joined the line meanwhile
		}
	}
}

// closed reports whether a key does not take an item: it has as many as it may,
// or some were left out. What comes to be known late and is older than one that
// is held is taken all the same: what was left out is younger than both.
func (s *Schedule) closed(key string, i *Item) bool {
	line := s.keys[key]
	if _, turned := s.turned[key]; !turned && len(line) < s.perKey {
		return false
	}
	return len(line) == 0 || !(&entry{Item: *i}).before(line[len(line)-1])
}

// before reports whether e comes before f in received order.
func (e *entry) before(f *entry) bool {
	return e.Pos < f.Pos || (e.Pos == f.Pos && e.Seq < f.Seq)
}

// join puts e into the line of a key, in order.
func (s *Schedule) join(e *entry, key string) {
	delete(s.lacking, key)
	line := s.keys[key]
	at := len(line)
	for at > 0 && e.before(line[at-1]) {
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
		if _, turned := s.turned[key]; turned {
			s.lacking[key] = struct{}{}
		}
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
		if !s.ready[i].before(s.ready[parent]) {
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
		if child+1 < last && s.ready[child+1].before(s.ready[child]) {
			child++
		}
		if !s.ready[child].before(s.ready[i]) {
			break
		}
		s.ready[i], s.ready[child] = s.ready[child], s.ready[i]
		i = child
	}
	return top
}
