package channels

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plexus-health/plexus/channels/schedule"
	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

// unitOf is the name of the unit of a route: names of channels have no slash.
func unitOf(channel, route string) string { return channel + "/" + route }

// A route is one running route that queues deliveries.
type route struct {
	c       *channel
	config  *routes.Route
	unit    string
	log     *slog.Logger
	limits  connectors.SendLimits
	large   chan struct{} // one large message is in memory at a time
	floored bool          // its order is another than that of the channel's messages
	pokes   chan struct{}
	working atomic.Bool
	anew    atomic.Bool // the rows are to be read from the first on
	named   int64       // the lease under which everything that waits was found to have a lot
	breaker breaker

	mu     sync.Mutex
	opened connectors.Destination
	merged [][2]string // keys to be folded in what is in hand
}

// routesOf makes the running routes of a channel: those that queue.
func (c *channel) routesOf(u *units) {
	c.routes, c.units = map[string]*route{}, map[string]string{}
	for _, config := range c.config.Routes {
		if config.Destination == nil {
			continue
		}
		r := &route{
			c: c, config: config, unit: u.id(unitOf(c.config.Name, config.Name)), log: c.log.With("route", config.Name),
			limits: config.Destination.Limits(), floored: floored(c.config, config), pokes: make(chan struct{}, 1), large: make(chan struct{}, 1),
		}
		r.limits.Connections = max(r.limits.Connections, 1)
		if r.limits.Timeout <= 0 {
			r.limits.Timeout = 30 * time.Second
		}
		c.routes[r.unit], c.units[config.Name] = r, r.unit
	}
}

// floored reports whether deliveries of one key may come of messages that were
// processed side by side: only those below the floor may start then.
func floored(c *routes.Channel, r *routes.Route) bool {
	if c.Key != nil || r.Key != nil {
		return true
	}
	order := r.Order
	if order == "" {
		order = c.Order
	}
	return order != c.Order && order != routes.OrderNone && c.Order != routes.OrderChannel
}

// destination opens the destination when it is first used.
func (r *route) destination() (connectors.Destination, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened != nil {
		return r.opened, nil
	}
	var err error
	r.opened, err = r.config.Destination.Open(r.c.environment(nil))
	return r.opened, err
}

// close ends the destination's connections.
func (r *route) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened == nil {
		return
	}
	if err := r.opened.Close(); err != nil {
		r.log.Debug("destination closed", "error", err.Error())
	}
	r.opened = nil
}

// fold tells the routes of this engine that a key was merged into another.
func (l *Line) fold(merged [2]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.channels {
		c.anew.Store(true)
		for _, r := range c.routes {
			if !r.working.Load() {
				continue // it will read the keys of the survivors
			}
			r.mu.Lock()
			r.merged = append(r.merged, merged)
			r.mu.Unlock()
			select {
			case r.pokes <- struct{}{}:
			default:
			}
		}
	}
}

// takeMerged returns the keys to be folded.
func (r *route) takeMerged() [][2]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	merged := r.merged
	r.merged = nil
	return merged
}

// A dispatch is the sending of one route in hand: a schedule in memory of what
// waits, and the senders at work, one for each connection.
type dispatch struct {
	r      *route
	lease  store.Lease
	ctx    context.Context //nolint:containedctx // of the senders
	events chan struct{}   // something changed that the dispatch has to look at

	mu      sync.Mutex
	sched   *schedule.Schedule
	dues    map[int64]time.Time // items that may not start before
	later   *postponed          // items in hand that were put off
	senders int
	// stopping: nothing new is started; lost: it is not known what is being
	// sent; fenced: the unit is another engine's; held: an operator or a stop.
	stopping, isLost, fenced, held bool

	// of the dispatch's own goroutine:
	scan      bool
	looked    time.Time
	pos, n    int64 // the rows are read on from here
	pass      pass
	barrier   barrier
	unfetched bool // there are rows beyond what was read
}

const (
	deliveryWindow = 100_000 // deliveries of a route known at once
	deliveryPage   = 1024
	// deliveryPages bounds one look: what is due is not kept waiting for it.
	deliveryPages = 8
)

