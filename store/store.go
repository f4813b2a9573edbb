// Package store holds the durable truth: the journal of messages and
// deliveries, who owns which unit, and the FHIR records. Its interfaces have
// one implementation for each database and one conformance suite, storetest.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/plexus-health/plexus/message"
)

// The errors that callers compare.
var (
	// ErrFenced: the lease is no longer held; nothing was written and the
	// unit must be dropped.
	ErrFenced = errors.New("unit is owned by another engine")
	// ErrOwned: another engine that is alive owns the unit.
	ErrOwned = errors.New("unit is owned by an engine that is alive")
	// ErrNotStored: the message is not in state stored under this run any
	// more; nothing was written.
	ErrNotStored = errors.New("message is not stored any more")
	// ErrPruned: the content of the message is not kept any more; nothing was
	// written.
	ErrPruned = errors.New("the content of the message is not kept any more")
	// ErrConflict: a record changed since it was read; nothing was written.
	// Read again and try again.
	ErrConflict = errors.New("record changed meanwhile")
	// ErrIdentity is an ErrConflict: an identity belongs to another resource.
	ErrIdentity = fmt.Errorf("%w: an identity belongs to another one", ErrConflict)
	// ErrNotFound: there is no such thing.
	ErrNotFound = errors.New("not found")
	// ErrDeleted: the resource was deleted.
	ErrDeleted = errors.New("deleted")
	// ErrKeyUsed: the idempotency key came with another request before; nothing
	// was written.
	ErrKeyUsed = errors.New("the idempotency key was used with another request")
	// ErrRepeated: the request was done before under its idempotency key, and
	// Records.Outcome tells what came of it; nothing was written.
	ErrRepeated = errors.New("the request was done before under its idempotency key")
	// ErrUnavailable is wrapped by every error that may pass by itself: the
	// database is away, the disk is full. Nothing was written, or nobody could
	// be asked whether it was: to do the same again is safe.
	ErrUnavailable = errors.New("store is not available")
	// ErrCursor: the cursor of a page is none that this store has made.
	ErrCursor = errors.New("the page cursor is not one of this store")
	// ErrCostly: the search has more values than one statement carries.
	ErrCostly = errors.New("the search has too many values")
)

// A Store is everything one database holds. All its methods may be called from
// any goroutine; each write has returned only when its commit is synced.
type Store interface {
	Journal
	Work
	Batches
	Records
	// Failed is closed when the store can write no more (an error of write,
	// sync or commit): the process has to end and recover from the log.
	Failed() <-chan struct{}
	// Survives says what a commit survives: "process", "machine", "site".
	Survives() string
	Close() error
}

// A Journal is open to every engine. Calls are grouped into shared commits;
// each has returned only when its own is synced.
type Journal interface {
	// Chunk writes part n, from 0, of the large body named id, at most
	// MaxChunk bytes, before Record refers to it. Chunks that no message
	// refers to are swept after an hour.
	Chunk(ctx context.Context, id string, n int, data []byte) error
	// Record is T1. A copy finds the entry of the first, with its answer. The
	// caller has set ID, Channel, Header, State (Stored or Refused), Reason,
	// Answer and Raw (or Body, by Intake.Chunks).
	Record(ctx context.Context, in Intake) (Entry, error)
	// TakeOver is T5: unit is owned by this engine under a new epoch. What
	// was being sent is waiting again, maybe sent; where another engine may
	// still be at it, it is due after grace. ErrOwned when an engine that is
	// alive owns it.
	TakeOver(ctx context.Context, unit string, grace time.Duration) (Lease, error)
	// Operate is T6: what an operator has decided; who and why. ErrNotFound,
	// ErrNotStored, ErrPruned, ErrNotWaiting, ErrOvertaken, ErrTaken.
	Operate(ctx context.Context, o Order) error
	// Unit returns the id of the channel (a name without a slash) or route
	// (channel/route) of this name: of the unit that has the name; else of the
	// one that is named was, which gets this name, and with a channel its
	// routes; else of a new one.
	Unit(ctx context.Context, name, was string) (id string, err error)
	// Start says who makes the messages that written resources start. It is
	// called before anything is written.
	Start(t Trigger)
}

// MaxChunk is the largest part of a body in bytes; bodies above it are kept in
// chunks.
const MaxChunk = 1 << 20

// An Intake is one message to be recorded.
type Intake struct {
	Message *message.Message
	// Chunks is the id under which the parts of a large body were written;
	// empty when Message.Raw is the whole.
	Chunks string
	// RefuseClash refuses a message whose sender and control id were seen
	// with other content (`duplicates: refuse`): state, reason and answer are
	// then Clashed.
	RefuseClash bool
	Clashed     struct {
		Reason string
		Answer message.Answer
	}
	// Recorded, if it is not nil, is called with Message.Seq set when a message
	// is durably stored that was not there before, as soon as that is known:
	// before Record returns, from another goroutine. It does not block.
	Recorded func(entry *Entry)
}

