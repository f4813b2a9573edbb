// Package queue holds tickets: which unit has work, for which engine, when. It
// says "look now"; the database is the truth about what there is to do.
package queue

import (
	"context"
	"time"
)

// A Queue hands runnable units to engines. It may forget everything at any
// time: whoever pushes polls as well.
type Queue interface {
	// Push says that unit has work at due; it replaces what was pushed before.
	Push(ctx context.Context, unit string, due time.Time) error
	// Run hands units to take until ctx ends, never one unit to two calls at
	// once, and returns after the last call of take has returned. take
	// returns when the unit is to come again; the zero time when nothing of
	// it is open. A push during take is not lost: the unit comes again.
	Run(ctx context.Context, take func(ctx context.Context, unit string) time.Time) error
}
