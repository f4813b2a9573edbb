package channels

import (
	"container/heap"
	"time"
)

// A postponed keeps the items of a dispatch that were put off, and until when.
// Looking at it costs the same however many they are.
type postponed struct {
	until map[int64]time.Time
	// unwritten are those whose putting off is not durable yet, and those that
	// follow one whose end is not: they do not come back before it is.
	unwritten map[int64]bool
	times     times
	// look counts the readings of rows; since is the one that was at work when
	// the putting off became durable: what that has read may be older.
	look  int
	since map[int64]int
}

func newPostponed() *postponed {
	return &postponed{until: map[int64]time.Time{}, unwritten: map[int64]bool{}, since: map[int64]int{}}
}

// put puts an item off, or to another time.
func (p *postponed) put(n int64, until time.Time) {
	p.until[n] = until
	if !p.unwritten[n] {
		heap.Push(&p.times, putOff{n, until})
	}
}

// hold puts an item off, and not less long than until it is written.
func (p *postponed) hold(n int64, until time.Time) {
	p.until[n], p.unwritten[n] = until, true
}

// written says that what put an item off is durable.
func (p *postponed) written(n int64) {
	if p.unwritten[n] {
		delete(p.unwritten, n)
		p.put(n, p.until[n])
		p.since[n] = p.look
	}
}

// sooner puts an item that is put off to an earlier time, if its row says so
// that was read since.
func (p *postponed) sooner(n int64, until time.Time) {
	if p.unwritten[n] || p.look <= p.since[n] {
		return
	}
	if at, put := p.until[n]; put && until.Before(at) {
		p.put(n, until)
	}
}

// drop forgets an item.
func (p *postponed) drop(n int64) {
	delete(p.until, n)
	delete(p.unwritten, n)
	delete(p.since, n)
}

// first is when the first of them comes back.
func (p *postponed) first() (time.Time, bool) {
	for len(p.times) > 0 {
		top := p.times[0]
		if at, put := p.until[top.n]; put && at.Equal(top.until) && !p.unwritten[top.n] {
			return top.until, true
		}
		heap.Pop(&p.times) // it was dropped, or put to another time
	}
	return time.Time{}, false
}

// back takes out an item whose time has come.
func (p *postponed) back(now time.Time) (n int64, some bool) {
	at, some := p.first()
	if !some || at.After(now) {
		return 0, false
	}
	n = p.times[0].n
	heap.Pop(&p.times)
	p.drop(n)
	return n, true
}

// durable lists the items whose putting off is durable.
func (p *postponed) durable() []int64 {
	out := make([]int64, 0, len(p.until))
	for n := range p.until {
		if !p.unwritten[n] {
			out = append(out, n)
		}
	}
	return out
}

type putOff struct {
	n     int64
	until time.Time
}

// times is a heap of items by when they come back.
type times []putOff

func (t times) Len() int           { return len(t) }
func (t times) Less(i, j int) bool { return t[i].until.Before(t[j].until) }
func (t times) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push and Pop serve container/heap.
func (t *times) Push(x any) { *t = append(*t, x.(putOff)) } //nolint:forcetypeassert // only putOff is pushed

func (t *times) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}