// Tell calls Recorded where the entry of a message says so.
func (in *Intake) Tell(entry *Entry) {
	if in.Recorded != nil && entry.State == message.Stored && !entry.Copy {
		in.Message.Seq = entry.Seq
		in.Recorded(entry)
	}
}

// Ordered is a store of which the messages become visible in the order of their
// Seq: whoever has seen one has seen all before it. Intake.Recorded is called in
// that order too.
type Ordered interface{ Ordered() }

// An Entry is what the journal holds of a recorded message.
type Entry struct {
	Seq int64
	ID  string
	// Copy is true when the message was there already; the entry is that of
	// the first.
	Copy bool
	// Clash is true when the sender used the control id before with other
	// content.
	Clash  bool
	State  message.State
	Reason string
	Answer message.Answer
	Run    int
	// Keys are those of a message that is new as its row has them, and Survivors
	// the keys into which they had been merged, empty where they had not. Only an
	// Ordered store says so.
	Keys, Survivors [2]string
}

// A Lease is a unit owned by this engine under one epoch. Every call begins
// with the fence; after ErrFenced nothing was written and the unit is dropped.
type Lease interface {
	Bundler
	Unit() string
	Epoch() int64
	// Began is written before a message is worked on that may kill the
	// process (a large one, a script), or while one takes long: its count of
	// crashes grows by one, and Finish takes it back.
	Began(ctx context.Context, seq int64) error
	// Spared takes back what one Began counted when the message is put off
	// without an outcome: the process lives, or ends in order.
	Spared(ctx context.Context, seq int64) error
	// Rules is called before the first Finish under a lease of a channel: it
	// notes by what rule of order the deliveries of its routes are made from
	// now on, by the route's unit. Those open under another rule are behind a
	// barrier from then on: Work.Barrier.
	Rules(ctx context.Context, rules map[string]string) error
	// Finish is T2: one message's state, effects, deliveries, audit and trace.
	// ErrNotStored: somebody has finished, dropped or reprocessed it.
	// ErrConflict: a write's expectation did not hold.
	Finish(ctx context.Context, o Outcome) error
	// Claim is T3: the delivery is sending, and is returned with its payload.
	// ErrNotWaiting: an operator was first.
	Claim(ctx context.Context, n int64) (message.Delivery, error)
	// Answer is T4, and T3 of next in the same commit: next is returned with
	// its payload; N is 0 when there is no next or it is not waiting any more.
	// After an error neither happened.
	Answer(ctx context.Context, a Answer, next int64) (message.Delivery, error)
	// Valid reports whether something may be started under the lease: it is
	// false shortly before another engine may take the unit over.
	Valid() bool
	// Prune takes the content of messages away that have ended, with their
	// payloads, answers and traces, as many as there is time for; it is called
	// under a lease of UnitKeep. One that has not ended is left as it is.
	Prune(ctx context.Context, seqs []int64) (Pruned, error)
	// Release hands the unit back.
	Release(ctx context.Context) error
}

// An Outcome is what processing made of one message.
type Outcome struct {
	Seq    int64
	Run    int
	State  message.State // Done, Filtered, Refused or Parked
	Reason string
	Answer message.Answer
	// Writes are the effects in the FHIR store.
	Writes []Write
	// Deliveries have ID, Unit, Part, Key, Key2, Late, Control and Payload or
	// Original set. One with a Due is not to be sent before, and says so of
	// its first attempt; without, it is due when it is made.
	Deliveries []message.Delivery
	// Intakes are messages of other channels that this one becomes.
	Intakes []Intake
	// Alias, if it is not empty, is the key that was merged into Survivor.
	Alias, Survivor string
	// Via are the channels it came through, this one included.
	Via      string
	Events   []Event
	Worklist []WorkItem
	// Actor is who the audit row names: "channel:lab-results".
	Actor string
}

// An Event is one line of a message's trace. Step and Text hold no value of a
// message.
type Event struct {
	At   time.Time `json:"at"`
	Run  int       `json:"run"`
	Step string    `json:"step"` // "recorded", "parsed", "mapped", "wrote", …
	Text string    `json:"text,omitempty"`
	// Ref names what the step wrote: "Observation/…", a delivery's id.
	Ref string `json:"ref,omitempty"`
	// Who did it, for operators' steps.
	Who string `json:"who,omitempty"`
}

// A WorkItem is something people must look at.
type WorkItem struct {
	Kind  string // "unmapped", "ambiguous", "clash", "conversion", "unmatched", "refused"
	Where string
	Table string
	// Code is the code a table lacks; it is shown on the work list only.
	Code string
	Text string
}

// An Order is something an operator has decided.
type Order struct {
	// Action is one of the Act constants.
	Action string
	// Message is the id of the message concerned; Unit the unit to be held or
	// resumed; Delivery the id of the delivery concerned, To the unit it is
	// moved to.
	Message  string
	Unit     string
	Delivery string
	To       string
	// Late sends a delivery although younger ones of its key have arrived.
	Late bool
	Who  string
	Why  string
}

