package channels

import (
	"context"
	"time"
)

// pause waits until something happens.
func (d *dispatch) pause(ctx context.Context, beat <-chan time.Time, closed time.Time) {
	at, some := d.wakeAt(closed)
	var timer <-chan time.Time
	if some {
		t := time.NewTimer(max(time.Until(at), 0))
		defer t.Stop()
		timer = t.C
	}
	stopped, retired := ctx.Done(), d.r.c.retired
	if d.isStopping() {
		stopped, retired = nil, nil // known; the senders' ends are awaited
	}
	select {
	case <-d.events:
	case <-d.r.pokes:
		d.scan = true
	case <-timer:
		d.resume()
	case <-beat:
		d.scan = true
		if isHeld(context.WithoutCancel(ctx), d.r.c.line.options.Store, d.r.unit) || d.r.c.line.isOlder(d.r.unit) {
			d.mu.Lock()
			d.held = true
			d.mu.Unlock()
		}
	case <-stopped:
	case <-retired:
	}
}

// wakeAt is when the dispatch has to look by itself.
func (d *dispatch) wakeAt(closed time.Time) (at time.Time, some bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	earlier := func(t time.Time) {
		if !some || t.Before(at) {
			at, some = t, true
		}
	}
	if back, put := d.later.first(); put {
		earlier(back)
	}
	if !closed.IsZero() {
		earlier(closed)
	}
	if (d.scan && !d.unfetched) || d.more() || d.lacks() || (d.sched.Len() == 0 && d.senders == 0) {
		earlier(d.looked.Add(max(lookGap, min(linger, time.Since(d.looked)+lookGap))))
	}
	return at, some
}

// resume lets items start again whose time has come.
func (d *dispatch) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.r.c.line.options.Now()
	for n, back := d.later.back(now); back; n, back = d.later.back(now) {
		delete(d.dues, n)
		delete(d.pass.suspects, n)
		d.sched.Again(n)
	}
}
