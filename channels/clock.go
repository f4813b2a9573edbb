package channels

import (
	"sync"
	"time"
)

// started is when this process began, on the clock that nobody sets.
var started = time.Now()

const (
	// clockIdle is how long no message may have come, at the start, for the clock
	// to be believed.
	clockIdle = 7 * 24 * time.Hour
	// clockJump is what the clock may go ahead at once.
	clockJump = time.Hour
	// clockProof is how long it has to run on after it went further ahead.
	clockProof = 24 * time.Hour
)

// A clock is the time by which things are too old: content that is not kept any
// longer, deliveries that are given up by their age. A clock that is set far
// ahead by mistake must not make everything look old: it is believed when it has
// run on for a day. One that is set back makes things younger.
type clock struct {
	mu      sync.Mutex
	set     bool
	trusted time.Time
	at      time.Duration // when trusted was read, on the clock that nobody sets
	ahead   bool
	gap     time.Duration // how far ahead
	since   time.Duration
}

func (c *clock) isSet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set
}

// begin sets the clock at the start; known is when a message came last, at the
// time on the clock that nobody sets.
func (c *clock) begin(wall, known time.Time, at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.trusted, c.at = true, wall, at
	if limit := known.Add(clockIdle); wall.After(limit) {
		c.trusted = limit
	}
}

// read returns the time that is believed; held when that is not the clock's.
func (c *clock) read(wall time.Time, at time.Duration) (now time.Time, held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.set {
		return wall, false
	}
	limit := c.trusted.Add(at - c.at)
	c.at = at
	gap := wall.Sub(limit)
	switch {
	case gap <= clockJump:
		c.ahead, c.trusted = false, wall
		return wall, false
	case !c.ahead || (gap-c.gap).Abs() > clockJump:
		c.ahead, c.gap, c.since = true, gap, at
	case at-c.since >= clockProof:
		c.ahead, c.trusted = false, wall
		return wall, false
	}
	c.trusted = limit
	return limit, true
}

// believed is the time by which things are too old.
func (l *Line) believed() time.Time {
	now, _ := l.clock.read(l.options.Now().Round(0), time.Since(started))
	return now
}
