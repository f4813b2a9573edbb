package network

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/plexus-health/plexus/connectors"
)

// Bounds of the patience with connections when others want their seats.
const (
	Grace = 5 * time.Second // with one that has not delivered a message yet, or has not ended the one it began
	Quiet = time.Minute     // with one that has delivered messages and is silent
	share = 4               // an address may hold a quarter of the seats, whatever it does with them
)

// A Room has a seat for each connection of a listener, and not more than it was
// told. When all are taken, a newcomer gets the seat of the connection that has
// the least right to it: nobody keeps others out by saying nothing. A connection
// whose message is being answered never loses its seat.
type Room struct {
	Seats int
	Each  int                    // most seats of one address; 0: as many as there are
	Env   connectors.Environment // with its defaults

	mu    sync.Mutex
	taken []*Seat // the oldest first
}

// A Seat is the place of one connection in a Room. Its methods tell the room
// what the connection does. A nil Seat is that of a connection that nobody
// waits for.
type Seat struct {
	room *Room
	conn net.Conn
	peer netip.Addr

	since  time.Time // taken, or its last message was answered
	began  time.Time // the first byte of the message in hand; zero: there is none
	served bool      // at least one message was answered
	held   bool      // a message came whole and is not answered yet
	lost   bool
}

// A reason says why a connection loses its seat; the smallest outweighs others.
type reason int

const (
	keeps      reason = iota // there is none
	silent                   // it delivered no message within Grace
	unfinished               // it did not end a message within Grace
	idle                     // it was silent for Quiet
	unproven                 // its address holds more than its share, and it has delivered nothing
	beyond                   // its address holds more than its share
)

func (r reason) String() string {
	return [...]string{
		"none", "it has delivered no message yet", "its message did not end", "it was silent for long",
		"its address has more than its share", "its address has more than its share",
	}[r]
}

// Enter gives a connection a seat, if need be that of another, which is closed.
// nil: there is none, and the connection was closed. Both are counted and logged.
func (r *Room) Enter(conn net.Conn) *Seat {
	seat, displaced, why := r.seat(conn)
	switch {
	case seat == nil:
		r.Env.Count("connection-refused", 1)
		r.Env.Log.Warn("all connections are taken, connection closed",
			"peer", conn.RemoteAddr().String(), "connections", r.Seats)
		_ = conn.Close() // nothing was read from it
	case displaced != nil:
		r.Env.Count("connection-displaced", 1)
		r.Env.Log.Warn("all connections are taken, one is closed in favour of another",
			"peer", displaced.conn.RemoteAddr().String(), "reason", why.String(),
			"other", conn.RemoteAddr().String(), "connections", r.Seats)
		_ = displaced.conn.Close() // whoever reads from it is told
	}
	return seat
}

// seat finds a seat, and the connection that loses it.
func (r *Room) seat(conn net.Conn) (seat, displaced *Seat, why reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seat = &Seat{room: r, conn: conn, peer: AddressOf(conn.RemoteAddr()), since: r.Env.Now()}
	if r.Each > 0 {
		own := 0
		for _, s := range r.taken {
			if s.peer == seat.peer {
				own++
			}
		}
		if own >= r.Each {
			return nil, nil, keeps
		}
	}
	if len(r.taken) >= r.Seats {
		if displaced, why = r.weakest(seat); displaced == nil {
			return nil, nil, keeps
		}
		displaced.lost = true
		r.leave(displaced)
	}
	r.taken = append(r.taken, seat)
	return seat, displaced, why
}

// weakest is the connection that makes room for a newcomer: for the strongest
// reason, then of the address that has most of what the reason is about, then
// the one that has done nothing for the longest time.
func (r *Room) weakest(newcomer *Seat) (found *Seat, why reason) {
	c := contest{seats: r.Seats, newcomer: newcomer, all: map[netip.Addr]int{}, silent: map[netip.Addr]int{}}
	for _, s := range r.taken {
		c.all[s.peer]++
		if !s.served && !s.held {
			c.silent[s.peer]++
		}
	}
	var most int
	for _, s := range r.taken {
		because, count := c.weigh(s)
		if because == keeps {
			continue
		}
		if found == nil || because < why || because == why &&
			(count > most || count == most && s.waits().Before(found.waits())) {
			found, why, most = s, because, count
		}
	}
	return found, why
}

// waits is since when nothing has come of a connection.
func (s *Seat) waits() time.Time {
	if s.served && !s.began.IsZero() {
		return s.began
	}
	return s.since
}

// A contest is a newcomer's for one of the seats, all of which are taken.
type contest struct {
	seats       int
	newcomer    *Seat
	all, silent map[netip.Addr]int // connections of an address; those that have delivered nothing
}

// weigh returns the reason for which a connection makes room for the newcomer,
// and how many of the sort its address has. An address that has no fewer of them
// than others does not drive these out: it gets only places of its own.
func (c *contest) weigh(s *Seat) (why reason, count int) {
	all, quiet, own := c.all[s.peer], c.silent[s.peer], s.peer == c.newcomer.peer
	waited := c.newcomer.since.Sub(s.waits())
	switch more := all > c.all[c.newcomer.peer]; {
	case s.held:
		return keeps, 0
	case !s.served && waited > Grace && (own || quiet > c.silent[c.newcomer.peer]):
		return silent, quiet
	case s.served && !s.began.IsZero() && waited > Grace && (own || more):
		return unfinished, all
	case s.served && s.began.IsZero() && waited > Quiet && (own || more):
		return idle, all
	// Two more, so that seats do not go to and fro between two addresses.
	case own || share*all <= c.seats || all < c.all[c.newcomer.peer]+2:
		return keeps, 0
	case !s.served:
		return unproven, all
	}
	return beyond, all
}

// leave takes a connection out of the room.
func (r *Room) leave(s *Seat) {
	if at := slices.Index(r.taken, s); at >= 0 {
		r.taken = slices.Delete(r.taken, at, at+1)
	}
}

// Begin says that a message has begun.
func (s *Seat) Begin() {
	if s == nil {
		return
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.began.IsZero() { // a message that begins again and again is one
		s.began = s.room.Env.Now()
	}
}

// Void says that what had begun was no message.
func (s *Seat) Void() {
	if s == nil {
		return
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.began = time.Time{}
}

// Hold says that a message came whole: the seat cannot be lost before Rest. It
// reports false when it is lost already; then the message is not to be taken.
func (s *Seat) Hold() bool {
	if s == nil {
		return true
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.held = !s.lost
	return s.held
}

// Rest says that the message was answered.
func (s *Seat) Rest() {
	if s == nil {
		return
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.since, s.began, s.served, s.held = s.room.Env.Now(), time.Time{}, true, false
}

// Lost reports whether the connection was closed in favour of another.
func (s *Seat) Lost() bool {
	if s == nil {
		return false
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	return s.lost
}

// Leave gives the seat back; one that was lost has been given already.
func (s *Seat) Leave() {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.room.leave(s)
}
