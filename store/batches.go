package store

import (
	"context"
	"math"
	"time"

	"github.com/plexus-health/plexus/message"
)

// A Lot is what waits of a route that sends files and belongs into one file.
type Lot struct {
	// Name is what their route gave them; empty where it says nothing.
	Name string
	// Count is how many wait, as far as it was counted; First the id of the
	// first of them in order.
	Count int
	First string
}

// A Batch is a file of several deliveries of one route. It is made once, in the
// transaction that claims them, and sent as it is until it is taken: T4 and T5
// apply to all of them.
type Batch struct {
	// N names its row; 0 until Bundle has written it.
	N int64
	// ID names it for people and receivers, as that of a delivery does.
	ID  string
	Lot string
	// Number counts the files of the unit, from 1; Control is the control id
	// that the file bears.
	Number  int64
	Control string
	Payload []byte
	// Deliveries are those in it, in their order, without payload. The
	// attempts, class and doubts of the first are those of the file.
	Deliveries []message.Delivery
}

// All is below every delivery and above none: no bound.
const All = math.MaxInt64

// A Selection says which waiting deliveries of a unit may go into a file: those
// below a position (the floor of order) and not above a number (a barrier).
type Selection struct {
	Unit  string
	Below int64
	UpTo  int64
	// Plain: those without a lot are looked for too, which costs more the more
	// there are with one.
	Plain bool
}

// Batches reads and writes the files of routes with `batch:`.
type Batches interface {
	// Lots lists what waits outside of files. It counts up to most of each: a
	// look costs the same however many wait.
	Lots(ctx context.Context, s Selection, most int) ([]Lot, error)
	// LotOf lists what may go into the next file of a lot, in order and with
	// payloads: no older delivery of the same key is open elsewhere. It stops
	// at limit deliveries, or when their payloads have bytes together, which is
	// full; one is always given.
	LotOf(ctx context.Context, s Selection, lot string, limit int, bytes int64) (list []message.Delivery, full bool, err error)
	// Closed lists the files of a unit whose deliveries wait, in the order they
	// were made, without payload.
	Closed(ctx context.Context, unit string) ([]Batch, error)
	// LastNumber is the number of the last file of a unit; 0 when there is none.
	LastNumber(ctx context.Context, unit string) (int64, error)
}

// A Bundler is a Lease of a route that sends files.
type Bundler interface {
	// Bundle is T3 of a new file: it is written, and its deliveries are
	// sending. ErrNotWaiting: an operator was first with one of them, and
	// nothing was written. ErrConflict: the number is taken.
	Bundle(ctx context.Context, b Batch, at time.Time) (Batch, error)
	// Resend is T3 of a file that is sent again. ErrNotWaiting as above.
	Resend(ctx context.Context, n int64) (Batch, error)
	// AnswerBatch is T4 of all deliveries of a file, one answer for each, all
	// or nothing. A successor without a payload gets that of its delivery.
	AnswerBatch(ctx context.Context, n int64, answers []Answer) error
}
