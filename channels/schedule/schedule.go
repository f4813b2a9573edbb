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
	held          int // items that Hold has taken
	items         map[int64]*entry
	keys          map[string][]*entry // of each key, in order
	turned        map[string]Item     // keys of which items were left out, and the oldest of those
	lacking       map[string]struct{} // those among them of which none is held
	behind        map[string][]string // keys whose oldest waits for another key, by that
	ready         []*entry            // a heap by place of entries that may start
}

type entry struct {
	Item
	running bool
	held    bool // by Hold
	queued  bool // in ready
	gone    bool
}

// New returns a schedule that holds at most limit items, at most perKey of one
// key: followers of a key that is held up must not fill it.
func New(limit, perKey int) *Schedule {
	return &Schedule{limit: limit, perKey: perKey, items: map[int64]*entry{}, keys: map[string][]*entry{}, turned: map[string]Item{}, lacking: map[string]struct{}{}, behind: map[string][]string{}}
}

// Len is the number of items held, running ones too.
func (s *Schedule) Len() int { return len(s.items) }

// Room reports whether another item would be taken.
func (s *Schedule) Room() bool { return s.taken() < s.limit }

// Wants reports whether half of the room is free: what Hold has taken needs none.
func (s *Schedule) Wants() bool { return s.taken() <= s.limit/2 }

func (s *Schedule) taken() int { return len(s.items) - s.held }

// Ready is the number of items that may start now; none where the oldest of
// them stands at or above the floor.
func (s *Schedule) Ready() int {
	if s.Floor > 0 && len(s.ready) > 0 && s.ready[0].Pos >= s.Floor {
		return 0
	}
	return len(s.ready)
}

// Begin starts a pass over all rows: items are then offered by Add from the
// oldest open one on, in ascending order. Who reads on from where the last pass
// ended does not call it, and brings in what was left out by Lacking.
func (s *Schedule) Begin() {
	clear(s.turned)
	clear(s.lacking)
	clear(s.behind)
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
	closed, closed2 := s.closed(i.Key, &i), two && s.closed(i.Key2, &i)
	if !s.Room() || closed || closed2 {
		s.leaveOut(i.Key, i.Key2, closed2, i)
		if two {
			s.leaveOut(i.Key2, i.Key, closed, i)
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

// Hold takes an item that holds its keys until Done, whatever the limits. One
// that is running already goes on to hold them.
func (s *Schedule) Hold(i Item) {
	if i.Pos == 0 {
		i.Pos = i.Seq
	}
	if e := s.items[i.Seq]; e != nil {
		if e.running && !e.held {
			e.held = true
			s.held++
		}
		return
	}
	e := &entry{Item: i, running: true, held: true}
	s.held++
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
	if e.held {
		s.held--
	}
	delete(s.items, seq)
	s.leave(e, e.Key)
	if e.Key2 != "" && e.Key2 != e.Key {
		s.leave(e, e.Key2)
	}
}

// Handover ends the running item seq and returns in the same step what may
// follow it: the oldest that may start, its own successors among it. When that
// does not carry every key of seq, or is none, the keys of seq stay held and kept is true:
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
		if len(line) > 1 && line[0] == e && s.freeAfter(line[1], e) && (follower == nil || line[1].before(&follower.Item)) {
			follower = line[1]
		}
	}
	for len(s.ready) > 0 && (s.ready[0].gone || s.ready[0].running || !s.free(s.ready[0])) {
		s.pop().queued = false
	}
	if follower == nil || !follower.carries(e) || (s.Floor > 0 && follower.Pos >= s.Floor) || (len(s.ready) > 0 && s.ready[0].before(&follower.Item)) {
		next, ok = s.Next()
		return next, ok, true
	}
	follower.running = true
	s.Done(seq)
	return follower.Item, true, false
}

// carries reports whether e holds every key of another.
func (e *entry) carries(other *entry) bool {
	for _, key := range other.all() {
		if key != e.Key && key != e.Key2 {
			return false
		}
	}
	return true
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
// or an older one was left out. What comes to be known late and is older than
// one that is held is taken all the same. What waits for a key that Hold has taken
// may wait for long, and takes half of the room at most.
func (s *Schedule) closed(key string, i *Item) bool {
	if oldest, turned := s.turned[key]; turned {
		return !i.before(&oldest)
	}
	line := s.keys[key]
	full := len(line) >= s.perKey || len(line) > 0 && line[0].held && s.taken() >= s.limit/2
	return full && !i.before(&line[len(line)-1].Item)
}

// before reports whether i comes before j in received order.
func (i *Item) before(j *Item) bool {
	return i.Pos < j.Pos || (i.Pos == j.Pos && i.Seq < j.Seq)
}

// join puts e into the line of a key, in order.
func (s *Schedule) join(e *entry, key string) {
	delete(s.lacking, key)
	line := s.keys[key]
	at := len(line)
	for at > 0 && e.before(&line[at-1].Item) {
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
		s.freed(key)
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
		if !s.ready[i].before(&s.ready[parent].Item) {
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
		if child+1 < last && s.ready[child+1].before(&s.ready[child].Item) {
			child++
		}
		if !s.ready[child].before(&s.ready[i].Item) {
			break
		}
		s.ready[i], s.ready[child] = s.ready[child], s.ready[i]
		i = child
	}
	return top
}
