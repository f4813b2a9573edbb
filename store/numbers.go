package store

import "context"

// Numbers are kept under a lease of a route whose deliveries are counted with the
// receiver (the sequence number protocol of HL7 v2). Which delivery had a number
// last is durable before a byte of it leaves, so that what the receiver says of its
// count after a crash tells which deliveries it has.
type Numbers interface {
	// Number gives a delivery that is sending a number, in place of one that it
	// had. Who had this number before, or a higher one, has none any more: the
	// receiver counts anew from there. 0 leaves the delivery without one.
	// ErrNotSending, ErrFenced: nothing was written.
	Number(ctx context.Context, n, number int64) error
	// Numbered is the number of a delivery, 0 where it has none.
	Numbered(ctx context.Context, n int64) (int64, error)
}
