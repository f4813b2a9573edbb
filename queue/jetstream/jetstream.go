// Package jetstream is the queue of NATS JetStream: one durable ticket for each
// unit that has work, in a server inside this process or in one that several
// engines share. Whatever the stream does not carry, this process hands out itself.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/plexus-health/plexus/queue"
)

// Options say where the tickets are. The zero value of all but Folder and URL is
// a good one.
type Options struct {
	// Folder of the server inside this process. Nothing in it is missed: it may
	// be deleted at any time.
	Folder string
	// URL of NATS servers with JetStream, several divided by commas; empty for
	// the server inside this process.
	URL string
	// Name of the engines that share the work: of one database. It names the
	// stream and begins its subjects. Default plexus.
	Name string
	// Replicas of a stream that is made by this engine. Default 1.
	Replicas int

	// Credentials is a file of a user's JWT and key.
	Credentials string
	// CA is a file of the certificates that servers are checked against; empty
	// for those of the system.
	CA string
	// Certificate and Key are files that show who this engine is.
	Certificate, Key string

	// AckWait is how long the ticket of an engine that is silent stays with it.
	// Default 6s.
	AckWait time.Duration
	// Patience is how long a ticket pushed here may be elsewhere before its unit
	// is looked at here as well. Default 1s.
	Patience time.Duration

	Log *slog.Logger
}

const (
	maxUnits   = 100_000 // different units known at once
	maxUnit    = 1_000   // bytes of a unit's name
	maxAsync   = 256     // publications without an answer; about what a pipe holds
	answerWait = 2 * time.Second
	stallWait  = 50 * time.Millisecond
	retryEach  = time.Second
)

// ErrFull says that the queue holds as many units as it may.
var ErrFull = errors.New("the queue holds as many units as it may")

// errNotYet holds until Run has found the stream.
var errNotYet = errors.New("the stream was not looked for yet")

// A Queue holds the tickets of one group of engines. Open makes one.
type Queue struct {
	options Options
	log     *slog.Logger
	keptOut atomic.Pointer[error] // why the last try to connect failed
	lock    *folderLock           // of the embedded server's folder; nil: external, or another engine has it

	mu      sync.Mutex
	units   map[string]*unit
	changed chan struct{} // closed and replaced when something is due here earlier
	failing error         // why the stream is not used; nil: it is
	warned  bool          // of this failure
	kick    chan struct{} // tells the receiver that publishing failed
	link    link
	closed  bool
	born    time.Time // when the stream was made, whose numbers the units hold
}

var _ queue.Queue = (*Queue)(nil)

// A link is the way to the stream. It is replaced when the embedded server is.
type link struct {
	server *server.Server // embedded
	conn   *nats.Conn
	js     jetstream.JetStream
}

// A unit is what this process knows of one unit.
type unit struct {
	name  string
	taken bool
	// at is when this process looks at the unit without a ticket: because the
	// stream fails, or because the ticket of a push has not come. Zero: never.
	at time.Time

	ticket *ticket // that brought the call of take at work; nil: none did
	newer  *ticket // came during that call
	// back is the number of the ticket given back until backDue: a server that
	// is started anew forgets the delay.
	back    uint64
	backDue time.Time
}

