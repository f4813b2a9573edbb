package mllp

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plexus-health/plexus/message"
)

// A Load sends many messages over several connections, one in flight on each,
// and measures how long the answers take.
type Load struct {
	Client ClientOptions
	// Connections is the number of connections. 0: 1.
	Connections int
	// Count is the number of messages. 0: no limit, Duration decides.
	Count int
	// Duration is how long messages are begun. 0: until Count.
	Duration time.Duration
	// Rate is the number of messages a second that are due to be sent,
	// whether or not answers keep up: an open loop. 0: each connection sends
	// as soon as it has its answer.
	Rate float64
	// Timeout bounds one exchange. 0: 30s.
	Timeout time.Duration
	// Message returns message number i, from 0. It is called by several
	// goroutines, once for each number that is sent.
	Message func(i int) []byte
	// Take gets what came of message number i. latency is measured from the
	// time the message was due, so that a stalled peer does not hide the
	// messages that waited for it. It is called by several goroutines.
	Take func(i int, sent, reply []byte, err error, latency time.Duration)
}

// Run sends the messages (either Count or Duration must be set) and returns how long that took. It returns an error
// when no connection could be made at first, or when ctx ended. A connection
// that is lost later is made again; what was in flight on it is an error of
// that message, which is not sent again.
func (l *Load) Run(ctx context.Context) (time.Duration, error) {
	workers := max(l.Connections, 1)
	clients := make([]*Client, workers)
	defer func() {
		for _, c := range clients {
			if c != nil {
				_ = c.Close() // every answer has come, or was given up
			}
		}
	}()
	for i := range clients {
		c, err := Dial(ctx, l.Client)
		if err != nil {
			return 0, err
		}
		clients[i] = c
	}
	var next atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for i := range clients {
		group.Go(func() { l.work(ctx, &clients[i], &next, began) })
	}
	group.Wait()
	return time.Since(began), ctx.Err()
}

// work is one connection: it takes message after message.
func (l *Load) work(ctx context.Context, client **Client, next *atomic.Int64, began time.Time) {
	for ctx.Err() == nil {
		i := int(next.Add(1) - 1)
		if l.Count > 0 && i >= l.Count {
			return
		}
		due := time.Now()
		if l.Rate > 0 {
			due = began.Add(time.Duration(float64(i) / l.Rate * float64(time.Second)))
			if l.Duration > 0 && due.Sub(began) >= l.Duration {
				return
			}
			if wait := time.Until(due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return
				}
			}
		}
		if l.Duration > 0 && due.Sub(began) >= l.Duration {
			return
		}
		raw := l.Message(i)
		reply, err := l.exchange(ctx, client, raw)
		if message.KindOf(err) == message.Down && ctx.Err() == nil {
			reply, err = l.exchange(ctx, client, raw) // no byte had left: the connection was stale
		}
		l.Take(i, raw, reply, err, time.Since(due))
	}
}

// exchange sends one message, on a new connection if the old one has ended.
func (l *Load) exchange(ctx context.Context, client **Client, raw []byte) ([]byte, error) {
	if (*client).dead.Load() {
		c, err := Dial(ctx, l.Client)
		if err != nil {
			return nil, err
		}
		*client = c
	}
	timeout := l.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	bounded, done := context.WithTimeout(ctx, timeout)
	defer done()
	return (*client).Exchange(bounded, raw)
}

// Latencies collects times from several goroutines. Its zero value is empty.
type Latencies struct {
	mu     sync.Mutex
	micros []uint32
	sorted bool
}

// Add notes one time, to the microsecond.
func (l *Latencies) Add(d time.Duration) {
	micros := uint32(min(max(d.Microseconds(), 0), math.MaxUint32))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.micros, l.sorted = append(l.micros, micros), false
}

// Len is the number of times noted.
func (l *Latencies) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.micros)
}

// Quantile returns the time that the share q of all times does not exceed: 0.5
// is the median, 1 the longest. 0 when there is none.
func (l *Latencies) Quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.micros) == 0 {
		return 0
	}
	if !l.sorted {
		slices.Sort(l.micros)
		l.sorted = true
	}
	i := int(math.Ceil(q*float64(len(l.micros)))) - 1
	return time.Duration(l.micros[min(max(i, 0), len(l.micros)-1)]) * time.Microsecond
}