// The actions of an operator.
const (
	ActReprocess = "reprocess" // parked or stored → stored, run + 1
	ActRelease   = "release"   // parked by a check that holds → stored, run + 1; the check lets it pass
	ActDrop      = "drop"      // stored or parked → dropped
	ActPause     = "pause"     // the unit is held
	ActResume    = "resume"

	ActRetry        = "retry"         // a delivery: parked → waiting, at the end of its key
	ActPark         = "park"          // waiting → parked
	ActMove         = "move"          // waiting or parked → waiting in another route
	ActDropDelivery = "drop delivery" // waiting or parked → dropped
)

// StepReleased is the step of the trace that ActRelease writes.
const StepReleased = "released"

// Work reads what an owner schedules from and what people look at.
type Work interface {
	// Stored lists the messages of channel in state stored with a seq above
	// after, in the order of seq, without Raw.
	Stored(ctx context.Context, channel string, after int64, limit int) ([]*message.Message, error)
	// Load returns one message with its content (Raw, or Body for a large one).
	Load(ctx context.Context, seq int64) (*message.Message, error)
	// Find returns the message with this id, or whose id begins so if there
	// is only one, with its content. ErrNotFound otherwise.
	Find(ctx context.Context, id string) (*message.Message, error)
	// List returns messages without content, the newest first.
	List(ctx context.Context, f Filter) ([]*message.Message, error)
	// Trace returns the events of a message in their order.
	Trace(ctx context.Context, seq int64) ([]Event, error)
	// Ledger counts messages by channel and state.
	Ledger(ctx context.Context) ([]Count, error)
	// Open lists the waiting deliveries of a unit after (pos, n), in that
	// order, without payload. Their keys are those of the survivors of merges.
	Open(ctx context.Context, unit string, pos, n int64, limit int) ([]message.Delivery, error)
	// OpenOf lists the waiting deliveries that carry a key, the oldest first.
	OpenOf(ctx context.Context, unit, key string, limit int) ([]message.Delivery, error)
	// Floor is the smallest seq of channel that is still stored, or with parked
	// also one that is parked; when none is, one above the largest seq there is.
	Floor(ctx context.Context, channel string, parked bool) (int64, error)
	// Queues lists the routes that have or had deliveries.
	Queues(ctx context.Context) ([]QueueState, error)
	// Deliveries lists deliveries without payload, in the order they were made.
	Deliveries(ctx context.Context, f DeliveryFilter) ([]message.Delivery, error)
	// FindDelivery returns the delivery with this id, or whose id begins so if
	// there is only one, with payload and answer. ErrNotFound otherwise.
	FindDelivery(ctx context.Context, id string) (message.Delivery, error)
	// Overtaken reports whether a delivery of a message younger than seq has
	// arrived under one of the keys, or another name of it. Empty keys are none.
	Overtaken(ctx context.Context, unit string, keys []string, seq int64) (bool, error)
	// Busy lists the channels that have stored messages and the routes that
	// have open deliveries.
	Busy(ctx context.Context) ([]string, error)
	// ParkedKeys lists the parked messages of a channel, without content.
	ParkedKeys(ctx context.Context, channel string) ([]*message.Message, error)
	// Elsewhere lists the units that other engines own which are alive.
	Elsewhere(ctx context.Context) (map[string]bool, error)
	// Runs notes which configuration of each unit (a hash, by id) this engine
	// runs from now on.
	Runs(ctx context.Context, hashes map[string]string) error
	// Older lists the units of which another engine that is alive runs another
	// configuration, which it began to run later: they are not to be owned here.
	Older(ctx context.Context) (map[string]bool, error)
	// Units lists the channels and routes that there are or were.
	Units(ctx context.Context) ([]Unit, error)
	// Barrier is the largest n of the deliveries of a unit that were made by
	// another rule of order than those above it and of which one is still
	// open; 0 when there is none: those above may start. One that is visible
	// before the call and was made under the new rule is above it.
	Barrier(ctx context.Context, unit string) (int64, error)
	// Held returns the reasons of the units that an operator holds.
	Held(ctx context.Context) (map[string]string, error)
	// Ended finds the messages of a block whose content is not to be kept any
	// longer: those that are done, filtered, dropped or refused and whose
	// deliveries are all closed. Nothing that is stored or parked, or has a
	// delivery that is open or parked, is among them.
	Ended(ctx context.Context, b Block, k Keeping) (Ended, error)
	// Worklist returns the open items, the newest first.
	Worklist(ctx context.Context, limit int) ([]WorkItem, error)
}

// A Filter selects messages; zero values select all.
type Filter struct {
	Channel string
	State   message.State
	Control string
	Type    string
	Sender  string
	Key2    string // the second key of order, by which also parts are found
	Before  int64  // seq below this
	Limit   int    // 0: 100
}

// A Unit is a channel, or a route of a channel. Its ID stays when it is renamed;
// every other call of the store takes and returns IDs.
type Unit struct {
	ID, Name string
	// Rule is the rule of order by which its deliveries are made.
	Rule string
}

// A Count is one line of the ledger: of the messages of a channel, or of the
// deliveries of a route.
type Count struct {
	Channel string
	State   message.State
	N       int64
}

// Body is what Message.Body of a large message returns.
type Body func(context.Context) (io.ReadCloser, error)
