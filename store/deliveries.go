package store

import (
	"errors"
	"time"

	"github.com/plexus-health/plexus/message"
)

// The errors of deliveries that callers compare.
var (
	// ErrNotWaiting: the delivery is not waiting any more; it was not claimed.
	ErrNotWaiting = errors.New("delivery is not waiting any more")
	// ErrNotSending: the delivery is not being sent by this engine any more;
	// nothing was written.
	ErrNotSending = errors.New("delivery is not being sent any more")
	// ErrOvertaken: younger deliveries of the same key have arrived already;
	// nothing was written. An operator may send it all the same, late.
	ErrOvertaken = errors.New("younger deliveries of its key have arrived already")
	// ErrTaken: another delivery stands at the place it was to be moved to.
	ErrTaken = errors.New("the route has this delivery already")
)

// An Answer is what became of a send: T4.
type Answer struct {
	// N names the delivery, which this engine has claimed.
	N int64
	// Message and Run are those of the delivery.
	Message int64
	Run     int
	// State is Delivered, Waiting (to be tried again at Due), ParkedDelivery
	// or Diverted (Next takes over).
	State  message.DeliveryState
	Reason string
	Class  message.Kind
	Due    time.Time
	// Unsent: no byte left, so that the attempt does not count.
	Unsent bool
	// MaybeSent: bytes may have left in this attempt or one before, and it is
	// not known what became of them.
	MaybeSent bool
	// Raw is what the peer answered, as it stands.
	Raw []byte
	// Next is the delivery of the failure route, with ID, Unit, Key, Key2,
	// Control and Payload or Original set.
	Next *message.Delivery
	// Intakes are messages of other channels that the answer becomes.
	Intakes []Intake
	// Hold, if it is not empty, holds the unit: the reason of a `stop`.
	Hold     string
	Events   []Event
	Worklist []WorkItem
}

// A DeliveryFilter selects deliveries; zero values select all.
type DeliveryFilter struct {
	Unit    string
	State   message.DeliveryState
	Message int64  // messages.seq
	Key     string // of order, under any of the names it has by merges
	Younger int64  // of messages with a seq above this
	After   int64  // n above this
	Limit   int    // 0: 100
}

// A QueueState is what stands in the queue of one route.
type QueueState struct {
	Unit string `json:"unit"`
	// Counts are by state.
	Waiting   int64 `json:"waiting"`
	Sending   int64 `json:"sending"`
	Delivered int64 `json:"delivered"`
	Parked    int64 `json:"parked"`
	Diverted  int64 `json:"diverted"`
	Dropped   int64 `json:"dropped"`
	// Oldest is when the message of the oldest open delivery was received;
	// zero when none is open.
	Oldest time.Time `json:"oldest,omitzero"`
	// Next is when the head of the queue is due; Reason is what its last
	// attempt came to, Attempts how many there were.
	Next     time.Time `json:"next,omitzero"`
	Reason   string    `json:"reason,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	// Held is why an operator or a `stop` holds it; empty when it runs.
	Held string `json:"held,omitempty"`
}

// Open is the number of deliveries that are not closed.
func (q QueueState) Open() int64 { return q.Waiting + q.Sending }

// A Trigger makes the messages that a written resource starts: those of the
// channels with an `ehr` source. The store asks it before the transaction and
// records what it gives in the transaction that writes the resource.
type Trigger interface {
	// Starts returns the intakes that version of a resource starts. via are
	// the channels that the write came through; empty for the API.
	Starts(w *Write, version int, via string) []Intake
	// Started is called after the commit, once for each channel concerned.
	Started(channel string)
}
