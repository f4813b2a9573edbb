package channels

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

const (
	// keepEach is how often it is looked for content that is not to be kept.
	keepEach = time.Minute
	// keepOwned is how soon it is looked again whether the engine that does so lives.
	keepOwned = 10 * time.Second
	// keepBlock is how many messages are looked at at once.
	keepBlock = 1024
	// keepShare bounds the part of the time that is spent on looking.
	keepShare = 5
	// keepSettles is how long after its last record a block is looked at again
	// although nothing in it has content: a message of it may become visible late.
	keepSettles = time.Hour
)

// A keeper takes away the content of messages that have ended, when it has been
// kept long enough (`keep:`). One engine does so at a time.
type keeper struct {
	line  *Line
	clock keepClock
	// blocks are what is known of the messages from the first on, keepBlock to
	// each; keeping is by what they were judged.
	blocks  []keptBlock
	keeping map[string]time.Duration
	warned  bool
}

// A keptBlock says when a block is to be looked at again: never when next is zero.
type keptBlock struct {
	next, recorded time.Time
}

// keep runs a keeper until ctx ends.
func (l *Line) keep(ctx context.Context) {
	k := &keeper{line: l}
	each := l.options.KeepEach
	if each == 0 {
		each = keepEach
	}
	for ctx.Err() == nil {
		err := k.pass(ctx)
		pause := each
		switch {
		case errors.Is(err, store.ErrOwned):
			k.blocks = nil // the other engine knows
			pause = min(pause, keepOwned)
		case err != nil && ctx.Err() == nil:
			l.options.Log.Warn("what is not to be kept cannot be taken away, trying again", "error", err.Error())
		}
		rest(ctx, pause)
	}
}

// pass looks at all blocks in which something may have to go.
func (k *keeper) pass(ctx context.Context) error {
	now, err := k.now(ctx)
	if err != nil {
		return err
	}
	lease, err := k.line.lease(ctx, store.UnitKeep, 0)
	if err != nil {
		return err
	}
	keeping := store.Keeping{For: k.line.keeps(), Else: routes.DefaultKeep, Now: now}
	if !maps.Equal(keeping.For, k.keeping) {
		k.blocks, k.keeping = nil, keeping.For
	}
	var recorded time.Time
	for i := 0; ctx.Err() == nil; i++ {
		if i < len(k.blocks) && (k.blocks[i].next.IsZero() || k.blocks[i].next.After(now)) {
			recorded = k.blocks[i].recorded
			continue
		}
		began := time.Now()
		found, err := k.line.options.Store.Ended(ctx, store.Block{After: int64(i) * keepBlock, Upto: int64(i+1) * keepBlock, Recorded: recorded}, keeping)
		if err != nil {
			return err
		}
		took := time.Since(began)
		if err := k.take(ctx, lease, found.Due); err != nil {
			return err
		}
		if found.Last {
			return nil
		}
		if settled := found.Recorded.Add(keepSettles); found.Next.IsZero() && settled.After(now) {
			found.Next = settled
		}
		recorded = found.Recorded
		b := keptBlock{found.Next, recorded}
		if i < len(k.blocks) {
			k.blocks[i] = b
		} else {
			k.blocks = append(k.blocks, b)
		}
		rest(ctx, (keepShare-1)*took)
	}
	return nil
}

// rest waits, not longer than ctx lasts.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take takes the content of messages away, some at a time.
func (k *keeper) take(ctx context.Context, lease store.Lease, seqs []int64) error {
	for len(seqs) > 0 && ctx.Err() == nil {
		if !lease.Valid() {
			k.line.drop(store.UnitKeep)
			return nil
		}
		did, err := lease.Prune(ctx, seqs)
		if errors.Is(err, store.ErrFenced) {
			k.line.drop(store.UnitKeep)
			k.blocks = nil
			return nil
		}
		if err != nil {
			return err
		}
		for channel, n := range did.Messages {
			k.line.options.Metrics.prune(k.line.nameOf(channel), n)
		}
		k.line.options.Metrics.prunedBytes(did.Bytes)
		seqs = did.Left
	}
	return nil
}

// keeps is how long the content of messages is kept, by channel; also of those
// that are not enabled.
func (l *Line) keeps() map[string]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]time.Duration{}
	for _, c := range l.config.Channels {
		out[l.units.id(c.Name)] = c.Keep
	}
	return out
}

// now is the time that is believed, and says once when it is not the clock's.
func (k *keeper) now(ctx context.Context) (time.Time, error) {
	wall := k.line.options.Now().Round(0) // without the clock that only tells how long
	if !k.clock.set {
		newest, err := k.line.options.Store.List(ctx, store.Filter{Limit: 1})
		if err != nil {
			return wall, err
		}
		known := wall
		if len(newest) > 0 {
			known = newest[0].Received
		}
		k.clock.begin(wall, known)
	}
	now, held := k.clock.read(wall, time.Since(started))
	if held && !k.warned {
		k.line.options.Log.Warn("the clock has gone far ahead; content is kept by the time before until the clock has run on for a day", "ahead", wall.Sub(now).Round(time.Minute).String())
	}
	k.warned = held
	return now, nil
}

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

// A keepClock is the time by which content is taken away. A clock that is set far
// ahead by mistake must not make everything look old: it is believed when it has
// run on for a day. One that is set back only keeps content longer.
type keepClock struct {
	set     bool
	trusted time.Time
	at      time.Duration // when trusted was read, on the clock that nobody sets
	ahead   bool
	gap     time.Duration // how far ahead
	since   time.Duration
}

// begin sets the clock at the start; known is when a message came last.
func (c *keepClock) begin(wall, known time.Time) {
	c.set, c.trusted, c.at = true, wall, time.Since(started)
	if limit := known.Add(clockIdle); wall.After(limit) {
		c.trusted = limit
	}
}

// read returns the time that is believed; held when that is not the clock's.
func (c *keepClock) read(wall time.Time, at time.Duration) (now time.Time, held bool) {
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
