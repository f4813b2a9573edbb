package channels

import (
	"sync"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

// fresh are the messages that were stored since the owner of a channel has last
// looked, in the order of their Seq, so that it need not read their rows: only
// where the store is one of which messages become visible in that order. It is
// bounded; a list that was cut short is of no use, the rows are read then.
type fresh struct {
	mu   sync.Mutex
	desk *desk // whose list it is
	list []*message.Message
	cut  bool
}

// begin makes the list that of a desk, which is going to read the rows.
func (f *fresh) begin(d *desk) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.desk, f.list, f.cut = d, nil, false
}

// add notes a message: what orders it, by the keys as they are called now.
func (f *fresh) add(m *message.Message, entry *store.Entry) {
	n := &message.Message{Seq: entry.Seq, Header: message.Header{Key: m.Header.Key, Key2: m.Header.Key2}}
	if survivor := entry.Survivors[0]; survivor != "" {
		n.MadeKey, n.Header.Key = n.Header.Key, survivor
	}
	if survivor := entry.Survivors[1]; survivor != "" {
		n.MadeKey2, n.Header.Key2 = n.Header.Key2, survivor
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.desk == nil || f.cut:
	case len(f.list) == window:
		f.list, f.cut = nil, true
	default:
		f.list = append(f.list, n)
	}
}

// take returns what was stored since the last time, and whether that is all.
func (f *fresh) take(d *desk) (list []*message.Message, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.desk != d {
		return nil, false
	}
	list, all = f.list, !f.cut
	f.list, f.cut = nil, false
	return list, all
}

// end says that nobody asks for the list any more.
func (f *fresh) end(d *desk) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.desk == d {
		f.desk, f.list = nil, nil
	}
}
