package channels

import (
	"time"

	"github.com/plexus-health/plexus/message"
)

const (
	// passEach is how often the rows of a route are read from the first on,
	// whatever was read before: what another engine or an operator has written
	// may stand before the place to which they were read.
	passEach = 10 * time.Second
	// passShare bounds the part of the time that is spent on that.
	passShare = 20
)

// A pass is one reading of all rows from the first on. It finds the items in
// hand whose rows do not wait any more.
type pass struct {
	began, next time.Time
	// suspects are the items that were put off when it began and whose rows
	// were not seen since.
	suspects map[int64]bool
}

// isOver reports whether it is time for the next.
func (p *pass) isOver(now time.Time) bool { return !p.next.IsZero() && now.After(p.next) }

// saw takes note of rows that wait.
func (p *pass) saw(rows []message.Delivery) {
	if len(p.suspects) == 0 {
		return
	}
	for i := range rows {
		delete(p.suspects, rows[i].N)
	}
}

// begin begins a pass. The row of what stays put off while it lasts waits,
// unless an operator has decided otherwise.
func (d *dispatch) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pass = pass{began: time.Now(), suspects: map[int64]bool{}}
	for _, n := range d.later.durable() {
		d.pass.suspects[n] = true
	}
}

// end ends a pass: all rows were read. Items of which none was seen are let go,
// and do not hold their keys.
func (d *dispatch) end() {
	if d.pass.began.IsZero() {
		return // these were only the new ones
	}
	d.mu.Lock()
	for n := range d.pass.suspects {
		if _, put := d.later.until[n]; put {
			d.later.drop(n)
			delete(d.dues, n)
			d.sched.Done(n)
		}
	}
	d.mu.Unlock()
	now := time.Now()
	d.pass = pass{next: now.Add(max(passEach, passShare*now.Sub(d.pass.began)))}
}