// Open opens the queue. A stream that cannot be reached, or a folder that
// cannot be used, is no error: the queue works without it and goes on trying.
func Open(ctx context.Context, o Options) (*Queue, error) {
	if o.Folder == "" && o.URL == "" {
		return nil, errors.New("jetstream: neither a folder nor a URL is given")
	}
	if o.Name == "" {
		o.Name = "plexus"
	}
	if !plainName(o.Name) {
		return nil, fmt.Errorf("jetstream: name %q is not made of letters, digits, - and _", o.Name)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Replicas = max(o.Replicas, 1)
	if o.AckWait <= 0 {
		o.AckWait = 6 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = time.Second
	}
	q := &Queue{options: o, log: o.Log, units: map[string]*unit{}, kick: make(chan struct{}, 1)}
	if o.URL != "" {
		if err := o.checkFiles(); err != nil {
			return nil, fmt.Errorf("jetstream: %w", err)
		}
		q.failing = errNotYet
		return q, nil
	}
	if err := q.openEmbedded(ctx); err != nil {
		q.fail(err)
	}
	return q, nil
}

// Close ends the connection and the embedded server. It is called after Run
// has returned.
func (q *Queue) Close() error {
	q.mu.Lock()
	l := q.link
	q.link, q.closed = link{}, true
	q.mu.Unlock()
	l.close()
	return q.lock.release()
}

// close waits until what was said has been heard, for a moment.
func (l link) close() {
	if l.conn != nil {
		if l.conn.IsConnected() {
			select { // a server takes a ticket some time after it has heard of it
			case <-l.js.PublishAsyncComplete():
			case <-time.After(answerWait):
			}
			_ = l.conn.FlushTimeout(answerWait) // an ack that is lost costs one look
		}
		l.js.CleanupPublisher()
		l.conn.Close()
	}
	if l.server != nil {
		l.server.Shutdown()
		l.server.WaitForShutdown()
	}
}

// Failing returns why the stream is not used at the moment; nil when it is.
// Units are then handed out by this process alone.
func (q *Queue) Failing() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failing
}

// Push says that unit has work at due; it replaces what was pushed before. It
// does not wait for the stream: a ticket that the stream does not take is kept
// in this process. It fails with ErrFull, with a name that cannot be one, or
// when ctx has ended.
func (q *Queue) Push(ctx context.Context, name string, due time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if name == "" || len(name) > maxUnit {
		return fmt.Errorf("a unit's name of %d bytes is not between 1 and %d", len(name), maxUnit)
	}
	q.mu.Lock()
	u, err := q.unit(name)
	if err != nil {
		q.mu.Unlock()
		return err
	}
	js := q.link.js
	if q.failing != nil || js == nil {
		q.look(u, due)
		q.mu.Unlock()
		return nil
	}
	q.look(u, later(due, q.options.Patience))
	q.mu.Unlock()
	_, err = js.PublishAsync(q.subject(name), payload(name, due), jetstream.WithStallWait(stallWait), jetstream.WithRetryAttempts(0))
	if err != nil {
		q.unpublished(name, due, err)
	}
	return nil
}

// later is a time after due, which may be the zero time or long past.
func later(due time.Time, wait time.Duration) time.Time {
	if now := time.Now(); due.Before(now) {
		due = now
	}
	return due.Add(wait)
}

// unit finds or makes what is known of a unit. The queue is locked.
func (q *Queue) unit(name string) (*unit, error) {
	if u := q.units[name]; u != nil {
		return u, nil
	}
	if len(q.units) >= maxUnits {
		return nil, ErrFull
	}
	u := &unit{name: name}
	q.units[name] = u
	return u, nil
}

// look sets when this process looks at a unit by itself. The queue is locked.
func (q *Queue) look(u *unit, at time.Time) {
	if at.IsZero() {
		at = time.Unix(0, 0) // the zero time means never
	}
	u.at = at
	q.wake()
}

// wake tells whoever hands out to look again. The queue is locked.
func (q *Queue) wake() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// unpublished keeps a ticket here that the stream did not take.
func (q *Queue) unpublished(name string, due time.Time, err error) {
	q.mu.Lock()
	if u, full := q.unit(name); full == nil {
		q.look(u, due)
	}
	q.mu.Unlock()
	q.fail(err)
}

// refused notes that the stream has not taken a ticket, or has not said so.
func (q *Queue) refused(_ jetstream.JetStream, m *nats.Msg, err error) {
	if name, ok := q.unitOf(m.Subject); ok {
		_, due, _ := readPayload(m.Data) // made here
		q.unpublished(name, due, err)
	}
}

// fail stops the use of the stream until it was tried anew.
func (q *Queue) fail(err error) {
	q.mu.Lock()
	warn := !q.warned && !q.closed
	q.failing, q.warned = err, true
	q.mu.Unlock()
	if warn {
		q.log.Warn("tickets are kept in this process: the stream cannot be used, it is tried again", "error", err.Error())
	}
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// mended begins to use the stream again.
func (q *Queue) mended() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.warned {
		q.log.Info("the stream of tickets is used again")
	}
	q.failing, q.warned = nil, false
}

func plainName(name string) bool {
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return name != "" && len(name) <= 100
}
