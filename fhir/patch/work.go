package patch

import (
	"context"
	"errors"
)

// mostSteps bounds the work of one patch; a step is what takes about 20 ns, such as
// to look at a node.
const mostSteps = 50_000_000

var errCostly = errors.New("needs more steps than one patch may take")

// A work is what a patch may still do: so many steps, until ctx ends. What has
// run out stays so, and whoever goes over nodes stops there.
type work struct {
	ctx   context.Context //nolint:containedctx // lives as long as one call
	left  int
	until int // steps until ctx is asked again
	err   error
}

func workOf(ctx context.Context) *work { return &work{ctx: ctx, left: mostSteps} }

// take takes steps and reports whether they may be done.
func (w *work) take(steps int) bool {
	if w.err != nil {
		return false
	}
	w.left -= steps
	w.until -= steps
	if w.until < 0 {
		w.until = 1 << 14
		w.err = w.ctx.Err()
	}
	if w.left < 0 && w.err == nil {
		w.err = errCostly
	}
	return w.err == nil
}

// because is the error of an operation as it is told: that ctx has ended is none
// of the patch.
func (w *work) because(operation int, err error) error {
	if w.err != nil {
		err = w.err
	}
	if ended := w.ctx.Err(); ended != nil && errors.Is(err, ended) {
		return err
	}
	return &Error{Operation: operation, Failed: true, Text: err.Error()}
}