// work sends the waiting deliveries of the route until there are none, and
// returns when it has to be looked at again.
func (r *route) work(ctx context.Context) time.Time {
	r.working.Store(true)
	defer r.working.Store(false)
	defer r.c.line.outgoing.forget(r.unit)
	now := r.c.line.options.Now()
	lease, err := r.c.line.lease(ctx, r.unit, min(r.limits.Timeout, 30*time.Second))
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, store.ErrOwned) {
			r.log.Error("unit cannot be taken over", "error", err.Error())
		}
		return now.Add(pollEach)
	}
	if isHeld(ctx, r.c.line.options.Store, r.unit) {
		return now.Add(pollEach)
	}
	// Files that were closed before are sent as files, whatever `batch:` says now.
	if due, over := r.files(ctx, lease); over {
		return due
	}
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	d := &dispatch{
		r: r, lease: lease, ctx: sending, events: make(chan struct{}, 1), sched: schedule.New(deliveryWindow, perKey),
		dues: map[int64]time.Time{}, later: newPostponed(), scan: true,
		pass: pass{began: time.Now()},
	}
	d.raise(0)
	return d.run(ctx, cancel)
}

// isHeld reports whether a unit is held; when that cannot be read it is.
func isHeld(ctx context.Context, s store.Store, unit string) bool {
	held, err := s.Held(ctx)
	_, paused := held[unit]
	return paused || err != nil
}

// cutAfter is how long what is under way has after the engine is told to stop: a
// send, and a message in hand, which stays stored then and is begun again.
const cutAfter = 8 * time.Second

func (d *dispatch) run(ctx context.Context, cut context.CancelFunc) time.Time {
	beat := time.NewTicker(pollEach)
	defer beat.Stop()
	var cutting *time.Timer
	for {
		if ctx.Err() != nil || d.r.c.isRetired() {
			d.stop()
			if cutting == nil {
				cutting = time.AfterFunc(cutAfter, cut)
				defer cutting.Stop()
			}
		}
		if d.mayStart() && d.wantsLook() && time.Since(d.looked) >= lookGap {
			d.look(ctx)
		}
		closed := d.startSenders()
		if due, over := d.over(closed); over {
			return due
		}
		d.pause(ctx, beat.C, closed)
	}
}

// wantsLook reports whether rows are to be read.
func (d *dispatch) wantsLook() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	free := d.barrier.behind && d.sched.Len() == 0 && d.senders == 0
	return d.more() || (d.scan && !d.unfetched) || d.lacks() || free
}

// more reports whether rows that were not read yet are wanted: little of what
// is in hand may start, and there is room.
func (d *dispatch) more() bool {
	return d.unfetched && d.sched.Ready() < deliveryPage/2 && d.sched.Room()
}

// lacks reports whether a key is free of which deliveries were left out, and
// there is room for them.
func (d *dispatch) lacks() bool { return d.sched.Lacks() && d.sched.Room() }

func (d *dispatch) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = true
}

func (d *dispatch) isStopping() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopping
}

// mayStart reports whether new sends may be started at all.
func (d *dispatch) mayStart() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free()
}

// free is mayStart under the lock.
func (d *dispatch) free() bool {
	return !d.stopping && !d.isLost && !d.fenced && !d.held && d.lease.Valid() && (!d.r.config.Strict || len(d.later.until) == 0)
}

// over reports whether the dispatch has ended, and when the unit has to be
// looked at again.
func (d *dispatch) over(closed time.Time) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.senders > 0 {
		return time.Time{}, false
	}
	now := d.r.c.line.options.Now()
	switch {
	case d.fenced || d.isLost || !d.lease.Valid():
		d.r.c.line.drop(d.r.unit)
		return now.Add(pollEach / 10), true
	case d.stopping || d.held:
		return now.Add(pollEach / 4), true
	case !closed.IsZero() && d.r.breaker.count() > 3:
		return closed, true // the queue holds the time of the next probe
	case d.sched.Len() == 0 && !d.scan && !d.unfetched && !d.barrier.behind && !d.sched.Lacks() && time.Since(d.looked) >= linger:
		return time.Time{}, true
	}
	return time.Time{}, false
}

