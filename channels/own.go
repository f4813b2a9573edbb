package channels

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plexus-health/plexus/channels/schedule"
	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

const (
	window = 2048 // messages of a channel known at once
	perKey = 64   // of one key
	// morePages is how many pages of rows are read to find more that can be started.
	morePages = 8
	pollEach  = time.Second
	// lookGap is the least time between two looks at the rows: under load
	// several messages share one look, and their outcomes one commit.
	lookGap = 2 * time.Millisecond
	// linger is how long a desk without work stays: under a steady trickle a
	// message does not pay for a new one.
	linger = 20 * time.Millisecond
)

// own processes the channels that this engine owns until ctx ends. The queue
// says which has work; every channel is also looked at each second, so that
// nothing depends on a push.
func (l *Line) own(ctx context.Context) {
	var polling sync.WaitGroup
	polling.Go(func() {
		tick := time.NewTicker(pollEach)
		defer tick.Stop()
		for {
			l.pokeAll(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	if err := l.options.Queue.Run(ctx, l.take); err != nil && ctx.Err() == nil {
		l.options.Log.Error("queue ended, messages wait for the next start", "error", err.Error())
	}
	polling.Wait()
	l.closeRoutes()
	l.release()
}

// closeRoutes ends the connections of every route at the end.
func (l *Line) closeRoutes() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.channels {
		for _, r := range c.routes {
			r.close()
		}
	}
}

// pokeAll wakes the owners of everything that has work and is not another
// engine's.
func (l *Line) pokeAll(ctx context.Context) {
	busy, err := l.options.Store.Busy(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.options.Log.Warn("it cannot be read what has work, trying again", "error", err.Error())
		}
		return
	}
	elsewhere, err := l.options.Store.Elsewhere(ctx)
	if err == nil {
		err = l.compareVersions(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			l.options.Log.Warn("it cannot be read what other engines own, trying again", "error", err.Error())
		}
		return
	}
	for _, unit := range busy {
		if !elsewhere[unit] {
			l.pokeUnit(ctx, unit, false)
		}
	}
}

// Poke says that the rows of a channel or route were changed by an operator: it
// is looked at anew, and a route does not wait for the next probe of its peer.
func (l *Line) Poke(unit string) {
	if r := l.findRoute(unit); r != nil {
		r.anew.Store(true)
		r.breaker.retryNow()
	} else if c := l.find(unit); c != nil {
		c.anew.Store(true)
	}
	l.poke(unit)
}

// poke says that a unit has work: to its owner here if it works on it already,
// else to whoever the queue hands it to.
func (l *Line) poke(unit string) { l.pokeNow(unit, false) }

func (l *Line) pokeNow(unit string, told bool) {
	l.mu.Lock()
	ctx := l.ctx
	l.mu.Unlock()
	if ctx != nil {
		l.pokeUnit(ctx, unit, told)
	}
}

// pokeUnit pokes the owner of a unit; told: what it has to do is in its list of
// fresh messages.
func (l *Line) pokeUnit(ctx context.Context, unit string, told bool) {
	var pokes chan struct{}
	var working *atomic.Bool
	if r := l.findRoute(unit); r != nil {
		pokes, working = r.pokes, &r.working
	} else if c := l.find(unit); c != nil {
		pokes, working = c.pokes, &c.working
		if !told {
			c.rows.Store(true)
		}
	} else {
		return
	}
	select {
	case pokes <- struct{}{}:
	default: // it will look anyway
	}
	if working.Load() {
		return
	}
	if err := l.options.Queue.Push(ctx, unit, time.Time{}); err != nil && ctx.Err() == nil {
		l.options.Log.Debug("push", "unit", unit, "error", err.Error()) // the poll carries on
	}
}

// findRoute returns the running route of a unit, or nil.
func (l *Line) findRoute(unit string) *route {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.routes[unit]
}

// take works on a unit the queue has handed over.
func (l *Line) take(ctx context.Context, unit string) time.Time {
	if r := l.findRoute(unit); r != nil {
		due := r.work(ctx)
		if r.c.isRetired() {
			r.close()
		}
		return l.again(due, r.pokes)
	}
	if c := l.find(unit); c != nil {
		return l.again(c.work(ctx), c.pokes)
	}
	return time.Time{}
}

// again is when a unit that was worked on is to be looked at again: at once where
// somebody poked its owner while it was leaving, and so has not told the queue.
func (l *Line) again(due time.Time, pokes <-chan struct{}) time.Time {
	if due.IsZero() && len(pokes) > 0 {
		return l.options.Now()
	}
	return due
}

// lease returns this engine's lease of a unit. What another engine may still be
// sending waits for grace. ErrOwned: it is another engine's, or to be left to
// one with a newer configuration.
func (l *Line) lease(ctx context.Context, unit string, grace time.Duration) (store.Lease, error) {
	l.leasing.Lock()
	defer l.leasing.Unlock()
	held := l.leases[unit]
	switch {
	case l.older[unit] && held != nil:
		l.handBack(ctx, unit)
		return nil, store.ErrOwned
	case l.older[unit]:
		return nil, store.ErrOwned
	case held != nil:
		return held, nil
	}
	lease, err := l.options.Store.TakeOver(ctx, unit, grace)
	if err != nil {
		return nil, err
	}
	l.leases[unit] = lease
	return lease, nil
}

// drop forgets a lease that is no longer held.
func (l *Line) drop(unit string) {
	l.leasing.Lock()
	defer l.leasing.Unlock()
	delete(l.leases, unit)
}

// release hands every unit back at the end.
func (l *Line) release() {
	l.leasing.Lock()
	defer l.leasing.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for unit := range l.leases {
		l.handBack(ctx, unit)
	}
}

// A desk is the work of one channel in hand.
type desk struct {
	c       *channel
	lease   store.Lease
	sched   *schedule.Schedule
	results chan result
	running int
	// scan: the rows have to be looked at; whole: from the first on; stopping:
	// nothing new is started; fenced: the unit is another engine's.
	scan, whole, stopping, fenced bool
	// seen is the row to which they were read; behind: there may be others after
	// it that fresh does not know.
	seen   int64
	behind bool
	looked time.Time           // when the rows were last looked at
	took   time.Duration       // by that look
	later  map[int64]time.Time // items put off, until when
	tries  map[int64]int
	// stopped are parked messages that hold their keys (`on_error: stop`).
	stopped map[int64]bool
	work    context.Context //nolint:containedctx // the life of the messages in hand, which outlives the run a little
	cut     context.CancelFunc
	cutOff  *time.Timer // cuts them off; nil until the desk is stopping
	// decided are messages about which somebody else decided while they were in
	// hand. They hold their keys until the rows say what became of them.
	decided []int64
}

type result struct {
	seq    int64
	merged [2]string // the key that was merged, and its survivor
	err    error
}

// work processes the stored messages of the channel until there are none, and
// returns when it has to be looked at again.
func (c *channel) work(ctx context.Context) time.Time {
	c.working.Store(true)
	defer c.working.Store(false)
	lease, err := c.line.lease(ctx, c.id, 0)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, store.ErrOwned) {
			c.log.Error("unit cannot be taken over", "error", err.Error())
		}
		c.recent.forget(c.id)
		return c.line.options.Now().Add(pollEach)
	}
	if c.paused(ctx) {
		return c.line.options.Now().Add(pollEach)
	}
	if err := c.ruled(ctx, lease); err != nil {
		if ctx.Err() == nil {
			c.log.Warn("the order of its routes cannot be noted, trying again", "error", err.Error())
		}
		return c.line.options.Now().Add(pollEach)
	}
	d := &desk{
		c: c, lease: lease, sched: schedule.New(window, perKey),
		results: make(chan result, c.line.options.Workers), scan: true, whole: true,
		later: map[int64]time.Time{}, tries: map[int64]int{}, stopped: map[int64]bool{},
	}
	d.work, d.cut = context.WithCancel(context.WithoutCancel(ctx))
	defer d.cut()
	if c.fresh != nil {
		c.fresh.begin(d)
		defer c.fresh.end(d)
	}
	return d.run(ctx)
}

