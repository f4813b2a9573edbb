package channels

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/routes"
	"github.com/plexus-health/plexus/store"
)

const (
	// unreadables is how many answers that cannot be read park a delivery.
	unreadables = 3
	// busyKeys is how many keys in a row the peer may be too busy for until it
	// is taken to be down.
	busyKeys = 5
)

// judgeSend says what follows a send: the answer to be written, and how long
// the breaker is to stay open where the peer is down.
func (r *route) judgeSend(d *message.Delivery, reply message.Reply, err error, now time.Time) store.Answer {
	a := store.Answer{N: d.N, Message: d.Message, Run: d.Run, State: message.Delivered, Raw: reply.Raw, MaybeSent: d.MaybeSent}
	if err == nil {
		return a
	}
	a.Class, a.Reason = message.KindOf(err), err.Error()
	f, _ := errors.AsType[*message.Failure](err)
	if f == nil || !sendClass(a.Class) {
		// No word of the destination: what left is not known.
		a.Class = message.Unknown
	}
	a.Unsent = a.Class == message.Down
	// An answer that cannot be read says nothing of what became of the message.
	a.MaybeSent = d.MaybeSent || a.Class == message.Unknown || a.Class == message.Unreadable
	policy := r.config.Retry[string(a.Class)]
	var after time.Duration
	if f != nil {
		after = f.After
	}
	again := now.Add(max(after, pause(policy, d.Attempts)))
	switch {
	case r.overdue(d, now, again):
		r.giveUp(&a, "park", d, r.c.late()+": ")
	case policy.Do == "retry" && !spent(policy, d, r.c.line.believed()):
		a.State, a.Due = message.Waiting, again
	case policy.Do == "retry":
		r.giveUp(&a, policy.Then, d, fmt.Sprintf("given up after %d attempts: ", d.Attempts))
	case a.Class == message.Unreadable && policy.Do == "park" && d.Attempts < unreadables:
		a.State, a.Due = message.Waiting, now.Add(pause(routes.Retry{First: time.Second, Max: time.Minute, Factor: 2}, d.Attempts))
	default:
		r.giveUp(&a, policy.Do, d, "")
		if policy.Do == "next" {
			r.divert(&a, policy.Next, d)
		}
	}
	if a.Class != message.Down || d.Class != message.Down || a.State != message.Waiting {
		a.Events = []store.Event{{Run: d.Run, Step: "send " + string(a.State), Text: string(a.Class) + ": " + a.Reason, Ref: r.config.Name}}
	}
	return a
}

// giveUp parks a delivery, or holds the route for it.
func (r *route) giveUp(a *store.Answer, do string, d *message.Delivery, why string) {
	a.Reason = why + a.Reason
	if do == "stop" || (r.config.Strict && do == "park") {
		a.State, a.Due = message.Waiting, time.Time{}
		a.Hold = "stopped by delivery " + d.ID + ": " + string(a.Class) + ": " + a.Reason
		return
	}
	a.State = message.ParkedDelivery
}

// divert hands a delivery over to the failure route: the same bytes under the
// same control id.
func (r *route) divert(a *store.Answer, name string, d *message.Delivery) {
	next := *d
	next.ID, next.Unit = message.NewID(r.c.line.options.Now()), r.c.units[name]
	next.N, next.Attempts, next.MaybeSent, next.Answer = 0, 0, false, nil
	if next.Original {
		next.Payload = nil
	}
	a.State, a.Next = message.Diverted, &next
}

// sendClass reports whether a kind is a class of a send.
func sendClass(k message.Kind) bool {
	switch k {
	case message.Down, message.Unknown, message.Busy, message.RefusedSend, message.Unreadable:
		return true
	}
	return false
}

// spent reports whether attempts or age of a delivery are used up.
func spent(p routes.Retry, d *message.Delivery, now time.Time) bool {
	if p.Attempts > 0 && d.Attempts >= p.Attempts {
		return true
	}
	made := madeAt(d.ID)
	return p.For > 0 && !made.IsZero() && now.Sub(made) > p.For
}

// madeAt is the time in an id of version 7 (RFC 9562, 5.7).
func madeAt(id string) time.Time {
	if len(id) != 36 {
		return time.Time{}
	}
	var b [8]byte
	if _, err := hex.Decode(b[2:], []byte(id[:8]+id[9:13])); err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:])))
}

// pause is the back-off before attempt n+1: min(max, first·factorⁿ⁻¹) with full
// jitter, and never nothing at all.
func pause(p routes.Retry, n int) time.Duration {
	limit := float64(max(p.Max, p.First, time.Millisecond))
	wait := math.Min(limit, float64(max(p.First, time.Millisecond))*math.Pow(max(p.Factor, 1), float64(max(n, 1)-1)))
	return time.Duration(wait/10 + rand.Float64()*wait*9/10) //nolint:gosec // jitter need not be secret
}

// A breaker keeps a route from sending while its peer is down: one probe at a
// time, with back-off, then 1, 2, 4 … keys at once.
type breaker struct {
	mu     sync.Mutex
	until  time.Time // no send before
	probes int       // failed in a row; 0: closed
	ramp   int       // sends at once after it closed; 0: all
	busy   map[string]bool
}

// allowed is how many sends may be under way; none before the time given.
func (b *breaker) allowed(now time.Time, connections int) (int, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case now.Before(b.until):
		return 0, b.until
	case b.probes > 0:
		return 1, time.Time{}
	case b.ramp > 0:
		return min(b.ramp, connections), time.Time{}
	}
	return connections, time.Time{}
}

// down notes that the peer cannot be reached until then; it reports true for
// the first time in a row.
func (b *breaker) down(until time.Time) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probes++
	if until.After(b.until) {
		b.until = until
	}
	return b.probes == 1
}

// tooBusy notes a busy answer; true when so many keys in a row met one that the
// peer is taken to be down.
func (b *breaker) tooBusy(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy == nil {
		b.busy = map[string]bool{}
	}
	b.busy[key] = true
	return len(b.busy) >= busyKeys
}

// answered notes that the peer is there; it reports true when it was not.
func (b *breaker) answered(connections int) (back bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.busy)
	b.until = time.Time{}
	switch {
	case b.probes > 0:
		b.probes, b.ramp = 0, 1
		return true
	case b.ramp > 0:
		if b.ramp *= 2; b.ramp >= connections {
			b.ramp = 0
		}
	}
	return false
}

// retryNow lets the next probe go at once.
func (b *breaker) retryNow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Time{}
}

// count is how many probes have failed in a row.
func (b *breaker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.probes
}
