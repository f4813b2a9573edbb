package mllp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plexus-health/plexus/message"
)

// A counter is a receiver that keeps the sequence number protocol: it takes what
// has the next number, and says in MSA-4 which that is.
type counter struct {
	mu     sync.Mutex
	last   int64 // -1: none yet
	took   []string
	heard  []string // MSH-13 of everything
	bodies []string
	does   func(n int64) string // "": answers; "lose": takes it and hangs up; "drop": hangs up; "refuse": counts it alone
	mute   bool                 // MSA-4 is not said
}

func newCounter(t *testing.T) (c *counter, address string) {
	t.Helper()
	c = &counter{last: -1}
	return c, listening(t, func(conn *visitor) {
		for raw, ok := conn.next(); ok; raw, ok = conn.next() {
			answer := c.take(raw)
			if answer == "" {
				return
			}
			conn.say(answer)
		}
	})
}

func (c *counter) take(raw []byte) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	head, body, _ := strings.Cut(string(raw), "\r")
	fields := strings.Split(head, "|")
	if len(fields) < 13 {
		return framed(ackHead + "MSA|AR|b1\r")
	}
	control, said := fields[9], fields[12]
	c.heard = append(c.heard, said)
	n, err := strconv.ParseInt(said, 10, 64)
	if err != nil {
		return framed(ackHead + "MSA|AE|" + control + "\r")
	}
	does := ""
	if c.does != nil {
		does = c.does(n)
	}
	code := "AA"
	switch {
	case does == "drop":
		return ""
	case n == 0 && body == "":
	case does == "refuse":
		c.last, code = n, "AE"
	case c.last >= 0 && n != c.last+1:
		code = "AE"
	default:
		c.last = n
		c.took, c.bodies = append(c.took, control), append(c.bodies, body)
	}
	if does == "lose" {
		return ""
	}
	next := int64(-1)
	if c.last >= 0 {
		next = c.last + 1
	}
	four := strconv.FormatInt(next, 10)
	if c.mute {
		four = ""
	}
	return framed(ackHead + "MSA|" + code + "|" + control + "||" + four + "\r")
}

// counting is a route to a counter.
func counting(t *testing.T, address string) *route {
	o := defaults()
	o.Address, o.Sequence, o.Timeout = address, true, 5*time.Second
	return newRoute(t, o, "")
}

func (r *route) deliver(n int) error {
	raw, control := payload(n)
	_, err := r.Send(r.t.Context(), &message.Delivery{ID: fmt.Sprint("d", n), Control: control, Payload: raw})
	return err
}

func TestMessagesAreCounted(t *testing.T) {
	c, address := newCounter(t)
	r := counting(t, address)
	for n := range 3 {
		if err := r.deliver(n); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"0", "1", "2", "3"}; !slices.Equal(c.heard, want) {
		t.Errorf("heard %q, want %q", c.heard, want)
	}
	_, want, _ := strings.Cut(string(sample(1)), "\r")
	if c.bodies[1] != want {
		t.Errorf("the content was changed: %q", c.bodies[1])
	}
	again := counting(t, address) // another engine goes on where the receiver is
	if err := again.deliver(7); err != nil || c.last != 4 {
		t.Errorf("the last number is %d, %v", c.last, err)
	}
	if err := r.deliver(8); message.KindOf(err) != message.Busy { // it has counted on without us
		t.Errorf("%v, want that it is tried again", err)
	}
	if err := r.deliver(8); err != nil || c.last != 5 {
		t.Errorf("the last number is %d, %v", c.last, err)
	}
}

// TestLostAnswersAreFoundAgain: what the receiver took is not sent twice, what it
// did not take is sent again, whatever was sent in between.
func TestLostAnswersAreFoundAgain(t *testing.T) {
	for name, want := range map[string]int{"lose": 3, "drop": 3} {
		t.Run(name, func(t *testing.T) {
			c, address := newCounter(t)
			r := counting(t, address)
			if err := r.deliver(0); err != nil {
				t.Fatal(err)
			}
			once := true
			c.mu.Lock()
			c.does = func(n int64) string {
				if n == 2 && once {
					once = false
					return name
				}
				return ""
			}
			c.mu.Unlock()
			if err := r.deliver(1); message.KindOf(err) != message.Unknown {
				t.Fatalf("%v, want unknown", err)
			}
			for _, n := range []int{2, 1} { // another one goes first
				if err := r.deliver(n); err != nil {
					t.Errorf("message %d: %v", n, err)
				}
			}
			slices.Sort(c.took)
			if took := slices.Compact(slices.Clone(c.took)); len(c.took) != want || len(took) != want {
				t.Errorf("%q were taken", c.took)
			}
			if n := r.event("sequence-arrived"); (n == 1) != (name == "lose") {
				t.Errorf("%d were known to have arrived", n)
			}
		})
	}
}