func (d *desk) run(ctx context.Context) time.Time {
	beat := time.NewTicker(pollEach)
	defer beat.Stop()
	for {
		if ctx.Err() != nil || d.c.isRetired() {
			d.stop()
		}
		if d.wantsLook() {
			d.look(ctx)
		}
		if !d.stopping {
			d.startReady()
		}
		if d.running == 0 {
			if d.stopping || (d.idle() && time.Since(d.looked) >= linger) {
				return d.end()
			}
			if d.wantsLook() {
				continue
			}
		}
		d.pause(ctx, beat.C)
	}
}

// idle reports whether nothing is known that could be done.
func (d *desk) idle() bool {
	return d.sched.Len() == 0 && !d.scan && len(d.c.pokes) == 0
}

// wantsLook reports whether the rows are to be looked at now: there may be new
// ones, and there is room for them.
func (d *desk) wantsLook() bool {
	return d.scan && !d.stopping && d.sched.Wants() && time.Since(d.looked) >= d.gap()
}

// gap is the least time until the next look. While there is work in hand looks
// take a fifth of the time at most: behind one key with a long backlog each of
// them goes over many rows of which none can be started.
func (d *desk) gap() time.Duration {
	if d.running == 0 && d.sched.Ready() == 0 {
		return lookGap
	}
	return min(max(lookGap, 4*d.took), pollEach/10)
}

