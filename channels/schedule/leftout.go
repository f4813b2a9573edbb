package schedule

import "slices"

// Lacking lists the keys of which items were left out and none is held any
// more: the oldest of each are to be offered again, after Return of all of
// them, in one order.
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

// Wanting reports whether items of a key were left out and none is held: with a
// key of Lacking those are offered too that share an item with it.
func (s *Schedule) Wanting(key string) bool {
	_, turned := s.turned[key]
	return turned && len(s.keys[key]) == 0
}

// Return says that the items of a key that were left out are offered now, from
// the oldest open one on; Offered that they were.
func (s *Schedule) Return(key string) {
	delete(s.turned, key)
	delete(s.lacking, key)
}

// Offered ends what Return has begun: when none of the key was left out again,
// those may come back that waited for it.
func (s *Schedule) Offered(key string) {
	if _, turned := s.turned[key]; !turned {
		s.freed(key)
	}
}

// LeaveOut says that items of a key were not offered, the oldest of which is i.
func (s *Schedule) LeaveOut(key string, i Item) {
	if _, turned := s.turned[key]; !turned && len(s.keys[key]) == 0 { // else what was left out before is awaited
		s.lacking[key] = struct{}{}
	}
	s.turn(key, i)
}

// turn notes the oldest item of a key that was left out.
func (s *Schedule) turn(key string, i Item) {
	if oldest, turned := s.turned[key]; !turned || i.before(&oldest) {
		s.turned[key] = i
	}
}

// leaveOut turns an item of two keys away. A key of which nothing else is known
// waits for the other when that is what keeps the item from being taken.
func (s *Schedule) leaveOut(key, other string, otherClosed bool, i Item) {
	_, turned := s.turned[key]
	if _, free := s.lacking[other]; !turned && otherClosed && !free && len(s.keys[key]) == 0 {
		s.turn(key, i)
		s.behind[other] = append(s.behind[other], key)
		return
	}
	s.LeaveOut(key, i)
}

// freed lets the keys be asked for again that waited for another.
func (s *Schedule) freed(key string) {
	waiting := s.behind[key]
	delete(s.behind, key)
	for _, k := range waiting {
		if _, turned := s.turned[k]; turned && len(s.keys[k]) == 0 {
			s.lacking[k] = struct{}{}
		}
	}
}

// Fold puts the items of a key that was merged into the line of the survivor.
func (s *Schedule) Fold(old, survivor string) {
	if old == survivor {
		return
	}
	if oldest, turned := s.turned[old]; turned {
		s.cut(survivor, &oldest)
		s.turn(survivor, oldest)
	}
	oldest, turned := s.turned[survivor]
	if turned {
		s.cut(old, &oldest)
	}
	s.Return(old)
	s.Offered(old)
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
	} else if turned {
		s.lacking[survivor] = struct{}{}
	}
}

// cut leaves out the items of a key from a place on: they come after one that
// was left out. What follows them under their other keys is left out too; what
// is under way stays.
func (s *Schedule) cut(key string, from *Item) {
	for _, e := range slices.Backward(slices.Clone(s.keys[key])) {
		if e.before(from) {
			return
		}
		if e.running || e.gone {
			continue
		}
		e.gone = true
		delete(s.items, e.Seq)
		for _, k := range e.all() {
			s.turn(k, e.Item)
			s.leave(e, k)
		}
		for _, k := range e.all() {
			s.cut(k, &e.Item)
		}
	}
}

// all are the keys of an entry, each once.
func (e *entry) all() []string {
	if e.Key2 == "" || e.Key2 == e.Key {
		return []string{e.Key}
	}
	return []string{e.Key, e.Key2}
}
