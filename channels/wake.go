package channels

import (
	"context"
	"time"
)

// pause waits until something happens.
func (d *dispatch) pause(ctx context.Context, beat <-chan time.Time, closed time.Time) {
	wait, some := d.wakeIn(closed)
	var timer <-chan time.Time
	if some {
		t := time.NewTimer(max(wait, 0))
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

// wakeIn is how long the dispatch may wait until it has to look by itself.
func (d *dispatch) wakeIn(closed time.Time) (wait time.Duration, some bool) {
	now := d.r.c.line.options.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	earlier := func(in time.Duration) {
		if !some || in < wait {
			wait, some = in, true
		}
	}
	if back, put := d.later.first(); put {
		earlier(back.Sub(now))
	}
	if !closed.IsZero() {
		earlier(closed.Sub(now))
	}
	if (d.scan && !d.unfetched) || d.more() || d.lacks() || (d.sched.Len() == 0 && d.senders == 0) {
		looked := time.Since(d.looked)
		earlier(max(lookGap, min(linger, looked+lookGap)) - looked)
	}
	return wait, some
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
