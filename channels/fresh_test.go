package channels

import (
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
	"github.com/plexus-health/plexus/store"
)

func TestFresh(t *testing.T) {
	f, d, other := &fresh{}, &desk{}, &desk{}
	add := func(seq int64) {
		f.add(&message.Message{Header: message.Header{Key: "a", Key2: "b"}}, &store.Entry{Seq: seq, Survivors: [2]string{"", "c"}})
	}
	expect := func(what string, d *desk, n int, all bool) []*message.Message {
		t.Helper()
		list, whole := f.take(d)
		if len(list) != n || whole != all {
			t.Fatalf("%s: %d messages, all %v; want %d, %v", what, len(list), whole, n, all)
		}
		return list
	}
	add(1)
	expect("before a desk begins", d, 0, false)
	f.begin(d)
	expect("what was told before stands in the rows", d, 0, true)
	add(2)
	add(3)
	list := expect("since", d, 2, true)
	if m := list[0]; m.Seq != 2 || m.Header.Key != "a" || m.MadeKey != "" || m.Header.Key2 != "c" || m.MadeKey2 != "b" {
		t.Errorf("keys: %+v", m)
	}
	expect("once", d, 0, true)
	for i := range int64(window + 1) {
		add(4 + i)
	}
	expect("more than is kept", d, 0, false)
	add(window + 9)
	expect("after the rows were read", d, 1, true)
	f.begin(other)
	add(window + 10)
	expect("of another desk", d, 0, false)
	f.end(d)
	expect("its own", other, 1, true)
	f.end(other)
	add(window + 11)
	expect("after its end", other, 0, false)
}

// A poke that an owner did not see because it was leaving is not left to the poll.
func TestPokedWhileLeaving(t *testing.T) {
	now := time.Now()
	l, pokes := &Line{options: Options{Now: func() time.Time { return now }}}, make(chan struct{}, 1)
	if due := l.again(time.Time{}, pokes); !due.IsZero() {
		t.Errorf("nobody poked: again at %v", due)
	}
	pokes <- struct{}{}
	if due := l.again(time.Time{}, pokes); !due.Equal(now) {
		t.Errorf("somebody poked: again at %v, want now", due)
	}
	if due := l.again(now.Add(time.Hour), pokes); !due.Equal(now.Add(time.Hour)) {
		t.Errorf("not to be looked at before: again at %v", due)
	}
}