// A ledger keeps numbers as the store does, beyond the life of a destination.
type ledger struct {
	given sequence
	fault error
	kept  []int64
}

// send sends a message over a destination, as an engine that knows what stands in
// the ledger.
func (l *ledger) send(r *route, n int) error {
	raw, control := payload(n)
	id := fmt.Sprint("d", n)
	if !r.Counts() {
		r.t.Fatal("it does not count")
	}
	_, err := r.SendCounted(r.t.Context(), &message.Delivery{ID: id, Control: control, Payload: raw}, l.given.given[id], func(_ context.Context, number int64) error {
		if l.fault == nil {
			l.given.give(id, number)
			l.kept = append(l.kept, number)
		}
		return l.fault
	})
	return err
}

// TestNumbersOutliveTheEngine: a message that was being sent when the engine ended
// goes out again under its number, and not at all where the receiver has it.
func TestNumbersOutliveTheEngine(t *testing.T) {
	for name, c := range map[string]struct {
		does  string // with number 2
		heard []string
		took  int
	}{
		"the receiver has it":             {"lose", []string{"0", "1", "2", "0", "3"}, 3},
		"the receiver has it not":         {"drop", []string{"0", "1", "2", "0", "2", "3"}, 3},
		"another one has the number then": {"drop, another first", []string{"0", "1", "2", "0", "2", "3"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			counter, address := newCounter(t)
			l, once, order := &ledger{}, true, []int{1, 2}
			if does, _, first := strings.Cut(c.does, ","); first {
				c.does, order = does, []int{2, 1}
			}
			counter.does = func(n int64) string {
				if n == 2 && once {
					once = false
					return c.does
				}
				return ""
			}
			r := counting(t, address)
			if err := l.send(r, 0); err != nil {
				t.Fatal(err)
			}
			if err := l.send(r, 1); message.KindOf(err) != message.Unknown {
				t.Fatalf("%v, want unknown", err)
			}
			again := counting(t, address) // another life, which knows nothing but the ledger
			for _, n := range order {
				if err := l.send(again, n); err != nil {
					t.Errorf("message %d: %v", n, err)
				}
			}
			if !slices.Equal(counter.heard, c.heard) || len(counter.took) != c.took {
				t.Errorf("heard %q, took %q", counter.heard, counter.took)
			}
			arrived := 0
			if c.does == "lose" {
				arrived = 1
			}
			if got := again.event("sequence-arrived"); got != arrived {
				t.Errorf("%d were known to have arrived, want %d", got, arrived)
			}
		})
	}
}

// TestRefusalsAreNoArrivals: a message that the receiver counted and refused is
// sent again, under the next number.
func TestRefusalsAreNoArrivals(t *testing.T) {
	c, address := newCounter(t)
	c.does = func(n int64) string {
		if n == 1 {
			return "refuse"
		}
		return ""
	}
	l, r := &ledger{}, counting(t, address)
	if err := l.send(r, 0); message.KindOf(err) != message.Busy {
		t.Fatalf("%v, want that it is tried again", err)
	}
	if err := l.send(counting(t, address), 0); err != nil {
		t.Fatal(err)
	}
	if want := []string{"0", "1", "0", "2"}; !slices.Equal(c.heard, want) || !slices.Equal(l.kept, []int64{1, 0, 2}) {
		t.Errorf("heard %q, want %q; kept %d", c.heard, want, l.kept)
	}
}

// TestNothingLeavesWithoutItsNumber holds the order: kept, then sent.
func TestNothingLeavesWithoutItsNumber(t *testing.T) {
	c, address := newCounter(t)
	l, r := &ledger{fault: errors.New("no disk")}, counting(t, address)
	if err := l.send(r, 0); message.KindOf(err) != message.Down || len(c.took) > 0 {
		t.Fatalf("%v, taken %q", err, c.took)
	}
	l.fault = nil
	if err := l.send(r, 0); err != nil || len(c.took) != 1 {
		t.Fatalf("%v, taken %q", err, c.took)
	}
}

