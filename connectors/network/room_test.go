package network

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plexus-health/plexus/connectors"
)

// A guest is a connection of a test that only can be closed.
type guest struct {
	net.Conn
	from   string
	closed atomic.Bool
}

func (g *guest) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(g.from), Port: 40000}
}

func (g *guest) Close() error { g.closed.Store(true); return nil }

// A clock is set by its test.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time        { return time.Unix(1_800_000_000, c.nanos.Load()) }
func (c *clock) pass(d time.Duration)  { c.nanos.Add(int64(d)) }
func (c *clock) since(d time.Duration) { c.nanos.Store(int64(time.Hour - d)) }

// newRoom makes a room that counts into events.
func newRoom(seats int) (*Room, *clock, *sync.Map) {
	c, events := &clock{}, &sync.Map{}
	env := connectors.Environment{Now: c.now, Count: func(event string, n int) {
		was, _ := events.LoadOrStore(event, new(atomic.Int64))
		was.(*atomic.Int64).Add(int64(n))
	}}
	return &Room{Seats: seats, Env: env.WithDefaults()}, c, events
}

// What a connection of a test has done.
const (
	said     = "nothing"
	opened   = "begun its first message"
	served   = "been answered"
	reopened = "been answered and begun another"
	held     = "a message that is being answered"
)

// do does it.
func do(s *Seat, what string) {
	switch what {
	case opened:
		s.Begin()
	case served, reopened:
		s.Begin()
		s.Hold()
		s.Rest()
		if what == reopened {
			s.Begin()
		}
	case held:
		s.Begin()
		s.Hold()
	}
}

// A sitter is a connection that has a seat, and has had it for so long.
type sitter struct {
	peer, has string
	waits     time.Duration
}

const (
	a, b, c = "192.0.2.1", "192.0.2.2", "2001:db8::3"
	second  = time.Second
)

func times(n int, s sitter) []sitter {
	var all []sitter
	for range n {
		all = append(all, s)
	}
	return all
}

func TestWhoMakesRoom(t *testing.T) {
	tests := map[string]struct {
		room     []sitter
		newcomer string
		loses    int // place in room; -1: nobody
		why      reason
	}{
		"the one that has said nothing for the longest time": {
			[]sitter{{a, said, 6 * second}, {b, said, 9 * second}, {c, said, 7 * second}}, "192.0.2.9", 1, silent,
		},
		"nobody within the grace": {
			[]sitter{{a, said, 5 * second}, {b, opened, 4 * second}, {c, served, 5 * second}}, "192.0.2.9", -1, keeps,
		},
		"a first message that does not end is no message": {
			[]sitter{{a, served, 50 * second}, {b, opened, 6 * second}, {c, served, 50 * second}}, "192.0.2.9", 1, silent,
		},
		"a message that does not end, after others that did": {
			[]sitter{{a, served, 50 * second}, {b, served, 50 * second}, {c, reopened, 6 * second}, {c, served, 0}}, "192.0.2.9", 2, unfinished,
		},
		"who was silent outweighs who was idle": {
			[]sitter{{a, served, time.Hour}, {b, reopened, time.Hour}, {c, said, 6 * second}}, "192.0.2.9", 2, silent,
		},
		"idle connections keep their seats for a while": {
			[]sitter{{a, served, time.Minute}, {b, served, 59 * second}}, "192.0.2.9", -1, keeps,
		},
		"the one that is idle for the longest time": {
			[]sitter{{a, served, 61 * second}, {b, served, 62 * second}}, "192.0.2.9", 1, idle,
		},
		"never one whose message is being answered": {
			[]sitter{{a, held, time.Hour}, {b, held, time.Hour}}, "192.0.2.9", -1, keeps,
		},
		"one of the address with the most silent ones": {
			[]sitter{{a, said, time.Minute}, {b, said, 6 * second}, {b, said, 7 * second}}, "192.0.2.9", 2, silent,
		},
		"an address with many silent ones drives out no other": {
			append(times(9, sitter{a, said, second}), sitter{b, said, 9 * second}), a, -1, keeps,
		},
		"but gets its own places": {
			append(times(9, sitter{a, said, 6 * second}), sitter{b, said, 9 * second}), a, 0, silent,
		},
		"an address that works gets the place of a silent one": {
			append(times(9, sitter{a, served, second}), sitter{b, said, 9 * second}), a, 9, silent,
		},
		"an address that works drives out no idle one": {
			append(times(9, sitter{a, served, second}), sitter{b, served, time.Hour}), a, -1, keeps,
		},
		"an address beyond its share has no grace": {
			append(times(3, sitter{b, served, second}), times(7, sitter{a, said, 0})...), c, 3, unproven,
		},
		"an address beyond its share gives idle ones, too": {
			append(times(7, sitter{a, held, 0}), times(3, sitter{a, served, 0})...), b, 7, beyond,
		},
		"what has delivered nothing goes first": {
			append(times(4, sitter{a, served, 50 * second}), sitter{a, said, 0}), b, 4, unproven,
		},
		"a share is a quarter": {
			append(append(times(2, sitter{a, served, 0}), times(2, sitter{b, served, 0})...), times(4, sitter{c, held, 0})...), "192.0.2.9", -1, keeps,
		},
		"seats do not go to and fro": {
			append(times(2, sitter{a, served, 0}), sitter{b, served, 0}), b, -1, keeps,
		},
		"one seat is enough for one": {
			[]sitter{{a, served, 0}}, b, -1, keeps,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, clock, events := newRoom(len(test.room))
			var seats []*Seat
			for _, s := range test.room {
				clock.since(s.waits)
				seat := r.Enter(&guest{from: s.peer})
				do(seat, s.has)
				seats = append(seats, seat)
			}
			clock.since(0)
			g := &guest{from: test.newcomer}
			_, displaced, why := r.seat(g)
			at := -1
			for i, s := range seats {
				if s.Lost() {
					at = i
				}
				if s.Lost() != (s == displaced) {
					t.Errorf("seat %d: lost %v", i, s.Lost())
				}
			}
			if at != test.loses || why != test.why {
				t.Errorf("seat %d is lost because %q, want %d because %q", at, why, test.loses, test.why)
			}
			if len(r.taken) != len(test.room) {
				t.Errorf("%d seats of %d are taken", len(r.taken), len(test.room))
			}
			if n, ok := events.Load("connection-refused"); ok {
				t.Errorf("%v were refused while there was room", n)
			}
		})
	}
}

