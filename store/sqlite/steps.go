package sqlite

import "github.com/plexus-health/plexus/internal/killpoint"

// A step is a durable step with a name, one bit each: before_<name>_commit and
// after_<name>_commit (internal/killpoint).
type step uint8

const (
	stepT2 step = 1 << iota
	stepT5
	stepT6
	stepWrite
)

// names are those of the steps.
func (s step) names() []string {
	var out []string
	for i, name := range []string{"t2", "t5", "t6", "write"} {
		if s&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// hit passes the named steps that are in a batch, each of them once.
func hit(when string, batch []*op) {
	var steps step
	for _, o := range batch {
		if o.err == nil {
			steps |= o.step
		}
	}
	for _, name := range steps.names() {
		killpoint.Hit(when + "_" + name + "_commit")
	}
}