// pause waits for the next thing to happen. While the desk is stopping only
// the results of messages in hand are awaited.
func (d *desk) pause(ctx context.Context, beat <-chan time.Time) {
	if d.stopping {
		d.stop()
		d.settle(<-d.results)
		return
	}
	var due <-chan time.Time
	at, some := d.nextDue()
	if next := d.looked.Add(d.gap()); d.scan && d.sched.Wants() && (!some || next.Before(at)) {
		at, some = next, true
	}
	if d.running == 0 && d.idle() {
		at, some = d.looked.Add(linger), true
	}
	if some {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case r := <-d.results:
		d.settle(r)
	case <-d.c.pokes:
		d.scan = true
	case <-due:
		d.resume()
	case <-beat:
		d.scan, d.whole = true, true // rows that other engines have recorded
		d.stopping = d.c.paused(ctx) || d.c.line.isOlder(d.c.id)
	case <-ctx.Done():
	case <-d.c.retired:
	}
}

// paused reports whether an operator holds the channel.
func (c *channel) paused(ctx context.Context) bool {
	if at := c.heldAt.Load(); at != 0 && time.Since(time.Unix(0, at)) < pollEach/2 {
		return false // it was not held a moment ago: an operator's pause takes that long
	}
	held, err := c.line.options.Store.Held(ctx)
	_, paused := held[c.id]
	if !paused && err == nil {
		c.heldAt.Store(time.Now().UnixNano())
	}
	return paused || err != nil
}

func (c *channel) isRetired() bool {
	select {
	case <-c.retired:
		return true
	default:
		return false
	}
}

// end says when the unit has to be looked at again.
func (d *desk) end() time.Time {
	if d.cutOff != nil {
		d.cutOff.Stop() // or it has ended what is not there any more
	}
	d.c.recent.forget(d.c.id)
	if d.fenced {
		d.c.line.drop(d.c.id)
	}
	if d.stopping {
		return d.c.line.options.Now().Add(pollEach / 4)
	}
	return time.Time{}
}

// look offers the stored messages to the schedule, the oldest first. It finds
// work by its state, never by "seq above the last one seen": a lower seq can
// become visible later. Only where the store rules that out it reads on from
// where it has come to, as long as nobody has changed what stands before, and
// reads nothing where it has been told of all that came since.
func (d *desk) look(ctx context.Context) {
	d.scan, d.looked = false, time.Now()
	defer func() { d.took = time.Since(d.looked) }()
	changed, rows := d.c.anew.Swap(false), d.c.rows.Swap(false)
	list, all := d.fresh()
	let, err := d.holdStopped(ctx)
	if err != nil {
		d.unread(ctx, "parked messages cannot be read, trying again", err)
		return
	}
	if changed || let || d.whole || !d.ordered() || d.sched.TurnedAway() {
		d.sched.Begin()
		d.whole, d.seen, d.behind = false, 0, true
	}
	if !all || rows {
		d.behind = true
	}
	if !d.behind {
		d.offer(list)
		return
	}
	for page := 0; ; page++ { // keys that are held up must not hide the others
		rows, err := d.c.line.options.Store.Stored(ctx, d.c.id, d.seen, window)
		if err != nil {
			d.unread(ctx, "stored messages cannot be read, trying again", err)
			return
		}
		d.offer(rows)
		if len(rows) < window {
			d.behind = false // what comes from now on is told
			return
		}
		if ready := d.sched.Ready(); !d.sched.Room() || ready >= d.c.line.options.Workers || page >= morePages && ready > 0 {
			return
		}
	}
}

// unread ends the desk, since the rows could not be read.
func (d *desk) unread(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		d.c.log.Error(what, "error", err.Error())
	}
	d.stopping = true
}

// fresh takes what the desk was told of since the last look, and whether that
// is all that was stored since.
func (d *desk) fresh() (list []*message.Message, all bool) {
	if d.c.fresh == nil {
		return nil, false
	}
	return d.c.fresh.take(d)
}

