package store

import (
	"errors"
	"time"
)

// ErrPruned: the content of the message is not kept any more; nothing was
// written.
var ErrPruned = errors.New("the content of the message is not kept any more")

// UnitKeep is the unit whose owner takes content away; no channel and no route
// has this name.
const UnitKeep = "(keep)"

// Keeping says how long the content of messages stays after everything about
// them has ended.
type Keeping struct {
	// For is how long, by channel.
	For map[string]time.Duration
	// Else is how long for the channels that are not named.
	Else time.Duration
	// Now is what their ends are compared with.
	Now time.Time
}

// A Block are the messages with a seq above After and up to Upto.
type Block struct {
	After, Upto int64
	// Recorded is when the newest message before it was recorded: one in the
	// block that says it was recorded before that met a clock that was wrong.
	Recorded time.Time
}

// Ended is what a block has that has ended.
type Ended struct {
	// Due are the messages whose content is to be taken away.
	Due []int64
	// Next is when one more will be; zero when no content is left in the block.
	Next time.Time
	// Recorded is as Block.Recorded, for the block that follows.
	Recorded time.Time
	// Last: there is no message above the block.
	Last bool
}

// Pruned is what was taken away.
type Pruned struct {
	// Messages is how many lost their content, by channel.
	Messages map[string]int
	// Bytes are those of their contents, payloads and answers.
	Bytes int64
	// Left are those that there was no time for, or of which parts are left.
	Left []int64
}