// TestTheSameNumberWhereNobodySays: a receiver that says no MSA-4 gets what may have
// come under the same number.
func TestTheSameNumberWhereNobodySays(t *testing.T) {
	c, address := newCounter(t)
	c.mute = true
	once := true
	c.does = func(n int64) string {
		if n == 2 && once {
			once = false
			return "drop"
		}
		return ""
	}
	l, r := &ledger{}, counting(t, address)
	if err := l.send(r, 0); err != nil {
		t.Fatal(err)
	}
	if err := l.send(r, 1); message.KindOf(err) != message.Unknown {
		t.Fatalf("%v, want unknown", err)
	}
	again := counting(t, address)
	for _, n := range []int{1, 2} {
		if err := l.send(again, n); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"0", "1", "2", "0", "2", "3"}; !slices.Equal(c.heard, want) {
		t.Errorf("heard %q, want %q", c.heard, want)
	}
}

// TestReceiversThatDoNotCount are counted for all the same, and reported.
func TestReceiversThatDoNotCount(t *testing.T) {
	c, address := newCounter(t)
	c.mute = true
	r := counting(t, address)
	for n := range 2 {
		if err := r.deliver(n); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"0", "1", "2"}; !slices.Equal(c.heard, want) || r.event("sequence-missing") != 3 {
		t.Errorf("heard %q, %d reports", c.heard, r.event("sequence-missing"))
	}
	batch := []byte("BHS|^~\\&|A|B|||||||b1\rBTS|0\r")
	if _, err := r.Send(t.Context(), &message.Delivery{ID: "b", Control: "b1", Payload: batch}); err == nil {
		t.Error("the receiver takes no batch")
	}
}

func TestSequenceWords(t *testing.T) {
	for want, change := range map[string]func(o *DestinationOptions){
		"sequence: numbers need one connection and one message in flight": func(o *DestinationOptions) { o.Connections = 2 },
		"sequence: numbers need an answer: wait: accept or application":   func(o *DestinationOptions) { o.Wait = waitNone },
	} {
		o := defaults()
		o.Address, o.Sequence = "127.0.0.1:1", true
		if change(o); joined(o.Validate()) != want {
			t.Errorf("%q, want %q", joined(o.Validate()), want)
		}
	}
}

func TestFieldsOfAHeader(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"MSH|^~\\&|A|B|C|D|t||T|1|P|2.5\rPID|1\r", "MSH|^~\\&|A|B|C|D|t||T|1|P|2.5|7\rPID|1\r"},
		{"MSH|^~\\&|A|B|C|D|t||T|1|P|2.5|3||AL\rPID|1\r", "MSH|^~\\&|A|B|C|D|t||T|1|P|2.5|7||AL\rPID|1\r"},
		{"MSH|^~\\&|A|B|C|D|t||T|1", "MSH|^~\\&|A|B|C|D|t||T|1|||7"},
	} {
		raw := []byte(c.raw)
		if got := string(withField(raw, 13, "7")); got != c.want || string(raw) != c.raw {
			t.Errorf("%q, want %q; %q", got, c.want, raw)
		}
	}
	if got, want := string(linkStart([]byte("MSH|^~\\&|A|B|C|D|t||T|1|P|2.5|3||AL|AL\rPID|1\r"), "01")), "MSH|^~\\&|A|B|C|D|t||T|01|P|2.5|0\r"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzFieldOfAHeader: a field that is written is read again, and nothing behind
// the header changes.
func FuzzFieldOfAHeader(f *testing.F) {
	f.Add([]byte("MSH|^~\\&|A|B|C|D|t||T|1|P|2.5|3\rPID|1\r"), uint8(13))
	f.Add([]byte("MSH\r"), uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, field uint8) {
		if _, _, end := Control(raw); end == 0 {
			return
		}
		n := 3 + int(field)%30
		out := withField(raw, n, "77")
		head, rest := raw, []byte(nil)
		if at := bytes.IndexAny(raw, "\r\n"); at >= 0 {
			head, rest = raw[:at], raw[at:]
		}
		got := bytes.Split(out[:len(out)-len(rest)], raw[3:4])
		if !bytes.HasSuffix(out, rest) || string(got[n-1]) != "77" && raw[3] != '7' {
			t.Errorf("%q of %q", out, head)
		}
		if link := linkStart(raw, "x"); bytes.Count(link, []byte{'\r'}) != 1 {
			t.Errorf("%q", link)
		}
		_, _ = expectedNext(raw)
	})
}