// ordered reports whether messages become visible in the order of their Seq.
func (d *desk) ordered() bool { return d.c.fresh != nil }

// offer offers messages behind those that were seen before.
func (d *desk) offer(list []*message.Message) {
	for _, m := range list {
		if m.Seq <= d.seen {
			continue // read before it was told
		}
		d.known(m)
		d.sched.Add(schedule.Item{Seq: m.Seq, Run: m.Run, Key: m.Header.Key, Key2: m.Header.Key2})
		d.seen = m.Seq
	}
}

// known has what is in hand under keys of m that were merged since, perhaps by
// another channel, wait in one line with m.
func (d *desk) known(m *message.Message) {
	for _, merged := range [][2]string{{m.MadeKey, m.Header.Key}, {m.MadeKey2, m.Header.Key2}} {
		if merged[0] != "" {
			d.sched.Fold(merged[0], merged[1])
		}
	}
}

// holdStopped brings the messages into the schedule that parked and hold their
// keys (`on_error: stop`). It reports whether it let go any about which somebody
// has decided: those that were handed in again stand in the rows, perhaps before
// what was read, and come before the others of their keys.
func (d *desk) holdStopped(ctx context.Context) (let bool, err error) {
	let = len(d.decided) > 0
	for _, seq := range d.decided {
		d.sched.Done(seq)
	}
	d.decided = nil
	if d.c.config.OnError != routes.OnErrorStop {
		return let, nil
	}
	parked, err := d.c.line.options.Store.ParkedKeys(ctx, d.c.id)
	if err != nil {
		return let, err
	}
	still := map[int64]bool{}
	for _, m := range parked {
		still[m.Seq] = true
		if !d.stopped[m.Seq] && !d.sched.Has(m.Seq) {
			d.known(m)
			d.sched.Hold(schedule.Item{Seq: m.Seq, Run: m.Run, Key: m.Header.Key, Key2: m.Header.Key2})
			d.stopped[m.Seq] = true
		}
	}
	for seq := range d.stopped {
		if !still[seq] {
			delete(d.stopped, seq)
			d.sched.Done(seq)
			let = true
		}
	}
	return let, nil
}

// startReady starts as many as there are workers for.
func (d *desk) startReady() {
	for d.running < d.c.line.options.Workers {
		item, ok := d.sched.Next()
		if !ok {
			return
		}
		d.running++
		go func() {
			merged, err := d.c.process(d.work, d.lease, item)
			d.results <- result{item.Seq, merged, err}
		}()
	}
}

// settle takes the result of one message.
func (d *desk) settle(r result) {
	d.running--
	switch {
	case errors.Is(r.err, errStop):
		// It stays the head of its key until an operator has decided.
		d.stopped[r.seq] = true
		d.sched.Hold(schedule.Item{Seq: r.seq})
	case errors.Is(r.err, store.ErrNotStored):
		delete(d.tries, r.seq)
		d.decided, d.scan = append(d.decided, r.seq), true
	case r.err == nil:
		delete(d.tries, r.seq)
		d.sched.Done(r.seq)
		if r.merged[0] != "" {
			d.sched.Fold(r.merged[0], r.merged[1])
			d.c.line.fold(r.merged)
		}
		if d.sched.TurnedAway() && d.sched.Ready() == 0 {
			d.scan = true
		}
	case errors.Is(r.err, store.ErrFenced):
		d.fenced = true
		d.stop()
		d.c.log.Warn("unit belongs to another engine now")
	default:
		// A fault of ours: the message stays stored, its key waits.
		d.tries[r.seq]++
		wait := min(100*time.Millisecond<<min(d.tries[r.seq], 10), 30*time.Second)
		d.later[r.seq] = time.Now().Add(wait)
		d.c.line.options.Metrics.event(d.c.config.Name, "fault", 1)
		level := d.c.log.Warn
		if message.KindOf(r.err) == message.Internal && !errors.Is(r.err, store.ErrUnavailable) {
			level = d.c.log.Error
		}
		level("message stays stored and is tried again", "seq", r.seq, "attempt", d.tries[r.seq], "error", r.err.Error())
	}
}

func (d *desk) nextDue() (time.Time, bool) {
	var first time.Time
	for _, at := range d.later {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, !first.IsZero()
}

func (d *desk) resume() {
	now := time.Now()
	for seq, at := range d.later {
		if !at.After(now) {
			delete(d.later, seq)
			d.sched.Again(seq)
		}
	}
}