// startSenders starts a sender for each connection that is free and has
// something to send. While the breaker is open it returns until when.
func (d *dispatch) startSenders() (closed time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		allowed, until := d.r.breaker.allowed(d.r.c.line.options.Now(), d.r.limits.Connections)
		if allowed == 0 {
			return until
		}
		if !d.free() || d.senders >= allowed || !d.open() {
			return time.Time{}
		}
		item, ok := d.next()
		if !ok {
			return time.Time{}
		}
		d.senders++
		go d.deliver(d.ctx, item)
	}
}

// open reports whether the route's hours allow sending now.
func (d *dispatch) open() bool {
	open, _ := d.r.config.Hours.Open(d.r.c.now())
	return open
}

// next is the oldest item that may start now; those that are not due yet are
// put off, and hold their keys.
func (d *dispatch) next() (schedule.Item, bool) {
	for {
		item, ok := d.sched.Next()
		if !ok {
			return item, false
		}
		if d.isDue(item) {
			return item, true
		}
	}
}

// isDue reports whether an item taken from the schedule may start; else it is
// put off.
func (d *dispatch) isDue(item schedule.Item) bool {
	due, some := d.dues[item.Seq]
	if some && due.After(d.r.c.line.options.Now()) {
		d.later.put(item.Seq, due)
		return false
	}
	delete(d.dues, item.Seq)
	return true
}

// settle notes in memory what became of an item, before that is written, and
// picks what the same connection sends next. kept: the item's keys stay held
// until the answer is committed; follower, if it is not 0, has taken them over
// and may not start before that.
func (d *dispatch) settle(item schedule.Item, a *store.Answer) (next schedule.Item, some, kept bool, follower int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.Hold != "" {
		d.held = true
	}
	if a.State == message.Waiting {
		d.later.hold(item.Seq, a.Due)
	}
	allowed, _ := d.r.breaker.allowed(d.r.c.line.options.Now(), d.r.limits.Connections)
	if !d.free() || d.senders > allowed || !d.open() || d.ctx.Err() != nil {
		return next, false, true, 0
	}
	if a.State == message.Waiting {
		next, some = d.next()
		return next, some, true, 0
	}
	next, some, kept = d.sched.Handover(item.Seq)
	if some && !d.isDue(next) {
		if !kept {
			follower = next.Seq
			d.later.hold(follower, d.later.until[follower])
		}
		next, some = d.next()
	}
	return next, some, kept, follower
}

// committed frees the keys of an item whose end is durable.
func (d *dispatch) committed(item schedule.Item, a store.Answer, kept bool, follower int64) {
	d.mu.Lock()
	if a.State != message.Waiting && kept {
		d.sched.Done(item.Seq)
	}
	d.later.written(item.Seq)
	d.later.written(follower)
	d.mu.Unlock()
	d.changed()
	l := d.r.c.line
	if a.State != message.Waiting {
		l.progress.tell(a.Message)
	}
	if a.Next != nil {
		if next := l.findRoute(a.Next.Unit); next != nil {
			next.anew.Store(true) // it stands at its own place, perhaps before what was read
		}
		l.pokeUnit(d.ctx, a.Next.Unit, false)
	}
}

// skip leaves an item that is not waiting any more and picks another.
func (d *dispatch) skip(item schedule.Item) (schedule.Item, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sched.Done(item.Seq)
	allowed, _ := d.r.breaker.allowed(d.r.c.line.options.Now(), d.r.limits.Connections)
	if !d.free() || d.senders > allowed || !d.open() || d.ctx.Err() != nil {
		return item, false
	}
	return d.next()
}

// lost ends the dispatch: the unit is another engine's, or what the store holds
// is not known and is found out by taking the unit over again.
func (d *dispatch) lost(item schedule.Item, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(err, store.ErrFenced) {
		d.fenced = true
		d.r.log.Warn("unit belongs to another engine now")
		return
	}
	d.isLost = true
	d.r.log.Error("sending stops and begins anew", "delivery", item.Seq, "error", err.Error())
}

func (d *dispatch) senderEnded() {
	d.mu.Lock()
	d.senders--
	d.mu.Unlock()
	d.changed()
}

func (d *dispatch) changed() {
	select {
	case d.events <- struct{}{}:
	default:
	}
}
