package store

import "time"

// A HistoryQuery asks for versions in the order in which they were written, the
// newest first.
type HistoryQuery struct {
	// Type and ID name a resource; without ID all of a type are meant, without
	// Type all there are.
	Type, ID string
	// Since leaves out what was written before it, in microseconds UTC.
	Since int64
	// At keeps what was current at some moment of the period, which is given as
	// microseconds UTC, the first and the last.
	At *[2]int64
	// Before is where the page before ended (HistoryPage.Next); 0 for the newest.
	Before int64
	// Limit is the number of versions of a page; 0 counts only.
	Limit int
	// Bytes bounds the contents that are read along: those beyond it are nil.
	// 0 means no bound.
	Bytes int
}

// A HistoryPage is one page of a history.
type HistoryPage struct {
	Versions []Resource
	// Next is where the next page begins, 0 when there is none. What is
	// written meanwhile stands before all pages and moves none.
	Next int64
	// Total is the number of versions of a resource; -1 for a type or all.
	Total int
}

// A Change is one line of the change log.
type Change struct {
	// Pos is its place: when a line can be seen, so can be all whose place is
	// before it and all that was committed before it was written.
	Pos     int64
	At      time.Time
	Type    string
	ID      string
	Version int
	Deleted bool
	// Message is Entry.Seq of the message that wrote it; 0 for the API.
	Message int64
}
