package main

import (
	"os"
	"runtime/debug"
)

// How much the heap grows, in percent, before it is collected. While the engine
// starts it makes what stays, and a small heap is worth more. While it runs, most
// of what is allocated lives as long as one message: half as many collections are
// worth more than the memory. (More than 200 makes no message cheaper.)
const (
	growthStarting = 100
	growthRunning  = 200
)

// setGrowth sets how much the heap grows, unless whoever started the process said so.
func setGrowth(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// release gives back what starting has left over, a third of the memory an idle
// engine would hold.
func release() {
	debug.FreeOSMemory()
	setGrowth(growthRunning)
}