func TestRoomTellsWhatItDid(t *testing.T) {
	r, clock, events := newRoom(1)
	first, refused, second := &guest{from: a}, &guest{from: b}, &guest{from: b}
	seat := r.Enter(first)
	if r.Enter(refused) != nil || !refused.closed.Load() || first.closed.Load() {
		t.Error("a newcomer was not refused within the grace of the first")
	}
	clock.pass(Grace + 1)
	taken := r.Enter(second)
	if taken == nil || second.closed.Load() || !first.closed.Load() || !seat.Lost() {
		t.Fatal("the first did not make room after its grace")
	}
	if seat.Hold() {
		t.Error("a message counts that came over a connection given up")
	}
	for _, event := range []string{"connection-refused", "connection-displaced"} {
		if n, ok := events.Load(event); !ok || n.(*atomic.Int64).Load() != 1 {
			t.Errorf("%s was not counted once", event)
		}
	}
	seat.Leave() // its place is another's
	if len(r.taken) != 1 || r.taken[0] != taken {
		t.Error("who had lost his seat gave back that of another")
	}
	taken.Leave()
	if len(r.taken) != 0 {
		t.Error("a seat was not given back")
	}
}

func TestSeat(t *testing.T) {
	t.Run("a message that begins again and again is one", func(t *testing.T) {
		r, clock, _ := newRoom(1)
		s := r.Enter(&guest{from: a})
		do(s, reopened)
		for range 6 {
			clock.pass(time.Second)
			s.Begin()
		}
		if r.Enter(&guest{from: b}) == nil {
			t.Error("it kept its seat by beginning again")
		}
	})
	t.Run("frames without content are no messages, nor do they count as one", func(t *testing.T) {
		r, clock, _ := newRoom(1)
		s := r.Enter(&guest{from: a})
		do(s, reopened)
		s.Void()
		clock.pass(Quiet)
		if r.Enter(&guest{from: b}) != nil {
			t.Error("it lost its seat for a frame that was none")
		}
		s.Begin()
		s.Void()
		clock.pass(1)
		if r.Enter(&guest{from: b}) == nil {
			t.Error("it kept its seat with a frame that was none")
		}
	})
	t.Run("no seat is needed where nobody waits", func(t *testing.T) {
		var s *Seat
		s.Begin()
		s.Void()
		s.Rest()
		if !s.Hold() || s.Lost() {
			t.Error("a connection without a seat was lost")
		}
	})
}

// TestNoAddressKeepsOthersOut holds that whatever one address does with any
// number of connections, others get in as long as one of its is not at work.
func TestNoAddressKeepsOthersOut(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		seats := 8 + random.IntN(60)
		r, clock, _ := newRoom(seats)
		for range 5 * seats {
			if s := r.Enter(&guest{from: a}); s != nil {
				do(s, []string{said, opened, served, reopened}[random.IntN(4)])
			}
			clock.pass(time.Duration(random.IntN(int(Grace))))
		}
		for i := range seats / 4 {
			s := r.Enter(&guest{from: fmt.Sprintf("198.51.100.%d", i)})
			if s == nil {
				t.Fatalf("seed %d: newcomer %d of %d seats was refused", seed, i, seats)
			}
			do(s, served)
			r.Enter(&guest{from: a}) // it tries all the time
		}
		if own := r.taken; len(own) > seats {
			t.Fatalf("seed %d: %d connections on %d seats", seed, len(own), seats)
		}
		for _, s := range r.taken {
			if s.lost {
				t.Fatalf("seed %d: somebody sits on a lost seat", seed)
			}
		}
	}
}

// TestWhatIsHeldIsNeverClosed has many connections come, work and go at once;
// time leaps, so that all that is not held is always up for displacement.
func TestWhatIsHeldIsNeverClosed(t *testing.T) {
	const seats = 4
	r, clock, events := newRoom(seats)
	for range seats {
		r.Enter(&guest{from: a}) // these never leave by themselves
	}
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			for range 500 {
				clock.pass(2 * Quiet)
				g := &guest{from: fmt.Sprintf("203.0.113.%d", worker)}
				s := r.Enter(g)
				if s == nil {
					continue
				}
				for range 3 {
					s.Begin()
					if !s.Hold() {
						break
					}
					clock.pass(2 * Quiet)
					runtime.Gosched()
					if g.closed.Load() {
						t.Error("a connection was closed while its message was being answered")
					}
					s.Rest()
				}
				s.Leave()
			}
		})
	}
	group.Wait()
	for _, s := range r.taken {
		if s.lost || s.peer.String() != a {
			t.Error("a seat was not given back")
		}
	}
	if _, ok := events.Load("connection-displaced"); !ok {
		t.Error("nothing was ever displaced")
	}
}
